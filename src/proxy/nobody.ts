import type { Notes, ReplySink, RequestSink, Writer } from '../http/exchange.ts';
import type { ResponseHead } from '../http/head.ts';

/** The client of a request that a plugin makes once more in the background: takes the answer, forgets it, and says when all is over. */
export class Nobody implements ReplySink {
  writer: Writer | null = null;
  readonly #notes: Notes;
  /** Set when it is there, before anything can end. */
  request: RequestSink | null = null;
  #isOver = false;

  constructor(notes: Notes) {
    this.#notes = notes;
  }

  informational(): void {}

  head(head: ResponseHead): void {
    this.#notes.status = head.status;
  }

  write(): boolean {
    return true;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // Never from inside the call that ends it: whoever ends it has more to do.
    setImmediate(() => this.request!.settled());
  }

  abort(): void {
    this.end();
  }

  settled(): void {}
}
