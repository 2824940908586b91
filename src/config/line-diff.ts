/** Lines around a change that are shown. */
const CONTEXT = 3;
/** Changed lines up to which the shortest way is looked for; beyond, what lies between the first and the last change is one change. */
const LINES_MAX = 1_200;

/** What became of a text, as `diff -u` shows it; '' when nothing did. Null stands for a file that is not there. */
export function unifiedDiff(name: string, before: string | null, after: string | null): string {
  if (before === after) return '';
  const [a, b] = [linesOf(before), linesOf(after)];
  const hunks = hunksOf(changesOf(a, b), a.length);
  const head = `--- ${before === null ? '/dev/null' : `a/${name}`}\n+++ ${after === null ? '/dev/null' : `b/${name}`}\n`;
  return head + hunks.map((changes) => hunkText(changes, a, b)).join('');
}

function linesOf(text: string | null): readonly string[] {
  if (text === null || text === '') return [];
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  else lines[lines.length - 1] += `\n\\ No newline at end of file`;
  return lines;
}

/** Lines of the one from `a` to `aTo` became those of the other from `b` to `bTo`. */
interface Change {
  readonly a: number;
  readonly aTo: number;
  readonly b: number;
  readonly bTo: number;
}

function changesOf(a: readonly string[], b: readonly string[]): readonly Change[] {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  const [aTo, bTo] = [a.length - tail, b.length - tail];
  if (aTo === head && bTo === head) return [];
  if (aTo - head > LINES_MAX || bTo - head > LINES_MAX) return [{ a: head, aTo, b: head, bTo }];
  return between(a, b, head, aTo, bTo);
}

/** By the longest common subsequence of what lies between. */
function between(a: readonly string[], b: readonly string[], from: number, aTo: number, bTo: number): readonly Change[] {
  const [n, m] = [aTo - from, bTo - from];
  const width = m + 1;
  const lengths = new Uint16Array((n + 1) * width);
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      lengths[i * width + j] =
        a[from + i] === b[from + j] ? lengths[(i + 1) * width + j + 1]! + 1 : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
    }
  }
  const changes: Change[] = [];
  let [i, j] = [0, 0];
  while (i < n || j < m) {
    if (i < n && j < m && a[from + i] === b[from + j]) {
      i++;
      j++;
      continue;
    }
    const [i0, j0] = [i, j];
    while ((i < n || j < m) && !(i < n && j < m && a[from + i] === b[from + j])) {
      if (j >= m || (i < n && lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!)) i++;
      else j++;
    }
    changes.push({ a: from + i0, aTo: from + i, b: from + j0, bTo: from + j });
  }
  return changes;
}

/** Changes whose surroundings touch are shown together. */
function hunksOf(changes: readonly Change[], lines: number): readonly (readonly Change[])[] {
  const hunks: Change[][] = [];
  for (const change of changes) {
    const last = hunks.at(-1)?.at(-1);
    if (last !== undefined && change.a - last.aTo <= 2 * CONTEXT && lines > 0) hunks.at(-1)!.push(change);
    else hunks.push([change]);
  }
  return hunks;
}

function hunkText(changes: readonly Change[], a: readonly string[], b: readonly string[]): string {
  const [first, last] = [changes[0]!, changes.at(-1)!];
  const from = Math.max(0, first.a - CONTEXT);
  const to = Math.min(a.length, last.aTo + CONTEXT);
  const bFrom = first.b - (first.a - from);
  const bTo = last.bTo + (to - last.aTo);
  let text = `@@ -${rangeText(from, to)} +${rangeText(bFrom, bTo)} @@\n`;
  let at = from;
  for (const change of changes) {
    for (; at < change.a; at++) text += ` ${a[at]}\n`;
    for (; at < change.aTo; at++) text += `-${a[at]}\n`;
    for (let j = change.b; j < change.bTo; j++) text += `+${b[j]}\n`;
  }
  for (; at < to; at++) text += ` ${a[at]}\n`;
  return text;
}

function rangeText(from: number, to: number): string {
  const count = to - from;
  return `${count === 0 ? from : from + 1}${count === 1 ? '' : `,${count}`}`;
}
