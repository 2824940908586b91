import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Files that change together are read once it has been quiet for so long, ms. */
const SETTLE_MS = 100;

export interface WatcherOptions {
  readonly paths: readonly string[];
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
  #seen = '';

  constructor({ paths, everyMs, changed }: WatcherOptions) {
    this.#changed = changed;
    this.follow(paths, everyMs);
  }

  /** Watches these from now on, as they are now. */
  follow(paths: readonly string[], everyMs: number): void {
    this.#paths = paths;
    this.#seen = stateOf(paths);
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
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => {
        clearTimeout(this.#settle);
        this.#settle = setTimeout(() => this.#look(), SETTLE_MS).unref();
      });
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
    const state = stateOf(this.#paths);
    if (state === this.#seen) return;
    this.#seen = state;
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
function stateOf(paths: readonly string[]): string {
  return paths
    .map((path) => {
      try {
        const stats = statSync(path, { bigint: true });
        return stats.isDirectory() ? namesIn(path) : `${stats.mtimeNs} ${stats.size} ${stats.ino}`;
      } catch {
        return 'absent';
      }
    })
    .join('\n');
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
