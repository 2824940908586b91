import { expect, test } from 'vitest';
import { Seldom } from './seldom.ts';

test('each kind is told of at once, then only now and then with how many were not', () => {
  let now = 1_000;
  const seldom = new Seldom(60_000, () => now);
  expect([seldom.ask('a'), seldom.ask('a'), seldom.ask('a'), seldom.ask('b')]).toEqual([0, null, null, 0]);
  now += 59_999;
  expect(seldom.ask('a')).toBeNull();
  now += 1;
  expect([seldom.ask('a'), seldom.ask('a'), seldom.ask('b')]).toEqual([3, null, 0]);
});

test('kinds without number take no more memory than a hundred of them', () => {
  const seldom = new Seldom(60_000, () => 0);
  const told = Array.from({ length: 1_000 }, (_, i) => seldom.ask(`kind ${i}`)).filter((missed) => missed !== null);
  expect(told).toHaveLength(100);
});
