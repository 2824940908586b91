import { expect, test } from 'vitest';
import { Notes } from '../http/exchange.ts';
import { serverTiming } from './server-timing.ts';

function line(notes: Partial<Notes>, nowMs = 1020.06): string {
  return serverTiming(Object.assign(new Notes(1000), notes), nowMs);
}

/** RFC 9110 tokens and plain decimals, which is all that the field's grammar allows here. */
const SYNTAX = /^Server-Timing: (?:[\w!#$%&'*+.^`|~-]+;dur=\d+(?:\.\d+)?)(?:, [\w!#$%&'*+.^`|~-]+;dur=\d+(?:\.\d+)?)*\r\n$/;

test.each<[string, Partial<Notes>, string]>([
  [
    'a request that waited',
    { waitedMs: 5.05, dispatchedMs: 1005.05, connectMs: 2, firstByteMs: 1020.05 },
    'queue;dur=5.1, connect;dur=2, upstream;dur=13, total;dur=20.1',
  ],
  ['one on a connection that was there', { dispatchedMs: 1000.1, firstByteMs: 1020.1 }, 'upstream;dur=20, total;dur=20.1'],
  ['one that found nobody', {}, 'total;dur=20.1'],
  ['one whose upstream said nothing', { dispatchedMs: 1000.06 }, 'upstream;dur=20, total;dur=20.1'],
  [
    'times too short to tell',
    { waitedMs: 1e-7, dispatchedMs: 1020.06, connectMs: 1e-9, firstByteMs: 1020.06 },
    'queue;dur=0, connect;dur=0, upstream;dur=0, total;dur=20.1',
  ],
  ['a clock that was asked in between', { dispatchedMs: 1019, connectMs: 5, firstByteMs: 1020 }, 'connect;dur=5, upstream;dur=0, total;dur=20.1'],
])('%s', (_, notes, expected) => {
  expect(line(notes)).toBe(`Server-Timing: ${expected}\r\n`);
  expect(line(notes)).toMatch(SYNTAX);
});
