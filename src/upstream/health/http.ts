import http from 'node:http';
import https from 'node:https';
import type net from 'node:net';
import { BODY_BYTES } from './limits.ts';
import { type Probe, type ProbeOptions, probeTls, USER_AGENT, type Verdict } from './probe.ts';
import { reasonOf } from './reason.ts';

/** An endpoint that answers with one of the statuses of the check is well. */
export class HttpProbe implements Probe {
  readonly #options: ProbeOptions;
  readonly #agent: http.Agent;
  /** The last one; it may still be reading the body of its answer. */
  #look: Look | null = null;

  constructor(options: ProbeOptions) {
    this.#options = options;
    const { check } = options;
    // A bound on sockets makes Node ask the origin to keep the connection, so it is set only where that is meant.
    const keeping: http.AgentOptions = check.reuse ? { keepAlive: true, maxSockets: 1 } : { keepAlive: false };
    this.#agent = check.tls ? new https.Agent({ ...keeping, ...probeTls(options, 'http/1.1') }) : new http.Agent(keeping);
  }

  start(done: (verdict: Verdict) => void): void {
    this.#look?.close();
    this.#look = new Look(this.#options, this.#agent, (verdict, again) => {
      // An idle connection that was closed as we used it says nothing: a fresh one will tell.
      if (again) this.start(done);
      else done(verdict);
    });
  }

  close(): void {
    this.#look?.close();
    this.#look = null;
    this.#agent.destroy();
  }
}

/** One request and its answer. */
class Look {
  readonly #options: ProbeOptions;
  readonly #request: http.ClientRequest;
  #done: ((verdict: Verdict, again: boolean) => void) | null;
  #timer: NodeJS.Timeout | undefined;
  #bodyBytes = 0;

  constructor(options: ProbeOptions, agent: http.Agent, done: (verdict: Verdict, again: boolean) => void) {
    this.#options = options;
    this.#done = done;
    const { check, address } = options;
    this.#limit(check.connectTimeoutMs, 'connecting takes too long');
    this.#request = (check.tls ? https : http).request({
      host: address.host,
      port: address.port,
      agent,
      method: check.method,
      path: check.target,
      headers: { Host: check.authority, 'User-Agent': USER_AGENT, Accept: '*/*' },
    });
    this.#request.on('socket', (socket) => this.#dialled(socket));
    this.#request.on('response', (response) => this.#answered(response));
    this.#request.on('upgrade', (response, socket) => {
      socket.destroy();
      this.#answered(response);
    });
    this.#request.on('error', (error) => this.#end({ ok: false, reason: reasonOf(error) }, this.#request.reusedSocket));
    this.#request.on('close', () => {
      this.#end({ ok: false, reason: 'the connection ends without an answer' });
      clearTimeout(this.#timer);
    });
    this.#request.end();
  }

  close(): void {
    this.#done = null;
    clearTimeout(this.#timer);
    this.#request.destroy();
  }

  #dialled(socket: net.Socket): void {
    const connected = (): void => this.#limit(this.#options.check.readTimeoutMs, 'the answer takes too long');
    if (this.#request.reusedSocket) connected();
    else socket.once(this.#options.check.tls ? 'secureConnect' : 'connect', connected);
  }

  #answered(response: http.IncomingMessage): void {
    const status = response.statusCode!;
    const ok = this.#options.check.statuses.some(([from, to]) => status >= from && status <= to);
    this.#end({ ok, reason: `answers ${status}` });
    response.on('error', () => {});
    response.on('data', (chunk: Buffer) => {
      this.#bodyBytes += chunk.length;
      if (this.#bodyBytes > BODY_BYTES) this.close();
    });
  }

  /** Only one limit runs at a time; the last one bounds the body, too. */
  #limit(ms: number, reason: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#end({ ok: false, reason });
      this.close();
    }, ms);
  }

  #end(verdict: Verdict, again = false): void {
    const done = this.#done;
    this.#done = null;
    done?.(verdict, again);
  }
}
