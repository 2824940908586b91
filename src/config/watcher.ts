import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Files that change together are read once it has been quiet for so long, ms. */
const SETTLE_MS = 100;

/** How far the times of files may be behind the clock, ms. */
const CLOCK_MS = 20;

export interface WatcherOptions {
  readonly paths: readonly string[];
  /** When what is there now was read, or began to be, wall-clock ms: what has changed since then is told of. */
  readonly sinceMs: number;
  /** How often to look without having been told, ms: network file systems tell nobody. 0 = never. */
  readonly everyMs: number;
  /** What is at the paths is not what it was. */
  readonly changed: () => void;
}

/** Tells when files or folders change. It watches the folders they lie in, since editors, certbot and Kubernetes put new files in the place of old ones. */
export class Watcher {
  readonly #changed: () => void;
  readonly #watchers = new Map<string, FSWatcher>();
  #paths: readonly string[] = [];
  #poll: NodeJS.Timeout | undefined;
  #settle: NodeJS.Timeout | undefined;
  #everyMs = 0;
  /** By path, what was there when it was read. */
  #seen = new Map<string, string>();
  #sinceMs: number;

  constructor({ paths, sinceMs, everyMs, changed }: WatcherOptions) {
    this.#changed = changed;
    this.#sinceMs = sinceMs;
    this.follow(paths, everyMs);
  }

  /** What is there is about to be read: a change from now on is news, also one that comes before follow(). */
  reading(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#seen = new Map(this.#paths.map((path) => [path, stateOf(path)]));
  }

  get paths(): readonly string[] {
    return this.#paths;
  }

  get everyMs(): number {
    return this.#everyMs;
  }

  /** Watches these from now on, as they were when they were read. */
  follow(paths: readonly string[], everyMs: number): void {
    this.#paths = paths;
    this.#seen = new Map(paths.map((path) => [path, this.#seen.get(path) ?? stateAt(path, this.#sinceMs)]));
    if (everyMs !== this.#everyMs) {
      clearInterval(this.#poll);
      this.#everyMs = everyMs;
      this.#poll = everyMs > 0 ? setInterval(() => this.#look(), everyMs).unref() : undefined;
    }
    const folders = new Set(everyMs > 0 ? paths.map(folderOf) : []);
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of folders) if (!this.#watchers.has(folder)) this.#watch(folder);
    if (everyMs > 0) this.#lookSoon();
  }

  #lookSoon(): void {
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => this.#look(), SETTLE_MS).unref();
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#lookSoon());
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(folder);
      });
      this.#watchers.set(folder, watcher);
    } catch {
      // The folder is gone, or the system has no watches left: the poll remains.
    }
  }

  #look(): void {
    const isNew = (path: string): boolean => stateOf(path) !== this.#seen.get(path);
    if (!this.#paths.some(isNew)) return;
    this.reading(this.#sinceMs);
    this.#changed();
  }

  close(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#settle);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }
}

/** What is there, as far as the system tells without reading: another text is another state. */
function stateOf(path: string): string {
  try {
    const stats = statSync(path, { bigint: true });
    return stats.isDirectory() ? namesIn(path) : `${stats.mtimeNs} ${stats.size} ${stats.ino}`;
  } catch {
    return 'absent';
  }
}

/** What was there at that time: unknown, when it has changed since. */
function stateAt(path: string, atMs: number): string {
  try {
    const stats = statSync(path);
    if (stats.isFile() && stats.ctimeMs + CLOCK_MS > atMs) return 'unknown';
  } catch {
    // Absent is a state, too.
  }
  return stateOf(path);
}

/** Of a folder only what may be configuration counts: logs beside it must not make it look changed. */
function namesIn(folder: string): string {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.name.endsWith('.toml') || entry.isDirectory())
    .map(({ name }) => name)
    .toSorted()
    .join('\0');
}

function folderOf(path: string): string {
  try {
    return statSync(path).isDirectory() ? path : dirname(path);
  } catch {
    return dirname(path);
  }
}
