// HOT: pick() runs per request.
import type { RequestHead } from '../../http/head.ts';
import type { Balancer, Choice } from './balancer.ts';

/** Two different ones at random, by share; of these the less loaded. Nearly as even as the least loaded of all, without everybody rushing to the same one. */
export class RandomTwo implements Balancer {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  pick<T extends Choice>(among: readonly T[], _head: RequestHead, not: string | undefined): T | null {
    let shares = 0;
    for (let i = 0; i < among.length; i++) {
      const one = among[i]!;
      if (one.usable && (not === undefined || one.endpoint.id !== not)) shares += one.share;
    }
    const first = this.#draw(among, not, null, shares);
    if (first === null) return null;
    const second = this.#draw(among, not, first, shares - first.share);
    return second === null || first.inFlight / first.share <= second.inFlight / second.share ? first : second;
  }

  /** One by share, which is not `but`; `shares` is the sum over all that can be drawn. */
  #draw<T extends Choice>(among: readonly T[], not: string | undefined, but: T | null, shares: number): T | null {
    let left = this.#random() * shares;
    let last: T | null = null;
    for (let i = 0; i < among.length; i++) {
      const one = among[i]!;
      if (!one.usable || one === but || (not !== undefined && one.endpoint.id === not)) continue;
      last = one;
      left -= one.share;
      if (left < 0) return one;
    }
    // Where sums of fractions fall short by a hair, the last one.
    return last;
  }
}
