// HOT: every request to an upstream that is an address passes here.
import net from 'node:net';
import tls from 'node:tls';
import { Wire } from '../std/wire.ts';
import type { Endpoint, Notes, ReplySink, RequestSink } from '../http/exchange.ts';
import { ClientExchange } from '../http/client-exchange.ts';
import { ClientConnection, type ClientOptions, type ConnectionOwner } from '../http/client-h1.ts';
import { type RequestHead, ResponseHead } from '../http/head.ts';
import { AUTHORIZATION } from '../http/names.ts';
import { writeProxyV1, writeProxyV2 } from '../http/proxy-protocol.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { FRESH_MS, IDLE_CONNECTIONS, IDLE_MS, KEEP_ALIVE_MARGIN_MS } from './limits.ts';

export interface DirectOptions extends ClientOptions {
  /** `keep` the client's Host, or write the target's own. */
  readonly hostHeader: 'keep' | 'upstream';
  /** What to trust of https targets, and what to show them; undefined = what Node believes, and nothing. */
  readonly trust?: tls.SecureContext;
  /** Where heads of answers are parsed into; absent: one of its own. All of a loop may share one, since heads are scratch. */
  readonly scratch?: ResponseHead;
  /** Its id; absent: the target's text. */
  readonly id?: string;
  /** What is dialled instead of the target's host: an IP address. */
  readonly ip?: string;
  /** Name for TLS, and what certificates must be for; absent: the target's host. */
  readonly serverName?: string;
  /** False: any certificate is believed. */
  readonly verifyCert?: boolean;
  /** Names are looked up for IPv4 addresses only. */
  readonly ipv4Only?: boolean;
  /** Idle connections kept; absent: IDLE_CONNECTIONS. */
  readonly poolSize?: number;
  /** How long an idle connection is kept, ms; 0 = not at all; absent: IDLE_MS. */
  readonly poolIdleMs?: number;
  /** Silence after which the system asks whether the peer is still there, ms; absent: it does not. */
  readonly tcpKeepAliveMs?: number;
  /**
   * Says the client's address before anything else. What it says holds for the whole connection, so no connection is used for a second request: it
   * might be another client's, and an upstream that trusts the header would take the one for the other.
   */
  readonly proxyProtocol?: 'v1' | 'v2';
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
  #options: DirectOptions;
  readonly #scratch: ResponseHead;
  /** Most recently used last: hot connections stay hot, the rest times out. */
  readonly #idle: ClientConnection[] = [];
  readonly #all = new Set<ClientConnection>();
  readonly counts: DirectCounts = { connects: 0, connectFailures: 0, reuses: 0, repeats: 0, cancelsExpired: 0 };
  #closed = false;

  constructor(target: UpstreamUrl, options: DirectOptions) {
    this.id = options.id ?? target.shown;
    this.#target = target;
    this.#options = options;
    this.#scratch = options.scratch ?? new ResponseHead(options.limits.fieldCount);
  }

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    const { path: prefix, authorization } = this.#target;
    notes.address = this.id;
    notes.connectMs = 0;
    notes.connectTlsMs = 0;
    const target = head.newTarget;
    const tail = head.tail;
    if (prefix !== '' && head.target !== '*') head.newTarget = prefix + head.target;
    if (authorization !== null && !head.has(AUTHORIZATION)) head.add('Authorization', authorization);
    const authority = this.#options.hostHeader === 'upstream' || head.authority === '' ? this.#target.authority : '';
    const exchange = new ClientExchange(this.#options.loop, head, authority, reply, notes);
    // The head belongs to the caller, who may try another endpoint with it.
    head.newTarget = target;
    head.tail = tail;
    (this.#pooled(exchange) ?? this.#connect(introduction(this.#options, head))).start(exchange);
    notes.connections = this.#all.size;
    return exchange;
  }

  /** Other times, sizes and rules from now on. Where connections lead, and how they are secured, cannot change: that is another Direct. */
  reconfigure(options: DirectOptions): void {
    this.#options = options;
    while (this.#idle.length > this.#poolSize) this.#idle[0]!.close();
  }

  get #poolSize(): number {
    const { poolSize = IDLE_CONNECTIONS, poolIdleMs, proxyProtocol } = this.#options;
    return poolIdleMs === 0 || proxyProtocol !== undefined ? 0 : poolSize;
  }

  #pooled(exchange: ClientExchange): ClientConnection | null {
    const idle = this.#idle;
    const connection = idle[idle.length - 1];
    if (connection === undefined) return null;
    // It was given to us just now, by whoever notes that.
    const now = exchange.notes.dispatchedMs > 0 ? exchange.notes.dispatchedMs : this.#options.loop.clock.now();
    const method = exchange.method;
    const mustNotRepeat = method === 'POST' || method === 'PATCH' || exchange.upgrade !== '';
    const idleMs = this.#options.poolIdleMs ?? IDLE_MS;
    const limitMs = !mustNotRepeat
      ? idleMs
      : connection.keepAliveS > 0
        ? connection.keepAliveS * 1000 - KEEP_ALIVE_MARGIN_MS
        : Math.min(FRESH_MS, idleMs);
    if (now - connection.idleSinceMs > limitMs) return null;
    idle.pop();
    connection.due = Number.POSITIVE_INFINITY;
    connection.options = this.#options;
    this.counts.reuses++;
    return connection;
  }

