import { expect, test } from 'vitest';
import { addressesOf, addressRows, NO_ADDRESS } from './addresses.ts';
import { doubleName, listOf, mapOf, moved, pairsOf, rowsOf, splitAtCommas } from './rows.ts';

test('a list is written as it was read, whatever its items are', () => {
  for (const value of [['a', 'b'], [200, 404], ['a,b'], [true], 'one', 5]) expect(listOf(rowsOf(value)!, value)).toEqual(value);
  expect(rowsOf([{ app_id: 'one' }])).toBeNull();
  expect(rowsOf([['a']])).toBeNull();
});

test('one text becomes a list when a line comes to it, and empty lines are none', () => {
  expect(listOf([{ text: 'a' }, { text: 'b' }], 'a')).toEqual(['a', 'b']);
  expect(listOf([{ text: 'x' }], 'a')).toBe('x');
  expect(listOf([{ text: 'x' }, { text: ' ' }], ['a'])).toEqual(['x']);
  expect(listOf([{ text: '' }], ['a'])).toBeUndefined();
  expect(splitAtCommas(' a, b,,c ')).toEqual(['a', 'b', 'c']);
});

test('a line is moved past others, and nowhere beyond the ends', () => {
  expect(moved(['a', 'b', 'c'], 0, 2)).toEqual(['b', 'c', 'a']);
  expect(moved(['a', 'b', 'c'], 2, 0)).toEqual(['c', 'a', 'b']);
  expect(moved(['a', 'b'], 0, -1)).toEqual(['a', 'b']);
  expect(moved(['a', 'b'], 1, 2)).toEqual(['a', 'b']);
});

test('a map is written as it was read, as a table or as pairs', () => {
  for (const value of [{ gpu: 'a100', 日本: 'x=y' }, ['gpu=a100', 'zone=b'], { '404': '<p>\n</p>' }, { weight: 5 }]) {
    const { pairs, style } = pairsOf(value)!;
    expect(mapOf(pairs, style)).toEqual(value);
  }
  expect(pairsOf({ '4xx': ['<p>', '{}'] })).toBeNull();
  expect(pairsOf(['no sign'])).toBeNull();
  expect(mapOf([{ name: ' ', text: 'x' }], 'table')).toBeUndefined();
  expect(
    doubleName([
      { name: 'a', text: '1' },
      { name: 'b', text: '1' },
      { name: ' a', text: '2' },
    ]),
  ).toBe('a');
});

test('addresses are written as they were read', () => {
  for (const value of [
    ['127.0.0.1:5000', '[::1]:80 20'],
    [{ addr: 'a:1', weight: 2, priority: 1, backup: true, load: 0.5 }, 'b:2'],
    [{ addr: 'a:1', load: 0.25 }],
  ])
    expect(addressesOf(addressRows(value)!)).toEqual(value);
});

test('addresses in one text are rows, and what rows cannot show is left alone', () => {
  expect(addressRows('a:1 5, b:2')).toEqual([
    { ...NO_ADDRESS, addr: 'a:1', weight: '5' },
    { ...NO_ADDRESS, addr: 'b:2' },
  ]);
  expect(addressRows([{ addr: 'a:1', zone: 'x' }])).toBeNull();
  expect(addressRows([{ addr: 'a:1', backup: 'maybe' }])).toBeNull();
  expect(addressRows([['a']])).toBeNull();
  expect(addressRows(['a b c'])).toBeNull();
  expect(addressesOf([{ ...NO_ADDRESS, addr: 'a:1', weight: '${W}' }])).toEqual(['a:1 ${W}']);
  expect(addressesOf([NO_ADDRESS])).toBeUndefined();
});
