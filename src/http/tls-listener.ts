import { constants } from 'node:crypto';
import { Buffer } from 'node:buffer';
import net from 'node:net';
import tls from 'node:tls';
import { type ClientCertificate, clientCertificate } from './client-certificate.ts';
import { certificateWords } from './connect-failure.ts';
import { type End, NOT_TRUSTED, parseProxyHeader, PROXY_HEADER_TIMEOUT_MS, type ProxyProtocolIn } from './proxy-protocol.ts';

/** TLS on an HTTP listener. */
export interface ServerTls {
  /** The certificate that new handshakes get, PEM, and what else Node may be told of them. */
  pair(): tls.SecureContextOptions;
  /** The certificate for a name that a client asks for (SNI); null: that of `pair`, or none when that has none. Absent: always that of `pair`. */
  choose?(serverName: string): tls.SecureContext | null;
  /** A handshake failed: somebody spoke plain text, took too long, left, or may not come in. */
  failed(reason: string, address: string, kind: HandshakeFailure): void;
  /** What a handshake may take, ms. */
  readonly handshakeTimeoutMs?: number;
  /** Clients are asked for a certificate. What vouches for it (`ca`, `crl`) is part of `pair()` and `choose()`. Absent: they are not. */
  readonly clients?: ClientRules;
  /** 48 bytes under which sessions are sealed for clients to keep, asked for before each handshake. Absent: Node makes its own, and they end with every renewal. */
  ticketKeys?(): Buffer;
}

/** `certificate`: a client may not come in without a better one. `plain`: what was spoken is not TLS. */
export type HandshakeFailure = 'certificate' | 'plain' | 'other';

/** Which clients may come in. */
export interface ClientRules {
  /** `optional`: without a certificate, too; but one that is shown must be good. */
  readonly ask: 'required' | 'optional';
  /** Stands for these rules with all that vouches: a session that began under others is not taken up again. */
  readonly id: string;
}

/** A handshake costs a CPU more than a request: whoever has not ended it by then has not wanted to, ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long a session may be taken up again, s: clients that come back, and no longer than a certificate of theirs may go unlooked at. */
const SESSION_S = 3_600;

/** What a listener needs from its server. */
export interface TlsHost {
  /** May one more begin, beside so many that are on their way? */
  hasRoom(shaking: number): boolean;
  /** A connection was closed before its handshake began. */
  refused(): void;
  /** Wall-clock ms. */
  wall(): number;
  accepted(socket: tls.TLSSocket, secured: Secured): void;
  /** Monotonic ms. */
  now(): number;
  /** Is HTTP/2 spoken to those who can? */
  http2(): boolean;
  /** A PROXY header comes before the handshake; null = none does. */
  readonly proxyProtocol: ProxyProtocolIn | null;
}

/** What is known of a connection when its handshake is done. */
export interface Secured {
  readonly version: string;
  readonly cipher: string;
  readonly handshakeMs: number;
  /** Did it take up a session that was there before? */
  readonly resumed: boolean;
  /** Was HTTP/2 agreed on (ALPN)? */
  readonly http2: boolean;
  /** Null: it has shown none. */
  readonly certificate: ClientCertificate | null;
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
  /** Never listens itself; another one takes its place when rules change that a server is made with. */
  #server: tls.Server;
  #tls: ServerTls;
  #ticketKeys: Buffer | undefined;
  readonly #options: net.ServerOpts;
  readonly #host: TlsHost;
  /** By address and port, which is all that the socket and its TLS socket have in common. */
  readonly #shaking = new Map<string, Shaking>();

  constructor(of: ServerTls, options: net.ServerOpts, host: TlsHost) {
    this.#tls = of;
    this.#options = options;
    this.#host = host;
    this.#server = this.#create();
    const { proxyProtocol } = host;
    // A FIN in a handshake ends it: held until its time is over, who comes and goes would have ten seconds' worth of descriptors.
    this.listener =
      proxyProtocol === null
        ? net.createServer({ ...options, allowHalfOpen: false }, (socket) => this.#arrived(socket))
        : net.createServer(options, (socket) => this.#awaitHeader(socket, proxyProtocol));
  }

  #create(): tls.Server {
    const of = this.#tls;
    this.#ticketKeys = of.ticketKeys?.();
    const server = tls.createServer({
      ...this.#context(),
      handshakeTimeout: of.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      ALPNCallback: ({ protocols }) =>
        protocols.includes('h2') && this.#host.http2() ? 'h2' : protocols.includes('http/1.1') ? 'http/1.1' : undefined,
      // Node lets the handshake of whoever shows a bad certificate end, and closes then; without any it is never ended.
      ...(of.clients === undefined ? {} : { requestCert: true, rejectUnauthorized: of.clients.ask === 'required' }),
      ...(of.choose === undefined
        ? {}
        : {
            SNICallback: (name: string, done: (error: Error | null, context?: tls.SecureContext) => void) =>
              done(null, this.#tls.choose?.(name) ?? undefined),
          }),
    });
    server.on('secureConnection', (socket) => this.#secured(socket, of));
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      this.#fail(socket, ...failureOf(error, socket));
      // A handshake that took too long leaves its socket open.
      socket.destroy();
    });
    return server;
  }

  #context(): tls.SecureContextOptions {
    const { clients } = this.#tls;
    return {
      minVersion: 'TLSv1.2',
      ...this.#tls.pair(),
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      sessionTimeout: SESSION_S,
      ...(this.#ticketKeys === undefined ? {} : { ticketKeys: this.#ticketKeys }),
      ...(clients === undefined ? {} : { sessionIdContext: clients.id }),
    };
  }

  #arrived(socket: net.Socket): void {
    if (!this.#host.hasRoom(this.#shaking.size)) {
      socket.destroy();
      return;
    }
    this.#track(socket);
    this.#shake(socket);
  }

