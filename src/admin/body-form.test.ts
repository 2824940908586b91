import { expect, test } from 'vitest';
import type { JsonSchema } from '../schema/kind.ts';
import { problemsOf } from './body-form.ts';

const said = (value: unknown, schema: JsonSchema): readonly string[] => problemsOf(value, schema).map(({ at, message }) => `${at} ${message}`);

const PERSON: JsonSchema = {
  type: 'object',
  required: ['name', 'role'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 5, pattern: '^[a-z]+$' },
    role: { enum: ['read', 'admin'] },
    age: { type: 'integer', minimum: 0, maximum: 9 },
    labels: { type: 'object', additionalProperties: { type: 'string' }, propertyNames: { maxLength: 3 } },
    tags: { type: 'array', items: { type: ['string', 'null'] }, maxItems: 2 },
  },
};

test('a body of the right form is taken', () => {
  expect(said({ name: 'ann', role: 'read' }, PERSON)).toEqual([]);
  expect(said({ name: 'ann', role: 'read', age: 9, labels: { a: 'b', 'c/d': '' }, tags: ['x', null] }, PERSON)).toEqual([]);
});

test.each<[unknown, string[]]>([
  [null, [' must be an object']],
  [[], [' must be an object']],
  [{}, ['/name is missing', '/role is missing']],
  [{ name: 'ann', role: 'x' }, ['/role must be one of read, admin']],
  [{ name: '', role: 'read' }, ['/name is empty', '/name does not match ^[a-z]+$']],
  [{ name: 'annette', role: 'read' }, ['/name is longer than 5 characters']],
  [{ name: 'Ann', role: 'read' }, ['/name does not match ^[a-z]+$']],
  [{ name: 'ann', role: 'read', age: 1.5 }, ['/age must be a whole number']],
  [{ name: 'ann', role: 'read', age: -1 }, ['/age is less than 0']],
  [{ name: 'ann', role: 'read', age: 10 }, ['/age is more than 9']],
  [{ name: 'ann', role: 'read', roll: 1 }, ['/roll is not known here; there is name, role, age, labels, tags']],
  [
    { name: 'ann', role: 'read', labels: { 'a/b~': 1 } },
    ['/labels/a~1b~0 has a name that is longer than 3 characters', '/labels/a~1b~0 must be a text'],
  ],
  [{ name: 'ann', role: 'read', tags: ['a', 2] }, ['/tags/1 must be a text or null']],
  [{ name: 'ann', role: 'read', tags: [1, 2, 3] }, ['/tags has more than 2 items']],
  [{ name: 'ann', role: 'read', constructor: 1 }, ['/constructor is not known here; there is name, role, age, labels, tags']],
])('%j is told: %j', (value, wanted) => {
  expect(said(value, PERSON)).toEqual(wanted);
});

test('of several ways the one that fits best is told of', () => {
  const either: JsonSchema = {
    oneOf: [
      { type: 'object', required: ['file', 'text'], properties: { file: { type: 'string' }, text: { type: ['string', 'null'] } } },
      { type: 'object', required: ['section'], properties: { section: { type: 'string' } } },
    ],
  };
  expect(said({ file: 'a', text: null }, either)).toEqual([]);
  expect(said({ section: 'servers' }, either)).toEqual([]);
  expect(said({ file: 'a' }, either)).toEqual(['/text is missing']);
});

test('a body with a thousand mistakes is told of twenty', () => {
  expect(
    problemsOf(
      Array.from({ length: 1000 }, () => 1),
      { type: 'array', items: { type: 'string' } },
    ),
  ).toHaveLength(20);
});
