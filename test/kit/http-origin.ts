import { createHash } from 'node:crypto';
import http from 'node:http';
import type net from 'node:net';
import { until } from './until.ts';

/** What an origin saw of one request. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  /** Lower-case names; fields that came more than once are joined. */
  readonly headers: http.IncomingHttpHeaders;
  /** Names and values as they came. */
  readonly rawHeaders: readonly string[];
  trailers: NodeJS.Dict<string>;
  bytes: number;
  sha256: string;
  /** The body, when it is small. */
  body: string;
  /** Did all of it arrive? Null while it is still coming. */
  complete: boolean | null;
  /** Had its sender gone when the answer was not done? */
  aborted: boolean;
  /** Which of the origin's connections it came on. */
  readonly connection: number;
}

export type Answerer = (request: http.IncomingMessage, response: http.ServerResponse, seen: Seen) => void;

const BODY_KEPT_BYTES = 64 * 1024;

/** A node:http server that records what it saw. Without a handler it reads each request to its end and answers 200 with `ok`. */
export class HttpOrigin {
  readonly server: http.Server;
  readonly requests: Seen[] = [];
  connections = 0;
  /** Requests that were no HTTP to node. */
  refused = 0;
  running = 0;
  mostRunning = 0;
  readonly #sockets = new Set<net.Socket>();
  #closedBytes = 0;

  constructor(answer: Answerer = ok) {
    this.server = http.createServer({ keepAlive: true, requireHostHeader: false }, (request, response) => this.#take(request, response, answer));
    this.server.keepAliveTimeout = 0;
    this.server.requestTimeout = 0;
    this.server.maxHeadersCount = 0;
    this.server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
      response.writeContinue();
      this.#take(request, response, answer);
    });
    this.server.on('connection', (socket: net.Socket) => {
      (socket as Numbered).number = ++this.connections;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#closedBytes += socket.bytesRead;
        this.#sockets.delete(socket);
      });
    });
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      // A request that ends in the middle is no bad one.
      if (error.code !== 'ECONNRESET' && error.code !== 'HPE_INVALID_EOF_STATE') this.refused++;
      socket.destroy();
    });
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /** Open connections. */
  get open(): number {
    return this.#sockets.size;
  }

  /** The only request so far. */
  get only(): Seen {
    if (this.requests.length !== 1) throw new Error(`${this.requests.length} requests came`);
    return this.requests[0]!;
  }

  /** Request number `n` (from 0), once it is decided whether it is complete. */
  decided(n = 0): Promise<Seen> {
    return until(`request ${n} at the origin`, () =>
      this.requests[n] !== undefined && this.requests[n].complete !== null ? this.requests[n] : null,
    );
  }

  /** Bytes of anything at all that reached it. */
  get bytes(): number {
    let sum = this.#closedBytes;
    for (const socket of this.#sockets) sum += socket.bytesRead;
    return sum;
  }

  #take(request: http.IncomingMessage, response: http.ServerResponse, answer: Answerer): void {
    const hash = createHash('sha256');
    const seen: Seen = {
      method: request.method!,
      url: request.url!,
      headers: request.headers,
      rawHeaders: request.rawHeaders,
      trailers: {},
      bytes: 0,
      sha256: '',
      body: '',
      complete: null,
      aborted: false,
      connection: (request.socket as Numbered).number,
    };
    this.requests.push(seen);
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    request.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      seen.bytes += chunk.length;
      if (seen.bytes <= BODY_KEPT_BYTES) seen.body += chunk.toString('latin1');
    });
    const decide = () => {
      if (seen.complete !== null) return;
      seen.complete = request.complete;
      seen.trailers = request.trailers;
      seen.sha256 = hash.digest('hex');
    };
    request.on('end', decide);
    request.on('close', decide);
    request.on('error', () => {});
    response.on('error', () => {});
    response.on('close', () => {
      this.running--;
      if (!response.writableFinished) seen.aborted = true;
    });
    answer(request, response, seen);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

interface Numbered extends net.Socket {
  number: number;
}

/** Reads the request to its end, then says ok. */
export function ok(request: http.IncomingMessage, response: http.ServerResponse): void {
  request.on('end', () => response.end('ok'));
}
