import { expect, test } from 'vitest';
import { networkOf } from './key.ts';
import { KeyTable, shortKey } from './key-table.ts';

test('a full table forgets who was quiet longest', () => {
  const table = new KeyTable<{ n: number }>(3, () => ({ n: 0 }));
  for (const key of ['a', 'b', 'c', 'a', 'b']) table.find(key).n++;
  table.find('d').n++;
  expect(table.size).toBe(3);
  expect(['a', 'b', 'd'].map((key) => table.find(key).n)).toEqual([2, 2, 1]);
  expect(table.find('c').n).toBe(0);
  // That one made room for c: a, asked for before the others.
  expect(table.find('a').n).toBe(0);
});

test('a table of one key works', () => {
  const table = new KeyTable<{ n: number }>(1, () => ({ n: 0 }));
  table.find('a').n = 1;
  table.find('b').n = 2;
  expect(table.find('b').n).toBe(2);
  expect(table.find('a').n).toBe(0);
});

test('long keys are kept as digests, and stay different', () => {
  const long = 'x'.repeat(10_000);
  expect(shortKey(long).length).toBeLessThan(64);
  expect(shortKey(long)).not.toBe(shortKey(`${long}y`));
  expect(shortKey('short')).toBe('short');
});

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8::7', '2001:db8:0:0::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:ffff::9', '2001:db8:1:2::/64'],
  ['2001:db8::1:2:3:4:5', '2001:db8:0:1::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::2:3:4:5:6:7:8', '0:2:3:4::/64'],
  ['', ''],
])('[threat 73] %s is counted as %s', (client, key) => {
  expect(networkOf(client)).toBe(key);
});
