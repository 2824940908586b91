// HOT: succeeded() and failed() run per attempt at an upstream that has a breaker.
import type { Clock } from '../std/clock.ts';

/**
 * `closed`: requests pass, and their failures are counted. `open`: none passes. `half_open`: a few are tried; enough successes in a row close it,
 * one failure opens it again.
 */
export type BreakerState = 'closed' | 'open' | 'half_open';

export interface BreakerSettings {
  /** Failures in a row that open it; 0 = not by these. */
  readonly consecutiveFailures: number;
  /** Share of failures within the window that opens it, percent; 0 = not by this. */
  readonly failurePercent: number;
  /** Requests within the window from which the share counts. */
  readonly minRequests: number;
  /** Length of the window, ms. */
  readonly windowMs: number;
  /** How long it stays open, ms. */
  readonly openMs: number;
  /** Successes in a row that close it again; no more are tried at once. */
  readonly halfOpenSuccesses: number;
}

/** Pieces that the window is made of: it moves on by one of them at a time. */
const PIECES = 10;

/** A circuit breaker in front of one endpoint. It has no timer: whoever owns it calls tick() at `reopenMs`. */
export class Breaker {
  state: BreakerState = 'closed';
  /** When it is to be tried again, monotonic ms; Infinity unless it is open. */
  reopenMs = Number.POSITIVE_INFINITY;
  /** How often it has opened. */
  opened = 0;
  #settings: BreakerSettings;
  readonly #clock: Clock;
  #inARow = 0;
  #successes = 0;
  /** Trials under way. */
  #trials = 0;
  /** Requests and failures by piece of the window, and which piece is the current one. */
  readonly #requests = new Int32Array(PIECES);
  readonly #failures = new Int32Array(PIECES);
  #piece = -1;

  constructor(settings: BreakerSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Other limits from now on; what has been counted stays. */
  configure(settings: BreakerSettings): void {
    if (settings.windowMs !== this.#settings.windowMs) this.#forget();
    this.#settings = settings;
    if (this.state !== 'closed' && !this.enabled) this.#close();
  }

  get enabled(): boolean {
    return this.#settings.consecutiveFailures > 0 || this.#settings.failurePercent > 0;
  }

  /** May a request pass now? */
  get lets(): boolean {
    if (this.state === 'half_open') return this.#trials + this.#successes < this.#settings.halfOpenSuccesses;
    return this.state === 'closed';
  }

  /** A request that passed while it was closed went well. */
  succeeded(): void {
    if (this.state !== 'closed' || !this.enabled) return;
    this.#inARow = 0;
    if (this.#settings.failurePercent > 0) this.#requests[this.#now()]!++;
  }

  /** It did not. @returns whether the breaker opened */
  failed(): boolean {
    if (this.state !== 'closed' || !this.enabled) return false;
    const { consecutiveFailures, failurePercent } = this.#settings;
    this.#inARow++;
    if (failurePercent > 0) {
      const piece = this.#now();
      this.#requests[piece]!++;
      this.#failures[piece]!++;
    }
    if ((consecutiveFailures > 0 && this.#inARow >= consecutiveFailures) || (failurePercent > 0 && this.#tooMany)) {
      this.#open();
      return true;
    }
    return false;
  }

  /** A request that passed while it was half open is under way. */
  trialBegan(): void {
    this.#trials++;
  }

  /** It is over, whatever came of it. */
  trialEnded(): void {
    this.#trials--;
  }

  /** @returns whether the breaker closed */
  trialSucceeded(): boolean {
    if (this.state !== 'half_open' || ++this.#successes < this.#settings.halfOpenSuccesses) return false;
    this.#close();
    return true;
  }

  /** @returns whether the breaker opened again */
  trialFailed(): boolean {
    if (this.state !== 'half_open') return false;
    this.#open();
    return true;
  }

  /** @returns whether its time has come, so that it is half open now */
  tick(now: number): boolean {
    if (this.state !== 'open' || now < this.reopenMs) return false;
    this.state = 'half_open';
    this.reopenMs = Number.POSITIVE_INFINITY;
    this.#successes = 0;
    return true;
  }

  #open(): void {
    this.state = 'open';
    this.opened++;
    this.reopenMs = this.#clock.now() + this.#settings.openMs;
    this.#inARow = 0;
    this.#forget();
  }

  #close(): void {
    this.state = 'closed';
    this.reopenMs = Number.POSITIVE_INFINITY;
    this.#inARow = 0;
    this.#forget();
  }

  get #tooMany(): boolean {
    let requests = 0;
    let failures = 0;
    for (let i = 0; i < PIECES; i++) {
      requests += this.#requests[i]!;
      failures += this.#failures[i]!;
    }
    return requests >= this.#settings.minRequests && failures * 100 >= requests * this.#settings.failurePercent;
  }

  /** The piece of the window that is now; what lies before the window is forgotten. */
  #now(): number {
    const piece = Math.floor((this.#clock.now() * PIECES) / Math.max(1, this.#settings.windowMs));
    const passed = piece - this.#piece;
    if (passed !== 0) {
      if (passed >= PIECES || passed < 0 || this.#piece < 0) this.#forget();
      else for (let i = this.#piece + 1; i <= piece; i++) this.#requests[i % PIECES] = this.#failures[i % PIECES] = 0;
      this.#piece = piece;
    }
    return piece % PIECES;
  }

  #forget(): void {
    this.#requests.fill(0);
    this.#failures.fill(0);
  }
}
