/**
 * Walks over a TOML text. The text is known to be valid (a parser has read it), so this looks for keys and passes over the rest; whatever the text is,
 * whoever walks on from where it stopped comes to an end.
 */
export class TomlCursor {
  readonly text: string;
  at = 0;
  readonly #bare = /[\w-]*/y;
  readonly #plain = /[^,\]}#\n]*/y;
  /** Up to what may end a string. */
  readonly #inside = { '"': /[^"\\]*/y, "'": /[^']*/y };

  constructor(text: string) {
    this.text = text;
  }

  /** What stands here; '' at the end. */
  get char(): string {
    return this.text[this.at] ?? '';
  }

  /** Spaces and comments, and line ends too when told. False at the end of the text. */
  skipBlank(lines: boolean): boolean {
    const { text } = this;
    for (; this.at < text.length; this.at++) {
      const char = text[this.at]!;
      if (char === ' ' || char === '\t' || (lines && (char === '\n' || char === '\r'))) continue;
      if (char !== '#' || !lines) return true;
      const end = text.indexOf('\n', this.at);
      this.at = (end < 0 ? text.length : end) - 1;
    }
    return false;
  }

  /** A key of one or several names with dots between them. */
  key(): KeyPart[] {
    const parts: KeyPart[] = [];
    for (;;) {
      const from = this.at;
      const { char } = this;
      if (char === '"' || char === "'") {
        this.string();
        parts.push({ name: unquoted(this.text.slice(from, this.at)), from, to: this.at });
      } else {
        this.#bare.lastIndex = from;
        const name = this.#bare.exec(this.text)?.[0] ?? '';
        this.at += name.length;
        parts.push({ name, from, to: this.at });
      }
      this.skipBlank(false);
      if (this.char !== '.') return parts;
      this.at++;
      this.skipBlank(false);
    }
  }

  /** From an opening bracket to behind `close`; each item is read by `one`. */
  items(close: string, one: () => void): void {
    this.at++;
    while (this.skipBlank(true)) {
      const before = this.at;
      if (this.char === close) {
        this.at++;
        return;
      }
      if (this.char === ',') this.at++;
      else one();
      if (this.at <= before) this.at = before + 1;
    }
  }

  /** A number, a date, true or false. */
  plain(): void {
    this.#plain.lastIndex = this.at;
    this.at += this.#plain.exec(this.text)?.[0].length ?? 0;
  }

  string(): void {
    const quote = this.char === '"' ? '"' : "'";
    const isLong = this.text.startsWith(quote.repeat(3), this.at);
    const close = isLong ? quote.repeat(3) : quote;
    this.at += close.length;
    const inside = this.#inside[quote];
    for (; this.at < this.text.length; this.at++) {
      inside.lastIndex = this.at;
      this.at += inside.exec(this.text)?.[0].length ?? 0;
      if (this.char === '\\') this.at++;
      else if (this.text.startsWith(close, this.at)) {
        this.at += close.length;
        // Up to two quotes may stand before the three that close.
        while (isLong && this.char === quote) this.at++;
        return;
      }
    }
  }
}

/** One name of a key. */
export interface KeyPart {
  readonly name: string;
  readonly from: number;
  readonly to: number;
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
