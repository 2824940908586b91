/**
 * The same pattern for JavaScript's own engine, which is ten times as fast as one that is linear whatever the pattern, when it is certain that it needs
 * linear time, too; else null. Certain are patterns of single characters, repeated ones, and groups that are not repeated, in which
 * - after a repeated character something comes that it cannot be itself (`\d+/`, `[^/]+/`), or nothing: then giving back what was taken never helps,
 *   and each failure costs one look; or
 * - once at most (an open beginning counts as one) what comes is short: then it is tried at every place, at a bounded cost.
 */
export function nativePattern(source: string, ignoreCase: boolean): RegExp | null {
  const parser = new Parser(source, ignoreCase);
  let pattern: Parsed;
  try {
    pattern = parser.pattern();
  } catch (error) {
    if (error instanceof Beyond) return null;
    throw error;
  }
  return isLinear(pattern) ? new RegExp(pattern.text, 'u') : null;
}

/** Tries that one place may cost, when nothing has to be tried again at other places, and when all places have to be tried. */
const TRIES_MAX = 16;
const STEPS_MAX = 64;

/** Which characters: one flag for each of ASCII, and one for all others together. */
type Chars = Uint8Array;
const OTHERS = 128;

/** A part of a pattern. */
type Part =
  | { readonly is: 'char'; readonly chars: Chars; readonly min: number; readonly max: number }
  | { readonly is: 'group'; readonly choices: readonly (readonly Part[])[]; readonly optional: boolean };

interface Parsed {
  readonly parts: readonly Part[];
  readonly fromStart: boolean;
  readonly toEnd: boolean;
  /** For RegExp. */
  readonly text: string;
}

/** What follows a place: the characters that may come, and whether it may be the end of the match. */
interface Follow {
  readonly chars: Chars;
  readonly mayEnd: boolean;
}

/** What is known of a pattern from some place to its end. */
interface Rest {
  readonly first: Follow;
  /** Most characters; infinite with a `*`. A `*` at the very end, which is content with what it gets, does not count. */
  readonly length: number;
  /** Ways to try at one place. */
  readonly tries: number;
  /** Has one repeated character after which anything may come been met? */
  readonly isOpen: boolean;
}

function isLinear({ parts, fromStart, toEnd }: Parsed): boolean {
  const end: Rest = { first: { chars: new Uint8Array(OTHERS + 1), mayEnd: true }, length: 0, tries: 1, isOpen: false };
  const all = restOf(parts, end, toEnd);
  if (all === null) return false;
  if (fromStart) return true;
  return !all.isOpen && all.length * all.tries <= STEPS_MAX;
}

/** From the last part to the first. Null: not certain. `toEnd`: the match must reach the end of the text. */
function restOf(parts: readonly Part[], end: Rest, toEnd: boolean): Rest | null {
  let rest: Rest | null = end;
  for (let i = parts.length - 1; i >= 0 && rest !== null; i--) {
    const part = parts[i]!;
    rest = part.is === 'char' ? beforeChar(part, rest, toEnd) : beforeGroup(part, rest, toEnd);
    if (rest !== null && rest.tries > TRIES_MAX) return null;
  }
  return rest;
}

function beforeChar({ chars, min, max }: Part & { is: 'char' }, rest: Rest, toEnd: boolean): Rest | null {
  const first = min > 0 ? { chars, mayEnd: false } : { chars: union(chars, rest.first.chars), mayEnd: rest.first.mayEnd };
  if (min === max) return { ...rest, first, length: rest.length + min };
  // At the very end it takes what it gets, and nothing can fail after it.
  if (rest.length === 0 && rest.tries === 1 && rest.first.mayEnd && !toEnd) return { ...rest, first, length: min };
  const isSharp = !overlap(chars, rest.first.chars);
  if (max !== Infinity) return { ...rest, first, length: rest.length + max, tries: isSharp ? rest.tries : rest.tries * (max - min + 1) };
  if (isSharp) return { ...rest, first, length: Infinity };
  if (rest.isOpen || rest.length * rest.tries > STEPS_MAX) return null;
  return { first, length: Infinity, tries: rest.tries, isOpen: true };
}

