import type { Loop } from '../std/loop.ts';
import type { Timed } from '../std/sweeper.ts';
import { Failure } from '../http/failure.ts';
import type { Session } from '../tunnel/session.ts';
import { CLOCK_LEEWAY_MS } from '../tunnel/token.ts';

/** How often sessions are looked at, ms. */
const EVERY_MS = 1_000;

/**
 * Ends sessions whose token has ended: what a token proves, it proves for its time only (threat row 35). How long that is is reckoned once, at the
 * handshake, and measured by the monotonic clock: a wall clock that jumps must not end every session at once (threat row 81).
 */
export class Expiry implements Timed {
  due: number;
  place = -1;
  readonly #loop: Loop;
  /** When each session ends whose token does, monotonic ms. */
  readonly #ends = new Map<Session, number>();

  constructor(loop: Loop) {
    this.#loop = loop;
    this.due = loop.clock.now() + EVERY_MS;
    loop.sweeper.add(this);
  }

  joined(session: Session): void {
    const { expiresMs } = session.agent;
    const { clock } = this.#loop;
    if (expiresMs !== 0) this.#ends.set(session, clock.now() + expiresMs + CLOCK_LEEWAY_MS - clock.wall());
  }

  left(session: Session): void {
    this.#ends.delete(session);
  }

  expired(now: number): void {
    this.due = now + EVERY_MS;
    for (const [session, endMs] of this.#ends) if (now >= endMs) session.close(new Failure('unauthorized', 'the agent token has expired'));
  }

  stop(): void {
    this.#loop.sweeper.remove(this);
  }
}
