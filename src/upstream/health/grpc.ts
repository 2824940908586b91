import { Buffer } from 'node:buffer';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { healthRequest, servingStatus } from './grpc-message.ts';
import { GRPC_ANSWER_BYTES, REASON_CHARACTERS } from './limits.ts';
import { type Probe, type ProbeOptions, probeTls, USER_AGENT, type Verdict } from './probe.ts';
import { reasonOf } from './reason.ts';

/** An endpoint whose health service (grpc.health.v1) says SERVING is well. */
export class GrpcProbe implements Probe {
  readonly #options: ProbeOptions;
  readonly #request: Buffer;
  #connection: Connection | null = null;
  #done: ((verdict: Verdict) => void) | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#request = healthRequest(options.check.service);
  }

  start(done: (verdict: Verdict) => void): void {
    this.#done = done;
    const { check } = this.#options;
    const kept = this.#connection;
    if (kept !== null && !kept.session.closed && !kept.session.destroyed) {
      this.#ask(kept, true);
      return;
    }
    this.#limit(check.connectTimeoutMs, 'connecting takes too long');
    const connection = this.#connect(() => {
      if (this.#connection !== connection) return;
      if (check.tls && (connection.socket as tls.TLSSocket).alpnProtocol !== 'h2') this.#end({ ok: false, reason: 'it does not speak HTTP/2' });
      else this.#ask(connection, false);
    });
    this.#connection = connection;
  }

  close(): void {
    this.#done = null;
    clearTimeout(this.#timer);
    const session = this.#connection?.session;
    this.#connection = null;
    // Not from inside of nghttp2, where a reset of the stream is told: Node 20 would write empty frames without end.
    if (session !== undefined) setImmediate(() => session.destroy());
  }

  #connect(connected: () => void): Connection {
    const { address, check } = this.#options;
    const at = { host: address.host, port: address.port };
    const socket = check.tls ? tls.connect({ ...at, ...probeTls(this.#options, 'h2') }) : net.connect(at);
    const session = http2.connect(`${check.tls ? 'https' : 'http'}://${check.authority}`, {
      createConnection: () => socket,
      settings: { enablePush: false },
      maxSessionMemory: 1,
    });
    const connection: Connection = { session, socket };
    const failed = (error: Error): void => {
      if (this.#connection === connection) this.#end({ ok: false, reason: reasonOf(error) });
    };
    socket.once(check.tls ? 'secureConnect' : 'connect', connected);
    socket.on('error', failed);
    session.on('error', failed);
    session.on('close', () => {
      if (this.#connection !== connection) return;
      this.#connection = null;
      this.#end({ ok: false, reason: 'the connection ends without an answer' });
    });
    return connection;
  }

  #ask(connection: Connection, reused: boolean): void {
    const { check } = this.#options;
    this.#limit(check.readTimeoutMs, 'the answer takes too long');
    const answer = new Answer();
    const stream = connection.session.request({
      ':method': 'POST',
      ':authority': check.authority,
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': USER_AGENT,
      'grpc-timeout': `${Math.min(check.readTimeoutMs, 99_999_999)}m`,
    });
    stream.on('response', (head) => answer.head(head));
    stream.on('trailers', (trailers) => answer.trailers(trailers));
    stream.on('data', (chunk: Buffer) => {
      if (!answer.data(chunk)) this.#end({ ok: false, reason: 'the answer of its health service is too long' });
    });
    stream.on('error', (error) => {
      answer.error = error;
    });
    stream.on('close', () => {
      if (this.#connection !== connection || this.#done === null) return;
      // A kept connection that was closed as we used it says nothing: a fresh one will tell.
      if (reused && answer.status === 0) {
        const done = this.#done;
        this.close();
        this.start(done);
      } else this.#end(answer.verdict(check.service));
    });
    stream.end(this.#request);
  }

  #limit(ms: number, reason: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end({ ok: false, reason }), ms);
  }

  #end(verdict: Verdict): void {
    const done = this.#done;
    if (done === null) return;
    this.#done = null;
    clearTimeout(this.#timer);
    if (!verdict.ok || !this.#options.check.reuse) this.close();
    done(verdict);
  }
}

interface Connection {
  readonly session: http2.ClientHttp2Session;
  readonly socket: net.Socket;
}

/** What came back of one question. */
class Answer {
  status = 0;
  error: Error | null = null;
  #grpcStatus = '';
  #grpcMessage = '';
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  head(head: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader): void {
    this.status = head[':status'] ?? 0;
    // An answer without a message has everything in its head.
    this.trailers(head);
  }

  trailers(fields: http2.IncomingHttpHeaders): void {
    this.#grpcStatus = String(fields['grpc-status'] ?? this.#grpcStatus);
    this.#grpcMessage = String(fields['grpc-message'] ?? this.#grpcMessage);
  }

  /** @returns false when it is more than a health service says */
  data(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    this.#chunks.push(chunk);
    return this.#bytes <= GRPC_ANSWER_BYTES;
  }

  verdict(service: string): Verdict {
    if (this.status === 0) return bad(this.error === null ? 'the connection ends without an answer' : reasonOf(this.error));
    if (this.status !== 200) return bad(`answers ${this.status} instead of gRPC`);
    if (this.#grpcStatus === '5') return bad(`its health service does not know ${service === '' ? 'the server' : service}`);
    if (this.#grpcStatus === '12') return bad('it has no health service (grpc.health.v1)');
    if (this.#grpcStatus === '') return bad(this.error === null ? 'its answer is not gRPC' : reasonOf(this.error));
    if (this.#grpcStatus !== '0')
      return bad(`its health service fails: status ${this.#grpcStatus} ${this.#grpcMessage}`.trim().slice(0, REASON_CHARACTERS));
    const state = servingStatus(Buffer.concat(this.#chunks));
    if (state === null) return bad('the answer of its health service cannot be read');
    return { ok: state === SERVING, reason: `says ${STATES[state] ?? state}` };
  }
}

const STATES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const SERVING = 1;

function bad(reason: string): Verdict {
  return { ok: false, reason };
}
