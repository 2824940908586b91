import { randomBytes } from 'node:crypto';
import type { Clock } from '../std/clock.ts';
import { adminLimits } from './limits.ts';
import type { Standing } from './people.ts';
import { digestOf } from './sessions.ts';

/** Login links: each lets one browser in, once and soon, as the one who made it. */
export class Tickets {
  readonly #clock: Clock;
  readonly #all = new Map<string, { readonly standing: Standing; readonly untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  issue(standing: Standing): string {
    const ticket = randomBytes(32).toString('base64url');
    if (this.#all.size >= adminLimits.tickets) this.#all.delete(this.#all.keys().next().value!);
    this.#all.set(digestOf(ticket), { standing, untilMs: this.#clock.now() + adminLimits.ticketMs });
    return ticket;
  }

  /** Null: there is none, it was used, or it is too old. */
  redeem(ticket: string): Standing | null {
    const key = digestOf(ticket);
    const found = this.#all.get(key);
    this.#all.delete(key);
    return found === undefined || found.untilMs <= this.#clock.now() || found.standing.role() === null ? null : found.standing;
  }
}
