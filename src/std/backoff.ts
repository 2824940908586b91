/**
 * Exponential backoff with full jitter: the n-th wait is uniform in [0, min(capMs, baseMs * 2^n)).
 * Full jitter spreads a thousand clients that lost the same server at the same instant.
 */
export class Backoff {
  readonly #baseMs: number;
  readonly #capMs: number;
  readonly #random: () => number;
  #tries = 0;

  constructor(baseMs: number, capMs: number, random: () => number = Math.random) {
    this.#baseMs = baseMs;
    this.#capMs = capMs;
    this.#random = random;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const ceiling = Math.min(this.#capMs, this.#baseMs * 2 ** Math.min(this.#tries++, 30));
    return this.#random() * ceiling;
  }

  reset(): void {
    this.#tries = 0;
  }
}
