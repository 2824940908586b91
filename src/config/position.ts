/** Where something stands in a file: line and column from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/**
 * Where the keys of a TOML text stand. The text is known to be valid (a parser has read it), so this looks for keys and passes over the rest;
 * what it cannot make out has no position, and an error without its line is better than none.
 */
export class Positions {
  readonly #text: string;
  /** Made when somebody asks. */
  #offsets: ReadonlyMap<string, number> | null = null;
  #lineStarts: number[] | null = null;

  constructor(text: string) {
    this.#text = text;
  }

  /** Tables that are opened by a header, in order. */
  headers(): readonly Header[] {
    return new Scan(this.#text, null).headers;
  }

  /** Null when it cannot be found. */
  of(path: readonly string[]): Position | null {
    this.#offsets ??= offsetsOf(this.#text);
    const offset = this.#offsets.get(keyOf(path));
    return offset === undefined ? null : this.at(offset);
  }

  at(offset: number): Position {
    this.#lineStarts ??= lineStartsOf(this.#text);
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#lineStarts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - this.#lineStarts[low]! + 1 };
  }
}

/** `[a.b]` or `[[a.b]]` */
export interface Header {
  readonly path: readonly string[];
  /** Of the bracket. */
  readonly offset: number;
  readonly isArray: boolean;
}

function offsetsOf(text: string): ReadonlyMap<string, number> {
  const offsets = new Map<string, number>();
  new Scan(text, (path, offset) => {
    // A table is where its name first stands, also when only its child is written out.
    for (let n = path.length; n > 0; n--) {
      const key = keyOf(path.slice(0, n));
      if (offsets.has(key)) break;
      offsets.set(key, offset);
    }
  });
  return offsets;
}

function keyOf(path: readonly string[]): string {
  return path.join('\u0000');
}

function lineStartsOf(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

const DEPTH_MAX = 100;

class Scan {
  readonly #text: string;
  readonly #found: ((path: readonly string[], offset: number) => void) | null;
  readonly headers: Header[] = [];
  #at = 0;
  #depth = 0;
  readonly #bare = /[\w-]*/y;
  readonly #plain = /[^,\]}#\n]*/y;
  /** Up to what may end a string. */
  readonly #inside = { '"': /[^"\\]*/y, "'": /[^']*/y };

  /** `found` is told of every key; without it only headers are looked for. */
  constructor(text: string, found: ((path: readonly string[], offset: number) => void) | null) {
    this.#text = text;
    this.#found = found;
    let table: readonly string[] = [];
    while (this.#skipBlank(true)) {
      const offset = this.#at;
      if (text[this.#at] === '[') {
        const isArray = text[this.#at + 1] === '[';
        this.#at += isArray ? 2 : 1;
        this.#skipBlank(false);
        const nameAt = this.#at;
        table = this.#key();
        this.headers.push({ path: table, offset, isArray });
        this.#found?.(table, nameAt);
        this.#skipBlank(false);
        this.#at += isArray ? 2 : 1;
      } else {
        this.#pair(table);
      }
      // Whatever went wrong, it ends.
      if (this.#at <= offset) this.#at = offset + 1;
    }
  }

  /** Spaces and comments, and line ends too when told. False at the end of the text. */
  #skipBlank(lines: boolean): boolean {
    const text = this.#text;
    for (; this.#at < text.length; this.#at++) {
      const char = text[this.#at]!;
      if (char === ' ' || char === '\t' || (lines && (char === '\n' || char === '\r'))) continue;
      if (char !== '#' || !lines) return true;
      const end = text.indexOf('\n', this.#at);
      this.#at = (end < 0 ? text.length : end) - 1;
    }
    return false;
  }

  #pair(table: readonly string[]): void {
    const offset = this.#at;
    const key = this.#key();
    const path = this.#found === null ? table : [...table, ...key];
    this.#found?.(path, offset);
    this.#skipBlank(false);
    // The equals sign.
    this.#at++;
    this.#value(path);
  }

  #key(): string[] {
    const parts: string[] = [];
    for (;;) {
      const char = this.#text[this.#at];
      if (char === '"' || char === "'") {
        const begin = this.#at;
        this.#string();
        parts.push(unquoted(this.#text.slice(begin, this.#at)));
      } else {
        this.#bare.lastIndex = this.#at;
        const bare = this.#bare.exec(this.#text)?.[0] ?? '';
        parts.push(bare);
        this.#at += bare.length;
      }
      this.#skipBlank(false);
      if (this.#text[this.#at] !== '.') return parts;
      this.#at++;
      this.#skipBlank(false);
    }
  }

  #value(path: readonly string[]): void {
    this.#skipBlank(false);
    switch (this.#text[this.#at]) {
      case '"':
      case "'":
        return this.#string();
      case '[':
        return this.#items(']', () => this.#value(path));
      case '{':
        return this.#items('}', () => this.#pair(path));
      default: {
        this.#plain.lastIndex = this.#at;
        this.#at += this.#plain.exec(this.#text)?.[0].length ?? 0;
      }
    }
  }

  #items(close: string, item: () => void): void {
    // Nothing valid is that deep, and the stack is not without end.
    if (++this.#depth > DEPTH_MAX) this.#at = this.#text.length;
    this.#within(close, item);
    this.#depth--;
  }

  #within(close: string, item: () => void): void {
    this.#at++;
    while (this.#skipBlank(true)) {
      const before = this.#at;
      if (this.#text[this.#at] === close) {
        this.#at++;
        return;
      }
      if (this.#text[this.#at] === ',') this.#at++;
      else item();
      if (this.#at <= before) this.#at = before + 1;
    }
  }

  #string(): void {
    const quote = this.#text[this.#at] === '"' ? '"' : "'";
    const isLong = this.#text.startsWith(quote.repeat(3), this.#at);
    const close = isLong ? quote.repeat(3) : quote;
    this.#at += close.length;
    const inside = this.#inside[quote];
    for (; this.#at < this.#text.length; this.#at++) {
      inside.lastIndex = this.#at;
      this.#at += inside.exec(this.#text)?.[0].length ?? 0;
      if (this.#text[this.#at] === '\\') this.#at++;
      else if (this.#text.startsWith(close, this.#at)) {
        this.#at += close.length;
        // Up to two quotes may stand before the three that close.
        while (isLong && this.#text[this.#at] === quote) this.#at++;
        return;
      }
    }
  }
}

function unquoted(text: string): string {
  const inner = text.slice(1, -1);
  if (text.startsWith("'")) return inner;
  return inner.replace(/\\(?:u([\da-fA-F]{4})|U([\da-fA-F]{8})|x([\da-fA-F]{2})|(.))/g, (_, u4?: string, u8?: string, x2?: string, char?: string) => {
    const code = u4 ?? u8 ?? x2;
    return code === undefined ? (ESCAPES.get(char!) ?? char!) : String.fromCodePoint(Number.parseInt(code, 16));
  });
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['b', '\b'],
  ['t', '\t'],
  ['n', '\n'],
  ['f', '\f'],
  ['r', '\r'],
  ['e', '\u001b'],
]);
