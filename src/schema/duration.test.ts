import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from './duration.ts';

test.each([
  ['0', 0],
  ['250ms', 250],
  ['30s', 30_000],
  ['5m', 300_000],
  ['1h2m3s', 3_723_000],
  ['1.5h', 5_400_000],
  ['0.5ms', 1],
  ['2d', 172_800_000],
  ['1m500ms', 60_500],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['', '30', '1.5', '-5s', '5', '5 s', 's', '5x', '1h2', '5S', '٣s', '1e3s', '..s', '1.s', 'Infinitys'])('%j is no duration', (text) => {
  expect(() => parseDuration(text)).toThrow(/has no unit|is no duration/);
});

test('what no timer can hold is refused', () => {
  expect(parseDuration('24d')).toBe(2_073_600_000);
  expect(() => parseDuration('25d')).toThrow('too long');
  expect(() => parseDuration(`${'9'.repeat(400)}s`)).toThrow('too long');
});

test('what is written is read back', () => {
  fc.assert(fc.property(fc.nat(2 ** 31 - 1), (ms) => parseDuration(formatDuration(ms)) === ms));
});
