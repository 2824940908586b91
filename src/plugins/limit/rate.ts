// HOT: take() runs per request.
import { EXACT, PARTS } from './limits.ts';

/** How much somebody has asked lately. */
export interface Rate {
  /** May one more begin now? Then it is counted. @returns 0, or how long it must wait, ms */
  take(nowMs: number): number;
  /** Requests that may begin at once. */
  left(nowMs: number): number;
  /** When there is room for all again at the latest, ms from now. */
  resetMs(nowMs: number): number;
}

/**
 * Never more than `max` requests in any interval, wherever it begins. Up to 128 the times of all of them are kept, and there is room again exactly an
 * interval after each; above, requests within a 126th of the interval are remembered at the time of their last, so that room comes back that much late.
 */
export class SlidingWindow implements Rate {
  readonly #max: number;
  readonly #intervalMs: number;
  /** Requests this near to the first of a group belong to it, ms; 0 = each is its own group. */
  readonly #spanMs: number;
  /** Rings, grown as needed: when the last of a group began, and how many there are (null: one each). */
  #times = new Float64Array(2);
  #counts: Uint32Array | null;
  #first = 0;
  #groups = 0;
  #used = 0;
  #groupSinceMs = 0;

  constructor(max: number, intervalMs: number) {
    this.#max = max;
    this.#intervalMs = intervalMs;
    this.#spanMs = max <= EXACT ? 0 : intervalMs / PARTS;
    this.#counts = max <= EXACT ? null : new Uint32Array(2);
  }

  take(nowMs: number): number {
    this.#forget(nowMs);
    if (this.#used >= this.#max) return this.#times[this.#first]! + this.#intervalMs - nowMs;
    this.#used++;
    const counts = this.#counts;
    if (counts !== null && this.#groups > 0 && nowMs - this.#groupSinceMs < this.#spanMs) {
      const last = (this.#first + this.#groups - 1) & (this.#times.length - 1);
      this.#times[last] = nowMs;
      counts[last]!++;
      return 0;
    }
    if (this.#groups === this.#times.length) this.#grow();
    const next = (this.#first + this.#groups) & (this.#times.length - 1);
    this.#times[next] = nowMs;
    if (this.#counts !== null) this.#counts[next] = 1;
    this.#groupSinceMs = nowMs;
    this.#groups++;
    return 0;
  }

  left(nowMs: number): number {
    this.#forget(nowMs);
    return this.#max - this.#used;
  }

  resetMs(nowMs: number): number {
    this.#forget(nowMs);
    if (this.#groups === 0) return 0;
    return this.#times[(this.#first + this.#groups - 1) & (this.#times.length - 1)]! + this.#intervalMs - nowMs;
  }

  #forget(nowMs: number): void {
    const times = this.#times;
    while (this.#groups > 0 && times[this.#first]! + this.#intervalMs <= nowMs) {
      this.#used -= this.#counts === null ? 1 : this.#counts[this.#first]!;
      this.#first = (this.#first + 1) & (times.length - 1);
      this.#groups--;
    }
  }

  #grow(): void {
    const size = this.#times.length;
    const times = new Float64Array(size * 2);
    const counts = this.#counts === null ? null : new Uint32Array(size * 2);
    for (let i = 0; i < size; i++) {
      const from = (this.#first + i) & (size - 1);
      times[i] = this.#times[from]!;
      if (counts !== null) counts[i] = this.#counts![from]!;
    }
    this.#times = times;
    this.#counts = counts;
    this.#first = 0;
  }
}

/** A bucket of `max` tokens that fills again within the interval: bursts pass, and then a steady stream. Up to twice `max` may fall into one interval. */
export class TokenBucket implements Rate {
  readonly #max: number;
  readonly #tokenMs: number;
  /** When it will be full again, monotonic ms: all there is to remember (GCRA). */
  #fullAtMs = 0;

  constructor(max: number, intervalMs: number) {
    this.#max = max;
    this.#tokenMs = intervalMs / max;
  }

  take(nowMs: number): number {
    const fullAtMs = (this.#fullAtMs > nowMs ? this.#fullAtMs : nowMs) + this.#tokenMs;
    // A thousandth of a token, so that rounding does not refuse the last one.
    const missingMs = fullAtMs - nowMs - this.#tokenMs * (this.#max + 0.001);
    if (missingMs > 0) return missingMs;
    this.#fullAtMs = fullAtMs;
    return 0;
  }

  left(nowMs: number): number {
    return Math.max(0, Math.floor(this.#max + 0.001 - this.resetMs(nowMs) / this.#tokenMs));
  }

  resetMs(nowMs: number): number {
    return Math.max(0, this.#fullAtMs - nowMs);
  }
}
