import { expect, test } from 'vitest';
import { urgencyOf } from './urgency.ts';

test.each([
  ['u=0', 0],
  ['u=7', 7],
  ['u=5, i', 5],
  ['i, u=2', 2],
  ['i,u=2;x=1', 2],
  ['u=1, u=6', 6],
  ['u=1, u=9', null],
  ['', null],
  ['i', null],
  ['u=8', null],
  ['u=-1', null],
  ['u=1.5', null],
  ['u=00', null],
  ['u', null],
  ['U=1', null],
  ['xu=1', null],
  ['u= 1', null],
  [',,,;;;===', null],
])('the urgency of Priority: %s is %s', (field, urgency) => {
  expect(urgencyOf(field)).toBe(urgency);
});
