import type { Clock } from '../../std/clock.ts';
import type { HealthCheck } from '../../schema/health-check.ts';
import { FIRST_PROBE_MS } from './limits.ts';
import type { Probe, Verdict } from './probe.ts';

/** How an endpoint is, and since when. */
export interface HealthState {
  readonly healthy: boolean;
  /** Wall clock of the last flip, ms; of the beginning, when there was none. */
  readonly sinceMs: number;
  /** What the last probe found; '' before the first. */
  readonly lastReason: string;
  /** How long the last probe took, ms. */
  readonly lastMs: number;
  /** Wall clock of the last result, ms; 0 before the first. */
  readonly checkedMs: number;
  /** Results in a row like the last one. */
  readonly consecutive: number;
  readonly passed: number;
  readonly failed: number;
}

/** Calls `run` after `ms`. @returns what calls it off */
export type Alarm = (ms: number, run: () => void) => () => void;

export interface CheckerOptions {
  readonly check: Pick<HealthCheck, 'everyMs' | 'success' | 'failure'>;
  readonly probe: Probe;
  readonly clock: Clock;
  readonly alarm?: Alarm;
  /** A moment (monotonic ms) at which a probe would be due: all others are whole intervals away from it. */
  readonly gridMs: number;
  /** `healthy`: until the thresholds say otherwise. `unknown`: not healthy, and the first result decides alone. */
  readonly begins: 'healthy' | 'unknown';
  /** After each result. */
  checked?(ok: boolean): void;
  /** After a flip, and after the result that ends `unknown`. */
  changed(state: HealthState): void;
}

/** Probes one endpoint at its interval, and says when it has become well or ill. */
export class Checker {
  readonly #options: CheckerOptions;
  readonly #alarm: Alarm;
  #probe: Probe;
  #state: HealthState;
  #decided: boolean;
  #lastOk: boolean | null = null;
  #probing = false;
  #closed = false;
  #dueMs: number;
  #callOff: (() => void) | null = null;

  constructor(options: CheckerOptions) {
    this.#options = options;
    this.#alarm = options.alarm ?? timeout;
    this.#probe = options.probe;
    this.#decided = options.begins === 'healthy';
    this.#state = {
      healthy: this.#decided,
      sinceMs: options.clock.wall(),
      lastReason: '',
      lastMs: 0,
      checkedMs: 0,
      consecutive: 0,
      passed: 0,
      failed: 0,
    };
    const now = options.clock.now();
    const { everyMs } = options.check;
    this.#dueMs = options.gridMs + Math.ceil((now - options.gridMs) / everyMs) * everyMs;
    // The first look is an early one, at its own part of the first second: the rest of the interval goes by before the grid begins.
    this.#wait((this.#dueMs - now) % FIRST_PROBE_MS);
  }

  get state(): HealthState {
    return this.#state;
  }

  /** Probes in another way from now on; what was found stays. */
  set probe(probe: Probe) {
    this.#probe.close();
    this.#probing = false;
    this.#probe = probe;
  }

  close(): void {
    this.#closed = true;
    this.#callOff?.();
    this.#probe.close();
  }

  #wait(ms: number): void {
    this.#callOff = this.#alarm(ms, () => this.#tick());
  }

  #tick(): void {
    const { clock, check } = this.#options;
    const now = clock.now();
    // Whole intervals from the grid: what is late, or was slept through, moves nothing. (A timer may fire a fraction of a millisecond early.)
    if (this.#dueMs <= now + 1) this.#dueMs += (Math.floor((now + 1 - this.#dueMs) / check.everyMs) + 1) * check.everyMs;
    this.#wait(this.#dueMs - now);
    // One at a time: a probe that takes longer than the interval stands for the one that is due now.
    if (this.#probing) return;
    this.#probing = true;
    this.#probe.start((verdict) => {
      this.#probing = false;
      if (!this.#closed) this.#take(verdict, clock.now() - now);
    });
  }

  #take({ ok, reason }: Verdict, lastMs: number): void {
    const { check, clock } = this.#options;
    const before = this.#state;
    const consecutive = ok === this.#lastOk ? before.consecutive + 1 : 1;
    this.#lastOk = ok;
    const enough = consecutive >= (ok ? check.success : check.failure);
    const flips = !this.#decided || (ok !== before.healthy && enough);
    this.#decided = true;
    const nowMs = clock.wall();
    this.#state = {
      healthy: flips ? ok : before.healthy,
      sinceMs: flips ? nowMs : before.sinceMs,
      lastReason: reason,
      lastMs,
      checkedMs: nowMs,
      consecutive,
      passed: before.passed + (ok ? 1 : 0),
      failed: before.failed + (ok ? 0 : 1),
    };
    this.#options.checked?.(ok);
    if (flips) this.#options.changed(this.#state);
  }
}

function timeout(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  timer.unref();
  return () => clearTimeout(timer);
}
