/** Times in ms, as a histogram of steps of 2 %: quantiles of millions for little memory. */
export class Spread {
  readonly #counts = new Map<number, number>();
  count = 0;
  max = 0;

  add(ms: number): void {
    const step = ms < 0.01 ? -1000 : Math.round(Math.log(ms) / Math.log(1.02));
    this.#counts.set(step, (this.#counts.get(step) ?? 0) + 1);
    this.count++;
    if (ms > this.max) this.max = ms;
  }

  quantile(share: number): number {
    let left = Math.ceil(this.count * share);
    for (const [step, count] of [...this.#counts].toSorted(([a], [b]) => a - b)) {
      left -= count;
      if (left <= 0) return step === -1000 ? 0 : Math.min(this.max, 1.02 ** step);
    }
    return this.max;
  }
}

/** 0 for nothing. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[Math.floor(sorted.length / 2)]!;
}
