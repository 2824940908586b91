// HOT: every client connection and every request of an HTTP/1 server runs here.
import { Buffer } from 'node:buffer';
import type { Timed } from '../std/sweeper.ts';
import type { Wire, WireUser } from '../std/wire.ts';
import { ChunkedDecoder } from './chunked.ts';
import { Notes } from './exchange.ts';
import { Failure } from './failure.ts';
import { type Peer, type RequestHead, UNKNOWN_LENGTH } from './head.ts';
import { Outbox } from './outbox.ts';
import { INCOMPLETE, parseRequest, REFUSED } from './parse.ts';
import { parseProxyHeader, PROXY_HEADER_TIMEOUT_MS } from './proxy-protocol.ts';
import { NOWHERE, ServerExchange } from './server-exchange.ts';
import type { ServerH1, ServerOptions } from './server-h1.ts';

const HEAD = 0;
const BODY = 1;
const CHUNKS = 2;
/** The request has been read; what comes now waits for the end of the answer. */
const REPLYING = 3;
const RAW = 4;
/** An early answer is out; the rest of the request body is thrown away. */
const DRAINING = 5;
/** We have said FIN and wait for the peer's, throwing away what comes, so that no RST overtakes our answer. */
const LINGERING = 6;
const CLOSED = 7;
/** Before all else a balancer says who the client is (PROXY protocol). */
const INTRODUCTION = 8;

const WAITS_MS = Number.POSITIVE_INFINITY;

/** One client connection: reads requests one after the other, and sees each answered before the next. */
export class ServerConnection implements WireUser, Timed {
  readonly #server: ServerH1;
  readonly options: ServerOptions;
  readonly peer: Peer;
  wire!: Wire;
  out!: Outbox;
  due: number;
  place = -1;
  state: number = HEAD;
  exchange: ServerExchange | null = null;
  /** Bytes that came and wait: a head that is not complete, or requests behind the one being served. */
  #carry: Buffer | null = null;
  /** Body bytes still to come (BODY), or thrown away so far (DRAINING). */
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;
  #paused = false;
  /** The deadline of the head runs from its first byte, however it trickles in. */
  #headBegun = false;
  /** Until when the client may take nothing of what is written to it. */
  #writeDue = WAITS_MS;
  queued = false;
  /** The other end was the first to close. */
  #left = false;

  constructor(server: ServerH1, options: ServerOptions, peer: Peer) {
    this.#server = server;
    this.options = options;
    this.peer = peer;
    const now = options.loop.clock.now();
    peer.openedMs = now;
    // In front of TLS the header has been read already.
    if (options.proxyProtocol !== undefined && options.proxyProtocol !== null && options.tls === undefined) {
      this.state = INTRODUCTION;
      this.due = now + (options.proxyProtocol.timeoutMs ?? PROXY_HEADER_TIMEOUT_MS);
    } else this.due = now + options.limits.firstByteTimeoutMs;
  }

  attach(wire: Wire): void {
    this.wire = wire;
    this.out = new Outbox(this.options.loop, wire);
  }

