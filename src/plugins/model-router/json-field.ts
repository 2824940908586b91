import { Buffer } from 'node:buffer';

/** What was found of a field in the beginning of a JSON text. */
export type Found =
  /** Once, and a string. */
  | { readonly is: 'found'; readonly value: string }
  /** The object ends, and it was not there. */
  | { readonly is: 'missing' }
  /** The bytes end before it was there. */
  | { readonly is: 'beyond' }
  /** It stands there twice (letters in upper or lower case are no difference: to some readers they are none), or is no string. */
  | { readonly is: 'ambiguous' }
  /** No JSON object. */
  | { readonly is: 'broken' };

/** Objects and arrays inside each other. Deeper ones are refused: nobody asks a model so. */
const DEPTH = 64;

/**
 * Looks for a field of the object that a JSON text (RFC 8259) is, at its top level, in the text or its beginning. Goes over the bytes once and makes nothing
 * but the names at the top level. `whole`: the bytes are all there is.
 */
export function jsonField(bytes: Uint8Array, name: string, whole: boolean): Found {
  return new Scanner(bytes, whole).find(name);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
/** What a scalar outside strings is made of: digits, letters, + - . */
const SCALAR = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/;
/** Longest of them that is looked at: no number needs more. */
const SCALAR_BYTES = 1024;

class Broken extends Error {}
class Beyond extends Error {}

class Scanner {
  readonly #bytes: Uint8Array;
  readonly #whole: boolean;
  #at = 0;

  constructor(bytes: Uint8Array, whole: boolean) {
    this.#bytes = bytes;
    this.#whole = whole;
  }

  find(name: string): Found {
    const lower = name.toLowerCase();
    let found: string | null = null;
    try {
      if (this.#next() !== OPEN) return { is: 'broken' };
      this.#at++;
      if (this.#next() === CLOSE) this.#at++;
      else
        for (;;) {
          const key = this.#string();
          const isIt = key.toLowerCase() === lower;
          if (isIt && (key !== name || found !== null)) return { is: 'ambiguous' };
          if (this.#next() !== COLON) throw new Broken();
          this.#at++;
          const first = this.#next();
          if (!isIt) this.#skip();
          else if (first !== QUOTE) return { is: 'ambiguous' };
          else found = this.#string();
          const end = this.#next();
          this.#at++;
          if (end === CLOSE) break;
          if (end !== COMMA) throw new Broken();
          if (this.#next() !== QUOTE) throw new Broken();
        }
      // Nothing but space may follow.
      while (this.#at < this.#bytes.length) if (!isSpace(this.#bytes[this.#at++]!)) throw new Broken();
      return found === null ? { is: 'missing' } : { is: 'found', value: found };
    } catch (error) {
      if (error instanceof Broken) return { is: 'broken' };
      if (!(error instanceof Beyond)) throw error;
      if (this.#whole) return { is: 'broken' };
      return found === null ? { is: 'beyond' } : { is: 'found', value: found };
    }
  }

  /** The next byte that is no space; it is not passed. */
  #next(): number {
    while (this.#at < this.#bytes.length) {
      const byte = this.#bytes[this.#at]!;
      if (!isSpace(byte)) return byte;
      this.#at++;
    }
    throw new Beyond();
  }

  /** A string, passed and decoded. */
  #string(): string {
    if (this.#next() !== QUOTE) throw new Broken();
    const from = this.#at;
    this.#skipString();
    const { buffer, byteOffset } = this.#bytes;
    try {
      return JSON.parse(Buffer.from(buffer, byteOffset + from, this.#at - from).toString('utf8')) as string;
    } catch {
      throw new Broken();
    }
  }

  #skipString(): void {
    const bytes = this.#bytes;
    for (let at = this.#at + 1; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === BACKSLASH) at++;
      else if (byte < 0x20) throw new Broken();
      else if (byte === QUOTE) {
        this.#at = at + 1;
        return;
      }
    }
    throw new Beyond();
  }

  /** A value of any kind. What is inside objects and lists is only looked at as far as their ends need it: whoever gets the body reads it in full. */
  #skip(): void {
    const closing: number[] = [];
    do {
      const byte = this.#next();
      if (byte === OPEN || byte === OPEN_LIST) {
        if (closing.length === DEPTH) throw new Broken();
        closing.push(byte === OPEN ? CLOSE : CLOSE_LIST);
        this.#at++;
      } else if (byte === CLOSE || byte === CLOSE_LIST) {
        if (closing.pop() !== byte) throw new Broken();
        this.#at++;
      } else if (byte === QUOTE) this.#skipString();
      else if ((byte === COMMA || byte === COLON) && closing.length > 0) this.#at++;
      else this.#scalar();
    } while (closing.length > 0);
  }

  #scalar(): void {
    const bytes = this.#bytes;
    const from = this.#at;
    let at = from;
    while (at < bytes.length && isScalar(bytes[at]!)) at++;
    if (at === bytes.length && !this.#whole) throw new Beyond();
    if (at - from > SCALAR_BYTES) throw new Broken();
    if (!SCALAR.test(Buffer.from(bytes.buffer, bytes.byteOffset + from, at - from).toString('latin1'))) throw new Broken();
    this.#at = at;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isScalar(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x45 || byte === 0x2b || byte === 0x2d || byte === 0x2e;
}
