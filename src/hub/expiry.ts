import type { Loop } from '../std/loop.ts';
import type { Timed } from '../std/sweeper.ts';
import { Failure } from '../http/failure.ts';
import type { Session } from '../tunnel/session.ts';
import { isOver } from '../tunnel/token.ts';

/** How often sessions are looked at, ms. */
const EVERY_MS = 1_000;

/** Ends sessions whose token has ended: what a token proves, it proves for its time only (threat row 35). */
export class Expiry implements Timed {
  due: number;
  place = -1;
  readonly #loop: Loop;
  readonly #sessions: () => Iterable<Session>;

  constructor(loop: Loop, sessions: () => Iterable<Session>) {
    this.#loop = loop;
    this.#sessions = sessions;
    this.due = loop.clock.now() + EVERY_MS;
    loop.sweeper.add(this);
  }

  expired(now: number): void {
    this.due = now + EVERY_MS;
    const wall = this.#loop.clock.wall();
    for (const session of this.#sessions())
      if (isOver(session.agent.expiresMs, wall)) session.close(new Failure('unauthorized', 'the agent token has expired'));
  }

  stop(): void {
    this.#loop.sweeper.remove(this);
  }
}
