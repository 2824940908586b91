import http2 from 'node:http2';
import type net from 'node:net';
import type tls from 'node:tls';
import type { Timed } from '../../std/sweeper.ts';
import type { ClientOptions } from '../client-h1.ts';
import type { ClientStream } from './client-stream.ts';
import { connectFailure, refusalWords } from '../connect-failure.ts';
import { Failure } from '../failure.ts';
import { headScratch } from './fields.ts';
import { ResponseHead } from '../head.ts';
import { clientH2Limits, type HttpLimits } from '../limits.ts';

/** Whoever owns sessions: a pool. */
export interface SessionOwner {
  /** The session is open, or has room again: give it what waits. */
  roomy(session: ClientSession): void;
  /** TLS is up, but the other side chose another protocol than HTTP/2. The socket is the owner's now. */
  chose(session: ClientSession, socket: tls.TLSSocket): void;
  /** It takes no more streams; those that run go on. Not called when it never opened. */
  closing(session: ClientSession): void;
  /** It never opened. */
  failed(session: ClientSession, failure: Failure): void;
  /** Its socket is closed, and none of its streams is left. */
  gone(session: ClientSession): void;
}

/** Memory that heads of answers are read in, one after the other. */
export class HeadReader {
  readonly head: ResponseHead;
  readonly text: Buffer;
  readonly limits: HttpLimits;

  constructor(limits: HttpLimits, head: ResponseHead = new ResponseHead(limits.fieldCount)) {
    this.limits = limits;
    this.head = head;
    this.text = headScratch(limits);
  }
}

type State = 'connecting' | 'greeting' | 'open' | 'closing' | 'closed';

const NEVER = Number.POSITIVE_INFINITY;

/**
 * One HTTP/2 connection to an upstream; it carries many exchanges at a time. It counts as open once the settings of the other side have come: only then is
 * it known how many streams it takes, and that it speaks HTTP/2 at all, so that no request is shown to who does not.
 */
export class ClientSession implements Timed {
  /** Its owner may set others. */
  options: ClientOptions;
  readonly reader: HeadReader;
  readonly #owner: SessionOwner;
  readonly #socket: net.Socket;
  readonly #isSecure: boolean;
  due = NEVER;
  place = -1;
  /** Streams that it has not forgotten yet. */
  readonly streams = new Set<ClientStream>();
  /** Streams that it may have, at most; the peer may allow fewer. */
  maxStreams: number;
  /** Idle time after which it is closed, ms; 0 = as soon as it is idle. */
  idleMs: number;
  /** Streams that the peer allows at once. */
  peerStreams = NEVER;
  /** Does the peer take an extended CONNECT (RFC 8441)? */
  takesConnect = false;
  /** Streams begun so far. */
  served = 0;
  #state: State = 'connecting';
  #h2: http2.ClientHttp2Session | null = null;
  #error: Error | null = null;
  /** Last stream that the peer has dealt with, by its GOAWAY; Infinity before one came. */
  #lastStream = NEVER;
  /** The code of that GOAWAY. */
  #goaway = 0;
  readonly startMs: number;
  #tcpMs = 0;
  readonly #connectDue: number;
  /** What connecting took, and TLS as part of it, ms. */
  connectMs = 0;
  connectTlsMs = 0;
  /** When something of an answer came last, when a PING was sent last, and since when it waits for its answer; monotonic ms, 0 = never. */
  #heardMs = 0;
  #pingMs = 0;
  #pingedMs = 0;
  #idleSinceMs = 0;
  /** SETTINGS and PINGs of the peer within the second that began at #controlsMs. */
  #controls = 0;
  #controlsMs = 0;

