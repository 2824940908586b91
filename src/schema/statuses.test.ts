import { expect, test } from 'vitest';
import { statuses } from './statuses.ts';

test('statuses and classes of them are read, and written as they were', () => {
  const kind = statuses();
  expect(kind.parse(['500, 5xx,429'])).toEqual([
    { from: 500, to: 500 },
    { from: 500, to: 599 },
    { from: 429, to: 429 },
  ]);
  expect(kind.format(kind.fromToml([503, '4xx'], ''))).toBe('503,4xx');
});

test.each(['600', '99', '5x', 'x5x', '-500', '5.0'])('%s is refused', (text) => {
  expect(() => statuses().parse([text])).toThrow('is no HTTP status');
});
