import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../std/clock.ts';
import { adminLimits } from './limits.ts';
import type { Standing } from './people.ts';
import type { Role } from './route.ts';

/** Somebody who has logged in with a browser. */
export interface Session {
  /** What the cookie's digest is: nobody can make the cookie of it. */
  readonly key: string;
  readonly standing: Standing;
  readonly csrf: string;
  readonly openedMs: number;
  usedMs: number;
}

/** Sessions of this process; they end with it. */
export class Sessions {
  readonly #clock: Clock;
  readonly #all = new Map<string, Session>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A new one, with an id that nobody has had before (whatever the browser sent). */
  open(standing: Standing): { readonly id: string; readonly session: Session } {
    const id = randomBytes(32).toString('base64url');
    const now = this.#clock.now();
    const session: Session = { key: digestOf(id), standing, csrf: randomBytes(24).toString('base64url'), openedMs: now, usedMs: now };
    if (this.#all.size >= adminLimits.sessions) this.#all.delete(this.#all.keys().next().value!);
    this.#all.set(session.key, session);
    return { id, session };
  }

  /** By what the browser sent: it counts as used. Null: there is none, or it is over. */
  use(id: string): { readonly session: Session; readonly role: Role } | null {
    const session = this.#all.get(digestOf(id));
    if (session === undefined) return null;
    const role = this.roleOf(session);
    if (role === null) return null;
    session.usedMs = this.#clock.now();
    // The order is that of use.
    this.#all.delete(session.key);
    this.#all.set(session.key, session);
    return { session, role };
  }

  /** Of one that is not over; null: it is, and is forgotten. Does not count as use. */
  roleOf(session: Session): Role | null {
    if (!this.#all.has(session.key)) return null;
    const role = this.#clock.now() < this.#endsMs(session) ? session.standing.role() : null;
    if (role === null) this.#all.delete(session.key);
    return role;
  }

  /** How long it would last from now on if nobody used it, ms. */
  leftMs(session: Session): number {
    return Math.max(0, this.#endsMs(session) - this.#clock.now());
  }

  close(session: Session): void {
    this.#all.delete(session.key);
  }

  #endsMs({ usedMs, openedMs }: Session): number {
    return Math.min(usedMs + adminLimits.sessionIdleMs, openedMs + adminLimits.sessionMs);
  }
}

/** Random ids and tokens are looked up by their digests: how long that takes tells nothing of them, and what is kept cannot be used. */
export function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}
