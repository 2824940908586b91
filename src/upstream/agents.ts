// HOT: pick() and changed() run per request.
import { Failure } from '../http/failure.ts';
import { fieldLine, type RequestHead } from '../http/head.ts';
import { SLIME_SCOPE } from '../http/names.ts';
import type { AgentIdentity, Session, SessionOwner } from '../tunnel/session.ts';
import { LANES, LOOKS, RETRY_AFTER_LOOKS, RETRY_AFTER_MAX_S, RETRY_AFTER_NO_AGENT_S, RETRY_AFTER_NO_SLOT_S, SERVICE_WEIGHT } from './limits.ts';
import { goesFirst, type Waiter, WaitingLine } from './queue.ts';
import type { Candidate, Upstream } from './upstream.ts';
import { WaitingBoard } from './waiting-board.ts';

export interface AgentPoolOptions {
  /** Requests that may wait at once, over all lanes. */
  readonly queueSize: number;
  readonly random?: () => number;
  /** Told of agents that come and go. `twin`: a session of another process with the same id, which lives on beside it. */
  joined?(session: Session, twin: Session | null): void;
  left?(session: Session, reason: string): void;
  /** Told when a request begins to wait that no connected agent may ever serve. */
  starved?(waiter: Waiter): void;
}

/** A place in the queue, for people to look at. */
export interface QueuePlace {
  readonly waiter: Waiter;
  /** What it asks for; '' is anything. */
  readonly scope: string;
  readonly path: string;
  /** When it is likely to get a slot, ms from now; null while no agent may serve it or none has served anything yet. */
  readonly estimatedWaitMs: number | null;
}

/** All agents of a hub as one upstream: who is there, who has a free slot, and who waits for one. */
export class AgentPool implements Upstream {
  readonly #options: AgentPoolOptions;
  readonly #random: () => number;
  readonly #members = new Map<Session, Member>();
  /** One lane per kind of request: all requests of a lane can be served by the same agents. */
  readonly #lanes = new Map<string, Lane>();
  /** The lane of requests that ask for nothing special: nearly all of them. */
  readonly #plain: Lane;
  /** How many agents name each path in their tokens. */
  readonly #scopedPaths = new Map<string, number>();
  waiting = 0;
  /** Where agents with several hubs learn who waits here. */
  readonly #board = new WaitingBoard();
  /** Time from dispatch to the end of the answer, smoothed, ms. */
  #serviceMs = 0;
  /** A session's stream gives a request back by itself. */
  readonly keepsHeads = false;

  constructor(options: AgentPoolOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#plain = this.#makeLane('', '');
  }

  get sessions(): IterableIterator<Session> {
    return this.#members.keys();
  }

  get size(): number {
    return this.#members.size;
  }

  /** A request was served in this time, ms: what Retry-After is reckoned from. */
  served(serviceMs: number): void {
    this.#serviceMs += this.#serviceMs === 0 ? serviceMs : (serviceMs - this.#serviceMs) * SERVICE_WEIGHT;
  }

