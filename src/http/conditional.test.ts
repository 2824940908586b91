import { describe, expect, test } from 'vitest';
import { isNotModified, isPreconditionFailed, isRangeWanted } from './conditional.ts';

const DATE = 'Sun, 06 Nov 1994 08:49:37 GMT';
const LATER = 'Sun, 06 Nov 1994 08:49:38 GMT';
const EARLIER = 'Sun, 06 Nov 1994 08:49:36 GMT';
const strong = { etag: '"a,b"', modifiedMs: Date.parse(DATE) };
const weak = { etag: 'W/"a,b"', modifiedMs: NaN };

describe('a client has it already', () => {
  test.each([
    ['"a,b"', undefined, true, true],
    ['W/"a,b"', undefined, true, true],
    ['"x", W/"y" , "a,b"', undefined, true, true],
    ['*', undefined, true, true],
    ['"a"', undefined, false, false],
    ['a,b', undefined, false, false],
    ['', DATE, false, false],
    ['"x"', LATER, false, false],
    [undefined, DATE, true, false],
    [undefined, LATER, true, false],
    [undefined, EARLIER, false, false],
    [undefined, 'yesterday', false, false],
    [undefined, undefined, false, false],
  ])('If-None-Match %j, If-Modified-Since %j', (match, since, ofStrong, ofWeak) => {
    expect([isNotModified(match, since, strong), isNotModified(match, since, weak)]).toEqual([ofStrong, ofWeak]);
  });
});

describe('a precondition fails', () => {
  test.each([
    ['"a,b"', undefined, false, true],
    ['W/"a,b"', undefined, true, true],
    ['*', undefined, false, false],
    ['"x"', LATER, true, true],
    [undefined, EARLIER, true, false],
    [undefined, DATE, false, false],
    [undefined, 'nonsense', false, false],
    [undefined, undefined, false, false],
  ])('If-Match %j, If-Unmodified-Since %j', (match, since, ofStrong, ofWeak) => {
    expect([isPreconditionFailed(match, since, strong), isPreconditionFailed(match, since, weak)]).toEqual([ofStrong, ofWeak]);
  });
});

test.each([
  [undefined, true, true],
  ['"a,b"', true, false],
  ['W/"a,b"', false, false],
  [DATE, true, false],
  [LATER, false, false],
  ['nonsense', false, false],
])('If-Range %j is good for a part', (ifRange, ofStrong, ofWeak) => {
  expect([isRangeWanted(ifRange, strong), isRangeWanted(ifRange, weak)]).toEqual([ofStrong, ofWeak]);
});
