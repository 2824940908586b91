// HOT: pick() runs per request.
import type { Loop } from '../std/loop.ts';
import type { Log } from '../observe/log.ts';
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import { type Balancer, balancer } from './balance/balancer.ts';
import { RETRY_AFTER_MAX_S, RETRY_AFTER_NO_ENDPOINT_S } from './limits.ts';
import { Member, type MemberEndpoint, type MemberOwner, type MemberSettings, type Place } from './member.ts';
import type { UpstreamSettings } from './section.ts';
import type { Candidate, Upstream } from './upstream.ts';

export interface GroupOptions {
  readonly loop: Loop;
  readonly random: () => number;
  /** Opens the way to a place. Called again with the way there is when the place or the settings have changed: it may stay as it is, or be another. */
  readonly connect: (place: Place, before: MemberEndpoint | null) => MemberEndpoint;
  /** Hears that a member is left out, or is back; absent: nobody does. */
  readonly log?: Log;
  /** Told that a member has come, has left, or fares otherwise than before. */
  readonly turned?: () => void;
}

/** Told who belongs to a group: whoever probes its members. */
export interface MemberListener {
  joined(member: Member): void;
  left(member: Member): void;
}

/** Members that are asked before those of the next tier. */
interface Tier {
  readonly members: Member[];
}

/**
 * Addresses that stand in for each other: [upstreams.NAME]. It lives as long as the name stands in the configuration: update() changes the
 * settings, place() the addresses, and members that stay keep their connections, breaker, health and numbers.
 */
export class Group implements Upstream, MemberOwner {
  readonly name: string;
  settings: UpstreamSettings;
  keepsHeads = false;
  /** A name among the addresses that did not resolve; '' when all did. Kept by whoever resolves them. */
  unresolved = '';
  readonly #options: GroupOptions;
  readonly #members = new Map<string, Member>();
  readonly #listeners = new Set<MemberListener>();
  /** What operators have taken out, by id. It stays out for as long as its host and port stand in the settings. */
  readonly #out = new Map<string, Place>();
  #tiers: readonly Tier[] = [];
  #balancer: Balancer;
  #memberSettings: MemberSettings;

  constructor(settings: UpstreamSettings, options: GroupOptions) {
    this.name = settings.name;
    this.settings = settings;
    this.#options = options;
    this.#balancer = balancer(settings.algo, options.random);
    this.#memberSettings = memberSettings(settings);
  }

  pick(head: RequestHead, not?: string): Candidate | null {
    const tiers = this.#tiers;
    for (let i = 0; i < tiers.length; i++) {
      const member = this.#balancer.pick(tiers[i]!.members, head, not);
      if (member !== null) return member.candidate;
    }
    return null;
  }

