import { expect, test } from 'vitest';
import { Heard, requestHead } from '../../test/kit/tunnel.ts';
import { turns } from '../../test/kit/until.ts';
import { Notes, type ReplySink, type RequestSink, type Writer } from '../http/exchange.ts';
import { Failure, type FailureCode } from '../http/failure.ts';
import { type RequestHead, ResponseHead } from '../http/head.ts';
import { Registry } from '../observe/metrics.ts';
import { createLoop } from '../std/loop.ts';
import type { Waiter } from '../upstream/queue.ts';
import type { Candidate, Upstream } from '../upstream/upstream.ts';
import { Anteroom } from './anteroom.ts';
import { Door } from './door.ts';
import { ErrorPages } from './error-pages.ts';
import type { Exchange } from './exchange.ts';
import { Proxy } from './handle.ts';
import { type Location, plainLocation } from './location.ts';
import { ProxyMetrics } from './metrics.ts';
import type { PluginExchange } from './plugin.ts';
import { HostedPlugin, PluginChain } from './plugin-chain.ts';

/** An endpoint whose sink keeps what it gets and can give it back, as a tunnel's does. */
class FakeSink implements RequestSink {
  writer: Writer | null = null;
  readonly head: RequestHead;
  readonly reply: ReplySink;
  readonly body: Uint8Array[] = [];
  complete = false;
  aborted: Failure | null = null;
  /** What write() answers. */
  room = true;

  constructor(head: RequestHead, reply: ReplySink) {
    this.head = head.keep();
    this.reply = reply;
  }

  write(chunk: Uint8Array): boolean {
    this.body.push(chunk);
    return this.room;
  }

  end(): void {
    // Calls after an abort mean nothing, by the rules of the waist.
    if (this.aborted === null) this.complete = true;
  }

  abort(failure: Failure): void {
    this.aborted = failure;
  }

  settled(): void {}

  reclaim(): { head: RequestHead; body: Uint8Array[]; complete: boolean } {
    return { head: this.head, body: this.body, complete: this.complete };
  }

  get text(): string {
    return Buffer.concat(this.body).toString();
  }
}

/** One endpoint with as many slots as the test says, and a queue. */
class FakeUpstream implements Upstream {
  readonly name = 'u';
  readonly keepsHeads = false;
  readonly opened: FakeSink[] = [];
  readonly queue: Waiter[] = [];
  readonly letGone: boolean[] = [];
  slots = 1;
  /** Is a kept slot still there? */
  stillThere = true;
  readonly candidate: Candidate & { loads: Candidate['loads'] } = {
    endpoint: {
      id: 'e',
      open: (head, reply) => {
        if (this.broken) throw new Error('a defect');
        this.slots--;
        const sink = new FakeSink(head, reply);
        sink.room = this.room;
        this.opened.push(sink);
        return sink;
      },
    },
    replyFields: 'Slime-Agent-Id: e\r\n',
    agentId: 'e',
    watch: {
      began: () => this.told.push('began'),
      answered: (status) => this.told.push(status),
      ended: (failure) => this.told.push(failure?.code ?? 'ended'),
    },
    loads: null,
  };
  /** What the candidate's watch was told. */
  readonly told: (string | number)[] = [];
  room = true;
  broken = false;

  pick(_head: RequestHead, not?: string): Candidate | null {
    return this.slots > 0 && not !== 'e' ? this.candidate : null;
  }

  lacking(): Failure {
    return new Failure('no_free_slot', 'none', 1);
  }

  wait(waiter: Waiter): null {
    waiter.line = {} as never;
    this.queue.push(waiter);
    return null;
  }

  leave(waiter: Waiter): void {
    waiter.line = null;
    this.queue.splice(this.queue.indexOf(waiter), 1);
  }

  letGo(_candidate: Candidate, wanted: boolean): boolean {
    this.letGone.push(wanted);
    return wanted && this.stillThere;
  }

