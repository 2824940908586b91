import { expect, test } from 'vitest';
import { chooseCoding, codingWeights } from './accept-encoding.ts';

test.each([
  ['gzip, deflate, br, zstd', 'zstd'],
  ['gzip, br', 'br'],
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['GZIP;Q=0.5', 'gzip'],
  ['gzip;q=1.0, br;q=0.8, zstd;q=0.999', 'gzip'],
  ['br;q=0, gzip', 'gzip'],
  ['*', 'zstd'],
  ['*;q=0.1, gzip;q=0.2', 'gzip'],
  ['zstd;q=0, *', 'br'],
  ['*;q=0', null],
  ['identity', null],
  ['identity, gzip;q=0.5', null],
  ['identity;q=0.2, gzip;q=0.5', 'gzip'],
  ['', null],
  [' , ,', null],
  ['gzip;q=nonsense', null],
  ['gzip;q=1.5', null],
  ['gzip;q=-1', null],
  ['deflate', null],
  ['gzip;q=0, gzip;q=1', null],
])('Accept-Encoding %j is answered with %s', (accept, coding) => {
  expect(chooseCoding(codingWeights(accept), ['zstd', 'br', 'gzip'])).toBe(coding);
});

test('of codings that are wanted alike the server prefers its own first', () => {
  expect(chooseCoding(codingWeights('zstd, br, gzip'), ['gzip', 'br'])).toBe('gzip');
  expect(chooseCoding(codingWeights('zstd'), [])).toBeNull();
});