  get bufferedBytes(): number {
    return this.wire.buffered + (this.#carry?.length ?? 0);
  }

  /** Does the connection belong to both sinks, after 101? */
  get isRaw(): boolean {
    return this.state === RAW;
  }

  received(bytes: Buffer, start: number, end: number): void {
    if (this.#carry !== null) {
      const before = this.#carry.length;
      const all = Buffer.concat([this.#carry, bytes.subarray(start, end)]);
      // A head that trickles in is parsed again only when another line is complete, or when it is too long.
      if (this.state === HEAD && all.length <= this.options.limits.headBytes && all.indexOf(10, before) < 0) {
        this.#carry = all;
        return;
      }
      this.#carry = null;
      this.#process(all, 0, all.length);
    } else this.#process(bytes, start, end);
  }

  #process(bytes: Buffer, start: number, end: number): void {
    let i = start;
    while (i < end) {
      switch (this.state) {
        case HEAD: {
          const { head } = this.#server;
          const next = parseRequest(head, bytes, i, end, this.options.limits);
          if (next === INCOMPLETE) {
            if (!this.#headBegun) {
              this.#headBegun = true;
              this.due = this.options.loop.sweeper.coarse + this.options.limits.headTimeoutMs;
            }
            this.#carry = Buffer.from(bytes.subarray(i, end));
            i = end;
          } else if (next === REFUSED) {
            if (head.problem === 'version_not_supported' && this.#speaksHttp2(bytes, i, end)) return;
            this.#refuse(new Failure(head.problem!, head.problemDetail));
            i = end;
          } else {
            i = next;
            if (this.#takenOver(head, bytes, i, end)) return;
            this.#begin(head);
          }
          break;
        }
        case BODY: {
          const n = Math.min(this.#remaining, end - i);
          this.#remaining -= n;
          const exchange = this.exchange!;
          exchange.notes.requestBytes += n;
          if (!exchange.sink.write(bytes.subarray(i, i + n))) this.#pause();
          i += n;
          if (this.state !== BODY) break;
          if (this.#remaining === 0) {
            this.#requestRead();
            exchange.sink.end();
          } else this.due = this.options.loop.sweeper.coarse + this.options.limits.bodyIdleTimeoutMs;
          break;
        }
        case CHUNKS:
          i = this.#chunks(bytes, i, end);
          break;
        case REPLYING:
          this.#stash(bytes, i, end);
          i = end;
          break;
        case RAW:
          this.exchange!.notes.requestBytes += end - i;
          if (!this.exchange!.sink.write(bytes.subarray(i, end))) this.#pause();
          i = end;
          break;
        case DRAINING:
          i = this.#throwAway(bytes, i, end);
          break;
        case INTRODUCTION:
          i = this.#introduced(bytes, i, end);
          break;
        default:
          i = end;
      }
    }
  }

  #introduced(bytes: Buffer, from: number, end: number): number {
    const header = parseProxyHeader(bytes, from, end);
    if (header.state === 'incomplete') {
      this.#carry = Buffer.from(bytes.subarray(from, end));
      return end;
    }
    if (header.state === 'bad') {
      this.#turnAway(header.reason);
      return end;
    }
    if (header.source !== null) this.#server.introduce(this.peer, header.source);
    this.state = HEAD;
    this.due = this.options.loop.sweeper.coarse + this.options.limits.firstByteTimeoutMs;
    return from + header.bytes;
  }

  /** No PROXY header came: nothing is answered, since nobody knows in which protocol. */
  #turnAway(reason: string): void {
    this.state = CLOSED;
    this.options.proxyProtocol!.failed(reason, this.peer.address);
    this.wire.destroy();
  }

  /** Does the connection begin as one of HTTP/2 does (RFC 9113 3.4)? Then it becomes one: the client knew that we speak it. */
  #speaksHttp2(bytes: Buffer, from: number, end: number): boolean {
    if (this.peer.requests > 0 || this.options.limits.h2Streams === 0) return false;
    const length = Math.min(end - from, PREFACE.length);
    if (bytes.compare(PREFACE, 0, length, from, from + length) !== 0) return false;
    this.state = CLOSED;
    this.options.loop.sweeper.remove(this);
    this.#server.speakHttp2(this, Buffer.from(bytes.subarray(from, end)));
    return true;
  }

  #takenOver(head: RequestHead, bytes: Buffer, from: number, end: number): boolean {
    const { takeOver, loop } = this.options;
    if (takeOver === undefined || head.upgrade === '' || (head.upgrade !== takeOver.token && takeOver.wants?.(head) !== true)) return false;
    this.state = CLOSED;
    loop.sweeper.remove(this);
    this.#server.left(this);
    head.peer = this.peer;
    takeOver.accept(head, this.wire, Buffer.from(bytes.subarray(from, end)));
    return true;
  }

  #begin(head: RequestHead): void {
    const { options } = this;
    const { limits } = options;
    head.peer = this.peer;
    const served = ++this.peer.requests;
    this.#server.counts.requests++;
    const notes = new Notes(options.loop.clock.now());
    const exchange = new ServerExchange(this, notes, head);
    this.exchange = exchange;
    if (served >= limits.requestsPerConnection || this.#server.draining) exchange.keepAlive = false;
    this.due = WAITS_MS;
    if (limits.bodyBytes > 0 && head.length > limits.bodyBytes) {
      exchange.keepAlive = false;
      this.state = REPLYING;
      const failure = new Failure('body_too_large', `the body is longer than ${limits.bodyBytes} bytes`);
      exchange.attach(options.refuse(failure, this.peer, head, exchange, notes));
      return;
    }
    if (head.bodiless) this.state = REPLYING;
    else if (head.length === UNKNOWN_LENGTH) {
      this.state = CHUNKS;
      this.#decoder = new ChunkedDecoder(limits);
    } else {
      this.state = BODY;
      this.#remaining = head.length;
    }
    // A client that waits for 100 sends nothing before it: its body's clock starts then.
    if (this.state !== REPLYING && !head.expectContinue) this.due = options.loop.sweeper.coarse + limits.bodyIdleTimeoutMs;
    this.#headBegun = false;
    exchange.upgradable = head.upgrade !== '';
    const sink = options.handler.open(head, exchange, notes);
    exchange.upgradable = head.upgrade !== '';
    exchange.attach(sink);
    if (head.bodiless && !exchange.upgradable && !exchange.over) sink.end();
  }

  /** The whole request has been read. */
  #requestRead(): void {
    this.due = WAITS_MS;
    this.#decoder = null;
    if (this.exchange!.ended) this.#next();
    else this.state = REPLYING;
  }

