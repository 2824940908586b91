import { readFileSync } from 'node:fs';
import { join } from 'node:path';

// oxlint-disable-next-line typescript/no-explicit-any -- the shape of an answer is what a test is about
type Anything = any;

/** What the admin API answered. */
export interface OperatorAnswer<T = Anything> {
  readonly status: number;
  readonly json: T;
}

/** Somebody at this machine who may read the state folder of a running program: the admin API with the local token. */
export class Operator {
  readonly #base: string;
  readonly #token: string;

  constructor({ adminAddress }: { readonly adminAddress: { readonly port: number } | null }, stateDir: string) {
    const { port } = adminAddress!;
    this.#base = `http://127.0.0.1:${port}/api/v1`;
    this.#token = readFileSync(join(stateDir, `admin-token-${port}`), 'latin1').trim();
  }

  /** `path` below /api/v1. A body is sent as JSON. `ifMatch`: the etag without quotes. */
  async ask<T = Anything>(method: string, path: string, body?: unknown, ifMatch?: string): Promise<OperatorAnswer<T>> {
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(ifMatch === undefined ? {} : { 'If-Match': `"${ifMatch}"` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === '' ? null : JSON.parse(text) };
  }

  /** What has changed, as the event stream tells it, from when this has resolved. `ended` ends it. */
  async changes(ended: AbortSignal): Promise<readonly string[]> {
    const response = await fetch(`${this.#base}/events`, { headers: { Authorization: `Bearer ${this.#token}` }, signal: ended });
    const told: string[] = [];
    let text = '';
    const read = async (): Promise<void> => {
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
        text += piece;
        for (const event of text.split('\n\n').slice(0, -1)) {
          const what = /^event: change\ndata: \{"what":"(\w+)"/m.exec(event)?.[1];
          if (what !== undefined) told.push(what);
        }
        text = text.slice(text.lastIndexOf('\n\n') + 2);
      }
    };
    read().catch(() => {});
    return told;
  }

  async get<T = Anything>(path: string): Promise<T> {
    const { status, json } = await this.ask<T>('GET', path);
    if (status !== 200) throw new Error(`GET ${path} was answered ${status}: ${JSON.stringify(json)}`);
    return json;
  }
}
