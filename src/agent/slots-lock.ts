import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import net from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { LOCK_EVERY_MS, SINGLE_LOCKS } from './limits.ts';

export interface SlotsLockOptions {
  /** A path that all processes of one agent name alike. */
  readonly file: string;
  /** What the slots are of. */
  readonly upstream: string;
  /** The number of slots that may be offered has changed. */
  changed(held: number): void;
}

/**
 * Which slots this process may offer, when another process of the same agent may still be finishing its work: only those whose lock it holds.
 *
 * A lock is a listening Unix socket in Linux's abstract namespace, with a name made of the file's path: the kernel lets one process have it, and
 * takes it away when that process dies, however it dies. So no lock is ever stale, and no two processes that start at once can both believe
 * that they took one over; lock files with process ids can do neither. The price: both processes must be in one network namespace.
 * Nothing is ever sent over these sockets, and the file itself is neither made nor read.
 */
export class SlotsLock {
  readonly #options: SlotsLockOptions;
  readonly #name: string;
  /** By range: its socket while we hold it. */
  readonly #held: (net.Server | undefined)[] = [];
  readonly #asked = new Set<number>();
  #wanted = 0;
  held = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: SlotsLockOptions) {
    if (process.platform !== 'linux') throw new Error('slots can be locked on Linux only');
    this.#options = options;
    this.#name = createHash('sha256')
      .update(`${realPath(options.file)}\0${options.upstream}`)
      .digest('hex')
      .slice(0, 32);
  }

  /** Asks for so many slots, now and until they are there; gives back what is more than that and than `taken`. */
  want(slots: number, taken: number): void {
    this.#wanted = slots;
    this.trim(taken);
    this.#ask();
  }

  /** Gives back what is neither wanted nor taken. */
  trim(taken: number): void {
    const keep = Math.max(this.#wanted, taken);
    if (this.held <= keep) return;
    let changed = false;
    for (let range = this.#held.length - 1; range >= 0; range--) {
      const server = this.#held[range];
      if (server === undefined || this.held - sizeOf(range) < keep) continue;
      this.#held[range] = undefined;
      this.held -= sizeOf(range);
      server.close();
      changed = true;
    }
    if (changed) this.#options.changed(this.held);
  }

  /** Gives everything back. */
  close(): void {
    this.want(0, 0);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #ask(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.held >= this.#wanted) return;
    // All that lie below the number: whichever the other process gives back first is taken.
    for (let range = 0, from = 0; from < this.#wanted; from += sizeOf(range), range++) if (this.#held[range] === undefined) this.#take(range);
    this.#timer = setTimeout(() => this.#ask(), LOCK_EVERY_MS);
    this.#timer.unref();
  }

  #take(range: number): void {
    if (this.#asked.has(range)) return;
    this.#asked.add(range);
    const server = net.createServer((socket) => socket.destroy());
    server.once('error', () => this.#asked.delete(range));
    server.listen({ path: `\0windlass-slots-${this.#name}-${range}` }, () => {
      this.#asked.delete(range);
      if (this.held >= this.#wanted) {
        server.close();
        return;
      }
      this.#held[range] = server;
      this.held += sizeOf(range);
      this.#options.changed(this.held);
    });
    server.unref();
  }
}

/** Slots under one lock: single ones at first, then sixteen ranges per doubling, the same whatever the number of slots is. */
function sizeOf(range: number): number {
  return range < SINGLE_LOCKS ? 1 : (SINGLE_LOCKS / 16) * 2 ** Math.floor((range - SINGLE_LOCKS) / 16);
}

/** The path without links, as far as it exists. */
function realPath(file: string): string {
  const path = resolve(file);
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}
