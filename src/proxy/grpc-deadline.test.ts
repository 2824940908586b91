import { expect, test } from 'vitest';
import { MovedTime } from '../../test/kit/moved-time.ts';
import { Heard, requestHead } from '../../test/kit/tunnel.ts';
import { Notes, type ReplySink, type RequestSink, type Writer } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { type HeaderList, type RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../http/head.ts';
import { Registry } from '../observe/metrics.ts';
import { createLoop } from '../std/loop.ts';
import type { Waiter } from '../upstream/queue.ts';
import type { Candidate, Upstream } from '../upstream/upstream.ts';
import { Door } from './door.ts';
import { ErrorPages } from './error-pages.ts';
import { Proxy } from './handle.ts';
import { type Location, plainLocation } from './location.ts';
import { ProxyMetrics } from './metrics.ts';

/** What one attempt got. */
class Opened implements RequestSink {
  writer: Writer | null = null;
  readonly head: RequestHead;
  readonly reply: ReplySink;
  readonly notes: Notes;
  aborted: Failure | null = null;
  trailers: HeaderList | undefined;

  constructor(head: RequestHead, reply: ReplySink, notes: Notes) {
    this.head = head.keep();
    this.reply = reply;
    this.notes = notes;
  }

  write(): boolean {
    return true;
  }

  end(trailers?: HeaderList): void {
    this.trailers = trailers;
  }

  abort(failure: Failure): void {
    this.aborted ??= failure;
  }

  settled(): void {}

  reclaim(): { head: RequestHead; body: Uint8Array[]; complete: boolean } {
    return { head: this.head, body: [], complete: true };
  }
}

/** One endpoint with so many slots and a queue, in a world whose time a test moves. */
class World implements Upstream {
  readonly name = 'u';
  readonly keepsHeads = false;
  readonly time = new MovedTime();
  readonly loop = createLoop(this.time.clock);
  readonly opened: Opened[] = [];
  readonly queue: Waiter[] = [];
  readonly blamed: (string | null)[] = [];
  slots = 1;
  readonly #door: Door;
  readonly #candidate: Candidate = {
    endpoint: {
      id: 'e',
      open: (head, reply, notes) => {
        this.slots--;
        const opened = new Opened(head, reply, notes);
        this.opened.push(opened);
        return opened;
      },
    },
    replyFields: '',
    agentId: 'e',
    watch: { began: () => {}, answered: () => {}, ended: (failure) => this.blamed.push(failure?.code ?? null) },
    loads: null,
  };

  constructor(of: Partial<Location> = {}) {
    const metrics = new ProxyMetrics(new Registry());
    const location = plainLocation({ name: 'here', upstream: this, patienceMs: () => 60_000, attempts: 2, ...of });
    this.#door = new Door(new Proxy(), {
      loop: this.loop,
      viaName: 'test',
      pages: new ErrorPages('test'),
      trusts: () => false,
      guards: [],
      find: () => ({ value: location, captures: null }),
      upstream: () => null,
      nowhere: location,
      missing: () => new Failure('no_location', 'nothing is here'),
      anteroom: null,
      waitingBytes: 10,
      queueRoom: { bytes: 0, maxBytes: 1_000_000 },
      metrics,
      tally: metrics.tally('test', '', ''),
      defect: (error) => {
        throw error;
      },
      tracer: null,
      journal: null,
    });
  }

  ask(timeout: string, type = 'application/grpc'): { readonly heard: Heard; readonly sink: RequestSink } {
    const heard = new Heard();
    const head = requestHead(
      `POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\ngrpc-timeout: ${timeout}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    return { heard, sink: this.#door.open(head, heard, new Notes(this.time.clock.now())) };
  }

  passes(ms: number): void {
    this.time.pass(ms);
    this.loop.sweeper.sweep();
  }

  grant(): void {
    const waiter = this.queue[0]!;
    this.leave(waiter);
    waiter.granted(this.#candidate);
  }

  pick(): Candidate | null {
    return this.slots > 0 ? this.#candidate : null;
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

  letGo(): boolean {
    return true;
  }
}

function statusOf(fields: HeaderList | undefined): string {
  return fields?.[fields.indexOf('grpc-status') + 1] ?? '';
}

test('a grpc-timeout ends the wait for the head: DEADLINE_EXCEEDED, the upstream is cancelled, and nobody there is to blame', () => {
  const world = new World();
  const { heard } = world.ask('300m');
  world.passes(299);
  expect(heard.heads).toBe(0);
  world.passes(1);
  expect([heard.status, statusOf(heard.fields), heard.bytes, heard.ended]).toEqual([200, '4', 0, 1]);
  const { aborted, reply } = world.opened[0]!;
  expect(aborted?.code).toBe('deadline');
  reply.settled();
  expect(world.blamed).toEqual([null]);
});

test('a deadline that the endpoint notices first is not its fault either, while one of the location is', () => {
  for (const [timeout, blame] of [
    ['300m', null],
    ['60S', 'deadline'],
  ] as const) {
    const world = new World({ timeoutMs: 1000 });
    const { heard } = world.ask(timeout);
    world.opened[0]!.reply.abort(new Failure('deadline', 'no answer'));
    world.opened[0]!.reply.settled();
    expect([statusOf(heard.fields), world.blamed]).toEqual(['4', [blame]]);
  }
});

test('it ends the wait for a slot', () => {
  const world = new World();
  world.slots = 0;
  const { heard } = world.ask('2S');
  world.passes(1999);
  expect(heard.heads).toBe(0);
  world.passes(1);
  expect([statusOf(heard.fields), world.queue.length]).toEqual(['4', 0]);
});

test('it ends a stream that has begun, which a time-out of the location does not', () => {
  const world = new World({ timeoutMs: 500 });
  const { heard } = world.ask('1S');
  const [opened] = world.opened;
  opened!.reply.head(ResponseHead.make(200, ['content-type', 'application/grpc'], UNKNOWN_LENGTH));
  world.passes(600);
  world.passes(399);
  expect([heard.aborts, opened!.aborted]).toEqual([0, null]);
  world.passes(1);
  expect([heard.heads, heard.ended, heard.failure?.code, opened!.aborted?.code]).toEqual([1, 0, 'deadline', 'deadline']);
  opened!.reply.settled();
  expect(world.blamed).toEqual([null]);
});

test('an answer that is complete is not broken off when its client takes longer to read it', () => {
  const world = new World();
  const { heard, sink } = world.ask('1S');
  const [opened] = world.opened;
  opened!.reply.head(ResponseHead.make(200, ['content-type', 'application/grpc'], UNKNOWN_LENGTH));
  opened!.reply.end(['grpc-status', '0']);
  opened!.reply.settled();
  world.passes(2000);
  expect([heard.aborts, heard.ended, opened!.aborted]).toEqual([0, 1, null]);
  sink.settled();
  expect(world.loop.sweeper.size).toBe(0);
});

test('the upstream is told what is left of it, at each try', () => {
  const world = new World();
  world.slots = 0;
  world.ask('10S');
  world.passes(2500);
  world.grant();
  expect(world.opened[0]!.head.get('grpc-timeout')).toBe('7500m');
  world.passes(1500);
  world.slots = 1;
  world.opened[0]!.reply.abort(new Failure('refused', 'no'));
  expect(world.opened[1]!.head.get('grpc-timeout')).toBe('6000m');
  expect(world.opened[1]!.notes.dueMs).toBe(10_000);
});

test('the shorter of two deadlines counts for the head', () => {
  const world = new World({ timeoutMs: 1000 });
  world.ask('60S');
  expect(world.opened[0]!.notes.dueMs).toBe(1000);
  expect(world.opened[0]!.head.get('grpc-timeout')).toBe('60000m');
});

test('one that is over when it comes, or no time at all, goes nowhere', () => {
  const world = new World();
  expect(statusOf(world.ask('0n').heard.fields)).toBe('4');
  expect(statusOf(world.ask('5 minutes').heard.fields)).toBe('3');
  expect(world.opened.length).toBe(0);
});

test('one of thousands of years is one of days, which timers and tunnels can count', () => {
  const world = new World();
  world.ask('99999999H');
  expect(world.opened[0]!.notes.dueMs).toBe(0x7fff_ffff);
});

test('it means nothing in a request that is not gRPC', () => {
  const world = new World();
  const { heard } = world.ask('nonsense', 'application/json');
  expect([heard.heads, world.opened[0]!.notes.dueMs, world.opened[0]!.head.get('grpc-timeout')]).toEqual([0, 0, 'nonsense']);
});

test('trailers of a request that waited go with it to every try', () => {
  const world = new World();
  world.slots = 0;
  const { sink } = world.ask('1S');
  sink.end(['x-check', '1']);
  world.grant();
  world.slots = 1;
  world.opened[0]!.reply.abort(new Failure('refused', 'no'));
  expect(world.opened.map(({ trailers }) => trailers)).toEqual([
    ['x-check', '1'],
    ['x-check', '1'],
  ]);
});