  /** A slot for the first who waits. */
  grant(): boolean {
    const waiter = this.queue[0]!;
    this.leave(waiter);
    return waiter.granted(this.candidate);
  }
}

interface Asked {
  readonly sink: RequestSink;
  readonly heard: Heard;
  /** How often the sink has said that it can take more. */
  drained: number;
}

function proxyFor(upstream: FakeUpstream, patience = 60_000, concurrent = 0, of: Partial<Location> = {}) {
  const defects: unknown[] = [];
  const location = plainLocation({ name: 'here', upstream, patienceMs: () => patience, attempts: 2, ...of });
  const queueRoom = { bytes: 0, maxBytes: 1_000_000 };
  const metrics = new ProxyMetrics(new Registry());
  const door = new Door(new Proxy(), {
    loop: createLoop(),
    viaName: 'test',
    pages: new ErrorPages('test'),
    trusts: () => false,
    guards: [],
    find: () => ({ value: location, captures: null }),
    upstream: () => null,
    nowhere: location,
    missing: () => new Failure('no_location', 'nothing is here'),
    anteroom: concurrent === 0 ? null : new Anteroom(concurrent, () => 10, 60_000),
    waitingBytes: 10,
    queueRoom,
    metrics,
    tally: metrics.tally('test', '', ''),
    defect: (error) => defects.push(error),
    tracer: null,
    journal: null,
  });
  const ask = (method = 'POST', framing = 'Content-Length: 30'): Asked => {
    const heard = new Heard();
    const length = method === 'POST' ? `${framing}\r\n` : '';
    const sink = door.open(requestHead(`${method} /x HTTP/1.1\r\nHost: a\r\n${length}\r\n`), heard, new Notes(0));
    const asked: Asked = { sink, heard, drained: 0 };
    sink.writer = { drained: () => asked.drained++ };
    return asked;
  };
  return { ask, defects, queueRoom, metrics, location };
}

const BYTES = Buffer.from('0123456789');

test.each(['refused', 'tunnel_lost_unsent'] as const)(
  'a request that comes back as %s is sent again with all of its body, and its writer goes on',
  (code: FailureCode) => {
    const upstream = new FakeUpstream();
    const { ask } = proxyFor(upstream);
    upstream.room = false;
    const asked = ask();
    expect(asked.sink.write(BYTES)).toBe(false);
    upstream.slots = 1;
    upstream.room = true;
    upstream.opened[0]!.reply.abort(new Failure(code, 'no'));
    expect(upstream.opened.length).toBe(2);
    // The sink that said stop is gone: who else would say go on?
    expect(asked.drained).toBe(1);
    expect(asked.sink.write(BYTES)).toBe(true);
    asked.sink.write(BYTES);
    asked.sink.end();
    expect(upstream.opened[1]).toMatchObject({ text: '012345678901234567890123456789', complete: true });
  },
);

test('a refused request keeps its place in the queue: its arrival number', () => {
  const upstream = new FakeUpstream();
  const { ask } = proxyFor(upstream);
  const first = ask('GET');
  first.sink.end();
  ask('GET');
  upstream.opened[0]!.reply.abort(new Failure('refused', 'no'));
  const [second, again] = upstream.queue;
  expect(again!.arrival).toBeLessThan(second!.arrival);
});

test('what a refused attempt still says is heard by nobody', () => {
  const upstream = new FakeUpstream();
  const { ask } = proxyFor(upstream);
  const asked = ask('GET');
  asked.sink.end();
  upstream.slots = 1;
  const late = upstream.opened[0]!.reply;
  late.abort(new Failure('refused', 'no'));
  late.head(ResponseHead.make(200, [], 0));
  late.end();
  late.abort(new Failure('upstream_reset', 'late'));
  expect(asked.heard).toMatchObject({ heads: 0, ended: 0, aborts: 0 });
  upstream.opened[1]!.reply.head(ResponseHead.make(204, [], -1));
  upstream.opened[1]!.reply.end();
  expect(asked.heard).toMatchObject({ status: 204, ended: 1 });
});

