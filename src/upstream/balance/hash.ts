// HOT: pick() runs per request.
import type { RequestHead } from '../../http/head.ts';
import type { HashKey } from '../../schema/balance.ts';
import { HASH_ALWAYS, HASH_OVERLOAD } from '../limits.ts';
import type { Balancer, Choice } from './balancer.ts';
import { hashOf, keyReader, mix, type ReadKey } from './hash-key.ts';
import { RoundRobin } from './round-robin.ts';

/**
 * Consistent hashing with bounded load, by rendezvous: every endpoint has a score for every key, and the highest one that may be used gets it. So
 * an endpoint that leaves gives away its own keys only, to all others by share; one that comes takes its share from all. An endpoint with too
 * much in flight beside the others is passed over, so that one busy key costs one endpoint no more than it can bear. Requests without a key are
 * sent round.
 */
export class Hash implements Balancer {
  readonly #read: ReadKey;
  readonly #round = new RoundRobin();

  constructor(key: HashKey) {
    this.#read = keyReader(key);
  }

  pick<T extends Choice>(among: readonly T[], head: RequestHead, not: string | undefined): T | null {
    const key = this.#read(head);
    if (key === null || key === '') return this.#round.pick(among, head, not);
    let inFlight = 1;
    let shares = 0;
    for (let i = 0; i < among.length; i++) {
      const one = among[i]!;
      if (!one.usable || (not !== undefined && one.endpoint.id === not)) continue;
      inFlight += one.inFlight;
      shares += one.share;
    }
    const hash = hashOf(key);
    const bound = (inFlight * HASH_OVERLOAD) / shares;
    let best: T | null = null;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < among.length; i++) {
      const one = among[i]!;
      if (!one.usable || (not !== undefined && one.endpoint.id === not)) continue;
      // Of all endpoints together at least one is below its bound, since the bounds add up to more than there is.
      if (one.inFlight >= HASH_ALWAYS && one.inFlight >= bound * one.share) continue;
      const score = scoreOf(hash, one.seed, one.share);
      if (score > bestScore) {
        best = one;
        bestScore = score;
      }
    }
    return best;
  }
}

/** Logarithmic: the chance to have the highest score is the share, whoever else there is (weighted rendezvous hashing). */
export function scoreOf(hash: number, seed: number, share: number): number {
  const drawn = (mix(Math.imul(hash, 0x9e3779b1) ^ seed) + 0.5) / 4_294_967_296;
  return share / -Math.log(drawn);
}
