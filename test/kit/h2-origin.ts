import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { until } from './until.ts';

/** What an origin saw of one request. */
export interface H2Seen {
  readonly headers: http2.IncomingHttpHeaders;
  /** Which of the origin's sessions it came on, from 1. */
  readonly session: number;
  bytes: number;
  sha256: string;
  /** The body, when it is small. */
  body: string;
  trailers: http2.IncomingHttpHeaders | null;
  /** Its body came to its end. */
  complete: boolean;
  /** The code of its end once it is no more; null before. */
  rstCode: number | null;
}

export type H2Answerer = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, seen: H2Seen) => void;

export interface H2OriginOptions {
  /** Certificate and key: then it speaks TLS. */
  readonly pair?: { readonly cert: string; readonly key: string };
  /** With TLS: HTTP/1.1 is spoken as well, or (false) HTTP/2 alone. */
  readonly allowHTTP1?: boolean;
  readonly settings?: http2.Settings;
}

const BODY_KEPT_BYTES = 64 * 1024;
/** Answers that nobody takes wait in it; beyond it Node turns new requests away. */
const SESSION_MEMORY_MB = 1000;

/** An origin of node:http2 that records what it saw. Without a handler it reads each request to its end and answers 200 with `ok`. */
export class H2Origin {
  readonly server: http2.Http2Server | http2.Http2SecureServer;
  readonly requests: H2Seen[] = [];
  readonly sessions: http2.ServerHttp2Session[] = [];
  /** Requests that came over HTTP/1.1. */
  h1Requests = 0;
  running = 0;
  mostRunning = 0;

