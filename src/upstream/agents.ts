// HOT: changed() runs per request.
import { type Clock, systemClock } from '../std/clock.ts';
import { keyedDigest } from '../std/keyed-digest.ts';
import type { Endpoint } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import { SLIME_SCOPE } from '../http/names.ts';
import { parseSelector } from '../schema/selector.ts';
import { labelItems } from '../tunnel/labels.ts';
import type { AgentIdentity, Session } from '../tunnel/session.ts';
import { ABLE, needsOf } from './abilities.ts';
import { Affinity, type Preference } from './affinity.ts';
import { AgentMember } from './agent-member.ts';
import { type AgentOrders, ordered } from './agent-orders.ts';
import { AgentSelection, type AgentSelectionOptions } from './agent-selection.ts';
import { Lane } from './lane.ts';
import { KNOWN_FOR_MS, LANES, RETURN_MS, SERVICE_WEIGHT } from './limits.ts';
import { PLAIN, USUAL_CLASS } from './label.ts';
import { goesFirst, type Waiter } from './queue.ts';
import { ReportedLoad } from './reported-load.ts';
import { Roster } from './roster.ts';
import { labelFact } from './selector.ts';
import type { Candidate, Captures, Upstream } from './upstream.ts';
import { WaitingBoard } from './waiting-board.ts';

export interface AgentPoolOptions {
  /** Requests that may wait at once, over all upstreams. */
  readonly queueSize: number;
  readonly random?: () => number;
  readonly clock?: Clock;
  /** How long an agent that has left counts as away and not as unknown, ms. */
  readonly knownForMs?: number;
  /** Told of agents that come and go. `twin`: a session of another process with the same id, which lives on beside it. */
  joined?(session: Session, twin: Session | null): void;
  left?(session: Session, reason: string, member: AgentMember): void;
  /** What operators have said of an agent; null = nothing. Asked when it joins and at obey(). */
  readonly orders?: (agent: AgentIdentity) => AgentOrders | null;
  /** Told when a request begins to wait that no connected agent may ever serve. */
  starved?(waiter: Waiter): void;
  /** Stands in front of a session, and sees all that goes through; its id must be the session's. Absent: nobody. */
  readonly watch?: (session: Session) => Endpoint;
}

/** A place in the queue, for people to look at. */
export interface QueuePlace {
  readonly waiter: Waiter;
  /** The upstream that it waits at; '' when there is only one. */
  readonly upstream: string;
  /** Whose share it takes; a digest where the key may be an address or a secret, the same as long as the pool lives. */
  readonly key: string;
  /** What it asks for; '' is anything. */
  readonly scope: string;
  readonly path: string;
  /** When it is likely to get a slot, ms from now; null while no agent may serve it or none has served anything yet. */
  readonly estimatedWaitMs: number | null;
}

/**
 * All agents of a hub: who is there, who has a free slot, and who waits for one. Its selections are upstreams, and so is the pool itself: all agents
 * as one. A slot that becomes free goes to whoever comes first of those that its agent may serve, at whatever upstream they wait: by class, then by the
 * fair share of his key, then by age.
 */
export class AgentPool implements Upstream {
  readonly #options: AgentPoolOptions;
  readonly queueSize: number;
  /** @internal */
  readonly random: () => number;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #members = new Map<Session, AgentMember>();
  /** Sessions by the id of their agent. */
  readonly #byAgent = new Map<string, Set<Session>>();
  /** One lane per kind of request: all requests of a lane can be served by the same agents. */
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that stay: those of requests that ask for nothing beside their upstream's agents, nearly all of them. */
  #plainLanes = 0;
  #selections = 0;
  /** How many of them ask how busy agents say that they are. */
  #askLoad = 0;
  /** How many agents name each path in their tokens. */
  readonly #scopedPaths = new Map<string, number>();
  /** How many agents come by a wire that lacks something; only then does it matter what a request needs. */
  #limited = 0;
  /** Sessions that operators have drained. */
  #drained = 0;
  /** Requests that came to a bad end at an agent, by wire and failure code. */
  readonly resets = new Map<string, Map<string, number>>();
  /** @internal Who is known. */
  readonly roster: Roster;
  readonly #affinity: Affinity;
  waiting = 0;
  /** Has anybody ever waited in another class than the usual? */
  #hasClasses = false;
  /** How many wait, by key, of the keys that have a bound of their own. */
  readonly #bounded = new Map<string, number>();
  readonly #digest = keyedDigest();
  /** Where agents with several hubs learn who waits here. */
  readonly #board: WaitingBoard;
  /** Time from dispatch to the end of the answer, smoothed, ms. */
  #serviceMs = 0;
  readonly name = '';
  readonly #everybody: AgentSelection;
  readonly keepsHeads = false;

