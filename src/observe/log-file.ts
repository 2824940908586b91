import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { LogFileSpec, Rolling } from '../schema/access-log.ts';
import { ROTATION_RETRY_MS } from './limits.ts';
import { Lines, type LineSink, type Rotation } from './lines.ts';

export interface LogFileOptions {
  /** Wall clock, ms. */
  readonly wall: () => number;
  /** Told of the first of a row of failures. */
  readonly trouble: (error: Error) => void;
}

/**
 * A log file that is moved away when it is full or its time is over. The file that is written to always has the name it was given; earlier ones are
 * `access.log.2026-01-02` and the like, by the UTC time of their first line, with `.1`, `.2` behind it when there are more. What may take long
 * (renaming, opening, compressing, deleting) happens in the background; lines wait meanwhile, bounded, and are counted when they must be given up.
 */
export class LogFile implements LineSink {
  readonly #lines: Lines;
  readonly #archive: Archive;

  /** @throws the error of opening the file */
  constructor(spec: LogFileSpec, options: LogFileOptions) {
    this.#archive = new Archive(spec, options);
    const turns = spec.rolling !== 'never' || spec.maxBytes > 0;
    this.#lines = new Lines({
      target: spec.path,
      flushMs: spec.flushMs,
      bufferedBytes: spec.bufferedBytes,
      trouble: options.trouble,
      ...(turns ? { rotation: this.#archive } : {}),
    });
    if (turns) this.#archive.tidy();
  }

  get dropped(): number {
    return this.#lines.dropped;
  }

  write(line: string): void {
    this.#lines.write(line);
  }

  reopen(): void {
    this.#lines.reopen();
  }

  /** What is being compressed stays as it is, and is compressed after the next start. */
  async close(): Promise<void> {
    await this.#lines.close();
    await this.#archive.close();
  }

  /** Resolves when nothing is being compressed or deleted. */
  get tidied(): Promise<void> {
    return this.#archive.tidied;
  }
}

/** The earlier files of one log. */
class Archive implements Rotation {
  readonly #spec: LogFileSpec;
  readonly #options: LogFileOptions;
  readonly #folder: string;
  readonly #name: RegExp;
  #bytes = 0;
  /** Begin and end of the time that the file is for, ms since 1970. */
  #from = 0;
  #until = Number.POSITIVE_INFINITY;
  /** After a failure: no other try before. */
  #notBefore = 0;
  #stop: AbortController | null = null;
  #again = false;
  tidied: Promise<void> = Promise.resolve();

  constructor(spec: LogFileSpec, options: LogFileOptions) {
    this.#spec = spec;
    this.#options = options;
    this.#folder = dirname(spec.path);
    const name = basename(spec.path).replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
    this.#name = new RegExp(String.raw`^${name}\.\d{4}-\d\d-\d\d(?:-\d\d){0,2}(?:\.(\d{1,9}))?(\.gz)?$`);
  }

  opened(bytes: number, mtimeMs: number): void {
    const now = this.#options.wall();
    this.#bytes = bytes;
    // A file that an earlier run has left belongs to its own time.
    this.#from = periodOf(this.#spec.rolling, bytes > 0 ? Math.min(mtimeMs, now) : now);
    this.#until = this.#from + LENGTH_MS[this.#spec.rolling];
  }

  wrote(bytes: number): void {
    this.#bytes += bytes;
  }

