import { afterEach, expect, test } from 'vitest';
import * as h2 from '../../../test/kit/h2-frames.ts';
import { createLoop } from '../../std/loop.ts';
import type { Handler, Notes, ReplySink, RequestSink, Writer } from '../exchange.ts';
import type { Failure } from '../failure.ts';
import { type RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../head.ts';
import { httpLimits } from '../limits.ts';
import { ServerH1 } from '../server-h1.ts';

const { DATA, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, RST_STREAM, frame, post, word } = h2;

/** A window of the stream, in frames. */
const WINDOW = Array.from({ length: 15 }, () => Buffer.alloc(16 * 1024));

/** A request whose body is taken in one piece, no more; or that is answered as soon as it comes. */
class Request implements RequestSink {
  writer: Writer | null = null;
  readonly reply: ReplySink;
  bytes = 0;
  isFull = true;
  aborted: Failure | null = null;
  settledCount = 0;
  readonly #told: () => void;

  constructor(reply: ReplySink, told: () => void) {
    this.reply = reply;
    this.#told = told;
  }

  write(chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    this.#told();
    return !this.isFull;
  }

  end(): void {
    this.#told();
  }

  abort(failure: Failure): void {
    this.aborted = failure;
  }

  settled(): void {
    this.settledCount++;
    this.#told();
  }
}

class Requests implements Handler {
  readonly all: Request[] = [];
  readonly #at: 'once' | 'later';
  #wake: (() => void)[] = [];

  constructor(answered: 'once' | 'later') {
    this.#at = answered;
  }

  open(_head: RequestHead, reply: ReplySink, _notes: Notes): RequestSink {
    const request = new Request(reply, () => this.#tell());
    this.all.push(request);
    if (this.#at === 'once') answer(request);
    this.#tell();
    return request;
  }

  #tell(): void {
    for (const one of this.#wake.splice(0)) one();
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }
}

function answer({ reply }: Request): void {
  reply.head(ResponseHead.make(413, [], 0));
  reply.end();
}

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const one of cleanups.splice(0)) one();
});

async function start(answered: 'once' | 'later'): Promise<{ server: ServerH1; requests: Requests; client: h2.FrameClient }> {
  const requests = new Requests(answered);
  const nobody = { writer: null, write: () => true, end: () => {}, abort: () => {}, settled: () => {} };
  const server = new ServerH1({
    loop: createLoop(),
    limits: httpLimits,
    handler: requests,
    refuse: () => nobody,
    rescue: () => {},
    trusts: () => false,
    halfClose: 'depart',
  });
  cleanups.push(() => server.destroy());
  const { port } = await server.listen('127.0.0.1', 0);
  return { server, requests, client: await h2.FrameClient.connect((close) => cleanups.push(close), port) };
}

/** Two looks at what comes beside requests: they are a second apart. */
const looks = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2_500));

test('a body that waits here because nobody takes it is no flood', async () => {
  const { server, requests, client } = await start('later');
  client.send(frame(HEADERS, END_HEADERS, 1, post()), ...WINDOW.map((bytes) => frame(DATA, 0, 1, bytes)));
  await requests.until(() => (requests.all[0]?.bytes ?? 0) > 0);
  await looks();
  expect([server.counts.http2Floods, client.ended, requests.all[0]!.aborted]).toEqual([0, false, null]);
  const request = requests.all[0]!;
  request.isFull = false;
  request.writer!.drained();
  await requests.until(() => request.bytes === 15 * 16 * 1024);
});

for (const answered of ['once', 'later'] as const)
  test(`what still comes of bodies that nobody wants any more is no flood: answered ${answered}`, async () => {
    const { server, requests, client } = await start(answered);
    for (const stream of [1, 3, 5]) {
      client.send(frame(HEADERS, END_HEADERS, stream, post()), frame(DATA, 0, stream, Buffer.alloc(1024)));
      await requests.until(() => requests.all.length === (stream + 1) / 2);
      if (answered === 'later') answer(requests.all.at(-1)!);
      await client.until('the end of its answer', () => client.resetOf(stream) === NO_ERROR);
      client.send(...WINDOW.map((bytes) => frame(DATA, 0, stream, bytes)));
    }
    await looks();
    expect([server.counts.http2Floods, client.ended]).toEqual([0, false]);
  });

test('a client that leaves with NO_ERROR has left, also while nobody takes its body', async () => {
  const { requests, client } = await start('later');
  client.send(frame(HEADERS, END_HEADERS, 1, post()), frame(DATA, 0, 1, Buffer.alloc(1024)), frame(DATA, END_STREAM, 1, Buffer.alloc(1024)));
  await requests.until(() => (requests.all[0]?.bytes ?? 0) > 0);
  client.send(frame(RST_STREAM, 0, 1, word(NO_ERROR)));
  const request = requests.all[0]!;
  await requests.until(() => request.settledCount > 0);
  // The stream alone, not the connection.
  expect([request.aborted?.detail, request.settledCount]).toEqual(['the client reset the stream before the answer was complete', 1]);
});

test('a client that leaves with NO_ERROR has left, also while it takes nothing of its answer', async () => {
  const { requests, client } = await start('later');
  client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, h2.get()));
  await requests.until(() => requests.all.length === 1);
  const request = requests.all[0]!;
  request.reply.head(ResponseHead.make(200, [], UNKNOWN_LENGTH));
  // More than the client's window of 64 KiB, less than what waits here.
  for (let i = 0; i < 3; i++) request.reply.write(Buffer.alloc(30 * 1024));
  await client.until('its answer', () => client.answered(1));
  client.send(frame(RST_STREAM, 0, 1, word(NO_ERROR)));
  await requests.until(() => request.settledCount > 0);
  expect([request.aborted?.detail, request.settledCount]).toEqual(['the client reset the stream before the answer was complete', 1]);
});
