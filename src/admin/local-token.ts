import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Address } from '../schema/address.ts';

/**
 * The file with the token of the admin API at this address: a program that serves it writes one at its start (mode 0600) and removes it at its end, and
 * commands of the same user find it. Who may read the file is the operator.
 */
export function localTokenPath(stateDir: string, { host, port }: Address): string {
  return join(stateDir, `admin-token-${USUAL.has(host) ? '' : `${host.replaceAll(/[^\w.-]/g, '_')}-`}${port}`);
}

/** Addresses of which a port has one program. */
const USUAL: ReadonlySet<string> = new Set(['127.0.0.1', '::1', '[::1]', 'localhost', '0.0.0.0', '::']);

/** The token of one process, new at each start. */
export class LocalToken {
  readonly token = `wll_${randomBytes(32).toString('base64url')}`;
  #path: string | null = null;

  /** Leaves it where commands look for it, and takes it from where it was. @throws the system's error */
  leave(stateDir: string, address: Address): void {
    const path = localTokenPath(stateDir, address);
    if (path === this.#path) return;
    this.remove();
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const beside = `${path}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      writeFileSync(beside, `${this.token}\n`, { mode: 0o600, flag: 'wx' });
      renameSync(beside, path);
    } catch (error) {
      rmSync(beside, { force: true });
      throw error;
    }
    this.#path = path;
  }

  /** Whoever came after us at this port has left one of its own: that one stays. */
  remove(): void {
    const path = this.#path;
    this.#path = null;
    if (path === null) return;
    try {
      if (readFileSync(path, 'utf8').trim() === this.token) rmSync(path);
    } catch {
      // Gone already.
    }
  }
}
