import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lineDiff, unifiedDiff } from './line-diff.ts';
import { mergedKeys, mergedText, mergedValues, textOfParts } from './merge.ts';

test('of an item that two people have changed nothing is lost', () => {
  const base = { addr: 'a', max: 1, gone: true, same: 'x' };
  const mine = { addr: 'b', max: 1, same: 'x', new: 1 };
  const theirs = { addr: 'c', max: 2, gone: true, same: 'x' };
  expect(mergedKeys(base, mine, theirs).map(({ key, from }) => [key, from])).toEqual([
    ['addr', 'conflict'],
    ['max', 'theirs'],
    ['gone', 'mine'],
    ['new', 'mine'],
  ]);
  expect(mergedValues(base, mine, theirs, new Map())).toEqual({ addr: 'b', max: 2, same: 'x', new: 1 });
  expect(mergedValues(base, mine, theirs, new Map([['addr', 'theirs' as const]]))).toEqual({ addr: 'c', max: 2, same: 'x', new: 1 });
});

test('what both have done alike is no conflict', () => {
  expect(mergedKeys({ a: 1 }, { a: [2] }, { a: [2] }).map(({ from }) => from)).toEqual(['both']);
});

test('two texts are merged line by line', () => {
  const base = 'one\ntwo\nthree\nfour\nfive';
  const parts = mergedText(base, 'ONE\ntwo\nthree\nfour\nfive', 'one\ntwo\nthree\nfour\nfive\nsix');
  expect(parts.filter(({ from }) => from === 'conflict')).toEqual([]);
  expect(textOfParts(parts, new Map())).toBe('ONE\ntwo\nthree\nfour\nfive\nsix');
});

test('where both have changed the same lines, one chooses', () => {
  const parts = mergedText('a\nb\nc', 'a\nMINE\nc', 'a\nTHEIRS\nc');
  const at = parts.findIndex(({ from }) => from === 'conflict');
  expect(parts[at]).toEqual({ from: 'conflict', base: ['b'], mine: ['MINE'], theirs: ['THEIRS'] });
  expect(textOfParts(parts, new Map())).toBe('a\nMINE\nTHEIRS\nc');
  expect(textOfParts(parts, new Map([[at, 'theirs' as const]]))).toBe('a\nTHEIRS\nc');
  expect(textOfParts(parts, new Map([[at, 'mine' as const]]))).toBe('a\nMINE\nc');
});

const text = fc.array(fc.constantFrom('a', 'b', 'c', '', '[x]'), { maxLength: 12 }).map((lines) => lines.join('\n'));

test('a merge with somebody who has changed nothing is what the other one wrote, whatever the texts', () => {
  fc.assert(
    fc.property(text, text, (base, other) => {
      expect(textOfParts(mergedText(base, other, base), new Map())).toBe(other);
      expect(textOfParts(mergedText(base, base, other), new Map())).toBe(other);
      expect(textOfParts(mergedText(base, other, other), new Map())).toBe(other);
    }),
  );
});

test('a merge in which one side is chosen everywhere has every line of that side', () => {
  fc.assert(
    fc.property(text, text, text, (base, mine, theirs) => {
      const parts = mergedText(base, mine, theirs);
      const all = new Map(parts.map((_, i) => [i, 'mine' as const]));
      const merged = textOfParts(parts, all).split('\n');
      const added = lineDiff(base, mine).filter(({ kind }) => kind === 'added');
      for (const line of added) expect(merged).toContain(line.text);
    }),
  );
});

test('a difference has every line of both texts', () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const lines = lineDiff(before, after);
      expect(
        lines
          .filter(({ kind }) => kind !== 'added')
          .map((line) => line.text)
          .join('\n'),
      ).toBe(before);
      expect(
        lines
          .filter(({ kind }) => kind !== 'removed')
          .map((line) => line.text)
          .join('\n'),
      ).toBe(after);
    }),
  );
});

test('a unified difference is read by its counts, so that lines that look like its own words are lines', () => {
  const [hunk, second] = unifiedDiff('--- a/one.toml\n+++ b/one.toml\n@@ -1,2 +1,3 @@\n same\n--- odd\n+++ odd\n+new\n@@ -9 +10 @@\n-x\n+y\n');
  expect(hunk).toEqual({
    file: 'one.toml',
    lines: [
      { kind: 'same', text: 'same', before: 1, after: 1 },
      { kind: 'removed', text: '-- odd', before: 2, after: 0 },
      { kind: 'added', text: '++ odd', before: 0, after: 2 },
      { kind: 'added', text: 'new', before: 0, after: 3 },
    ],
  });
  expect(second!.lines.map(({ text: of }) => of)).toEqual(['x', 'y']);
});
