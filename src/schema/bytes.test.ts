import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatBytes, parseBytes } from './bytes.ts';

test.each([
  ['0', 0],
  ['100', 100],
  ['64KiB', 65_536],
  ['64kib', 65_536],
  ['1MB', 1_000_000],
  ['1.5 GiB', 1_610_612_736],
  ['10kB', 10_000],
])('%s is %d bytes', (text, bytes) => {
  expect(parseBytes(text)).toBe(bytes);
});

test.each(['', '64k', '1M', '-1', '1e9', 'KiB', '1PB', '1 0', '9999999TiB', '0x10'])('%j is no size', (text) => {
  expect(() => parseBytes(text)).toThrow();
});

test('what is written is read back', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseBytes(formatBytes(bytes)) === bytes));
});
