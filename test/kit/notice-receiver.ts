import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from './until.ts';

/** A message as it came. */
export interface Received {
  /** Path and query. */
  readonly target: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  readonly body: unknown;
}

/** Somebody on loopback who is told things. */
export class NoticeReceiver {
  readonly received: Received[] = [];
  /** How the next messages are answered, in turn; afterwards with 200. `hang`: not at all. */
  readonly answers: (number | 'hang' | { readonly status: number; readonly body: string })[] = [];
  /** Messages that are being taken. */
  open = 0;
  readonly #server: http.Server;

  private constructor() {
    this.#server = http.createServer((request, response) => {
      this.open++;
      response.on('close', () => this.open--);
      let text = '';
      request.setEncoding('utf8');
      request.on('data', (piece: string) => (text += piece));
      request.on('end', () => {
        this.received.push({ target: request.url ?? '', headers: request.headers, text, body: JSON.parse(text) as unknown });
        const answer = this.answers.shift() ?? 200;
        if (answer === 'hang') return;
        if (typeof answer === 'number') response.writeHead(answer).end();
        else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
      });
    });
  }

  static async start(): Promise<NoticeReceiver> {
    const receiver = new NoticeReceiver();
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook?key=canary-of-the-robot`;
  }

  /** When so many messages have come. */
  async has(count: number): Promise<readonly Received[]> {
    await until(`${count} messages`, () => this.received.length >= count, 15_000);
    return this.received;
  }

  /** Everything that was told in our own format, message by message. */
  get notices(): readonly {
    readonly event: string;
    readonly level: string;
    readonly subject: string;
    readonly message: string;
    readonly count: number;
  }[] {
    return this.received.flatMap(({ body }) => (body as { notices: never[] }).notices);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
