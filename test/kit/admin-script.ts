import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { VERSION } from '../../src/observe/version.ts';

/** What it answers: JSON with 200, a whole answer, nothing but the end of the connection, or an event stream. */
export type Scripted =
  | { readonly json: unknown; readonly status?: number }
  | { readonly raw: string; readonly status: number; readonly type?: string; readonly fields?: Record<string, string> }
  | { readonly breaks: true }
  | { readonly events: readonly (readonly [event: string, data: unknown])[]; readonly stays?: boolean };

/** A request that it saw. */
export interface Seen {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authorization: string | null;
  readonly body: unknown;
}

/** As all of ours say it. */
export const WHO = { 'Windlass-Version': VERSION };

/** A server on loopback that answers as an admin API of a given script would. */
export class AdminScript {
  readonly seen: Seen[] = [];
  readonly answers: Map<string, Scripted | ((seen: Seen) => Scripted)>;
  readonly #server: http.Server;
  readonly #streams = new Set<http.ServerResponse>();

  private constructor(answers: Record<string, Scripted | ((seen: Seen) => Scripted)>) {
    this.answers = new Map(Object.entries(answers));
    this.#server = http.createServer((request, response) => void this.#answer(request, response));
  }

  /** `answers`: by `METHOD /path` without /api/v1 and query. What is not there is answered with 404 as a Problem. */
  static async start(answers: Record<string, Scripted | ((seen: Seen) => Scripted)>): Promise<AdminScript> {
    const script = new AdminScript(answers);
    script.#server.listen(0, '127.0.0.1');
    await once(script.#server, 'listening');
    return script;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Sends an event to all who listen. */
  tell(event: string, data: unknown): void {
    for (const stream of this.#streams) stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Streams that are open. */
  get listening(): number {
    return this.#streams.size;
  }

  /** They end, and others may begin. */
  endStreams(): void {
    for (const stream of this.#streams) stream.end();
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const path = (request.url ?? '').replace(/^\/api\/v1/, '');
    const seen: Seen = {
      method: request.method ?? '',
      path,
      authorization: request.headers.authorization ?? null,
      body: text === '' ? null : (JSON.parse(text) as unknown),
    };
    this.seen.push(seen);
    const found = this.answers.get(`${seen.method} ${path.split('?')[0]!}`);
    const scripted = typeof found === 'function' ? found(seen) : found;
    if (scripted === undefined) {
      const problem = { type: 'about:blank', title: 'Not Found', status: 404, code: 'not_found', detail: 'nothing of that name' };
      response.writeHead(404, { 'Content-Type': 'application/problem+json' }).end(JSON.stringify(problem));
    } else if ('breaks' in scripted) response.destroy();
    else if ('json' in scripted) {
      const { status = 200 } = scripted;
      response
        .writeHead(status, { ...WHO, 'Content-Type': status >= 400 ? 'application/problem+json' : 'application/json' })
        .end(JSON.stringify(scripted.json));
    } else if ('raw' in scripted) {
      response
        .writeHead(scripted.status, { ...(scripted.status === 204 ? WHO : {}), 'Content-Type': scripted.type ?? 'text/html', ...scripted.fields })
        .end(scripted.raw);
    } else {
      response.writeHead(200, { ...WHO, 'Content-Type': 'text/event-stream' });
      response.write(': here\n\n');
      for (const [event, data] of scripted.events) response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      if (scripted.stays !== true) return void response.end();
      this.#streams.add(response);
      response.on('close', () => this.#streams.delete(response));
    }
  }
}
