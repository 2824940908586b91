// HOT: add and remove run per connection and per waiting request; the sweep runs ten times a second over all of them.
import type { Clock } from './clock.ts';

/** Something with a deadline. */
export interface Timed {
  /** Monotonic ms at which expired() is to be called; Infinity while there is no deadline. Change it freely: nothing is re-armed. */
  due: number;
  /** Position in the sweeper's list, -1 when absent; kept by Sweeper. */
  place: number;
  /** Called once per sweep while `due` has passed: move `due`, or leave the sweeper. */
  expired(now: number): void;
}

/** How late a deadline may fire, ms. One coarse sweep for all deadlines is far cheaper than a timer each. */
export const SWEEP_MS = 100;

export class Sweeper {
  readonly #clock: Clock;
  readonly #items: Timed[] = [];
  #timer: NodeJS.Timeout | null = null;
  /** Monotonic ms of the last sweep or read: at most SWEEP_MS old while anything is watched. */
  coarse: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.coarse = clock.now();
  }

  add(item: Timed): void {
    if (item.place >= 0) return;
    item.place = this.#items.push(item) - 1;
    if (this.#timer === null) {
      this.coarse = this.#clock.now();
      this.#timer = setInterval(() => this.sweep(), SWEEP_MS);
      this.#timer.unref();
    }
  }

  remove(item: Timed): void {
    const place = item.place;
    if (place < 0) return;
    item.place = -1;
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#items[place] = last;
      last.place = place;
    }
    if (this.#items.length === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  get size(): number {
    return this.#items.length;
  }

  /** Runs what is due. Backwards, so that an item may leave (and the last one take its place) without another being skipped. */
  sweep(): void {
    const now = this.#clock.now();
    this.coarse = now;
    for (let i = this.#items.length - 1; i >= 0; i--) {
      const item = this.#items[i];
      if (item !== undefined && item.due <= now) item.expired(now);
    }
  }
}