  lacking(): Failure {
    const n = this.#members.size;
    if (n === 0 && this.unresolved !== '') return new Failure('name_not_found', "the upstream's name does not resolve");
    if (n === 0) return new Failure('no_healthy_endpoint', 'this upstream has no address', RETRY_AFTER_NO_ENDPOINT_S);
    if (this.#areAllOut()) return new Failure('taken_out', 'operators have taken out every address of this upstream', RETRY_AFTER_NO_ENDPOINT_S);
    return new Failure(
      'no_healthy_endpoint',
      `none of the upstream's ${n === 1 ? 'addresses' : `${n} addresses`} is usable: ${this.#reasons()}`,
      this.#retryAfterS(),
    );
  }

  /** Nobody waits for an address: either one is usable, or the answer is that none is. */
  wait(): Failure {
    return this.lacking();
  }

  leave(): void {}

  letGo(): boolean {
    return false;
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#members;
  }

  /** Tells of the members there are, and from now on of those that come and go. @returns ends it */
  follow(listener: MemberListener): () => void {
    this.#listeners.add(listener);
    for (const member of this.#members.values()) listener.joined(member);
    return () => void this.#listeners.delete(listener);
  }

  /** Takes a member out, or puts it back, until its address leaves the settings. @returns false when there is none of this id */
  takeOut(id: string, is: boolean): boolean {
    const member = this.#members.get(id);
    if (member === undefined) return false;
    if (is) this.#out.set(id, member.at);
    else this.#out.delete(id);
    member.takeOut(is);
    return true;
  }

  #areAllOut(): boolean {
    for (const { isOut } of this.#members.values()) if (!isOut) return false;
    return true;
  }

  /** Other settings from now on; the addresses are place()'s. */
  update(settings: UpstreamSettings): void {
    const { algo } = this.settings;
    this.settings = settings;
    for (const [id, { host, port }] of this.#out)
      if (!settings.addrs.some((addr) => addr.host === host && (addr.port === 0 || addr.port === port))) this.#out.delete(id);
    if (JSON.stringify(algo) !== JSON.stringify(settings.algo)) {
      this.#balancer = balancer(settings.algo, this.#options.random);
      for (const member of this.#members.values()) member.current = 0;
    }
    this.#memberSettings = memberSettings(settings);
    for (const member of this.#members.values()) this.#configure(member, member.at);
  }

  /** These are its places now. Members that stay are kept, whatever their weight and tier become; new ones join, the others leave. */
  place(places: readonly Place[]): void {
    const wanted = new Map<string, Place>();
    // Two names may lead to one address: it is one member, as the first of them says.
    for (const place of places) if (!wanted.has(place.id)) wanted.set(place.id, place);
    const before = new Map(this.#members);
    const left = [...before.values()].filter((member) => !wanted.has(member.id));
    const came: Member[] = [];
    this.#members.clear();
    for (const place of wanted.values()) {
      const member = before.get(place.id);
      if (member !== undefined) {
        this.#members.set(place.id, member);
        if (!sameStanding(member.at, place)) this.#configure(member, place);
        continue;
      }
      const joined = new Member(place, this.#options.connect(place, null), this.#memberSettings, this.#options.loop, this);
      this.#members.set(place.id, joined);
      came.push(joined);
      if (this.#out.has(place.id)) joined.isOut = true;
      if (before.size > 0) joined.startSlowly();
    }
    this.#arrange();
    for (const member of left) {
      for (const listener of this.#listeners) listener.left(member);
      member.close();
    }
    for (const member of came) for (const listener of this.#listeners) listener.joined(member);
    if (left.length + came.length > 0) this.#options.turned?.();
  }

  /** A member's health changed. */
  changed(member: Member): void {
    this.#panic();
    const { log, turned } = this.#options;
    turned?.();
    const { condition } = member;
    if (log === undefined || condition === member.told) return;
    const fields = { upstream: this.name, endpoint: member.id, was: member.told, is: condition };
    member.told = condition;
    if (condition === 'well') log.info(fields, 'an endpoint gets requests again');
    else if (condition !== 'trying') log.warn(fields, 'an endpoint gets no requests for a while: too many have failed');
  }

  #configure(member: Member, place: Place): void {
    member.configure(place, this.#memberSettings);
    const endpoint = this.#options.connect(place, member.endpoint);
    if (endpoint === member.endpoint) return;
    member.endpoint.close();
    member.endpoint = endpoint;
  }

  /** Ends it: idle connections are closed now, the others with their requests. */
  close(): void {
    this.place([]);
    this.#listeners.clear();
  }

  /** Into tiers: by priority, backups last. */
  #arrange(): void {
    const tiers = new Map<number, Member[]>();
    for (const member of this.#members.values()) {
      const rank = member.at.backup ? Number.POSITIVE_INFINITY : member.at.priority;
      const tier = tiers.get(rank);
      if (tier === undefined) tiers.set(rank, [member]);
      else tier.push(member);
    }
    this.#tiers = [...tiers].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, members]) => ({ members }));
    this.keepsHeads = this.#members.size > 1;
    this.#panic();
  }

  /**
   * The panic rule: when more than half of a tier is left out by what was seen in passing, the fault is more likely ours or the network's than
   * theirs, and the rest would drown: then all are used that the health checks do not speak against. Not while the tier is empty by it and a
   * later one is well: that is what later tiers are for. An open breaker stays open: whoever set it wants that.
   */
  #panic(): void {
    let wellLater = false;
    for (let i = this.#tiers.length - 1; i >= 0; i--) {
      const { members } = this.#tiers[i]!;
      let reachable = 0;
      let down = 0;
      let well = 0;
      for (const member of members) {
        if (!member.active || member.isOut) continue;
        reachable++;
        if (member.passivelyDown) down++;
        if (member.well) well++;
      }
      const panics = down * 2 > reachable && (well > 0 || !wellLater);
      for (const member of members) member.panics(panics);
      if (well > 0) wellLater = true;
    }
  }

  #reasons(): string {
    let out = 0;
    let checks = 0;
    let breakers = 0;
    let others = 0;
    for (const member of this.#members.values()) {
      if (member.isOut) out++;
      else if (!member.active) checks++;
      else if (member.breaker.state !== 'closed') breakers++;
      else others++;
    }
    const parts = [];
    if (out > 0) parts.push(`operators have taken out ${out}`);
    if (checks > 0) parts.push(`health checks fail for ${checks}`);
    if (breakers > 0) parts.push(`the circuit breaker of ${breakers} is open`);
    if (others > 0) parts.push(`${others} failed of late`);
    return parts.join(', ');
  }

  #retryAfterS(): number {
    let backMs = Number.POSITIVE_INFINITY;
    for (const member of this.#members.values()) backMs = Math.min(backMs, member.backMs);
    if (backMs === Number.POSITIVE_INFINITY) return RETRY_AFTER_NO_ENDPOINT_S;
    return Math.min(RETRY_AFTER_MAX_S, Math.max(1, Math.ceil((backMs - this.#options.loop.clock.now()) / 1000)));
  }
}

function sameStanding(a: Place, b: Place): boolean {
  return a.weight === b.weight && a.priority === b.priority && a.backup === b.backup && a.load === b.load && a.host === b.host;
}

function memberSettings(of: UpstreamSettings): MemberSettings {
  const failureStatus = new Uint8Array(600);
  for (const { from, to } of of.backendFailureStatusCode) failureStatus.fill(1, from, to + 1);
  return {
    breaker: {
      consecutiveFailures: of.circuitBreakMaxConsecutiveFailures,
      failurePercent: of.circuitBreakMaxFailurePercent,
      minRequests: of.circuitBreakMinRequestsThreshold,
      windowMs: of.backendStatsInterval,
      openMs: of.circuitBreakOpenDuration,
      halfOpenSuccesses: of.circuitBreakHalfOpenConsecutiveSuccessThreshold,
    },
    ejection: { failures: of.ejectFailures, ms: of.ejectTime },
    slowStartMs: of.slowStart,
    failureStatus,
    asksLoad: of.algo.by === 'spare_capacity',
  };
}
