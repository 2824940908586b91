import type { HttpLimits } from '../limits.ts';

/** Over how long control frames and overhead are counted, ms. */
const WINDOW_MS = 10_000;

/** Counts what a client of HTTP/2 does that is no request: a little of it is the protocol, much of it an attack (threat row 53). */
export class H2Meter {
  readonly #limits: HttpLimits;
  /** Resets that are still allowed. */
  #resets: number;
  #resetMs: number;
  #controls = 0;
  #windowMs: number;
  /** Overhead that has not leaked away yet, bytes. */
  #overhead = 0;
  #overheadMs: number;

  constructor(limits: HttpLimits, now: number) {
    this.#limits = limits;
    this.#resets = limits.h2ResetBurst;
    this.#resetMs = this.#windowMs = this.#overheadMs = now;
  }

  /** A stream was reset, by the client or for its fault. @returns false when that was one too many */
  reset(now: number): boolean {
    const { h2ResetBurst, h2ResetsPerSecond } = this.#limits;
    this.#resets = Math.min(h2ResetBurst, this.#resets + ((now - this.#resetMs) / 1000) * h2ResetsPerSecond);
    this.#resetMs = now;
    return --this.#resets >= 0;
  }

  /** A PING, SETTINGS or PRIORITY came. @returns false when that was one too many */
  control(now: number): boolean {
    if (now - this.#windowMs >= WINDOW_MS) {
      this.#windowMs = now;
      this.#controls = 0;
    }
    return ++this.#controls <= this.#limits.h2ControlFrames;
  }

  /** So many more bytes have come that belong to no request. @returns false when they come too fast */
  overhead(bytes: number, now: number): boolean {
    const { h2OverheadBytes } = this.#limits;
    this.#overhead = Math.max(0, this.#overhead + bytes - ((now - this.#overheadMs) / WINDOW_MS) * h2OverheadBytes);
    this.#overheadMs = now;
    return this.#overhead <= h2OverheadBytes;
  }
}
