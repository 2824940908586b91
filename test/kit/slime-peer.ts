import { createCipheriv, randomBytes } from 'node:crypto';
import net from 'node:net';
import type { Answer } from './answer.ts';
import type { RawClient } from './client.ts';
import type { Kit, Listening } from './kit.ts';
import type { OriginConnection } from './scripted-origin.ts';
import { until } from './until.ts';

/** slime's side of both ends, written from what is known of its wire and from nothing in the program. */

export interface SlimeTokenSays {
  readonly id?: number;
  readonly name?: string;
  /** Unix seconds; 0 = never. */
  readonly expireAt?: number;
  readonly scopePaths?: readonly string[];
  readonly scopes?: readonly string[];
}

/** A token as slime's hub seals it: AES-256-GCM, the key being the secret filled up with zeros; a protobuf message; base32 without padding. */
export function slimeToken(secret: string, says: SlimeTokenSays = {}): string {
  const { id = 7, name = 'old-agent', expireAt = 0, scopePaths = [], scopes = [] } = says;
  const parts: number[] = [];
  const varint = (value: number): void => {
    let left = value;
    while (left > 127) {
      parts.push((left % 128) + 128);
      left = Math.floor(left / 128);
    }
    parts.push(left);
  };
  const text = (tag: number, value: string): void => {
    const bytes = Buffer.from(value);
    parts.push(tag);
    varint(bytes.length);
    parts.push(...bytes);
  };
  if (id !== 0) {
    parts.push(8);
    varint(id);
  }
  if (name !== '') text(0x12, name);
  if (expireAt !== 0) {
    parts.push(0x18);
    varint(expireAt);
  }
  for (const path of scopePaths) text(0x22, path);
  for (const scope of scopes) text(0x2a, scope);
  return sealSlime(secret, Buffer.from(parts));
}

/** Any message, sealed as slime does. */
export function sealSlime(secret: string, message: Uint8Array): string {
  const key = Buffer.concat([Buffer.from(secret), Buffer.alloc(32)]).subarray(0, 32);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const sealed = Buffer.concat([nonce, cipher.update(message), cipher.final(), cipher.getAuthTag()]);
  const bits = [...sealed].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,5}/g) ?? []).map((five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(five.padEnd(5, '0'), 2)]).join('');
}

/** Work that an agent was given: its id, and the application's request as it stood in the body. */
export interface GivenWork {
  readonly connectionId: string;
  readonly request: string;
}

/** A worker of an agent of slime: says exactly the bytes that it would. */
export class SlimeWorkerPeer {
  readonly #kit: Pick<Kit, 'rawClient'>;
  readonly #hub: Listening;
  readonly token: string;
  readonly id: string;
  /** Its kept-alive connection, as Go's client would have it. */
  client!: RawClient;

  constructor(kit: Pick<Kit, 'rawClient'>, hub: Listening, token: string, id: number | string = 1000) {
    this.#kit = kit;
    this.#hub = hub;
    this.token = token;
    this.id = String(id);
  }

  async connect(): Promise<this> {
    this.client = await this.#kit.rawClient(this.#hub);
    return this;
  }

  head(path: string, more: readonly string[] = []): string {
    const own = [`Slime-Agent-Token: ${this.token}`, `Slime-Agent-Id: ${this.id}`, ...more];
    return `POST ${path} HTTP/1.1\r\nHost: hub\r\nUser-Agent: Go-http-client/1.1\r\n${own.join('\r\n')}\r\nAccept-Encoding: gzip\r\n`;
  }

  async join(report = ''): Promise<Answer> {
    this.client.send(`${this.head('/v1/agent/join')}Content-Length: ${report.length}\r\n\r\n${report}`);
    return this.client.answer('POST');
  }

  /** Sends a poll. Its answer is work(). */
  poll(): this {
    this.client.send(`${this.head('/v1/agent/accept')}Content-Length: 0\r\n\r\n`);
    return this;
  }

  /** The work that the poll is answered with. */
  async work(): Promise<GivenWork> {
    const answer = await this.client.answer('POST');
    if (answer.status !== 200) throw new Error(`the poll was answered with ${answer.status} ${answer.body.toString()}`);
    const [, connectionId] = answer.fields.find(([name]) => name.toLowerCase() === 'slime-connection-id') ?? [];
    if (connectionId === undefined || !/^\d+$/.test(connectionId)) throw new Error(`no connection id: ${connectionId}`);
    return { connectionId, request: answer.body.toString('latin1') };
  }

  /** The beginning of a submission. */
  beginSubmit(connectionId: string, over: RawClient = this.client): RawClient {
    return over.send(`${this.head('/v1/agent/submit', [`Slime-Connection-Id: ${connectionId}`])}Transfer-Encoding: chunked\r\n\r\n`);
  }

  /** A whole submission in pieces. @returns the hub's answer */
  async submit(connectionId: string, ...pieces: readonly string[]): Promise<Answer> {
    this.beginSubmit(connectionId);
    for (const piece of pieces) this.client.send(chunk(piece));
    this.client.send('0\r\n\r\n');
    return this.client.answer('POST');
  }

