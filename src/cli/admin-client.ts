import http from 'node:http';
import https from 'node:https';
import { StringDecoder } from 'node:string_decoder';
import type tls from 'node:tls';
import { localTokenPath } from '../admin/local-token.ts';
import type { adminClientTable } from '../config/admin-client.ts';
import { authorities } from '../config/authorities.ts';
import { plainLine } from '../config/plain-line.ts';
import { VERSION } from '../observe/version.ts';
import { isLoopback } from '../schema/address.ts';
import type { Table, Values } from '../schema/setting.ts';
import { localAdminUrl } from './admin-url.ts';
import { Cannot } from './cannot.ts';
import type { Invocation } from './command.ts';
import { EventStreamReader, type StreamEvent } from './event-stream-reader.ts';
import { settingsOf } from './settings.ts';
import { defaultStateDir } from './state-dir.ts';
import type { World } from './world.ts';

/** The admin API of a running hub or gateway, for commands. Everything it throws is a Cannot whose message says what to do. */
export class AdminClient {
  /** Without /api/v1. */
  readonly url: string;
  #proof: AdminProof;
  readonly #options: AdminClientOptions;
  readonly #agent: http.Agent;
  #isVersionTold = false;

  constructor(options: AdminClientOptions) {
    const { url, proof, trust } = options;
    this.url = url;
    this.#options = options;
    this.#proof = proof();
    const pool = { keepAlive: true, maxSockets: 4 };
    this.#agent = url.startsWith('https:')
      ? new https.Agent({ ...pool, ...(trust === undefined ? {} : { secureContext: trust }) })
      : new http.Agent(pool);
  }

  /** `path` is below /api/v1, with its query. */
  get<T>(path: string): Promise<T> {
    return this.send('GET', path);
  }

