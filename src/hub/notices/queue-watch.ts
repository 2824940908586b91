import { noticeLimits } from './limits.ts';

/** Says when a queue has become long, and when it is short again: not at the first moment, and not again for a queue that hovers about its mark. */
export class QueueWatch {
  readonly #threshold: number;
  #isLong = false;
  /** Monotonic ms from which it has been otherwise; null = it has not. */
  #otherSinceMs: number | null = null;

  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** What it has become; null = nothing new. */
  look(waiting: number, nowMs: number): 'long' | 'short' | null {
    const isOther = this.#isLong ? waiting <= this.#threshold / 2 : waiting >= this.#threshold;
    if (!isOther) {
      this.#otherSinceMs = null;
      return null;
    }
    this.#otherSinceMs ??= nowMs;
    if (nowMs - this.#otherSinceMs < noticeLimits.queueMs) return null;
    this.#isLong = !this.#isLong;
    this.#otherSinceMs = null;
    return this.#isLong ? 'long' : 'short';
  }
}