  constructor(options: AgentPoolOptions) {
    this.#options = options;
    this.queueSize = options.queueSize;
    this.random = options.random ?? Math.random;
    this.#clock = options.clock ?? systemClock;
    this.#startMs = this.#clock.now();
    this.roster = new Roster(this.#clock, options.knownForMs ?? KNOWN_FOR_MS);
    this.#board = new WaitingBoard(this.#clock);
    this.#affinity = new Affinity(this.#clock, (waiter, preference) => this.#waitForAny(waiter, preference));
    this.#everybody = this.select({
      name: '',
      selector: parseSelector('*'),
      balance: { by: 'least_conn' },
      affinityWaitMs: 0,
      queueSize: options.queueSize,
      queueBytes: Number.POSITIVE_INFINITY,
      queueTimeoutMs: 0,
      blockTimeoutMs: 0,
      fullStatus: 503,
      onAbort: null,
      starved: (waiter) => options.starved?.(waiter),
    });
  }

  /** Some of the agents as an upstream. Close it when nobody asks it any more. */
  select(options: AgentSelectionOptions): AgentSelection {
    if (options.balance.by === 'spare_capacity' && this.#askLoad++ === 0) for (const member of this.#members.values()) this.#countLoad(member);
    return new AgentSelection(this, this.#selections++, options);
  }

  /** @internal */
  retire(selection: AgentSelection): void {
    if (selection.plain !== null) this.#plainLanes--;
    if (selection.asksLoad && --this.#askLoad === 0) for (const member of this.#members.values()) member.loads = null;
    this.#dropLanes((lane) => lane.selection === selection);
  }

  /** @internal */
  inFrontOf(session: Session): Endpoint {
    return this.#options.watch?.(session) ?? session;
  }

  /** All agents as one upstream. */
  get everybody(): AgentSelection {
    return this.#everybody;
  }

  get sessions(): IterableIterator<Session> {
    return this.#members.keys();
  }

  /** The same with what the pool knows of them. */
  get members(): IterableIterator<AgentMember> {
    return this.#members.values();
  }

  get size(): number {
    return this.#members.size;
  }

  /** @internal Have operators drained all of these? */
  areDrained(members: ReadonlySet<AgentMember>): boolean {
    if (members.size === 0 || this.#drained < members.size) return false;
    for (const { isDrained } of members) if (!isDrained) return false;
    return true;
  }

  /** May the agents that were here before a restart be on their way back? */
  get mayReturn(): boolean {
    return this.#members.size === 0 && this.#clock.now() - this.#startMs < RETURN_MS;
  }

  /** Is an agent connected of which all of this is true? */
  hasAny(facts: readonly string[]): boolean {
    for (const member of this.#members.values()) if (facts.every((fact) => member.facts.has(fact))) return true;
    return false;
  }

  /** Is an agent connected of which all of this is true, and which takes work, has some, or may have given its slots to another of its hubs? */
  hasWorkers(facts: readonly string[]): boolean {
    for (const { session, isDrained, facts: own } of this.#members.values())
      if ((session.inFlight > 0 || (!isDrained && (session.free > 0 || session.shared === true))) && facts.every((fact) => own.has(fact)))
        return true;
    return false;
  }

  /** All values of a label among the agents that are connected, each once, in the order in which they joined. */
  announcedValues(label: string): string[] {
    const values = new Set<string>();
    for (const { labels } of this.#members.values()) for (const item of labelItems(label, labels.get(label) ?? '')) values.add(item);
    values.delete('');
    return [...values];
  }

  /** Is or was there an agent with this value of the label? Soon after a restart there may be anybody. */
  knowsValue(label: string, value: string): boolean {
    return this.mayReturn || this.roster.knows([labelFact(label, value)]);
  }

  /** A request was served in this time, ms: what estimates are reckoned from. */
  served(serviceMs: number): void {
    this.#serviceMs += this.#serviceMs === 0 ? serviceMs : (serviceMs - this.#serviceMs) * SERVICE_WEIGHT;
  }

  /** When a slot is likely to be free for one more of any kind, s. */
  get retryAfterS(): number {
    return this.#everybody.retryAfterS(this.#everybody.plain!);
  }

  /** Kinds of requests told apart now. */
  get lanes(): number {
    return this.#lanes.size;
  }

  /** The request that has waited longest; null when none waits. */
  get oldest(): Waiter | null {
    let oldest: Waiter | null = null;
    for (const first of this.oldestByUpstream.values()) if (oldest === null || first.arrival < oldest.arrival) oldest = first;
    return oldest;
  }

  /** The one that has waited longest at each upstream at which some wait, by name. */
  get oldestByUpstream(): Map<string, Waiter> {
    const oldest = new Map<string, Waiter>();
    const look = (first: Waiter | null, upstream: string): void => {
      const known = oldest.get(upstream);
      if (first !== null && (known === undefined || first.arrival < known.arrival)) oldest.set(upstream, first);
    };
    for (const { line, selection } of this.#lanes.values()) look(line.oldest, selection.name);
    for (const { own } of this.#members.values()) {
      const first = own?.oldest ?? null;
      if (first !== null) look(first, this.#affinity.of(first)?.selection.name ?? '');
    }
    return oldest;
  }

  /** @internal A request at an agent has come to a bad end. */
  ended(session: Session, { code }: Failure): void {
    const wire = session.wireName ?? 'native';
    let byCode = this.resets.get(wire);
    if (byCode === undefined) this.resets.set(wire, (byCode = new Map()));
    byCode.set(code, (byCode.get(code) ?? 0) + 1);
  }

  /** @internal Monotonic ms. */
  get nowMs(): number {
    return this.#clock.now();
  }

  /** Time that requests take of late, ms; 0 before the first. */
  get serviceMs(): number {
    return this.#serviceMs;
  }

  /** The request that arrived as this one, if it waits; null when it does not. For people who pick one out. */
  waiterOf(arrival: number): Waiter | null {
    for (const { line } of this.#lanes.values()) for (const waiter of line.all()) if (waiter.arrival === arrival) return waiter;
    for (const { own } of this.#members.values()) if (own !== null) for (const waiter of own.all()) if (waiter.arrival === arrival) return waiter;
    return null;
  }

  /**
   * The first `most` of those who wait, in the order in which slots go to them, but for ageing and the shares of several kinds of requests at one agent.
   * The estimate takes everybody ahead to want the same agents, and all
   * their slots to be this hub's: it is too long where requests ask for different things, too short where other hubs have requests as well.
   */
  places(most: number): QueuePlace[] {
    const lines: { order: Waiter[]; at: number; slots: number; lane: Lane | null }[] = [];
    for (const lane of this.#lanes.values()) {
      if (lane.line.size === 0) continue;
      let slots = 0;
      for (const { share } of lane.all) slots += share;
      lines.push({ order: lane.line.inOrder(most), at: 0, slots, lane });
    }
    for (const { own, session } of this.#members.values())
      if (own !== null && own.size > 0) lines.push({ order: own.inOrder(most), at: 0, slots: session.slots, lane: null });
    const places: QueuePlace[] = [];
    while (lines.length > 0 && places.length < most) {
      let at = 0;
      for (let i = 1; i < lines.length; i++) if (goesFirst(lines[i]!.order[lines[i]!.at]!, lines[at]!.order[lines[at]!.at]!)) at = i;
      const line = lines[at]!;
      const { slots, lane } = line;
      const next = line.order[line.at]!;
      const estimatedWaitMs = slots === 0 || this.#serviceMs === 0 ? null : ((places.length + 1) * this.#serviceMs) / slots;
      const upstream = lane?.selection.name ?? this.#affinity.of(next)?.selection.name ?? '';
      const { key, shown } = next.label;
      places.push({
        waiter: next,
        upstream,
        key: shown ? key : this.#digest(key).slice(0, 12),
        scope: lane?.scope ?? '',
        path: lane?.path ?? '',
        estimatedWaitMs,
      });
      if (++line.at === line.order.length) lines.splice(at, 1);
    }
    return places;
  }

  /** A session joins. The same process of the same agent again replaces its old session at once. */
  join(session: Session): void {
    let twin: Session | null = null;
    const others = this.#byAgent.get(session.agent.id) ?? new Set();
    for (const other of others) {
      if (other === session) continue;
      if (other.agent.instance === session.agent.instance) other.close(new Failure('tunnel_lost', 'the same agent has connected anew'));
      else twin = other;
    }
    const orders = this.#options.orders?.(session.agent) ?? null;
    const as = ordered(session.agent, orders);
    const member = new AgentMember(this, session, as.labels, this.roster.joined(session, as));
    this.#members.set(session, member);
    this.#byAgent.set(session.agent.id, others.add(session));
    if (orders !== null) this.#setDrained(member, orders.isDrained);
    if (this.#askLoad > 0) this.#countLoad(member);
    session.owner = member;
    for (const path of session.agent.scopePaths) this.#scopedPaths.set(path, (this.#scopedPaths.get(path) ?? 0) + 1);
    for (const lane of this.#lanes.values()) if (lane.admits(member)) member.enter(lane);
    const isFirstLimited = member.can !== ABLE && this.#limited++ === 0;
    if (session.agent.scopePaths.length > 0 || isFirstLimited) this.#sortAnew();
    this.#options.joined?.(session, twin);
    this.changed(member);
  }

  #countLoad(member: AgentMember): void {
    member.loads = new ReportedLoad(this.#clock, 0);
  }

  /** @internal */
  lost(member: AgentMember, reason: string): void {
    const { session } = member;
    if (!this.#members.delete(session)) return;
    const { id } = session.agent;
    const others = this.#byAgent.get(id);
    if (others?.delete(session) === true && others.size === 0) this.#byAgent.delete(id);
    this.#board.remove(member);
    this.#setDrained(member, false);
    this.roster.left(session);
    if (member.can !== ABLE) this.#limited--;
    for (const lane of member.lanes) lane.forget(member);
    for (const path of session.agent.scopePaths) {
      const left = this.#scopedPaths.get(path)! - 1;
      if (left === 0) this.#scopedPaths.delete(path);
      else this.#scopedPaths.set(path, left);
    }
    this.#options.left?.(session, reason, member);
    this.#sendAway(member);
  }

  /** Those who waited for this agent alone wait for others, too. */
  #sendAway(member: AgentMember): void {
    const { own } = member;
    while (own !== null && own.first !== null) {
      const waiter = own.first;
      const preference = this.#affinity.take(waiter)!;
      own.remove(waiter);
      this.#waitForAny(waiter, preference);
    }
  }

  /** Operators have said something else of this agent: it holds from now on, for those who wait as well. */
  obey(agentId: string): void {
    for (const member of this.#members.values()) if (member.agentId === agentId) this.#obey(member);
  }

  #obey(member: AgentMember): void {
    const { session } = member;
    const orders = this.#options.orders?.(session.agent) ?? null;
    const as = ordered(session.agent, orders);
    if (!sameLabels(member.labels, as.labels)) {
      member.leaveLanes();
      member.labels = as.labels;
      member.facts = this.roster.turned(session, as);
      for (const lane of this.#lanes.values()) if (lane.admits(member)) member.enter(lane);
      this.#sendAway(member);
    }
    this.#setDrained(member, orders?.isDrained === true);
    if (member.isDrained) {
      this.#sendAway(member);
      // Else it would keep slots for those who wait here.
      if (member.told) session.tellWaiting?.(0, this.#clock.now());
    }
    this.changed(member);
  }

  #setDrained(member: AgentMember, is: boolean): void {
    if (member.isDrained !== is) this.#drained += is ? 1 : -1;
    member.isDrained = is;
  }

  pick(head: RequestHead, not?: string, captures?: Captures): Candidate | null {
    return this.#everybody.pick(head, not, captures);
  }

  lacking(head: RequestHead, captures?: Captures): Failure {
    return this.#everybody.lacking(head, captures);
  }

  wait(waiter: Waiter): Failure | null {
    return this.#everybody.wait(waiter);
  }

  /** Takes a waiter out of the line it stands in. `selection`: where it waits. */
  leave(waiter: Waiter, selection: AgentSelection = this.#everybody): void {
    if (waiter.line === null) return;
    waiter.line.remove(waiter);
    this.#left(waiter, selection);
  }

  #left(waiter: Waiter, selection: AgentSelection): void {
    this.#affinity.take(waiter);
    this.waiting--;
    selection.waiting--;
    const { most, key } = waiter.label;
    if (most !== Number.POSITIVE_INFINITY) this.#count(key, -1);
    this.#board.changed();
  }

  /** Requests that wait with this key, where those are bounded. */
  waitingOf(key: string): number {
    return this.#bounded.get(key) ?? 0;
  }

  #count(key: string, more: number): void {
    const count = this.waitingOf(key) + more;
    if (count > 0) this.#bounded.set(key, count);
    else this.#bounded.delete(key);
  }

  letGo(candidate: Candidate, wanted: boolean): boolean {
    const member = candidate as AgentMember;
    member.kept--;
    if (wanted && member.free > 0) return true;
    this.changed(member);
    return false;
  }

  /** @internal Puts a waiter into its lane, or first, for a while, into the line of the agent that it prefers. */
  queue(waiter: Waiter, lane: Lane, own: AgentMember | null, preferMs: number): void {
    this.waiting++;
    const { label } = waiter;
    if (label !== PLAIN) {
      if (label.rank !== USUAL_CLASS) this.#hasClasses = true;
      if (label.most !== Number.POSITIVE_INFINITY) this.#count(label.key, 1);
    }
    if (own === null) lane.line.add(waiter);
    else this.#affinity.add(waiter, own, { selection: lane.selection, facts: lane.facts, dueMs: this.#clock.now() + preferMs });
    this.#board.changed();
  }

  /** Who has preferred an agent does not any more. */
  #waitForAny(waiter: Waiter, { selection, facts }: Preference): void {
    const head = waiter.head!;
    const lane = this.lane(selection, facts, facts.join('\n'), head);
    lane.line.add(waiter);
    // Somebody else may be free already. If others wait in this lane, nobody is.
    if (lane.line.size > 1) return;
    const member = selection.choose(lane, head);
    if (member === null) return;
    this.#serve(waiter, selection, member);
  }

  #serve(waiter: Waiter, selection: AgentSelection, member: AgentMember): void {
    waiter.line!.serve(waiter);
    this.#left(waiter, selection);
    if (!waiter.granted(member)) member.kept++;
  }

  /** Lets those go up in class that have waited long enough for what this agent can do. */
  #age({ own, lanes }: AgentMember): void {
    const now = this.#clock.now();
    own?.age(now);
    for (let i = 0; i < lanes.length; i++) lanes[i]!.line.age(now);
  }

  /** An agent's slots may have changed: whoever comes first of those that it can serve gets one. @internal */
  changed(member: AgentMember): void {
    const { session, lanes } = member;
    if (this.#members.get(session) !== member) return;
    const tells = session.shared === true && !member.isDrained;
    if (tells) this.#board.add(member);
    else if (member.told) this.#board.remove(member);
    member.told = tells;
    if (this.waiting > 0) {
      while (member.free > 0) {
        if (this.#hasClasses) this.#age(member);
        const at = member.next();
        if (at === -2) break;
        const next: Waiter = at < 0 ? member.own!.first! : lanes[at]!.line.first!;
        member.charge(at);
        this.#serve(next, at < 0 ? this.#affinity.of(next)!.selection : lanes[at]!.selection, member);
      }
    }
    if (member.free > 0) for (let i = 0; i < lanes.length; i++) lanes[i]!.list(member, i);
  }

  /** @internal The lane of a request at a selection; `key` stands for the facts. */
  lane(selection: AgentSelection, facts: readonly string[], key: string, head: RequestHead): Lane {
    const scope = head.has(SLIME_SCOPE) ? head.value(SLIME_SCOPE) : '';
    const path = this.#scopedPath(head);
    const needs = this.#limited === 0 ? 0 : needsOf(head);
    const { plain } = selection;
    if (scope === '' && path === '' && needs === 0 && plain !== null && !plain.dropped) return plain;
    const lane = this.#lanes.get(laneKey(selection, scope, path, needs, key));
    if (lane !== undefined) return lane;
    // Scopes and captures are the clients' words: lanes that nobody waits in must not pile up.
    if (this.#lanes.size - this.#plainLanes >= LANES - 1) this.#dropLanes((one) => one.selection.isClosed || one !== one.selection.plain);
    return this.#makeLane(selection, scope, path, facts, needs, key);
  }

  /** @internal The same, unless it would have to be made. */
  laneThere(selection: AgentSelection, key: string, head: RequestHead): Lane | null {
    const scope = head.has(SLIME_SCOPE) ? head.value(SLIME_SCOPE) : '';
    return this.#lanes.get(laneKey(selection, scope, this.#scopedPath(head), this.#limited === 0 ? 0 : needsOf(head), key)) ?? null;
  }

  /** The path, when agents name it in their tokens; only then does it matter. */
  #scopedPath(head: RequestHead): string {
    if (this.#scopedPaths.size === 0) return '';
    const { path } = head;
    return this.#scopedPaths.has(path) ? path : '';
  }

  /** @internal The lane that stays as long as its selection. */
  plainLane(selection: AgentSelection, facts: readonly string[], key: string): Lane {
    this.#plainLanes++;
    return this.#makeLane(selection, '', '', facts, 0, key);
  }

  #makeLane(selection: AgentSelection, scope: string, path: string, facts: readonly string[], needs: number, key: string): Lane {
    const full = laneKey(selection, scope, path, needs, key);
    const lane = new Lane(full, selection, scope, path, facts, needs);
    this.#lanes.set(full, lane);
    for (const member of this.#members.values()) {
      if (!lane.admits(member)) continue;
      member.enter(lane);
      if (member.free > 0) lane.list(member, member.lanes.length - 1);
    }
    return lane;
  }

  /** Drops lanes in which nobody waits. */
  #dropLanes(which: (lane: Lane) => boolean): void {
    let dropped = 0;
    for (const [key, lane] of this.#lanes) {
      if (lane.line.size > 0 || !which(lane)) continue;
      lane.dropped = true;
      this.#lanes.delete(key);
      dropped++;
    }
    if (dropped > 0) for (const member of this.#members.values()) member.tidy();
  }

  /** Paths have got a meaning that they did not have when these requests came: everybody takes the line that is right now. */
  #sortAnew(): void {
    const all: { waiter: Waiter; lane: Lane }[] = [];
    for (const lane of this.#lanes.values()) {
      for (let { first } = lane.line; first !== null; { first } = lane.line) {
        all.push({ waiter: first, lane });
        lane.line.remove(first);
      }
    }
    for (const { waiter, lane } of all) this.lane(lane.selection, lane.facts, lane.facts.join('\n'), waiter.head!).line.add(waiter);
  }
}

function sameLabels(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a.size !== b.size) return false;
  for (const [label, value] of a) if (b.get(label) !== value) return false;
  return true;
}

function laneKey({ id }: AgentSelection, scope: string, path: string, needs: number, key: string): string {
  return `${id} ${scope}\0${path}\0${needs}\0${key}`;
}