test('a request that is refused for ever is answered in the end', () => {
  const upstream = new FakeUpstream();
  upstream.slots = 1_000;
  const { ask } = proxyFor(upstream);
  const asked = ask('GET');
  asked.sink.end();
  for (let i = 0; asked.heard.heads === 0; i++) {
    expect(i).toBeLessThan(100);
    upstream.opened.at(-1)!.reply.abort(new Failure('refused', 'no'));
  }
  expect(asked.heard.status).toBe(502);
});

test('once an answer has begun a failure breaks it off, whatever the failure', () => {
  for (const code of ['refused', 'tunnel_lost', 'upstream_reset'] as const) {
    const upstream = new FakeUpstream();
    upstream.slots = 5;
    const { ask } = proxyFor(upstream);
    const asked = ask('GET');
    asked.sink.end();
    upstream.opened[0]!.reply.head(ResponseHead.make(200, [], 10));
    upstream.opened[0]!.reply.abort(new Failure(code, 'gone'));
    expect(asked.heard).toMatchObject({ heads: 1, ended: 0, aborts: 1 });
    expect(upstream.opened.length).toBe(1);
  }
});

test('a waiting body is read up to its bound, and its slot is kept until it is known that its client is there', async () => {
  const upstream = new FakeUpstream();
  upstream.slots = 0;
  const { ask, queueRoom } = proxyFor(upstream);
  const asked = ask();
  expect(asked.sink.write(BYTES)).toBe(false);
  expect(queueRoom.bytes).toBe(10);
  expect(upstream.grant()).toBe(false);
  expect(asked.drained).toBe(1);
  expect(upstream.opened.length).toBe(0);
  await turns(6);
  expect(upstream.letGone).toEqual([true]);
  expect(upstream.opened[0]!.text).toBe('0123456789');
  expect(queueRoom.bytes).toBe(0);
});

test('a client that turns out to have left gives the kept slot back', async () => {
  const upstream = new FakeUpstream();
  upstream.slots = 0;
  const { ask, queueRoom } = proxyFor(upstream);
  const asked = ask();
  asked.sink.write(BYTES);
  upstream.grant();
  asked.sink.abort(new Failure('client_gone', 'left'));
  asked.sink.settled();
  await turns(6);
  expect(upstream.letGone).toEqual([false]);
  expect(upstream.opened.length).toBe(0);
  expect(queueRoom.bytes).toBe(0);
});

test('a kept slot that is gone puts the request back, with a deadline', async () => {
  const upstream = new FakeUpstream();
  upstream.slots = 0;
  upstream.stillThere = false;
  const { ask } = proxyFor(upstream);
  const asked = ask();
  asked.sink.write(BYTES);
  upstream.grant();
  await turns(6);
  expect(upstream.queue.length).toBe(1);
  expect((upstream.queue[0] as unknown as { due: number }).due).toBeLessThan(Number.POSITIVE_INFINITY);
});

test('an endpoint that throws costs its request a 500, and nothing else', () => {
  const upstream = new FakeUpstream();
  upstream.slots = 5;
  const { ask, metrics, defects } = proxyFor(upstream, 0, 1);
  upstream.broken = true;
  const asked = ask('GET');
  expect(asked.heard.status).toBe(500);
  expect(defects.length).toBe(1);
  asked.sink.settled();
  expect(metrics.inFlight).toBe(0);
  upstream.broken = false;
  ask('GET');
  expect(upstream.opened.length).toBe(1);
});

test('whoever watches an endpoint hears of each attempt once: that it began, how it answered, that it ended', () => {
  const upstream = new FakeUpstream();
  upstream.slots = 5;
  const { ask } = proxyFor(upstream, 0);
  ask('GET');
  const { reply } = upstream.opened[0]!;
  reply.head(ResponseHead.make(200, [], 0));
  reply.end();
  reply.settled();
  expect(upstream.told.splice(0)).toEqual(['began', 200, 'ended']);
  ask('GET');
  upstream.opened[1]!.reply.abort(new Failure('bad_response', 'junk'));
  upstream.opened[1]!.reply.settled();
  expect(upstream.told.splice(0)).toEqual(['began', 'bad_response']);
  const left = ask('GET');
  left.sink.abort(new Failure('client_gone', 'left'));
  upstream.opened[2]!.reply.settled();
  expect(upstream.told.splice(0)).toEqual(['began', 'ended']);
});

