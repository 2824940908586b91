// HOT: one object per request of an HTTP/1 server.
import type { Notes, ReplySink, RequestSink, Writer } from './exchange.ts';
import { Failure } from './failure.ts';
import { type HeaderList, NO_BODY, type RequestHead, type ResponseHead, UNKNOWN_LENGTH } from './head.ts';
import { CONTENT_LENGTH } from './names.ts';
import { COPY_BYTES } from './outbox.ts';
import type { ServerConnection } from './server-connection.ts';
import { type Closing, responseRoom, trailerLines, writeResponse } from './write.ts';

const LAST_CHUNK = '0\r\n\r\n';

/** How the end of an answer's body is told. */
const BY_NOTHING = 0;
const BY_LENGTH = 1;
const BY_CHUNKS = 2;
const BY_CLOSE = 3;

/** One request and its answer on a client connection: the reply sink of the handler, and the writer of the request's body. */
export class ServerExchange implements ReplySink, Writer {
  readonly #connection: ServerConnection;
  readonly notes: Notes;
  writer: Writer | null = null;
  sink: RequestSink = NOWHERE;
  keepAlive: boolean;
  upgradable = false;
  /** Nothing more is to be said: calls are ignored. */
  dead = false;
  headSent = false;
  ended = false;
  stalled = false;
  readonly #isHead: boolean;
  readonly #minor: number;
  #awaitsContinue: boolean;
  #by = BY_NOTHING;
  #remaining = 0;
  #settled = false;

  constructor(connection: ServerConnection, notes: Notes, head: RequestHead | null) {
    this.#connection = connection;
    this.notes = notes;
    this.#isHead = head !== null && head.method === 'HEAD';
    this.#minor = head === null ? 1 : head.minor;
    this.keepAlive = head !== null && head.keepAlive;
    this.#awaitsContinue = head !== null && head.expectContinue;
  }

  informational(head: ResponseHead): void {
    if (this.dead || this.headSent || this.#minor === 0) return;
    if (head.status === 100) {
      if (!this.#awaitsContinue) return;
      this.#awaitsContinue = false;
      this.#connection.sendContinue();
      return;
    }
    head.remove(CONTENT_LENGTH);
    head.length = NO_BODY;
    this.#writeHead(head, false, 'keep');
    this.#connection.out.send();
  }

  head(head: ResponseHead): void {
    if (this.dead || this.headSent) return;
    const { status } = head;
    this.headSent = true;
    this.notes.status = status;
    const connection = this.#connection;
    if (status === 101) {
      if (!this.upgradable) {
        this.abort(new Failure('bad_response', 'an upgrade that nobody asked for'));
        return;
      }
      this.#by = BY_CLOSE;
      this.keepAlive = false;
      head.length = NO_BODY;
      this.#writeHead(head, false, 'keep');
      connection.out.send();
      connection.goRaw();
      return;
    }
    if (status === 204 || status === 304 || this.#isHead) {
      this.#by = BY_NOTHING;
      if (status === 204) {
        head.remove(CONTENT_LENGTH);
        head.length = NO_BODY;
      }
    } else if (head.length === UNKNOWN_LENGTH) {
      if (this.#minor === 1) this.#by = BY_CHUNKS;
      else {
        this.#by = BY_CLOSE;
        this.keepAlive = false;
      }
    } else {
      if (head.length === NO_BODY) head.length = 0;
      this.#by = BY_LENGTH;
      this.#remaining = head.length;
    }
    // The client may or may not send its body now: only closing makes that certain (RFC 9110 10.1.1).
    if (this.#awaitsContinue) this.keepAlive = false;
    // Who answers before the upload is through may not read all of it, and says so: else the client's next request meets a connection that closes.
    if (this.#by === BY_LENGTH && connection.muchUnread) this.keepAlive = false;
    head.upgrade = '';
    const closing: Closing = !this.keepAlive ? 'close' : this.#minor === 0 ? 'keep-alive' : 'keep';
    this.#writeHead(head, this.#by === BY_CHUNKS, closing);
  }

  #writeHead(head: ResponseHead, chunked: boolean, closing: Closing): void {
    const { out } = this.#connection;
    // Room for a small body behind the head: both then leave in one piece.
    const slab = out.reserve(responseRoom(head) + COPY_BYTES);
    out.wrote(slab, writeResponse(head, chunked, closing, slab.bytes, slab.at));
  }

  write(chunk: Uint8Array): boolean {
    if (this.dead || this.ended || this.#by === BY_NOTHING) return true;
    const n = chunk.length;
    if (n === 0) return true;
    const connection = this.#connection;
    if (this.#by === BY_LENGTH) {
      if (n > this.#remaining) {
        this.abort(new Failure('bad_response', 'the answer is longer than its Content-Length'));
        return true;
      }
      this.#remaining -= n;
    }
    this.notes.replyBytes += n;
    if (this.#by === BY_CHUNKS) connection.out.chunk(chunk);
    else connection.out.body(chunk);
    if (!connection.out.full) return true;
    this.stalled = true;
    connection.stall();
    return false;
  }

  end(trailers?: HeaderList): void {
    if (this.dead || this.ended) return;
    const connection = this.#connection;
    if (!this.headSent || (this.#by === BY_LENGTH && this.#remaining > 0)) {
      this.abort(new Failure('upstream_closed', 'the answer ended before it was complete'));
      return;
    }
    if (this.#by === BY_CHUNKS) connection.out.text(trailers === undefined ? LAST_CHUNK : `0\r\n${trailerLines(trailers)}\r\n`);
    this.ended = true;
    connection.out.send();
    if (connection.isRaw) {
      connection.wire.end();
      return;
    }
    connection.replied(this);
    if (this.sink !== NOWHERE) this.settle();
  }

  /** The answer breaks off: the one honest signal left is a broken connection (rule R2). */
  abort(failure: Failure): void {
    // An upgraded connection whose other half is still open can be broken off behind its end.
    if (this.dead || (this.ended && !this.#connection.isRaw)) return;
    this.dead = true;
    this.notes.failure ??= failure;
    this.#connection.out.send();
    // What was written still goes out; FIN without the promised end is unmistakable for every framing but a close-delimited one.
    this.#connection.cut(this.ended || (this.headSent && this.#by !== BY_CLOSE));
    if (this.sink !== NOWHERE) this.settle();
  }

  /** Takes the request sink that answers were waiting for; the handler may have answered from inside open() already. */
  attach(sink: RequestSink): void {
    sink.writer = this;
    this.sink = sink;
    if (this.over) this.settle();
  }

  /** Has the answer ended, one way or the other? */
  get over(): boolean {
    return this.ended || this.dead;
  }

  settled(): void {}

  /** Tells the handler that it is over, once, when the last byte is with the kernel. */
  settle(): void {
    if (this.#settled) return;
    const { wire } = this.#connection;
    if (this.ended && !wire.closed && wire.buffered > 0) {
      wire.whenFlushed(() => this.settle());
      return;
    }
    this.#settled = true;
    this.sink.settled();
  }

  /** The request's sink can take more of the body. */
  drained(): void {
    this.#connection.resumeReading();
  }
}

/** A sink for what nobody wants. */
export const NOWHERE: RequestSink = {
  writer: null,
  write: () => true,
  end: () => {},
  abort: () => {},
  settled: () => {},
};
