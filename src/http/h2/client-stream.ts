import { createHash } from 'node:crypto';
import { type ClientHttp2Stream, constants, type OutgoingHttpHeaders } from 'node:http2';
import { Readable } from 'node:stream';
import type { Timed } from '../../std/sweeper.ts';
import { type ClientOptions, gentler } from '../client-h1.ts';
import { type ClientSession, codeName } from './client.ts';
import { idleLimitMs } from '../event-stream.ts';
import type { Notes, ReplySink, RequestSink, Writer } from '../exchange.ts';
import { Failure, type FailureCode } from '../failure.ts';
import { isGrpc } from '../grpc.ts';
import { type RawFields, requestToH2, responseFromH2, TAKEN, trailersFromH2, trailersToH2 } from './fields.ts';
import { type HeaderList, NO_BODY, type RequestHead, UNKNOWN_LENGTH } from '../head.ts';
import { clientH2Limits } from '../limits.ts';
import { IDEMPOTENT } from '../methods.ts';
import { SEC_WEBSOCKET_KEY } from '../names.ts';

/** Whoever gives streams a session. */
export interface StreamOwner {
  /** It needs none any more. */
  leave(stream: ClientStream): void;
  /** It needs another. */
  again(stream: ClientStream): void;
}

const WAITING = 0;
const HEAD = 1;
const BODY = 2;
const RAW = 3;
/** Nothing more is said to the reply; Node may still have the stream. */
const DONE = 4;

const NEVER = Number.POSITIVE_INFINITY;

/** One request to an HTTP/2 upstream: the sink of its body, and the writer of its answer. It waits for a session, and may be given another one. */
export class ClientStream implements RequestSink, Writer, Timed {
  readonly #options: ClientOptions;
  readonly #owner: StreamOwner;
  readonly reply: ReplySink;
  readonly notes: Notes;
  readonly #headers: OutgoingHttpHeaders;
  readonly upgrade: string;
  /** What the client of a WebSocket over HTTP/1 must be told. */
  readonly #accept: string;
  readonly #isHead: boolean;
  readonly #repeatable: boolean;
  readonly #isGrpc: boolean;
  readonly #takesTrailers: boolean;
  readonly #expected: number;
  writer: Writer | null = null;
  due = NEVER;
  place = -1;
  #state = WAITING;
  #session: ClientSession | null = null;
  #carrier: Carrier | null = null;
  #again = false;
  #discarding = false;
  #discardDue = NEVER;
  #settled = false;
  #informational = 0;
  /** Bytes of the answer's body still to come; -1 = not known. */
  #remaining = -1;
  #replyTrailers: HeaderList | undefined = undefined;
  #replyEnded = false;
  /** How long the answer that comes may pause, ms; 0 = no limit. */
  #idleMs = 0;
  #paused = false;
  // The request.
  #requestEnded: boolean;
  #trailers: HeaderList | undefined = undefined;
  #written = 0;
  /** Body written so far, while it may have to be sent again; null from then on. */
  #kept: Uint8Array[] | null = [];
  #keptBytes = 0;
  /** Its writer was told to stop, and waits. */
  #blocked = false;

  constructor(
    options: ClientOptions,
    owner: StreamOwner,
    head: RequestHead,
    scheme: 'http' | 'https',
    authority: string,
    reply: ReplySink,
    notes: Notes,
  ) {
    this.#options = options;
    this.#owner = owner;
    this.reply = reply;
    this.notes = notes;
    this.#headers = requestToH2(head, scheme, authority);
    this.upgrade = head.upgrade;
    this.#accept = head.upgrade === '' ? '' : acceptOf(head.value(SEC_WEBSOCKET_KEY));
    this.#isHead = head.method === 'HEAD';
    this.#repeatable = IDEMPOTENT.has(head.method) && head.upgrade === '';
    // To send trailers costs a frame more at the end, and must be said at the beginning; requests of gRPC never have any.
    this.#isGrpc = isGrpc(head);
    this.#takesTrailers = head.length === UNKNOWN_LENGTH && !this.#isGrpc;
    this.#expected = head.length;
    this.#requestEnded = head.bodiless && head.upgrade === '';
    reply.writer = this;
  }

  /** Bytes that wait on either side. */
  get bufferedBytes(): number {
    const carrier = this.#carrier;
    return carrier === null ? this.#keptBytes : carrier.writableLength + carrier.readableLength;
  }

