// HOT: one object per request of an HTTP/2 server. Its stream is one of Node's, with listeners that are made once for all streams.
import type { Buffer } from 'node:buffer';
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Timed } from '../../std/sweeper.ts';
import type { Notes, ReplySink, RequestSink, Writer } from '../exchange.ts';
import { Failure } from '../failure.ts';
import { grpcStatusFields, isGrpc } from '../grpc.ts';
import { responseToH2, trailersFromH2, trailersToH2, type RawFields } from './fields.ts';
import { type HeaderList, NO_BODY, type RequestHead, type ResponseHead, UNKNOWN_LENGTH } from '../head.ts';
import { CONTENT_LENGTH } from '../names.ts';
import { HIGH_WATER } from '../outbox.ts';
import { NOWHERE } from '../server-exchange.ts';
import type { ServerH2Connection } from './server-connection.ts';

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR } = constants;

/** How the end of an answer's body is told. */
const BY_NOTHING = 0;
const BY_LENGTH = 1;
const BY_END = 2;

/**
 * A stream that was open for longer counts for no flood when it is reset, ms: it had a place among `h2Streams` all the while, and calls of gRPC end so by their
 * deadlines. Nor does one whose answer has begun: that is how gRPC clients leave streams, and it costs no more than a whole request.
 */
const QUICK_RESET_MS = 1_000;

const NEVER = Number.POSITIVE_INFINITY;
/** What a frame costs beside what it carries (RFC 9113 4.1). */
const FRAME_BYTES = 9;

/** What a request is to the wire: the answer to HEAD has no body, and one to CONNECT may end the protocol. */
export type Asked = 'HEAD' | 'CONNECT' | 'GET';

/** One request and its answer on a stream of HTTP/2: the reply sink of the handler, and the writer of the request's body. */
export class ServerH2Exchange implements ReplySink, Writer, Timed {
  readonly #connection: ServerH2Connection;
  readonly stream: ServerHttp2Stream;
  readonly notes: Notes;
  writer: Writer | null = null;
  sink: RequestSink = NOWHERE;
  due = NEVER;
  place = -1;
  upgradable = false;
  /** Nothing more is to be said: calls are ignored. */
  dead = false;
  headSent = false;
  ended = false;
  readonly #isHead: boolean;
  /** An extended CONNECT: its 2xx would mean that the protocol is spoken. */
  readonly #isConnect: boolean;
  /** The request is one of gRPC. */
  readonly asksGrpc: boolean;
  #awaitsContinue: boolean;
  /** Its answer is told as gRPC tells it: a failure goes into the trailers. */
  #isGrpc = false;
  /** The client's END_STREAM has not come. */
  #open: boolean;
  /** The body of the request is given to the sink. */
  #reading = false;
  #raw = false;
  #paused = false;
  #trailers: HeaderList | undefined = undefined;
  #by = BY_NOTHING;
  /** What is to come of a body whose length was told. */
  #remaining = NEVER;
  #replyTrailers: HeaderList | undefined = undefined;
  #hearsDrain = false;
  #hearsAbort = false;
  /** A write() said false. */
  #stalled = false;
  #bodyDue = NEVER;
  #writeDue = NEVER;
  /** Bytes that the client had not taken when `#writeDue` was set. */
  #unsent = 0;
  #settled = false;

  /** `head` null: for an answer to what is no request, or none any more. */
  constructor(connection: ServerH2Connection, stream: ServerHttp2Stream, notes: Notes, head: RequestHead | null, asked: Asked, ended: boolean) {
    this.#connection = connection;
    this.stream = stream;
    this.notes = notes;
    this.#isHead = asked === 'HEAD';
    this.#isConnect = asked === 'CONNECT';
    this.asksGrpc = head !== null && isGrpc(head);
    this.#awaitsContinue = head !== null && head.expectContinue;
    this.#open = !ended;
    const known = (stream as Carrier)[EXCHANGE] !== undefined;
    (stream as Carrier)[EXCHANGE] = this;
    if (known) return;
    stream.on('end', onEnd);
    stream.on('close', onClose);
    stream.on('error', ignore);
  }