  constructor(answer: H2Answerer = okH2, { pair, allowHTTP1 = true, settings = {} }: H2OriginOptions = {}) {
    this.server =
      pair === undefined
        ? http2.createServer({ settings, maxSessionMemory: SESSION_MEMORY_MB })
        : http2.createSecureServer({ cert: pair.cert, key: pair.key, allowHTTP1, settings, maxSessionMemory: SESSION_MEMORY_MB });
    this.server.on('session', (session: http2.ServerHttp2Session) => {
      this.sessions.push(session);
      session.on('error', () => {});
    });
    this.server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => this.#take(stream, headers, answer));
    // Whoever listens to requests gets them in Node's other, older shape as well, which answers some of them by itself.
    if (pair !== undefined) this.server.on('request', (request, response) => this.#takeH1(request, response));
    this.server.on('sessionError', () => {});
    this.server.on('clientError', () => {});
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /** Request number `n` (from 0), once it is no more. */
  ended(n = 0): Promise<H2Seen> {
    return until(`request ${n} at the origin`, () => {
      const seen = this.requests[n];
      return seen === undefined || seen.rstCode === null ? null : seen;
    });
  }

  #take(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, answer: H2Answerer): void {
    const hash = createHash('sha256');
    const seen: H2Seen = {
      headers,
      session: this.sessions.indexOf(stream.session as http2.ServerHttp2Session) + 1,
      bytes: 0,
      sha256: '',
      body: '',
      trailers: null,
      complete: false,
      rstCode: null,
    };
    this.requests.push(seen);
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    stream.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      seen.bytes += chunk.length;
      if (seen.bytes <= BODY_KEPT_BYTES) seen.body += chunk.toString('latin1');
    });
    stream.on('trailers', (trailers) => {
      seen.trailers = trailers;
    });
    stream.on('end', () => {
      seen.complete = stream.rstCode === 0;
      seen.sha256 = hash.digest('hex');
    });
    stream.on('error', () => {});
    stream.on('close', () => {
      this.running--;
      seen.rstCode = stream.rstCode;
    });
    answer(stream, headers, seen);
  }

  #takeH1(request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void {
    if (request.httpVersion === '2.0') return;
    this.h1Requests++;
    request.resume();
    request.on('end', () => response.end('ok over 1.1'));
  }

  async listen(): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }

  /** Cuts all connections and stops listening. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const session of this.sessions) session.destroy();
    await closed;
  }
}

/** Reads the request to its end, then says ok. */
export function okH2(stream: http2.ServerHttp2Stream): void {
  stream.on('end', () => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
}

// --- an origin that says its frames one by one

export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const GOAWAY = 7;
export const CONTINUATION = 9;
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** One connection of a raw origin. */
export class H2Peer {
  readonly socket: net.Socket;
  readonly frames: Frame[] = [];
  /** Answers SETTINGS and PING by itself. */
  polite = true;
  #rest = Buffer.alloc(0);
  #preface = true;

  constructor(socket: net.Socket, settings: Buffer) {
    this.socket = socket;
    socket.on('error', () => {});
    this.send(SETTINGS, 0, 0, settings);
    socket.on('data', (data: Buffer) => this.#read(data));
  }

  #read(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    if (this.#preface) {
      if (this.#rest.length < 24) return;
      this.#rest = this.#rest.subarray(24);
      this.#preface = false;
    }
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) return;
      const frame: Frame = {
        type: this.#rest[3]!,
        flags: this.#rest[4]!,
        stream: this.#rest.readUInt32BE(5),
        payload: Buffer.from(this.#rest.subarray(9, 9 + length)),
      };
      this.#rest = this.#rest.subarray(9 + length);
      this.frames.push(frame);
      if (this.polite && frame.type === SETTINGS && frame.flags === 0) this.send(SETTINGS, ACK, 0);
      if (this.polite && frame.type === PING && frame.flags === 0) this.send(PING, ACK, 0, frame.payload);
    }
  }

  send(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): void {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    if (!this.socket.destroyed) this.socket.write(Buffer.concat([head, payload]));
  }

  /** HEADERS of these fields, none of them compressed. */
  headers(stream: number, fields: readonly (readonly [string, string])[], flags = 0): void {
    const block = Buffer.concat(fields.map(([name, value]) => literal(name, value)));
    for (let at = 0; at < block.length; at += FRAME_BYTES) {
      const last = at + FRAME_BYTES >= block.length ? END_HEADERS : 0;
      this.send(at === 0 ? HEADERS : CONTINUATION, at === 0 ? last | flags : last, stream, block.subarray(at, at + FRAME_BYTES));
    }
  }

  reset(stream: number, code: number): void {
    this.send(RST_STREAM, 0, stream, word(code));
  }

  goaway(lastStream: number, code = 0): void {
    this.send(GOAWAY, 0, 0, Buffer.concat([word(lastStream), word(code)]));
  }

  /** The n-th HEADERS frame (from 0) that comes. */
  request(n = 0): Promise<Frame> {
    return until(`request ${n} at the raw origin`, () => this.frames.filter(({ type }) => type === HEADERS)[n] ?? null);
  }

  /** The n-th frame of a kind (from 0) that comes. */
  frame(type: number, n = 0): Promise<Frame> {
    return until(`frame ${n} of type ${type}`, () => this.frames.filter((frame) => frame.type === type)[n] ?? null);
  }
}

/** What a frame may have without being asked. */
const FRAME_BYTES = 16_384;

function word(n: number): Buffer {
  const four = Buffer.alloc(4);
  four.writeUInt32BE(n);
  return four;
}

/** A field as a literal that is not indexed (RFC 7541 6.2.2). */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}

function text(of: string): Buffer {
  const bytes = Buffer.from(of, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  while (rest >= 128) {
    length.push((rest & 127) | 128);
    rest >>= 7;
  }
  length.push(rest);
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** One setting for the payload of SETTINGS. */
export function setting(id: number, value: number): Buffer {
  const six = Buffer.alloc(6);
  six.writeUInt16BE(id);
  six.writeUInt32BE(value, 2);
  return six;
}

/** An origin of bare frames; `serve` is given each connection. */
export async function rawH2Origin(
  serve: (peer: H2Peer, connection: number) => void,
  settings: Buffer = Buffer.alloc(0),
): Promise<{ readonly port: number; readonly peers: H2Peer[]; close(): void }> {
  const peers: H2Peer[] = [];
  const server = net.createServer((socket) => {
    const peer = new H2Peer(socket, settings);
    serve(peer, peers.push(peer) - 1);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    peers,
    close: () => {
      for (const { socket } of peers) socket.destroy();
      server.close();
    },
  };
}
