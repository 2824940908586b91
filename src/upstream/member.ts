// HOT: began(), answered() and ended() run per attempt.
import type { Loop } from '../std/loop.ts';
import type { Timed } from '../std/sweeper.ts';
import type { Endpoint } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import { hashOf } from './balance/hash-key.ts';
import { Breaker, type BreakerSettings } from './breaker.ts';
import { Ejection, type EjectionSettings } from './ejection.ts';
import { SLOW_START_STEP_MS } from './limits.ts';
import { ReportedLoad } from './reported-load.ts';
import { slowStart } from './slow-start.ts';
import type { AttemptWatch, Candidate } from './upstream.ts';

/** An endpoint with connections that somebody must close. */
export interface MemberEndpoint extends Endpoint {
  close(): void;
  /** Bytes that its sockets have not taken yet. */
  readonly bufferedBytes?: number;
}

/** Where a member is. */
export interface Place {
  /** IP address and port, as in a URL: what it is known by within its group. */
  readonly id: string;
  readonly ip: string;
  readonly port: number;
  /** As it stands in the settings: a name or the IP address. */
  readonly host: string;
  readonly weight: number;
  readonly priority: number;
  readonly backup: boolean;
  /** How busy it is taken to be until it says so itself, 0 to 1. */
  readonly load: number;
}

export interface MemberSettings {
  readonly breaker: BreakerSettings;
  readonly ejection: EjectionSettings;
  readonly slowStartMs: number;
  /** By status: 1 when it counts as a failure for the breaker. */
  readonly failureStatus: Uint8Array;
  /** Does anybody ask how busy it is? */
  readonly asksLoad: boolean;
}

/** Who wants to hear when a member's health has changed. */
export interface MemberOwner {
  changed(member: Member): void;
}

const NEVER = Number.POSITIVE_INFINITY;

/** One place to send to within a group, with all that is known of its health. It is the candidate itself, so that picking it costs nothing. */
export class Member implements Candidate, AttemptWatch, Timed {
  place = -1;
  due = NEVER;
  /** Where it is, its weight and its tier. */
  at: Place;
  endpoint: MemberEndpoint;
  readonly replyFields = '';
  readonly agentId = '';
  readonly watch: AttemptWatch = this;
  loads: ReportedLoad | null = null;
  /** What pick() gives out: the member itself, or its trial while the breaker is half open, so that only answers to trials decide. */
  candidate: Candidate = this;

  /** May it get requests? Kept up to date, never reckoned per request. */
  usable = true;
  /** Its share now: the weight, or less while it is starting slowly. */
  share: number;
  /** Scratch of the round robin. */
  current = 0;
  /** What it is by in consistent hashing: the same wherever and whenever it is reckoned. */
  readonly seed: number;
  /** Attempts under way. */
  inFlight = 0;
  requests = 0;
  failures = 0;
  /** The condition that was logged last. */
  told: Member['condition'] = 'well';
  /** Operators have taken it out: it gets no requests, whatever its health. */
  isOut = false;
  /** Answer to the health checks. */
  active = true;
  /** What somebody other than the ejection found in passing. */
  #passive = true;
  /** So many of its tier are ejected that all get requests again (the panic rule). */
  #panic = false;
  readonly breaker: Breaker;
  readonly ejection: Ejection;
  readonly #trial: Trial;
  readonly #loop: Loop;
  readonly #owner: MemberOwner;
  #settings: MemberSettings;
  /** Since when it starts slowly, monotonic ms; Infinity when it does not. */
  #startedMs = NEVER;
  #closed = false;

  constructor(at: Place, endpoint: MemberEndpoint, settings: MemberSettings, loop: Loop, owner: MemberOwner) {
    this.at = at;
    this.endpoint = endpoint;
    this.share = at.weight;
    this.seed = hashOf(at.id);
    this.#settings = settings;
    this.#loop = loop;
    this.#owner = owner;
    this.breaker = new Breaker(settings.breaker, loop.clock);
    this.ejection = new Ejection(settings.ejection, loop.clock);
    this.#trial = new Trial(this);
    this.#countLoad();
  }

  get id(): string {
    return this.at.id;
  }

  get load(): number {
    return this.loads === null ? 0 : this.loads.now;
  }

  /** Is it left out by what was seen in passing (ejection), whatever the health checks say? */
  get passivelyDown(): boolean {
    return this.ejection.ejected || !this.#passive;
  }

  /** Would it be usable without the panic rule? */
  get well(): boolean {
    return this.active && !this.isOut && !this.passivelyDown && this.breaker.state !== 'open';
  }

  /** What its traffic says of it, in a word; the health checks speak for themselves. */
  get condition(): 'well' | 'ejected' | 'broken' | 'trying' {
    if (this.breaker.state === 'open') return 'broken';
    if (this.passivelyDown) return 'ejected';
    return this.breaker.state === 'half_open' ? 'trying' : 'well';
  }

  /** When it may be usable again, monotonic ms; Infinity when nobody knows. */
  get backMs(): number {
    return this.active && !this.isOut ? Math.min(this.breaker.reopenMs, this.ejection.untilMs) : NEVER;
  }

