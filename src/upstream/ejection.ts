// HOT: succeeded() and failed() run per attempt.
import type { Clock } from '../std/clock.ts';
import { EJECT_MAX_MS } from './limits.ts';

export interface EjectionSettings {
  /** Requests in a row without a whole answer after which an endpoint gets none for a while; 0 = never. */
  readonly failures: number;
  /** How long the first time, ms. */
  readonly ms: number;
}

/**
 * Passive health: an endpoint that cannot be reached, or breaks off, several times in a row is left out for a while. After that the next request
 * decides: if it fails too, the endpoint is left out for twice as long.
 */
export class Ejection {
  ejected = false;
  /** Until when, monotonic ms; Infinity while it is not. */
  untilMs = Number.POSITIVE_INFINITY;
  /** How often so far. */
  times = 0;
  #settings: EjectionSettings;
  readonly #clock: Clock;
  #inARow = 0;
  /** Ejections without a success between them. */
  #again = 0;

  constructor(settings: EjectionSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** @returns whether the endpoint has come back by it */
  configure(settings: EjectionSettings): boolean {
    this.#settings = settings;
    if (settings.failures > 0 || !this.ejected) return false;
    this.#return();
    return true;
  }

  /** It was down for certain, and is up again: what happened before counts no more. */
  forget(): void {
    this.#again = 0;
    this.#return();
  }

  /** Something came back from it. */
  succeeded(): void {
    if (this.ejected) return;
    this.#inARow = 0;
    this.#again = 0;
  }

  /** @returns whether it has been ejected by it */
  failed(): boolean {
    const { failures, ms } = this.#settings;
    if (failures === 0 || this.ejected) return false;
    if (++this.#inARow < failures && this.#again === 0) return false;
    this.ejected = true;
    this.times++;
    this.untilMs = this.#clock.now() + Math.max(ms, Math.min(EJECT_MAX_MS, ms * 2 ** Math.min(this.#again, 20)));
    this.#again++;
    return true;
  }

  /** @returns whether its time has come, so that it gets requests again */
  tick(now: number): boolean {
    if (!this.ejected || now < this.untilMs) return false;
    this.#return();
    return true;
  }

  #return(): void {
    this.ejected = false;
    this.untilMs = Number.POSITIVE_INFINITY;
    this.#inARow = 0;
  }
}