  #chunks(bytes: Buffer, from: number, end: number): number {
    const decoder = this.#decoder!;
    const exchange = this.exchange!;
    const { limits, loop } = this.options;
    const before = decoder.total;
    const i = decoder.feed(bytes, from, end, exchange.sink);
    exchange.notes.requestBytes += decoder.total - before;
    if (this.state !== CHUNKS) return i;
    if (decoder.problem !== '' || (limits.bodyBytes > 0 && decoder.total > limits.bodyBytes && !this.peer.patient)) {
      const failure =
        decoder.problem !== ''
          ? new Failure('bad_request', `chunked body: ${decoder.problem}`)
          : new Failure('body_too_large', `the body is longer than ${limits.bodyBytes} bytes`);
      this.#breakOff(failure);
      return end;
    }
    if (decoder.done) {
      const { trailers } = decoder;
      this.#requestRead();
      exchange.sink.end(trailers);
    } else {
      this.due = loop.sweeper.coarse + limits.bodyIdleTimeoutMs;
      if (decoder.blocked) this.#pause();
    }
    return i;
  }

  /** The body of a request turned out bad: the handler hears an abort; the client gets an answer if none has begun, else the connection is cut. */
  #breakOff(failure: Failure): void {
    const exchange = this.exchange!;
    const { sink, notes, headSent } = exchange;
    notes.failure = failure;
    exchange.dead = true;
    sink.abort(failure);
    if (headSent) {
      this.exchange = null;
      this.state = CLOSED;
      this.wire.reset();
    } else this.options.rescue(failure, this.#lastExchange(notes), false);
    exchange.settle();
  }

  #refuse(failure: Failure): void {
    const notes = new Notes(this.options.loop.clock.now());
    notes.failure = failure;
    const exchange = this.#lastExchange(notes);
    exchange.attach(this.options.refuse(failure, this.peer, null, exchange, notes));
  }

  /** An exchange for the one answer that is still to be given on this connection. */
  #lastExchange(notes: Notes): ServerExchange {
    const exchange = new ServerExchange(this, notes, null);
    exchange.keepAlive = false;
    this.exchange = exchange;
    this.state = REPLYING;
    this.due = WAITS_MS;
    return exchange;
  }

  #stash(bytes: Buffer, from: number, end: number): void {
    const rest = bytes.subarray(from, end);
    this.#carry = this.#carry === null ? Buffer.from(rest) : Buffer.concat([this.#carry, rest]);
    if (this.#carry.length >= this.options.limits.waitingBytes) this.#pause();
  }

  #throwAway(bytes: Buffer, from: number, end: number): number {
    const { limits } = this.options;
    let i = from;
    if (this.#decoder !== null) {
      const before = this.#decoder.total;
      i = this.#decoder.feed(bytes, from, end, NOWHERE);
      this.#remaining += this.#decoder.total - before + 1;
      if (this.#decoder.problem !== '' || this.#remaining > limits.drainBytes) {
        this.linger();
        return end;
      }
      if (this.#decoder.done) this.#next();
    } else {
      const n = Math.min(this.#remaining, end - i);
      this.#remaining -= n;
      i += n;
      if (this.#remaining === 0) this.#next();
    }
    return i;
  }

  /** May there be more of the request to come than is drained after an early answer? */
  get muchUnread(): boolean {
    return this.state === CHUNKS || (this.state === BODY && this.#remaining > this.options.limits.drainBytes);
  }

  /** The exchange is over on the wire: on to the next request, or to the end of this one's body, or close. Called once per exchange. */
  replied(exchange: ServerExchange): void {
    if (this.exchange === exchange) this.exchange = null;
    if (this.state === RAW || this.state === CLOSED) return;
    if (!exchange.keepAlive || this.#server.draining) {
      this.linger();
      return;
    }
    if (this.state === REPLYING) this.#next();
    else if (this.state === BODY || this.state === CHUNKS) {
      if (this.state === BODY && this.#remaining > this.options.limits.drainBytes) {
        this.linger();
        return;
      }
      if (this.state === CHUNKS) this.#remaining = 0;
      this.state = DRAINING;
      this.due = this.options.loop.clock.now() + this.options.limits.drainTimeoutMs;
      this.#unpause();
    }
  }

  #next(): void {
    this.exchange = null;
    this.#decoder = null;
    this.#headBegun = false;
    this.state = HEAD;
    this.due = this.options.loop.sweeper.coarse + this.options.limits.keepAliveTimeoutMs;
    if (this.#server.draining) {
      this.linger();
      return;
    }
    if (this.#paused) this.#unpause();
    if (this.#carry !== null) this.options.loop.turn.later(this);
  }

  /** Turn calls this: requests that waited behind the last one are served now, never from inside its last call. */
  flush(): void {
    const carry = this.#carry;
    if (carry === null || (this.state !== HEAD && this.state !== RAW)) return;
    this.#carry = null;
    this.#process(carry, 0, carry.length);
  }

  /** After 101: the connection belongs to both sinks. */
  goRaw(): void {
    this.state = RAW;
    this.due = WAITS_MS;
    if (this.#paused) this.#unpause();
    if (this.#carry !== null) this.options.loop.turn.later(this);
  }

  /** FIN now; then throw away what comes until the peer's FIN, for a while. */
  linger(): void {
    if (this.state === CLOSED) return;
    this.state = LINGERING;
    this.#carry = null;
    const now = this.options.loop.clock.now();
    this.due = now + this.options.limits.drainTimeoutMs;
    this.#writeDue = now + this.options.limits.writeIdleTimeoutMs;
    this.#unpause();
    this.wire.end();
  }

  /** An answer broke off: nothing more is read or written here. */
  cut(orderly: boolean): void {
    this.exchange = null;
    this.state = CLOSED;
    // A client that does not take what was written before the break must not keep its connection for ever.
    this.due = this.options.loop.clock.now() + this.options.limits.writeIdleTimeoutMs;
    if (orderly) this.wire.destroySoon();
    else this.wire.reset();
  }

  destroy(): void {
    this.wire.destroy();
  }

  giveWay(): boolean {
    if (this.exchange !== null || (this.state !== INTRODUCTION && this.state !== HEAD)) return false;
    this.state = CLOSED;
    this.wire.destroy();
    return true;
  }

  leaveIfIdle(): void {
    if (this.state === INTRODUCTION) this.wire.destroy();
    else if (this.exchange === null && this.state === HEAD && this.#carry === null) this.linger();
    else if (this.exchange !== null) this.exchange.keepAlive = false;
  }

  finished(): void {
    const { exchange } = this;
    if (this.state !== LINGERING && this.state !== CLOSED) this.#left = true;
    if (this.state === RAW) {
      exchange!.sink.end();
      return;
    }
    if (exchange === null) {
      if (this.state !== LINGERING) this.linger();
      return;
    }
    if (this.state === REPLYING && (this.options.halfClose === 'answer' || exchange.ended)) {
      exchange.keepAlive = false;
      return;
    }
    if (exchange.ended) return;
    this.#depart(new Failure('client_gone', 'the client closed its connection before the answer was complete'));
  }

  /** The client left. */
  #depart(failure: Failure): void {
    const exchange = this.exchange!;
    this.exchange = null;
    this.state = CLOSED;
    exchange.dead = true;
    exchange.notes.failure = failure;
    exchange.sink.abort(failure);
    exchange.settle();
    this.wire.destroy();
  }

  drained(): void {
    this.out.drained();
    if (this.state === REPLYING || this.state === RAW) this.due = WAITS_MS;
    const { exchange } = this;
    if (exchange === null) return;
    exchange.stalled = false;
    exchange.writer?.drained();
  }

  closed(error: Error | null): void {
    const { exchange } = this;
    const before = this.state;
    this.state = CLOSED;
    this.#carry = null;
    this.options.loop.sweeper.remove(this);
    this.#server.left(this);
    if (this.peer.over !== null) {
      const theirs = this.#left || (before !== LINGERING && before !== CLOSED);
      this.peer.over(!theirs ? 'ours' : error === null ? 'theirs' : 'lost');
    }
    if (exchange === null) return;
    this.exchange = null;
    if (exchange.ended && (before !== RAW || this.wire.ended)) {
      exchange.settle();
      return;
    }
    exchange.dead = true;
    const failure = new Failure(
      'client_gone',
      before === RAW
        ? 'the connection was closed'
        : `the client's connection was lost${error === null ? '' : ` (${(error as NodeJS.ErrnoException).code ?? error.message})`}`,
    );
    exchange.notes.failure ??= failure;
    exchange.sink.abort(failure);
    exchange.settle();
  }

  expired(now: number): void {
    const { limits } = this.options;
    switch (this.state) {
      case HEAD:
        // Silence before a request is no error; a head that does not end is.
        if (this.#carry === null) {
          if (this.peer.patient) this.due = now + limits.keepAliveTimeoutMs;
          else this.linger();
        } else this.#refuse(new Failure('request_timeout', `the request head took longer than ${limits.headTimeoutMs} ms`));
        break;
      case BODY:
      case CHUNKS:
        if (this.#paused) {
          // Whoever does not take the body is slow, not the client; unless that waits for the client to take the answer.
          if (this.exchange!.stalled && now >= this.#writeDue) this.#clientStalled();
          else this.due = now + limits.bodyIdleTimeoutMs;
          break;
        }
        if (this.peer.patient) {
          this.due = now + limits.bodyIdleTimeoutMs;
          break;
        }
        this.#breakOff(new Failure('request_timeout', `no byte of the request body came for ${limits.bodyIdleTimeoutMs} ms`));
        break;
      case REPLYING:
      case RAW:
        if (this.exchange?.stalled === true) this.#clientStalled();
        else this.due = WAITS_MS;
        break;
      case DRAINING:
        this.linger();
        break;
      case INTRODUCTION:
        this.#turnAway('no PROXY header came in time');
        break;
      default:
        // A slow reader still gets the rest of its answer: closing now would cut it, unnoticed where the end of the connection is its end.
        if (this.state === LINGERING && this.wire.buffered > 0 && now < this.#writeDue) {
          this.due = now + limits.drainTimeoutMs;
          break;
        }
        this.due = WAITS_MS;
        this.wire.destroy();
    }
  }

  #clientStalled(): void {
    const { writeIdleTimeoutMs } = this.options.limits;
    this.exchange!.notes.failure = new Failure('client_stalled', `the client took no byte of the answer for ${writeIdleTimeoutMs} ms`);
    this.wire.reset();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.wire.pause();
  }

  #unpause(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.wire.resume();
  }

  /** The request sink can take more. */
  resumeReading(): void {
    if (this.state === BODY || this.state === CHUNKS) this.due = this.options.loop.sweeper.coarse + this.options.limits.bodyIdleTimeoutMs;
    // While an answer is awaited reading goes on, or a client that leaves would not be noticed; unless as much waits behind it as may.
    if (this.state !== REPLYING || this.#carry === null || this.#carry.length < this.options.limits.waitingBytes) this.#unpause();
  }

  /** The client does not take the answer fast enough. */
  stall(): void {
    this.#writeDue = this.options.loop.sweeper.coarse + this.options.limits.writeIdleTimeoutMs;
    if (this.state !== BODY && this.state !== CHUNKS) this.due = this.#writeDue;
  }

  sendContinue(): void {
    this.due = this.options.loop.sweeper.coarse + this.options.limits.bodyIdleTimeoutMs;
    this.wire.write(CONTINUE);
  }
}

/** `PRI * HTTP/2.0`: to a parser of HTTP/1.1 a request of a version that it does not speak, so that looking for it costs the others nothing. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
