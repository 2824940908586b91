// HOT under load: one add and one remove per request that waits.
import type { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import { FairClass, type Flow } from './fair-class.ts';
import { CLASSES, type Label } from './label.ts';
import { AGEING_STEP_MS, PLACES, PLACES_MS } from './limits.ts';
import type { Candidate, Captures } from './upstream.ts';

/** A request that waits for a slot. It is the node of the list it stands in. */
export interface Waiter {
  /** How it waits among others. */
  readonly label: Label;
  /** Classes that it has gone up because it waits so long. Kept by WaitingLine. */
  aged: number;
  /** It has had a slot, and came back. Kept by WaitingLine. */
  paid: boolean;
  /** Order of arrival at this hub; kept when a refused request comes back. */
  readonly arrival: number;
  /** Since when it has been here. */
  readonly notes: { readonly startMs: number };
  /** The request, held. */
  readonly head: RequestHead | null;
  /** What its location's patterns found, as given to `Upstream.pick`: together with the head it decides which agents may serve it. Stays the same. */
  readonly captures: Captures;
  /** The line it stands in; null when it does not wait. Kept by WaitingLine. */
  line: WaitingLine | null;
  flow: Flow | null;
  before: Waiter | null;
  behind: Waiter | null;
  /**
   * A slot is there, and it is yours. Called once per wait, after the waiter has left its line.
   * @returns false when it must look first whether its client is still there: the slot is kept for it until it calls `Upstream.letGo`
   */
  granted(candidate: Candidate): boolean;
  /** It is to wait no longer, and to be answered with this. */
  giveUp(failure: Failure): void;
}

/** The class that it stands in now. */
export function rankOf({ label, aged }: Waiter): number {
  return label.rank - aged;
}

/** Does `a` go before `b`, when both have the same key? By class, then by age. */
export function goesFirst(a: Waiter, b: Waiter): boolean {
  const [ranked, other] = [rankOf(a), rankOf(b)];
  return ranked !== other ? ranked < other : a.arrival < b.arrival;
}

/** Requests that wait for the same thing: by class, in fair shares between the keys of a class, by age among those of one key. */
export class WaitingLine {
  readonly #classes: (FairClass | null)[] = Array.from({ length: CLASSES }, () => null);
  /** Bit by class: somebody waits there. */
  #busy = 0;
  /** How often it has begun to have somebody. */
  era = 0;
  size = 0;
  /** When to look next who has waited long enough to go up, monotonic ms. */
  #ageDueMs = 0;
  /** Where the first of those who wait stood when somebody asked last. */
  #places: ReadonlyMap<Waiter, number> | null = null;
  #placesUntilMs = 0;

  /** The class that is served next; null when nobody waits. */
  get top(): FairClass | null {
    const busy = this.#busy;
    return busy === 0 ? null : this.#classes[31 - Math.clz32(busy & -busy)]!;
  }

  /** Who is served next. */
  get first(): Waiter | null {
    const { top } = this;
    return top === null ? null : top.first;
  }

  /** Who came first of all. Looks at one of each key. */
  get oldest(): Waiter | null {
    let oldest: Waiter | null = null;
    for (const one of this.#classes) {
      if (one === null || one.size === 0) continue;
      if (oldest === null || one.first!.arrival < oldest.arrival) oldest = one.first;
      for (const { first } of one.heads) if (first!.arrival < oldest!.arrival) oldest = first;
    }
    return oldest;
  }

  /** Puts a waiter at its place: behind those of its key for a new one, further ahead for one that comes back. */
  add(waiter: Waiter): void {
    if (this.size++ === 0) this.era++;
    const rank = rankOf(waiter);
    (this.#classes[rank] ??= new FairClass()).add(waiter);
    this.#busy |= 1 << rank;
    waiter.line = this;
  }

  /** It leaves without a slot. */
  remove(waiter: Waiter): void {
    if (waiter.line === this) this.#take(waiter, false);
  }

  /** It leaves because it gets a slot. */
  serve(waiter: Waiter): void {
    if (waiter.line === this) this.#take(waiter, true);
  }

  #take(waiter: Waiter, served: boolean): void {
    const rank = rankOf(waiter);
    const one = this.#classes[rank]!;
    one.remove(waiter, served);
    if (one.size === 0) this.#busy &= ~(1 << rank);
    waiter.line = null;
    // Nobody is held by what was looked at earlier.
    if (--this.size === 0) this.#places = null;
  }

  /** Lets those go up who have waited long enough in their class. Looks at one of each key, and not more often than every AGEING_STEP_MS. */
  age(nowMs: number): void {
    if (this.#busy <= 1 || nowMs < this.#ageDueMs) return;
    this.#ageDueMs = nowMs + AGEING_STEP_MS;
    for (let rank = 1; rank < CLASSES; rank++) {
      const one = this.#classes[rank]!;
      if (one === null || one.size === 0) continue;
      const due: Waiter[] = [];
      collectDue(one.back, nowMs, due);
      for (const { first } of one.heads) collectDue(first, nowMs, due);
      for (const waiter of due) this.#goUp(waiter, nowMs);
    }
  }

  #goUp(waiter: Waiter, nowMs: number): void {
    this.#take(waiter, false);
    waiter.aged = stepsOf(waiter, nowMs);
    this.add(waiter);
  }

  /** From 1: its place among those who wait here, as it was within the last PLACES_MS; null beyond the first PLACES. However many ask, it is looked at rarely. */
  placeOf(waiter: Waiter, nowMs: number): number | null {
    if (this.#places === null || nowMs >= this.#placesUntilMs) {
      this.#places = new Map(this.inOrder(PLACES).map((one, i) => [one, i + 1]));
      this.#placesUntilMs = nowMs + PLACES_MS;
    }
    return this.#places.get(waiter) ?? null;
  }

  /** All who wait here, in no order. */
  *all(): Generator<Waiter> {
    for (const one of this.#classes) if (one !== null && one.size > 0) yield* one.all();
  }

  /** The first so many, in the order in which they will be served when nobody else comes. For people to look at. */
  inOrder(most: number): Waiter[] {
    const order: Waiter[] = [];
    for (const one of this.#classes) if (one !== null && one.size > 0 && order.length < most) order.push(...one.inOrder(most - order.length));
    return order;
  }
}

/** From the oldest on, as far as they have waited long enough. */
function collectDue(first: Waiter | null, nowMs: number, due: Waiter[]): void {
  for (let one = first; one !== null && one.aged < stepsOf(one, nowMs); one = one.behind) due.push(one);
}

/** Classes that it should have gone up by now. */
function stepsOf({ label: { ageMs, rank }, notes }: Waiter, nowMs: number): number {
  return ageMs === 0 ? 0 : Math.min(rank, Math.floor((nowMs - notes.startMs) / ageMs));
}
