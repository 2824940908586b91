/** Something that counts what it does. */
export interface Counted {
  readonly requests: number;
  readonly errors: number;
}

export interface Rate {
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
}

interface Marks {
  readonly atMs: number;
  /** What each had counted then. */
  readonly of: ReadonlyMap<object, Counted>;
}

/** How often all counts are noted, ms: rates are those of the last five to ten seconds. */
const MARK_MS = 5_000;

/** How fast things count: by what they had counted a few seconds ago. One note of all of them now and then costs less than a rate kept by each. */
export class Pace {
  readonly #each: (visit: (what: object, requests: number, errors: number) => void) => void;
  #older: Marks;
  #newer: Marks;

  /** `each`: shows all there are. What is not shown at first and later is has counted from 0. */
  constructor(now: number, each: (visit: (what: object, requests: number, errors: number) => void) => void) {
    this.#each = each;
    this.#older = this.#newer = this.#mark(now);
  }

  /** Call it at least every few seconds. */
  passed(now: number): void {
    if (now - this.#newer.atMs < MARK_MS) return;
    this.#older = this.#newer;
    this.#newer = this.#mark(now);
  }

  of(what: object, requests: number, errors: number, now: number): Rate {
    const { atMs, of } = this.#older;
    const before = of.get(what);
    const seconds = Math.max(1, (now - atMs) / 1000);
    return {
      requestsPerSecond: Math.max(0, requests - (before?.requests ?? 0)) / seconds,
      errorsPerSecond: Math.max(0, errors - (before?.errors ?? 0)) / seconds,
    };
  }

  #mark(atMs: number): Marks {
    const of = new Map<object, Counted>();
    this.#each((what, requests, errors) => {
      if (requests > 0) of.set(what, { requests, errors });
    });
    return { atMs, of };
  }
}
