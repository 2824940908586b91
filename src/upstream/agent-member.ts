// HOT: free is asked for per request.
import { fieldLine } from '../http/head.ts';
import type { Session, SessionOwner } from '../tunnel/session.ts';
import type { AgentPool } from './agents.ts';
import type { Choice } from './balance/balancer.ts';
import { hashOf } from './balance/hash-key.ts';
import type { Lane } from './lane.ts';
import type { WaitingLine } from './queue.ts';
import type { Candidate } from './upstream.ts';

/** A session in the pool. */
export class AgentMember implements Candidate, Choice, SessionOwner {
  readonly #pool: AgentPool;
  readonly session: Session;
  readonly endpoint: Session;
  readonly replyFields: string;
  readonly agentId: string;
  /** What selectors may ask of it. */
  readonly facts: ReadonlySet<string>;
  /** The agent counts its slots by itself. */
  readonly watch = null;
  readonly lanes: Lane[] = [];
  /** By lane: position in its list of those with a free slot, -1 when not in it. */
  readonly listed: number[] = [];
  /** Those who wait for this agent and, for the time being, no other; null until there was one. */
  own: WaitingLine | null = null;
  /** Free slots that are kept for waiters who look whether their clients are still there. */
  kept = 0;
  /** Is it told who waits here? */
  told = false;
  current = 0;
  readonly seed: number;

  constructor(pool: AgentPool, session: Session, facts: ReadonlySet<string>) {
    this.#pool = pool;
    this.session = session;
    this.endpoint = session;
    this.facts = facts;
    this.agentId = session.agent.id;
    this.seed = hashOf(session.agent.id);
    this.replyFields = fieldLine('Slime-Agent-Id', session.agent.id);
  }

  /** Slots that a request may be sent to now. */
  get free(): number {
    return this.session.free - this.kept;
  }

  get usable(): boolean {
    return this.free > 0;
  }

  get share(): number {
    return this.session.slots;
  }

  get inFlight(): number {
    return this.session.inFlight;
  }

  changed(): void {
    this.#pool.changed(this);
  }

  lost(_session: Session, reason: string): void {
    this.#pool.lost(this, reason);
  }

  enter(lane: Lane): void {
    this.lanes.push(lane);
    this.listed.push(-1);
    lane.all.add(this);
  }

  /** Leaves the lanes that have been dropped. */
  tidy(): void {
    let kept = 0;
    for (let i = 0; i < this.lanes.length; i++) {
      if (this.lanes[i]!.dropped) continue;
      this.lanes[kept] = this.lanes[i]!;
      this.listed[kept++] = this.listed[i]!;
    }
    this.lanes.length = this.listed.length = kept;
  }
}
