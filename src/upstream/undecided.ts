import type { Loop } from '../std/loop.ts';
import type { ReplySink, RequestSink, Writer } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import type { HeaderList, RequestHead } from '../http/head.ts';
import { HELD_BYTES } from './limits.ts';

/** A request that waits until TLS has chosen the protocol that it is sent in. Then it only passes on. */
export class Undecided implements RequestSink {
  readonly #loop: Loop;
  readonly head: RequestHead;
  readonly authority: string;
  readonly reply: ReplySink;
  readonly #left: (undecided: Undecided) => void;
  #writer: Writer | null = null;
  #sink: (RequestSink & Partial<Reclaimable>) | null = null;
  #body: Uint8Array[] = [];
  #bytes = 0;
  #complete = false;
  #trailers: HeaderList | undefined = undefined;
  #blocked = false;
  #over = false;

  /** `left`: told when its caller gives it up. */
  constructor(loop: Loop, head: RequestHead, authority: string, reply: ReplySink, left: (undecided: Undecided) => void) {
    this.#loop = loop;
    this.head = head.keep();
    this.authority = authority;
    this.reply = reply;
    this.#left = left;
  }

  get writer(): Writer | null {
    return this.#writer;
  }

  set writer(writer: Writer | null) {
    this.#writer = writer;
    if (this.#sink !== null) this.#sink.writer = writer;
  }

  /** Bytes that wait here. */
  get bufferedBytes(): number {
    return this.#sink === null ? this.#bytes : 0;
  }

  /** It is decided: this is where it goes. */
  become(sink: RequestSink): void {
    this.#sink = sink;
    sink.writer = this.#writer;
    let room = true;
    for (const chunk of this.#body) room = sink.write(chunk);
    this.#body = [];
    if (this.#complete) sink.end(this.#trailers);
    else if (this.#blocked && room) this.#writer?.drained();
  }

  /** It goes nowhere. */
  unserved(failure: Failure): void {
    if (this.#over) return;
    this.#over = true;
    this.reply.abort(failure);
    this.reply.settled();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#sink !== null) return this.#sink.write(chunk);
    if (this.#over) return true;
    this.#body.push(this.#loop.reads.keep(chunk));
    this.#bytes += chunk.length;
    this.#blocked = this.#bytes >= HELD_BYTES;
    return !this.#blocked;
  }

  end(trailers?: HeaderList): void {
    if (this.#sink !== null) this.#sink.end(trailers);
    else {
      this.#complete = true;
      this.#trailers = trailers;
    }
  }

  abort(failure: Failure): void {
    if (this.#sink !== null) {
      this.#sink.abort(failure);
      return;
    }
    if (this.#over) return;
    this.#over = true;
    this.#left(this);
    this.reply.settled();
  }

  settled(): void {
    this.#sink?.settled();
  }

  /** What came of the body, while all of it is still here: for another attempt elsewhere. The head is the caller's to keep. */
  reclaim(): ReturnType<Reclaimable['reclaim']> {
    if (this.#sink !== null) return this.#sink.reclaim?.() ?? null;
    if (this.#trailers !== undefined) return null;
    return { head: null, body: this.#body, complete: this.#complete };
  }
}

/** A sink that can give back what it was given. */
interface Reclaimable {
  reclaim(): { head: null; body: Uint8Array[]; complete: boolean } | null;
}
