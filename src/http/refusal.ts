import type { Flushable, Turn } from '../std/turn.ts';
import type { ReplySink, RequestSink, Writer } from './exchange.ts';
import type { Failure } from './failure.ts';

/** A request that fails as soon as it has been opened: nothing is said to a reply from inside of open(). */
export class Refusal implements RequestSink, Flushable {
  queued = false;
  writer: Writer | null = null;
  readonly #reply: ReplySink;
  readonly #failure: Failure;
  #aborted = false;

  constructor(turn: Turn, reply: ReplySink, failure: Failure) {
    this.#reply = reply;
    this.#failure = failure;
    turn.later(this);
  }

  flush(): void {
    if (!this.#aborted) this.#reply.abort(this.#failure);
    this.#reply.settled();
  }

  write(): boolean {
    return true;
  }

  end(): void {}

  abort(): void {
    this.#aborted = true;
  }

  settled(): void {}
}
