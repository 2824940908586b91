// HOT: take(), release() and level run per request; with one hub they do no more than count.
import { type Clock, systemClock } from '../../std/clock.ts';
import { tunnelLimits, type TunnelLimits } from '../limits.ts';

/** One session of an agent, as its slots see it. */
export interface SlotsUser {
  /** What its hub is to be told (`level`, `shared`, the total) may have changed. */
  slotsChanged(): void;
  /** Of the last ping, ms. */
  readonly roundTripMs: number;
}

/** What a ledger is given beside its number. Tests pass a clock and an alarm of their own. */
export interface SlotLedgerOptions {
  readonly clock?: Clock;
  readonly limits?: Pick<TunnelLimits, 'grantMinMs' | 'grantRoundTrips' | 'calmAfterMs'>;
  /** Calls `run` after `ms`; the ledger has at most two alarms at a time. @returns what calls it off */
  readonly alarm?: (ms: number, run: () => void) => () => void;
}

/**
 * An agent's slots: the only authority on them, shared by its sessions to all hubs. A slot is taken when a request is accepted and returned when its
 * upstream has settled.
 *
 * While no hub has requests waiting every hub may use every free slot: who asks first gets it. While some wait, that would be a storm of refusals, so
 * each free slot is granted to one hub, the one whose next waiter without a grant is oldest; of what is left over each has an equal part.
 */
export class SlotLedger {
  #total: number;
  #taken = 0;
  #draining = false;
  readonly #clock: Clock;
  readonly #limits: Pick<TunnelLimits, 'grantMinMs' | 'grantRoundTrips' | 'calmAfterMs'>;
  readonly #alarm: (ms: number, run: () => void) => () => void;
  readonly #shares: SlotShare[] = [];
  /** Grants that are out, of all shares. */
  #granted = 0;
  #callOff: (() => void) | null = null;
  #alarmMs = Infinity;
  /** Somebody waits at some hub, or did a moment ago. */
  #tense = false;
  readonly #watchers: (() => void)[] = [];

  constructor(total: number, options: SlotLedgerOptions = {}) {
    this.#total = total;
    this.#clock = options.clock ?? systemClock;
    this.#limits = options.limits ?? tunnelLimits;
    this.#alarm = options.alarm ?? timeout;
  }