test('whoever asks how busy an endpoint is sees heads and trailers first, and what it takes out does not reach the client', () => {
  const upstream = new FakeUpstream();
  const { ask } = proxyFor(upstream);
  upstream.candidate.loads = { head: (head) => head.removeName('x-load'), trailers: (trailers) => trailers.slice(2) };
  const { heard } = ask();
  const { reply } = upstream.opened[0]!;
  reply.head(ResponseHead.make(200, ['x-load', '1', 'x-other', '2'], -2));
  reply.end(['x-load', '1', 'x-other', '2']);
  expect(heard.fields).toEqual(['x-other', '2', 'slime-agent-id', 'e']);
  expect(heard.trailers).toEqual(['x-other', '2']);
});

test('a body larger than the location takes is 413: at once when its length is told, else when it has grown beyond; the upstream hears no end', () => {
  const upstream = new FakeUpstream();
  upstream.slots = 5;
  const { ask } = proxyFor(upstream, 0, 0, { bodyBytes: 15 });
  expect(ask().heard.status).toBe(413);
  expect(upstream.opened.length).toBe(0);
  const asked = ask('POST', 'Transfer-Encoding: chunked');
  asked.sink.write(BYTES);
  expect(asked.heard.status).toBe(0);
  asked.sink.write(BYTES);
  expect(asked.heard.status).toBe(413);
  expect(upstream.opened[0]!.aborted?.code).toBe('body_too_large');
  asked.sink.end();
  expect(upstream.opened[0]!.complete).toBe(false);
});

test('over the number of requests that may run in a location the next is 429, until one has ended', () => {
  const upstream = new FakeUpstream();
  upstream.slots = 5;
  const { ask, location } = proxyFor(upstream, 0, 0, { maxRunning: 1 });
  const first = ask('GET');
  const second = ask('GET');
  expect([first.heard.status, second.heard.status]).toEqual([0, 429]);
  second.sink.settled();
  first.sink.settled();
  expect(location.load.running).toBe(0);
  expect(ask('GET').heard.status).toBe(0);
});

test('a location may allow more attempts than two, or none after a while', () => {
  const upstream = new FakeUpstream();
  upstream.slots = 50;
  upstream.pick = () => upstream.candidate;
  const { ask } = proxyFor(upstream, 0, 0, { attempts: 4 });
  const asked = ask('GET');
  for (let i = 0; asked.heard.status === 0; i++) {
    upstream.opened[i]!.complete = true;
    upstream.opened[i]!.reply.abort(new Failure('connect_refused', 'no'));
  }
  expect(upstream.opened.length).toBe(4);
  const { ask: askLate } = proxyFor(upstream, 0, 0, { attempts: 4, retryWindowMs: 1 });
  const late = askLate('GET');
  upstream.opened.at(-1)!.reply.abort(new Failure('connect_refused', 'no'));
  expect(late.heard.status).toBe(502);
});

test.each([
  ['waits for a body that does not come', 408, (exchange: PluginExchange) => exchange.request.peek(20).then(() => {})],
  ['waits for something else', 500, () => new Promise<void>(() => {})],
])('when a plugin %s for too long, the answer is %i', (_what, status, request) => {
  const plugin = new HostedPlugin('slow', { request }, { value: 0 }, () => {});
  const { ask } = proxyFor(new FakeUpstream(), 0, 0, { plugins: new PluginChain([plugin]) });
  const { sink, heard } = ask();
  sink.write(BYTES.subarray(0, 5));
  (sink as Exchange).expired();
  expect(heard.status).toBe(status);
});
