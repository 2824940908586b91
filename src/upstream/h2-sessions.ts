import type net from 'node:net';
import type tls from 'node:tls';
import { ClientSession, type HeadReader, type SessionOwner } from '../http/h2/client.ts';
import { ClientStream, connectRefusal, type StreamOwner } from '../http/h2/client-stream.ts';
import type { ClientOptions } from '../http/client-h1.ts';
import type { Notes, ReplySink, RequestSink } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { isGrpc } from '../http/grpc.ts';
import type { RequestHead } from '../http/head.ts';
import { CONTENT_TYPE } from '../http/names.ts';
import { H1_CHOICE_MS, H2_STREAMS, IDLE_MS } from './limits.ts';
import { Refusal } from '../http/refusal.ts';
import { Undecided } from './undecided.ts';

/** Which protocols an upstream is spoken to in. H2H1: as TLS chooses, HTTP/2 rather. */
export type Alpn = 'H1' | 'H2' | 'H2H1';

export interface SessionsOptions extends ClientOptions {
  /** Streams of one session at once; absent: H2_STREAMS. */
  readonly maxH2Streams?: number;
  /** Idle connections kept; 0 = none; absent: IDLE_CONNECTIONS. Sessions are as many as they must be, so it bounds those of HTTP/1.1 alone. */
  readonly poolSize?: number;
  /** How long an idle connection or session is kept, ms; 0 = not at all; absent: IDLE_MS. */
  readonly poolIdleMs?: number;
  /** With H2H1: only gRPC goes over HTTP/2, since nothing else needs it. */
  readonly h2ForGrpcOnly?: boolean;
}

/** Whoever has both kinds of connections. */
export interface Sockets {
  /** Opens a socket that is to carry HTTP/2. `protocols`: what TLS is to choose from. */
  dial(protocols: readonly string[]): { readonly socket: net.Socket; readonly isSecure: boolean };
  /** This one is for HTTP/1.1. */
  adopt(socket: tls.TLSSocket): void;
  /** Sends a request over HTTP/1.1. */
  openH1(head: RequestHead, authority: string, reply: ReplySink, notes: Notes): RequestSink;
  readonly counts: { connects: number; connectFailures: number; reuses: number; repeats: number };
}

/** Who waits for a session. */
interface Waiter {
  readonly stream: ClientStream | null;
  readonly undecided: Undecided | null;
  readonly notes: Notes;
}

/**
 * The HTTP/2 sessions to one upstream. As few as carry the requests there are: a new one is opened when all are full, and no more at once than those that
 * wait could fill.
 */
export class H2Sessions implements SessionOwner, StreamOwner {
  readonly #sockets: Sockets;
  readonly #alpn: Alpn;
  readonly #scheme: 'http' | 'https';
  readonly #reader: HeadReader;
  #options: SessionsOptions;
  /** Those that take streams, the oldest first: it is filled before the others, so that they can end. */
  readonly #open: ClientSession[] = [];
  readonly #connecting = new Set<ClientSession>();
  readonly #closing = new Set<ClientSession>();
  readonly #waiting = new Map<ClientStream | Undecided, Waiter>();
  /** Streams that the peer allowed last on one session. */
  #peerStreams = Number.POSITIVE_INFINITY;
  /** Until when it is taken for certain that TLS chooses HTTP/1.1, monotonic ms. */
  #h1UntilMs = 0;
  #closed = false;

  constructor(sockets: Sockets, alpn: 'H2' | 'H2H1', scheme: 'http' | 'https', reader: HeadReader, options: SessionsOptions) {
    this.#sockets = sockets;
    this.#alpn = alpn;
    this.#scheme = scheme;
    this.#reader = reader;
    this.#options = options;
  }

