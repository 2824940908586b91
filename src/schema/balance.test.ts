import { expect, test } from 'vitest';
import { balance, parseBalance } from './balance.ts';

test('each way to choose is read, and written as it was', () => {
  const kind = balance();
  for (const text of [
    'round_robin',
    'least_conn',
    'random_two',
    'spare_capacity',
    'hash:ip',
    'hash:url',
    'hash:path',
    'hash:header:x-user',
    'hash:cookie:Session',
    'hash:query:a:b',
  ])
    expect(kind.format(kind.parse([text]))).toBe(text);
  expect(parseBalance('hash:header:X-User')).toEqual({ by: 'hash', key: { of: 'header', name: 'x-user' } });
  expect(parseBalance('least_loaded')).toEqual({ by: 'least_conn' });
  expect(parseBalance('least-conn')).toEqual({ by: 'least_conn' });
});

test.each([
  ['round_robbin', /did you mean round_robin/],
  ['', /choose round_robin/],
  ['hash', /write hash:ip/],
  ['hash:X-User', /write hash:ip/],
  ['hash:header', /write hash:header:NAME/],
  ['hash:ip:x', /write hash:ip$/],
  ['hash:header:a b', /letters/],
])('%j is refused with the fix', (text, fix) => {
  expect(() => parseBalance(text)).toThrow(expect.objectContaining({ fix: expect.stringMatching(fix) }) as Error);
});
