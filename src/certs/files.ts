import { createHash, X509Certificate } from 'node:crypto';
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import tls from 'node:tls';
import type { Log } from '../observe/log.ts';
import { tellOfAge } from './age.ts';
import { certLimits } from './limits.ts';

/** A certificate chain and its key, PEM. */
export interface CertPair {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Wall-clock ms at which the first certificate of the chain expires. */
  readonly notAfterMs: number;
}

export interface CertFilesOptions {
  readonly certPath: string;
  readonly keyPath: string;
  readonly log: Log;
  readonly wall: () => number;
  /** How often the files are read without having been told that they changed, ms. */
  readonly pollMs?: number;
}

/** A pair of PEM files that is read anew when it changes. A pair that cannot be used leaves the old one in place. */
export class CertFiles {
  readonly #options: CertFilesOptions;
  readonly #watchers: FSWatcher[] = [];
  readonly #poll: NodeJS.Timeout;
  #settle: NodeJS.Timeout | null = null;
  /** Of the bytes that were looked at last, usable or not: each state of the files is judged once. */
  #seen: string;
  /** When its age was looked at last, wall-clock ms. */
  #toldMs = 0;
  current: CertPair;
  /** Why what is in the files now cannot be used; '' = it is in use. */
  problem = '';
  /** Called after every change. */
  changed: (pair: CertPair) => void = () => {};

  /** @throws an Error whose message is for the operator, when the pair cannot be used */
  constructor(options: CertFilesOptions) {
    this.#options = options;
    const bytes = readBoth(options);
    this.#seen = hashOf(bytes);
    this.current = pairOf(bytes, options);
    this.#warnOfAge();
    // The folders, not the files: certbot and Kubernetes replace links, and a watch on a file stays with the old one.
    for (const folder of new Set([dirname(options.certPath), dirname(options.keyPath)])) this.#watch(folder);
    // Network file systems tell nobody of changes.
    this.#poll = setInterval(() => this.look(), options.pollMs ?? certLimits.pollMs).unref();
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#soon());
      // Without it the poll remains.
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // As above.
    }
  }

  /** Both files change, one after the other: they are read when it has been quiet for a moment. */
  #soon(): void {
    if (this.#settle !== null) clearTimeout(this.#settle);
    this.#settle = setTimeout(() => this.look(), certLimits.settleMs).unref();
  }

  /** Reads the files now. */
  look(): void {
    const { log, certPath, keyPath } = this.#options;
    let hash = '';
    try {
      const bytes = readBoth(this.#options);
      hash = hashOf(bytes);
      if (hash === this.#seen) {
        if (this.#options.wall() - this.#toldMs >= certLimits.warnEveryMs) this.#warnOfAge();
        return;
      }
      this.current = pairOf(bytes, this.#options);
    } catch (error) {
      const { message } = error as Error;
      if (hash === '') hash = message;
      if (hash === this.#seen) return;
      this.#seen = hash;
      this.problem = message;
      log.warn({ reason: message }, 'the new TLS certificate cannot be used: the old one is kept');
      return;
    }
    this.#seen = hash;
    this.problem = '';
    log.info({ cert: certPath, key: keyPath, notAfter: new Date(this.current.notAfterMs).toISOString() }, 'TLS certificate read anew');
    this.#warnOfAge();
    this.changed(this.current);
  }

  /** At once, and every day again for as long as it is so: whoever renews it may have stopped. */
  #warnOfAge(): void {
    const { log, wall, certPath } = this.#options;
    const now = wall();
    tellOfAge(log, certPath, this.current.notAfterMs, now);
    this.#toldMs = now;
  }

  close(): void {
    clearInterval(this.#poll);
    if (this.#settle !== null) clearTimeout(this.#settle);
    for (const watcher of this.#watchers) watcher.close();
  }
}

interface Both {
  readonly cert: Buffer;
  readonly key: Buffer;
}

function readBoth({ certPath, keyPath }: CertFilesOptions): Both {
  return { cert: read(certPath), key: read(keyPath) };
}

function read(path: string): Buffer {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > certLimits.fileBytes) throw new Error(`is larger than ${certLimits.fileBytes} bytes`);
    return bytes;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT'
        ? 'does not exist'
        : code === 'EACCES'
          ? 'may not be read by this user'
          : code === undefined
            ? message
            : `cannot be read (${code})`;
    throw new Error(`${path} ${why}`, { cause: error });
  }
}

function hashOf({ cert, key }: Both): string {
  return createHash('sha256').update(cert).update('\0').update(key).digest('hex');
}

function pairOf({ cert, key }: Both, { certPath, keyPath }: CertFilesOptions): CertPair {
  let first: X509Certificate;
  try {
    first = new X509Certificate(cert);
  } catch (error) {
    throw new Error(`${certPath} holds no PEM certificate`, { cause: error });
  }
  try {
    tls.createSecureContext({ cert, key });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(
      code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'
        ? `${keyPath} is not the key of ${certPath}`
        : `${keyPath} holds no PEM key that can be used (${code ?? 'unknown'})`,
      { cause: error },
    );
  }
  return { cert, key, notAfterMs: Date.parse(first.validTo) };
}
