import type { Clock } from '../../src/std/clock.ts';

/** A clock and alarms that a test moves. Wall time begins at 1,000,000 s. */
export class MovedTime {
  #nowMs = 0;
  readonly #alarms: { dueMs: number; run: () => void }[] = [];
  readonly clock: Clock = { now: () => this.#nowMs, wall: () => 1e9 + this.#nowMs };

  /** Calls `run` after `ms`. @returns what calls it off */
  readonly alarm = (ms: number, run: () => void): (() => void) => {
    const alarm = { dueMs: this.#nowMs + Math.max(0, ms), run };
    this.#alarms.push(alarm);
    return () => {
      const at = this.#alarms.indexOf(alarm);
      if (at >= 0) this.#alarms.splice(at, 1);
    };
  };

  /** Alarms that are set. */
  get pending(): number {
    return this.#alarms.length;
  }

  /** Lets time go by; whatever becomes due runs at its moment. */
  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#alarms.reduce<{ dueMs: number; run: () => void } | null>(
        (first, one) => (first === null || one.dueMs < first.dueMs ? one : first),
        null,
      );
      if (next === null || next.dueMs > endMs) break;
      this.#alarms.splice(this.#alarms.indexOf(next), 1);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.run();
    }
    this.#nowMs = endMs;
  }

  /** The machine sleeps: time goes by, and nothing runs before it wakes. */
  sleep(ms: number): void {
    this.#nowMs += ms;
    this.pass(0);
  }
}
