// HOT under load: one add and one remove per request that waits.
import type { RequestHead } from '../http/head.ts';
import type { Candidate, Captures } from './upstream.ts';

/** A request that waits for a slot. It is the node of the list it stands in. */
export interface Waiter {
  /** Lower classes are served first. */
  readonly rank: number;
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
  before: Waiter | null;
  behind: Waiter | null;
  /**
   * A slot is there, and it is yours. Called once per wait, after the waiter has left its line.
   * @returns false when it must look first whether its client is still there: the slot is kept for it until it calls `Upstream.letGo`
   */
  granted(candidate: Candidate): boolean;
}

/** Does `a` go before `b`? By class, then by age. (Fair shares between keys come between the two.) */
export function goesFirst(a: Waiter, b: Waiter): boolean {
  return a.rank !== b.rank ? a.rank < b.rank : a.arrival < b.arrival;
}

/** Requests that wait for the same thing, in the order in which they will be served. */
export class WaitingLine {
  first: Waiter | null = null;
  #last: Waiter | null = null;
  size = 0;

  /** Puts a waiter at its place: the end for a new one, further ahead for one that comes back. */
  add(waiter: Waiter): void {
    let ahead = this.#last;
    while (ahead !== null && goesFirst(waiter, ahead)) ahead = ahead.before;
    const next: Waiter | null = ahead === null ? this.first : ahead.behind;
    waiter.before = ahead;
    waiter.behind = next;
    if (ahead === null) this.first = waiter;
    else ahead.behind = waiter;
    if (next === null) this.#last = waiter;
    else next.before = waiter;
    waiter.line = this;
    this.size++;
  }

  remove(waiter: Waiter): void {
    if (waiter.line !== this) return;
    if (waiter.before === null) this.first = waiter.behind;
    else waiter.before.behind = waiter.behind;
    if (waiter.behind === null) this.#last = waiter.before;
    else waiter.behind.before = waiter.before;
    waiter.before = waiter.behind = null;
    waiter.line = null;
    this.size--;
  }
}
