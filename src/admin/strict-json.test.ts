import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonError, parseStrictJson } from './strict-json.ts';

const refused = (text: string): string => {
  try {
    parseStrictJson(text);
  } catch (error) {
    expect(error).toBeInstanceOf(JsonError);
    return (error as Error).message;
  }
  return 'taken';
};

test('JSON that is nested without end is refused before anything is made of it [threat 60]', () => {
  expect(refused('['.repeat(64) + ']'.repeat(64))).toBe('taken');
  expect(refused('['.repeat(65) + ']'.repeat(65))).toBe('the body is nested deeper than 64 levels');
  expect(refused('{"a":'.repeat(100_000))).toBe('the body is nested deeper than 64 levels');
  // Brackets in a text are none.
  expect(parseStrictJson(JSON.stringify('['.repeat(1000)))).toBe('['.repeat(1000));
  expect(parseStrictJson('["\\"[[", {"a": "\\\\"}]')).toEqual(['"[[', { a: '\\' }]);
});

test('a name that stands twice in one object is refused, however it is written; in two objects it is not [threat 60]', () => {
  for (const text of ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '[{"x":{"a":1 , "b":[], "a":{}}}]', '{"a":1,"b":"a","a":3}', '{"":1,"":2}'])
    expect(refused(text)).toContain('twice in one object');
  expect(parseStrictJson('{"a":"a","b":["a","a"],"c":{"a":{"a":1}}}')).toEqual({ a: 'a', b: ['a', 'a'], c: { a: { a: 1 } } });
});

test('__proto__ is refused as a name, and is a text like any other', () => {
  expect(refused('{"a":{"__proto__":{"x":1}}}')).toBe('the body has a member __proto__');
  expect(refused('{"\\u005f_proto__":1}')).toBe('the body has a member __proto__');
  expect(parseStrictJson('["__proto__"]')).toEqual(['__proto__']);
});

test('what is no JSON is told with its place and without what stands there', () => {
  for (const text of ['', '{', '{"a":}', 'canary', '[1,]', '"\u0000"', '{"a":1}}', '\ufeff{}']) {
    expect(refused(text), JSON.stringify(text)).toMatch(/^the body is no JSON( \(at character \d+\))?$/);
  }
});

test('all else is what JSON.parse makes of it', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => {
      if (/__proto__/.test(text)) return;
      expect(parseStrictJson(text)).toEqual(JSON.parse(text));
    }),
  );
});
