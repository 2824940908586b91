import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readRange } from './range.ts';

test.each([
  ['bytes=0-0', { start: 0, end: 1 }],
  ['bytes=0-', { start: 0, end: 10 }],
  ['bytes=3-5', { start: 3, end: 6 }],
  ['bytes=3-500', { start: 3, end: 10 }],
  ['BYTES = 9 - 9 ', { start: 9, end: 10 }],
  ['bytes=-3', { start: 7, end: 10 }],
  ['bytes=-30', { start: 0, end: 10 }],
  ['bytes=-0', 'none'],
  ['bytes=10-', 'none'],
  ['bytes=10-20', 'none'],
  ['bytes=999999999999999-', 'none'],
  ['bytes=5-3', null],
  ['bytes=-', null],
  ['bytes=', null],
  ['bytes=a-b', null],
  ['bytes=0-1,3-4', null],
  ['bytes=0-0x1', null],
  ['items=0-1', null],
  ['bytes=99999999999999999999-', null],
  ['', null],
])('%j of ten bytes', (text, range) => {
  expect(readRange(text, 10)).toEqual(range);
});

test('of nothing there is no part', () => {
  expect([readRange('bytes=0-', 0), readRange('bytes=-1', 0), readRange('nonsense', 0)]).toEqual(['none', 'none', null]);
});

test('whatever is asked for, a range lies inside', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => `bytes=${a}-${b}`),
      ),
      fc.nat(),
      (text, length) => {
        const range = readRange(text, length);
        if (range === null || range === 'none') return;
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.end).toBeGreaterThan(range.start);
        expect(range.end).toBeLessThanOrEqual(length);
      },
    ),
  );
});
