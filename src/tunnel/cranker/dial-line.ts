// HOT: take() and release() run per request.
import type { Loop } from '../../std/loop.ts';
import type { Timed } from '../../std/sweeper.ts';
import type { SlotLedger, SlotShare, SlotsUser } from '../native/slots.ts';
import { LINE_PLACES, LINE_WAIT_MS } from './dial-limits.ts';

/** A request that waits for a slot. */
export interface Waiter {
  /** Monotonic ms since when it waits; kept by the line. */
  waitsSinceMs: number;
  /** It has a slot now. */
  served(): void;
  /** It waited for too long. */
  tired(): void;
}

/**
 * Where requests wait that Cranker routers send beyond an agent's slots: these protocols cannot say how many there are. The slots are the agent's, for all
 * of its routers; so is the line.
 */
export class RequestLine implements SlotsUser, Timed {
  readonly roundTripMs = 0;
  due = Infinity;
  place = -1;
  readonly #slots: SlotLedger;
  readonly #loop: Loop;
  readonly #places: number;
  readonly #waitMs: number;
  readonly #share: SlotShare;
  readonly #waiters = new Set<Waiter>();
  readonly #watchers = new Set<() => void>();
  #offers: boolean;
  #serving = false;

  constructor(slots: SlotLedger, loop: Loop, places: number = LINE_PLACES, waitMs: number = LINE_WAIT_MS) {
    this.#slots = slots;
    this.#loop = loop;
    this.#places = places;
    this.#waitMs = waitMs;
    this.#offers = slots.total > 0;
    this.#share = slots.join(this);
  }

  /** Are there any slots? A service that is not well has none. */
  get offers(): boolean {
    return this.#offers;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  get isFull(): boolean {
    return this.#waiters.size >= this.#places;
  }

  /** Requests that one socket may have: those with a slot, those in line, and as many that are being told that there is no room. */
  get mostStreams(): number {
    return this.#slots.total + 2 * this.#places;
  }

  /** Calls `watcher` when `offers` has changed. @returns what ends that */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** A slot, for a request that has just come. */
  take(): boolean {
    return this.#waiters.size === 0 && this.#slots.take(this.#share);
  }

  release(): void {
    this.#slots.release();
  }

  /** @returns false when the line is full */
  wait(waiter: Waiter): boolean {
    if (this.isFull) return false;
    waiter.waitsSinceMs = this.#loop.clock.now();
    this.#waiters.add(waiter);
    if (this.#waiters.size > 1) return true;
    this.due = waiter.waitsSinceMs + this.#waitMs;
    this.#loop.sweeper.add(this);
    return true;
  }

  leave(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    this.#restIfEmpty();
  }

  slotsChanged(): void {
    if (this.#offers !== this.#slots.total > 0) {
      this.#offers = !this.#offers;
      for (const watcher of this.#watchers) watcher();
    }
    // A request may be over before served() returns: its slot comes back within this loop.
    if (this.#serving) return;
    this.#serving = true;
    for (const waiter of this.#waiters) {
      if (!this.#slots.take(this.#share)) break;
      this.#waiters.delete(waiter);
      waiter.served();
    }
    this.#serving = false;
    this.#restIfEmpty();
  }

  expired(now: number): void {
    this.due = Infinity;
    for (const waiter of this.#waiters) {
      const due = waiter.waitsSinceMs + this.#waitMs;
      if (due > now) {
        this.due = due;
        return;
      }
      this.#waiters.delete(waiter);
      waiter.tired();
    }
    this.#restIfEmpty();
  }

  #restIfEmpty(): void {
    if (this.#waiters.size === 0) this.#loop.sweeper.remove(this);
  }
}
