import { keyText } from './format.ts';
import { spansOf } from './spans.ts';
import type { KeyPart } from './cursor.ts';
import type { PairSpan } from './spans.ts';

/** The text with another name for the table or key at this path, wherever it is written. The text is known to be valid. */
export function renameToml(text: string, path: readonly string[], to: string): string {
  const found: KeyPart[] = [];
  const look = (above: readonly string[], key: readonly KeyPart[]): readonly string[] => {
    const whole = [...above, ...key.map(({ name }) => name)];
    const part = key[path.length - 1 - above.length];
    if (part !== undefined && above.length < path.length && path.every((name, i) => whole[i] === name)) found.push(part);
    return whole;
  };
  const lookIn = (above: readonly string[], { key, value }: PairSpan): void => {
    const here = look(above, key);
    if (here.length < path.length) for (const pair of value.pairs) lookIn(here, pair);
  };
  for (const { header, pairs } of spansOf(text)) {
    const here = header === null ? [] : look([], header.path);
    if (here.length < path.length) for (const pair of pairs) lookIn(here, pair);
  }
  let out = text;
  for (const { from, to: end } of found.toSorted((a, b) => b.from - a.from)) out = out.slice(0, from) + keyText(to) + out.slice(end);
  return out;
}
