import { expect, test } from 'vitest';
import { EventStreamParser } from './event-stream.ts';

function heard(pieces: readonly string[]): string[] {
  const all: string[] = [];
  const parser = new EventStreamParser((event, data) => all.push(`${event}: ${data}`));
  for (const piece of pieces) parser.push(piece);
  return all;
}

test('events are told whole wherever the pieces end', () => {
  const text = 'event: tick\ndata: {"a":1}\n\n: ping\n\ndata: one\ndata: two\r\n\r\nid: 3\nevent: tick\n\nevent:change\ndata:x\n\n';
  const all = ['tick: {"a":1}', 'message: one\ntwo', 'change: x'];
  expect(heard([text])).toEqual(all);
  expect(heard(Array.from(text))).toEqual(all);
  for (let at = 1; at < text.length; at++) expect(heard([text.slice(0, at), text.slice(at)])).toEqual(all);
});

test('an event that is not complete is not told', () => {
  expect(heard(['event: tick\ndata: 1\n'])).toEqual([]);
});
