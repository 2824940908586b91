import type { Timed } from '../std/sweeper.ts';
import type { Loop } from '../std/loop.ts';
import type { Log } from '../observe/log.ts';

/** A turn of the event loop that takes this long is told of, ms: heartbeats survive three times that (fault 41). */
const LONG_MS = 1_000;
/** Between two lines, ms. */
const QUIET_MS = 10_000;

/** Says when the event loop was held up: everybody waits meanwhile, and a plugin or a starved machine is the usual reason. */
export class Watchdog implements Timed {
  due: number;
  place = -1;
  readonly #loop: Loop;
  readonly #log: Log;
  #lastMs: number;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(loop: Loop, log: Log) {
    this.#loop = loop;
    this.#log = log;
    this.due = this.#lastMs = loop.clock.now();
    loop.sweeper.add(this);
  }

  /** The sweeper calls it, every time. */
  expired(now: number): void {
    const heldMs = now - this.#lastMs;
    this.#lastMs = now;
    this.due = now;
    if (heldMs < LONG_MS || now - this.#toldMs < QUIET_MS) return;
    this.#toldMs = now;
    this.#log.warn(
      { ms: Math.round(heldMs) },
      'the event loop was held up: all requests waited. A plugin that reckons for long, or too little processor time, are the usual reasons',
    );
  }

  close(): void {
    this.#loop.sweeper.remove(this);
  }
}
