import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ConfigText, ConfigVersion } from '../admin/model.ts';
import { changedItems } from './changed-items.ts';

/** Versions kept, and bytes of all of them. */
const VERSIONS = 100;
const BYTES = 256 * 1024 * 1024;
/** Without a folder they are in memory. */
const MEMORY_BYTES = 16 * 1024 * 1024;

/** One version with its texts. */
export interface KeptVersion extends Omit<ConfigVersion, 'current'> {
  readonly files: readonly ConfigText[];
}

/** One that is to be kept. */
type Fresh = Omit<KeptVersion, 'id' | 'changed'>;

type Listed = Omit<KeptVersion, 'files'> & { readonly bytes: number };

/** What a configuration was: the newest versions, each with all of its texts, readable only by who runs the gateway. */
export class History {
  /** Null: in memory. */
  readonly #folder: string | null;
  readonly #memory = new Map<string, KeptVersion>();
  /** Oldest first. */
  #list: Listed[] = [];
  #opening: Promise<void> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /** `folder`: for all configurations of this user; `source`: the file or folder that is run. */
  constructor(folder: string | null, source: string) {
    this.#folder = folder === null ? null : join(folder, 'history', createHash('sha256').update(resolve(source)).digest('hex').slice(0, 16));
  }

  /** Newest first. */
  async list(): Promise<readonly Omit<KeptVersion, 'files'>[]> {
    await this.#open();
    return this.#list.map(withoutBytes).toReversed();
  }

  /** Null: there is none. */
  async get(id: string): Promise<KeptVersion | null> {
    await this.#open();
    const listed = this.#list.find((one) => one.id === id);
    if (listed === undefined) return null;
    const version = withoutBytes(listed);
    const files = this.#folder === null ? this.#memory.get(id)!.files : (await read(join(this.#folder, `${id}.json`)))?.files;
    return files === undefined ? null : { ...version, files };
  }

  /** Keeps what is there now. The same texts as the newest version are no other version; that they serve is noted. @throws the system's error */
  keep(version: Fresh): Promise<void> {
    const kept = this.#last.then(() => this.#keep(version));
    this.#last = kept.catch(() => {});
    return kept;
  }

  async #keep(version: Fresh): Promise<void> {
    await this.#open();
    const newest = this.#list.at(-1);
    if (newest?.etag === version.etag) {
      if (newest.served || !version.served) return;
      const { files } = version;
      await this.#write({ ...newest, served: true, files });
      this.#list[this.#list.length - 1] = { ...newest, served: true };
      return;
    }
    const number = newest === undefined ? 1 : Number(newest.id) + 1;
    const id = String(number).padStart(8, '0');
    const { files, ...rest } = version;
    const before = newest === undefined ? null : await this.get(newest.id);
    const changed = before === null ? [] : changedItems(before.files, files);
    await this.#write({ ...version, id, changed });
    this.#list.push({ ...rest, id, changed, bytes: files.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) });
    await this.#trim();
  }

  async #trim(): Promise<void> {
    let bytes = this.#list.reduce((sum, one) => sum + one.bytes, 0);
    while (this.#list.length > VERSIONS || (this.#list.length > 1 && bytes > (this.#folder === null ? MEMORY_BYTES : BYTES))) {
      const oldest = this.#list.shift()!;
      bytes -= oldest.bytes;
      if (this.#folder === null) this.#memory.delete(oldest.id);
      else await rm(join(this.#folder, `${oldest.id}.json`), { force: true });
    }
  }

  /** All of it or nothing. */
  async #write(version: KeptVersion): Promise<void> {
    if (this.#folder === null) {
      this.#memory.set(version.id, version);
      return;
    }
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = join(this.#folder, `${version.id}.json`);
    const fresh = `${path}.tmp`;
    try {
      // It may hold secrets, as the files.
      const file = await open(fresh, 'w', 0o600);
      try {
        await file.writeFile(JSON.stringify(version));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(fresh, path);
    } catch (error) {
      await rm(fresh, { force: true });
      throw error;
    }
  }

  #open(): Promise<void> {
    this.#opening ??= this.#load();
    return this.#opening;
  }

  async #load(): Promise<void> {
    const names = this.#folder === null ? [] : await readdir(this.#folder).catch(() => []);
    for (const name of names.filter((one) => /^\d{8}\.json$/.test(one)).toSorted()) {
      const version = await read(join(this.#folder!, name));
      if (version === null) continue;
      const { files, ...rest } = version;
      this.#list.push({ ...rest, id: name.slice(0, 8), bytes: files.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) });
    }
  }
}

function withoutBytes({ id, atMs, by, note, etag, served, changed }: Listed): Omit<KeptVersion, 'files'> {
  return { id, atMs, by, note, etag, served, changed };
}

/** Null: it cannot be read. What is broken is left out rather than stopping anything. */
async function read(path: string): Promise<KeptVersion | null> {
  try {
    const version = JSON.parse(await readFile(path, 'utf8')) as KeptVersion;
    if (!Array.isArray(version.files) || typeof version.etag !== 'string') return null;
    // Older ones do not say.
    return { ...version, changed: Array.isArray(version.changed) ? version.changed : [] };
  } catch {
    return null;
  }
}