  get total(): number {
    return this.#total;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Slots that nobody uses. 0 while draining, and while a smaller total is being waited for. */
  get free(): number {
    return this.#draining ? 0 : Math.max(0, this.#total - this.#taken);
  }

  /** Free slots that are granted to nobody. */
  get surplus(): number {
    return Math.max(0, this.free - this.#granted);
  }

  /** What each hub may use of the surplus: all of it while it is calm, else its part: under load all hubs have new requests at once. */
  get leftOver(): number {
    const { surplus } = this;
    if (this.calm || surplus === 0) return surplus;
    const part = Math.floor(surplus / this.#shares.length);
    // What does not divide goes to whoever asks first: it must not lie there for nobody.
    return part === 0 && this.#granted === 0 ? 1 : part;
  }

  /**
   * Has no hub had requests waiting for a moment? Where a line comes and goes, the next requests come to all hubs at once: they must not all be
   * promised the same slots (measured with 3 hubs, 64 slots of 20 ms and 83 clients that ask again at once: 13 refusals in 100 requests, with this 1).
   */
  get calm(): boolean {
    return !this.#tense && this.#granted === 0;
  }

  get shares(): number {
    return this.#shares.length;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Once true, no slot is offered or taken any more; what runs finishes. */
  set draining(draining: boolean) {
    this.#draining = draining;
    this.#changed();
  }

  /** Takes a slot, when one is free, for an OPEN of `by`; null for nobody's. */
  take(by: SlotShare | null): boolean {
    if (this.#draining || this.#taken >= this.#total) return false;
    this.#taken++;
    if (this.#shares.length > 1) {
      if (by !== null) this.#used(by);
      this.#changed();
    }
    return true;
  }

  release(): void {
    if (this.#taken > 0) this.#taken--;
    this.#changed();
    for (const watcher of this.#watchers) watcher();
  }

  /** Changes the number of slots at once; running requests are never cut for it. */
  resize(total: number): void {
    if (total === this.#total) return;
    this.#total = total;
    this.#changed();
  }

  /** Calls `watcher` whenever a slot has been returned. */
  onRelease(watcher: () => void): void {
    this.#watchers.push(watcher);
  }

  /** A session's part, from its WELCOME to its end. */
  join(user: SlotsUser): SlotShare {
    const share = new SlotShare(this, user);
    this.#shares.push(share);
    this.#changed();
    return share;
  }

  // --- what shares call

  /** @internal */
  left(share: SlotShare): void {
    const at = this.#shares.indexOf(share);
    if (at < 0) return;
    this.#shares.splice(at, 1);
    this.#granted -= share.grants.length;
    share.grants.length = 0;
    share.waiting = 0;
    this.#changed();
  }

  /** @internal */
  now(): number {
    return this.#clock.now();
  }

  /** @internal */
  reckon(share: SlotShare): void {
    if (!this.#tense && share.claim() > 0) {
      this.#tense = true;
      this.#calmLater();
    }
    this.#trim(share, share.claim());
    this.#changed();
  }

  #calmLater(): void {
    let roundTripMs = 0;
    for (const share of this.#shares) roundTripMs = Math.max(roundTripMs, share.user.roundTripMs);
    this.#alarm(Math.max(this.#limits.calmAfterMs, this.#limits.grantRoundTrips * roundTripMs), () => {
      // An only hub does not say any more who waits there.
      if (this.#shares.length > 1 && this.#shares.some((share) => share.claim() > 0)) {
        this.#calmLater();
        return;
      }
      this.#tense = false;
      this.#changed();
    });
  }

  /** An OPEN from there: its oldest waiter has got its slot. */
  #used(share: SlotShare): void {
    share.heard();
    if (share.grants.length > 0) {
      share.grants.shift();
      this.#granted--;
    }
    share.served(this.now());
  }

  /** No more than `most` grants for it: the latest go. */
  #trim(share: SlotShare, most: number): void {
    while (share.grants.length > most) {
      share.grants.pop();
      this.#granted--;
    }
  }

  /** Free slots find their waiters, and every session looks whether what its hub was told is still true. */
  #changed(): void {
    const shares = this.#shares;
    if (shares.length === 1) {
      // The only hub may use all there are: nothing is granted.
      if (this.#granted > 0) this.#trim(shares[0]!, 0);
      shares[0]!.user.slotsChanged();
      return;
    }
    const { free } = this;
    while (this.#granted > free) this.#revokeLatest();
    if (this.#granted < free) {
      const now = this.now();
      for (let next = this.#oldest(now); next !== null && this.#granted < free; next = this.#oldest(now)) {
        next.grants.push(now);
        this.#granted++;
      }
    }
    if (this.#granted > 0) this.#arm();
    for (const share of shares) share.user.slotsChanged();
  }

  #revokeLatest(): void {
    let latest: SlotShare | null = null;
    for (const share of this.#shares) {
      if (share.grants.length > 0 && (latest === null || share.grants.at(-1)! >= latest.grants.at(-1)!)) latest = share;
    }
    if (latest === null) this.#granted = 0;
    else this.#trim(latest, latest.grants.length - 1);
  }

  /** The share whose next waiter without a grant has waited longest. */
  #oldest(now: number): SlotShare | null {
    let oldest: SlotShare | null = null;
    let most = -1;
    for (const share of this.#shares) {
      const claim = share.claim();
      const without = claim - share.grants.length;
      if (without <= 0) continue;
      // Its waiters came evenly, as far as we know: the next one is younger by the part of them that has its slot.
      const age = ((now - share.oldestMs) * without) / claim / 2 ** share.unused;
      if (age > most) {
        oldest = share;
        most = age;
      }
    }
    return oldest;
  }

  /** How long a grant may lie unused: the hub hears of it, its OPEN comes back, and a little on top. */
  #graceMs(share: SlotShare): number {
    return Math.max(this.#limits.grantMinMs, this.#limits.grantRoundTrips * share.user.roundTripMs);
  }

  #arm(): void {
    let due = Infinity;
    for (const share of this.#shares) if (share.grants.length > 0) due = Math.min(due, share.grants[0]! + this.#graceMs(share));
    if (due === Infinity || due >= this.#alarmMs) return;
    this.#callOff?.();
    this.#alarmMs = due;
    this.#callOff = this.#alarm(Math.max(0, due - this.now()), () => this.#expire());
  }

  /** Grants that were not used move on. */
  #expire(): void {
    this.#callOff = null;
    this.#alarmMs = Infinity;
    const now = this.now();
    let some = false;
    for (const share of this.#shares) {
      const { grants } = share;
      // A timer may fire a fraction of a millisecond early.
      if (grants.length === 0 || now - grants[0]! < this.#graceMs(share) - 0.5) continue;
      // What it said of its waiters is not true any more, or it cannot act on it: it counts again when it speaks again.
      share.silenced();
      this.#trim(share, 0);
      some = true;
    }
    if (some) this.#changed();
    else if (this.#granted > 0) this.#arm();
  }
}

/** One hub's part in an agent's slots. */
export class SlotShare {
  readonly #ledger: SlotLedger;
  readonly user: SlotsUser;
  /** Requests that wait at the hub, by its last word and the OPENs since. */
  waiting = 0;
  /** Monotonic ms since when the oldest of them has waited. */
  oldestMs = 0;
  /** When each slot was granted that the hub has not used yet, oldest first. @internal */
  readonly grants: number[] = [];
  /**
   * Grants in a row that it has not used. Each halves the age of its waiters: hubs that say what is not so, or cannot act on it, would else pass a slot
   * round among themselves for ever while others wait. @internal
   */
  unused = 0;
  #overdue = false;
  #silent = false;

  constructor(ledger: SlotLedger, user: SlotsUser) {
    this.#ledger = ledger;
    this.user = user;
  }

  /** Slots that this hub may use now. */
  get level(): number {
    if (this.#overdue) return 0;
    const { free } = this.#ledger;
    return this.#ledger.shares === 1 ? free : Math.min(free, this.grants.length + this.#ledger.leftOver);
  }

  /**
   * Is it as well to leave the hub with the number `told`? With several hubs each request would else cost a SLOTS to and from each of them. So while
   * nobody waits a number that is a quarter off will do, unless it or the truth is 0.
   */
  near(told: number): boolean {
    const { level } = this;
    if (level === told) return true;
    if (level === 0 || told <= 0 || !this.shared || !this.#ledger.calm) return false;
    return Math.abs(level - told) * 4 <= Math.min(level, told);
  }

  /** Are there other hubs? Then this one is asked to say who waits. */
  get shared(): boolean {
    return this.#ledger.shares > 1;
  }

  /** The hub says how many wait, and for how long the oldest has. */
  waits(count: number, oldestMs: number): void {
    this.#silent = false;
    this.waiting = count;
    this.oldestMs = this.#ledger.now() - oldestMs;
    this.#ledger.reckon(this);
  }

  /** A hub that does not answer its ping is offered nothing, and nobody waits there. */
  set overdue(overdue: boolean) {
    this.#overdue = overdue;
    this.#ledger.reckon(this);
  }

  /** The session takes nothing any more, or is over. */
  leave(): void {
    this.#ledger.left(this);
  }

  /** Waiters that count. @internal */
  claim(): number {
    return this.#overdue || this.#silent ? 0 : this.waiting;
  }

  /** @internal */
  heard(): void {
    this.unused = 0;
    this.#silent = false;
  }

  /** @internal */
  silenced(): void {
    this.unused++;
    this.#silent = true;
  }

  /** The oldest of its waiters has been served; the next one is younger by its part. @internal */
  served(now: number): void {
    if (this.waiting === 0) return;
    this.oldestMs = now - ((now - this.oldestMs) * (this.waiting - 1)) / this.waiting;
    this.waiting--;
  }
}

function timeout(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}
