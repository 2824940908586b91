import { once } from 'node:events';
import http2 from 'node:http2';
import { afterEach, expect, test } from 'vitest';
import { createLoop } from '../../std/loop.ts';
import type { Handler, Notes, ReplySink, RequestSink, Writer } from '../exchange.ts';
import { Failure } from '../failure.ts';
import { type HeaderList, NO_BODY, type RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../head.ts';
import { type HttpLimits, httpLimits } from '../limits.ts';
import { ServerH1 } from '../server-h1.ts';
import type { ServerH2Exchange } from './server-exchange.ts';

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants;

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
  bytes = 0;
  /** What write() says. */
  fine = true;
  ended = false;
  trailers: HeaderList | undefined = undefined;
  aborted: Failure | null = null;
  settledCount = 0;

  constructor(target: string, reply: ReplySink, notes: Notes, told: () => void) {
    this.target = target;
    this.reply = reply;
    this.notes = notes;
    this.#told = told;
  }

  write(chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    this.#told();
    return this.fine;
  }

  end(trailers?: HeaderList): void {
    this.ended = true;
    this.trailers = trailers;
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
}

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const one of cleanups.splice(0)) one();
});

async function start(limits: Partial<HttpLimits> = {}): Promise<{ server: ServerH1; held: Held; client: http2.ClientHttp2Session }> {
  const held = new Held();
  const server = new ServerH1({
    loop: createLoop(),
    limits: { ...httpLimits, ...limits },
    handler: held,
    refuse: (failure, _peer, _head, reply) => {
      answer(reply, failure.status);
      return { writer: null, write: () => true, end: () => {}, abort: () => {}, settled: () => {} };
    },
    rescue: (failure, reply) => answer(reply, failure.status),
    trusts: () => false,
    halfClose: 'depart',
  });
  const { port } = await server.listen('127.0.0.1', 0);
  const client = http2.connect(`http://127.0.0.1:${port}`);
  client.on('error', () => {});
  cleanups.push(
    () => server.destroy(),
    () => client.destroy(),
  );
  return { server, held, client };
}

/** Waits until a stream is closed, however. */
function closed(stream: http2.ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => stream.once('close', () => resolve()));
}

function answer(reply: ReplySink, status: number): void {
  reply.head(ResponseHead.make(status, [], 0));
  reply.end();
}

function ask(client: http2.ClientHttp2Session, fields: http2.OutgoingHttpHeaders = {}, endStream = true): http2.ClientHttp2Stream {
  const stream = client.request({ ':path': '/', ...fields }, { endStream });
  stream.on('error', () => {});
  return stream;
}

test('an exchange is settled once, when its last byte is out', async () => {
  const { held, client } = await start();
  const stream = ask(client);
  await held.until(() => held.requests.length === 1);
  const request = held.requests[0]!;
  expect(request.ended).toBe(true);
  request.reply.head(ResponseHead.make(200, [], 5));
  request.reply.write(Buffer.from('hello'));
  request.reply.end();
  expect(request.settledCount).toBe(0);
  stream.resume();
  await closed(stream);
  await held.until(() => request.settledCount > 0);
  expect([request.settledCount, request.aborted, request.notes.failure, request.notes.status, request.notes.replyBytes]).toEqual([
    1,
    null,
    null,
    200,
    5,
  ]);
});

test('it is not settled before the client has taken the answer', async () => {
  const { held, client } = await start();
  const slow = client.request({ ':path': '/' });
  await held.until(() => held.requests.length === 1);
  const request = held.requests[0]!;
  request.reply.head(ResponseHead.make(200, [], UNKNOWN_LENGTH));
  while (request.reply.write(Buffer.alloc(32 * 1024)));
  let drained = 0;
  request.reply.writer = { drained: () => drained++ };
  request.reply.end();
  await once(slow, 'response');
  await new Promise((resolve) => setImmediate(resolve));
  expect(request.settledCount).toBe(0);
  slow.resume();
  await held.until(() => request.settledCount === 1);
  expect(drained).toBe(0);
});

test('drained() follows a write that said false, from outside', async () => {
  const { held, client } = await start();
  const stream = client.request({ ':path': '/' });
  await held.until(() => held.requests.length === 1);
  const { reply } = held.requests[0]!;
  reply.head(ResponseHead.make(200, [], UNKNOWN_LENGTH));
  let inside = true;
  const drained = new Promise<boolean>((resolve) => (reply.writer = { drained: () => resolve(inside) }));
  while (reply.write(Buffer.alloc(32 * 1024)));
  inside = false;
  stream.resume();
  expect(await drained).toBe(false);
  reply.end();
  await once(stream, 'end');
});