  /** Says how it is: `active` is the word of a health check, `passive` of whoever looks at its traffic. */
  healthy(by: 'active' | 'passive', is: boolean): void {
    if (by === 'active' ? this.active === is : this.#passive === is) return;
    if (by === 'active') this.active = is;
    else this.#passive = is;
    if (is && by === 'active') this.ejection.forget();
    if (is) this.startSlowly();
    this.#turned();
  }

  /** Takes it out, or puts it back. */
  takeOut(is: boolean): void {
    if (this.isOut === is) return;
    this.isOut = is;
    if (!is) this.startSlowly();
    this.#turned();
  }

  /** Other settings, or another weight or tier, from now on. */
  configure(at: Place, settings: MemberSettings): void {
    this.at = at;
    this.#settings = settings;
    this.breaker.configure(settings.breaker);
    this.ejection.configure(settings.ejection);
    this.#countLoad();
    this.#reckonShare(this.#loop.clock.now());
    this.#turned();
  }

  #countLoad(): void {
    if (!this.#settings.asksLoad) this.loads = null;
    else if (this.loads === null) this.loads = new ReportedLoad(this.#loop.clock, this.at.load);
    else this.loads.give(this.at.load);
  }

  /** It is new beside others, or has come back: its share grows slowly. */
  startSlowly(): void {
    if (this.#settings.slowStartMs === 0) return;
    const now = this.#loop.clock.now();
    this.#startedMs = now;
    this.#reckonShare(now);
    this.#reckonDue(now);
  }

  /** The group says whether the panic rule holds in its tier. */
  panics(is: boolean): void {
    this.#panic = is;
    this.reckonUsable();
  }

  reckonUsable(): void {
    const was = this.usable;
    this.usable = this.active && !this.isOut && (!this.passivelyDown || this.#panic) && this.breaker.lets;
    if (!was && this.usable) this.current = 0;
  }

  /** Its health changed. */
  #turned(): void {
    const was = this.candidate;
    this.candidate = this.breaker.state === 'half_open' ? this.#trial : this;
    if (was !== this.candidate && this.breaker.state === 'closed') this.startSlowly();
    this.reckonUsable();
    this.#reckonDue(this.#loop.clock.now());
    this.#owner.changed(this);
  }

  began(): void {
    this.inFlight++;
    this.requests++;
  }

  answered(status: number): void {
    this.ejection.succeeded();
    if (this.#settings.failureStatus[status] === 1) {
      this.failures++;
      if (this.breaker.failed()) this.#turned();
    } else this.breaker.succeeded();
  }

  ended(failure: Failure | null): void {
    this.inFlight--;
    if (failure === null || failure.blame !== 'upstream') return;
    this.failures++;
    const opened = this.breaker.failed();
    if (this.ejection.failed() || opened) this.#turned();
  }

  trialBegan(): void {
    this.inFlight++;
    this.requests++;
    this.breaker.trialBegan();
    this.reckonUsable();
  }

  trialAnswered(status: number): void {
    this.ejection.succeeded();
    const failed = this.#settings.failureStatus[status] === 1;
    if (failed) this.failures++;
    if (failed ? this.breaker.trialFailed() : this.breaker.trialSucceeded()) this.#turned();
  }

  trialEnded(failure: Failure | null): void {
    this.inFlight--;
    this.breaker.trialEnded();
    if (failure !== null && failure.blame === 'upstream') {
      this.failures++;
      const opened = this.breaker.trialFailed();
      if (this.ejection.failed() || opened) {
        this.#turned();
        return;
      }
    }
    this.reckonUsable();
  }

  expired(now: number): void {
    const returned = this.ejection.tick(now);
    const halfOpen = this.breaker.tick(now);
    if (returned) this.startSlowly();
    this.#reckonShare(now);
    if (returned || halfOpen) this.#turned();
    else this.#reckonDue(now);
  }

  #reckonShare(now: number): void {
    const { slowStartMs } = this.#settings;
    const elapsed = now - this.#startedMs;
    if (slowStartMs === 0 || elapsed >= slowStartMs) this.#startedMs = NEVER;
    this.share = this.#startedMs === NEVER ? this.at.weight : this.at.weight * slowStart(elapsed, slowStartMs);
  }

  #reckonDue(now: number): void {
    const { sweeper } = this.#loop;
    const step = this.#startedMs === NEVER ? NEVER : now + SLOW_START_STEP_MS;
    this.due = this.#closed ? NEVER : Math.min(step, this.breaker.reopenMs, this.ejection.untilMs);
    if (this.due === NEVER) sweeper.remove(this);
    else sweeper.add(this);
  }

  /** It is no member any more: idle connections are closed now, the others with their requests. */
  close(): void {
    this.#closed = true;
    this.due = NEVER;
    this.#loop.sweeper.remove(this);
    this.endpoint.close();
  }
}

/** The same place, while its breaker is half open. */
class Trial implements Candidate, AttemptWatch {
  readonly #member: Member;
  readonly replyFields = '';
  readonly agentId = '';
  readonly watch: AttemptWatch = this;

  constructor(member: Member) {
    this.#member = member;
  }

  get endpoint(): MemberEndpoint {
    return this.#member.endpoint;
  }

  get loads(): ReportedLoad | null {
    return this.#member.loads;
  }

  began(): void {
    this.#member.trialBegan();
  }

  answered(status: number): void {
    this.#member.trialAnswered(status);
  }

  ended(failure: Failure | null): void {
    this.#member.trialEnded(failure);
  }
}