  /** Takes one request and answers it. */
  async serve(answer: string | ((request: string) => string)): Promise<GivenWork> {
    const work = await this.poll().work();
    const submitted = await this.submit(work.connectionId, typeof answer === 'string' ? answer : answer(work.request));
    if (submitted.status !== 200) throw new Error(`the submission was answered with ${submitted.status}`);
    return work;
  }
}

/** One chunk of a chunked body. */
export function chunk(text: string): string {
  return `${Buffer.byteLength(text, 'latin1').toString(16)}\r\n${text}\r\n`;
}

/** The text of an answer with a body of known length. */
export function answerText(body: string, fields: readonly string[] = [], status = '200 OK'): string {
  return `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join('')}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** A request of an agent, as slime's hub sees it. */
export interface AgentPost {
  readonly path: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly connection: OriginConnection;
  /** Number of the request on its connection, from 0. */
  readonly body: string;
}

/** A poll that waits. */
export interface WaitingPoll {
  readonly agentId: string;
  readonly connection: OriginConnection;
}

/** A submission as far as it has come. */
export interface Submitted {
  readonly connectionId: string;
  readonly agentId: string;
  readonly connection: OriginConnection;
  text: string;
  /** Did its last chunk come? */
  complete: boolean;
}

/** A hub of slime for a connection of a scripted origin: `take` every connection. */
export class SlimeHubPeer {
  readonly joins: AgentPost[] = [];
  readonly polls: WaitingPoll[] = [];
  readonly submissions: Submitted[] = [];
  readonly tokens = new Set<string>();
  readonly agentIds = new Set<string>();
  /** Answers polls and joins with this instead, when set. */
  refusal = '';
  #works = 0;
  /** Is the 200 for a submission held back? */
  holdsAnswers = false;

  /** What a script of an origin does with each connection. */
  readonly script = async (connection: OriginConnection): Promise<void> => {
    let at = 0;
    for (;;) {
      await connection.until(({ text }) => text.indexOf('\r\n\r\n', at) >= 0, 'a head');
      const end = connection.text.indexOf('\r\n\r\n', at);
      const [line, ...lines] = connection.text.slice(at, end).split('\r\n');
      at = end + 4;
      const fields = new Map(lines.map((one) => [one.slice(0, one.indexOf(':')).toLowerCase(), one.slice(one.indexOf(':') + 1).trim()]));
      const [method, path] = line!.split(' ');
      if (method !== 'POST') throw new Error(`not a POST: ${line}`);
      this.tokens.add(fields.get('slime-agent-token') ?? '');
      const agentId = fields.get('slime-agent-id') ?? '';
      this.agentIds.add(agentId);
      const submission: Submitted | null =
        path === '/v1/agent/submit'
          ? { connectionId: fields.get('slime-connection-id') ?? '', agentId, connection, text: '', complete: false }
          : null;
      if (submission !== null) this.submissions.push(submission);
      let body = '';
      if (fields.get('transfer-encoding') === 'chunked') {
        for (;;) {
          await connection.until(({ text }) => text.indexOf('\r\n', at) >= 0, 'a chunk');
          const lineEnd = connection.text.indexOf('\r\n', at);
          const size = Number.parseInt(connection.text.slice(at, lineEnd), 16);
          at = lineEnd + 2 + size + 2;
          await connection.until(({ heardBytes }) => heardBytes >= at, 'the chunk');
          if (size === 0) break;
          body += connection.text.slice(lineEnd + 2, lineEnd + 2 + size);
          if (submission !== null) submission.text = body;
        }
      } else {
        const length = Number(fields.get('content-length') ?? 0);
        await connection.until(({ heardBytes }) => heardBytes >= at + length, 'the body');
        body = connection.text.slice(at, at + length);
        at += length;
      }
      if (submission !== null) {
        submission.complete = true;
        if (!this.holdsAnswers) connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      } else if (this.refusal !== '') connection.send(this.refusal);
      else if (path === '/v1/agent/join') {
        this.joins.push({ path, fields, connection, body });
        connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      } else this.polls.push({ agentId, connection });
    }
  };

  /** A poll that waits, taken out of the list. */
  async nextPoll(): Promise<WaitingPoll> {
    return until('a poll', () => this.polls.shift());
  }

  /** Gives a request to the next poll. @returns its connection id */
  async give(request: string): Promise<string> {
    const { connection } = await this.nextPoll();
    const id = String(++this.#works);
    connection.send(`HTTP/1.1 200 OK\r\nSlime-Connection-Id: ${id}\r\nContent-Length: ${Buffer.byteLength(request, 'latin1')}\r\n\r\n${request}`);
    return id;
  }

  /** What was submitted for it, in full. */
  async submitted(id: string): Promise<Submitted> {
    return until(`the answer to ${id}`, () => this.submissions.find(({ connectionId, complete }) => connectionId === id && complete));
  }
}

/** A free port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