test('a sink that is full holds the client up: no more than its window comes', async () => {
  const { held, client } = await start({ h2StreamWindow: 64 * 1024 });
  const stream = ask(client, { ':method': 'POST' }, false);
  await held.until(() => held.requests.length === 1);
  const request = held.requests[0]!;
  request.fine = false;
  stream.write(Buffer.alloc(1024 * 1024));
  await held.until(() => request.bytes > 0);
  // Another stream on the same connection is not held up by it.
  const other = ask(client, { ':path': '/other' });
  await held.until(() => held.requests.length === 2);
  answer(held.requests[1]!.reply, 204);
  await once(other, 'response');
  expect(request.bytes).toBeLessThanOrEqual(64 * 1024);
  request.fine = true;
  request.writer!.drained();
  stream.end();
  await held.until(() => request.ended);
  expect(request.bytes).toBe(1024 * 1024);
});

test('trailers of a request are passed on, but for those that are about framing or identity [threat 8]', async () => {
  const { held, client } = await start();
  const stream = client.request({ ':path': '/', ':method': 'POST' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1', authorization: 'x', x_real_ip: 'c' }));
  stream.end('a');
  await held.until(() => held.requests[0]?.ended === true);
  expect(held.requests[0]!.trailers).toEqual(['x-sum', '1']);
});

test('a client that resets its stream has left: the handler hears of it, once', async () => {
  const { held, client } = await start();
  const stream = ask(client);
  await held.until(() => held.requests.length === 1);
  stream.close(NGHTTP2_CANCEL);
  const request = held.requests[0]!;
  await held.until(() => request.settledCount > 0);
  expect([request.aborted?.code, request.notes.failure?.code, request.settledCount]).toEqual(['client_gone', 'client_gone', 1]);
  // What the endpoint still says is ignored.
  answer(request.reply, 200);
});

test('a departure is told when nghttp2 has been left: whoever resets another stream from inside of it has Node write without end [threat 53]', async () => {
  const { held, client } = await start();
  const leaving = ask(client, { ':method': 'POST' }, false);
  const staying = ask(client, { ':method': 'POST' }, false);
  await held.until(() => held.requests.length === 2);
  const [left, stays] = held.requests as [HeldRequest, HeldRequest];
  for (const { reply } of [left, stays]) {
    reply.head(ResponseHead.make(200, [], UNKNOWN_LENGTH));
    reply.write(Buffer.from('x'));
  }
  let toldAtOnce: boolean | null = null;
  (left.reply as ServerH2Exchange).stream.on('close', () => {
    toldAtOnce = left.aborted !== null;
  });
  await once(leaving, 'data');
  leaving.close(NGHTTP2_CANCEL);
  await held.until(() => left.settledCount > 0);
  expect([toldAtOnce, left.aborted?.code]).toEqual([false, 'client_gone']);
  // Now it may be done.
  stays.reply.abort(new Failure('upstream_reset', 'it broke'));
  await closed(staying);
  expect(staying.rstCode).toBe(NGHTTP2_INTERNAL_ERROR);
});

test('a reset without an error is no end of the body', async () => {
  const { held, client } = await start();
  const stream = ask(client, { ':method': 'POST' }, false);
  stream.write('half');
  await held.until(() => (held.requests[0]?.bytes ?? 0) > 0);
  stream.close(NGHTTP2_NO_ERROR);
  const request = held.requests[0]!;
  await held.until(() => request.settledCount > 0);
  expect([request.ended && request.aborted === null, request.settledCount]).toEqual([false, 1]);
});

test('a connection that is lost ends all of its exchanges', async () => {
  const { held, client } = await start();
  for (let i = 0; i < 3; i++) ask(client);
  await held.until(() => held.requests.length === 3);
  client.destroy();
  await held.until(() => held.requests.every(({ settledCount }) => settledCount === 1));
  expect(held.requests.map(({ aborted }) => aborted?.code)).toEqual(['client_gone', 'client_gone', 'client_gone']);
});

test('an answer that breaks off is a reset [rule R2]', async () => {
  const { held, client } = await start();
  const stream = ask(client);
  await held.until(() => held.requests.length === 1);
  const request = held.requests[0]!;
  request.reply.head(ResponseHead.make(200, [], UNKNOWN_LENGTH));
  request.reply.write(Buffer.from('half'));
  request.reply.abort(new Failure('upstream_reset', 'it broke'));
  stream.resume();
  await closed(stream);
  expect([stream.rstCode, request.settledCount, request.notes.failure?.code]).toEqual([NGHTTP2_INTERNAL_ERROR, 1, 'upstream_reset']);
});

test('an answer of gRPC that breaks off ends with a status, which is never OK', async () => {
  const { held, client } = await start();
  const stream = ask(client, { ':method': 'POST', 'content-type': 'application/grpc' }, false);
  await held.until(() => held.requests.length === 1);
  const request = held.requests[0]!;
  request.reply.head(ResponseHead.make(200, ['content-type', 'application/grpc'], UNKNOWN_LENGTH));
  request.reply.write(Buffer.from('half'));
  request.reply.abort(new Failure('upstream_reset', 'it broke'));
  stream.resume();
  const [trailers] = (await once(stream, 'trailers')) as [http2.IncomingHttpHeaders];
  expect(trailers['grpc-status']).toBe('14');
  await held.until(() => request.settledCount === 1);
  expect(request.notes.failure?.code).toBe('upstream_reset');
});

for (const [what, length, text] of [
  ['shorter', 10, 'hello'],
  ['longer', 3, 'hello'],
] as const)
  test(`an answer that is ${what} than its length is a reset`, async () => {
    const { held, client } = await start();
    const stream = ask(client);
    await held.until(() => held.requests.length === 1);
    const { reply } = held.requests[0]!;
    reply.head(ResponseHead.make(200, [], length));
    reply.write(Buffer.from(text));
    reply.end();
    let ended = false;
    stream.on('end', () => (ended = stream.rstCode === NGHTTP2_NO_ERROR));
    stream.resume();
    await closed(stream);
    expect([stream.rstCode, ended]).toEqual([NGHTTP2_INTERNAL_ERROR, false]);
  });

test('statuses that HTTP/2 of Node cannot send, and a 101 that nobody asked for, are a bad gateway', async () => {
  const { held, client } = await start();
  for (const status of [101, 600, 999]) {
    const stream = ask(client);
    const before = held.requests.length;
    await held.until(() => held.requests.length > before);
    held.requests.at(-1)!.reply.head(ResponseHead.make(status, [], NO_BODY));
    const [fields] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    expect(fields[':status']).toBe(502);
  }
});

test('an answer that comes before the body is through asks the client to stop', async () => {
  const { held, client } = await start();
  const stream = ask(client, { ':method': 'POST' }, false);
  stream.write('some');
  await held.until(() => held.requests.length === 1);
  answer(held.requests[0]!.reply, 403);
  await closed(stream);
  expect(stream.rstCode).toBe(NGHTTP2_NO_ERROR);
  await held.until(() => held.requests[0]!.settledCount === 1);
});

test('with all descriptors in use streams are refused before anything of them begins', async () => {
  const { server, held, client } = await start();
  answerAll(held);
  await closed(ask(client).resume());
  server.full = true;
  const stream = ask(client);
  await closed(stream);
  expect([stream.rstCode, held.requests.length]).toEqual([NGHTTP2_REFUSED_STREAM, 1]);
});

test('closeIdle() lets what runs end, and what comes meanwhile go elsewhere', async () => {
  const { server, held, client } = await start();
  const stream = ask(client);
  await held.until(() => held.requests.length === 1);
  const goaway = once(client, 'goaway');
  server.closeIdle();
  await goaway;
  answer(held.requests[0]!.reply, 200);
  const [fields] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
  expect(fields[':status']).toBe(200);
  if (!client.destroyed) await once(client, 'close');
  expect(server.isListening).toBe(true);
});

test('destroy() cuts everything, and drain() of nothing is done at once', async () => {
  const { server, held, client } = await start();
  ask(client);
  await held.until(() => held.requests.length === 1);
  server.destroy();
  await held.until(() => held.requests[0]!.settledCount === 1);
  // With an error, since what ran is cut.
  if (!client.destroyed) await new Promise((resolve) => client.once('close', resolve));
  await server.drain();
  expect([server.counts.connections, server.counts.http2]).toEqual([0, 0]);
});

function answerAll(held: Held): void {
  void held.until(() => held.requests.length > 0).then(() => answer(held.requests[0]!.reply, 204));
}