  /** Sends a request over HTTP/2. @returns null when it is to go over HTTP/1.1 */
  open(head: RequestHead, authority: string, reply: ReplySink, notes: Notes): RequestSink | null {
    const { loop, h2ForGrpcOnly } = this.#options;
    const grpc = asksGrpc(head);
    if (h2ForGrpcOnly === true && !grpc) return null;
    const session = this.#withRoom();
    if (this.#alpn === 'H2H1') {
      // HTTP/1.1 takes upgrades in any case.
      if (head.upgrade !== '' && (session === null || !session.takesConnect)) return null;
      if (session === null && loop.clock.now() < this.#h1UntilMs) return grpc ? new Refusal(loop.turn, reply, grpcRefusal()) : null;
      if (session === null) {
        const undecided = new Undecided(loop, head, authority, reply, (gone) => this.#waiting.delete(gone));
        this.#wait(undecided, { stream: null, undecided, notes });
        return undecided;
      }
    } else if (head.upgrade !== '' && session !== null && !session.takesConnect) return new Refusal(loop.turn, reply, connectRefusal(head.upgrade));
    const stream = this.#stream(head, authority, reply, notes);
    if (session === null) this.#wait(stream, { stream, undecided: null, notes });
    else {
      this.#sockets.counts.reuses++;
      stream.begin(session, false);
    }
    return stream;
  }

  /** Sessions open or being opened. */
  get size(): number {
    return this.#open.length + this.#connecting.size + this.#closing.size;
  }

  /** Sessions without a stream. */
  get idle(): number {
    let count = 0;
    for (const { streams } of this.#open) if (streams.size === 0) count++;
    return count;
  }

  get bufferedBytes(): number {
    let sum = 0;
    for (const session of this.#open) sum += session.bufferedBytes;
    for (const session of this.#closing) sum += session.bufferedBytes;
    for (const waiter of this.#waiting.keys()) sum += waiter.bufferedBytes;
    return sum;
  }

  reconfigure(options: SessionsOptions): void {
    this.#options = options;
    for (const session of [...this.#open, ...this.#connecting, ...this.#closing]) {
      session.options = options;
      session.maxStreams = this.#maxStreams;
      session.idleMs = this.#idleMs;
    }
    // More may go now.
    for (const session of this.#open.slice()) this.roomy(session);
  }

  /** Closes idle sessions now, the others with their last stream. */
  close(): void {
    this.#closed = true;
    for (const session of this.#open.slice()) session.close();
    if (this.#waiting.size === 0) for (const session of this.#connecting) session.close();
    else for (const session of this.#connecting) session.idleMs = 0;
  }

  roomy(session: ClientSession): void {
    if (this.#connecting.delete(session)) {
      this.#open.push(session);
      this.#h1UntilMs = 0;
    }
    this.#peerStreams = session.peerStreams;
    for (const waiter of this.#waiting.values()) {
      if (session.room <= 0) break;
      this.#begin(waiter, session);
    }
    if (session.peerStreams === 0) this.#failWaiting(0, new Failure('upstream_refused', 'the upstream allows no request on its connections'));
    else this.#connectForWaiting();
    if (this.#closed) session.close();
  }

  chose(session: ClientSession, socket: tls.TLSSocket): void {
    this.#connecting.delete(session);
    const { alpnProtocol } = socket;
    // A server that knows nothing of ALPN speaks HTTP/1.1.
    if (this.#alpn === 'H2' || (alpnProtocol !== 'http/1.1' && alpnProtocol !== false)) {
      socket.on('error', () => {});
      socket.destroy();
      this.#sockets.counts.connectFailures++;
      this.#failWaiting(this.#connecting.size, noHttp2());
      return;
    }
    const { loop } = this.#options;
    this.#h1UntilMs = loop.clock.now() + H1_CHOICE_MS;
    this.#sockets.adopt(socket);
    for (const [key, { stream, undecided, notes }] of this.#waiting) {
      if (!this.#waiting.delete(key)) continue;
      if (undecided === null) stream!.unserved(noHttp2());
      else if (asksGrpc(undecided.head)) undecided.unserved(grpcRefusal());
      else undecided.become(this.#sockets.openH1(undecided.head, undecided.authority, undecided.reply, notes));
    }
  }

  closing(session: ClientSession): void {
    const at = this.#open.indexOf(session);
    if (at >= 0) this.#open.splice(at, 1);
    this.#closing.add(session);
    this.#connectForWaiting();
  }

  failed(session: ClientSession, failure: Failure): void {
    this.#connecting.delete(session);
    this.#sockets.counts.connectFailures++;
    this.#failWaiting(this.#connecting.size, failure);
  }

  gone(session: ClientSession): void {
    this.#closing.delete(session);
  }

  again(stream: ClientStream): void {
    this.#sockets.counts.repeats++;
    const session = this.#withRoom();
    if (session === null) this.#wait(stream, { stream, undecided: null, notes: stream.notes });
    else stream.begin(session, false);
  }

  leave(stream: ClientStream): void {
    this.#waiting.delete(stream);
  }

  get #maxStreams(): number {
    return this.#options.maxH2Streams ?? H2_STREAMS;
  }

  get #idleMs(): number {
    return this.#closed || this.#options.poolSize === 0 ? 0 : (this.#options.poolIdleMs ?? IDLE_MS);
  }

  #withRoom(): ClientSession | null {
    for (let i = 0; i < this.#open.length; i++) if (this.#open[i]!.room > 0) return this.#open[i]!;
    return null;
  }

  #stream(head: RequestHead, authority: string, reply: ReplySink, notes: Notes): ClientStream {
    return new ClientStream(this.#options, this, head, this.#scheme, authority, reply, notes);
  }

  #wait(key: ClientStream | Undecided, waiter: Waiter): void {
    this.#waiting.set(key, waiter);
    this.#connectForWaiting();
  }

  #begin({ stream, undecided, notes }: Waiter, session: ClientSession): void {
    this.#waiting.delete((stream ?? undecided)!);
    if (stream !== null) {
      stream.begin(session, true);
      return;
    }
    const { head, authority, reply } = undecided!;
    const decided = this.#stream(head, authority, reply, notes);
    undecided!.become(decided);
    decided.begin(session, true);
  }

  /** So many sessions that those who wait could fill them: not one for each, nor one for all of them after the other. */
  #connectForWaiting(): void {
    const each = Math.max(1, Math.min(this.#maxStreams, this.#peerStreams));
    while (this.#connecting.size * each < this.#waiting.size) this.#connect();
  }

  #connect(): void {
    const { socket, isSecure } = this.#sockets.dial(this.#alpn === 'H2' ? ['h2'] : ['h2', 'http/1.1']);
    const bounds = { maxStreams: this.#maxStreams, idleMs: this.#idleMs };
    this.#connecting.add(new ClientSession(this.#options, this, this.#reader, socket, isSecure, bounds));
    this.#sockets.counts.connects++;
  }

  /** Those that the sessions still being opened are not for, the oldest first. */
  #failWaiting(connecting: number, failure: Failure): void {
    const each = Math.max(1, Math.min(this.#maxStreams, this.#peerStreams));
    const waiting = [...this.#waiting.entries()];
    for (const [key, { stream, undecided }] of waiting.slice(0, Math.max(0, waiting.length - connecting * each))) {
      if (!this.#waiting.delete(key)) continue;
      if (stream !== null) stream.unserved(failure);
      else undecided!.unserved(failure);
    }
  }
}

/** Is it a request of gRPC? A type that a plugin has written is looked for only where trailers are asked for: elsewhere it would cost every request. */
export function asksGrpc(head: RequestHead): boolean {
  return (head.first[CONTENT_TYPE] !== 0 || head.trailers) && isGrpc(head);
}

/** For a request of gRPC to an upstream that is spoken to in HTTP/1.1. */
export function grpcRefusal(): Failure {
  return new Failure('grpc_needs_http2', 'gRPC needs HTTP/2, and this upstream is spoken to in HTTP/1.1');
}

function noHttp2(): Failure {
  return new Failure('no_http2', 'the upstream does not choose HTTP/2 in TLS (ALPN)');
}
