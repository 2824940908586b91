import { expect, test } from 'vitest';
import { assignments } from './assignments.ts';
import { Wrong } from './wrong.ts';

const kind = assignments('NAME=VALUE', 'what stands for what');

test('pairs are read from texts, lists and tables', () => {
  const wanted = new Map([
    ['llama3.1:8b', 'gpu'],
    ['meta/Llama 3', 'cloud'],
  ]);
  expect(kind.parse(['llama3.1:8b=gpu, meta/Llama 3 = cloud'])).toEqual(wanted);
  expect(kind.fromToml(['llama3.1:8b=gpu', 'meta/Llama 3=cloud'], '')).toEqual(wanted);
  expect(kind.fromToml({ 'llama3.1:8b': 'gpu', 'meta/Llama 3': 'cloud' }, '')).toEqual(wanted);
  expect(kind.fromToml('a=b=c', '')).toEqual(new Map([['a', 'b=c']]));
  expect(kind.parse([kind.format(wanted)])).toEqual(wanted);
});

test.each([['a'], ['=b'], ['a='], ['a\u0001=b'], [`${'x'.repeat(201)}=b`], [{ a: '' }], [{ a: 1 }], [{ '': 'b' }], [7]])('%j is refused', (given) => {
  expect(() => kind.fromToml(given, '')).toThrow(Wrong);
});
