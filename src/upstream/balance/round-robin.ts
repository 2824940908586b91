// HOT: pick() runs per request.
import type { RequestHead } from '../../http/head.ts';
import type { Balancer, Choice } from './balancer.ts';

/**
 * Smooth weighted round robin: each gets exactly its share of every round, and the turns of a heavy one are spread over the round instead of
 * coming in a row. (Everybody's account grows by his share; whoever has most is chosen and pays what all were given.)
 */
export class RoundRobin implements Balancer {
  pick<T extends Choice>(among: readonly T[], _head: RequestHead, not: string | undefined): T | null {
    let best: T | null = null;
    let given = 0;
    for (let i = 0; i < among.length; i++) {
      const one = among[i]!;
      if (!one.usable || (not !== undefined && one.endpoint.id === not)) continue;
      const { share } = one;
      given += share;
      one.current += share;
      if (best === null || one.current > best.current) best = one;
    }
    if (best !== null) best.current -= given;
    return best;
  }
}
