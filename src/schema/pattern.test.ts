import { describe, expect, test } from 'vitest';
import { compilePattern } from './pattern.ts';
import { Wrong } from './wrong.ts';

function wrongOf(source: string): Wrong {
  try {
    compilePattern(source);
  } catch (error) {
    if (error instanceof Wrong) return error;
    throw error;
  }
  throw new Error(`${source} is taken`);
}

describe('a pattern', () => {
  test('is searched anywhere, and says what its groups found', () => {
    const pattern = compilePattern('/v(\\d+)/(?P<name>[a-z]+)(/x)?');
    expect(pattern.find('/api/v12/users/')).toEqual({ start: 4, end: 14, groups: ['/v12/users', '12', 'users', ''] });
    expect(pattern.find('/api')).toBe(null);
    expect(pattern.test('/v1/a')).toBe(true);
    expect(pattern.names).toEqual(new Map([['name', 2]]));
    expect(pattern.groupCount).toBe(3);
  });

  test.each([
    ['(?i)abc', 'xABC', true],
    ['^a.c$', 'abc', true],
    ['^a.c$', 'abcd', false],
    ['\\Aab\\z', 'ab', true],
    ['(?<name>a)', 'a', true],
    ['[[:alpha:]]+', 'x1', true],
    ['a{2,3}?b', 'aab', true],
    ['\\.(?:jpg|png)$', '/a.png', true],
    ['\\bfoo\\b', '/foo/', true],
    ['\\/\\-', '/-', true],
  ])('%s in %s: %s', (source, text, found) => {
    expect(compilePattern(source).test(text)).toBe(found);
    expect(compilePattern(source).find(text) !== null).toBe(found);
  });

  test('may be told to ignore case', () => {
    expect(compilePattern('^api', true).test('API')).toBe(true);
    expect(compilePattern('^api').test('API')).toBe(false);
  });

  test.each([
    ['/a(b', /missing closing \) at position 3$/],
    ['a)b', /unexpected \) at position 2$/],
    ['/x[a-', /missing closing \] at position 3/],
    ['ab**', /invalid nested repetition operator at position 3 \(\*\*\)/],
    ['*a', /missing argument to repetition operator at position 1 \(\*\)/],
    ['a[z-a]', /invalid character class range at position 3 \(z-a\)/],
    ['(a)\\1', /invalid escape sequence at position 4 \(\\1\)/],
    ['a\\', /trailing backslash at end of expression at position 2/],
    ['a(?=b)', /position 2 \(\(\?=\)/],
    ['a{1001}', /invalid repeat count at position 2/],
    ['a'.repeat(1001), /too long/],
    ['(?:(?:a{50}){10}){3}', /too large a pattern|invalid repeat count/],
  ])('%s is refused with its position', (source, message) => {
    expect(wrongOf(source).message).toMatch(message);
    expect(wrongOf(source).fix).not.toBe('');
  });

  // A backtracking engine would be busy with any of these for longer than the universe has been.
  test.each([
    ['(a+)+$', 'a', 'b'],
    ['^(a|a)*$', 'a', 'b'],
    ['^(a|aa)+$', 'a', 'b'],
    ['(.*)*x', 'y', ''],
    ['^(([a-z])+.)+[A-Z]([a-z])+$', 'a', ''],
    ['(x+x+)+y', 'x', ''],
    ['^(\\w+\\s?)*$', 'a', '!'],
    ['(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)z', 'a', ''],
    ['^/(?:a?){50}a{50}$', 'a', 'b'],
  ])('[threat 58] %s takes time that grows with the text only', (source, piece, last) => {
    const pattern = compilePattern(source);
    const text = `/${piece.repeat(64 * 1024)}${last}`;
    expect(pattern.test(text)).toBe(false);
    expect(pattern.find(text.slice(0, 16 * 1024) + last)).toBe(null);
  });
});

test.each(['^a', 'a(b)', '(?:ab)+', 'a.*?b', '\\ba'])('%s is looked for from a place on, whichever engine looks', (source) => {
  const pattern = compilePattern(source);
  const text = 'ab ab cab a-b';
  const all = [...text.matchAll(new RegExp(source, 'g'))].map(({ index, 0: whole }) => [index, index + whole.length]);
  const found: number[][] = [];
  for (let at = 0, one = pattern.find(text, at); one !== null; one = pattern.find(text, at)) {
    found.push([one.start, one.end]);
    at = one.end;
  }
  expect(found).toEqual(all);
  expect(pattern.find(text, text.length)).toBeNull();
});
