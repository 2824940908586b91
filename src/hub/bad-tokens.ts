import type { Clock } from '../std/clock.ts';

/** Bad tokens from one address that are each answered by what is wrong with them, per window. */
const TRIES = 10;
/** Length of the window, ms. */
const WINDOW_MS = 60_000;
/** Addresses that are remembered; the oldest make room. */
const ADDRESSES = 10_000;

interface Tries {
  count: number;
  untilMs: number;
}

/**
 * Counts bad tokens by address (threat row 33). Whoever goes on trying is told to wait, and is not worth a log line each time. A good token always
 * passes: many agents may share one address.
 */
export class BadTokens {
  readonly #clock: Clock;
  readonly #byAddress = new Map<string, Tries>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One more from there. @returns 0, or how long it is to wait, s */
  tried(address: string): number {
    const now = this.#clock.now();
    let tries = this.#byAddress.get(address);
    if (tries === undefined || tries.untilMs <= now) {
      this.#byAddress.delete(address);
      tries = { count: 0, untilMs: now + WINDOW_MS };
      this.#byAddress.set(address, tries);
      if (this.#byAddress.size > ADDRESSES) this.#byAddress.delete(this.#byAddress.keys().next().value!);
    }
    return ++tries.count > TRIES ? Math.ceil((tries.untilMs - now) / 1000) : 0;
  }
}
