import { expect, test } from 'vitest';
import { HeldClock } from '../../test/kit/upstream.ts';
import { Ejection } from './ejection.ts';
import { EJECT_MAX_MS } from './limits.ts';

function ejection(failures: number, ms = 10_000) {
  const clock = new HeldClock();
  const one = new Ejection({ failures, ms }, clock);
  return {
    one,
    fails: (n: number) => {
      for (let i = 0; i < n; i++) one.failed();
    },
    pass: (passMs: number) => one.tick((clock.ms += passMs)),
  };
}

test('failures in a row eject, a success between them begins the count anew', () => {
  const { one, fails } = ejection(3);
  fails(2);
  one.succeeded();
  fails(2);
  expect(one.ejected).toBe(false);
  fails(1);
  expect(one.ejected).toBe(true);
});

test('back after its time, one more failure is enough, and the time doubles up to a bound', () => {
  const { one, fails, pass } = ejection(3);
  fails(3);
  for (const ms of [10_000, 20_000, 40_000, 80_000, 160_000, EJECT_MAX_MS, EJECT_MAX_MS]) {
    expect(pass(ms - 1)).toBe(false);
    expect(pass(1)).toBe(true);
    fails(1);
    expect(one.ejected).toBe(true);
  }
  expect(one.times).toBe(8);
});

test('one success after it is back, and all is as at first', () => {
  const { one, fails, pass } = ejection(3);
  fails(3);
  pass(10_000);
  one.succeeded();
  fails(2);
  expect(one.ejected).toBe(false);
  fails(1);
  expect(pass(10_000)).toBe(true);
});

test('0 ejects nobody, and switching it off brings back who is ejected', () => {
  const never = ejection(0);
  never.fails(1_000);
  expect(never.one.ejected).toBe(false);
  const { one, fails } = ejection(1);
  fails(1);
  expect(one.configure({ failures: 0, ms: 10_000 })).toBe(true);
  expect(one.ejected).toBe(false);
});