  /** Sends it, with what there is of its body. `waited`: until the session was open. */
  begin(session: ClientSession, waited: boolean): void {
    const { notes, upgrade } = this;
    if (upgrade !== '' && !session.takesConnect) {
      this.unserved(connectRefusal(upgrade));
      return;
    }
    const kept = this.#kept ?? [];
    const bare = this.#requestEnded && kept.length === 0 && this.#trailers === undefined;
    let carrier: Carrier;
    try {
      carrier = session.request(this, this.#headers, { endStream: bare, waitForTrailers: !bare && this.#takesTrailers }) as Carrier;
    } catch (error) {
      // Nothing is said to the reply from inside of open().
      const failure = new Failure('bad_request', `the request cannot be said in HTTP/2 (${(error as NodeJS.ErrnoException).code ?? 'no reason'})`);
      setImmediate(() => this.unserved(failure));
      return;
    }
    notes.reused = session.served > 1;
    notes.connectMs = waited ? session.connectMs : 0;
    notes.connectTlsMs = waited ? session.connectTlsMs : 0;
    notes.connectionMs = session.startMs;
    notes.began = 'maybe';
    this.#session = session;
    this.#carrier = carrier;
    this.#state = HEAD;
    carrier.owner = this;
    carrier.wasEnded = false;
    carrier.push = push;
    carrier.on('headers', onHeaders as () => void);
    carrier.on('response', onResponse as () => void);
    carrier.on('trailers', onTrailers as () => void);
    carrier.on('end', onEnd);
    carrier.on('drain', onDrain);
    if (!bare && this.#takesTrailers) carrier.on('wantTrailers', onWantTrailers);
    carrier.on('error', onError);
    carrier.on('close', onClose);
    this.#options.loop.sweeper.add(this);
    for (const chunk of kept) carrier.write(chunk);
    if (!this.#requestEnded) {
      this.#unblock();
      if (this.#blocked) this.due = this.#in(this.#writeTimeoutMs);
    } else if (!bare) carrier.end();
    if (this.#requestEnded || upgrade !== '') this.#requestSent();
  }

  #unblock(): void {
    if (!this.#blocked || (this.#carrier !== null && this.#carrier.writableLength >= clientH2Limits.highWaterBytes)) return;
    this.#blocked = false;
    this.writer?.drained();
  }

  /** The clock of the first byte runs. */
  #requestSent(): void {
    if (this.#state !== HEAD) return;
    const { dueMs } = this.notes;
    const due = this.#in(this.#options.firstByteTimeoutMs);
    this.due = dueMs === 0 ? due : Math.min(due, dueMs);
  }

  #in(ms: number): number {
    return ms > 0 ? this.#options.loop.sweeper.coarse + ms : NEVER;
  }

  /** A gRPC stream may be silent as long as its deadline lets it: whether the upstream is alive, the session's pings tell (fault row 24). */
  get #idleDue(): number {
    return this.#isGrpc ? NEVER : this.#in(this.#idleMs);
  }

  // --- the request, from the caller

  write(chunk: Uint8Array): boolean {
    const n = chunk.length;
    if (n === 0 || this.#requestEnded || this.#discarding || this.#state === DONE) return true;
    const { loop } = this.#options;
    if (this.#expected >= 0) {
      this.#written += n;
      if (this.#written > this.#expected) {
        this.#break('the request body is longer than its Content-Length');
        return true;
      }
    }
    const mine = loop.reads.keep(chunk);
    const carrier = this.#carrier;
    if (this.#kept !== null) {
      this.#keptBytes += n;
      if (carrier === null || this.#keptBytes <= clientH2Limits.keptBytes) this.#kept.push(mine);
      else this.#kept = null;
    }
    if (carrier === null) {
      this.#blocked = this.#keptBytes >= clientH2Limits.keptBytes / 2;
      return !this.#blocked;
    }
    carrier.write(mine);
    if (carrier.writableLength < clientH2Limits.highWaterBytes) {
      // While both sides talk, either of them shows that the exchange is alive.
      if (this.#state === BODY && !this.#paused) this.due = this.#idleDue;
      return true;
    }
    this.#blocked = true;
    if (this.#state === HEAD) this.due = this.#in(this.#writeTimeoutMs);
    return false;
  }

  end(trailers?: HeaderList): void {
    if (this.#requestEnded || this.#discarding || this.#state === DONE) return;
    if (this.#expected >= 0 && this.#written < this.#expected) {
      this.#break('the request body is shorter than its Content-Length');
      return;
    }
    this.#requestEnded = true;
    this.#trailers = trailers;
    if (this.#carrier === null) return;
    this.#carrier.end();
    this.#requestSent();
    if (this.#state === BODY && !this.#paused) this.due = this.#idleDue;
  }

  #break(detail: string): void {
    this.#state = DONE;
    this.reply.abort(new Failure('bad_request', detail));
    this.#drop();
  }

  abort(_failure: Failure): void {
    if (this.#discarding || this.#state === DONE) return;
    const { onAbort, drainTimeoutMs, loop } = this.#options;
    const gentle = gentler(onAbort, this.notes.onAbort);
    const lets = gentle !== 'cancel' && this.#requestEnded && (this.#state === HEAD || this.#state === BODY);
    if (!lets) {
      this.#state = DONE;
      this.#drop();
      return;
    }
    this.#discarding = true;
    this.#discardDue = this.due = gentle === 'drain' ? NEVER : loop.clock.now() + drainTimeoutMs;
    this.#resume();
  }

  settled(): void {
    this.#kept = null;
  }

  /** What came of the body, while all of it is still here: for another attempt elsewhere. The head is the caller's to keep. */
  reclaim(): { head: null; body: Uint8Array[]; complete: boolean } | null {
    if (this.#kept === null || (this.#trailers !== undefined && this.#trailers.length > 0)) return null;
    return { head: null, body: this.#kept, complete: this.#requestEnded };
  }

  /** The reply can take more. */
  drained(): void {
    this.#resume();
  }

  // --- the answer, from Node

  interim(status: number, raw: RawFields): void {
    if (this.#state !== HEAD) return;
    const { limits } = this.#options;
    const { reader } = this.#session!;
    this.#session!.heard();
    if (++this.#informational > limits.informationalCount) {
      this.#giveUp('bad_response', `more than ${limits.informationalCount} interim answers`);
      return;
    }
    // 100 answers an expectation that the hub has met already.
    if (status === 100 || this.#discarding) return;
    if (responseFromH2(reader.head, raw, true, reader.text, limits) !== TAKEN || reader.head.status >= 200 || reader.head.status === 101) {
      this.#giveUp('bad_response', 'an interim answer that is none');
      return;
    }
    reader.head.length = NO_BODY;
    this.reply.informational(reader.head);
  }

  answered(raw: RawFields, ended: boolean): void {
    if (this.#state !== HEAD) return;
    const session = this.#session!;
    const { head, text } = session.reader;
    session.heard();
    if (responseFromH2(head, raw, ended, text, this.#options.limits) !== TAKEN) {
      this.#giveUp('bad_response', head.problemDetail);
      return;
    }
    const { status } = head;
    if (status < 200) {
      this.#giveUp('bad_response', `the stream ended with the interim answer ${status}`);
      return;
    }
    const bodiless = this.#isHead || status === 204 || status === 304;
    if (!bodiless && ended && head.length > 0) {
      this.#giveUp('bad_response', 'an answer with a Content-Length ended without its body');
      return;
    }
    this.notes.began = 'yes';
    this.notes.firstByteMs = this.#options.loop.clock.now();
    this.#forget();
    const carrier = this.#carrier!;
    if (this.upgrade !== '' && status < 300 && !ended) {
      this.#state = RAW;
      this.due = NEVER;
      head.status = 101;
      head.upgrade = this.upgrade;
      head.length = NO_BODY;
      if (this.#accept !== '') head.add('Sec-WebSocket-Accept', this.#accept);
    } else {
      this.#state = BODY;
      this.#remaining = bodiless ? 0 : head.length;
      head.upgrade = '';
      this.#idleMs = idleLimitMs(this.#options, head);
      this.due = this.#discarding ? this.#discardDue : this.#idleDue;
      // The chance of an upgrade has passed: the request has no body.
      if (this.upgrade !== '' && !this.#requestEnded) {
        this.#requestEnded = true;
        carrier.end();
      }
    }
    if (!this.#discarding) this.reply.head(head);
    // Its writer may have gone on to abort it.
    if (this.#carrier !== null) carrier.on('data', onData);
  }

  received(chunk: Buffer): void {
    const { loop } = this.#options;
    if (this.#state !== BODY && this.#state !== RAW) return;
    this.#session!.heard();
    if (this.#remaining >= 0 && (this.#remaining -= chunk.length) < 0) {
      this.#giveUp('bad_response', 'the answer is longer than its Content-Length');
      return;
    }
    if (this.#discarding) return;
    loop.reads.private = true;
    if (this.reply.write(chunk)) {
      if (this.#state === BODY) this.due = this.#idleDue;
    } else if (this.#carrier !== null && !this.#carrier.closed) {
      this.#paused = true;
      // Whoever does not take the answer is slow, not the upstream.
      this.due = NEVER;
      this.#carrier.pause();
    }
  }

  trailed(raw: RawFields): void {
    this.#session?.heard();
    const { limits } = this.#options;
    let bytes = 0;
    for (const text of raw) bytes += text.length;
    if (bytes > limits.trailerBytes) {
      if (this.#state === BODY) this.#giveUp('bad_response', `trailers of more than ${limits.trailerBytes} bytes`);
      return;
    }
    this.#replyTrailers = trailersFromH2(raw, limits);
  }

  /** Everything that came has been read. */
  finished(): void {
    const carrier = this.#carrier!;
    // A reset looks like an end to Node. onClose() knows.
    if (!carrier.wasEnded) return;
    if (this.#state === RAW) {
      this.#replyEnded = true;
      this.reply.end();
      return;
    }
    if (this.#state !== BODY) return;
    if (this.#remaining > 0) {
      this.#giveUp('bad_response', 'the answer is shorter than its Content-Length');
      return;
    }
    this.#state = DONE;
    this.due = NEVER;
    // What is left of the request is nobody's (fault row 25).
    if (!carrier.writableFinished) setImmediate(cancel, carrier);
    if (!this.#discarding) this.reply.end(this.#replyTrailers);
  }

  /** Node takes more of the request. */
  roomy(): void {
    if (this.#discarding || this.#state === DONE) return;
    if (this.#state === HEAD && !this.#requestEnded) this.due = NEVER;
    this.#unblock();
  }

  sendTrailers(): void {
    const carrier = this.#carrier;
    // Node may ask twice.
    if (carrier === null || carrier.closed || carrier.destroyed || carrier.sentTrailers !== undefined) return;
    carrier.sendTrailers(trailersToH2(this.#trailers ?? []));
  }

  /** The stream is no more: `code` is that of its RST_STREAM, ours or the peer's. */
  closed(code: number, id: number | undefined): void {
    const session = this.#session!;
    const state = this.#state;
    this.#carrier = null;
    this.#session = null;
    if (state === DONE || this.#discarding || (state === RAW && this.#replyEnded && this.#requestEnded)) {
      session.released(this);
      this.#settle();
      return;
    }
    const unbegun = state === HEAD && (code === constants.NGHTTP2_REFUSED_STREAM || session.spurned(id));
    const lost = session.isLost;
    session.released(this);
    if (unbegun) this.notes.began = 'no';
    const spurned = unbegun && (lost || session.spurned(id));
    const broken = lost && state === HEAD && this.#informational === 0 && this.#repeatable && this.notes.reused;
    if ((spurned || broken) && !this.#again && this.#kept !== null) {
      this.#again = true;
      this.#state = WAITING;
      this.due = NEVER;
      this.#owner.again(this);
      return;
    }
    const [failure, detail] = unbegun
      ? (['upstream_refused', spurned ? 'the upstream closes its connections' : 'the upstream takes no more requests on this connection'] as const)
      : this.#ending(code, lost, session);
    this.#state = DONE;
    this.reply.abort(new Failure(failure, detail));
    this.#settle();
  }

  #ending(code: number, lost: boolean, session: ClientSession): readonly [code: FailureCode, detail: string] {
    const when = this.#state === HEAD ? 'before it answered' : 'before the end of its answer';
    if (lost) return [session.wasReset ? 'upstream_reset' : 'upstream_closed', `the upstream's connection was lost ${when}${session.lossReason}`];
    switch (code) {
      case constants.NGHTTP2_NO_ERROR:
        return ['upstream_closed', `the upstream ended the stream ${when}`];
      case constants.NGHTTP2_PROTOCOL_ERROR:
      case constants.NGHTTP2_FLOW_CONTROL_ERROR:
      case constants.NGHTTP2_FRAME_SIZE_ERROR:
      case constants.NGHTTP2_COMPRESSION_ERROR:
        return ['bad_response', `HTTP/2 with the upstream broke ${when} (${codeName(code)})`];
      default:
        // ENHANCE_YOUR_CALM is the upstream's word for too many requests, and Node's, in our name, for a head far beyond all limits.
        return ['upstream_reset', `the stream was reset ${when} (${codeName(code)})`];
    }
  }

  /** No session can be had, or the one that it waited for never opened. */
  unserved(failure: Failure): void {
    if (this.#state === DONE) return;
    this.notes.began = 'no';
    this.#giveUp(failure.code, failure.detail);
  }

  expired(): void {
    const { firstByteTimeoutMs, loop } = this.#options;
    const { dueMs } = this.notes;
    if (this.#discarding) {
      this.#state = DONE;
      this.#drop();
    } else if (this.#state === HEAD && !this.#requestEnded && this.upgrade === '')
      this.#giveUp('upstream_stalled', `the upstream took no byte of the request for ${this.#writeTimeoutMs} ms`);
    else if (this.#state === HEAD && dueMs > 0 && loop.sweeper.coarse >= dueMs)
      this.#giveUp('deadline', 'no answer from the upstream before the deadline of the request');
    else if (this.#state === HEAD) this.#giveUp('first_byte_timeout', `no answer from the upstream within ${firstByteTimeoutMs} ms`);
    else this.#giveUp('upstream_stalled', `no byte of the answer for ${this.#idleMs} ms`);
  }

  // --- ends

  /** The reply hears why it fails, the stream is reset. */
  #giveUp(code: FailureCode, detail: string): void {
    this.#state = DONE;
    if (!this.#discarding) this.reply.abort(new Failure(code, detail));
    this.#drop();
  }

  /** Stops the upstream's work; settles when the stream is no more. */
  #drop(): void {
    this.due = NEVER;
    const carrier = this.#carrier;
    if (carrier === null) {
      this.#owner.leave(this);
      this.#settle();
      return;
    }
    setImmediate(cancel, carrier);
    carrier.resume();
  }

  #settle(): void {
    this.due = NEVER;
    this.#options.loop.sweeper.remove(this);
    if (this.#settled) return;
    this.#settled = true;
    this.reply.settled();
  }

  /** It will not be sent again. */
  #forget(): void {
    this.#kept = null;
    this.#keptBytes = 0;
  }

  #resume(): void {
    if (!this.#paused || this.#carrier === null) return;
    this.#paused = false;
    if (this.#state === BODY && !this.#discarding) this.due = this.#idleDue;
    this.#carrier.resume();
  }

  get #writeTimeoutMs(): number {
    return this.#options.writeTimeoutMs ?? this.#options.idleTimeoutMs;
  }
}

/** For who asked for an upgrade. */
export function connectRefusal(upgrade: string): Failure {
  return new Failure('upgrade_refused', `the upstream does not take ${upgrade} over HTTP/2: its SETTINGS do not allow it`);
}

/** Node's stream, and whose it is. */
interface Carrier extends ClientHttp2Stream {
  owner: ClientStream;
  /** END_STREAM has come. Node ends a stream that was reset with NO_ERROR as if it had. */
  wasEnded: boolean;
}

function push(this: Carrier, chunk: unknown): boolean {
  if (chunk === null && !this.closed) this.wasEnded = true;
  return Readable.prototype.push.call(this, chunk);
}

function onHeaders(this: Carrier, fields: { readonly ':status'?: number }, _flags: number, raw: RawFields): void {
  this.owner.interim(fields[':status'] ?? 0, raw);
}

function onResponse(this: Carrier, _fields: unknown, flags: number, raw: RawFields): void {
  this.owner.answered(raw, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0);
}

function onTrailers(this: Carrier, _fields: unknown, _flags: number, raw: RawFields): void {
  this.owner.trailed(raw);
}

function onData(this: Carrier, chunk: Buffer): void {
  this.owner.received(chunk);
}

/** Of a stream that was reset with NO_ERROR this is the last event: Node waits until all of the request is written, which nobody takes any more. */
function onEnd(this: Carrier): void {
  this.owner.finished();
  if (this.closed && !this.writableFinished) setImmediate(destroy, this);
}

function destroy(carrier: Carrier): void {
  carrier.destroy();
}

/** Never from inside of nghttp2, where most of what is heard of a stream is told: see onClose(). */
function cancel(carrier: Carrier): void {
  carrier.close(constants.NGHTTP2_CANCEL);
}

function onDrain(this: Carrier): void {
  this.owner.roomy();
}

function onWantTrailers(this: Carrier): void {
  this.owner.sendTrailers();
}

/** What it says, onClose() knows by its code. */
function onError(this: Carrier): void {}

/** Not at once when it was reset: Node tells of it from inside of nghttp2, and who resets another stream there has Node 20 write empty frames without end. */
function onClose(this: Carrier): void {
  if (this.rstCode === constants.NGHTTP2_NO_ERROR && this.wasEnded) tellClosed(this);
  else setImmediate(tellClosed, this);
}

function tellClosed(carrier: Carrier): void {
  carrier.owner.closed(carrier.rstCode, carrier.id);
}

function acceptOf(key: string): string {
  return key === '' ? '' : createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}
