// HOT: every chunked body that comes in passes through a ChunkedDecoder.
import { Buffer } from 'node:buffer';
import type { BodySink } from './exchange.ts';
import type { HeaderList } from './head.ts';
import type { HttpLimits } from './limits.ts';
import { lookUp, TCHAR, VALUE } from './names.ts';

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER = 6;
const DONE = 7;

const CR = 13;
const LF = 10;

/** Largest chunk, as hex digits: 8 digits are 4 GiB, more is an overflow attempt. */
const SIZE_DIGITS = 8;

const HEX: Int8Array = (() => {
  const table = new Int8Array(256).fill(-1);
  for (let i = 0; i < 10; i++) table[48 + i] = i;
  for (let i = 0; i < 6; i++) table[65 + i] = table[97 + i] = 10 + i;
  return table;
})();

/** Decodes one chunked body (RFC 9112 7.1), strictly: CRLF everywhere, hex digits only, bounded extensions and trailers. */
export class ChunkedDecoder {
  readonly #limits: HttpLimits;
  #state = SIZE;
  #digits = 0;
  #size = 0;
  #lineBytes = 0;
  #trailer: Buffer | null = null;
  /** Data bytes delivered so far. */
  total = 0;
  /** Trailers that may be passed on; undefined when there are none. */
  trailers: HeaderList | undefined = undefined;
  /** Why the body is refused; '' while it is fine. */
  problem = '';
  /** The sink asked to stop during the last feed(). */
  blocked = false;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  get done(): boolean {
    return this.#state === DONE;
  }

  /** Decodes bytes[from..to) into the sink. @returns the offset behind what was used: below `to` only when done; check `problem` */
  feed(bytes: Buffer, from: number, to: number, sink: BodySink): number {
    this.blocked = false;
    let i = from;
    while (i < to) {
      switch (this.#state) {
        case SIZE: {
          const c = bytes[i]!;
          const digit = HEX[c]!;
          if (digit >= 0) {
            if (++this.#digits > SIZE_DIGITS) return this.#refuse('a chunk size of more than 8 digits', i);
            this.#size = this.#size * 16 + digit;
            i++;
          } else if (this.#digits === 0) return this.#refuse('a chunk size without a digit', i);
          else if (c === CR) {
            this.#state = SIZE_LF;
            i++;
          } else if (c === 59) {
            this.#state = EXTENSION;
            this.#lineBytes = 0;
            i++;
          } else return this.#refuse('a chunk size that is not hexadecimal', i);
          break;
        }
        case EXTENSION: {
          const c = bytes[i]!;
          if (c === CR) this.#state = SIZE_LF;
          else if (VALUE[c] === 0) return this.#refuse('a control character in a chunk extension', i);
          else if (++this.#lineBytes > this.#limits.chunkLineBytes)
            return this.#refuse(`a chunk extension of more than ${this.#limits.chunkLineBytes} bytes`, i);
          i++;
          break;
        }
        case SIZE_LF:
          if (bytes[i] !== LF) return this.#refuse('a chunk size line that does not end with CRLF', i);
          i++;
          this.#state = this.#size === 0 ? TRAILER : DATA;
          break;
        case DATA: {
          const n = Math.min(this.#size, to - i);
          this.total += n;
          if (!sink.write(bytes.subarray(i, i + n))) this.blocked = true;
          i += n;
          this.#size -= n;
          if (this.#size === 0) this.#state = DATA_CR;
          break;
        }
        case DATA_CR:
          if (bytes[i] !== CR) return this.#refuse('a chunk that is not followed by CRLF', i);
          i++;
          this.#state = DATA_LF;
          break;
        case DATA_LF:
          if (bytes[i] !== LF) return this.#refuse('a chunk that is not followed by CRLF', i);
          i++;
          this.#digits = 0;
          this.#size = 0;
          this.#state = SIZE;
          break;
        case TRAILER: {
          const end = this.#readTrailer(bytes, i, to);
          if (this.problem !== '') return i;
          i = end;
          break;
        }
        default:
          return i;
      }
    }
    return i;
  }

  /** Gathers the trailer section up to its blank line. */
  #readTrailer(bytes: Buffer, from: number, to: number): number {
    // The common end, without trailers and in one piece.
    if (this.#trailer === null && to - from >= 2 && bytes[from] === CR && bytes[from + 1] === LF) {
      this.#state = DONE;
      return from + 2;
    }
    const before = this.#trailer?.length ?? 0;
    const all: Buffer = this.#trailer === null ? Buffer.from(bytes.subarray(from, to)) : Buffer.concat([this.#trailer, bytes.subarray(from, to)]);
    let i = 0;
    const list: string[] = [];
    while (i < all.length) {
      if (all[i] === CR) {
        if (i + 1 >= all.length) break;
        if (all[i + 1] !== LF) return this.#refuse('bare CR in the trailers', from);
        if (i > this.#limits.trailerBytes) return this.#refuse(`trailers of more than ${this.#limits.trailerBytes} bytes`, from);
        this.#state = DONE;
        if (list.length > 0) this.trailers = list;
        return from + (i + 2 - before);
      }
      const nameStart = i;
      while (i < all.length && TCHAR[all[i]!] !== 0) i++;
      if (i >= all.length) break;
      if (all[i] !== 58 || i === nameStart) return this.#refuse('a trailer that is not a field', from);
      const nameEnd = i++;
      const valueStart = i;
      while (i < all.length && VALUE[all[i]!] !== 0) i++;
      if (i + 1 >= all.length) {
        if (i < all.length && all[i] !== CR) return this.#refuse('a control character in a trailer', from);
        break;
      }
      if (all[i] !== CR || all[i + 1] !== LF) return this.#refuse('a control character in a trailer', from);
      // Names we have an opinion on are about framing, routing or identity: never from a trailer (threat row 8). Nor what looks like them (row 23).
      if (lookUp(all, nameStart, nameEnd) === 0 && list.length < 2 * this.#limits.fieldCount) {
        const name = all.latin1Slice(nameStart, nameEnd);
        // Not trim(): that would take a byte of UTF-8 text for a space.
        if (!name.includes('_')) list.push(name, all.latin1Slice(valueStart, i).replace(/^[ \t]+|[ \t]+$/g, ''));
      }
      i += 2;
    }
    if (all.length > this.#limits.trailerBytes) return this.#refuse(`trailers of more than ${this.#limits.trailerBytes} bytes`, from);
    this.#trailer = all;
    return to;
  }

  #refuse(problem: string, at: number): number {
    this.problem = problem;
    return at;
  }
}
