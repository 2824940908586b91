import { deepEqual } from './deep-equal.ts';
import { sharedLines } from './line-diff.ts';
import type { Values } from './values.ts';

/** What two people have done to one key. */
export interface MergedKey {
  readonly key: string;
  readonly base: unknown;
  readonly mine: unknown;
  readonly theirs: unknown;
  /** `conflict`: both have changed it, to different things. */
  readonly from: 'mine' | 'theirs' | 'both' | 'conflict';
}

/** The keys of an item that anybody has changed since `base`. */
export function mergedKeys(base: Values, mine: Values, theirs: Values): readonly MergedKey[] {
  const keys = new Set([...Object.keys(base), ...Object.keys(theirs), ...Object.keys(mine)]);
  return [...keys].flatMap((key): MergedKey[] => {
    const [b, m, t] = [base[key], mine[key], theirs[key]];
    const [isMine, isTheirs] = [!deepEqual(b, m), !deepEqual(b, t)];
    if (!isMine && !isTheirs) return [];
    const from = !isTheirs ? 'mine' : !isMine ? 'theirs' : deepEqual(m, t) ? 'both' : 'conflict';
    return [{ key, base: b, mine: m, theirs: t, from }];
  });
}

/** The item with the changes of both; where they conflict, `choice` says whose counts (mine, where it is silent). */
export function mergedValues(base: Values, mine: Values, theirs: Values, choice: ReadonlyMap<string, 'mine' | 'theirs'>): Values {
  const merged: Record<string, unknown> = { ...theirs };
  for (const { key, from } of mergedKeys(base, mine, theirs)) {
    const isTheirs = from === 'theirs' || (from === 'conflict' && choice.get(key) === 'theirs');
    if (isTheirs) continue;
    if (mine[key] === undefined) delete merged[key];
    else merged[key] = mine[key];
  }
  return merged;
}

/** A stretch of a merged text. */
export type MergedPart =
  | { readonly from: 'base' | 'mine' | 'theirs' | 'both'; readonly lines: readonly string[] }
  | { readonly from: 'conflict'; readonly base: readonly string[]; readonly mine: readonly string[]; readonly theirs: readonly string[] };

/** Merges two texts that began as `base`, line by line. */
export function mergedText(base: string, mine: string, theirs: string): readonly MergedPart[] {
  const [b, m, t] = [base.split('\n'), mine.split('\n'), theirs.split('\n')];
  const inMine = new Map(sharedLines(b, m));
  const inTheirs = new Map(sharedLines(b, t));
  const parts: MergedPart[] = [];
  let [i, j, k] = [0, 0, 0];
  while (i < b.length || j < m.length || k < t.length) {
    let same = 0;
    while (i + same < b.length && inMine.get(i + same) === j + same && inTheirs.get(i + same) === k + same) same++;
    if (same > 0) {
      parts.push({ from: 'base', lines: b.slice(i, i + same) });
      [i, j, k] = [i + same, j + same, k + same];
      continue;
    }
    // The next line that all three have ends the stretch that somebody has changed.
    let next = i;
    while (next < b.length && !((inMine.get(next) ?? -1) >= j && (inTheirs.get(next) ?? -1) >= k)) next++;
    const [endM, endT] = next < b.length ? [inMine.get(next)!, inTheirs.get(next)!] : [m.length, t.length];
    parts.push(...stretch(b.slice(i, next), m.slice(j, endM), t.slice(k, endT)));
    [i, j, k] = [next, endM, endT];
  }
  return parts;
}

function stretch(base: readonly string[], mine: readonly string[], theirs: readonly string[]): MergedPart[] {
  if (deepEqual(mine, theirs)) return mine.length === 0 ? [] : [{ from: 'both', lines: mine }];
  if (deepEqual(base, theirs)) return mine.length === 0 ? [] : [{ from: 'mine', lines: mine }];
  if (deepEqual(base, mine)) return theirs.length === 0 ? [] : [{ from: 'theirs', lines: theirs }];
  return [{ from: 'conflict', base, mine, theirs }];
}

/** The text that the parts amount to; `choice` has, by the number of a part, whose lines count in a conflict (both, mine first, where it is silent). */
export function textOfParts(parts: readonly MergedPart[], choice: ReadonlyMap<number, 'mine' | 'theirs' | 'both'>): string {
  return parts
    .flatMap((part, i) => {
      if (part.from !== 'conflict') return part.lines;
      const chosen = choice.get(i) ?? 'both';
      return chosen === 'both' ? [...part.mine, ...part.theirs] : part[chosen];
    })
    .join('\n');
}
