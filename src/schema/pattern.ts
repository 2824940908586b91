import { RE2JS, RE2JSSyntaxException } from 're2js';
import { nativePattern } from './native-pattern.ts';
import { Wrong } from './wrong.ts';

/** What a search found. */
export interface Found {
  readonly start: number;
  readonly end: number;
  /** Groups from 0 (the whole); '' for those that took no part. */
  readonly groups: readonly string[];
}

/** A regular expression of a user. Its time grows with the length of the text only, whatever pattern and text are (threat row 58). */
export interface Pattern {
  readonly source: string;
  /** Named groups, with their numbers. */
  readonly names: ReadonlyMap<string, number>;
  /** Groups without the whole. */
  readonly groupCount: number;
  /** Is there a match anywhere in the text? */
  test(text: string): boolean;
  /** Characters of the longest text that find() may be asked about. Whoever has a longer one must do without its groups. */
  readonly findMax: number;
  /** The first match that begins at `from` or behind it. What stands before `from` still counts for `^` and `\b`. */
  find(text: string, from?: number): Found | null;
}

/**
 * Bounds of RE2's engine. Whether there is a match it says in 1 ms for 16 KiB, whatever the pattern. Looking for the groups takes 2 ms for most patterns and
 * 80 ms for some that were made for it, so it looks in short texts only: 5 ms at worst.
 */
const FIND_CHARS_MAX = 1_024;
const INSTRUCTIONS_MAX = 250;
const CHARS_MAX = 1_000;

/**
 * Reads a regular expression in RE2's syntax (that of Go, and but for details of Rust): no look-around, no back references.
 * @throws Wrong, with the position
 */
export function compilePattern(source: string, ignoreCase = false): Pattern {
  if (source.length > CHARS_MAX) throw new Wrong('is too long for a pattern', `use at most ${CHARS_MAX} characters, or several locations`);
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(source, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
  } catch (error) {
    throw refused(source, error);
  }
  const native = nativePattern(source, ignoreCase);
  if (native !== null) return new Native(source, compiled, native);
  const size = compiled.programSize();
  if (size > INSTRUCTIONS_MAX) {
    const why = `is too large a pattern: ${size} steps per character, at most ${INSTRUCTIONS_MAX} are allowed`;
    throw new Wrong(why, 'repeat less ({0,100} counts a hundred times), or use several locations');
  }
  return new Linear(source, compiled);
}

/** With RE2's engine: some 2 us for a test, 5 us for the groups, whatever the pattern. */
class Linear implements Pattern {
  readonly source: string;
  readonly findMax = FIND_CHARS_MAX;
  readonly names: ReadonlyMap<string, number>;
  readonly groupCount: number;
  readonly #compiled: RE2JS;

  constructor(source: string, compiled: RE2JS) {
    this.source = source;
    this.#compiled = compiled;
    this.names = new Map(Object.entries(compiled.namedGroups()));
    this.groupCount = compiled.groupCount();
  }

  test(text: string): boolean {
    return this.#compiled.test(text);
  }

  find(text: string, from = 0): Found | null {
    const matcher = this.#compiled.matcher(text);
    if (!matcher.find(from)) return null;
    const groups: string[] = [];
    for (let i = 0; i <= this.groupCount; i++) groups.push(matcher.group(i) ?? '');
    return { start: matcher.start(), end: matcher.end(), groups };
  }
}

/** With the engine of JavaScript, for patterns that are certain to be linear with it: 0.1 us. */
class Native implements Pattern {
  readonly source: string;
  readonly findMax = Infinity;
  readonly names: ReadonlyMap<string, number>;
  readonly groupCount: number;
  readonly #native: RegExp;
  /** The same, for those who look behind the beginning. */
  readonly #further: RegExp;

  constructor(source: string, compiled: RE2JS, native: RegExp) {
    this.#further = new RegExp(native.source, `${native.flags}g`);
    this.source = source;
    this.names = new Map(Object.entries(compiled.namedGroups()));
    this.groupCount = compiled.groupCount();
    this.#native = native;
  }

  test(text: string): boolean {
    return this.#native.test(text);
  }

  find(text: string, from = 0): Found | null {
    this.#further.lastIndex = from;
    const match = from === 0 ? this.#native.exec(text) : this.#further.exec(text);
    if (match === null) return null;
    const groups: string[] = [];
    for (let i = 0; i <= this.groupCount; i++) groups.push(match[i] ?? '');
    return { start: match.index, end: match.index + match[0].length, groups };
  }
}

function refused(source: string, error: unknown): Wrong {
  if (!(error instanceof RE2JSSyntaxException)) return new Wrong('is no pattern', 'write a regular expression in the syntax of RE2');
  const part = error.getPattern() ?? '';
  const why = error.getDescription();
  const at = part === source || part === '' ? openAt(source) : source.indexOf(part) + 1;
  const fix = /^\(\?(?:<?[=!])/.test(part)
    ? 'look-around cannot be matched in bounded time: use two locations, the narrower one first'
    : /^\\[1-9]$/.test(part)
      ? 'back references cannot be matched in bounded time: write the text out'
      : part.startsWith('(?')
        ? 'groups are (…), (?:…) and (?P<name>…)'
        : /[*+?{]/.test(part[0] ?? '')
          ? 'put a backslash before it when it is meant literally'
          : 'mend it, or put a backslash before characters that are meant literally';
  return new Wrong(`is no pattern: ${why} at position ${at}${part === source || part === '' ? '' : ` (${part})`}`, fix);
}

/** Where the bracket opens that nobody closes, or that nobody opened; from 1. */
function openAt(source: string): number {
  const open: number[] = [];
  let inClass = -1;
  for (let i = 0; i < source.length; i++) {
    const c = source[i];
    if (c === '\\') i++;
    else if (inClass >= 0) {
      if (c === ']' && i > inClass + 1 && !(i === inClass + 2 && source[inClass + 1] === '^')) inClass = -1;
    } else if (c === '[') inClass = i;
    else if (c === '(') open.push(i);
    else if (c === ')' && open.pop() === undefined) return i + 1;
  }
  return (inClass >= 0 ? inClass : (open.pop() ?? source.length - 1)) + 1;
}
