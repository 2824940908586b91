import fc from 'fast-check';
import { parse, stringify } from 'smol-toml';
import { getStaticTOMLValue, parseTOML } from 'toml-eslint-parser';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Positions } from './position.ts';

test.each([
  ['a = 1', ['a'], 1, 1],
  ['\n  a = 1', ['a'], 2, 3],
  ['[s]\nb = 1', ['s', 'b'], 2, 1],
  ['[s]\nb = 1', ['s'], 1, 2],
  ['[ s . "t u" ]\nb = 1', ['s', 't u', 'b'], 2, 1],
  ['[s.t]\nb.c = 1', ['s', 't', 'b', 'c'], 2, 1],
  ['[s.t]\nb.c = 1', ['s', 't', 'b'], 2, 1],
  ['[s.t]', ['s'], 1, 2],
  ['a = { b = 1, c = { d = 2 } }', ['a', 'c', 'd'], 1, 20],
  ['a = [1, # ]\n "]", [2]]\nb = 1', ['b'], 3, 1],
  ['a = """\nb = 1\n""""\nb = 2', ['b'], 4, 1],
  ["a = '''x = \\'''\nb = 2", ['b'], 2, 1],
  ['a = "\\"b = 1" # c = 1\r\nc = 2\r\n', ['c'], 2, 1],
  ['"\\u00e4" = 1', ['ä'], 1, 1],
  ["'a.b' = 1", ['a.b'], 1, 1],
  ['[[x]]\ny = 1', ['x', 'y'], 2, 1],
  ['when = 2026-01-01 10:00:00Z\nb = 1', ['b'], 2, 1],
])('in %j the key %j stands in line %i, column %i', (text, path, line, column) => {
  expect(new Positions(text).of(path)).toEqual({ line, column });
});

test('what is not there has no position', () => {
  expect(new Positions('a = 1').of(['b'])).toBeNull();
  expect(new Positions('').of(['b'])).toBeNull();
});

/** The same by a parser made for it. */
function reference(text: string): Map<string, string> {
  const found = new Map<string, string>();
  const put = (path: readonly (string | number)[], start: { line: number; column: number }): void => {
    const key = path.filter((part) => typeof part === 'string').join('\0');
    if (!found.has(key)) found.set(key, `${start.line}:${start.column + 1}`);
  };
  for (const node of parseTOML(text).body[0].body) {
    const isTable = node.type === 'TOMLTable';
    const prefix = isTable ? node.resolvedKey : [];
    if (isTable) put(prefix, node.key.loc.start);
    for (const pair of isTable ? node.body : [node])
      put([...prefix, ...pair.key.keys.map((part) => String(getStaticTOMLValue(part)))], pair.key.loc.start);
  }
  return found;
}

function agrees(text: string): void {
  const positions = new Positions(text);
  for (const [key, place] of reference(text)) {
    const found = positions.of(key.split('\0'));
    expect(found === null ? null : `${found.line}:${found.column}`, JSON.stringify([key, text])).toBe(place);
  }
}

const folder = new URL('../../test/config/gateway/', import.meta.url);
test.each(['valid', 'invalid'])('a parser made for positions finds every key of the %s files in the same place', (kind) => {
  for (const name of readdirSync(new URL(`${kind}/`, folder))) {
    const text = readFileSync(new URL(`${kind}/${name}`, folder), 'utf8');
    try {
      parse(text);
    } catch {
      continue;
    }
    agrees(text);
  }
});

test('so it does in files made at random', () => {
  const word = fc.string({ minLength: 1, maxLength: 6 }).filter((key) => !(key in Object.prototype));
  const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string(), { maxLength: 3 }));
  const table = fc.dictionary(word, value, { maxKeys: 4 });
  fc.assert(
    fc.property(fc.dictionary(word, fc.oneof(value, table, fc.dictionary(word, table, { maxKeys: 3 })), { maxKeys: 5 }), (data) =>
      agrees(stringify(data)),
    ),
    { numRuns: 200 },
  );
});

test('it ends whatever the text is', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('[', ']', '{', '}', '=', '"', "'", '"""', '\n', '#', 'a', '.', ',', ' ', '\\'), { maxLength: 40 }),
      (parts) => {
        expect(new Positions(parts.join('')).of(['nothing'])).toBeNull();
      },
    ),
  );
});
