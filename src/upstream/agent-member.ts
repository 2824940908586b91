// HOT: free is asked for per request.
import type { Endpoint } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import { fieldLine } from '../http/head.ts';
import type { Session, SessionOwner } from '../tunnel/session.ts';
import { canOf } from './abilities.ts';
import type { AgentPool } from './agents.ts';
import type { Choice } from './balance/balancer.ts';
import { hashOf } from './balance/hash-key.ts';
import type { FairClass } from './fair-class.ts';
import type { Lane } from './lane.ts';
import { rankOf, type WaitingLine } from './queue.ts';
import type { ReportedLoad } from './reported-load.ts';
import type { AttemptWatch, Candidate } from './upstream.ts';

/** What a line has had of an agent, in the agent's virtual time. */
interface Account {
  had: number;
  /** Of the line: another one means that nobody waited there in between, and nothing is saved up by that. */
  era: number;
}

/** A session in the pool. */
export class AgentMember implements Candidate, Choice, SessionOwner, AttemptWatch {
  readonly #pool: AgentPool;
  readonly session: Session;
  /** Where its requests go: the session, unless somebody stands in front of it. */
  readonly endpoint: Endpoint;
  readonly replyFields: string;
  readonly agentId: string;
  /** Its own, and those that operators have given it. */
  labels: ReadonlyMap<string, string>;
  /** What selectors may ask of it. Kept by the pool. */
  facts: ReadonlySet<string>;
  /** Operators want it to get no new work. Kept by the pool. */
  isDrained = false;
  /** What its wire carries (abilities.ts). */
  readonly can: number;
  /** It counts what became of its requests. */
  readonly watch: AttemptWatch = this;
  /** Requests that ended without its fault, and those that it could not answer. */
  served = 0;
  failed = 0;
  /** Kept by the pool, while there is an upstream that balances by it. */
  loads: ReportedLoad | null = null;
  readonly lanes: Lane[] = [];
  /** By lane: position in its list of those with a free slot, -1 when not in it. */
  readonly listed: number[] = [];
  /** Those who wait for this agent and, for the time being, no other; null until there was one. */
  own: WaitingLine | null = null;
  /** What its lanes have had of it while somebody waited in them, and its own line. */
  readonly accounts: Account[] = [];
  readonly ownAccount: Account = { had: 0, era: 0 };
  /** Its virtual time: what the line served last has had. */
  #turn = 0;
  /** Free slots that are kept for waiters who look whether their clients are still there. */
  kept = 0;
  /** Is it told who waits here? */
  told = false;
  current = 0;
  readonly seed: number;

  constructor(pool: AgentPool, session: Session, labels: ReadonlyMap<string, string>, facts: ReadonlySet<string>) {
    this.#pool = pool;
    this.labels = labels;
    this.session = session;
    this.endpoint = pool.inFrontOf(session);
    this.facts = facts;
    this.can = canOf(session.abilities);
    this.agentId = session.agent.id;
    this.seed = hashOf(session.agent.id);
    this.replyFields = fieldLine('Slime-Agent-Id', session.agent.id);
  }

  /** Slots that a request may be sent to now. */
  get free(): number {
    return this.isDrained ? 0 : this.session.free - this.kept;
  }

  get usable(): boolean {
    return this.free > 0;
  }

  get load(): number {
    return this.loads === null ? 0 : this.loads.now;
  }

  get share(): number {
    return this.isDrained ? 0 : this.session.slots;
  }

  get inFlight(): number {
    return this.session.inFlight;
  }

  began(): void {}

  answered(): void {}

  ended(failure: Failure | null): void {
    if (failure === null) {
      this.served++;
      return;
    }
    this.#pool.ended(this.session, failure);
    // A request that it gave back at once goes to another: neither.
    if (failure.code !== 'refused' && failure.code !== 'tunnel_lost_unsent') this.failed++;
  }

  changed(): void {
    this.#pool.changed(this);
  }

  lost(_session: Session, reason: string): void {
    this.#pool.lost(this, reason);
  }

  /**
   * The line that its next slot goes to: the one with the best class. Of those the one that comes first by age if the same key is next in both, else
   * the one that has had least for the keys that wait in it: so a key's share of an agent does not depend on how many lines the others stand in.
   * @returns -1 for its own line, else the place of the lane; -2 when nobody waits. charge() it.
   */
  next(): number {
    const { lanes, own } = this;
    // Where there is one line nothing has to be reckoned, and there is one nearly everywhere.
    if (own === null && lanes.length === 1) return lanes[0]!.line.size > 0 ? 0 : -2;
    let best = -2;
    let bestTop: FairClass | null = null;
    let bestRank = 0;
    let bestDue = 0;
    for (let i = own === null ? 0 : -1; i < lanes.length; i++) {
      const line = i < 0 ? own! : lanes[i]!.line;
      if (line.size === 0) continue;
      const top = line.top!;
      const first = top.first!;
      const rank = rankOf(first);
      const due = this.#dueOf(i, line, top);
      if (bestTop !== null) {
        if (rank > bestRank) continue;
        if (rank === bestRank) {
          const other = bestTop.first!;
          const byAge = first.label.key === other.label.key || due === bestDue;
          if (byAge ? first.arrival > other.arrival : due > bestDue) continue;
        }
      }
      best = i;
      bestTop = top;
      bestRank = rank;
      bestDue = due;
    }
    return best;
  }

  /** When a line's next request is due, in the agent's virtual time. Who had a slot already and came back is due at once. */
  #dueOf(at: number, line: WaitingLine, top: FairClass): number {
    const account = at < 0 ? this.ownAccount : this.accounts[at]!;
    if (account.era !== line.era) {
      account.era = line.era;
      if (account.had < this.#turn) account.had = this.#turn;
    }
    return top.back !== null ? Number.NEGATIVE_INFINITY : account.had + 1 / top.weight;
  }

  /** The first of this line gets a slot. */
  charge(at: number): void {
    if (this.own === null && this.lanes.length === 1) return;
    const line = at < 0 ? this.own! : this.lanes[at]!.line;
    const top = line.top!;
    if (top.back !== null) return;
    const account = at < 0 ? this.ownAccount : this.accounts[at]!;
    account.had += 1 / top.weight;
    if (account.had > this.#turn) this.#turn = account.had;
  }

  enter(lane: Lane): void {
    this.lanes.push(lane);
    this.listed.push(-1);
    this.accounts.push({ had: this.#turn, era: 0 });
    lane.all.add(this);
  }

  /** Leaves all lanes. */
  leaveLanes(): void {
    for (const lane of this.lanes) lane.forget(this);
    this.lanes.length = this.listed.length = this.accounts.length = 0;
  }

  /** Leaves the lanes that have been dropped. */
  tidy(): void {
    let kept = 0;
    for (let i = 0; i < this.lanes.length; i++) {
      if (this.lanes[i]!.dropped) continue;
      this.lanes[kept] = this.lanes[i]!;
      this.accounts[kept] = this.accounts[i]!;
      this.listed[kept++] = this.listed[i]!;
    }
    this.lanes.length = this.listed.length = this.accounts.length = kept;
  }
}
