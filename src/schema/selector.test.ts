import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isFixed, parseSelector } from './selector.ts';
import { Wrong } from './wrong.ts';

test('a star is every agent', () => {
  expect(parseSelector(' * ')).toEqual({ text: '*', terms: [], announced: false });
});

test('terms name the token, the agent or a label, separated by spaces or commas', () => {
  expect(parseSelector('name=calm-otter, scope=gpu id=a1  gpu=a100,label.name=x').terms).toEqual([
    { of: 'name', label: '', value: ['calm-otter'] },
    { of: 'scope', label: '', value: ['gpu'] },
    { of: 'id', label: '', value: ['a1'] },
    { of: 'label', label: 'gpu', value: ['a100'] },
    { of: 'label', label: 'name', value: ['x'] },
  ]);
});

test('a value in quotes may have spaces and commas in it', () => {
  expect(parseSelector('gpu="NVIDIA A100, 80 GB" zone=eu').terms.map(({ value }) => value)).toEqual([['NVIDIA A100, 80 GB'], ['eu']]);
});

test('captures stand anywhere in a value, by number or name', () => {
  expect(parseSelector('route=$1').terms[0]!.value).toEqual(['', '1', '']);
  expect(parseSelector('route=team-${team}x/$2').terms[0]!.value).toEqual(['team-', 'team', 'x/', '2', '']);
});

test('only what depends on the request is not fixed', () => {
  expect(['*', 'name=a gpu=b', 'route=$1', '@announced', 'gpu=a @announced'].map((text) => isFixed(parseSelector(text)))).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
  expect(parseSelector('@announced gpu=a100')).toMatchObject({ announced: true, terms: [{ label: 'gpu' }] });
});

test.each([
  ['', /write \*/],
  [' , ', /write \*/],
  ['* gpu=a', /leave the \* out/],
  ['calm-otter', /name=calm-otter/],
  ['gpu=', /gpu=VALUE/],
  ['=a', /letter/],
  ['9x=a', /letter/],
  ['label.=a', /letter/],
  ['@all', /@announced/],
  ['gpu="a', /quotes/],
  ['route=$', /\$1/],
  ['route=a$-b', /\$1/],
  ['route=${1', /\$1/],
])('%j is refused with the fix', (text, fix) => {
  expect(() => parseSelector(text)).toThrow(expect.objectContaining({ fix: expect.stringMatching(fix) }) as Error);
});

test('whatever is written, it is read or refused as Wrong, and what was read reads the same again', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^([a-z]{1,3}=("[^"$]{1,4}"|[a-z$1{}]{1,5})[ ,]){1,4}$/)), (text) => {
      try {
        const read = parseSelector(text);
        expect(parseSelector(read.text)).toEqual(read);
      } catch (error) {
        if (!(error instanceof Wrong)) throw error;
      }
    }),
  );
});
