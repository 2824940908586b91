import { afterEach, expect, test } from 'vitest';
import { ago, bytes, compact, duration, percent, rate, span } from './format.ts';
import { language } from './language.ts';

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');
afterEach(() => {
  language.value = 'en';
});

test('lengths of time are as short as their size allows', () => {
  language.value = 'en';
  expect([0, 0.04, 0.44, 12.6, 999, 1_234, 59_999, 200_000, 7_500_000, 200_000_000, 90 * 86_400_000].map((ms) => plain(duration(ms)))).toEqual([
    '0 ms',
    '<0.1 ms',
    '0.4 ms',
    '13 ms',
    '999 ms',
    '1.2 s',
    '59 s',
    '3 m 20 s',
    '2 h 5 m',
    '2 d 7 h',
    '90 d',
  ]);
  expect([NaN, Infinity, -1].map(duration)).toEqual(['–', '–', '–']);
  expect(plain(span(-5))).toBe('0 s');
});

test('counts, rates, sizes and shares', () => {
  language.value = 'en';
  expect([0, 7, 99.5, 1_234, 12_345, 999_949, 999_950, 1_234_567, 999_999_999, 5e9].map(compact)).toEqual([
    '0',
    '7',
    '99.5',
    '1,234',
    '12.3k',
    '999.9k',
    '1M',
    '1.2M',
    '1G',
    '5G',
  ]);
  expect([0, 0.04, 3.25].map(rate)).toEqual(['0', '<0.1', '3.3']);
  expect([0, 999, 1_000, 1_536_000, 2e12, 5e15].map((size) => plain(bytes(size)))).toEqual(['0 B', '999 B', '1 kB', '1.5 MB', '2 TB', '5000 TB']);
  expect([0, 0.004, 0.42, 1].map(percent)).toEqual(['0%', '0.4%', '42%', '100%']);
});

test('ages are said in the language of the page', () => {
  language.value = 'en';
  expect(plain(ago(0, 12_000))).toBe('12 s ago');
  language.value = 'zh';
  expect(plain(ago(0, 12_000))).toBe('12 秒前');
  expect([44, 1_234, 200_000, 7_500_000, 200_000_000].map((ms) => plain(duration(ms)))).toEqual([
    '44 ms',
    '1.2 秒',
    '3 分 20 秒',
    '2 小时 5 分',
    '2 天 7 小时',
  ]);
});
