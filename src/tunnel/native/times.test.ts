import { expect, test } from 'vitest';
import { AgentTimes, Notes } from '../../http/exchange.ts';
import { httpLimits } from '../../http/limits.ts';
import { RequestHead } from '../../http/head.ts';
import { requestHead } from '../../../test/kit/tunnel.ts';
import { fieldsFit, HEADER_BYTES, T_TIMES } from './frames.ts';
import { asksForTimes, openFlags, openRoom, readOnAbort, readOpen, writeOpen } from './open.ts';
import { readTimes, TIMES_BYTES, writeTimes } from './times.ts';

const HEAD = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

function written(headMs: number, connectMs: number, tlsMs: number, traced = false): Buffer {
  const times = new AgentTimes();
  times.openedMs = 1_000;
  times.traced = traced;
  const bytes = Buffer.alloc(TIMES_BYTES);
  expect(writeTimes(times, connectMs, tlsMs, 1_000 + headMs, bytes, 0)).toBe(TIMES_BYTES);
  expect(fieldsFit(bytes, 0, TIMES_BYTES)).toBe(true);
  return bytes;
}

function read(bytes: Buffer): AgentTimes {
  const times = new AgentTimes();
  readTimes(times, bytes, 0, bytes.length);
  return times;
}

test('times arrive as they were told', () => {
  expect(read(written(12.345, 3.5, 1.25))).toMatchObject({ told: true, headMs: 12.345, connectMs: 3.5, connectTlsMs: 1.25, traced: false });
  expect(read(written(5, 0, 0, true))).toMatchObject({ told: true, headMs: 5, connectMs: 0, connectTlsMs: 0, traced: true });
});

test('times that cannot be are cut to what can', () => {
  expect(read(written(1, 50, 70))).toMatchObject({ headMs: 1, connectMs: 1, connectTlsMs: 1 });
  expect(read(written(-5, -1, -1))).toMatchObject({ headMs: 0, connectMs: 0, connectTlsMs: 0 });
  expect(read(written(1e12, 0, 0)).headMs).toBeCloseTo(0xffff_ffff / 1000);
});

test('other fields, too little, and what later versions say behind it harm nobody', () => {
  const other = Buffer.from([0x44, 0, 2, 9, 9]);
  expect(read(Buffer.concat([other, written(2, 1, 0)]))).toMatchObject({ told: true, headMs: 2 });
  expect(read(Buffer.from([T_TIMES, 0, 0])).told).toBe(false);
  expect(read(Buffer.from([T_TIMES, 0, 4, 1, 2, 3, 4])).told).toBe(false);
  const longer = Buffer.concat([written(2, 1, 0), Buffer.from([7, 7])]);
  longer[2] = longer[2]! + 2;
  expect(read(longer)).toMatchObject({ told: true, headMs: 2, connectMs: 1 });
});

test.each([
  [null, false],
  [null, true],
  ['drain', false],
  ['drain', true],
] as const)('an OPEN with on abort %s that asks for times: %s, says both and nothing else', (onAbort, asks) => {
  const head = requestHead(HEAD);
  const bytes = Buffer.alloc(openRoom(head));
  const end = writeOpen(head, openFlags(head), 1, 0, onAbort, asks, bytes, 0);
  const payload = HEADER_BYTES;
  const seen = new RequestHead();
  expect(readOpen(seen, openFlags(head), bytes, payload, end, httpLimits)).toBe(true);
  expect([readOnAbort(bytes, payload), asksForTimes(bytes, payload), seen.target]).toEqual([onAbort, asks, '/']);
});

test('nobody is asked unless somebody wants to know', () => {
  expect(new Notes(0).times).toBeNull();
});
