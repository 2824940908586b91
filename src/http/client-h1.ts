// HOT: every connection to an HTTP/1 upstream and every request on it runs here.
import { Buffer } from 'node:buffer';
import type { Loop } from '../std/loop.ts';
import type { Timed } from '../std/sweeper.ts';
import type { Wire, WireUser } from '../std/wire.ts';
import { ChunkedDecoder } from './chunked.ts';
import type { ClientExchange } from './client-exchange.ts';
import { connectFailure, refusalWords } from './connect-failure.ts';
import { idleLimitMs } from './event-stream.ts';
import type { BodySink } from './exchange.ts';
import { Failure, type FailureCode } from './failure.ts';
import { type HeaderList, type ResponseHead, UNKNOWN_LENGTH } from './head.ts';
import type { HttpLimits } from './limits.ts';
import { SEC_WEBSOCKET_ACCEPT } from './names.ts';
import { Outbox } from './outbox.ts';
import { INCOMPLETE, parseResponse, REFUSED } from './parse.ts';
import { acceptOf } from './websocket-frames.ts';

/** What to do with a request whose client has left: stop it, or let the upstream finish (some crash when they are stopped). */
export type OnAbort = 'cancel' | 'drain' | 'drain_capped';

export interface ClientOptions {
  readonly loop: Loop;
  readonly limits: HttpLimits;
  /** For a TCP connection, ms; 0 = no limit. */
  readonly connectTimeoutMs: number;
  /** The same with TLS, ms; 0 = no limit. Absent: connectTimeoutMs is for both. */
  readonly totalConnectTimeoutMs?: number;
  /** From the request's end to the head of the answer, ms; 0 = no limit. */
  readonly firstByteTimeoutMs: number;
  /** Without a byte of the answer's body, ms; 0 = no limit. */
  readonly idleTimeoutMs: number;
  /** The same for event streams, which may have nothing to say for long. Absent: STREAM_IDLE_MS, or no limit where the other has none. */
  readonly streamIdleTimeoutMs?: number;
  /** Without a byte of the request being taken, ms; 0 = no limit. Absent: idleTimeoutMs. */
  readonly writeTimeoutMs?: number;
  readonly onAbort: OnAbort;
  /** How long a cancelled upstream may take to close its side before it is reset, ms. */
  readonly cancelGraceMs: number;
  /** How long drain_capped lets it run, ms. */
  readonly drainTimeoutMs: number;
  /** Silence after which the system asks whether the peer is still there, ms. Absent: it asks on upgraded connections and event streams only. */
  readonly tcpKeepAliveMs?: number;
}

/** Whoever owns client connections: a pool. */
export interface ConnectionOwner {
  /** The connection is free for another request. */
  released(connection: ClientConnection): void;
  /** The connection is gone. */
  gone(connection: ClientConnection): void;
  /** A kept-alive connection was closed before it answered: here is its exchange again, for a fresh connection. */
  again(exchange: ClientExchange): void;
  /** A cancelled upstream did not close within its grace and was reset. */
  graceExpired(): void;
}

const CONNECTING = 0;
const IDLE = 1;
const HEAD = 2;
const BODY = 3;
const CHUNKS = 4;
/** The body ends with the connection. */
const UNTIL_CLOSE = 5;
const RAW = 6;
/** The client left; we have sent FIN and wait until the upstream closes its side. */
const CANCELLED = 7;
const CLOSED = 8;

const NEVER = Number.POSITIVE_INFINITY;
/** How long the head of a request may stay in its slab, in case it must be sent again, ms. */
const PIN_MS = 1_000;
/** As on connections of clients. */
const KEEP_ALIVE_MS = 30_000;

/** One connection to an upstream; it carries one exchange at a time. */
export class ClientConnection implements WireUser, Timed {
  /** Its owner may set others before it gives it a request. */
  options: ClientOptions;
  readonly #owner: ConnectionOwner;
  readonly #scratch: ResponseHead;
  wire!: Wire;
  out!: Outbox;
  due = NEVER;
  place = -1;
  state = CONNECTING;
  exchange: ClientExchange | null = null;
  served = 0;
  /** Monotonic ms when it became idle, and until when it may be used. */
  idleSinceMs = 0;
  keepUntilMs = NEVER;
  /** The peer closes idle connections after this, s; 0 = unknown. */
  keepAliveS = 0;
  #carry: Buffer | null = null;
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;
  #reusable = false;
  #firstByteDue = NEVER;
  /** How long the answer that comes may pause, ms; 0 = no limit. */
  #idleMs = 0;
  #informational = 0;
  #paused = false;
  /** Nobody listens to the answer any more (drain): it is read to its end all the same. */
  #discarding = false;
  readonly #startMs: number;
  /** When TCP was up and TLS began, monotonic ms; 0 without TLS. */
  #tcpMs = 0;
  /** When TCP and TLS must be up, monotonic ms. */
  readonly #connectDue: number;