  /** What is answered; null for an answer without a body. */
  async send<T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T> {
    const response = (await this.#ask(method, path, 'application/json', body))!;
    const text = await this.#textOf(response);
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw this.#refused(response, text, path);
    this.#recognize(response);
    if (text.trim() === '') return null as T;
    try {
      return JSON.parse(text) as T;
    } catch {
      throw this.#stranger(status);
    }
  }

  /** Events as they come, until the other side ends or `signal` does, which ends without an error. */
  async *events(path: string, signal: AbortSignal): AsyncGenerator<StreamEvent, void, void> {
    const response = await this.#ask('GET', path, 'text/event-stream', undefined, signal);
    if (response === null) return;
    const status = response.statusCode ?? 0;
    if (status !== 200) throw this.#refused(response, await this.#textOf(response), path);
    this.#recognize(response);
    if (!mediaType(response).startsWith('text/event-stream')) {
      response.destroy();
      throw this.#stranger(status);
    }
    // A live stream has a comment every 15 s.
    response.setTimeout(SILENCE_MS, () => response.destroy(new Error('silent')));
    const reader = new EventStreamReader(EVENT_CHARS);
    const decoder = new StringDecoder('utf8');
    try {
      for await (const chunk of response) {
        for (const event of reader.read(decoder.write(chunk as Buffer))) yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = error as NodeJS.ErrnoException;
      throw new Cannot(`the connection to ${this.url} broke (${code ?? message}); has it stopped?`, true);
    } finally {
      response.destroy();
    }
  }

  /** Nothing is asked any more. */
  close(): void {
    this.#agent.destroy();
  }

  /** Null when `signal` ended it. */
  async #ask(method: string, path: string, accept: string, body: unknown, signal?: AbortSignal): Promise<http.IncomingMessage | null> {
    const response = await this.#open(method, path, accept, body, signal);
    if (response?.statusCode !== 401) return response;
    // A program that was started anew has left another token for its own user.
    const now = this.#options.proof();
    if (now.token === null || now.token === this.#proof.token) return response;
    this.#proof = now;
    response.resume();
    return this.#open(method, path, accept, body, signal);
  }

  /** Is it ours that has answered, and of our version? */
  #recognize(response: http.IncomingMessage): void {
    const version = response.headers['windlass-version'];
    if (typeof version !== 'string') {
      response.destroy();
      throw this.#stranger(response.statusCode ?? 0);
    }
    if (this.#isVersionTold || seriesOf(version) === seriesOf(VERSION)) return;
    this.#isVersionTold = true;
    this.#options.note(
      `${this.url} runs Windlass ${plainLine(version)}, and this is ${VERSION}: what they have not in common may be missing or look odd`,
    );
  }

  #open(method: string, path: string, accept: string, body?: unknown, signal?: AbortSignal): Promise<http.IncomingMessage | null> {
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers: http.OutgoingHttpHeaders = { Accept: accept };
    if (this.#proof.token !== null) headers['Authorization'] = `Bearer ${this.#proof.token}`;
    if (body !== undefined) {
      headers['Content-Type'] = 'application/json';
      headers['Content-Length'] = Buffer.byteLength(text);
    }
    return new Promise((resolve, reject) => {
      const request = (this.url.startsWith('https:') ? https : http).request(
        `${this.url}/api/v1${path}`,
        { method, headers, agent: this.#agent, ...(signal === undefined ? {} : { signal }) },
        (response) => {
          clearTimeout(timer);
          resolve(response);
        },
      );
      const { timeoutMs } = this.#options;
      const timer = setTimeout(() => request.destroy(new Cannot(`${this.url} does not answer within ${timeoutMs} ms`, true)), timeoutMs);
      request.on('error', (error) => {
        clearTimeout(timer);
        if (signal?.aborted === true) resolve(null);
        else reject(error instanceof Cannot ? error : this.#broken(error));
      });
      request.end(text);
    });
  }

  async #textOf(response: http.IncomingMessage): Promise<string> {
    const timer = setTimeout(() => response.destroy(new Cannot(`${this.url} does not finish its answer`, true)), this.#options.timeoutMs);
    const decoder = new StringDecoder('utf8');
    let text = '';
    try {
      for await (const chunk of response) {
        text += decoder.write(chunk as Buffer);
        if (text.length > ANSWER_CHARS) throw new Cannot(`${this.url} answers with more than ${ANSWER_CHARS} characters; ask for less`);
      }
    } catch (error) {
      throw error instanceof Cannot ? error : this.#broken(error as NodeJS.ErrnoException);
    } finally {
      clearTimeout(timer);
    }
    return text;
  }

  #broken({ code, message }: NodeJS.ErrnoException): Cannot {
    const { hostname, host } = new URL(this.url);
    switch (code) {
      case 'ECONNREFUSED':
        return new Cannot(
          isLoopback(hostname)
            ? `nobody listens at ${this.url}; is a hub or gateway running here? --admin-url (or WINDLASS_ADMIN_URL) names another address`
            : `nobody listens at ${this.url}; admin_addr is on loopback unless it is set: try it there, or through ssh -L 9080:127.0.0.1:9080 ${hostname}`,
          true,
        );
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        return new Cannot(`the name ${hostname} of ${this.url} is not known; look at --admin-url`, true);
      case 'EPROTO':
        return new Cannot(`${host} speaks no TLS; write http:// in --admin-url`);
      case 'ECONNRESET':
        return new Cannot(`${this.url} closed the connection; does it want https:// instead?`, true);
      default:
        if (code !== undefined && CERTIFICATE.test(code))
          return new Cannot(`the certificate of ${host} is not trusted (${code}); --ca-file names the file of your own authority`);
        return new Cannot(`${this.url} cannot be asked (${code ?? plainLine(message)})`, true);
    }
  }

  #refused(response: http.IncomingMessage, text: string, path: string): Cannot {
    const status = response.statusCode ?? 0;
    const problem = problemOf(response, text);
    if (status >= 300 && status < 400) return new Cannot(`${this.url} answers with a redirect; give --admin-url the address that it leads to`);
    if (problem === null) return this.#stranger(status);
    const { code, detail } = problem;
    const said = detail === '' ? '' : `: ${lineOf(detail)}`;
    if (status === 401 && this.#proof.token === null) return new Cannot(`${this.url} wants to know who asks; ${this.#proof.withoutToken}`);
    if (status === 401)
      return new Cannot(
        `${this.url} does not take this token; it was revoked, has expired, or is of another program: make a new one under Settings of its console`,
      );
    if (status === 403) return new Cannot(`${this.url} does not let this token do that${said}; use one with a higher role`);
    if (status === 429) return new Cannot(`${this.url} is asked too often${said}; wait a moment`);
    // The words of a listener that has the open pages only.
    if (status === 404 && code === 'not_found' && detail.startsWith('There is /'))
      return new Cannot(`${this.url} has no admin API: it is an older Windlass, or runs with console = false`);
    if (status === 404 && (detail === '' || detail.startsWith('There is nothing of this name')))
      return new Cannot(`${this.url} has no ${plainLine(path.split('?')[0]!)}: it is of another version, or has no such part`);
    if (status === 404) return new Cannot(`${lineOf(detail)} (${this.url})`);
    return new Cannot(`${this.url} answers ${status}${said}`);
  }

  #stranger(status: number): Cannot {
    return new Cannot(`${this.url} is answered by another program (status ${status}, and not as Windlass does); look at --admin-url`);
  }
}

export interface AdminClientOptions {
  readonly url: string;
  /** Asked at the beginning, and again when what it said is not taken. */
  readonly proof: () => AdminProof;
  /** What to believe besides what Node believes. */
  readonly trust?: tls.SecureContext;
  readonly timeoutMs: number;
  /** Hears of something that is worth knowing. */
  readonly note: (text: string) => void;
}

/** Who asks. */
export interface AdminProof {
  readonly token: string | null;
  /** What to do about a missing token, to stand after a semicolon. */
  readonly withoutToken: string;
}

/** The client that flags and environment of a command ask for, beside the command's other settings. Its table must contain adminClientTable. */
export async function adminClientOf<T extends Table & typeof adminClientTable>(
  table: T,
  invocation: Invocation,
): Promise<{ client: AdminClient; values: Values<T> }> {
  const { values, sources } = await settingsOf(table, invocation);
  const { world } = invocation;
  const given = values as Values<typeof adminClientTable>;
  const url = given.adminUrl ?? localAdminUrl(world.env);
  const stateDir = sources.get('stateDir')!.level === 'default' ? defaultStateDir(world.env) : given.stateDir;
  const { adminToken: token, timeout: timeoutMs } = given;
  const proof = (): AdminProof => (token === null ? localToken(url, stateDir, world) : { token, withoutToken: '' });
  const trust = authorities(given.caFile);
  const note = (text: string): void => void world.stderr.write(`windlass: ${text}\n`);
  return { client: new AdminClient({ url, proof, ...(trust === undefined ? {} : { trust }), timeoutMs, note }), values };
}

/** The client for a program of this machine, which it asks as its own user if it can. */
export function localAdminClient(url: string, world: World, timeoutMs: number): AdminClient {
  const stateDir = world.env['WINDLASS_STATE_DIR'] || defaultStateDir(world.env);
  return new AdminClient({ url, proof: () => localToken(url, stateDir, world), timeoutMs, note: () => {} });
}

const OTHERWISE = 'give a token with --admin-token-file (or WINDLASS_ADMIN_TOKEN_FILE)';

/** What a program of this machine left for whoever may read its state folder. It is shown to nobody else. */
function localToken(url: string, stateDir: string | null, world: World): AdminProof {
  const { hostname, port, protocol } = new URL(url);
  if (!isLoopback(hostname)) return { token: null, withoutToken: OTHERWISE };
  if (stateDir === null)
    return { token: null, withoutToken: `there is no state folder to find its local token in: set --state-dir, or ${OTHERWISE}` };
  const path = localTokenPath(stateDir, { host: hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) });
  try {
    const token = world.readText(path, TOKEN_FILE_BYTES).trim();
    if (/^[\x21-\x7e]+$/.test(token)) return { token, withoutToken: '' };
    return { token: null, withoutToken: `${plainLine(path)} holds no token: ${OTHERWISE}` };
  } catch (error) {
    const reason = (error as Error).message;
    return {
      token: null,
      withoutToken: `${plainLine(path)}, where its local token would be, ${reason}: ask as its user, set --state-dir, or ${OTHERWISE}`,
    };
  }
}

