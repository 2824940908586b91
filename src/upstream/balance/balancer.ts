import type { RequestHead } from '../../http/head.ts';
import type { Balance } from '../../schema/balance.ts';
import { Hash } from './hash.ts';
import { LeastConn } from './least-conn.ts';
import { RandomTwo } from './random-two.ts';
import { RoundRobin } from './round-robin.ts';
import { SpareCapacity } from './spare-capacity.ts';

/** Somebody who can be chosen. */
export interface Choice {
  readonly endpoint: { readonly id: string };
  /** May it get requests now? */
  readonly usable: boolean;
  /** Its share beside the others, over 0. */
  readonly share: number;
  /** Requests under way. */
  readonly inFlight: number;
  /** Scratch of the round robin, 0 at first. */
  current: number;
  /** How busy it says it is, 0 to 0.99; 0 where nobody asks. */
  readonly load: number;
  /** For consistent hashing: a hash of what it is known by. */
  readonly seed: number;
}

/** Chooses among equals. Nobody usable is ever overlooked: whoever can take the request is found, however many cannot. */
export interface Balancer {
  /** One of those that are usable, but for the endpoint of id `not`; null when there is none. */
  pick<T extends Choice>(among: readonly T[], head: RequestHead, not: string | undefined): T | null;
}

export function balancer(balance: Balance, random: () => number): Balancer {
  switch (balance.by) {
    case 'round_robin':
      return new RoundRobin();
    case 'least_conn':
      return new LeastConn(random);
    case 'random_two':
      return new RandomTwo(random);
    case 'spare_capacity':
      return new SpareCapacity(random);
    case 'hash':
      return new Hash(balance.key);
  }
}
