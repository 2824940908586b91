import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { MovedTime } from '../../test/kit/moved-time.ts';
import { Heard, requestHead } from '../../test/kit/tunnel.ts';
import type { RequestSink } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { createLoop } from '../std/loop.ts';
import { healthRequest } from '../upstream/health/grpc-message.ts';
import { GrpcHealth } from './grpc-health.ts';

/** A health service whose services a test moves. */
class World {
  readonly time = new MovedTime();
  readonly loop = createLoop(this.time.clock);
  readonly services = new Map<string, boolean>([
    ['', true],
    ['app', true],
    ['sick', false],
  ]);
  readonly health = new GrpcHealth(this.loop, (service) => this.services.get(service) ?? null);

  ask(method: string, question: Buffer, type = 'application/grpc'): { readonly heard: Heard; readonly body: RequestSink } {
    const heard = new Heard();
    const head = requestHead(`POST /grpc.health.v1.Health/${method} HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nContent-Length: 5\r\n\r\n`);
    const body = this.health.open(head, heard);
    expect(heard.heads, 'nobody answers while it is being asked').toBe(0);
    // In two pieces, as it may come.
    body.write(question.subarray(0, 3));
    body.write(question.subarray(3));
    body.end();
    return { heard, body };
  }

  later(): void {
    this.time.pass(600);
    this.loop.sweeper.sweep();
  }
}

function said(heard: Heard): string[] {
  return heard.chunks.map((chunk) => chunk.toString('hex'));
}

function statusOf(heard: Heard): string {
  const fields = heard.trailers ?? heard.fields;
  return fields[fields.indexOf('grpc-status') + 1]!;
}

const SERVING = '00000000020801';
const NOT_SERVING = '00000000020802';
const SERVICE_UNKNOWN = '00000000020803';

test.each([
  ['', SERVING],
  ['app', SERVING],
  ['sick', NOT_SERVING],
])('Check of %j says how it is', (service, message) => {
  const { heard } = new World().ask('Check', healthRequest(service));
  expect([heard.status, said(heard), heard.trailers, heard.ended, heard.settledCount]).toEqual([200, [message], ['grpc-status', '0'], 1, 1]);
  expect(heard.fields).toEqual(['content-type', 'application/grpc']);
});

test.each<[string, string, Buffer, string]>([
  ['Check', 'a service that nobody knows is NOT_FOUND', healthRequest('other'), '5'],
  ['Check', 'bytes that are no question are INVALID_ARGUMENT', Buffer.from('hello'), '3'],
  ['Check', 'a question without an end is INVALID_ARGUMENT', Buffer.alloc(100_000), '3'],
  ['List', 'other methods are UNIMPLEMENTED', healthRequest(''), '12'],
])('%s: %s', (method, _, question, status) => {
  const { heard } = new World().ask(method, question);
  expect([heard.status, statusOf(heard), heard.length, heard.bytes, heard.ended, heard.settledCount]).toEqual([200, status, 0, 0, 1, 1]);
});

test('who does not speak gRPC gets 415', () => {
  const { heard } = new World().ask('Check', healthRequest(''), 'application/json');
  expect([heard.status, heard.ended, heard.settledCount]).toEqual([415, 1, 1]);
});

test('Watch says how it is at once, then each change and nothing else, until the client leaves', () => {
  const world = new World();
  const { heard, body } = world.ask('Watch', healthRequest('app'));
  expect(said(heard)).toEqual([SERVING]);
  world.later();
  expect(said(heard)).toEqual([SERVING]);
  world.services.set('app', false);
  world.later();
  world.services.delete('app');
  world.later();
  world.later();
  world.services.set('app', true);
  world.later();
  expect(said(heard)).toEqual([SERVING, NOT_SERVING, SERVICE_UNKNOWN, SERVING]);
  expect([heard.ended, heard.settledCount]).toEqual([0, 0]);
  body.abort(new Failure('client_gone', ''));
  body.settled();
  world.services.set('app', false);
  world.later();
  expect([heard.chunks.length, heard.settledCount, world.health.watches, world.loop.sweeper.size]).toEqual([4, 1, 0, 0]);
});

test('Watch of a service that nobody knows says so, and waits for it', () => {
  const world = new World();
  const { heard, body } = world.ask('Watch', healthRequest('new'));
  world.services.set('new', true);
  world.later();
  expect(said(heard)).toEqual([SERVICE_UNKNOWN, SERVING]);
  body.settled();
});

test('who watches and does not read is told no more until he does, and then how it is now', () => {
  const world = new World();
  const heard = new Heard();
  heard.open = false;
  const body = world.health.open(
    requestHead('POST /grpc.health.v1.Health/Watch HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\n\r\n'),
    heard,
  );
  body.write(healthRequest(''));
  body.end();
  for (const is of [false, true, false]) {
    world.services.set('', is);
    world.later();
  }
  expect(said(heard)).toEqual([SERVING]);
  heard.writer!.drained();
  world.later();
  expect(said(heard)).toEqual([SERVING, NOT_SERVING]);
  body.settled();
});

test('so many may watch, and no more', () => {
  const world = new World();
  const watching = Array.from({ length: 1000 }, () => world.ask('Watch', healthRequest('')));
  expect(statusOf(world.ask('Watch', healthRequest('')).heard)).toBe('8');
  watching[0]!.body.settled();
  expect(said(world.ask('Watch', healthRequest('')).heard)).toEqual([SERVING]);
  expect(world.health.watches).toBe(1000);
});
