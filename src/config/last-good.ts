import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { configLimits } from './limits.ts';
import { readText } from './read-text.ts';

/**
 * Where copies of the configuration that served last are kept. Relative paths in it mean what they meant: the copy lies beside its original's folder
 * only in name, so whoever reads it says where the original is.
 */
export class LastGood {
  readonly #folder: string;
  readonly #source: string;

  /** `folder`: for all configurations of this user; `source`: the file or folder that is run. */
  constructor(folder: string, source: string) {
    this.#source = resolve(source);
    this.#folder = join(folder, 'last-good', createHash('sha256').update(this.#source).digest('hex').slice(0, 16));
  }

  /** The copy; null when there is none. */
  get path(): string | null {
    const path = join(this.#folder, 'config');
    return statSync(path, { throwIfNoEntry: false }) === undefined ? null : path;
  }

  /** Keeps what is there now. All of it or nothing: a disk that is full leaves the copy before. @throws the system's error */
  keep(): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const fresh = join(this.#folder, 'config.new');
    const old = join(this.#folder, 'config.old');
    const target = join(this.#folder, 'config');
    rmSync(fresh, { recursive: true, force: true });
    if (statSync(this.#source).isDirectory()) {
      mkdirSync(fresh, { mode: 0o700 });
      for (const path of tomlFiles(this.#source)) write(join(fresh, relative(this.#source, path)), path);
    } else write(fresh, this.#source);
    rmSync(old, { recursive: true, force: true });
    if (this.path !== null) renameSync(target, old);
    renameSync(fresh, target);
    rmSync(old, { recursive: true, force: true });
  }
}

function tomlFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.toml'))
    .map((entry) => join(entry.parentPath, entry.name));
}

function write(target: string, from: string): void {
  const text = readText(from, configLimits.fileBytes);
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  // It may hold secrets, as its original.
  const file = openSync(target, 'w', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
