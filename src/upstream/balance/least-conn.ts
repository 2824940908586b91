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
    let alike = 0;
    for (let i = 0; i < among.length; i++) {
      const one = among[i]!;
      if (!one.usable || (not !== undefined && one.endpoint.id === not)) continue;
      const load = one.inFlight / one.share;
      if (load < least) {
        best = one;
        least = load;
        alike = one.share;
      } else if (load === least) {
        // Each of those seen so far stays chosen with the chance of its share.
        alike += one.share;
        if (this.#random() * alike < one.share) best = one;
      }
    }
    return best;
  }
}
