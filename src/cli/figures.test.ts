import { expect, test } from 'vitest';
import { ageText, bytesText, millisText, numberText, sparkline } from './figures.ts';

test('times, numbers and sizes are short and have their units', () => {
  expect([0, 999, 61_000, 3_600_000, 93_784_000, 90_000_000].map(ageText)).toEqual(['0s', '1s', '1m 1s', '1h', '1d 2h', '1d 1h']);
  expect([0, 0.254, 7.34, 120, 9_999, 15_250, 3_100_000, Number.NaN].map(numberText)).toEqual([
    '0',
    '0.25',
    '7.3',
    '120',
    '9999',
    '15.3k',
    '3.1M',
    '-',
  ]);
  expect([null, 0.42, 12, 999, 1_500, 200_000].map(millisText)).toEqual(['-', '0.42 ms', '12 ms', '999 ms', '1.5 s', '3.3 min']);
  expect([0, 512, 1_536, 200_000, 20 * 1024 * 1024].map(bytesText)).toEqual(['0 B', '512 B', '1.5 KiB', '195 KiB', '20 MiB']);
});

test('bars are as high as their values, and whatever is more than nothing can be seen', () => {
  expect(sparkline([0, 1, 50, 100])).toBe(' ▁▄█');
  expect(sparkline([0, 0])).toBe('  ');
  expect(sparkline([])).toBe('');
});
