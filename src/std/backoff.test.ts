import { expect, test } from 'vitest';
import { Backoff } from './backoff.ts';

test('waits grow twofold up to a cap, are spread over all of it, and start anew after a success', () => {
  let random = 1;
  const backoff = new Backoff(100, 1_000, () => random);
  expect(Array.from({ length: 6 }, () => backoff.next())).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  random = 0.25;
  expect(backoff.next()).toBe(250);
  backoff.reset();
  expect(backoff.next()).toBe(25);
  for (let i = 0; i < 2_000; i++) expect(backoff.next()).toBeLessThanOrEqual(250);
});
