import type { Clock } from '../../std/clock.ts';
import type { Peer } from '../../http/head.ts';
import { slimeLimits } from './limits.ts';

/** A connection of an agent. */
export interface AgentLine {
  readonly peer: Peer;
  /** The connections of one token from one address: one agent, or several that cannot be told apart. */
  readonly group: LineGroup;
  /** Did the request on it say that the connection stays? */
  readonly stays: boolean;
}

export interface LineGroup {
  readonly key: string;
  readonly peers: Set<Peer>;
  /** When something was last heard from or sent to it, monotonic ms. */
  lastMs: number;
}

/** What a group without connections means: its agent is dead, or it may have let idle connections go. */
export type Verdict = 'dead' | 'quiet';

/**
 * The connections that agents of slime keep. Between a request and its answer such an agent says nothing, and there are no pings: that its connections
 * are closed is the one sign that it has died with the request.
 */
export class AgentLines {
  readonly #clock: Clock;
  readonly #groups = new Map<string, LineGroup>();
  readonly #over: (group: LineGroup, verdict: Verdict) => void;

  constructor(clock: Clock, over: (group: LineGroup, verdict: Verdict) => void) {
    this.#clock = clock;
    this.#over = over;
  }

  /** A request of a known agent came on this connection. */
  heard(peer: Peer, key: string, stays: boolean): AgentLine {
    let group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, (group = { key, peers: new Set(), lastMs: 0 }));
    group.lastMs = this.#clock.now();
    peer.patient = true;
    // A connection of several tokens belongs to the first: another group that never has a connection is never found dead.
    if (peer.over === null) {
      group.peers.add(peer);
      const mine = group;
      peer.over = (how) => this.#closed(mine, peer, how);
    }
    return { peer, group, stays };
  }

  get size(): number {
    return this.#groups.size;
  }

  #closed(group: LineGroup, peer: Peer, how: 'ours' | 'theirs' | 'lost'): void {
    group.peers.delete(peer);
    if (group.peers.size > 0) return;
    this.#groups.delete(group.key);
    const isSoon = this.#clock.now() - group.lastMs < slimeLimits.idleMs;
    this.#over(group, how === 'lost' || (how === 'theirs' && isSoon) ? 'dead' : 'quiet');
  }
}
