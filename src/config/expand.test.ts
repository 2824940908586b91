import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expand, expandAll, unexpanded } from './expand.ts';

const env = { PORT: '8080', EMPTY: '', _X1: 'under', HOME: '/home/a' };

test.each([
  ['plain', 'plain'],
  ['${PORT}', '8080'],
  ['127.0.0.1:${PORT}/${_X1}', '127.0.0.1:8080/under'],
  ['${NOWHERE:text}', 'text'],
  ['${EMPTY:text}', 'text'],
  ['${PORT:1}', '8080'],
  ['${NOWHERE:}', ''],
  ['${NOWHERE:a:b $1}', 'a:b $1'],
  ['$${PORT}', '${PORT}'],
  ['$${NOWHERE}', '${NOWHERE}'],
  // What belongs to rewrites and header values stays.
  ['^/(.*)$ /$1', '^/(.*)$ /$1'],
  ['/${name}/$name', '/${name}/$name'],
  ['$PORT', '$PORT'],
  ['${port}', '${port}'],
  ['${Mixed}', '${Mixed}'],
  ['$host $http_x', '$host $http_x'],
  ['${', '${'],
  ['a{2}$', 'a{2}$'],
])('%s becomes %s', (text, expanded) => {
  expect(expand(text, env)).toBe(expanded);
});

test.each([
  ['${NOWHERE}', 'names a variable that is not set', 'set NOWHERE, or write ${NOWHERE:default}'],
  ['x${EMPTY}', 'names a variable that is empty', 'set EMPTY, or write ${EMPTY:default}'],
])('%s without a value is an error', (text, message, fix) => {
  expect(() => expand(text, env)).toThrow(expect.objectContaining({ message, fix }));
});

test('[threat 59] what an object inherits is no variable', () => {
  const inherited = Object.create({ INHERITED: 'x' }) as Record<string, string>;
  expect(() => expand('${INHERITED}', inherited)).toThrow('not set');
  expect(expand('${INHERITED:y}', inherited)).toBe('y');
});

test('values are not looked at a second time', () => {
  expect(expand('${A}', { A: '${B}', B: 'x' })).toBe('${B}');
});

test('lists and tables are gone through, and other values stay', () => {
  expect(expandAll({ a: ['${PORT}', { b: '${PORT}' }], n: 5, t: true }, env)).toEqual({ a: ['8080', { b: '8080' }], n: 5, t: true });
});

test('[threat 59] a table with a key __proto__ changes no prototype', () => {
  const table = JSON.parse('{"__proto__": {"x": "${PORT}"}}') as object;
  const expanded = expandAll(table, env) as Record<string, unknown>;
  expect(Object.getPrototypeOf(expanded)).toBe(Object.prototype);
  expect(expanded['x']).toBeUndefined();
});

test('any text can be written so that it stays what it is', () => {
  const pieces = fc.constantFrom('$', '{', '}', 'A', 'b', ':', '_', '1', '${A}', '${A:b}');
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      expect(expand(unexpanded(parts.join('')), {})).toBe(parts.join(''));
    }),
  );
});
