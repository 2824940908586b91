// HOT: pick() runs per request.
import type { OnAbort } from '../http/client-h1.ts';
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import { SLIME_SCOPE } from '../http/names.ts';
import { type Balance, balance as balanceKind } from '../schema/balance.ts';
import { isFixed, type Selector } from '../schema/selector.ts';
import type { AgentMember } from './agent-member.ts';
import type { AgentPool } from './agents.ts';
import type { AgentUpstreamSettings } from './agents-section.ts';
import { type Balancer, balancer } from './balance/balancer.ts';
import { scoreOf } from './balance/hash.ts';
import { hashOf, keyReader, type ReadKey } from './balance/hash-key.ts';
import type { Lane } from './lane.ts';
import {
  AFFINITY_SHARE,
  LOOKS,
  RETRY_AFTER_LOOKS,
  RETRY_AFTER_MAX_S,
  RETRY_AFTER_NO_AGENT_S,
  RETRY_AFTER_NO_SLOT_S,
  SERVICE_WEIGHT,
} from './limits.ts';
import { patienceOf } from './patience.ts';
import type { Waiter } from './queue.ts';
import { bind } from './selector.ts';
import type { Candidate, Captures, Place, QueueRoom, Upstream } from './upstream.ts';

export interface AgentSelectionOptions {
  readonly name: string;
  readonly selector: Selector;
  readonly balance: Balance;
  /** With a hash: how long a request waits for its own agent alone, ms. */
  readonly affinityWaitMs: number;
  /** Requests that may wait here at once, and bytes of their bodies. */
  readonly queueSize: number;
  readonly queueBytes: number;
  /** How long a request waits, ms: when it does not say, and at most. */
  readonly queueTimeoutMs: number;
  readonly blockTimeoutMs: number;
  readonly fullStatus: 503 | 429;
  readonly onAbort: OnAbort | null;
  /** Told when a request begins to wait that no connected agent may ever serve. */
  starved?(waiter: Waiter): void;
}

/** What the settings of an upstream of agents amount to. */
export function selectionOptions(of: AgentUpstreamSettings): AgentSelectionOptions {
  return {
    name: of.name,
    selector: of.agents,
    balance: of.algo,
    affinityWaitMs: of.affinityWait,
    queueSize: of.queue,
    queueBytes: of.queueBytes,
    queueTimeoutMs: of.queueTimeout,
    blockTimeoutMs: of.blockTimeout,
    fullStatus: of.queueFullStatus,
    onAbort: of.onAbort,
  };
}

/** Some of a hub's agents as an upstream: a view of the one pool, with its own way to choose and its own bounds. */
export class AgentSelection implements Upstream {
  readonly #pool: AgentPool;
  readonly #options: AgentSelectionOptions;
  readonly name: string;
  /** Stands in the keys of its lanes. */
  readonly id: number;
  readonly queueRoom: QueueRoom;
  readonly onAbort: OnAbort | null;
  /** A session's stream gives a request back by itself. */
  readonly keepsHeads = false;
  waiting = 0;
  isClosed = false;
  /** Does it choose by how busy agents say that they are? */
  readonly asksLoad: boolean;
  /** Time from dispatch to the end of the answer, smoothed, ms. */
  #serviceMs = 0;
  /** What is asked of its agents, when that is the same for all requests. */
  readonly #facts: readonly string[] | null;
  readonly #factsKey: string;
  /** The lane of requests that ask for nothing beside; null when each request asks for something. */
  readonly plain: Lane | null;
  /** Its agents are known without ever having been here. */
  readonly #isKnown: boolean;
  /** Null: the least loaded, or a hash. */
  readonly #balancer: Balancer | null;
  readonly #readKey: ReadKey | null;

