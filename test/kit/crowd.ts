import http from 'node:http';
import type { Listening } from './kit.ts';
import { portOf } from './kit.ts';

/** What became of one request. */
export interface Outcome {
  readonly id: string;
  /** 0 when the connection was cut before an answer. */
  readonly status: number;
  readonly body: string;
  /** The answer came to its end. */
  readonly complete: boolean;
}

/** Clients that ask a hub as fast as it answers: `at once` requests at a time, each a POST with an id of its own that waits for a slot. */
export class Crowd {
  readonly outcomes: Outcome[] = [];
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
  readonly #port: number;
  readonly #name: string;
  #sent = 0;

  constructor(hub: Listening, name: string) {
    this.#port = portOf(hub);
    this.#name = name;
  }

  async ask(total: number, atOnce: number): Promise<void> {
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (this.#sent < total) {
          this.#sent++;
          this.outcomes.push(await this.#post(`${this.#name}-${this.#sent}`));
        }
      }),
    );
    this.#agent.destroy();
  }

  get answered(): number {
    return this.outcomes.filter(({ status, complete }) => status === 200 && complete).length;
  }

  #post(id: string): Promise<Outcome> {
    return new Promise((resolve) => {
      const request = http.request(
        { port: this.#port, host: '127.0.0.1', agent: this.#agent, method: 'POST', path: `/${id}`, headers: { 'Slime-Block': '1', Host: 'a' } },
        (response) => {
          let body = '';
          response.setEncoding('latin1');
          response.on('data', (text: string) => (body += text));
          response.on('close', () => resolve({ id, status: response.statusCode!, body, complete: response.complete }));
        },
      );
      request.on('error', () => resolve({ id, status: 0, body: '', complete: false }));
      request.end(`body of ${id}`);
    });
  }
}
