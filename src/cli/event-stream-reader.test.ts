import { expect, test } from 'vitest';
import { EventStreamReader, type StreamEvent } from './event-stream-reader.ts';

const STREAM =
  ': hello\r\n\r\nevent: tick\ndata: {"n":1}\n\nevent:change\ndata:{"what":\ndata:"config"}\r\rdata: plain words\nid: 7\n\nevent: lost\n\n';
const EVENTS: readonly StreamEvent[] = [
  { event: 'tick', data: { n: 1 } },
  { event: 'change', data: { what: 'config' } },
  { event: 'message', data: 'plain words' },
];

test('events are the same however the stream is cut', () => {
  for (let size = 1; size <= STREAM.length; size++) {
    const reader = new EventStreamReader(1000);
    const events: StreamEvent[] = [];
    for (let at = 0; at < STREAM.length; at += size) events.push(...reader.read(STREAM.slice(at, at + size)));
    expect(events).toEqual(EVENTS);
  }
});

test('an event that never ends is given up', () => {
  const reader = new EventStreamReader(1000);
  expect(() => {
    for (let i = 0; i < 100; i++) reader.read(`data: ${'x'.repeat(20)}\n`);
  }).toThrow('too long');
  expect(() => new EventStreamReader(1000).read('x'.repeat(1001))).toThrow('too long');
});
