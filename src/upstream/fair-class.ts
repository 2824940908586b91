// HOT under load: one add and one remove per request that waits.
import type { Waiter } from './queue.ts';

/** Requests of one key in one class of a line: the oldest first. */
export interface Flow {
  readonly key: string;
  readonly weight: number;
  first: Waiter | null;
  last: Waiter | null;
  /** When its first request is due, in the virtual time of its class. */
  due: number;
  /** Place in the heap; -1 = nobody of it waits. */
  at: number;
}

/**
 * Those of one class who wait in one line, in fair shares between their keys: self-clocked fair queueing. Each request costs its key 1/weight; virtual
 * time is what the key served last has come to, and a key that begins to wait begins there: so nobody saves up while he does not wait, and nobody who
 * waits is overtaken by more than one round of newcomers. It is what deficit round robin gives for requests of equal cost, without its bursts.
 */
export class FairClass {
  readonly #flows = new Map<string, Flow>();
  /** By due, then by arrival. */
  readonly #heap: Flow[] = [];
  /** Of requests without a label: stays, because nearly all have none. */
  readonly #plain: Flow = { key: '', weight: 1, first: null, last: null, due: 0, at: -1 };
  /** Those who had a slot and came back: they have paid, and go first. */
  readonly #back: Flow = { key: '', weight: 1, first: null, last: null, due: 0, at: -1 };
  /** Virtual time. */
  #now = 0;
  /** Weights of the keys that wait. */
  weight = 0;
  size = 0;

  get first(): Waiter | null {
    return this.#back.first ?? (this.#heap.length === 0 ? null : this.#heap[0]!.first);
  }

  /** Who is the first of those who had a slot and came back; null when nobody did. */
  get back(): Waiter | null {
    return this.#back.first;
  }

  /** The first of each key. */
  get heads(): readonly Flow[] {
    return this.#heap;
  }

  add(waiter: Waiter): void {
    const { key, weight } = waiter.label;
    this.size++;
    let flow = key === '' ? this.#plain : this.#flows.get(key);
    if (waiter.paid && (flow === undefined || flow.first === null || waiter.arrival < flow.first.arrival)) {
      put(this.#back, waiter);
      return;
    }
    if (flow === undefined) {
      flow = { key, weight, first: null, last: null, due: 0, at: -1 };
      this.#flows.set(key, flow);
    }
    const isNewFirst = put(flow, waiter);
    if (flow.at < 0) {
      flow.due = this.#now + 1 / flow.weight;
      this.weight += flow.weight;
      flow.at = this.#heap.push(flow) - 1;
      if (flow.at > 0) this.#up(flow);
    } else if (isNewFirst) this.#up(flow);
  }

  /** @param served it gets a slot, and its key pays for it */
  remove(waiter: Waiter, served: boolean): void {
    this.size--;
    const flow = waiter.flow!;
    const wasFirst = flow.first === waiter;
    take(flow, waiter);
    if (flow === this.#back) return;
    if (served) {
      waiter.paid = true;
      if (flow.due > this.#now) this.#now = flow.due;
      flow.due += 1 / flow.weight;
    }
    if (flow.first === null) this.#drop(flow);
    else if ((served || wasFirst) && this.#heap.length > 1) this.#down(flow);
  }

  /** All who wait here, in no order. */
  *all(): Generator<Waiter> {
    for (const { first } of [this.#back, ...this.#heap]) for (let one = first; one !== null; one = one.behind) yield one;
  }

  /** The first so many, in the order in which they will be served when nobody else comes. For people to look at. */
  inOrder(most: number): Waiter[] {
    const order: Waiter[] = [];
    for (let one = this.#back.first; one !== null && order.length < most; one = one.behind) order.push(one);
    // Whoever is not among the first so many of the heap is not among the first so many at all.
    const nexts = [...this.#heap]
      .sort((a, b) => (before(a, b) ? -1 : 1))
      .slice(0, most)
      .map(({ first, due, weight }) => ({ first: first!, due, weight }));
    while (order.length < most && nexts.length > 0) {
      let least = 0;
      for (let i = 1; i < nexts.length; i++) if (before(nexts[i]!, nexts[least]!)) least = i;
      const next = nexts[least]!;
      order.push(next.first);
      next.due += 1 / next.weight;
      if (next.first.behind === null) nexts.splice(least, 1);
      else next.first = next.first.behind;
    }
    return order;
  }

  #drop(flow: Flow): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    // The one that was last takes its place, and finds its own from there.
    if (last !== flow) {
      last.at = flow.at;
      heap[last.at] = last;
      this.#up(last);
      this.#down(last);
    }
    flow.at = -1;
    this.weight -= flow.weight;
    if (flow !== this.#plain) this.#flows.delete(flow.key);
  }

  #up(flow: Flow): void {
    const heap = this.#heap;
    let { at } = flow;
    while (at > 0) {
      const above = heap[(at - 1) >> 1]!;
      if (!before(flow, above)) break;
      heap[at] = above;
      const higher = above.at;
      above.at = at;
      at = higher;
    }
    heap[at] = flow;
    flow.at = at;
  }

  #down(flow: Flow): void {
    const heap = this.#heap;
    let { at } = flow;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      const below = heap[child]!;
      if (!before(below, flow)) break;
      heap[at] = below;
      below.at = at;
      at = child;
    }
    heap[at] = flow;
    flow.at = at;
  }
}

function before(a: { due: number; first: Waiter | null }, b: { due: number; first: Waiter | null }): boolean {
  return a.due !== b.due ? a.due < b.due : a.first!.arrival < b.first!.arrival;
}

/** By arrival: the end for a new one, further ahead for one that comes back. @returns whether it is the first now */
function put(flow: Flow, waiter: Waiter): boolean {
  let ahead = flow.last;
  while (ahead !== null && waiter.arrival < ahead.arrival) ahead = ahead.before;
  const next: Waiter | null = ahead === null ? flow.first : ahead.behind;
  waiter.before = ahead;
  waiter.behind = next;
  if (ahead === null) flow.first = waiter;
  else ahead.behind = waiter;
  if (next === null) flow.last = waiter;
  else next.before = waiter;
  waiter.flow = flow;
  return ahead === null;
}

function take(flow: Flow, waiter: Waiter): void {
  if (waiter.before === null) flow.first = waiter.behind;
  else waiter.before.behind = waiter.behind;
  if (waiter.behind === null) flow.last = waiter.before;
  else waiter.behind.before = waiter.before;
  waiter.before = waiter.behind = null;
  waiter.flow = null;
}
