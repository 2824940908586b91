// HOT by what it starts: accepted() runs per connection, the rest is the business of server-connection.ts.
import type { Buffer } from 'node:buffer';
import net from 'node:net';
import { adopt, canAdopt } from '../std/adopt.ts';
import type { Loop } from '../std/loop.ts';
import { Wire } from '../std/wire.ts';
import type { Handler, Notes, ReplySink, RequestSink } from './exchange.ts';
import type { Failure } from './failure.ts';
import { makePeer, type Peer, plainAddress, RequestHead, STRIDE } from './head.ts';
import type { HttpLimits } from './limits.ts';
import { type End, NOT_TRUSTED, type ProxyProtocolIn } from './proxy-protocol.ts';
import { headScratch } from './h2/fields.ts';
import { ServerConnection } from './server-connection.ts';
import { ServerH2Connection } from './h2/server-connection.ts';
import { type Secured, type ServerTls, TlsListener } from './tls-listener.ts';

/** What an HTTP server needs from whoever starts it. */
export interface ServerOptions {
  readonly loop: Loop;
  readonly limits: HttpLimits;
  readonly handler: Handler;
  /**
   * Answers what never became an exchange (bad framing, too large); the connection closes behind it. `head` is null when there is none to speak of;
   * `asksGrpc`: then it is known all the same that it was one of gRPC.
   */
  refuse(failure: Failure, peer: Peer, head: RequestHead | null, reply: ReplySink, notes: Notes, asksGrpc?: boolean): RequestSink;
  /** Turns a failure into an answer, for an exchange that the handler has been told to give up. */
  rescue(failure: Failure, reply: ReplySink, asksGrpc: boolean): void;
  /** Is this peer's word on who its client is to be believed? */
  trusts(address: string): boolean;
  /** An upgrade that takes the connection out of HTTP (a tunnel). `rest` is what came behind the head. */
  readonly takeOver?: TakeOver;
  /** What a client's FIN before the end of its answer means: it left, or it is a shell client that still reads. */
  readonly halfClose: 'depart' | 'answer';
  /** Connections are encrypted. */
  readonly tls?: ServerTls;
  /** Every connection begins with a PROXY header, before TLS and HTTP. */
  readonly proxyProtocol?: ProxyProtocolIn | null;
  /** When there are as many connections as may be, the oldest without a request goes for a new one: whoever only holds them open keeps nobody out. */
  readonly makesRoom?: boolean;
}

export interface TakeOver {
  readonly token: string;
  /** Another kind of upgrade that it takes. */
  wants?(head: RequestHead): boolean;
  accept(head: RequestHead, wire: Wire, rest: Buffer): void;
}

/** Numbers that a server counts about its connections. */
export interface ServerCounts {
  connections: number;
  accepted: number;
  refusedConnections: number;
  /** TLS handshakes that came to nothing; those among them for want of a good certificate of the client; and those that took up an earlier session. */
  failedHandshakes: number;
  refusedCertificates: number;
  resumedHandshakes: number;
  requests: number;
  /** Connections that speak HTTP/2, of those that are open. */
  http2: number;
  /** Connections of HTTP/2 that were closed for a flood of something that is no request. */
  http2Floods: number;
}

/** A client connection of either protocol. */
interface Connection {
  /** Bytes held for it. */
  readonly bufferedBytes: number;
  /** Closes it if nothing happens on it, else after what is running. */
  leaveIfIdle(): void;
  /** Goes at once if it has no request. @returns does it go? */
  giveWay(): boolean;
  destroy(): void;
}

