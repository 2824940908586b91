import type { Clock } from '../../std/clock.ts';
import { FORGET_MS, HOLD_MAX_MS, REMEMBERED, TRIES } from './limits.ts';

/** Wrong tries of one address, or for one user. */
interface Count {
  wrong: number;
  /** Nothing is looked at before, monotonic ms. */
  untilMs: number;
  lastMs: number;
  /** What was tried last, so that a program with an old password that asks all day counts once: it guesses nothing. */
  readonly tried: string[];
}

/** Remembers who guesses. All that is given are names of which the length is bounded. */
export class Tries {
  readonly #clock: Clock;
  readonly #addresses = new Map<string, Count>();
  readonly #users = new Map<string, Count>();
  /** Addresses from which users were right: others' guesses do not keep these out. */
  readonly #known = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long nothing is looked at from this address, or for this user from addresses that are strange to it; ms, 0 = not held. */
  heldMs(address: string, user: string): number {
    if (this.#addresses.size === 0 && this.#users.size === 0) return 0;
    const now = this.#clock.now();
    const ofAddress = (this.#addresses.get(address)?.untilMs ?? 0) - now;
    const ofUser = this.#known.has(knownAs(address, user)) ? 0 : (this.#users.get(user)?.untilMs ?? 0) - now;
    return Math.max(0, ofAddress, ofUser);
  }

  /** Was this one of the last wrong ones from there? */
  isRepeated(address: string, credential: string): boolean {
    return this.#addresses.get(address)?.tried.includes(credential) === true;
  }

  /** A wrong one, or one of which nobody knows yet: many at the same time must not all slip through. */
  wrong(address: string, user: string, credential: string): void {
    const now = this.#clock.now();
    const of = count(this.#addresses, address, now);
    of.tried.push(credential);
    if (of.tried.length > TRIES) of.tried.shift();
    count(this.#users, user, now);
  }

  /** It was right after all. */
  forgive(address: string, user: string, credential: string): void {
    for (const of of [this.#addresses.get(address), this.#users.get(user)]) {
      if (of === undefined) continue;
      of.wrong--;
      if (of.wrong < TRIES) of.untilMs = 0;
      const at = of.tried.indexOf(credential);
      if (at >= 0) of.tried.splice(at, 1);
    }
  }

  /** The user was right from there. */
  right(address: string, user: string): void {
    const name = knownAs(address, user);
    if (this.#known.has(name)) return;
    bound(this.#known);
    this.#known.add(name);
  }
}

function count(counts: Map<string, Count>, name: string, now: number): Count {
  let of = counts.get(name);
  if (of === undefined || now - of.lastMs > FORGET_MS) of = { wrong: 0, untilMs: 0, lastMs: now, tried: [] };
  counts.delete(name);
  bound(counts);
  counts.set(name, of);
  of.wrong++;
  of.lastMs = now;
  if (of.wrong >= TRIES) of.untilMs = now + Math.min(HOLD_MAX_MS, 1_000 * 2 ** (of.wrong - TRIES));
  return of;
}

/** Whoever was seen longest ago makes room. */
function bound(of: Map<string, unknown> | Set<string>): void {
  if (of.size < REMEMBERED) return;
  const { value } = of.keys().next();
  if (value !== undefined) of.delete(value);
}

function knownAs(address: string, user: string): string {
  return `${address} ${user}`;
}
