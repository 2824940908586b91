import type { Span } from './spans.ts';

/** What is to stand in braces or brackets: something that stood there, with another text or its own, or something new. */
export type Planned = { readonly keep: number; readonly text: string } | { readonly add: string };

/** Writes what stands between commas anew: spaces, line breaks and comments stay with what they belong to. `whole`: from bracket to bracket. */
export function resequence(text: string, whole: Span, elements: readonly Span[], plan: readonly Planned[], isTable: boolean): string {
  const segments = segmentsOf(text, whole, elements);
  const inner = text.slice(whole.from + 1, whole.to - 1);
  const isLong = /\n/.test(elements.length === 0 ? inner : segments.map(({ lead }) => lead).join(''));
  const tail = text.slice(segments.at(-1)?.to ?? whole.from + 1, whole.to - 1);
  const hasLastComma = segments.at(-1)?.comma === true;
  const indent = isLong ? (/(\r?\n[ \t]*)[^\n]*$/.exec(segments[0]?.lead ?? '')?.[1] ?? '\n') : '';
  const firstLead = segments[0]?.lead ?? (isTable ? ' ' : '');
  const kept = new Set(plan.flatMap((one) => ('keep' in one ? [one.keep] : [])));
  let out = '';
  /** Adds what begins behind a comment in a line of its own. */
  const add = (more: string): void => {
    out += /#[^\n]*$/.test(out) && /^[ \t]*[^\s]/.test(more) ? `${indent === '' ? '\n' : indent}${more.trimStart()}` : more;
  };
  for (const [i, one] of plan.entries()) {
    const segment = 'keep' in one ? segments[one.keep]! : null;
    let lead = segment?.lead ?? indent;
    if (!isLong) lead = i === 0 ? firstLead : 'keep' in one && one.keep > 0 ? lead : ' ';
    // Comments that stand apart from what goes are kept with what follows them.
    if ('keep' in one) lead = orphans(segments, one.keep, kept) + lead;
    const comma = i < plan.length - 1 || hasLastComma ? ',' : '';
    add(`${lead}${'keep' in one ? one.text : one.add}${comma}`);
    out += segment?.after ?? '';
  }
  add(lastOrphans(segments, kept) + (isTable && elements.length === 0 && tail === '' ? ' ' : tail) + text[whole.to - 1]!);
  return text[whole.from]! + out;
}

interface Segment {
  readonly lead: string;
  /** Behind the element without its comma: a comment in its line. */
  readonly after: string;
  readonly comma: boolean;
  readonly to: number;
}

function segmentsOf(text: string, whole: Span, elements: readonly Span[]): readonly Segment[] {
  const segments: Segment[] = [];
  let from = whole.from + 1;
  for (const [i, { from: begin, to: end }] of elements.entries()) {
    const stop = elements[i + 1]?.from ?? whole.to - 1;
    const between = text.slice(end, stop);
    const commaAt = commaIn(between);
    let to = commaAt < 0 ? 0 : commaAt + 1;
    // A comment in the same line belongs to what stands before it; where there is no line break, what follows begins at once.
    to += /^[ \t]*#[^\r\n]*/.exec(between.slice(to))?.[0].length ?? 0;
    const after = between.slice(0, to);
    segments.push({
      lead: text.slice(from, begin),
      after: commaAt < 0 ? after : after.slice(0, commaAt) + after.slice(commaAt + 1),
      comma: commaAt >= 0,
      to: end + to,
    });
    from = end + to;
  }
  return segments;
}

/** Where the comma is, comments passed over; -1 = there is none. */
function commaIn(between: string): number {
  for (let i = 0; i < between.length; i++) {
    if (between[i] === ',') return i;
    if (between[i] !== '#') continue;
    const end = between.indexOf('\n', i);
    if (end < 0) return -1;
    i = end;
  }
  return -1;
}

/** Comments with an empty line below them, of elements in front of this one that go. */
function orphans(segments: readonly Segment[], index: number, kept: ReadonlySet<number>): string {
  let text = '';
  for (let i = index - 1; i >= 0 && !kept.has(i); i--) text = apart(segments[i]!.lead) + text;
  return text;
}

function lastOrphans(segments: readonly Segment[], kept: ReadonlySet<number>): string {
  let text = '';
  for (let i = segments.length - 1; i >= 0 && !kept.has(i); i--) text = apart(segments[i]!.lead) + text;
  return text;
}

function apart(lead: string): string {
  const end = /^[^]*\n[ \t]*\r?(?=\n)/.exec(lead)?.[0] ?? '';
  return end.includes('#') ? end : '';
}
