import { configLimits } from '../limits.ts';
import { type KeyPart, TomlCursor } from './cursor.ts';

/** A stretch of a text. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A value: what stands in it is told of lists and inline tables. */
export interface ValueSpan extends Span {
  readonly of: 'plain' | 'list' | 'table';
  readonly items: readonly ValueSpan[];
  readonly pairs: readonly PairSpan[];
}

/** `key = value` */
export interface PairSpan extends Span {
  readonly key: readonly KeyPart[];
  readonly value: ValueSpan;
}

/** A header and the pairs under it; the first block of a text has none. */
export interface BlockSpan {
  readonly header: HeaderSpan | null;
  readonly pairs: readonly PairSpan[];
}

/** `[a.b]` or `[[a.b]]` */
export interface HeaderSpan extends Span {
  readonly path: readonly KeyPart[];
  readonly isArray: boolean;
}

/** Where everything of a valid TOML text stands. */
export function spansOf(text: string): readonly BlockSpan[] {
  const cursor = new TomlCursor(text);
  let pairs: PairSpan[] = [];
  const blocks: BlockSpan[] = [{ header: null, pairs }];
  while (cursor.skipBlank(true)) {
    const from = cursor.at;
    if (cursor.char === '[') {
      const header = headerAt(cursor);
      pairs = [];
      blocks.push({ header, pairs });
    } else pairs.push(pairAt(cursor, 0));
    if (cursor.at <= from) cursor.at = from + 1;
  }
  return blocks;
}

function headerAt(cursor: TomlCursor): HeaderSpan {
  const from = cursor.at;
  const isArray = cursor.text[from + 1] === '[';
  cursor.at += isArray ? 2 : 1;
  cursor.skipBlank(false);
  const path = cursor.key();
  cursor.skipBlank(false);
  cursor.at += isArray ? 2 : 1;
  return { path, isArray, from, to: cursor.at };
}

function pairAt(cursor: TomlCursor, depth: number): PairSpan {
  const from = cursor.at;
  const key = cursor.key();
  cursor.skipBlank(false);
  // The equals sign.
  cursor.at++;
  const value = valueAt(cursor, depth);
  return { key, value, from, to: value.to };
}

function valueAt(cursor: TomlCursor, depth: number): ValueSpan {
  cursor.skipBlank(false);
  const from = cursor.at;
  const { char } = cursor;
  if (char === '"' || char === "'") {
    cursor.string();
    return { of: 'plain', from, to: cursor.at, items: [], pairs: [] };
  }
  // What is deeper was refused when it was parsed.
  if ((char === '[' || char === '{') && depth <= configLimits.depth) {
    const items: ValueSpan[] = [];
    const pairs: PairSpan[] = [];
    if (char === '[') cursor.items(']', () => void items.push(valueAt(cursor, depth + 1)));
    else cursor.items('}', () => void pairs.push(pairAt(cursor, depth + 1)));
    return { of: char === '[' ? 'list' : 'table', from, to: cursor.at, items, pairs };
  }
  cursor.plain();
  const to = from + cursor.text.slice(from, cursor.at).trimEnd().length;
  return { of: 'plain', from, to, items: [], pairs: [] };
}
