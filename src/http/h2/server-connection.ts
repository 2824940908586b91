// HOT: every client connection of HTTP/2, and the head of every request on it.
import type { Buffer } from 'node:buffer';
import http2, { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type net from 'node:net';
import type { Timed } from '../../std/sweeper.ts';
import { isOfGoaway } from './client.ts';
import { Notes } from '../exchange.ts';
import { Failure } from '../failure.ts';
import { isGrpcType } from '../grpc.ts';
import { MALFORMED, REFUSED, type RawFields, requestFromH2 } from './fields.ts';
import type { Peer } from '../head.ts';
import type { HttpLimits } from '../limits.ts';
import { ServerH2Exchange } from './server-exchange.ts';
import { H2Meter } from './server-meter.ts';
import type { ServerH1, ServerOptions } from '../server-h1.ts';

const {
  NGHTTP2_COMPRESSION_ERROR,
  NGHTTP2_ENHANCE_YOUR_CALM,
  NGHTTP2_INTERNAL_ERROR,
  NGHTTP2_FLOW_CONTROL_ERROR,
  NGHTTP2_FRAME_SIZE_ERROR,
  NGHTTP2_NO_ERROR,
  NGHTTP2_PROTOCOL_ERROR,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_STREAM_CLOSED,
} = constants;

/** How often the bytes of a connection on which something happens are looked at, ms. */
const LOOK_MS = 1_000;
/** How long a client may take to hear that no more is wanted, ms: until then its new requests are still served. */
const GOODBYE_MS = 1_000;
/** What a PING costs, and its answer (RFC 9113 6.7). */
const PING_BYTES = 17;
/** The largest stream number there is: what the first of two GOAWAYs names, so that no request on its way is lost (RFC 9113 6.8). */
const LAST_STREAM = 2 ** 31 - 1;
/** What a frame costs beside what it carries (RFC 9113 4.1). */
const FRAME_BYTES = 9;

const OPEN = 0;
/** The client has been told that no more is wanted, but not yet what was the last. */
const LEAVING = 1;
/** New streams are refused; those that are open come to their end. */
const CLOSING = 2;
const CLOSED = 3;

/** One client connection that speaks HTTP/2: its streams are exchanges. */
export class ServerH2Connection implements Timed {
  readonly #server: ServerH1;
  readonly options: ServerOptions;
  readonly peer: Peer;
  readonly #socket: net.Socket;
  readonly #session: ServerHttp2Session;
  readonly #exchanges = new Set<ServerH2Exchange>();
  readonly #meter: H2Meter;
  due: number;
  place = -1;
  #state = OPEN;
  /** When it is closed if nothing happens. */
  #idleDue: number;
  /** The socket is gone, and with it whatever runs. */
  lost = false;
  /** Bytes that came as heads and bodies of requests, frames included. */
  carried = 0;
  /** Bytes that may still come of bodies that were not waited for: their clients do not know yet. */
  #late = 0;
  /** Overhead and bytes sent when they were last looked at. */
  #overhead = 0;
  #sent: number;
  /** Has anything been understood, or sent, since the last look? */
  alive = true;
  /** Has something come that belongs to no request, and no sign of life since? */
  #doubtful = false;
  /** When the answer to a PING of ours must be there; 0 = none is out. */
  #probeDue = 0;
  /** Bytes that the socket had read before it spoke HTTP/2. */
  readonly #before: number;

  /** `rest`: what has been read of it already. */
  constructor(server: ServerH1, options: ServerOptions, peer: Peer, socket: net.Socket, rest: Buffer | null) {
    this.#server = server;
    this.options = options;
    this.peer = peer;
    this.#socket = socket;
    const { limits, loop } = options;
    const now = loop.clock.now();
    if (peer.openedMs === 0) peer.openedMs = now;
    peer.http2 = true;
    this.#idleDue = now + limits.firstByteTimeoutMs;
    this.due = now + Math.min(LOOK_MS, limits.firstByteTimeoutMs);
    this.#before = socket.bytesRead - (rest === null ? 0 : rest.length);
    this.#sent = socket.bytesWritten;
    this.#meter = new H2Meter(limits, now);
    if (rest !== null) socket.unshift(rest);
    const session = http2.performServerHandshake(socket, sessionOptions(limits));
    this.#session = session;
    session.setLocalWindowSize(limits.h2ConnectionWindow);
    session.on('stream', (stream: ServerHttp2Stream, fields: http2.IncomingHttpHeaders, _flags: number, raw: RawFields) =>
      this.#opened(stream, fields, raw),
    );
    const control = (): void => {
      this.alive = true;
      if (!this.#meter.control(loop.sweeper.coarse)) this.#calm();
    };
    session.on('ping', control);
    session.on('remoteSettings', control);
    session.on('priority', control);
    const destroy = session.destroy.bind(session);
    // Node says INTERNAL_ERROR to clients for faults of theirs: the code is chosen here (RFC 9113 7).
    // And it ends a session of which the client says goodbye with an error inside of nghttp2: see ServerH2Exchange.closed().
    session.destroy = (error?: Error | null, code?: number) => {
      if (isOfGoaway(error)) setImmediate(destroy, error, code);
      else destroy(error ?? undefined, code ?? codeOf(error));
    };
    // What it says has been said to the client in its GOAWAY.
    session.on('error', () => {});
    session.on('close', () => this.#closed());
    socket.on('close', () => {
      this.lost = true;
    });
    // Who has sent FIN cannot say any more that it takes what it is sent: it has left.
    socket.on('end', () => {
      this.lost = true;
      if (!session.destroyed) session.destroy();
    });
  }

  #opened(stream: ServerHttp2Stream, fields: http2.IncomingHttpHeaders, raw: RawFields): void {
    this.countFields(raw);
    this.alive = true;
    if (stream.destroyed || stream.closed) {
      stream.on('error', ignore);
      this.wasReset();
      return;
    }
    const { options, peer } = this;
    const { limits, loop, handler } = options;
    if (this.#server.full) {
      stream.on('error', ignore);
      this.expectLate();
      setImmediate(refuse, stream, NGHTTP2_REFUSED_STREAM);
      return;
    }
    const server = this.#server;
    const { head } = server;
    const ended = stream.endAfterHeaders;
    const method = fields[':method'];
    const asked = method === 'HEAD' || method === 'CONNECT' ? method : 'GET';
    const outcome = requestFromH2(head, raw, ended, server.h2Scratch, limits);
    if (outcome === MALFORMED) {
      stream.on('error', ignore);
      setImmediate(refuse, stream, NGHTTP2_PROTOCOL_ERROR);
      this.wasReset();
      return;
    }
    const served = ++peer.requests;
    server.counts.requests++;
    const notes = new Notes(loop.clock.now());
    if (served >= limits.requestsPerConnection) this.leave();
    if (outcome === REFUSED) {
      const exchange = this.#began(new ServerH2Exchange(this, stream, notes, null, asked === 'CONNECT' ? 'GET' : asked, ended));
      const failure = new Failure(head.problem!, head.problemDetail);
      notes.failure = failure;
      exchange.attach(options.refuse(failure, peer, null, exchange, notes, isGrpcType(fields['content-type'] ?? '')));
      return;
    }
    head.peer = peer;
    const exchange = this.#began(new ServerH2Exchange(this, stream, notes, head, asked, ended));
    if (limits.bodyBytes > 0 && head.length > limits.bodyBytes) {
      const failure = new Failure('body_too_large', `the body is longer than ${limits.bodyBytes} bytes`);
      exchange.attach(options.refuse(failure, peer, head, exchange, notes));
      return;
    }
    const { bodiless } = head;
    exchange.upgradable = head.upgrade !== '';
    const sink = handler.open(head, exchange, notes);
    exchange.upgradable = head.upgrade !== '';
    exchange.attach(sink);
    if (exchange.over || exchange.upgradable) return;
    if (bodiless) sink.end();
    else exchange.read();
  }

  #began(exchange: ServerH2Exchange): ServerH2Exchange {
    this.#exchanges.add(exchange);
    return exchange;
  }

  /** @internal Node's stream is gone. */
  left(exchange: ServerH2Exchange): void {
    this.#exchanges.delete(exchange);
    if (this.#exchanges.size > 0) return;
    const { loop, limits } = this.options;
    if (this.#state === CLOSING) this.due = loop.clock.now() + limits.drainTimeoutMs;
    else this.#idleDue = loop.sweeper.coarse + limits.keepAliveTimeoutMs;
  }

  /** @internal The exchange has failed before its answer began: the client is told why. */
  rescue(failure: Failure, of: ServerH2Exchange): void {
    this.options.loop.sweeper.remove(of);
    this.#exchanges.delete(of);
    if (of.stream.closed) return;
    this.options.rescue(failure, this.#began(of.successor()), of.asksGrpc);
  }

  /** @internal A stream was reset, by the client or for its fault. */
  wasReset(): void {
    if (this.#state !== CLOSED && !this.lost && !this.#meter.reset(this.options.loop.clock.now())) this.#calm();
  }

  /** @internal A stream is given up before its body has come: what the client has sent of it meanwhile is no flood, at most its window, in frames that may be small. */
  expectLate(): void {
    this.#late += 2 * this.options.limits.h2StreamWindow;
  }

  /** @internal A head or trailers came. */
  countFields(raw: RawFields): void {
    let bytes = FRAME_BYTES;
    // A compressed head is not longer than its text, but for a few bytes each.
    for (let i = 0; i < raw.length; i++) bytes += raw[i]!.length + 2;
    this.carried += bytes;
  }

  /** Too much of what is no request. */
  #calm(): void {
    if (this.#state === CLOSED || this.#session.destroyed) return;
    this.#server.counts.http2Floods++;
    this.#state = CLOSED;
    this.due = this.options.loop.clock.now() + this.options.limits.drainTimeoutMs;
    // Not from inside of nghttp2: see ServerH2Exchange.closed().
    setImmediate(() => this.#session.destroy(new Error('too much came that is no request'), NGHTTP2_ENHANCE_YOUR_CALM));
  }

  /** No more requests on this connection: the client is told first, and a round trip later which was the last (RFC 9113 6.8). */
  leave(): void {
    if (this.#state !== OPEN) return;
    this.#state = LEAVING;
    this.due = this.options.loop.clock.now() + GOODBYE_MS;
    const session = this.#session;
    if (session.destroyed || session.closed) return;
    session.goaway(NGHTTP2_NO_ERROR, LAST_STREAM);
    // Its answer shows that the client has read what stood before it.
    session.ping(() => this.#finish());
  }

  leaveIfIdle(): void {
    this.leave();
  }

  giveWay(): boolean {
    if (this.#exchanges.size > 0 || this.#state >= CLOSING) return false;
    this.#state = CLOSING;
    this.destroy();
    return true;
  }

  /** The last stream has been opened; the connection closes when it is through. */
  #finish(): void {
    if (this.#state >= CLOSING) return;
    this.#state = CLOSING;
    this.#session.close();
    const { loop, limits } = this.options;
    this.due = this.#exchanges.size === 0 ? loop.clock.now() + limits.drainTimeoutMs : Number.POSITIVE_INFINITY;
  }

  expired(now: number): void {
    const { limits } = this.options;
    switch (this.#state) {
      case OPEN:
        if (!this.#look(now)) return;
        if (this.#exchanges.size === 0 && now >= this.#idleDue && !this.peer.patient) this.#finish();
        else this.due = now + LOOK_MS;
        break;
      case LEAVING:
        this.#finish();
        break;
      default:
        if (this.#exchanges.size > 0 && this.#state === CLOSING) {
          this.due = Number.POSITIVE_INFINITY;
          break;
        }
        // Whoever takes what is left of its answers may go on.
        if (this.#state === CLOSING && !this.#socket.writableFinished && this.#socket.bytesWritten !== this.#sent) {
          this.#sent = this.#socket.bytesWritten;
          this.due = now + limits.drainTimeoutMs;
          break;
        }
        this.due = Number.POSITIVE_INFINITY;
        this.destroy();
    }
  }

  /** Is what came beside requests in proportion? Frames that Node does not show (WINDOW_UPDATE, empty DATA) are counted by their bytes. */
  #look(now: number): boolean {
    const { bytesRead, bytesWritten } = this.#socket;
    const overhead = bytesRead - this.#before - this.carried - this.#untaken;
    let grown = overhead - this.#overhead - (bytesWritten - this.#sent) / 4;
    const late = Math.max(0, Math.min(grown, this.#late));
    grown -= late;
    // What has not come by now will hardly come.
    this.#late = Math.floor((this.#late - late) / 2);
    if (bytesWritten > this.#sent) this.alive = true;
    this.#sent = bytesWritten;
    if (!this.#meter.overhead(grown, now)) {
      this.#overhead = overhead;
      this.#calm();
      return false;
    }
    if (this.#probeDue > 0) {
      if (now < this.#probeDue) return true;
      this.destroy();
      return false;
    }
    // nghttp2 gives up a connection on which the protocol was broken without telling Node: it hears nothing any more, and says nothing.
    if (overhead > this.#overhead) this.#doubtful = true;
    else if (this.alive) this.#doubtful = false;
    else if (this.#doubtful || this.#isStuck) this.#probe(now);
    this.#overhead = overhead;
    this.alive = false;
    return true;
  }

  /** Is there something that the client does not take, or is not sent? */
  get #isStuck(): boolean {
    for (const { stream } of this.#exchanges) if (stream.writableLength > 0) return true;
    return false;
  }

  /** Bytes of bodies that have come, but that nobody has taken yet. */
  get #untaken(): number {
    let sum = 0;
    for (const exchange of this.#exchanges) sum += exchange.untaken;
    return sum;
  }

  #probe(now: number): void {
    this.#doubtful = false;
    this.#probeDue = now + this.options.limits.h2PingTimeoutMs;
    this.#session.ping(() => {
      this.#probeDue = 0;
      this.carried += PING_BYTES;
    });
  }

  /** Bytes held for the client: unsent answers, and bodies that nobody takes. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const { stream } of this.#exchanges) sum += stream.writableLength + stream.readableLength;
    return sum;
  }

  /** Cuts everything. The session first: a socket of TLS that is destroyed under one that has written and waits ends the process (an assertion of Node 20). */
  destroy(): void {
    this.lost = true;
    // What is cut must not look complete (rule R2): after a goodbye without an error some clients take what came for all of it.
    if (this.#exchanges.size > 0) this.#session.destroy(new Error('cut'), NGHTTP2_INTERNAL_ERROR);
    else this.#session.destroy();
    this.#socket.destroy();
  }

  #closed(): void {
    this.peer.over?.(this.#state < CLOSING ? 'theirs' : 'ours');
    this.#state = CLOSED;
    this.lost = true;
    this.options.loop.sweeper.remove(this);
    this.#server.left(this);
  }
}

/** Never from inside of nghttp2, where streams are told of: see ServerH2Exchange.closed(). */
function refuse(stream: ServerHttp2Stream, code: number): void {
  stream.close(code);
}

function ignore(): void {}

/** What nghttp2 calls faults of a peer (nghttp2.h), and what RFC 9113 calls them. */
const CODES: ReadonlyMap<number, number> = new Map([
  [-505, NGHTTP2_PROTOCOL_ERROR],
  [-510, NGHTTP2_STREAM_CLOSED],
  [-522, NGHTTP2_FRAME_SIZE_ERROR],
  [-523, NGHTTP2_COMPRESSION_ERROR],
  [-524, NGHTTP2_FLOW_CONTROL_ERROR],
  [-902, NGHTTP2_ENHANCE_YOUR_CALM],
  [-904, NGHTTP2_ENHANCE_YOUR_CALM],
  [-905, NGHTTP2_ENHANCE_YOUR_CALM],
]);

/** What to tell a client for whose sake Node ends a session. */
function codeOf(error: Error | null | undefined): number | undefined {
  const errno = (error as NodeJS.ErrnoException | null | undefined)?.errno;
  return errno === undefined ? undefined : CODES.get(errno);
}

function sessionOptions(limits: HttpLimits): http2.ServerSessionOptions {
  return {
    maxSessionMemory: limits.h2SessionMiB,
    maxSettings: limits.h2Settings,
    // Names and values of pseudo fields and of crumbs of a cookie beside what we count ourselves, with an answer.
    maxHeaderListPairs: 2 * limits.fieldCount,
    maxSessionInvalidFrames: limits.h2ResetBurst,
    maxSessionRejectedStreams: limits.h2ResetBurst,
    settings: {
      enablePush: false,
      enableConnectProtocol: true,
      maxConcurrentStreams: limits.h2Streams,
      initialWindowSize: limits.h2StreamWindow,
      // RFC 9113 6.5.2 counts 32 bytes for each field: what HTTP/1.1 may send, HTTP/2 may.
      maxHeaderListSize: limits.headBytes + 32 * limits.fieldCount,
    },
  };
}
