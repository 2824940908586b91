// HOT: every request to an upstream that is an address passes here.
import net from 'node:net';
import tls from 'node:tls';
import { Wire } from '../std/wire.ts';
import type { Endpoint, Notes, ReplySink, RequestSink } from '../http/exchange.ts';
import { ClientExchange } from '../http/client-exchange.ts';
import { ClientConnection, type ConnectionOwner } from '../http/client-h1.ts';
import { HeadReader } from '../http/h2/client.ts';
import { type RequestHead, ResponseHead } from '../http/head.ts';
import { AUTHORIZATION } from '../http/names.ts';
import { writeProxyV1, writeProxyV2 } from '../http/proxy-protocol.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { type Alpn, asksGrpc, grpcRefusal, H2Sessions, type SessionsOptions, type Sockets } from './h2-sessions.ts';
import { FRESH_MS, H2_KEEP_ALIVE_MS, IDLE_CONNECTIONS, IDLE_MS, KEEP_ALIVE_MARGIN_MS } from './limits.ts';
import { Refusal } from '../http/refusal.ts';

export interface DirectOptions extends SessionsOptions {
  /** Which protocols it is spoken to in; absent: HTTP/1.1. It cannot change. With `proxyProtocol` it is always HTTP/1.1, and H2H1 needs TLS. */
  readonly alpn?: Alpn;
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
  /** Silence after which the system asks whether the peer is still there, ms; absent: it does not. */
  readonly tcpKeepAliveMs?: number;
  /**
   * Says the client's address before anything else. What it says holds for the whole connection, so no connection is used for a second request: it
   * might be another client's, and an upstream that trusts the header would take the one for the other.
   */
  readonly proxyProtocol?: 'v1' | 'v2';
  /** Opens a connection in place of dialling the target: to somebody in this process. HTTP/1.1 only. */
  readonly connect?: () => net.Socket;
}

/** Numbers a direct endpoint counts. */
export interface DirectCounts {
  connects: number;
  connectFailures: number;
  reuses: number;
  repeats: number;
  cancelsExpired: number;
}

/** An upstream that is an address: a pool of kept-alive HTTP/1 connections to it, or HTTP/2 sessions, or both. */
export class Direct implements Endpoint, ConnectionOwner, Sockets {
  readonly id: string;
  readonly #target: UpstreamUrl;
  #options: DirectOptions;
  readonly #scratch: ResponseHead;
  /** Most recently used last: hot connections stay hot, the rest times out. */
  readonly #idle: ClientConnection[] = [];
  readonly #all = new Set<ClientConnection>();
  /** Null: it is spoken to in HTTP/1.1 only. */
  readonly #h2: H2Sessions | null;
  readonly counts: DirectCounts = { connects: 0, connectFailures: 0, reuses: 0, repeats: 0, cancelsExpired: 0 };
  #closed = false;

