import { constants } from 'node:crypto';
import type net from 'node:net';
import tls from 'node:tls';

/** TLS on an HTTP/1 listener. */
export interface ServerTls {
  /** The certificate that new handshakes get, PEM. */
  pair(): { readonly cert: Buffer; readonly key: Buffer };
  /** A handshake failed: somebody spoke plain text, took too long, or left. */
  failed(reason: string, address: string): void;
  /** What a handshake may take, ms. */
  readonly handshakeTimeoutMs?: number;
}

/** A handshake costs a CPU more than a request: whoever has not ended it by then has not wanted to, ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** A listening socket that gives out connections whose TLS handshake is done. Those in a handshake count and can be cut like the others. */
export class TlsListener {
  readonly server: tls.Server;
  readonly #tls: ServerTls;
  /** In a handshake. By address and port, which is all that the socket and its TLS socket have in common. */
  readonly #shaking = new Map<string, net.Socket>();
  /** Closed for want of room: that is no failed handshake. */
  #turnedAway = 0;

  constructor(of: ServerTls, options: net.ServerOpts, hasRoom: (shaking: number) => boolean, accepted: (socket: tls.TLSSocket) => void) {
    this.#tls = of;
    this.server = tls.createServer({
      ...options,
      ...contextOf(of),
      handshakeTimeout: of.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      ALPNProtocols: ['http/1.1'],
    });
    this.server.on('connection', (socket: net.Socket) => {
      if (!hasRoom(this.#shaking.size)) {
        this.#turnedAway++;
        socket.destroy();
        return;
      }
      const key = keyOf(socket);
      this.#shaking.set(key, socket);
      socket.on('close', () => {
        if (this.#shaking.get(key) === socket) this.#shaking.delete(key);
      });
    });
    this.server.on('secureConnection', (socket) => {
      this.#shaking.delete(keyOf(socket));
      accepted(socket);
    });
    this.server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      // A socket that was closed has no address any more, so that which one it was cannot be told.
      if (error.code === 'ECONNRESET' && this.#turnedAway > 0) {
        this.#turnedAway--;
        return;
      }
      of.failed(reasonOf(error), socket.remoteAddress ?? '');
      // A handshake that took too long leaves its socket open.
      socket.destroy();
    });
  }

  /** New handshakes use what pair() says now; live connections keep what they have. */
  renew(): void {
    this.server.setSecureContext(contextOf(this.#tls));
  }

  /** Cuts what is in a handshake. */
  destroy(): void {
    for (const socket of this.#shaking.values()) socket.destroy();
  }
}

function keyOf(socket: net.Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

function contextOf(of: ServerTls): tls.SecureContextOptions {
  return { ...of.pair(), minVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_RENEGOTIATION };
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
