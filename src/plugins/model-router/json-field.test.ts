import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Found, jsonField } from './json-field.ts';

function find(text: string, whole = true): Found {
  return jsonField(Buffer.from(text), 'model', whole);
}

test.each([
  ['{"model":"llama"}', 'llama'],
  [' \n\t\r{ "model" : "llama" } \n', 'llama'],
  ['{"a":[1,{"model":"no"}],"b":{"model":"no"},"model":"yes"}', 'yes'],
  ['{"a":"}\\"]{","model":"x"}', 'x'],
  ['{"mod\\u0065l":"a\\n\\u00e9\\ud83d\\ude00/b"}', 'a\né😀/b'],
  ['{"model":"größe"}', 'größe'],
  ['{"a":-1.5e+10,"b":true,"c":null,"d":[],"e":{},"f":0,"model":""}', ''],
])('%s names %j', (text, value) => {
  expect(find(text)).toEqual({ is: 'found', value });
});

test.each([
  ['{}', 'missing'],
  ['{"models":"x","mode":"y"}', 'missing'],
  ['{"a":{"model":"x"}}', 'missing'],
  ['{"model":"a","model":"b"}', 'ambiguous'],
  ['{"model":"a","mod\\u0065l":"b"}', 'ambiguous'],
  ['{"model":"a","Model":"b"}', 'ambiguous'],
  ['{"MODEL":"b"}', 'ambiguous'],
  ['{"model":1}', 'ambiguous'],
  ['{"model":null}', 'ambiguous'],
  ['{"model":["a"]}', 'ambiguous'],
  ['', 'broken'],
  ['"model"', 'broken'],
  ['[{"model":"a"}]', 'broken'],
  ['{"model":"a"', 'broken'],
  ['{"model":"a"}}', 'broken'],
  ['{"model":"a"}{"model":"b"}', 'broken'],
  ['{"model":"a",}', 'broken'],
  ['{,"model":"a"}', 'broken'],
  ['{"a" "b","model":"a"}', 'broken'],
  ['{"a":1 "model":"a"}', 'broken'],
  ["{'model':'a'}", 'broken'],
  ['{model:"a"}', 'broken'],
  ['{"a":01,"model":"a"}', 'broken'],
  ['{"a":tru,"model":"a"}', 'broken'],
  ['{"a":NaN,"model":"a"}', 'broken'],
  ['{"a":[1},"model":"a"}', 'broken'],
  ['{"a":"\n","model":"a"}', 'broken'],
  ['{"model":"\\x"}', 'broken'],
  ['\ufeff{"model":"a"}', 'broken'],
  [`{"a":${'['.repeat(65)}${']'.repeat(65)},"model":"a"}`, 'broken'],
  [`{"a":${'1'.repeat(2000)},"model":"a"}`, 'broken'],
])('%s is %s', (text, is) => {
  expect(find(text).is).toBe(is);
});

test('of a beginning it says what is known so far', () => {
  const text = '{"messages":[{"role":"user"}],"n":12,"model":"llama","stream":true}';
  const end = text.indexOf('"llama"') + '"llama"'.length;
  for (let cut = 0; cut < text.length; cut++)
    expect([cut, find(text.slice(0, cut), false)]).toEqual([cut, cut < end ? { is: 'beyond' } : { is: 'found', value: 'llama' }]);
  // A second one behind it is seen as far as there are bytes.
  expect(find('{"model":"a","model', false).is).toBe('found');
  expect(find('{"model":"a","model"', false).is).toBe('ambiguous');
});

test('whatever a JSON object is, what is found in it is what JSON.parse finds', () => {
  const value = fc.jsonValue({ maxDepth: 4 });
  fc.assert(
    fc.property(
      fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('model', 'a')), value),
      fc.option(fc.string()),
      fc.nat(3),
      (object, model, indent) => {
        const all: Record<string, unknown> = Object.fromEntries(Object.entries(object).filter(([key]) => key.toLowerCase() !== 'model'));
        if (model !== null) all['model'] = model;
        const text = JSON.stringify(all, null, indent);
        expect(find(text)).toEqual(model === null ? { is: 'missing' } : { is: 'found', value: (JSON.parse(text) as { model: string }).model });
      },
    ),
  );
});

test('whatever the bytes are, it comes to an end, and finds nothing in what JSON.parse would find something else in', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    ':',
    ',',
    '"model"',
    '"a"',
    '1',
    '-',
    'true',
    'null',
    ' ',
    '\n',
    'e',
    '.',
    '\u0000',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.boolean(), (pieces, whole) => {
      const text = pieces.join('');
      const found = find(text, whole);
      if (found.is !== 'found' || !whole) return;
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        // The upstream refuses it, too.
        return;
      }
      expect((parsed as { model: string }).model).toBe(found.value);
    }),
    { numRuns: 2_000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, whole) => void jsonField(bytes, 'model', whole)));
});