/** More than any answer has, characters: ten thousand agents are some 6 million. */
const ANSWER_CHARS = 64 * 1024 * 1024;
/** Longest event of a stream, characters. */
const EVENT_CHARS = 4 * 1024 * 1024;
const TOKEN_FILE_BYTES = 4096;
const DETAIL_CHARS = 300;
/** A stream that says nothing for so long is dead, ms. */
const SILENCE_MS = 45_000;
const CERTIFICATE = /CERT|SIGNED|ISSUER|VERIFY|ALTNAME/;

/** As far as answers are the same: `1` of 1.4.2, `0.3` of 0.3.1. */
function seriesOf(version: string): string {
  const [major = '', minor = ''] = version.split('.');
  return major === '0' ? `0.${minor}` : major;
}

/** A sentence of an answer as a line of ours. */
function lineOf(detail: string): string {
  const line = plainLine(detail).slice(0, DETAIL_CHARS).replace(/\.$/, '');
  return `${line.slice(0, 1).toLowerCase()}${line.slice(1)}`;
}

function mediaType(response: http.IncomingMessage): string {
  return (response.headers['content-type'] ?? '').toLowerCase();
}

/** RFC 9457; null when it is none. */
function problemOf(response: http.IncomingMessage, text: string): { code: string; detail: string } | null {
  if (!mediaType(response).startsWith('application/problem+json')) return null;
  try {
    const { code = '', detail = '' } = JSON.parse(text) as Record<string, unknown>;
    return { code: String(code), detail: String(detail) };
  } catch {
    return null;
  }
}