function beforeGroup({ choices, optional }: Part & { is: 'group' }, rest: Rest, toEnd: boolean): Rest | null {
  const rests: Rest[] = [];
  for (const choice of optional ? [...choices, []] : choices) {
    const one = restOf(choice, rest, toEnd);
    if (one === null) return null;
    rests.push(one);
  }
  const first = {
    chars: rests.map((one) => one.first.chars).reduce(union),
    mayEnd: rests.some((one) => one.first.mayEnd),
  };
  // The next character decides which choices get anywhere.
  let tries = sum(rests.filter((one) => one.first.mayEnd).map((one) => one.tries));
  for (let c = 0; c <= OTHERS; c++) tries = Math.max(tries, sum(rests.filter((one) => one.first.chars[c] === 1).map((one) => one.tries)));
  return { first, length: Math.max(...rests.map((one) => one.length)), tries, isOpen: rests.some((one) => one.isOpen) };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

function union(a: Chars, b: Chars): Chars {
  return a.map((flag, i) => flag | b[i]!);
}

function overlap(a: Chars, b: Chars): boolean {
  return a.some((flag, i) => (flag & b[i]!) !== 0);
}

function mayBeEmpty(parts: readonly Part[]): boolean {
  return parts.every((part) => (part.is === 'char' ? part.min === 0 : part.optional || part.choices.some(mayBeEmpty)));
}

/** The pattern has something in it that is not looked at here. */
class Beyond extends Error {}

/** Reads what is common to RE2 and JavaScript, and writes it so that it means the same. */
class Parser {
  readonly #source: string;
  readonly #ignoreCase: boolean;
  #at = 0;

  constructor(source: string, ignoreCase: boolean) {
    this.#source = source;
    this.#ignoreCase = ignoreCase;
  }

  pattern(): Parsed {
    const fromStart = this.#take('^');
    const { choices, text } = this.#choices();
    const toEnd = this.#take('$');
    if (this.#at < this.#source.length) throw new Beyond();
    // `^a|b$` binds its anchors to one side each.
    if (choices.length > 1 && (fromStart || toEnd)) throw new Beyond();
    const parts: readonly Part[] = choices.length === 1 ? choices[0]! : [{ is: 'group', choices, optional: false }];
    return { parts, fromStart, toEnd, text: `${fromStart ? '^' : ''}${text}${toEnd ? '$' : ''}` };
  }

  #choices(): { choices: Part[][]; text: string } {
    const choices: Part[][] = [];
    let text = '';
    do {
      const choice: Part[] = [];
      if (choices.length > 0) text += '|';
      for (;;) {
        const c = this.#source[this.#at];
        if (c === undefined || c === '|' || c === ')' || c === '$') break;
        const one = c === '(' ? this.#group() : this.#char();
        choice.push(one.part);
        text += one.text;
      }
      choices.push(choice);
    } while (this.#take('|'));
    return { choices, text };
  }

  #group(): { part: Part; text: string } {
    const [open, name] = /^\((?:\?:|\?P?<([A-Za-z_]\w*)>)?/.exec(this.#source.slice(this.#at))!;
    this.#at += open.length;
    if (this.#source[this.#at] === '?') throw new Beyond();
    const { choices, text } = this.#choices();
    if (!this.#take(')')) throw new Beyond();
    const optional = this.#take('?');
    // JavaScript passes over an optional group that finds the empty text; RE2 does not.
    if (optional && choices.some(mayBeEmpty)) throw new Beyond();
    if (/[*+?{]/.test(this.#source[this.#at] ?? '')) throw new Beyond();
    const start = name === undefined ? open : `(?<${name}>`;
    return { part: { is: 'group', choices, optional }, text: `${start}${text})${optional ? '?' : ''}` };
  }

  #char(): { part: Part; text: string } {
    const chars = this.#chars();
    const [all, sign, low, comma, high] = /^(?:([*+?])|\{(\d{1,3})(,)?(\d{1,3})?\})?/.exec(this.#source.slice(this.#at))!;
    this.#at += all.length;
    if (all === '' && this.#source[this.#at] === '{') throw new Beyond();
    if (low !== undefined && comma === undefined && high !== undefined) throw new Beyond();
    const lazy = all !== '' && this.#take('?');
    if (/[*+?]/.test(this.#source[this.#at] ?? '')) throw new Beyond();
    const min = sign === '+' ? 1 : sign !== undefined ? 0 : low === undefined ? 1 : Number(low);
    const max =
      sign === '?'
        ? 1
        : sign !== undefined
          ? Infinity
          : low === undefined
            ? 1
            : comma === undefined
              ? min
              : high === undefined
                ? Infinity
                : Number(high);
    if (max < min) throw new Beyond();
    return { part: { is: 'char', chars, min, max }, text: `${classText(chars)}${all}${lazy ? '?' : ''}` };
  }

  #chars(): Chars {
    const c = this.#source[this.#at]!;
    if (c === '[') return this.#class();
    const chars = new Uint8Array(OTHERS + 1);
    if (c === '.') {
      this.#at++;
      chars.fill(1);
      chars[10] = 0;
      return chars;
    }
    if (/[*+?{}\]^]/.test(c)) throw new Beyond();
    const escaped = this.#escape();
    if (typeof escaped === 'number') this.#add(chars, escaped, escaped);
    else chars.set(escaped);
    return chars;
  }

  #class(): Chars {
    this.#at++;
    const isNegated = this.#take('^');
    const chars = new Uint8Array(OTHERS + 1);
    if (this.#source[this.#at] === ']') throw new Beyond();
    do {
      if (this.#at >= this.#source.length || this.#source[this.#at] === '[') throw new Beyond();
      const low = this.#escape();
      if (this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']') {
        this.#at++;
        const high = this.#escape();
        if (typeof low !== 'number' || typeof high !== 'number' || high < low) throw new Beyond();
        this.#add(chars, low, high);
      } else if (typeof low === 'number') this.#add(chars, low, low);
      else chars.set(union(chars, low));
    } while (!this.#take(']'));
    return isNegated ? chars.map((flag) => 1 - flag) : chars;
  }

  /** One character, or a class of them. */
  #escape(): number | Chars {
    const c = this.#source[this.#at++]!;
    const code = c.charCodeAt(0);
    if (code < 32 || code > 126) throw new Beyond();
    if (c !== '\\') return code;
    const next = this.#source[this.#at++] ?? '';
    if (next === 'd' || next === 'w') {
      const chars = new Uint8Array(OTHERS + 1);
      for (let i = 0; i < OTHERS; i++) if ((next === 'd' ? /\d/ : /\w/).test(String.fromCharCode(i))) chars[i] = 1;
      return chars;
    }
    if (!/^[!-/:-@[-`{-~]$/.test(next)) throw new Beyond();
    return next.charCodeAt(0);
  }

  #add(chars: Chars, low: number, high: number): void {
    for (let code = low; code <= high; code++) {
      chars[code] = 1;
      const c = String.fromCharCode(code);
      if (!this.#ignoreCase) continue;
      chars[c.toLowerCase().charCodeAt(0)] = 1;
      chars[c.toUpperCase().charCodeAt(0)] = 1;
    }
  }

  #take(c: string): boolean {
    if (this.#source[this.#at] !== c) return false;
    this.#at++;
    return true;
  }
}

/** Characters as RegExp reads them in its Unicode mode. */
function classText(chars: Chars): string {
  const isOpen = chars[OTHERS] === 1;
  const codes: string[] = [];
  for (let code = 0; code < OTHERS; code++) if ((chars[code] === 1) !== isOpen) codes.push(`\\x${code.toString(16).padStart(2, '0')}`);
  return codes.length === 1 && !isOpen ? codes[0]! : `[${isOpen ? '^' : ''}${codes.join('')}]`;
}
