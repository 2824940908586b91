// HOT: pick() runs per request.
import type { RequestHead } from '../../http/head.ts';
import type { Balancer, Choice } from './balancer.ts';

/**
 * The one whose spare capacity the request would take the smallest part of: (requests under way + 1) ÷ (share × (1 − load)). So calls that run at once
 * are spread in proportion to what is spare. Among those that are alike at random, by share.
 */
export class SpareCapacity implements Balancer {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  pick<T extends Choice>(among: readonly T[], _head: RequestHead, not: string | undefined): T | null {
    let best: T | null = null;
    let least = Number.POSITIVE_INFINITY;
    /** Shares of those that are alike, added up, and how many they are. */
    let shares = 0;
    let alike = 0;
    for (let i = 0; i < among.length; i++) {
      const one = among[i]!;
      if (!one.usable || (not !== undefined && one.endpoint.id === not)) continue;
      const part = partOf(one);
      if (part > least) continue;
      if (part < least) {
        least = part;
        shares = alike = 0;
      }
      best = one;
      shares += one.share;
      alike++;
    }
    if (alike < 2) return best;
    let left = this.#random() * shares;
    for (let i = 0; i < among.length; i++) {
      const one = among[i]!;
      if (!one.usable || (not !== undefined && one.endpoint.id === not) || partOf(one) !== least) continue;
      left -= one.share;
      if (left < 0) return one;
    }
    // Where sums of fractions fall short by a hair, or a report has just grown old, the last one.
    return best;
  }
}

/** What part of its spare capacity one more request would take. */
function partOf(one: Choice): number {
  return (one.inFlight + 1) / (one.share * (1 - one.load));
}
