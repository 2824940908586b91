import { randomBytes } from 'node:crypto';
import { open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FILE_BYTES, LOCK_STALE_MS, LOCK_STEP_MS, LOCK_WAIT_MS, LOOK_MS } from './limits.ts';
import { type RecordForm, type Records, StoreError } from './records.ts';

const VERSION = 1;

/**
 * Records in one JSON file. It is written whole beside itself and then renamed, so that whoever reads sees the old or the new, also after a crash;
 * programs that change it at the same time wait for each other.
 */
export class FileRecords<T> implements Records<T> {
  readonly path: string;
  readonly #form: RecordForm<T>;
  readonly #lookMs: number;
  /** Which version of the file was read last. */
  #stamp = '';
  /** Which version could not be read. */
  #failure: string | null = null;

  constructor(path: string, form: RecordForm<T>, lookMs = LOOK_MS) {
    this.path = path;
    this.#form = form;
    this.#lookMs = lookMs;
  }

  async all(): Promise<ReadonlyMap<string, T>> {
    const stamp = await this.#look();
    if (stamp === null) throw new StoreError(`${this.path} does not exist`);
    this.#stamp = stamp;
    return this.#parse(await readFile(this.path, 'utf8'));
  }

  async change<R>(edit: (records: Map<string, T>) => R): Promise<R> {
    const release = await this.#lock();
    try {
      const records = new Map((await this.#look()) === null ? [] : this.#parse(await readFile(this.path, 'utf8')));
      const result = edit(records);
      await this.#write(records);
      return result;
    } catch (error) {
      throw error instanceof StoreError ? error : new StoreError(`${this.path} cannot be changed: ${(error as Error).message}`);
    } finally {
      await release();
    }
  }

  follow(changed: (records: ReadonlyMap<string, T>) => void, failed: (error: Error) => void): () => void {
    let ended = false;
    let timer: NodeJS.Timeout;
    const look = async (): Promise<void> => {
      try {
        const stamp = await this.#look();
        if (stamp !== this.#stamp) {
          // What cannot be read is told of once.
          this.#stamp = stamp ?? '';
          const records = await this.all();
          if (!ended) changed(records);
        }
      } catch (error) {
        if (!ended && this.#failure !== this.#stamp) failed(error as Error);
        this.#failure = this.#stamp;
      }
      if (!ended) again();
    };
    const again = (): void => {
      timer = setTimeout(() => void look(), this.#lookMs);
      timer.unref();
    };
    again();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }

  /** What tells this version of the file from others; null = there is none. */
  async #look(): Promise<string | null> {
    try {
      const { ino, size, mtimeNs } = await stat(this.path, { bigint: true });
      if (size > BigInt(FILE_BYTES)) throw new StoreError(`${this.path} is larger than ${FILE_BYTES} bytes`);
      return `${ino} ${size} ${mtimeNs}`;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error instanceof StoreError ? error : new StoreError(`${this.path} cannot be read: ${(error as Error).message}`);
    }
  }

  #parse(text: string): Map<string, T> {
    let given: unknown;
    try {
      given = JSON.parse(text);
    } catch (error) {
      throw new StoreError(`${this.path}:${placeOf(text, error as Error)} is no JSON; bring back a copy, it is never written in part`);
    }
    const { version, kind, records } = (typeof given === 'object' && given !== null ? given : {}) as Record<string, unknown>;
    if (kind !== this.#form.kind) throw new StoreError(`${this.path} holds no ${this.#form.kind}`);
    if (version !== VERSION) throw new StoreError(`${this.path} is of version ${String(version)}, and this program knows version ${VERSION}`);
    if (typeof records !== 'object' || records === null || Array.isArray(records)) throw new StoreError(`${this.path} has no records`);
    return new Map(
      Object.entries(records).map(([id, value]) => {
        try {
          return [id, this.#form.read(value)];
        } catch (error) {
          throw new StoreError(`${this.path}: record ${id.slice(0, 100)} ${(error as Error).message}`);
        }
      }),
    );
  }

  async #write(records: ReadonlyMap<string, T>): Promise<void> {
    const plain = Object.fromEntries([...records].map(([id, record]) => [id, this.#form.write(record)]));
    const text = `${JSON.stringify({ version: VERSION, kind: this.#form.kind, records: plain }, null, 2)}\n`;
    if (Buffer.byteLength(text) > FILE_BYTES) throw new StoreError(`${this.path} would be larger than ${FILE_BYTES} bytes`);
    // A link stays a link.
    const path = await realpath(this.path).catch(() => this.path);
    const before = await stat(path).catch(() => null);
    const beside = `${path}.${randomBytes(6).toString('hex')}.tmp`;
    const file = await open(beside, 'wx', 0o600);
    try {
      // Who could read it before can read it now: the gateway may run as somebody else.
      if (before !== null) {
        await file.chown(before.uid, before.gid).catch(() => {});
        await file.chmod(before.mode & 0o777);
      }
      await file.writeFile(text);
      await file.sync();
      await file.close();
      await rename(beside, path);
    } catch (error) {
      await file.close().catch(() => {});
      await unlink(beside).catch(() => {});
      throw error;
    }
    // The new name is on disk, too.
    const folder = await open(dirname(path), 'r');
    await folder.sync().catch(() => {});
    await folder.close();
  }

  /** @returns lets others go on */
  async #lock(): Promise<() => Promise<void>> {
    const lock = `${this.path}.lock`;
    for (let waitedMs = 0; ; waitedMs += LOCK_STEP_MS) {
      try {
        const file = await open(lock, 'wx', 0o600);
        await file.close();
        return () => unlink(lock).catch(() => {});
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw new StoreError(`${this.path} cannot be changed: ${(error as Error).message}`);
      }
      const there = await stat(lock).catch(() => null);
      if (there !== null && Date.now() - there.mtimeMs > LOCK_STALE_MS) await unlink(lock).catch(() => {});
      else if (waitedMs >= LOCK_WAIT_MS) throw new StoreError(`${this.path} is being changed by somebody else; if nobody does, remove ${lock}`);
      else await sleep(LOCK_STEP_MS);
    }
  }
}

/** LINE:COLUMN, without showing what stands there: it may be a secret. */
function placeOf(text: string, { message }: Error): string {
  const found = /position (\d+)/.exec(message);
  const at = found === null ? (message.includes('end of') ? text.length : 0) : Number(found[1]);
  const lines = text.slice(0, at).split('\n');
  return `${lines.length}:${lines.at(-1)!.length + 1}`;
}