  constructor(
    options: ClientOptions,
    owner: SessionOwner,
    reader: HeadReader,
    socket: net.Socket,
    isSecure: boolean,
    bounds: { readonly maxStreams: number; readonly idleMs: number },
  ) {
    this.options = options;
    this.#owner = owner;
    this.reader = reader;
    this.#socket = socket;
    this.#isSecure = isSecure;
    this.maxStreams = bounds.maxStreams;
    this.idleMs = bounds.idleMs;
    this.startMs = options.loop.clock.now();
    const { connectTimeoutMs, totalConnectTimeoutMs = 0 } = options;
    this.#connectDue = totalConnectTimeoutMs > 0 ? this.startMs + totalConnectTimeoutMs : NEVER;
    this.due = Math.min(this.#connectDue, connectTimeoutMs > 0 ? this.startMs + connectTimeoutMs : NEVER);
    options.loop.sweeper.add(this);
    socket.once('connect', this.#onConnect);
    if (isSecure) socket.once('secureConnect', this.#onSecure);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  /** Streams that it takes now. */
  get room(): number {
    // Node closes a session in steps, and tells of the last of them.
    if (this.#state !== 'open' || this.#h2!.closed || this.#h2!.destroyed) return 0;
    return Math.min(this.maxStreams, this.peerStreams) - this.streams.size;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Was it lost, so that none of its streams can go on? */
  get isLost(): boolean {
    return this.#h2 === null || this.#h2.destroyed;
  }

  /** Bytes of requests that the upstream has not taken, and of answers that nobody has taken. */
  get bufferedBytes(): number {
    let sum = this.#socket.writableLength;
    for (const stream of this.streams) sum += stream.bufferedBytes;
    return sum;
  }

  /** Why it was lost, as the end of a sentence; '' when nobody says. */
  get lossReason(): string {
    const code = (this.#error as NodeJS.ErrnoException | null)?.code;
    if (this.#goaway !== 0) return ` (GOAWAY ${codeName(this.#goaway)})`;
    return code === undefined ? '' : ` (${code})`;
  }

  /** Was it cut, not closed? */
  get wasReset(): boolean {
    return this.#error !== null || this.#goaway !== 0;
  }

  /** Has the peer said that it will not deal with the stream of this number? */
  spurned(id: number | undefined): boolean {
    return id === undefined || id > this.#lastStream;
  }

  /** Begins a stream. @throws when Node refuses its head */
  request(stream: ClientStream, headers: http2.OutgoingHttpHeaders, options: http2.ClientSessionRequestOptions): http2.ClientHttp2Stream {
    const carrier = this.#h2!.request(headers, options);
    this.streams.add(stream);
    this.served++;
    const now = this.options.loop.sweeper.coarse;
    if (now - this.#heardMs > clientH2Limits.silenceMs) this.#ping(now);
    else if (this.#pingedMs === 0) this.due = this.#heardMs + clientH2Limits.silenceMs;
    return carrier;
  }

  /** Node has forgotten a stream. */
  released(stream: ClientStream): void {
    this.streams.delete(stream);
    if (this.#state !== 'open') return;
    if (this.streams.size === 0) {
      this.#idleSinceMs = this.options.loop.clock.now();
      if (this.#pingedMs === 0) this.due = this.#idleSinceMs + this.idleMs;
    }
    this.#owner.roomy(this);
    if (this.idleMs === 0 && this.streams.size === 0) this.close();
  }

  /** Something of an answer came. */
  heard(): void {
    this.#heardMs = this.options.loop.sweeper.coarse;
  }

  /** Takes no more streams; ends when those that run have. */
  close(): void {
    if (this.#state === 'closed' || this.#state === 'closing') return;
    if (this.#state !== 'open') {
      this.#fail(new Failure('connect_failed', 'the connection to the upstream was given up'));
      return;
    }
    this.#leave();
    this.#h2!.close();
  }

  readonly #onConnect = (): void => {
    this.#tcpMs = this.options.loop.clock.now();
    if (this.#state !== 'connecting') return;
    if (this.options.totalConnectTimeoutMs !== undefined) this.due = this.#connectDue;
    if (!this.#isSecure) this.#greet();
  };

  readonly #onSecure = (): void => {
    if (this.#state !== 'connecting') return;
    const socket = this.#socket as tls.TLSSocket;
    if (socket.alpnProtocol === 'h2') {
      this.#greet();
      return;
    }
    this.#state = 'closed';
    this.#forget();
    this.#owner.chose(this, socket);
  };

  readonly #onError = (error: Error): void => {
    this.#error ??= error;
    // An alert of TLS closes no socket that a session reads: Node leaves it open and silent.
    if (this.#h2 === null || this.#h2.destroyed) return;
    this.#cut();
  };

  readonly #onClose = (): void => {
    if (this.#state === 'connecting') this.#fail(new Failure(...connectFailure(this.#error, this.#isSecure && this.#tcpMs > 0)));
  };

  #greet(): void {
    const { fieldCount, headBytes } = this.options.limits;
    const { streamWindowBytes, sessionWindowBytes, sessionMemoryMb, invalidFrames } = clientH2Limits;
    this.#state = 'greeting';
    const options: http2.ClientSessionOptions & { maxSessionInvalidFrames: number } = {
      createConnection: () => this.#socket,
      // Twice what is taken, with 32 bytes for each field (RFC 9113 6.5.2): so that the parser, which gives a reason, refuses most of what is too much.
      settings: { enablePush: false, initialWindowSize: streamWindowBytes, maxHeaderListSize: 2 * headBytes + 32 * fieldCount },
      maxHeaderListPairs: 4 * fieldCount,
      maxSessionMemory: sessionMemoryMb,
      maxSessionInvalidFrames: invalidFrames,
    };
    const h2 = http2.connect('http://upstream', options);
    this.#h2 = h2;
    const destroy = h2.destroy.bind(h2);
    // Node does it at once when a GOAWAY brings an error, and that is inside of nghttp2: see onClose() of the streams.
    h2.destroy = (error?: Error | null, code?: number) => {
      if (isOfGoaway(error)) setImmediate(destroy, error, code);
      else destroy(error ?? undefined, code);
    };
    h2.on('error', this.#onError);
    h2.once('connect', () => {
      if (!h2.destroyed) h2.setLocalWindowSize(sessionWindowBytes);
    });
    h2.on('remoteSettings', (settings) => this.#settings(settings));
    h2.on('ping', () => this.#control());
    h2.on('goaway', (code, lastStream) => {
      this.#goaway = code;
      this.#lastStream = lastStream;
      this.#leave();
    });
    h2.on('close', () => this.#closed());
  }

  #settings({ maxConcurrentStreams = NEVER, enableConnectProtocol }: http2.Settings): void {
    this.peerStreams = maxConcurrentStreams;
    this.takesConnect = enableConnectProtocol === true;
    this.#control();
    const { clock } = this.options.loop;
    if (this.#state === 'greeting') {
      const now = clock.now();
      this.#state = 'open';
      this.connectMs = now - this.startMs;
      if (this.#isSecure) this.connectTlsMs = now - this.#tcpMs;
      this.#heardMs = this.#idleSinceMs = now;
      this.due = now + Math.max(this.idleMs, OPENED_MS);
    }
    if (this.#state === 'open') this.#owner.roomy(this);
  }

  /** A peer that does nothing but make us answer is left (CVE-2019-9512, 9515). */
  #control(): void {
    const now = this.options.loop.sweeper.coarse;
    if (now - this.#controlsMs >= 1000) {
      this.#controlsMs = now;
      this.#controls = 0;
    }
    if (++this.#controls <= clientH2Limits.controlsPerSecond) return;
    this.#error = new Error('a flood of SETTINGS or PING');
    // Not from inside of nghttp2: see ClientStream's onClose().
    setImmediate(() => this.#h2!.destroy(this.#error!, http2.constants.NGHTTP2_ENHANCE_YOUR_CALM));
  }

  #ping(now: number): void {
    if (this.#pingedMs !== 0) return;
    const { pingEveryMs, pingTimeoutMs } = clientH2Limits;
    // Servers of gRPC hang up on who pings more often than every five minutes while they have nothing to say.
    if (this.#heardMs <= this.#pingMs && now - this.#pingMs < pingEveryMs) {
      this.due = this.#pingMs + pingEveryMs;
      return;
    }
    this.#pingMs = this.#pingedMs = now;
    this.due = now + pingTimeoutMs;
    this.#h2!.ping((error) => {
      if (error !== null || this.#pingedMs === 0) return;
      this.#pingedMs = 0;
      const { silenceMs } = clientH2Limits;
      this.due = this.streams.size === 0 ? this.#idleSinceMs + this.idleMs : this.options.loop.sweeper.coarse + silenceMs;
    });
  }

  expired(now: number): void {
    switch (this.#state) {
      case 'connecting':
      case 'greeting':
        this.#fail(new Failure('connect_timeout', `no connection to the upstream within ${Math.round(this.due - this.startMs)} ms`));
        break;
      case 'open':
        if (this.#pingedMs !== 0) {
          this.#error = Object.assign(new Error('no answer to a PING'), { code: 'no answer to a PING' });
          this.due = NEVER;
          this.#cut();
        } else if (this.streams.size > 0) {
          const quietDue = this.#heardMs + clientH2Limits.silenceMs;
          if (now < quietDue) this.due = quietDue;
          else this.#ping(now);
        } else this.close();
        break;
      case 'closing':
        // Streams have limits of their own; without any, the other side should have closed by now.
        if (this.streams.size === 0) this.#cut();
        this.due = now + clientH2Limits.closeMs;
        break;
      case 'closed':
        break;
    }
  }

  /** No more streams. */
  #leave(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.due = this.options.loop.clock.now() + clientH2Limits.closeMs;
    this.#owner.closing(this);
  }

  /** The session first: a socket of TLS that is destroyed under one that has written and waits ends the process (an assertion of Node 20). */
  #cut(): void {
    this.#h2?.destroy();
    this.#socket.destroy();
  }

  #fail(failure: Failure): void {
    this.#state = 'closed';
    this.#forget();
    this.#socket.on('error', () => {});
    this.#cut();
    this.#owner.failed(this, failure);
  }

  #forget(): void {
    this.due = NEVER;
    this.options.loop.sweeper.remove(this);
    const socket = this.#socket;
    socket.off('connect', this.#onConnect);
    socket.off('secureConnect', this.#onSecure);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
  }

  #closed(): void {
    switch (this.#state) {
      case 'greeting': {
        const error = this.#error as NodeJS.ErrnoException | null;
        const isSilent = !this.#isSecure && this.#socket.bytesRead === 0;
        const isOfConnection = isSilent || error?.syscall !== undefined || refusalWords(error?.code ?? '') !== undefined;
        this.#fail(
          isOfConnection
            ? new Failure(...connectFailure(this.#error))
            : new Failure('no_http2', 'the upstream does not speak HTTP/2 on this port: is it one of HTTP/1.1, or of TLS?'),
        );
        break;
      }
      case 'open':
        this.#leave();
        this.#end();
        break;
      case 'closing':
        this.#end();
        break;
      default:
    }
  }

  #end(): void {
    this.#state = 'closed';
    this.#forget();
    this.#socket.on('error', () => {});
    this.#socket.destroy();
    this.#owner.gone(this);
  }
}

/** A session that was opened for somebody is not closed before he has had the time to use it, ms. */
const OPENED_MS = 1_000;

/** Is it what Node ends a session with because of the peer's GOAWAY? */
export function isOfGoaway(error: Error | null | undefined): error is Error {
  return (error as NodeJS.ErrnoException | null | undefined)?.code === 'ERR_HTTP2_SESSION_ERROR';
}

/** The name of an error code (RFC 9113 7). */
export function codeName(code: number): string {
  return CODES[code] ?? String(code);
}

const CODES = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];
