/** A line of a difference, with its numbers from 1; 0 = it is not there. */
export interface DiffLine {
  readonly kind: 'same' | 'added' | 'removed';
  readonly text: string;
  readonly before: number;
  readonly after: number;
}

/** Part of a unified difference. */
export interface DiffHunk {
  readonly file: string;
  readonly lines: readonly DiffLine[];
}

/** Work that a difference may take, cells; beyond it all lines count as replaced. */
const MAX_CELLS = 4_000_000;

/** Pairs of lines that two texts share, as indexes, ascending. */
export function sharedLines(before: readonly string[], after: readonly string[]): readonly (readonly [number, number])[] {
  const pairs: [number, number][] = [];
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) {
    pairs.push([start, start]);
    start++;
  }
  let endA = before.length;
  let endB = after.length;
  const tail: [number, number][] = [];
  while (endA > start && endB > start && before[endA - 1] === after[endB - 1]) tail.push([--endA, --endB]);
  pairs.push(...longest(before, after, start, endA, endB), ...tail.toReversed());
  return pairs;
}

/** Longest common subsequence of what lies between. */
function longest(before: readonly string[], after: readonly string[], start: number, endA: number, endB: number): [number, number][] {
  const [rows, columns] = [endA - start, endB - start];
  if (rows === 0 || columns === 0 || rows * columns > MAX_CELLS) return [];
  const width = columns + 1;
  const lengths = new Uint32Array((rows + 1) * width);
  for (let i = rows - 1; i >= 0; i--)
    for (let j = columns - 1; j >= 0; j--)
      lengths[i * width + j] =
        before[start + i] === after[start + j]
          ? lengths[(i + 1) * width + j + 1]! + 1
          : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
  const pairs: [number, number][] = [];
  for (let i = 0, j = 0; i < rows && j < columns;) {
    if (before[start + i] === after[start + j]) pairs.push([start + i++, start + j++]);
    else if (lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!) i++;
    else j++;
  }
  return pairs;
}

/** Every line of both texts, in order. */
export function lineDiff(before: string, after: string): readonly DiffLine[] {
  const [a, b] = [before.split('\n'), after.split('\n')];
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  for (const [x, y] of [...sharedLines(a, b), [a.length, b.length] as const]) {
    while (i < x) lines.push({ kind: 'removed', text: a[i]!, before: ++i, after: 0 });
    while (j < y) lines.push({ kind: 'added', text: b[j]!, before: 0, after: ++j });
    if (x < a.length) lines.push({ kind: 'same', text: a[x]!, before: ++i, after: ++j });
  }
  return lines;
}

/** Reads a unified difference, such as the gateway makes. */
export function unifiedDiff(text: string): readonly DiffHunk[] {
  const hunks: { file: string; lines: DiffLine[] }[] = [];
  let file = '';
  let [before, after] = [0, 0];
  let left = { before: 0, after: 0 };
  for (const line of text.split('\n')) {
    if (left.before > 0 || left.after > 0) {
      const mark = line[0] ?? ' ';
      if (mark === '\\') continue;
      const kind = mark === '+' ? 'added' : mark === '-' ? 'removed' : 'same';
      hunks.at(-1)!.lines.push({ kind, text: line.slice(1), before: kind === 'added' ? 0 : before++, after: kind === 'removed' ? 0 : after++ });
      left = { before: left.before - (kind === 'added' ? 0 : 1), after: left.after - (kind === 'removed' ? 0 : 1) };
      continue;
    }
    const [, from, fromCount, to, toCount] = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line) ?? [];
    if (from !== undefined) {
      [before, after] = [Number(from), Number(to)];
      left = { before: Number(fromCount ?? 1), after: Number(toCount ?? 1) };
      hunks.push({ file, lines: [] });
    } else if (/^(?:---|\+\+\+) /.test(line)) {
      const name = line.slice(4).replace(/\t.*$/, '');
      if (name !== '/dev/null') file = name.replace(/^[ab]\//, '');
    }
  }
  return hunks;
}
