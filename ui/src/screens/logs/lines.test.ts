import { expect, test } from 'vitest';
import type { LogEntry } from '../../../../src/admin/model.ts';
import { fieldText, LINES_MAX, linesText, withLines } from './lines.ts';

function line(atMs: number, message = `line ${atMs}`): LogEntry {
  return { atMs, level: 'info', message, fields: { n: atMs } };
}

test('lines that a stream tells again are not there twice', () => {
  const first = withLines([], [line(1), line(2), line(3)]);
  const second = withLines(first, [line(2), line(3), line(4)]);
  expect(second.map(({ message }) => message)).toEqual(['line 1', 'line 2', 'line 3', 'line 4']);
  expect(new Set(second.map(({ number }) => number)).size).toBe(4);
  expect(withLines(second, [line(4)])).toBe(second);
});

test('lines of one moment with other words are all there', () => {
  expect(withLines(withLines([], [line(1, 'a')]), [line(1, 'b')]).length).toBe(2);
});

test('a page keeps so many lines and no more', () => {
  const many = Array.from({ length: LINES_MAX + 500 }, (_, i) => line(i));
  const kept = withLines([], many);
  expect(kept.length).toBe(LINES_MAX);
  expect(kept.at(-1)!.atMs).toBe(LINES_MAX + 499);
});

test('fields are on one line, and a file has one JSON text per line', () => {
  expect(fieldText('a\nb')).toBe('a\nb');
  expect(fieldText({ a: 1 })).toBe('{"a":1}');
  expect(
    linesText([line(0), line(1)])
      .trim()
      .split('\n')
      .map((one) => (JSON.parse(one) as { message: string }).message),
  ).toEqual(['line 0', 'line 1']);
});
