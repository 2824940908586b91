import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unifiedDiff } from './line-diff.ts';

test('shows what has changed with three lines around it', () => {
  expect(unifiedDiff('x.toml', '1\n2\n3\n4\n5\n6\n', '1\n2\n3\n4\nfive\n6\n')).toBe(
    '--- a/x.toml\n+++ b/x.toml\n@@ -2,5 +2,5 @@\n 2\n 3\n 4\n-5\n+five\n 6\n',
  );
  expect(unifiedDiff('x', null, 'a\n')).toBe('--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n');
  expect(unifiedDiff('x', 'a\n', 'a\n')).toBe('');
});

/** What `patch` does, strictly. */
function patched(before: string, diff: string): string {
  const lines = before.split('\n');
  const out: string[] = [];
  let at = 0;
  for (const line of diff.trimEnd().split('\n').slice(2)) {
    const hunk = /^@@ -(\d+)(,0)?/.exec(line);
    if (hunk !== null) {
      const from = Number(hunk[1]) - (hunk[2] === undefined ? 1 : 0);
      out.push(...lines.slice(at, from));
      at = from;
    } else if (line.startsWith('+')) out.push(line.slice(1));
    else {
      expect(line.slice(1)).toBe(lines[at++]);
      if (line.startsWith(' ')) out.push(line.slice(1));
    }
  }
  return [...out, ...lines.slice(at)].join('\n');
}

test('whoever applies it has the other text', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 40 }).map((lines) => lines.map((line) => `${line}\n`).join(''));
  fc.assert(
    fc.property(text, text, (before, after) => {
      fc.pre(before !== after);
      expect(patched(before, unifiedDiff('x', before, after))).toBe(after);
    }),
    { numRuns: 500 },
  );
});
