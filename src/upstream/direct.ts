// HOT: every request to an upstream that is an address passes here.
import net from 'node:net';
import tls from 'node:tls';
import { Wire } from '../std/wire.ts';
import type { Endpoint, Notes, ReplySink, RequestSink } from '../http/exchange.ts';
import { ClientExchange } from '../http/client-exchange.ts';
import { ClientConnection, type ClientOptions, type ConnectionOwner } from '../http/client-h1.ts';
import { type RequestHead, ResponseHead } from '../http/head.ts';
import { AUTHORIZATION } from '../http/names.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { FRESH_MS, IDLE_CONNECTIONS, IDLE_MS, KEEP_ALIVE_MARGIN_MS } from './limits.ts';

export interface DirectOptions extends ClientOptions {
  /** `keep` the client's Host, or write the target's own. */
  readonly hostHeader: 'keep' | 'upstream';
  /** What to trust of https targets; undefined = what Node believes. */
  readonly trust?: tls.SecureContext;
}

/** Numbers a direct endpoint counts. */
export interface DirectCounts {
  connects: number;
  connectFailures: number;
  reuses: number;
  repeats: number;
  cancelsExpired: number;
}

/** An upstream that is an address: a pool of kept-alive HTTP/1 connections to it. */
export class Direct implements Endpoint, ConnectionOwner {
  readonly id: string;
  readonly #target: UpstreamUrl;
  readonly #options: DirectOptions;
  readonly #scratch: ResponseHead;
  /** Most recently used last: hot connections stay hot, the rest times out. */
  readonly #idle: ClientConnection[] = [];
  readonly #all = new Set<ClientConnection>();
  readonly counts: DirectCounts = { connects: 0, connectFailures: 0, reuses: 0, repeats: 0, cancelsExpired: 0 };
  #closed = false;

  constructor(target: UpstreamUrl, options: DirectOptions) {
    this.id = target.shown;
    this.#target = target;
    this.#options = options;
    this.#scratch = new ResponseHead(options.limits.fieldCount);
  }

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    const { path: prefix, authorization } = this.#target;
    notes.address = this.id;
    const target = head.newTarget;
    const tail = head.tail;
    if (prefix !== '' && head.target !== '*') head.newTarget = prefix + head.target;
    if (authorization !== null && !head.has(AUTHORIZATION)) head.add('Authorization', authorization);
    const authority = this.#options.hostHeader === 'upstream' || head.authority === '' ? this.#target.authority : '';
    const exchange = new ClientExchange(this.#options.loop, head, authority, reply, notes);
    // The head belongs to the caller, who may try another endpoint with it.
    head.newTarget = target;
    head.tail = tail;
    (this.#pooled(exchange) ?? this.#connect()).start(exchange);
    return exchange;
  }

  #pooled(exchange: ClientExchange): ClientConnection | null {
    const idle = this.#idle;
    const connection = idle[idle.length - 1];
    if (connection === undefined) return null;
    const now = this.#options.loop.clock.now();
    const method = exchange.method;
    const mustNotRepeat = method === 'POST' || method === 'PATCH' || exchange.upgrade !== '';
    const limitMs = !mustNotRepeat ? IDLE_MS : connection.keepAliveS > 0 ? connection.keepAliveS * 1000 - KEEP_ALIVE_MARGIN_MS : FRESH_MS;
    if (now - connection.idleSinceMs > limitMs) return null;
    idle.pop();
    connection.due = Number.POSITIVE_INFINITY;
    this.counts.reuses++;
    return connection;
  }

  #connect(): ClientConnection {
    const { protocol, host, port } = this.#target;
    const { loop } = this.#options;
    const connection = new ClientConnection(this.#options, this, this.#scratch);
    this.#all.add(connection);
    this.counts.connects++;
    if (protocol === 'https') {
      const options: tls.ConnectionOptions = { host, port, ALPNProtocols: ['http/1.1'], minVersion: 'TLSv1.2' };
      if (net.isIP(host) === 0) options.servername = host;
      if (this.#options.trust !== undefined) options.secureContext = this.#options.trust;
      const socket = tls.connect(options);
      connection.attach(new Wire(loop, connection, () => socket).listenToData());
      socket.once('secureConnect', () => connection.opened());
    } else {
      const wire = new Wire(loop, connection, (onread) => net.connect({ host, port, allowHalfOpen: true, onread }));
      connection.attach(wire);
      wire.socket.once('connect', () => connection.opened());
    }
    return connection;
  }

  released(connection: ClientConnection): void {
    if (this.#closed || this.#idle.length >= IDLE_CONNECTIONS) {
      connection.close();
      return;
    }
    const keepMs = connection.keepAliveS > 0 ? Math.max(0, connection.keepAliveS * 1000 - KEEP_ALIVE_MARGIN_MS) : IDLE_MS;
    connection.due = connection.idleSinceMs + Math.min(keepMs, IDLE_MS);
    this.#idle.push(connection);
  }

  gone(connection: ClientConnection): void {
    this.#all.delete(connection);
    if (connection.served === 0) this.counts.connectFailures++;
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  again(exchange: ClientExchange): void {
    this.counts.repeats++;
    this.#connect().start(exchange);
  }

  graceExpired(): void {
    this.counts.cancelsExpired++;
  }

  /** Connections open now, idle ones included. */
  get connections(): number {
    return this.#all.size;
  }

  get idleConnections(): number {
    return this.#idle.length;
  }

  /** Bytes waiting to be taken by the upstream's sockets. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const connection of this.#all) sum += connection.wire.buffered;
    return sum;
  }

  /** Closes idle connections now, the others when their exchange ends. */
  close(): void {
    this.#closed = true;
    while (this.#idle.length > 0) this.#idle[this.#idle.length - 1]!.close();
  }
}
