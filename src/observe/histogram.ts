// HOT: observe() runs several times per request.

/** Upper bounds of the buckets of histograms, ascending; one more bucket counts what is above the last. Made once for all histograms that have them. */
export class Buckets {
  readonly bounds: Float64Array;
  /** By octave of a value in millionths: the first bucket that it may belong to. */
  readonly start = new Uint16Array(OCTAVES);

  constructor(bounds: readonly number[]) {
    this.bounds = Float64Array.from(bounds);
    let i = 0;
    for (let octave = 0; octave < OCTAVES; octave++) {
      while (i < bounds.length && bounds[i]! * MILLION < 2 ** octave) i++;
      this.start[octave] = i;
    }
  }
}

/** Spread of a value over fixed buckets. */
export class Histogram {
  readonly buckets: Buckets;
  readonly counts: Float64Array;
  /** One number, in an array so that adding to it allocates nothing. */
  readonly #sum = new Float64Array(1);

  constructor(buckets: Buckets) {
    this.buckets = buckets;
    this.counts = new Float64Array(buckets.bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds, start } = this.buckets;
    const millionths = value * MILLION;
    // Half a second is fifty buckets away from the first one, and two from where its octave begins.
    let i = millionths >= 1 ? start[31 - Math.clz32(millionths < HIGHEST ? millionths : HIGHEST)]! : 0;
    while (i < bounds.length && value > bounds[i]!) i++;
    this.counts[i]!++;
    this.#sum[0]! += value;
  }

  /** Counts all that another one of the same buckets has seen. */
  add(other: Histogram): void {
    const { counts } = other;
    for (let i = 0; i < counts.length; i++) this.counts[i]! += counts[i]!;
    this.#sum[0]! += other.sum;
  }

  get sum(): number {
    return this.#sum[0]!;
  }

  get count(): number {
    let count = 0;
    for (const one of this.counts) count += one;
    return count;
  }
}

/**
 * The value that this share of what was counted does not exceed, guessed evenly within its bucket; null when nothing was counted. What lies above the last
 * bound counts as the last bound.
 */
export function quantile(bounds: Float64Array, counts: Float64Array, share: number): number | null {
  let total = 0;
  for (const count of counts) total += count;
  if (total <= 0) return null;
  let left = total * share;
  for (let i = 0; i < bounds.length; i++) {
    const count = counts[i]!;
    if (count >= left && count > 0) {
      const from = i === 0 ? 0 : bounds[i - 1]!;
      return from + ((bounds[i]! - from) * left) / count;
    }
    left -= count;
  }
  return bounds.at(-1) ?? null;
}

const OCTAVES = 32;
const MILLION = 1e6;
const HIGHEST = 2 ** 32 - 1;
