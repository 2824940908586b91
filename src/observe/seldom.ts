/** Keeps what may happen thousands of times from filling a log: each kind is told of now and then, with how many were not. */
export class Seldom {
  readonly #everyMs: number;
  readonly #now: () => number;
  readonly #kinds = new Map<string, { dueMs: number; missed: number }>();

  /** `now`: monotonic ms. */
  constructor(everyMs: number, now: () => number) {
    this.#everyMs = everyMs;
    this.#now = now;
  }

  /** Is this one to be told of? @returns how many of its kind were not since the last one that was; null: neither is this */
  ask(kind: string): number | null {
    const now = this.#now();
    let known = this.#kinds.get(kind);
    if (known === undefined) {
      // Kinds are few by nature; should somebody find a way to make more, the last of them share a place.
      if (this.#kinds.size >= KINDS) return this.ask([...this.#kinds.keys()].at(-1)!);
      this.#kinds.set(kind, (known = { dueMs: -Infinity, missed: 0 }));
    }
    if (now < known.dueMs) {
      known.missed++;
      return null;
    }
    const { missed } = known;
    known.dueMs = now + this.#everyMs;
    known.missed = 0;
    return missed;
  }
}

const KINDS = 100;
