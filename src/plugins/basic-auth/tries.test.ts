import { expect, test } from 'vitest';
import { MovedTime } from '../../../test/kit/moved-time.ts';
import { FORGET_MS, HOLD_MAX_MS, REMEMBERED, TRIES } from './limits.ts';
import { Tries } from './tries.ts';

function guess(tries: Tries, address: string, user: string, from: number, count: number): void {
  for (let i = from; i < from + count; i++) tries.wrong(address, user, `guess ${i}`);
}

test('[threat 65] five wrong tries are free; each further one doubles the wait, up to a bound, for the address and for the user', () => {
  const time = new MovedTime();
  const tries = new Tries(time.clock);
  guess(tries, 'a', 'u', 0, TRIES - 1);
  expect(tries.heldMs('a', 'u')).toBe(0);
  guess(tries, 'a', 'u', 4, 1);
  expect(tries.heldMs('a', 'u')).toBe(1_000);
  expect(tries.heldMs('a', 'other')).toBe(1_000);
  expect(tries.heldMs('b', 'u')).toBe(1_000);
  expect(tries.heldMs('b', 'other')).toBe(0);
  time.pass(1_000);
  expect(tries.heldMs('a', 'u')).toBe(0);
  guess(tries, 'a', 'u', 5, 1);
  expect(tries.heldMs('a', 'u')).toBe(2_000);
  guess(tries, 'a', 'u', 6, 20);
  expect(tries.heldMs('a', 'u')).toBe(HOLD_MAX_MS);
  time.pass(FORGET_MS + 1);
  guess(tries, 'a', 'u', 30, 1);
  expect(tries.heldMs('a', 'u')).toBe(0);
});

test('[threat 65] guesses of others do not keep a user out at an address where the password was right', () => {
  const tries = new Tries(new MovedTime().clock);
  tries.right('home', 'u');
  for (let i = 0; i < TRIES; i++) tries.wrong(`bot ${i}`, 'u', `guess ${i}`);
  expect(tries.heldMs('elsewhere', 'u')).toBe(1_000);
  expect(tries.heldMs('home', 'u')).toBe(0);
  guess(tries, 'home', 'x', 0, TRIES);
  expect(tries.heldMs('home', 'u')).toBe(1_000);
});

test('a try that turns out right counts for nothing, and one that was wrong is known again', () => {
  const tries = new Tries(new MovedTime().clock);
  guess(tries, 'a', 'u', 0, TRIES);
  expect(tries.isRepeated('a', 'guess 2')).toBe(true);
  expect(tries.isRepeated('b', 'guess 2')).toBe(false);
  tries.forgive('a', 'u', 'guess 2');
  expect(tries.heldMs('a', 'u')).toBe(0);
  expect(tries.isRepeated('a', 'guess 2')).toBe(false);
});

test('what is remembered is bounded: whoever was wrong longest ago is forgotten', () => {
  const tries = new Tries(new MovedTime().clock);
  guess(tries, 'first', 'u', 0, TRIES);
  for (let i = 0; i < REMEMBERED - 1; i++) tries.wrong(`a${i}`, `u${i}`, 'x');
  expect(tries.heldMs('first', 'z')).toBe(1_000);
  tries.wrong('one more', 'one more', 'x');
  expect(tries.heldMs('first', 'z')).toBe(0);
});