  /** When a slot is likely to be free for one more, s: those who wait and one more, served by all slots at the pace of late. */
  get retryAfterS(): number {
    let slots = 0;
    let looked = 0;
    for (const session of this.#members.keys()) {
      slots += session.slots;
      if (++looked === RETRY_AFTER_LOOKS) break;
    }
    if (slots === 0) return RETRY_AFTER_NO_AGENT_S;
    slots *= this.#members.size / looked;
    const seconds = ((this.waiting + 1) * this.#serviceMs) / slots / 1000;
    return Math.min(RETRY_AFTER_MAX_S, Math.max(RETRY_AFTER_NO_SLOT_S, Math.ceil(seconds)));
  }

  /** Kinds of requests told apart now. */
  get lanes(): number {
    return this.#lanes.size;
  }

  /** Arrival number of the request that has waited longest; null when none waits. */
  get oldest(): Waiter | null {
    let oldest: Waiter | null = null;
    for (const lane of this.#lanes.values()) {
      const { first } = lane.line;
      if (first !== null && (oldest === null || goesFirst(first, oldest))) oldest = first;
    }
    return oldest;
  }

  /** Time that requests take of late, ms; 0 before the first. */
  get serviceMs(): number {
    return this.#serviceMs;
  }

  /**
   * The first `most` of those who wait, in the order in which slots go to them. The estimate takes everybody ahead to want the same agents, and all
   * their slots to be this hub's: it is too long where requests ask for different things, too short where other hubs have requests as well.
   */
  places(most: number): QueuePlace[] {
    const heads: { lane: Lane; next: Waiter; slots: number }[] = [];
    for (const lane of this.#lanes.values()) {
      if (lane.line.first === null) continue;
      let slots = 0;
      for (const member of this.#members.values()) if (lane.admits(member.session.agent)) slots += member.session.slots;
      heads.push({ lane, next: lane.line.first, slots });
    }
    const places: QueuePlace[] = [];
    while (heads.length > 0 && places.length < most) {
      let at = 0;
      for (let i = 1; i < heads.length; i++) if (goesFirst(heads[i]!.next, heads[at]!.next)) at = i;
      const head = heads[at]!;
      const { lane, next, slots } = head;
      const estimatedWaitMs = slots === 0 || this.#serviceMs === 0 ? null : ((places.length + 1) * this.#serviceMs) / slots;
      places.push({ waiter: next, scope: lane.scope, path: lane.path, estimatedWaitMs });
      if (next.behind === null) heads.splice(at, 1);
      else head.next = next.behind;
    }
    return places;
  }

  /** A session joins. The same process of the same agent again replaces its old session at once. */
  join(session: Session): void {
    let twin: Session | null = null;
    for (const [other] of this.#members) {
      if (other.agent.id !== session.agent.id || other === session) continue;
      if (other.agent.instance === session.agent.instance) other.close(new Failure('tunnel_lost', 'the same agent has connected anew'));
      else twin = other;
    }
    const member = new Member(this, session);
    this.#members.set(session, member);
    session.owner = member;
    for (const path of session.agent.scopePaths) this.#scopedPaths.set(path, (this.#scopedPaths.get(path) ?? 0) + 1);
    for (const lane of this.#lanes.values()) if (lane.admits(session.agent)) member.enter(lane);
    if (session.agent.scopePaths.length > 0) this.#sortAnew();
    this.#options.joined?.(session, twin);
    this.changed(member);
  }

  /** @internal */
  lost(member: Member, reason: string): void {
    const { session } = member;
    if (!this.#members.delete(session)) return;
    this.#board.remove(member);
    for (const lane of member.lanes) lane.forget(member);
    for (const path of session.agent.scopePaths) {
      const left = this.#scopedPaths.get(path)! - 1;
      if (left === 0) this.#scopedPaths.delete(path);
      else this.#scopedPaths.set(path, left);
    }
    this.#options.left?.(session, reason);
  }

  pick(head: RequestHead, not?: string): Candidate | null {
    const lane = this.#laneOf(head);
    // Whoever waits goes first: a newcomer never overtakes.
    if (lane.line.size > 0) return null;
    const { free } = lane;
    while (free.length > 0) {
      const n = free.length;
      if (n === 1) {
        const only = free[0]!;
        if (only.free > 0) return only.agentId === not ? null : only;
        lane.unlist(only);
        return null;
      }
      // Least loaded of a few, from a random start: exact for small pools, as good as exact for large ones.
      let best: Member | null = null;
      let bestLoad = Number.POSITIVE_INFINITY;
      let spared = false;
      const start = Math.floor(this.#random() * n);
      const looks = n < LOOKS ? n : LOOKS;
      for (let i = 0; i < looks; i++) {
        const member = free[(start + i) % n]!;
        const { session } = member;
        if (member.free <= 0) continue;
        if (member.agentId === not) {
          spared = true;
          continue;
        }
        const load = session.inFlight / session.slots;
        if (load < bestLoad) {
          best = member;
          bestLoad = load;
        }
      }
      if (best !== null || spared) return best;
      for (let i = free.length - 1; i >= 0; i--) if (free[i]!.free <= 0) lane.unlist(free[i]!);
    }
    return null;
  }

  lacking(head: RequestHead): Failure {
    const lane = this.#laneOf(head);
    if (lane.members > 0) return new Failure('no_free_slot', 'No available agent: every slot is taken', this.retryAfterS);
    const scope = head.value(SLIME_SCOPE);
    const why =
      this.#members.size === 0
        ? 'none is connected'
        : scope === ''
          ? 'none of those connected may serve this path'
          : 'none of those connected carries this scope';
    return new Failure('no_agent', `No available agent: ${why}`, RETRY_AFTER_NO_AGENT_S);
  }

  wait(waiter: Waiter): Failure | null {
    if (this.waiting >= this.#options.queueSize) return new Failure('queue_full', `${this.waiting} requests wait already`, this.retryAfterS);
    this.waiting++;
    const lane = this.#laneOf(waiter.head!);
    lane.line.add(waiter);
    this.#board.changed();
    if (lane.members === 0) this.#options.starved?.(waiter);
    return null;
  }

  leave(waiter: Waiter): void {
    if (waiter.line === null) return;
    waiter.line.remove(waiter);
    this.waiting--;
    this.#board.changed();
  }

  letGo(candidate: Candidate, wanted: boolean): boolean {
    const member = candidate as Member;
    member.kept--;
    if (wanted && member.free > 0) return true;
    this.changed(member);
    return false;
  }

  /** An agent's slots may have changed: whoever waited longest for what it can do goes first. @internal */
  changed(member: Member): void {
    const { session, lanes } = member;
    if (this.#members.get(session) !== member) return;
    if (session.shared === true) this.#board.add(member);
    else if (member.told) this.#board.remove(member);
    member.told = session.shared === true;
    if (this.waiting > 0) {
      while (member.free > 0) {
        let next: Waiter | null = null;
        for (let i = 0; i < lanes.length; i++) {
          const { first } = lanes[i]!.line;
          if (first !== null && (next === null || goesFirst(first, next))) next = first;
        }
        if (next === null) break;
        this.leave(next);
        if (!next.granted(member)) member.kept++;
      }
    }
    if (member.free > 0) for (let i = 0; i < lanes.length; i++) lanes[i]!.list(member, i);
  }

  #laneOf(head: RequestHead): Lane {
    const scope = head.has(SLIME_SCOPE) ? head.value(SLIME_SCOPE) : '';
    if (scope === '' && this.#scopedPaths.size === 0) return this.#plain;
    const path = this.#scopedPaths.size > 0 ? head.path : '';
    return this.#lane(scope, this.#scopedPaths.has(path) ? path : '');
  }

  #lane(scope: string, path: string): Lane {
    const lane = this.#lanes.get(`${scope}\0${path}`);
    if (lane !== undefined) return lane;
    if (this.#lanes.size >= LANES) this.#dropIdleLanes();
    return this.#makeLane(scope, path);
  }

  #makeLane(scope: string, path: string): Lane {
    const lane = new Lane(scope, path);
    this.#lanes.set(`${scope}\0${path}`, lane);
    for (const member of this.#members.values()) {
      if (!lane.admits(member.session.agent)) continue;
      member.enter(lane);
      if (member.free > 0) lane.list(member, member.lanes.length - 1);
    }
    return lane;
  }

  /** Scopes are the clients' words: lanes that nobody waits in must not pile up. */
  #dropIdleLanes(): void {
    for (const [key, lane] of this.#lanes) {
      if (lane === this.#plain || lane.line.size > 0) continue;
      this.#lanes.delete(key);
      for (const member of this.#members.values()) member.exit(lane);
    }
  }

  /** Paths have got a meaning that they did not have when these requests came: everybody takes the line that is right now. */
  #sortAnew(): void {
    const all: Waiter[] = [];
    for (const lane of this.#lanes.values()) {
      while (lane.line.first !== null) {
        all.push(lane.line.first);
        lane.line.remove(lane.line.first);
      }
    }
    for (const waiter of all) this.#laneOf(waiter.head!).line.add(waiter);
  }
}

/** A session in the pool. */
class Member implements Candidate, SessionOwner {
  readonly #pool: AgentPool;
  readonly session: Session;
  readonly endpoint: Session;
  readonly replyFields: string;
  readonly agentId: string;
  /** The agent counts its slots by itself. */
  readonly watch = null;
  readonly lanes: Lane[] = [];
  /** By lane: position in its list of those with a free slot, -1 when not in it. */
  readonly listed: number[] = [];
  /** Free slots that are kept for waiters who look whether their clients are still there. */
  kept = 0;
  /** Is it told who waits here? */
  told = false;

  constructor(pool: AgentPool, session: Session) {
    this.#pool = pool;
    this.session = session;
    this.endpoint = session;
    this.agentId = session.agent.id;
    this.replyFields = fieldLine('Slime-Agent-Id', session.agent.id);
  }

  /** Slots that a request may be sent to now. */
  get free(): number {
    return this.session.free - this.kept;
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
    lane.members++;
  }

  exit(lane: Lane): void {
    const at = this.lanes.indexOf(lane);
    if (at < 0) return;
    this.lanes.splice(at, 1);
    this.listed.splice(at, 1);
  }
}

/** Requests of one kind: who may serve them, who of those has a free slot, and who waits. */
class Lane {
  readonly scope: string;
  readonly path: string;
  readonly line = new WaitingLine();
  /** May hold members whose slots have gone since: pick() looks again. */
  readonly free: Member[] = [];
  members = 0;

  constructor(scope: string, path: string) {
    this.scope = scope;
    this.path = path;
  }

  admits(agent: AgentIdentity): boolean {
    return (this.scope === '' || agent.scopes.includes(this.scope)) && (agent.scopePaths.length === 0 || agent.scopePaths.includes(this.path));
  }

  /** `at`: where this lane stands among the member's. */
  list(member: Member, at: number): void {
    if (member.listed[at] !== -1) return;
    member.listed[at] = this.free.push(member) - 1;
  }

  unlist(member: Member): void {
    const at = member.lanes.indexOf(this);
    const place = member.listed[at]!;
    if (place < 0) return;
    member.listed[at] = -1;
    const last = this.free.pop()!;
    if (last === member) return;
    this.free[place] = last;
    last.listed[last.lanes.indexOf(this)] = place;
  }

  forget(member: Member): void {
    this.unlist(member);
    this.members--;
  }
}