  constructor(options: ClientOptions, owner: ConnectionOwner, scratch: ResponseHead) {
    this.options = options;
    this.#owner = owner;
    this.#scratch = scratch;
    this.#startMs = options.loop.clock.now();
    const { connectTimeoutMs, totalConnectTimeoutMs = 0 } = options;
    this.#connectDue = totalConnectTimeoutMs > 0 ? this.#startMs + totalConnectTimeoutMs : NEVER;
    this.due = Math.min(this.#connectDue, connectTimeoutMs > 0 ? this.#startMs + connectTimeoutMs : NEVER);
  }

  attach(wire: Wire): void {
    this.wire = wire;
    this.out = new Outbox(this.options.loop, wire);
    this.options.loop.sweeper.add(this);
  }

  /** TCP is up, TLS begins. */
  connected(): void {
    this.#tcpMs = this.options.loop.clock.now();
    if (this.state === CONNECTING && this.options.totalConnectTimeoutMs !== undefined) this.due = this.#connectDue;
  }

  /** The socket (and its TLS) is up. */
  opened(): void {
    if (this.state !== CONNECTING) return;
    this.state = IDLE;
    this.due = NEVER;
    const { exchange } = this;
    if (exchange === null) this.#owner.released(this);
    else {
      const now = this.options.loop.clock.now();
      exchange.notes.connectMs = now - this.#startMs;
      if (this.#tcpMs > 0) exchange.notes.connectTlsMs = now - this.#tcpMs;
      this.start(exchange);
    }
  }

  /** Gives it a request. While it is still connecting the request waits here. */
  start(exchange: ClientExchange): void {
    this.exchange = exchange;
    exchange.connection = this;
    if (this.state === CONNECTING) return;
    this.state = HEAD;
    this.served++;
    this.#informational = 0;
    this.#discarding = false;
    exchange.notes.reused = this.served > 1;
    exchange.notes.connectionMs = this.#startMs;
    exchange.send();
    this.due = NEVER;
    if (exchange.requestEnded) this.requestSent();
  }

  /** The whole request is written: the clock of the first byte runs. */
  requestSent(): void {
    if (this.state !== HEAD) return;
    const ms = this.options.firstByteTimeoutMs;
    const { dueMs } = this.exchange!.notes;
    this.#firstByteDue = dueMs === 0 ? this.#in(ms) : Math.min(this.#in(ms), dueMs);
    // A request that waits longer than this keeps a copy of its head instead of its slab, of which it uses a fraction.
    this.due = this.exchange!.pinsSlab && (ms === 0 || ms > PIN_MS) ? Math.min(this.#in(PIN_MS), this.#firstByteDue) : this.#firstByteDue;
  }

  get #pastDeadline(): boolean {
    const { dueMs } = this.exchange!.notes;
    return dueMs > 0 && this.options.loop.sweeper.coarse >= dueMs;
  }

  #in(ms: number): number {
    return ms > 0 ? this.options.loop.sweeper.coarse + ms : NEVER;
  }

  /** Does the connection belong to both sinks, after 101? */
  get isRaw(): boolean {
    return this.state === RAW;
  }

  received(bytes: Buffer, start: number, end: number): void {
    if (this.#carry !== null) {
      const all = Buffer.concat([this.#carry, bytes.subarray(start, end)]);
      this.#carry = null;
      this.#process(all, 0, all.length);
    } else this.#process(bytes, start, end);
  }

  #process(bytes: Buffer, start: number, end: number): void {
    let i = start;
    while (i < end) {
      switch (this.state) {
        case HEAD: {
          const head = this.#scratch;
          const next = parseResponse(head, bytes, i, end, this.options.limits);
          if (next === INCOMPLETE) {
            this.#carry = Buffer.from(bytes.subarray(i, end));
            return;
          }
          if (next === REFUSED) {
            this.fail('bad_response', head.problemDetail);
            return;
          }
          i = next;
          this.#head(head, i < end);
          break;
        }
        case BODY: {
          const n = Math.min(this.#remaining, end - i);
          this.#remaining -= n;
          this.#deliver(bytes.subarray(i, i + n));
          i += n;
          if (this.state === BODY && this.#remaining === 0) this.#complete(i === end, undefined);
          break;
        }
        case CHUNKS: {
          const decoder = this.#decoder!;
          const sink: BodySink = this.#discarding ? DISCARD : this.exchange!.reply;
          i = decoder.feed(bytes, i, end, sink);
          if (this.state !== CHUNKS) return;
          if (decoder.problem !== '') {
            this.fail('bad_response', `chunked answer: ${decoder.problem}`);
            return;
          }
          if (decoder.blocked) this.#pause();
          else if (!this.#paused) this.due = this.#in(this.#idleMs);
          if (decoder.done) this.#complete(i === end, decoder.trailers);
          break;
        }
        case UNTIL_CLOSE:
        case RAW:
          this.#deliver(bytes.subarray(i, end));
          i = end;
          break;
        case IDLE:
          // Nobody asked: an answer planted for the next request (fault table 5.4), or a farewell 408. Never used again.
          this.#drop();
          return;
        default:
          return;
      }
    }
  }

  #head(head: ResponseHead, more: boolean): void {
    const exchange = this.exchange!;
    const { notes } = exchange;
    const { status } = head;
    if (status < 200) {
      this.#interim(head);
      return;
    }
    notes.began = 'yes';
    notes.firstByteMs = this.options.loop.clock.now();
    exchange.forget();
    this.#reusable = head.keepAlive;
    this.keepAliveS = head.keepAliveS;
    head.upgrade = '';
    const bodiless = status === 204 || status === 304 || exchange.isHead;
    if (bodiless) {
      this.state = BODY;
      this.#remaining = 0;
    } else if (head.chunked) {
      this.state = CHUNKS;
      this.#decoder = new ChunkedDecoder(this.options.limits);
    } else if (head.length === UNKNOWN_LENGTH) {
      this.state = UNTIL_CLOSE;
      this.#reusable = false;
    } else {
      this.state = BODY;
      this.#remaining = head.length;
    }
    this.#idleMs = idleLimitMs(this.options, head);
    if (this.#idleMs !== this.options.idleTimeoutMs) this.#lasts();
    this.due = this.#in(this.#idleMs);
    if (!this.#discarding) exchange.reply.head(head);
    if (this.state === BODY && this.#remaining === 0) this.#complete(!more, undefined);
  }

  #interim(head: ResponseHead): void {
    const exchange = this.exchange!;
    if (head.status === 101) {
      if (exchange.upgrade === '' || head.upgrade.toLowerCase() !== exchange.upgrade.toLowerCase()) {
        this.fail(
          exchange.upgrade === '' ? 'bad_response' : 'upgrade_refused',
          'the upstream switched protocols unasked, or not to the one that was asked for',
        );
        return;
      }
      const key = exchange.websocketKey;
      if (key !== '' && head.value(SEC_WEBSOCKET_ACCEPT).trim() !== acceptOf(key)) {
        this.fail('upgrade_refused', "the upstream's Sec-WebSocket-Accept is not the answer to the key: it did not read the request");
        return;
      }
      exchange.notes.began = 'yes';
      exchange.notes.firstByteMs = this.options.loop.clock.now();
      this.state = RAW;
      this.#lasts();
      this.#reusable = false;
      this.due = NEVER;
      exchange.reply.head(head);
      return;
    }
    if (++this.#informational > this.options.limits.informationalCount) {
      this.fail('bad_response', `more than ${this.options.limits.informationalCount} interim answers`);
      return;
    }
    // 100 answers an expectation that the hub has met already.
    if (head.status !== 100 && !this.#discarding) exchange.reply.informational(head);
  }

  /** It may be silent for long: whether the upstream is still there, the system asks. */
  #lasts(): void {
    if (this.options.tcpKeepAliveMs === undefined) this.wire.socket.setKeepAlive(true, KEEP_ALIVE_MS);
  }

  #deliver(chunk: Buffer): void {
    if (this.#discarding) {
      this.due = this.#discardDue;
      return;
    }
    if (this.exchange!.reply.write(chunk)) {
      if (this.state !== RAW && !this.#paused) this.due = this.#in(this.#idleMs);
    } else this.#pause();
  }

  #complete(clean: boolean, trailers: HeaderList | undefined): void {
    const exchange = this.exchange!;
    const reusable = this.#reusable && clean && exchange.requestEnded && !this.wire.ended;
    this.exchange = null;
    this.#decoder = null;
    this.due = NEVER;
    this.state = IDLE;
    exchange.connection = null;
    if (reusable) {
      // The last chunk may have asked for a pause; nobody will lift it once the exchange is gone.
      this.#unpause();
      this.due = NEVER;
      // A little early at most, which errs towards a new connection.
      this.idleSinceMs = this.options.loop.sweeper.coarse;
      this.#owner.released(this);
    } else this.#drop();
    if (!this.#discarding) exchange.reply.end(trailers);
    exchange.settleReply();
  }

  /** The exchange fails: the reply hears why, the connection is closed. */
  fail(code: FailureCode, detail: string): void {
    const { exchange } = this;
    this.exchange = null;
    this.#drop();
    if (exchange === null) return;
    exchange.connection = null;
    if (!this.#discarding) exchange.reply.abort(new Failure(code, detail));
    exchange.settleReply();
  }

  #drop(): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.due = NEVER;
    this.options.loop.sweeper.remove(this);
    this.#owner.gone(this);
    this.wire.destroy();
  }

  /** Closes an idle connection. */
  close(): void {
    this.#drop();
  }

  #discardDue = NEVER;

  /** The client left. */
  abandon(exchange: ClientExchange): void {
    const { cancelGraceMs, drainTimeoutMs, loop } = this.options;
    if (this.state === CONNECTING || this.state === RAW || !exchange.sent) {
      this.exchange = null;
      if (this.state === RAW) {
        this.state = CLOSED;
        loop.sweeper.remove(this);
        this.#owner.gone(this);
        this.wire.reset();
      } else this.#drop();
      exchange.connection = null;
      exchange.settleReply();
      return;
    }
    this.#unpause();
    this.#discarding = true;
    const onAbort = gentler(this.options.onAbort, exchange.notes.onAbort);
    if (onAbort !== 'cancel' && exchange.requestEnded) {
      this.#discardDue = onAbort === 'drain' ? NEVER : loop.clock.now() + drainTimeoutMs;
      this.due = this.#discardDue;
      return;
    }
    this.#cancel(cancelGraceMs);
  }

  #cancel(graceMs: number): void {
    this.out.drop();
    this.state = CANCELLED;
    this.#discarding = true;
    this.#unpause();
    this.due = this.options.loop.clock.now() + graceMs;
    this.wire.end();
  }

  finished(): void {
    const { exchange } = this;
    switch (this.state) {
      case IDLE:
        this.#drop();
        break;
      case RAW:
        if (exchange !== null) {
          exchange.replyEnded = true;
          exchange.reply.end();
        }
        break;
      case UNTIL_CLOSE:
        this.#complete(false, undefined);
        break;
      case HEAD:
        if (this.#turnedAway(this.wire.error)) break;
        if (exchange !== null && this.#unanswered && exchange.retriable) this.#again(exchange);
        else
          this.fail(
            'upstream_closed',
            this.#carry === null
              ? 'the upstream closed the connection without an answer'
              : 'the upstream closed the connection inside the head of its answer',
          );
        break;
      case BODY:
      case CHUNKS:
        this.fail('upstream_closed', 'the upstream closed the connection before the end of its answer');
        break;
      case CANCELLED:
        this.#settleCancelled();
        break;
    }
  }

  /** Not a byte of an answer has come, interim ones included. */
  get #unanswered(): boolean {
    return this.#carry === null && this.#informational === 0;
  }

  /**
   * Has the upstream said by an alert that it does not take our certificate, or wants one? With TLS 1.3 that comes when the handshake is done for us,
   * and the request sent: it never was read, since an upstream reads nothing before it knows who speaks.
   */
  #turnedAway(error: NodeJS.ErrnoException | null): boolean {
    if (error === null || this.served > 1 || !this.#unanswered || refusalWords(error.code ?? '') === undefined) return false;
    this.exchange!.notes.began = 'no';
    this.fail(...connectFailure(error));
    return true;
  }

  #again(exchange: ClientExchange): void {
    this.exchange = null;
    exchange.connection = null;
    exchange.unsend();
    this.#drop();
    this.#owner.again(exchange);
  }

  #settleCancelled(): void {
    const { exchange } = this;
    this.exchange = null;
    this.#drop();
    if (exchange !== null) {
      exchange.connection = null;
      exchange.settleReply();
    }
  }

  drained(): void {
    this.out.drained();
    const { exchange } = this;
    if (exchange === null || this.#discarding) return;
    if (this.state === HEAD && !exchange.requestEnded) this.due = NEVER;
    exchange.writer?.drained();
  }

  closed(error: Error | null): void {
    if (this.state === CLOSED) {
      const { exchange } = this;
      this.exchange = null;
      if (exchange !== null) exchange.settleReply();
      return;
    }
    const { exchange } = this;
    if (this.state === CANCELLED) {
      this.#settleCancelled();
      return;
    }
    if (exchange === null) {
      this.#drop();
      return;
    }
    if (this.state === CONNECTING) {
      exchange.notes.began = 'no';
      const [code, detail] = connectFailure(error, this.#tcpMs > 0);
      this.fail(code, detail);
      return;
    }
    if (this.state === HEAD && this.#turnedAway(error)) return;
    if (this.state === HEAD && this.#unanswered && exchange.retriable) {
      this.#again(exchange);
      return;
    }
    if (this.state === RAW && exchange.replyEnded && error === null) {
      this.#complete(false, undefined);
      return;
    }
    const code = (error as NodeJS.ErrnoException | null)?.code;
    const when = this.state === HEAD ? 'before it answered' : 'before the end of its answer';
    this.fail(
      error === null ? 'upstream_closed' : 'upstream_reset',
      `the upstream's connection was lost ${when}${code === undefined ? '' : ` (${code})`}`,
    );
  }

  expired(): void {
    switch (this.state) {
      case CONNECTING:
        if (this.exchange !== null) this.exchange.notes.began = 'no';
        this.fail('connect_timeout', `no connection to the upstream within ${Math.round(this.due - this.#startMs)} ms`);
        break;
      case CANCELLED:
        this.#owner.graceExpired();
        this.wire.reset();
        this.#settleCancelled();
        break;
      case IDLE:
        this.#drop();
        break;
      default:
        if (this.#discarding) this.#cancel(this.options.cancelGraceMs);
        else if (this.state === HEAD && this.exchange?.requestEnded === false)
          this.fail('upstream_stalled', `the upstream took no byte of the request for ${this.#writeTimeoutMs} ms`);
        else if (this.state === HEAD && this.exchange!.pinsSlab) {
          this.exchange!.unpin();
          this.due = this.#firstByteDue;
        } else if (this.state === HEAD && this.#pastDeadline) this.fail('deadline', 'no answer from the upstream before the deadline of the request');
        else if (this.state === HEAD) this.fail('first_byte_timeout', `no answer from the upstream within ${this.options.firstByteTimeoutMs} ms`);
        else this.fail('upstream_stalled', `no byte of the answer for ${this.#idleMs} ms`);
    }
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    // Whoever does not take the answer is slow, not the upstream.
    this.due = NEVER;
    this.wire.pause();
  }

  #unpause(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.state !== RAW) this.due = this.#in(this.#idleMs);
    this.wire.resume();
  }

  /** The reply can take more. */
  resumeReading(): void {
    this.#unpause();
  }

  /** The upstream does not take the request fast enough. */
  stall(): void {
    if (this.state === HEAD) this.due = this.#in(this.#writeTimeoutMs);
  }

  get #writeTimeoutMs(): number {
    return this.options.writeTimeoutMs ?? this.options.idleTimeoutMs;
  }
}

/** The one that disturbs the upstream less: whoever sends requests may be more patient with it than its owner, never less. */
export function gentler(owner: OnAbort, asked: OnAbort | null): OnAbort {
  if (asked === null || owner === 'drain') return owner;
  return asked === 'cancel' ? owner : asked;
}

const DISCARD: BodySink = { writer: null, write: () => true, end: () => {}, abort: () => {} };
