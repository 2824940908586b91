/** Who is told what arrives on one connection. */
export interface MessageUser {
  /** A head. @returns whether the body that it announces follows (not after HEAD) */
  head(text: string): boolean;
  body(bytes: Buffer): void;
  /** The message is complete by its own framing. */
  end(): void;
  broken(reason: string): void;
}

type State = 'head' | 'length' | 'size' | 'chunk' | 'chunk-end' | 'trailers';

const LONGEST_HEAD = 64 * 1024;

/** Reads HTTP/1.1 messages one after the other. Not the product's own parser: what it checks must not be checked by itself. */
export class MessageReader {
  readonly #user: MessageUser;
  #state: State = 'head';
  #text = '';
  #left = 0;
  #broken = false;

  constructor(user: MessageUser) {
    this.#user = user;
  }

  /** Nothing of a message is here. */
  get between(): boolean {
    return this.#state === 'head' && this.#text === '';
  }

  feed(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && !this.#broken) {
      switch (this.#state) {
        case 'head': {
          const old = this.#text.length;
          this.#text += bytes.toString('latin1', at);
          const end = this.#text.indexOf('\r\n\r\n', Math.max(0, old - 3));
          if (end < 0) {
            if (this.#text.length > LONGEST_HEAD) this.#fail('a head without end');
            return;
          }
          at += end + 4 - old;
          this.#head(this.#text.slice(0, end + 2));
          break;
        }
        case 'length':
        case 'chunk': {
          const n = Math.min(this.#left, bytes.length - at);
          this.#user.body(bytes.subarray(at, at + n));
          at += n;
          this.#left -= n;
          if (this.#left > 0) return;
          if (this.#state === 'length') this.#end();
          else this.#state = 'chunk-end';
          break;
        }
        default: {
          const newline = bytes.indexOf(10, at);
          const stop = newline < 0 ? bytes.length : newline + 1;
          this.#text += bytes.toString('latin1', at, stop);
          at = stop;
          if (this.#text.length > LONGEST_HEAD) this.#fail('a line without end');
          else if (newline >= 0) this.#line();
        }
      }
    }
  }

  #head(text: string): void {
    this.#text = '';
    const lower = text.toLowerCase();
    const length = fieldOf(lower, 'content-length');
    const coding = fieldOf(lower, 'transfer-encoding');
    if (length !== '' && (coding !== '' || !/^\d+$/.test(length))) {
      this.#fail('a length that is none, or one beside a transfer coding');
      return;
    }
    if (!this.#user.head(text)) {
      this.#end();
    } else if (coding !== '') {
      if (coding === 'chunked') this.#state = 'size';
      else this.#fail(`a transfer coding ${coding}`);
    } else if (length !== '' && length !== '0') {
      this.#left = Number(length);
      this.#state = 'length';
    } else this.#end();
  }

  #line(): void {
    const line = this.#text;
    this.#text = '';
    if (!line.endsWith('\r\n')) {
      this.#fail('a line that ends in a bare LF');
      return;
    }
    const words = line.slice(0, -2);
    if (this.#state === 'chunk-end') {
      if (words === '') this.#state = 'size';
      else this.#fail('bytes behind a chunk');
    } else if (this.#state === 'trailers') {
      if (words === '') this.#end();
    } else if (/^[\da-f]{1,8}$/i.test(words)) {
      this.#left = Number.parseInt(words, 16);
      this.#state = this.#left === 0 ? 'trailers' : 'chunk';
    } else this.#fail(`a chunk size of ${JSON.stringify(words.slice(0, 40))}`);
  }

  #end(): void {
    this.#state = 'head';
    this.#user.end();
  }

  #fail(reason: string): void {
    this.#broken = true;
    this.#user.broken(reason);
  }
}

/** The value of a field in a head's lower-case text; '' when it is not there. */
export function fieldOf(lower: string, name: string): string {
  const at = lower.indexOf(`\r\n${name}:`);
  if (at < 0) return '';
  const from = at + name.length + 3;
  return lower.slice(from, lower.indexOf('\r\n', from)).trim();
}