  /** Begins the handshake. */
  #shake(socket: net.Socket): void {
    const keys = this.#tls.ticketKeys?.();
    if (keys !== undefined && keys !== this.#ticketKeys) {
      this.#ticketKeys = keys;
      this.#server.setTicketKeys(keys);
    }
    this.#server.emit('connection', socket);
  }

  #secured(socket: tls.TLSSocket, { clients }: ServerTls): void {
    const key = keyOf(socket);
    const shaking = this.#shaking.get(key);
    this.#shaking.delete(key);
    let certificate: ClientCertificate | null = null;
    if (clients !== undefined) {
      const shown = socket.getPeerX509Certificate();
      const problem =
        shown === undefined
          ? clients.ask === 'required'
            ? 'it showed no certificate'
            : ''
          : socket.authorized
            ? ''
            : refusal(socket.authorizationError as unknown as string);
      if (shown !== undefined) certificate = clientCertificate(shown);
      // A session that is taken up again was checked when it began.
      if (problem !== '' || (certificate !== null && certificate.notAfterMs <= this.#host.wall())) {
        this.#fail(socket, problem === '' ? refusal('CERT_HAS_EXPIRED') : problem, 'certificate');
        socket.on('error', () => {});
        socket.destroy();
        return;
      }
    }
    socket.allowHalfOpen = this.#options.allowHalfOpen === true;
    this.#host.accepted(socket, {
      version: socket.getProtocol() ?? '',
      cipher: socket.getCipher().name,
      handshakeMs: shaking === undefined ? 0 : this.#host.now() - shaking.beganMs,
      resumed: socket.isSessionReused(),
      http2: socket.alpnProtocol === 'h2',
      certificate,
      source: shaking?.source ?? null,
    });
  }

  #fail(socket: tls.TLSSocket, reason: string, kind: HandshakeFailure): void {
    // A socket that was destroyed has forgotten its address; the one below it has been asked for it before.
    const below = (socket as { readonly _parent?: net.Socket | null })._parent;
    this.#tls.failed(reason, withoutPrefix(socket.remoteAddress ?? below?.remoteAddress ?? ''), kind);
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
      shaking.beganMs = this.#host.now();
      this.#shake(socket);
    };
    socket.on('readable', look);
    // A health check connects and leaves again.
    socket.once('end', () => {
      if (held.length === 0) socket.destroy();
    });
    socket.once('close', () => clearTimeout(timer));
  }

  /** New handshakes go by this from now on; those on their way end as they began. */
  become(of: ServerTls): void {
    this.#tls = of;
    this.#server = this.#create();
  }

  /** New handshakes use what pair() says now; live connections keep what they have. */
  renew(): void {
    this.#server.setSecureContext(this.#context());
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

/** Why a handshake came to nothing, by OpenSSL's or Node's code. */
function failureOf({ code }: NodeJS.ErrnoException, socket: tls.TLSSocket): readonly [reason: string, kind: HandshakeFailure] {
  // Node has found the certificate wanting, and destroyed the socket: the error is about that.
  const unauthorized = socket.authorizationError as unknown as string | null | undefined;
  if (typeof unauthorized === 'string') return [refusal(unauthorized), 'certificate'];
  switch (code) {
    case 'ERR_SSL_HTTP_REQUEST':
    case 'ERR_SSL_HTTPS_PROXY_REQUEST':
      return ['plain HTTP was spoken to a TLS port', 'plain'];
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
    case 'ERR_SSL_BAD_RECORD_TYPE':
      return ['what was spoken to a TLS port is no TLS', 'plain'];
    case 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE':
      return ['it showed no certificate', 'certificate'];
    case 'ERR_TLS_HANDSHAKE_TIMEOUT':
      return ['the handshake took too long', 'other'];
    case undefined:
    case 'ECONNRESET':
      return ['the peer left during the handshake', 'other'];
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
      return ['the client speaks no version of TLS that is allowed here', 'other'];
    case 'ERR_SSL_NO_SHARED_CIPHER':
      return ['the client has no cipher that is allowed here', 'other'];
    case 'ERR_SSL_NO_APPLICATION_PROTOCOL':
    case 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL':
      return ['the client speaks no protocol that is spoken here (ALPN)', 'other'];
    default:
      return [/_ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_)/.test(code) ? `the client does not take our certificate (${code})` : code, 'other'];
  }
}

function refusal(code: string): string {
  // Whose authority is not known has often none at all: OpenSSL has one word for both.
  const words = code === 'INVALID_PURPOSE' ? 'is not for clients' : certificateWords(code);
  return `the client's certificate ${words ?? 'is not to be believed'} (${code})`;
}