/** One listening socket that speaks HTTP/1.1, and HTTP/2 to who wants it. */
export class ServerH1 {
  #options: ServerOptions;
  #server: net.Server;
  #tls: TlsListener | null = null;
  #adopts = false;
  readonly #connections = new Set<Connection>();
  #h2Scratch: Buffer | null = null;
  /** Scratch: filled by the parser of whichever connection has a complete head. */
  head: RequestHead;
  readonly counts: ServerCounts = {
    connections: 0,
    accepted: 0,
    refusedConnections: 0,
    failedHandshakes: 0,
    refusedCertificates: 0,
    resumedHandshakes: 0,
    requests: 0,
    http2: 0,
    http2Floods: 0,
  };
  draining = false;
  /** New connections are closed at once, whatever their number. */
  full = false;
  #drained: (() => void) | null = null;
  /** Connections that wait until all is ready; null when it is. */
  #held: (() => void)[] | null = null;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.head = new RequestHead(options.limits.fieldCount);
    this.#server = this.#create();
  }

  #create(): net.Server {
    const options = { allowHalfOpen: true, keepAlive: true, keepAliveInitialDelay: 30_000, noDelay: true, pauseOnConnect: this.#adopts };
    const server =
      this.#options.tls === undefined ? net.createServer(options, (socket) => this.#accepted(socket)) : this.#createTls(this.#options.tls, options);
    // An accept that fails (descriptors exhausted) must not end the process; the kernel keeps the rest of the backlog.
    server.on('error', () => {});
    return server;
  }

  #createTls(tls: ServerTls, options: net.ServerOpts): net.Server {
    const hasRoom = (shaking: number): boolean => {
      const { connections } = this.#options.limits;
      if (!this.draining && !this.full && (connections === 0 || this.#connections.size + shaking < connections)) return true;
      this.counts.refusedConnections++;
      return false;
    };
    const { loop, proxyProtocol } = this.#options;
    this.#tls = new TlsListener(this.#counted(tls), options, {
      hasRoom,
      refused: () => this.counts.refusedConnections++,
      accepted: (socket, secured) => this.#accepted(socket, secured),
      now: () => loop.clock.now(),
      http2: () => this.#options.limits.h2Streams > 0,
      wall: () => loop.clock.wall(),
      proxyProtocol: proxyProtocol ?? null,
    });
    return this.#tls.listener;
  }

  #counted(tls: ServerTls): ServerTls {
    return {
      ...tls,
      failed: (reason, address, kind) => {
        this.counts.failedHandshakes++;
        if (kind === 'certificate') this.counts.refusedCertificates++;
        tls.failed(reason, address, kind);
      },
    };
  }

  /**
   * Goes by other options from now on; connections that are open keep theirs. Whether there is TLS, and whether a PROXY header comes first, cannot
   * change: that takes another socket.
   */
  become(options: ServerOptions): void {
    this.#options = options;
    this.#h2Scratch = null;
    if (options.limits.fieldCount > this.head.fields.length / STRIDE) this.head = new RequestHead(options.limits.fieldCount);
    if (options.tls !== undefined) this.#tls?.become(this.#counted(options.tls));
  }

  /** Before listen(): accepted connections wait until release(), so that a socket can be bound before what is served there. */
  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const accept of held) accept();
  }

  get isListening(): boolean {
    return this.#server.listening;
  }

  /** Gives up the address; connections stay. */
  stopListening(): void {
    if (this.#server.listening) this.#server.close();
  }

  /** New TLS handshakes use the certificate that there is now. */
  renewTls(): void {
    this.#tls?.renew();
  }

  /** @throws the listen error (EADDRINUSE, EACCES …) */
  async listen(host: string, port: number): Promise<net.AddressInfo> {
    if (this.#tls === null && (await canAdopt())) {
      this.#adopts = true;
      this.#server = this.#create();
    }
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: 4096 }, () => {
        this.#server.removeListener('error', reject);
        resolve(this.#server.address() as net.AddressInfo);
      });
    });
  }

  /** Serves a connection that somebody else has accepted, as if it had come here. `first`: what has been read of it. */
  serve(socket: net.Socket, isSecure: boolean, first: Buffer): void {
    const peer = this.#admitted(socket, isSecure);
    if (peer === null) return;
    peer.connection = ++this.counts.accepted;
    if (first.length > 0) socket.unshift(first);
    this.#speakHttp1(peer, (connection) => new Wire(this.#options.loop, connection, () => socket).listenToData());
  }

  #accepted(socket: net.Socket, secured?: Secured): void {
    if (this.#held !== null) {
      this.#held.push(() => this.#accepted(socket, secured));
      return;
    }
    const { loop } = this.#options;
    const peer = this.#admitted(socket, this.#tls !== null);
    if (peer === null) return;
    const proxyProtocol = this.#options.proxyProtocol ?? null;
    if (secured === undefined && proxyProtocol !== null && !proxyProtocol.trusted(peer.address)) {
      this.counts.refusedConnections++;
      proxyProtocol.failed(NOT_TRUSTED, peer.address);
      socket.destroy();
      return;
    }
    peer.connection = ++this.counts.accepted;
    if (secured !== undefined) {
      peer.tlsVersion = secured.version;
      peer.tlsCipher = secured.cipher;
      peer.handshakeMs = secured.handshakeMs;
      peer.certificate = secured.certificate;
      if (secured.resumed) this.counts.resumedHandshakes++;
      if (secured.source !== null) this.introduce(peer, secured.source);
    }
    if (secured?.http2 === true) {
      this.#addHttp2(this.#options, peer, socket, null);
      return;
    }
    this.#speakHttp1(peer, (connection) =>
      this.#adopts ? new Wire(loop, connection, (onread) => adopt(socket, onread)) : new Wire(loop, connection, () => socket).listenToData(),
    );
  }

  /** Who has come; null when there is no room: then it is cut. */
  #admitted(socket: net.Socket, isSecure: boolean): Peer | null {
    const { connections } = this.#options.limits;
    if (this.full || (connections > 0 && this.#connections.size >= connections && !this.#makesRoom())) {
      this.counts.refusedConnections++;
      socket.destroy();
      return null;
    }
    const peer = makePeer(socket.remoteAddress ?? '', socket.remotePort ?? 0, socket.localPort ?? 0, isSecure ? 'https' : 'http', false);
    peer.localAddress = plainAddress(socket.localAddress ?? '');
    peer.trusted = this.#options.trusts(peer.address);
    return peer;
  }

  #makesRoom(): boolean {
    if (this.#options.makesRoom !== true) return false;
    for (const connection of this.#connections) {
      if (!connection.giveWay()) continue;
      this.counts.refusedConnections++;
      return true;
    }
    return false;
  }

  #speakHttp1(peer: Peer, wire: (connection: ServerConnection) => Wire): void {
    const connection = new ServerConnection(this, this.#options, peer);
    connection.attach(wire(connection));
    this.#connections.add(connection);
    this.counts.connections = this.#connections.size;
    this.#options.loop.sweeper.add(connection);
  }

  /** @internal A connection without TLS turns out to be one of HTTP/2. `rest`: what has been read of it. */
  speakHttp2(connection: ServerConnection, rest: Buffer): void {
    this.#connections.delete(connection);
    this.#addHttp2(connection.options, connection.peer, connection.wire.release(), rest);
  }

  #addHttp2(options: ServerOptions, peer: Peer, socket: net.Socket, rest: Buffer | null): void {
    const connection = new ServerH2Connection(this, options, peer, socket, rest);
    this.#connections.add(connection);
    this.counts.connections = this.#connections.size;
    this.counts.http2++;
    options.loop.sweeper.add(connection);
    if (this.draining) connection.leaveIfIdle();
  }

  /** @internal Where heads of HTTP/2 are written as text. */
  get h2Scratch(): Buffer {
    return (this.#h2Scratch ??= headScratch(this.#options.limits));
  }

  /** @internal A balancer said who the client is. */
  introduce(peer: Peer, source: End): void {
    peer.address = source.address;
    peer.port = source.port;
    peer.trusted = this.#options.trusts(source.address);
  }

  /** @internal */
  left(connection: Connection): void {
    if (this.#connections.delete(connection) && connection instanceof ServerH2Connection) this.counts.http2--;
    this.counts.connections = this.#connections.size;
    if (this.draining && this.#connections.size === 0) this.#drained?.();
  }

  /** Bytes held for clients: unsent answers and requests that wait. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const connection of this.#connections) sum += connection.bufferedBytes;
    return sum;
  }

  /** Stops accepting, closes idle connections, lets running exchanges finish. Resolves when the last connection is gone. */
  drain(): Promise<void> {
    this.draining = true;
    this.stopListening();
    return new Promise((resolve) => {
      this.#drained = resolve;
      if (this.#connections.size === 0) resolve();
      this.#tls?.destroy();
      for (const connection of this.#connections) connection.leaveIfIdle();
    });
  }

  /** Closes the connections on which nothing happens, and the others after their answer. */
  closeIdle(): void {
    for (const connection of this.#connections) connection.leaveIfIdle();
  }

  /** Cuts everything. */
  destroy(): void {
    this.draining = true;
    this.stopListening();
    this.#tls?.destroy();
    // Whoever waits for release() must not wait for ever.
    this.full = true;
    this.release();
    for (const connection of this.#connections) connection.destroy();
  }
}