  constructor(target: UpstreamUrl, options: DirectOptions) {
    this.id = options.id ?? target.shown;
    this.#target = target;
    this.#options = options;
    this.#scratch = options.scratch ?? new ResponseHead(options.limits.fieldCount);
    const { alpn = 'H1', proxyProtocol } = options;
    const isH1 = alpn === 'H1' || proxyProtocol !== undefined || (alpn === 'H2H1' && target.protocol === 'http');
    this.#h2 = isH1 ? null : new H2Sessions(this, alpn, target.protocol, new HeadReader(options.limits, this.#scratch), options);
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
    let sink: RequestSink | null = null;
    if (this.#h2 !== null) sink = this.#h2.open(head, authority, reply, notes);
    else if (asksGrpc(head)) sink = new Refusal(this.#options.loop.turn, reply, grpcRefusal());
    sink ??= this.openH1(head, authority, reply, notes);
    // The head belongs to the caller, who may try another endpoint with it.
    head.newTarget = target;
    head.tail = tail;
    notes.connections = this.connections;
    return sink;
  }

  openH1(head: RequestHead, authority: string, reply: ReplySink, notes: Notes): RequestSink {
    const exchange = new ClientExchange(this.#options.loop, head, authority, reply, notes);
    (this.#pooled(exchange) ?? this.#connect(introduction(this.#options, head))).start(exchange);
    return exchange;
  }

  /** Other times, sizes and rules from now on. Where connections lead, and how they are secured, cannot change: that is another Direct. */
  reconfigure(options: DirectOptions): void {
    this.#options = options;
    while (this.#idle.length > this.#poolSize) this.#idle[0]!.close();
    this.#h2?.reconfigure(options);
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
    const { loop, tcpKeepAliveMs } = this.#options;
    const connection = new ClientConnection(this.#options, this, this.#scratch);
    this.#all.add(connection);
    this.counts.connects++;
    const to = this.#to();
    const { connect } = this.#options;
    if (connect !== undefined) {
      connection.attach(new Wire(loop, connection, connect).listenToData());
      setImmediate(() => connection.opened());
    } else if (this.#target.protocol === 'https') {
      const socket = this.#secure(to, introduction, ['http/1.1']);
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

  dial(protocols: readonly string[]): { readonly socket: net.Socket; readonly isSecure: boolean } {
    const { tcpKeepAliveMs } = this.#options;
    const isSecure = this.#target.protocol === 'https';
    const socket = isSecure ? this.#secure(this.#to(), null, protocols) : net.connect(this.#to());
    // A session that ends politely is not asked by PING any more; a peer that dies then is noticed by this.
    socket.once('connect', () => socket.setKeepAlive(true, tcpKeepAliveMs ?? H2_KEEP_ALIVE_MS));
    return { socket, isSecure };
  }

  adopt(socket: tls.TLSSocket): void {
    const { loop } = this.#options;
    const connection = new ClientConnection(this.#options, this, this.#scratch);
    this.#all.add(connection);
    connection.attach(new Wire(loop, connection, () => socket).listenToData());
    connection.idleSinceMs = loop.clock.now();
    connection.opened();
  }

  #to(): net.TcpNetConnectOpts {
    const { host, port } = this.#target;
    const { ip, ipv4Only } = this.#options;
    const to: net.TcpNetConnectOpts = { host: ip ?? host, port };
    if (ipv4Only === true) to.family = 4;
    return to;
  }

  #secure(to: net.TcpNetConnectOpts, introduction: Buffer | null, protocols: readonly string[]): tls.TLSSocket {
    const { trust, serverName, verifyCert } = this.#options;
    const options: tls.ConnectionOptions = { ...to, ALPNProtocols: [...protocols], minVersion: 'TLSv1.2' };
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
    return this.#h2 === null ? this.#all.size : this.#all.size + this.#h2.size;
  }

  get idleConnections(): number {
    return this.#idle.length + (this.#h2?.idle ?? 0);
  }

  /** Bytes waiting to be taken by the upstream's sockets. */
  get bufferedBytes(): number {
    let sum = this.#h2?.bufferedBytes ?? 0;
    for (const connection of this.#all) sum += connection.wire.buffered;
    return sum;
  }

  /** Closes idle connections now, the others when their exchange ends. */
  close(): void {
    this.#closed = true;
    while (this.#idle.length > 0) this.#idle[this.#idle.length - 1]!.close();
    this.#h2?.close();
  }
}

/**
 * The protocols that an address asks for by its scheme, where nothing else says: `h2c://` HTTP/2, `https://` HTTP/2 for gRPC alone, if TLS chooses it.
 * Everything else is better off over HTTP/1.1: it costs less, and an upstream that has closed its connection has stopped (decisions/016).
 */
export function protocolsOf({ protocol, h2c }: UpstreamUrl): Pick<DirectOptions, 'alpn' | 'h2ForGrpcOnly'> {
  if (h2c === true) return { alpn: 'H2' };
  return protocol === 'https' ? { alpn: 'H2H1', h2ForGrpcOnly: true } : { alpn: 'H1' };
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
