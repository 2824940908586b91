import { constants } from 'node:crypto';
import { Buffer } from 'node:buffer';
import net from 'node:net';
import tls from 'node:tls';
import { type End, NOT_TRUSTED, parseProxyHeader, PROXY_HEADER_TIMEOUT_MS, type ProxyProtocolIn } from './proxy-protocol.ts';

/** TLS on an HTTP/1 listener. */
export interface ServerTls {
  /** The certificate that new handshakes get, PEM, and what else Node may be told of them. */
  pair(): tls.SecureContextOptions;
  /** The certificate for a name that a client asks for (SNI); null: that of `pair`, or none when that has none. Absent: always that of `pair`. */
  choose?(serverName: string): tls.SecureContext | null;
  /** A handshake failed: somebody spoke plain text, took too long, or left. */
  failed(reason: string, address: string): void;
  /** What a handshake may take, ms. */
  readonly handshakeTimeoutMs?: number;
}

/** A handshake costs a CPU more than a request: whoever has not ended it by then has not wanted to, ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** What a listener needs from its server. */
export interface TlsHost {
  /** May one more begin, beside so many that are on their way? */
  hasRoom(shaking: number): boolean;
  /** A connection was closed before its handshake began. */
  refused(): void;
  accepted(socket: tls.TLSSocket, secured: Secured): void;
  /** Monotonic ms. */
  now(): number;
  /** A PROXY header comes before the handshake; null = none does. */
  readonly proxyProtocol: ProxyProtocolIn | null;
}

/** What is known of a connection when its handshake is done. */
export interface Secured {
  readonly version: string;
  readonly cipher: string;
  readonly handshakeMs: number;
  /** Who the client is, from the PROXY header; null when it did not say, or there is none. */
  readonly source: End | null;
}

/** A connection on its way: it waits for its PROXY header, or is in its handshake. */
interface Shaking {
  readonly socket: net.Socket;
  beganMs: number;
  source: End | null;
}

/** A listening socket that gives out connections whose TLS handshake is done. Those on their way count and can be cut like the others. */
export class TlsListener {
  /** The socket that listens. */
  readonly listener: net.Server;
  readonly #server: tls.Server;
  #tls: ServerTls;
  readonly #host: TlsHost;
  /** By address and port, which is all that the socket and its TLS socket have in common. */
  readonly #shaking = new Map<string, Shaking>();
  /** Closed for want of room: that is no failed handshake. */
  #turnedAway = 0;

  constructor(of: ServerTls, options: net.ServerOpts, host: TlsHost) {
    this.#tls = of;
    this.#host = host;
    const server = tls.createServer({
      ...options,
      // A FIN in a handshake ends it: held until its time is over, who comes and goes would have ten seconds' worth of descriptors.
      allowHalfOpen: false,
      ...contextOf(of),
      handshakeTimeout: of.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      ALPNProtocols: ['http/1.1'],
      ...(of.choose === undefined
        ? {}
        : {
            SNICallback: (name: string, done: (error: Error | null, context?: tls.SecureContext) => void) =>
              done(null, this.#tls.choose?.(name) ?? undefined),
          }),
    });
    this.#server = server;
    const { proxyProtocol } = host;
    this.listener = proxyProtocol === null ? server : net.createServer(options, (socket) => this.#awaitHeader(socket, proxyProtocol));
    server.on('connection', (socket: net.Socket) => {
      const known = this.#shaking.get(keyOf(socket));
      if (known?.socket === socket) known.beganMs = host.now();
      else if (host.hasRoom(this.#shaking.size)) this.#track(socket);
      else {
        this.#turnedAway++;
        socket.destroy();
      }
    });
    server.on('secureConnection', (socket) => {
      const key = keyOf(socket);
      const shaking = this.#shaking.get(key);
      this.#shaking.delete(key);
      socket.allowHalfOpen = options.allowHalfOpen === true;
      host.accepted(socket, {
        version: socket.getProtocol() ?? '',
        cipher: socket.getCipher().name,
        handshakeMs: shaking === undefined ? 0 : host.now() - shaking.beganMs,
        source: shaking?.source ?? null,
      });
    });
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      // A socket that was closed has no address any more, so that which one it was cannot be told.
      if (error.code === 'ECONNRESET' && this.#turnedAway > 0) {
        this.#turnedAway--;
        return;
      }
      this.#tls.failed(reasonOf(error), socket.remoteAddress ?? '');
      // A handshake that took too long leaves its socket open.
      socket.destroy();
    });
  }

  #track(socket: net.Socket): Shaking {
    const key = keyOf(socket);
    const shaking: Shaking = { socket, beganMs: this.#host.now(), source: null };
    this.#shaking.set(key, shaking);
    socket.on('close', () => {
      if (this.#shaking.get(key) === shaking) this.#shaking.delete(key);
    });
    return shaking;
  }

  /** Reads the PROXY header, gives back what came behind it, and lets the handshake begin. */
  #awaitHeader(socket: net.Socket, proxyProtocol: ProxyProtocolIn): void {
    const address = withoutPrefix(socket.remoteAddress ?? '');
    socket.on('error', () => {});
    if (!proxyProtocol.trusted(address)) {
      this.#host.refused();
      proxyProtocol.failed(NOT_TRUSTED, address);
      socket.destroy();
      return;
    }
    if (!this.#host.hasRoom(this.#shaking.size)) {
      socket.destroy();
      return;
    }
    const shaking = this.#track(socket);
    let held = Buffer.alloc(0);
    const turnAway = (reason: string): void => {
      proxyProtocol.failed(reason, address);
      socket.destroy();
    };
    const timer = setTimeout(turnAway, proxyProtocol.timeoutMs ?? PROXY_HEADER_TIMEOUT_MS, 'no PROXY header came in time');
    const look = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      held = Buffer.concat([held, chunk]);
      const header = parseProxyHeader(held, 0, held.length);
      if (header.state === 'incomplete') return;
      clearTimeout(timer);
      socket.removeListener('readable', look);
      if (header.state === 'bad') {
        turnAway(header.reason);
        return;
      }
      shaking.source = header.source;
      if (held.length > header.bytes) socket.unshift(held.subarray(header.bytes));
      socket.allowHalfOpen = false;
      this.#server.emit('connection', socket);
    };
    socket.on('readable', look);
    // A health check connects and leaves again.
    socket.once('end', () => {
      if (held.length === 0) socket.destroy();
    });
    socket.once('close', () => clearTimeout(timer));
  }

  /** New handshakes go by this from now on. */
  become(of: ServerTls): void {
    this.#tls = of;
    this.renew();
  }

  /** New handshakes use what pair() says now; live connections keep what they have. */
  renew(): void {
    this.#server.setSecureContext(contextOf(this.#tls));
  }

  /** Cuts what is on its way. */
  destroy(): void {
    for (const { socket } of this.#shaking.values()) socket.destroy();
  }
}

function withoutPrefix(address: string): string {
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

function keyOf(socket: net.Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

function contextOf(of: ServerTls): tls.SecureContextOptions {
  return { minVersion: 'TLSv1.2', ...of.pair(), secureOptions: constants.SSL_OP_NO_RENEGOTIATION };
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ERR_SSL_HTTP_REQUEST':
      return 'plain HTTP was spoken to a TLS port';
    case 'ERR_TLS_HANDSHAKE_TIMEOUT':
      return 'the handshake took too long';
    case 'ECONNRESET':
      return 'the peer left during the handshake';
    default:
      return error.code ?? 'unknown';
  }
}
