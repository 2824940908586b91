import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { requestHead } from '../../test/kit/tunnel.ts';
import { Notes, type ReplySink, type RequestSink } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import { makePeer, ResponseHead, UNKNOWN_LENGTH } from '../http/head.ts';
import { httpLimits } from '../http/limits.ts';
import { createLoop } from '../std/loop.ts';
import type { Door } from './door.ts';
import { Inspector } from './inspector.ts';
import { REPLAY_BYTES, REPLAY_MS } from './limits.ts';
import { replay } from './replay.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** One exchange made once more, before a server that does as the test says. */
function again() {
  const inspector = new Inspector(() => 0);
  inspector.resize(10);
  const first = inspector.begin('main', requestHead('GET /x HTTP/1.1\r\nHost: a\r\n\r\n'), new Notes(0), makePeer('192.0.2.1', 1, 80, 'http', false));
  first.finished(200, 1, '', '');
  const said: string[] = [];
  let reply!: ReplySink;
  let notes!: Notes;
  const request: RequestSink = {
    writer: null,
    write: () => true,
    end: () => void said.push('end'),
    abort: ({ detail }: Failure) => void said.push(`abort: ${detail}`),
    settled: () => void said.push('settled'),
  };
  const door: Pick<Door, 'open'> = {
    open: (_head, to, of) => {
      reply = to;
      notes = of;
      return request;
    },
  };
  replay(first, inspector, door as Door, httpLimits, createLoop());
  reply.head(ResponseHead.make(200, [], UNKNOWN_LENGTH));
  return { said, reply, notes };
}

test('an answer to what was sent again may take a minute and no longer', () => {
  const { said, notes } = again();
  vi.advanceTimersByTime(REPLAY_MS - 1);
  expect(said).toEqual(['end']);
  expect(notes.failure).toBeNull();
  vi.advanceTimersByTime(1);
  expect(notes.failure?.code).toBe('client_gone');
  vi.runAllTimers();
  expect(said).toEqual(['end', 'abort: the answer to a request that was sent again takes too long', 'settled']);
});

test('it may have so many bytes and not one more', () => {
  const { said, reply, notes } = again();
  const chunk = new Uint8Array(REPLAY_BYTES / 64);
  for (let i = 0; i < 64; i++) reply.write(chunk);
  vi.advanceTimersByTime(10);
  expect(said).toEqual(['end']);
  reply.write(new Uint8Array(1));
  vi.advanceTimersByTime(10);
  expect(said).toEqual(['end', 'abort: the answer to a request that was sent again is too large', 'settled']);
  expect(notes.replyBytes).toBe(REPLAY_BYTES + 1);
});

test('one that ends in time is settled once, and nothing of it is left', () => {
  const { said, reply, notes } = again();
  reply.end();
  vi.advanceTimersByTime(10);
  expect(said).toEqual(['end', 'settled']);
  vi.advanceTimersByTime(REPLAY_MS);
  expect([said, notes.failure]).toEqual([['end', 'settled'], null]);
});