  due(bytes: number): boolean {
    const now = this.#options.wall();
    if (now < this.#notBefore) return false;
    if (this.#bytes === 0) {
      if (now >= this.#until) {
        this.#from = periodOf(this.#spec.rolling, now);
        this.#until = this.#from + LENGTH_MS[this.#spec.rolling];
      }
      return false;
    }
    return now >= this.#until || (this.#spec.maxBytes > 0 && this.#bytes + bytes > this.#spec.maxBytes);
  }

  rotate(done: () => void): void {
    void this.#moveAway().then(done);
  }

  async #moveAway(): Promise<void> {
    const { path, rolling } = this.#spec;
    try {
      await rename(path, join(this.#folder, await this.#freeName(`${basename(path)}.${stampOf(rolling, this.#from)}`)));
      this.tidy();
    } catch (error) {
      // Somebody else has moved it: that is as good.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      this.#notBefore = this.#options.wall() + ROTATION_RETRY_MS;
      this.#options.trouble(error as Error);
    }
  }

  async #freeName(name: string): Promise<string> {
    let taken = -1;
    for (const file of await this.#list()) {
      const rest = file.name.slice(name.length);
      if (file.name.startsWith(name) && /^(?:\.\d+)?(?:\.gz)?$/.test(rest)) taken = Math.max(taken, file.number);
    }
    return taken < 0 ? name : `${name}.${taken + 1}`;
  }

  /** Earlier files, newest first. */
  async #list(): Promise<{ name: string; number: number; compressed: boolean; mtimeMs: number }[]> {
    const found = [];
    for (const name of await readdir(this.#folder)) {
      const match = this.#name.exec(name);
      const entry = match === null ? null : await stat(join(this.#folder, name)).catch(() => null);
      if (entry?.isFile() !== true) continue;
      found.push({ name, number: Number(match![1] ?? 0), compressed: match![2] !== undefined, mtimeMs: entry.mtimeMs });
    }
    return found.toSorted((a, b) => b.mtimeMs - a.mtimeMs || b.number - a.number);
  }

  /** Deletes what is too old or one too many, and compresses the rest; one after the other, in the background. */
  tidy(): void {
    if (this.#stop !== null) {
      this.#again = true;
      return;
    }
    const stop = new AbortController();
    this.#stop = stop;
    this.tidied = this.#work(stop.signal).finally(() => {
      this.#stop = null;
      if (this.#again && !stop.signal.aborted) {
        this.#again = false;
        this.tidy();
      }
    });
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { maxFiles, maxAgeMs, compress } = this.#spec;
    const now = this.#options.wall();
    const files = await this.#list().catch((error: Error) => {
      this.#options.trouble(error);
      return [];
    });
    for (const [i, file] of files.entries()) {
      if (signal.aborted) return;
      const path = join(this.#folder, file.name);
      try {
        if ((maxFiles > 0 && i >= maxFiles) || (maxAgeMs > 0 && now - file.mtimeMs > maxAgeMs)) await rm(path, { force: true });
        else if (compress === 'gzip' && !file.compressed) await gzip(path, signal);
      } catch (error) {
        if (!signal.aborted) this.#options.trouble(error as Error);
      }
    }
  }

  async close(): Promise<void> {
    this.#stop?.abort();
    await this.tidied;
  }
}

/** Writes PATH.gz, whole or not at all, and deletes PATH. */
async function gzip(path: string, signal: AbortSignal): Promise<void> {
  const { mtime, atime, mode } = await stat(path);
  const part = `${path}.gz.part`;
  try {
    await pipeline(createReadStream(path), createGzip(), createWriteStream(part, { mode }), { signal });
    // Its age is that of its lines.
    await utimes(part, atime, mtime);
    await rename(part, `${path}.gz`);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await rm(path, { force: true });
}

const MINUTE_MS = 60_000;
const LENGTH_MS: Record<Rolling, number> = {
  never: Number.POSITIVE_INFINITY,
  minutely: MINUTE_MS,
  hourly: 60 * MINUTE_MS,
  daily: 24 * 60 * MINUTE_MS,
};

/** When the time of a file that holds this moment began. */
function periodOf(rolling: Rolling, ms: number): number {
  const length = LENGTH_MS[rolling];
  return Number.isFinite(length) ? ms - (ms % length) : ms;
}

/** `2026-01-02`, with hour and minute where files are for less. */
function stampOf(rolling: Rolling, ms: number): string {
  const text = new Date(ms).toISOString();
  const chars = rolling === 'minutely' ? 16 : rolling === 'hourly' ? 13 : 10;
  return text.slice(0, chars).replaceAll(/[T:]/g, '-');
}