  /** @internal Made by `AgentPool.select()`. */
  constructor(pool: AgentPool, id: number, options: AgentSelectionOptions) {
    this.#pool = pool;
    this.#options = options;
    this.id = id;
    this.name = options.name;
    this.queueRoom = { bytes: 0, maxBytes: options.queueBytes, fullStatus: options.fullStatus };
    this.onAbort = options.onAbort;
    this.asksLoad = options.balance.by === 'spare_capacity';
    const { selector, balance } = options;
    const fixed = isFixed(selector);
    this.#facts = fixed ? bind(selector, null) : null;
    this.#factsKey = fixed ? keyOf(this.#facts!) : '';
    this.#isKnown = fixed && (this.#facts!.length === 0 || options.starved !== undefined);
    this.#readKey = balance.by === 'hash' ? keyReader(balance.key) : null;
    this.#balancer = balance.by === 'least_conn' || balance.by === 'hash' ? null : balancer(balance, pool.random);
    this.plain = fixed ? pool.plainLane(this, this.#facts!, this.#factsKey) : null;
  }

  pick(head: RequestHead, not?: string, captures: Captures = null): Candidate | null {
    const lane = this.#laneOf(head, captures);
    // Whoever waits goes first: a newcomer never overtakes.
    if (lane === null || lane.line.size > 0) return null;
    if (this.#readKey === null) return this.choose(lane, head, not);
    const own = this.#ownerOf(lane, head);
    if (own !== null && own.agentId !== not) {
      if (own.free > 0) return own;
      if (not === undefined && this.#mayPrefer(head) > 0) return null;
    }
    return this.choose(lane, head, not);
  }

  lacking(head: RequestHead, captures: Captures = null): Failure {
    const lane = this.#laneOf(head, captures);
    if (lane === null) return this.#unknown();
    if (this.#pool.areDrained(lane.all))
      return new Failure('taken_out', 'No available agent: operators have drained all that may serve this', RETRY_AFTER_NO_AGENT_S);
    if (lane.all.size > 0) return new Failure('no_free_slot', 'No available agent: every slot is taken', this.retryAfterS(lane));
    if (this.#isUnable(lane)) return UNABLE;
    if (this.#isUnknown(lane)) return this.#unknown();
    const scope = head.value(SLIME_SCOPE);
    const why =
      this.#pool.size === 0
        ? 'none is connected'
        : lane.facts.length > 0 && !this.#pool.hasAny(lane.facts)
          ? `none that matches ${this.#options.selector.text} is connected`
          : scope === ''
            ? 'none of those connected may serve this path'
            : 'none of those connected carries this scope';
    return new Failure('no_agent', `No available agent: ${why}`, RETRY_AFTER_NO_AGENT_S);
  }

  wait(waiter: Waiter): Failure | null {
    const head = waiter.head!;
    const lane = this.#laneOf(head, waiter.captures);
    if (lane === null || this.#isUnknown(lane)) return this.#unknown();
    if (this.#isUnable(lane)) return UNABLE;
    if (this.waiting >= this.#options.queueSize || this.#pool.waiting >= this.#pool.queueSize) return this.full(lane);
    const { most, key } = waiter.label;
    if (most !== Number.POSITIVE_INFINITY && this.#pool.waitingOf(key) >= most)
      return new Failure('queue_full', `${most} requests of this client wait already`, this.retryAfterS(lane), 429);
    this.waiting++;
    const preferMs = this.#readKey === null ? 0 : this.#mayPrefer(head);
    const own = preferMs > 0 ? this.#ownerOf(lane, head) : null;
    // Its own agent has a free slot when it comes from one that was kept for it: then it waits like all others, and gets it when its turn comes.
    this.#pool.queue(waiter, lane, own !== null && own.free <= 0 ? own : null, preferMs);
    if (lane.all.size === 0) this.#options.starved?.(waiter);
    return null;
  }

  leave(waiter: Waiter): void {
    this.#pool.leave(waiter, this);
  }

  letGo(candidate: Candidate, wanted: boolean): boolean {
    return this.#pool.letGo(candidate, wanted);
  }

  patienceMs(head: RequestHead): number {
    return patienceOf(head, this.#options.queueTimeoutMs, this.#options.blockTimeoutMs);
  }

  served(serviceMs: number): void {
    this.#serviceMs += this.#serviceMs === 0 ? serviceMs : (serviceMs - this.#serviceMs) * SERVICE_WEIGHT;
    this.#pool.served(serviceMs);
  }

  /** Is anybody connected who takes its requests, or some of them where each request asks for agents of its own? */
  get hasWorkers(): boolean {
    return this.#pool.hasWorkers(this.facts);
  }

  /** Which agents it selects, and how it chooses among them, as they are written. */
  get selector(): string {
    return this.#options.selector.text;
  }

  get algorithm(): string {
    return balanceKind().format(this.#options.balance);
  }

  /** What is asked of all its agents; nothing where each request asks for others. */
  get facts(): readonly string[] {
    return this.#facts ?? [];
  }

  /** Nobody will ask it anything new. What waits is served, and requests that began before are as well. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#pool.retire(this);
  }

  placeOf(waiter: Waiter): Place | null {
    const position = waiter.line?.placeOf(waiter, this.#pool.nowMs) ?? null;
    if (position === null) return null;
    const lane = this.#laneOf(waiter.head!, waiter.captures);
    const slots = lane === null ? 0 : slotsOf(lane);
    const ms = this.#paceMs;
    return { position, estimatedWaitMs: slots === 0 || ms === 0 ? null : (position * ms) / slots };
  }

  /** When a slot is likely to be free for one more, s: those who wait and one more, served by all slots of these agents at the pace of late. */
  retryAfterS(lane: Lane): number {
    const slots = slotsOf(lane);
    if (slots === 0) return RETRY_AFTER_NO_AGENT_S;
    const seconds = ((this.waiting + 1) * this.#paceMs) / slots / 1000;
    return Math.min(RETRY_AFTER_MAX_S, Math.max(RETRY_AFTER_NO_SLOT_S, Math.ceil(seconds)));
  }

  /** Time that requests take of late, ms; 0 before the first. */
  get #paceMs(): number {
    return this.#serviceMs === 0 ? this.#pool.serviceMs : this.#serviceMs;
  }

  /** @internal Why one more may not wait. */
  full(lane: Lane): Failure {
    const waiting = Math.max(this.waiting, this.#pool.waiting);
    return new Failure('queue_full', `${waiting} requests wait already`, this.retryAfterS(lane), this.#options.fullStatus);
  }

  /** @internal One of the lane that has a free slot; null when none has. */
  choose(lane: Lane, head: RequestHead, not?: string): AgentMember | null {
    const { free } = lane;
    while (free.length > 0) {
      const n = free.length;
      if (n === 1) {
        const only = free[0]!;
        if (only.free > 0) return only.agentId === not ? null : only;
        lane.unlist(only);
        return null;
      }
      const best = this.#balancer === null ? this.#leastLoaded(free, not) : this.#balancer.pick(free, head, not);
      if (best !== null) return best;
      for (let i = n - 1; i >= 0; i--) if (free[i]!.free <= 0) lane.unlist(free[i]!);
      // All that are left have a free slot, and are not wanted.
      if (free.length === n) return null;
    }
    return null;
  }

  /** Least loaded of a few, from a random start: exact for small pools, as good as exact for large ones. */
  #leastLoaded(free: readonly AgentMember[], not: string | undefined): AgentMember | null {
    const n = free.length;
    let best: AgentMember | null = null;
    let bestLoad = Number.POSITIVE_INFINITY;
    const start = Math.floor(this.#pool.random() * n);
    const looks = n < LOOKS ? n : LOOKS;
    for (let i = 0; i < looks; i++) {
      const member = free[(start + i) % n]!;
      const { session } = member;
      if (member.free <= 0 || member.agentId === not) continue;
      const load = session.inFlight / session.slots;
      if (load < bestLoad) {
        best = member;
        bestLoad = load;
      }
    }
    return best;
  }

  /**
   * The agent that a request's key belongs to, free or not, by weighted rendezvous hashing: an agent that leaves gives away its own keys only. Of
   * several sessions of one agent the one with a free slot. Null when the request has no key.
   */
  #ownerOf(lane: Lane, head: RequestHead): AgentMember | null {
    const key = this.#readKey!(head);
    if (key === null || key === '') return null;
    const hash = hashOf(key);
    let best: AgentMember | null = null;
    let bestScore = 0;
    for (const member of lane.all) {
      const { share } = member;
      if (share === 0) continue;
      const score = scoreOf(hash, member.seed, share);
      if (score > bestScore || (score === bestScore && best !== null && best.free <= 0)) {
        best = member;
        bestScore = score;
      }
    }
    return best;
  }

  /** How long this request may wait for its own agent alone, ms: not so long that no time is left for the others. */
  #mayPrefer(head: RequestHead): number {
    return Math.min(this.#options.affinityWaitMs, this.patienceMs(head) * AFFINITY_SHARE);
  }

  /** Null when those that are asked for are not known. */
  #laneOf(head: RequestHead, captures: Captures): Lane | null {
    if (this.#facts !== null) return this.#pool.lane(this, this.#facts, this.#factsKey, head);
    const { selector } = this.#options;
    const facts = bind(selector, captures);
    if (facts === null) return null;
    if (selector.announced) {
      const announced = this.#pool.roster.announced(head.authority, head.path);
      if (announced === null) return null;
      facts.push(announced);
    }
    const key = keyOf(facts);
    const there = this.#pool.laneThere(this, key, head);
    if (there !== null && there.all.size > 0) return there;
    // Clients must not be able to make lanes by words that mean nothing.
    return this.#pool.roster.knows(facts) ? (there ?? this.#pool.lane(this, facts, key, head)) : null;
  }

  #isUnknown(lane: Lane): boolean {
    return !this.#isKnown && lane.all.size === 0 && !this.#pool.mayReturn && !this.#pool.roster.knows(lane.facts);
  }

  /** Those who are there come by wires that cannot carry what the request needs. */
  #isUnable({ needs, all, facts }: Lane): boolean {
    return needs !== 0 && all.size === 0 && this.#pool.hasAny(facts);
  }

  #unknown(): Failure {
    const { text } = this.#options.selector;
    if (this.#pool.mayReturn) return new Failure('no_agent', `No available agent: none that matches ${text} has come yet`, RETRY_AFTER_NO_AGENT_S);
    return new Failure('unknown_agent', `no agent is known that matches ${text}`);
  }
}

const UNABLE = new Failure('not_implemented', 'the agents here are connected in a way that carries no protocol changes and no trailers (gRPC)');

function keyOf(facts: readonly string[]): string {
  return facts.length === 0 ? '' : facts.join('\n');
}

/** Slots of all agents of a lane, reckoned from some of them where there are many. */
function slotsOf({ all }: Lane): number {
  let slots = 0;
  let looked = 0;
  for (const { share } of all) {
    slots += share;
    if (++looked === RETRY_AFTER_LOOKS) break;
  }
  return looked === 0 ? 0 : (slots * all.size) / looked;
}
