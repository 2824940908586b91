import { expect, test } from 'vitest';
import { renameToml } from './rename.ts';

test.each([
  ['[a.b]\nx = 1\n[a.b.c]\n[a.bb]\n', '[a.d]\nx = 1\n[a.d.c]\n[a.bb]\n'],
  ['[a]\nb.x = 1 # b\nb . y = 2\n', '[a]\nd.x = 1 # b\nd . y = 2\n'],
  ['a.b.x = "a.b"\n', 'a.d.x = "a.b"\n'],
  ['a = { b = { x = 1 }, b2 = 2 }\n', 'a = { d = { x = 1 }, b2 = 2 }\n'],
  ["[a.'b']\nb = 1\n[b.a]\n", '[a.d]\nb = 1\n[b.a]\n'],
])('%j: only the name itself changes, wherever it is written', (text, expected) => {
  expect(renameToml(text, ['a', 'b'], 'd')).toBe(expected);
});

test('names with spaces get quotes', () => {
  expect(renameToml('[a.b]\n', ['a', 'b'], 'c d')).toBe('[a."c d"]\n');
});
