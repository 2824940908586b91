// HOT: pick() runs per request.
import type { RequestHead } from '../../http/head.ts';
import type { Balancer, Choice } from './balancer.ts';

/** The one with the fewest requests under way for its share; among those that are alike at random, by share. */
export class LeastConn implements Balancer {
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
      const load = one.inFlight / one.share;
      if (load > least) continue;
      if (load < least) {
        least = load;
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
      if (!one.usable || one.inFlight / one.share !== least || (not !== undefined && one.endpoint.id === not)) continue;
      left -= one.share;
      if (left < 0) return one;
    }
    // Where sums of fractions fall short by a hair, the last one.
    return best;
  }
}
