import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the admin API answered. */
export interface OperatorAnswer<T = any> {
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

  /** `path` below /api/v1. A body is sent as JSON. */
  async ask<T = any>(method: string, path: string, body?: unknown): Promise<OperatorAnswer<T>> {
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers: { Authorization: `Bearer ${this.#token}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === '' ? null : JSON.parse(text) };
  }

  async get<T = any>(path: string): Promise<T> {
    const { status, json } = await this.ask<T>('GET', path);
    if (status !== 200) throw new Error(`GET ${path} was answered ${status}: ${JSON.stringify(json)}`);
    return json;
  }
}