  /** Takes the request sink that answers were waiting for; the handler may have answered from inside open() already. */
  attach(sink: RequestSink): void {
    sink.writer = this;
    this.sink = sink;
    if (this.dead) this.#settle();
  }

  /** Has the answer ended, one way or the other? */
  get over(): boolean {
    return this.ended || this.dead;
  }

  /** The body of the request, or what comes after an upgrade, goes to the sink from now on. */
  read(): void {
    this.#reading = true;
    const { stream } = this;
    stream.on('data', onData);
    stream.on('trailers', onTrailers);
    if (!this.#raw && !this.#awaitsContinue) this.#awaitBody();
  }

  received(chunk: Buffer): void {
    const connection = this.#connection;
    const n = chunk.length;
    connection.carried += n + FRAME_BYTES;
    connection.alive = true;
    if (!this.#reading || this.dead || (this.ended && !this.#raw)) return;
    const { notes } = this;
    const { loop, limits } = connection.options;
    notes.requestBytes += n;
    if (!this.#raw && limits.bodyBytes > 0 && notes.requestBytes > limits.bodyBytes && !connection.peer.patient) {
      this.#breakOff(new Failure('body_too_large', `the body is longer than ${limits.bodyBytes} bytes`));
      return;
    }
    // Node gives each piece memory that nobody else writes to.
    loop.reads.private = true;
    if (!this.sink.write(chunk) && !this.#paused) {
      this.#paused = true;
      this.stream.pause();
      if (!this.#hearsAbort) {
        this.#hearsAbort = true;
        this.stream.on('aborted', onAborted);
      }
    }
    if (this.#bodyDue !== NEVER) this.#bodyDue = loop.sweeper.coarse + limits.bodyIdleTimeoutMs;
  }

  /** Bytes of the request's body that have come, but that nobody has taken, frames included. */
  get untaken(): number {
    const { readableLength, readableBuffer } = this.stream as Carrier;
    return readableLength === 0 ? 0 : readableLength + FRAME_BYTES * readableBuffer.length;
  }

  trailed(raw: RawFields): void {
    this.#connection.countFields(raw);
    this.#trailers = trailersFromH2(raw, this.#connection.options.limits);
  }

  /** The client's END_STREAM, or the end of what came before a reset: then 'close' follows. */
  requestEnded(): void {
    if (this.dead || (this.stream.closed && !this.ended)) return;
    this.#open = false;
    this.#bodyDue = NEVER;
    if (!this.#reading || (this.ended && !this.#raw)) return;
    this.#reading = false;
    this.sink.end(this.#trailers);
  }

  informational(head: ResponseHead): void {
    const { stream } = this;
    if (this.dead || this.headSent || stream.closed) return;
    if (head.status === 100) {
      if (!this.#awaitsContinue) return;
      this.#awaitsContinue = false;
      if (this.#reading) this.#awaitBody();
      stream.additionalHeaders({ ':status': 100 });
      return;
    }
    if (head.status < 100 || head.status > 199 || head.status === 101) return;
    head.remove(CONTENT_LENGTH);
    head.length = NO_BODY;
    try {
      stream.additionalHeaders(responseToH2(head));
    } catch {
      // Node checks what it sends by rules of its own; an interim answer may be left out.
    }
  }

  head(head: ResponseHead): void {
    if (this.dead || this.headSent) return;
    const { status } = head;
    if (status === 101 ? !this.upgradable : this.#isConnect && status < 300) {
      this.#instead(
        this.upgradable
          ? new Failure('upgrade_refused', `the upstream answered ${status} to an upgrade`)
          : new Failure(
              status === 101 ? 'bad_response' : 'not_implemented',
              status === 101 ? 'an upgrade that nobody asked for' : 'this protocol is not served here',
            ),
      );
      return;
    }
    // Node's HTTP/2 sends no others.
    if (status < 101 || status > 599) {
      this.#instead(new Failure('bad_response', `the status ${status} cannot be sent over HTTP/2`));
      return;
    }
    this.headSent = true;
    this.notes.status = status === 101 ? 200 : status;
    if (status === 101) {
      this.#raw = true;
      this.#by = BY_END;
      head.length = NO_BODY;
      this.#respond(head, PLAIN);
      if (!this.dead) this.read();
      return;
    }
    if (status === 204 || status === 304 || status === 205 || this.#isHead) {
      if (status === 204 || status === 205) {
        head.remove(CONTENT_LENGTH);
        head.length = NO_BODY;
      }
      this.#respond(head, WHOLE);
    } else if (head.length === UNKNOWN_LENGTH || (head.length > 0 && isGrpc(head))) {
      // The status of a gRPC answer comes in trailers, also behind a body whose length was told.
      this.#by = BY_END;
      if (head.length > 0) this.#remaining = head.length;
      this.#isGrpc = isGrpc(head);
      this.stream.on('wantTrailers', onWantTrailers);
      this.#respond(head, TRAILED);
    } else {
      this.#by = BY_LENGTH;
      this.#remaining = Math.max(0, head.length);
      this.#respond(head, this.#remaining === 0 ? WHOLE : PLAIN);
    }
  }

  #respond(head: ResponseHead, how: object): void {
    const { stream } = this;
    if (stream.closed || stream.destroyed) return;
    try {
      stream.respond(responseToH2(head), how);
    } catch (error) {
      // Node checks what it sends by rules of its own.
      this.headSent = false;
      this.abort(new Failure('bad_response', `the head cannot be sent over HTTP/2: ${(error as Error).message}`));
    }
  }

  write(chunk: Uint8Array): boolean {
    if (this.dead || this.ended || this.#by === BY_NOTHING) return true;
    const n = chunk.length;
    if (n === 0) return true;
    const { stream } = this;
    if (stream.closed) return true;
    const { loop } = this.#connection.options;
    let last = false;
    if (this.#remaining !== NEVER) {
      if (n > this.#remaining) {
        this.abort(new Failure('bad_response', 'the answer is longer than its Content-Length'));
        return true;
      }
      this.#remaining -= n;
      last = this.#remaining === 0 && this.#by === BY_LENGTH;
    }
    this.notes.replyBytes += n;
    const kept = loop.reads.keep(chunk);
    if (last) {
      // In one frame with END_STREAM; and nobody waits to write more.
      stream.end(kept);
      return true;
    }
    stream.write(kept);
    if (stream.writableLength < HIGH_WATER) return true;
    this.#stall();
    return false;
  }

  end(trailers?: HeaderList): void {
    if (this.dead || this.ended) return;
    const { stream } = this;
    if (!this.headSent || this.#owesBytes) {
      this.abort(new Failure('upstream_closed', 'the answer ended before it was complete'));
      return;
    }
    this.ended = true;
    this.#stalled = false;
    if (stream.closed) return;
    if (this.#by === BY_END) {
      this.#replyTrailers = trailers;
      stream.end();
    }
    if (!stream.writableFinished) this.#awaitTaken();
    if (this.#raw) return;
    this.#bodyDue = NEVER;
    if (this.#paused) {
      this.#paused = false;
      stream.resume();
    }
    if (!this.#open) return;
    this.#connection.expectLate();
    // RFC 9113 8.1: who has answered may ask the client not to send the rest. Behind trailers that is done when they are out.
    if (this.#by !== BY_END) setImmediate(closeEnded, stream);
  }

  /** Everything before the trailers is out. */
  sendTrailers(): void {
    const { stream } = this;
    try {
      stream.sendTrailers(this.#replyTrailers === undefined ? NO_TRAILERS : trailersToH2(this.#replyTrailers));
    } catch {
      setImmediate(breakOff, stream);
      return;
    }
    // Node sends them in the next turn.
    if (this.#open) setImmediate(closeEnded, stream);
  }

  /** The answer breaks off (rule R2): a reset, or to a gRPC client the status that it understands. */
  abort(failure: Failure): void {
    if (this.dead || (this.ended && !this.#raw)) return;
    this.notes.failure ??= failure;
    if (this.#isGrpc && this.headSent && !this.#owesBytes && !this.stream.closed) {
      this.end(grpcStatusFields(failure));
      return;
    }
    this.dead = true;
    // Behind the end of an upgraded connection: what was written still goes out, and the client need not say more (RFC 9113 8.1).
    if (this.ended) setImmediate(closeEnded, this.stream);
    else this.#cut();
    if (this.sink !== NOWHERE) this.#settle();
  }

  /** Less of the body has come than its head told: no trailers can make that whole. */
  get #owesBytes(): boolean {
    return this.#remaining !== NEVER && this.#remaining > 0;
  }

  /** A reset with INTERNAL_ERROR. Not by close(), which ends the stream first: what was cut would look complete to the client. */
  #cut(): void {
    if (this.#open) this.#connection.expectLate();
    setImmediate(breakOff, this.stream);
  }

  settled(): void {}

  /** Node's stream is gone: all of it was sent, or it was reset, or the connection was lost. */
  closed(): void {
    const connection = this.#connection;
    const { stream, notes } = this;
    connection.options.loop.sweeper.remove(this);
    connection.left(this);
    connection.carried += this.untaken;
    if (this.#settled) return;
    const { rstCode } = stream;
    if (this.dead || (this.ended && (this.#raw ? !this.#open : rstCode === NGHTTP2_NO_ERROR || stream.writableFinished))) {
      this.#settle();
      return;
    }
    this.dead = true;
    const failure = this.#open && rstCode === NGHTTP2_PROTOCOL_ERROR && !this.#raw ? UNFIT : connection.lost ? LOST : RESET;
    notes.failure ??= failure;
    // Node tells of it from inside of nghttp2. Who resets another stream of the connection there, or ends it, has Node 20 write empty frames without end.
    setImmediate(tellLeft, this);
  }

  /** Whoever is at work on it hears that its client has left. */
  left(): void {
    const connection = this.#connection;
    this.sink.abort(this.notes.failure!);
    this.#settle();
    if (!this.headSent && connection.options.loop.clock.now() - this.notes.startMs < QUICK_RESET_MS) connection.wasReset();
  }

  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.sink.settled();
  }

  /** The request's sink can take more of the body. */
  drained(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#bodyDue !== NEVER) this.#awaitBody();
    this.stream.resume();
  }

  /** The client has taken what was written. */
  wasTaken(): void {
    if (!this.#stalled || this.dead || this.ended) return;
    this.#stalled = false;
    this.#writeDue = NEVER;
    this.writer?.drained();
  }

  expired(now: number): void {
    const { limits } = this.#connection.options;
    if (now >= this.#bodyDue) {
      // Whoever does not take the body is slow, not the client.
      if (!this.#paused && !this.#connection.peer.patient) {
        this.#breakOff(new Failure('request_timeout', `no byte of the request body came for ${limits.bodyIdleTimeoutMs} ms`));
        return;
      }
      this.#bodyDue = now + limits.bodyIdleTimeoutMs;
    }
    if (now >= this.#writeDue) {
      const { writableLength } = this.stream;
      if (writableLength > 0 && writableLength >= this.#unsent) {
        this.#clientStalled();
        return;
      }
      this.#unsent = writableLength;
      this.#writeDue = writableLength === 0 ? NEVER : now + limits.writeIdleTimeoutMs;
    }
    this.due = Math.min(this.#bodyDue, this.#writeDue);
  }

  #clientStalled(): void {
    const { writeIdleTimeoutMs } = this.#connection.options.limits;
    this.due = this.#writeDue = this.#bodyDue = NEVER;
    this.notes.failure = new Failure('client_stalled', `the client took no byte of the answer for ${writeIdleTimeoutMs} ms`);
    this.stream.close(NGHTTP2_CANCEL);
    // A client that reads nothing at all does not take the reset either.
    this.stream.destroy();
  }

  /** The body of a request turned out bad: the handler hears an abort; the client gets an answer if none has begun, else a reset. */
  #breakOff(failure: Failure): void {
    const { sink, notes, headSent } = this;
    notes.failure = failure;
    if (this.#isGrpc && headSent && !this.#owesBytes) this.end(grpcStatusFields(failure));
    this.dead = true;
    this.#bodyDue = NEVER;
    sink.abort(failure);
    if (!headSent) this.#connection.rescue(failure, this);
    else if (!this.ended) this.#cut();
    this.#settle();
  }

  /** What the endpoint says cannot be passed on: the client hears why. */
  #instead(failure: Failure): void {
    this.notes.failure ??= failure;
    this.dead = true;
    this.#connection.rescue(failure, this);
    if (this.sink !== NOWHERE) this.#settle();
  }

  /** For the one answer that is still to be given on this stream. */
  successor(): ServerH2Exchange {
    if (this.#paused) this.stream.resume();
    return new ServerH2Exchange(this.#connection, this.stream, this.notes, null, this.#isHead ? 'HEAD' : 'GET', !this.#open);
  }

  #awaitBody(): void {
    // A client of gRPC may have nothing to say for as long as its deadline lets it.
    if (this.asksGrpc) return;
    const { loop, limits } = this.#connection.options;
    this.#bodyDue = loop.sweeper.coarse + limits.bodyIdleTimeoutMs;
    this.#watch();
  }

  #stall(): void {
    this.#stalled = true;
    if (!this.#hearsDrain) {
      this.#hearsDrain = true;
      this.stream.on('drain', onDrain);
    }
    this.#awaitTaken();
  }

  /** A client that gives no window must take the answer at some pace. */
  #awaitTaken(): void {
    const { loop, limits } = this.#connection.options;
    this.#unsent = this.stream.writableLength;
    this.#writeDue = loop.sweeper.coarse + limits.writeIdleTimeoutMs;
    this.#watch();
  }

  #watch(): void {
    this.due = Math.min(this.#bodyDue, this.#writeDue);
    this.#connection.options.loop.sweeper.add(this);
  }
}

const WHOLE = { endStream: true, sendDate: false };
const PLAIN = { sendDate: false };
const TRAILED = { waitForTrailers: true, sendDate: false };
const NO_TRAILERS = {};

const BROKEN = new Error('the answer broke off');
const RESET = new Failure('client_gone', 'the client reset the stream before the answer was complete');
const LOST = new Failure('client_gone', "the client's connection was lost");
const UNFIT = new Failure('bad_request', 'the request broke the rules of HTTP/2, such as by a body that does not fit its Content-Length');

const EXCHANGE = Symbol('exchange');

/** A stream knows its exchange, so that listeners need no closure. */
interface Carrier extends ServerHttp2Stream {
  [EXCHANGE]: ServerH2Exchange;
  /** Pieces that nobody has read. */
  readonly readableBuffer: { readonly length: number };
}

function onData(this: Carrier, chunk: Buffer): void {
  this[EXCHANGE].received(chunk);
}

/** Of a stream that its client left with NO_ERROR this is the last event: Node waits until all of the answer is written, which nobody takes any more. */
function onEnd(this: Carrier): void {
  this[EXCHANGE].requestEnded();
  if (this.closed && !this.writableFinished) setImmediate(destroy, this);
}

function onTrailers(this: Carrier, _fields: unknown, _flags: number, raw: RawFields): void {
  this[EXCHANGE].trailed(raw);
}

function onDrain(this: Carrier): void {
  this[EXCHANGE].wasTaken();
}

function onWantTrailers(this: Carrier): void {
  this[EXCHANGE].sendTrailers();
}

/** A client may leave with NO_ERROR: then Node tells of it only when what has come is read, and here that may take a while. */
function onAborted(this: Carrier): void {
  setImmediate(destroy, this);
}

function destroy(stream: ServerHttp2Stream): void {
  stream.destroy();
}

function onClose(this: Carrier): void {
  this[EXCHANGE].closed();
}

function tellLeft(exchange: ServerH2Exchange): void {
  exchange.left();
}

function breakOff(stream: ServerHttp2Stream): void {
  stream.destroy(BROKEN);
}

function ignore(): void {}

/**
 * Never from inside of nghttp2, where most of what is heard of a stream is told: see closed(). And not before all is written: Node would put the reset off
 * until then, and a stream that is destroyed meanwhile would get none; what nghttp2 still has to send of it then are empty frames without end.
 */
function closeEnded(stream: ServerHttp2Stream): void {
  if (stream.closed) return;
  if (stream.writableFinished) stream.close(NGHTTP2_NO_ERROR);
  else stream.once('finish', closeLater);
}

function closeLater(this: ServerHttp2Stream): void {
  setImmediate(closeEnded, this);
}
