import type { Clock } from '../std/clock.ts';
import type { AgentMember } from './agent-member.ts';
import type { AgentSelection } from './agent-selection.ts';
import { AFFINITY_STEP_MS } from './limits.ts';
import { type Waiter, WaitingLine } from './queue.ts';

/** A request that waits for one agent alone, and until when. */
export interface Preference {
  readonly selection: AgentSelection;
  /** Whoever may serve it when it does not any more. */
  readonly facts: readonly string[];
  /** Monotonic ms. */
  readonly dueMs: number;
}

/** Requests that wait for the agent their key belongs to, each for a time, and then for any. */
export class Affinity {
  readonly #clock: Clock;
  readonly #over: (waiter: Waiter, preference: Preference) => void;
  readonly #all = new Map<Waiter, Preference>();
  #timer: NodeJS.Timeout | null = null;
  #timerDueMs = Number.POSITIVE_INFINITY;

  /** `over`: a waiter's time is over; it stands in no line when this is called, and prefers nobody. */
  constructor(clock: Clock, over: (waiter: Waiter, preference: Preference) => void) {
    this.#clock = clock;
    this.#over = over;
  }

  add(waiter: Waiter, member: AgentMember, preference: Preference): void {
    (member.own ??= new WaitingLine()).add(waiter);
    this.#all.set(waiter, preference);
    this.#arm(preference.dueMs);
  }

  /** What it prefers; null when it does not wait for one agent alone. */
  of(waiter: Waiter): Preference | null {
    return this.#all.get(waiter) ?? null;
  }

  /** It has left its line, or is about to. */
  take(waiter: Waiter): Preference | null {
    const preference = this.#all.get(waiter);
    if (preference === undefined) return null;
    this.#all.delete(waiter);
    return preference;
  }

  #arm(dueMs: number): void {
    if (dueMs >= this.#timerDueMs) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(this.#look, Math.max(AFFINITY_STEP_MS, dueMs - this.#clock.now()));
    this.#timer.unref();
  }

  readonly #look = (): void => {
    this.#timer = null;
    this.#timerDueMs = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    const over: Waiter[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [waiter, { dueMs }] of this.#all) {
      if (dueMs <= now) over.push(waiter);
      else next = Math.min(next, dueMs);
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
    // Who is told may make others leave.
    for (const waiter of over) {
      const preference = this.take(waiter);
      if (preference === null) continue;
      waiter.line!.remove(waiter);
      this.#over(waiter, preference);
    }
  };
}