  #connect(introduction: Buffer | null): ClientConnection {
    const { protocol, host, port } = this.#target;
    const { loop, ip, ipv4Only, tcpKeepAliveMs } = this.#options;
    const connection = new ClientConnection(this.#options, this, this.#scratch);
    this.#all.add(connection);
    this.counts.connects++;
    const to: net.TcpNetConnectOpts = { host: ip ?? host, port };
    if (ipv4Only === true) to.family = 4;
    if (protocol === 'https') {
      const socket = this.#secure(to, introduction);
      connection.attach(new Wire(loop, connection, () => socket).listenToData());
      socket.once('connect', () => {
        if (tcpKeepAliveMs !== undefined) socket.setKeepAlive(true, tcpKeepAliveMs);
        connection.connected();
      });
      socket.once('secureConnect', () => connection.opened());
    } else {
      const wire = new Wire(loop, connection, (onread) => net.connect({ ...to, allowHalfOpen: true, onread }));
      connection.attach(wire);
      wire.socket.once('connect', () => {
        if (tcpKeepAliveMs !== undefined) wire.socket.setKeepAlive(true, tcpKeepAliveMs);
        if (introduction !== null) wire.write(introduction);
        connection.opened();
      });
    }
    return connection;
  }

  #secure(to: net.TcpNetConnectOpts, introduction: Buffer | null): tls.TLSSocket {
    const { trust, serverName, verifyCert } = this.#options;
    const options: tls.ConnectionOptions = { ...to, ALPNProtocols: ['http/1.1'], minVersion: 'TLSv1.2' };
    const name = serverName ?? this.#target.host;
    if (net.isIP(name) === 0) options.servername = name;
    if (serverName !== undefined) options.checkServerIdentity = (_host, certificate) => tls.checkServerIdentity(serverName, certificate);
    if (trust !== undefined) options.secureContext = trust;
    if (verifyCert === false) options.rejectUnauthorized = false;
    if (introduction === null) return tls.connect(options);
    // In front of TLS, not inside it: the load balancer that wants it does not open what it passes on. (A socket that tries several addresses
    // changes its handle on the way, which TLS above it would not notice.)
    const tcp = net.connect({ ...to, autoSelectFamily: false });
    tcp.write(introduction);
    return tls.connect({ ...options, socket: tcp });
  }

  released(connection: ClientConnection): void {
    if (this.#closed || this.#idle.length >= this.#poolSize) {
      connection.close();
      return;
    }
    const idleMs = this.#options.poolIdleMs ?? IDLE_MS;
    const keepMs = connection.keepAliveS > 0 ? Math.max(0, connection.keepAliveS * 1000 - KEEP_ALIVE_MARGIN_MS) : idleMs;
    connection.due = connection.idleSinceMs + Math.min(keepMs, idleMs);
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
    // A connection that was used before has introduced nobody: see DirectOptions.proxyProtocol.
    this.#connect(null).start(exchange);
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

/** The PROXY header for the client of a request; null when none is wanted. */
function introduction({ proxyProtocol }: DirectOptions, head: RequestHead): Buffer | null {
  if (proxyProtocol === undefined) return null;
  const { peer, client } = head;
  // Of a client that only a header field knows, nobody knows the port.
  const source = { address: client, port: client === peer.address ? peer.port : 0 };
  // Of a client behind a tunnel nobody knows which address it dialled: the unspecified one of its family stands for it.
  const destination = { address: peer.localAddress === '' ? (client.includes(':') ? '::' : '0.0.0.0') : peer.localAddress, port: peer.localPort };
  return proxyProtocol === 'v1' ? writeProxyV1(source, destination) : writeProxyV2(source, destination);
}
