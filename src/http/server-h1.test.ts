import { once } from 'node:events';
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createLoop } from '../std/loop.ts';
import type { Handler, Notes, ReplySink, RequestSink, Writer } from './exchange.ts';
import type { Failure } from './failure.ts';
import { type RequestHead, ResponseHead } from './head.ts';
import { httpLimits } from './limits.ts';
import { ServerH1 } from './server-h1.ts';

/** A handler that does nothing by itself: the test says what becomes of each request. */
class Held implements Handler {
  readonly requests: HeldRequest[] = [];
  #wake: (() => void)[] = [];

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    const request = new HeldRequest(head.target, reply, notes, () => this.told());
    this.requests.push(request);
    this.told();
    return request;
  }

  told(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const one of wake) one();
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }
}

class HeldRequest implements RequestSink {
  writer: Writer | null = null;
  readonly target: string;
  readonly reply: ReplySink;
  readonly notes: Notes;
  readonly #told: () => void;
  body = '';
  /** What write() says. */
  fine = true;
  ended = false;
  aborted: Failure | null = null;
  settledCount = 0;

  constructor(target: string, reply: ReplySink, notes: Notes, told: () => void) {
    this.target = target;
    this.reply = reply;
    this.notes = notes;
    this.#told = told;
  }

  write(chunk: Uint8Array): boolean {
    this.body += Buffer.from(chunk).toString('latin1');
    this.#told();
    return this.fine;
  }

  end(): void {
    this.ended = true;
    this.#told();
  }

  abort(failure: Failure): void {
    this.aborted = failure;
    this.#told();
  }

  settled(): void {
    this.settledCount++;
    this.#told();
  }

  answer(status: number, body: string, fields: string[] = []): void {
    this.reply.head(ResponseHead.make(status, fields, body.length));
    this.reply.write(Buffer.from(body));
    this.reply.end();
  }
}

const close: (() => void)[] = [];
afterEach(() => {
  while (close.length > 0) close.pop()!();
});

async function serve(limits: Partial<typeof httpLimits> = {}): Promise<{ held: Held; client: net.Socket; server: ServerH1 }> {
  const held = new Held();
  const server = new ServerH1({
    loop: createLoop(),
    limits: { ...httpLimits, ...limits },
    handler: held,
    refuse: (failure, _peer, _head, reply, notes) => {
      const request = new HeldRequest('-', reply, notes, () => {});
      request.answer(failure.status, failure.code);
      return request;
    },
    rescue: (failure, reply) => new HeldRequest('-', reply, undefined as never, () => {}).answer(failure.status, failure.code),
    trusts: () => false,
    halfClose: 'depart',
  });
  const { port } = await server.listen('127.0.0.1', 0);
  close.push(() => server.destroy());
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => {});
  close.push(() => client.destroy());
  await once(client, 'connect');
  return { held, client, server };
}

test('a client that leaves is noticed also when the end of its body was asked to wait', async () => {
  const { held, client } = await serve();
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
  await held.until(() => held.requests[0]?.body === 'abc');
  const request = held.requests[0]!;
  request.fine = false;
  client.write('defghi');
  await held.until(() => request.ended);
  request.writer!.drained();
  client.resetAndDestroy();
  await held.until(() => request.aborted !== null && request.settledCount === 1);
  expect(request.aborted!.code).toBe('client_gone');
});

test('requests behind one that is being served wait in bounded memory, and all of them are served', async () => {
  const { held, client, server } = await serve();
  const next = `GET /next HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(1000)}\r\n\r\n`;
  const count = 1000;
  let heard = 0;
  client.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1').split('HTTP/1.1 200').length - 1));
  client.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\n');
  client.write(next.repeat(count));
  await held.until(() => held.requests.length === 1);
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(held.requests.length).toBe(1);
  expect(server.bufferedBytes).toBeGreaterThan(0);
  expect(server.bufferedBytes).toBeLessThan(2 * httpLimits.waitingBytes + 64 * 1024);
  for (let n = 0; n <= count; n++) {
    await held.until(() => held.requests.length > n);
    held.requests[n]!.answer(200, '');
  }
  while (heard <= count) await new Promise((resolve) => setImmediate(resolve));
  expect(heard).toBe(count + 1);
});
