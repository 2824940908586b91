import { type KeyPart, TomlCursor } from './toml/cursor.ts';

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
  readonly #cursor: TomlCursor;
  readonly #found: ((path: readonly string[], offset: number) => void) | null;
  readonly headers: Header[] = [];
  #depth = 0;

  /** `found` is told of every key; without it only headers are looked for. */
  constructor(text: string, found: ((path: readonly string[], offset: number) => void) | null) {
    const cursor = new TomlCursor(text);
    this.#cursor = cursor;
    this.#found = found;
    let table: readonly string[] = [];
    while (cursor.skipBlank(true)) {
      const offset = cursor.at;
      if (cursor.char === '[') {
        const isArray = text[offset + 1] === '[';
        cursor.at += isArray ? 2 : 1;
        cursor.skipBlank(false);
        const nameAt = cursor.at;
        table = namesOf(cursor.key());
        this.headers.push({ path: table, offset, isArray });
        this.#found?.(table, nameAt);
        cursor.skipBlank(false);
        cursor.at += isArray ? 2 : 1;
      } else {
        this.#pair(table);
      }
      // Whatever went wrong, it ends.
      if (cursor.at <= offset) cursor.at = offset + 1;
    }
  }

  #pair(table: readonly string[]): void {
    const cursor = this.#cursor;
    const offset = cursor.at;
    const key = namesOf(cursor.key());
    const path = this.#found === null ? table : [...table, ...key];
    this.#found?.(path, offset);
    cursor.skipBlank(false);
    // The equals sign.
    cursor.at++;
    this.#value(path);
  }

  #value(path: readonly string[]): void {
    const cursor = this.#cursor;
    cursor.skipBlank(false);
    switch (cursor.char) {
      case '"':
      case "'":
        return cursor.string();
      case '[':
        return this.#items(']', () => this.#value(path));
      case '{':
        return this.#items('}', () => this.#pair(path));
      default:
        cursor.plain();
    }
  }

  #items(close: string, item: () => void): void {
    // Nothing valid is that deep, and the stack is not without end.
    if (++this.#depth > DEPTH_MAX) this.#cursor.at = this.#cursor.text.length;
    this.#cursor.items(close, item);
    this.#depth--;
  }
}

function namesOf(key: readonly KeyPart[]): string[] {
  return key.map(({ name }) => name);
}
