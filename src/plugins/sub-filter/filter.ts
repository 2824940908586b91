import { Buffer } from 'node:buffer';
import { compilePattern, type Pattern } from '../../schema/pattern.ts';
import { Wrong } from '../../schema/wrong.ts';
import { TEXT_CHARS } from './limits.ts';

/**
 * One replacement, as it is written: `sub_filter 'text' 'other' [flags]` for text, `subs_filter 'pattern' 'other' [flags]` for patterns (nginx's and
 * Pingap's). Flags: g = all and not only the first, i = upper and lower case are the same. Text is held as bodies are: one character per byte.
 */
export type Filter = TextFilter | PatternFilter;

export interface TextFilter {
  readonly kind: 'text';
  /** Lower case when case does not matter. */
  readonly text: string;
  readonly other: string;
  readonly all: boolean;
  readonly ignoreCase: boolean;
}

export interface PatternFilter {
  readonly kind: 'pattern';
  readonly pattern: Pattern;
  /** Text, and numbers of groups. */
  readonly parts: readonly (string | number)[];
  readonly all: boolean;
}

/** @throws Wrong */
export function readFilter(line: string): Filter {
  const [word, text, other, flags = '', ...more] = wordsOf(line);
  if ((word !== 'sub_filter' && word !== 'subs_filter') || text === undefined || other === undefined || more.length > 0)
    throw new Wrong('is no filter', "write sub_filter 'text' 'other' g, or subs_filter 'pattern' 'other' g");
  if (text === '') throw new Wrong('looks for nothing', 'write what is to be replaced');
  if (text.length > TEXT_CHARS || other.length > TEXT_CHARS) throw new Wrong('is too long', `use at most ${TEXT_CHARS} characters`);
  const unknown = /[^gi]/.exec(flags);
  if (unknown !== null) throw new Wrong(`has a flag ${unknown[0]} that is not known`, 'flags are g (all) and i (in any case)');
  const [all, ignoreCase] = [flags.includes('g'), flags.includes('i')];
  if (word === 'sub_filter')
    return { kind: 'text', text: ignoreCase ? lowerAscii(bytesOf(text)) : bytesOf(text), other: bytesOf(other), all, ignoreCase };
  const pattern = compilePattern(bytePattern(text), ignoreCase);
  if (pattern.test('')) throw new Wrong('matches nothing at all, everywhere', 'write a pattern that needs at least one character');
  return { kind: 'pattern', pattern, parts: partsOf(other, pattern), all };
}

/** A pattern for bytes: what is several bytes long becomes a group, so that what is said of it is said of all of them. */
function bytePattern(text: string): string {
  let pattern = '';
  let isInClass = false;
  let at = 0;
  for (const c of text) {
    at++;
    const isEscaped = pattern.endsWith('\\') && !pattern.endsWith('\\\\');
    if (c > '\x7f') {
      if (isInClass) throw new Wrong(`has ${c} in a class at character ${at}, and bodies are bytes`, `write (?:${c}|…) in the place of the brackets`);
      pattern += `(?:${bytesOf(c)})`;
      continue;
    }
    if (!isEscaped && c === '[') isInClass = true;
    else if (!isEscaped && c === ']') isInClass = false;
    pattern += c;
  }
  return pattern;
}

/** Words as a shell's: apart by blanks, in quotes where they have some; a backslash takes the next quote or backslash as it is. */
function wordsOf(line: string): string[] {
  const words: string[] = [];
  const word = /\s*(?:'((?:[^'\\]|\\[^])*)'|"((?:[^"\\]|\\[^])*)"|([^\s'"]+))(?=\s|$)/y;
  const text = line.trim();
  while (word.lastIndex < text.length) {
    const found = word.exec(text);
    if (found === null) throw new Wrong('has a quote that does not end, or ends in a word', 'put each text in quotes of its own');
    const [, single, double, bare] = found;
    words.push(single === undefined ? (double === undefined ? bare! : double.replaceAll(/\\(["\\])/g, '$1')) : single.replaceAll(/\\(['\\])/g, '$1'));
  }
  return words;
}

/** `$1`, `${1}`, `${name}`; `$$` is a dollar sign. */
function partsOf(other: string, { names, groupCount }: Pattern): (string | number)[] {
  const parts: (string | number)[] = [];
  let at = 0;
  for (const found of other.matchAll(/\$(?:\$|(\d{1,2})|\{(\w{1,64})\})/g)) {
    const [whole, digits, name] = found;
    if (found.index > at) parts.push(bytesOf(other.slice(at, found.index)));
    at = found.index + whole.length;
    if (whole === '$$') {
      parts.push('$');
      continue;
    }
    const key = digits ?? name!;
    const group = /^\d+$/.test(key) ? Number(key) : names.get(key);
    if (group === undefined || group > groupCount)
      throw new Wrong(`has no group ${key}`, `it has groups 0 to ${groupCount}; write $$ for a dollar sign`);
    parts.push(group);
  }
  if (at < other.length) parts.push(bytesOf(other.slice(at)));
  return parts;
}

/** Bodies are UTF-8 as a rule. */
function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Only ASCII: a byte of something else is no letter. */
export function lowerAscii(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
