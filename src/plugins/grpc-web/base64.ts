import { Buffer } from 'node:buffer';

/** Reads base64 that comes in pieces cut anywhere, with padding wherever whoever wrote it flushed. Holds at most three characters. */
export class Base64Reader {
  #rest = '';

  /** What is complete of it. @throws RangeError for what is no base64 */
  read(chunk: Uint8Array): Buffer {
    const text = this.#rest + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1');
    const whole = text.length - (text.length % 4);
    this.#rest = text.slice(whole);
    const out: Buffer[] = [];
    // Padding ends what Buffer reads.
    for (let from = 0; from < whole;) {
      const pad = text.indexOf('=', from);
      const to = pad < 0 || pad >= whole ? whole : pad - (pad % 4) + 4;
      const part = text.slice(from, to);
      if (!PADDED.test(part)) throw new RangeError('the body is no base64');
      out.push(Buffer.from(part, 'base64'));
      from = to;
    }
    return out.length === 1 ? out[0]! : Buffer.concat(out);
  }

  /** Has everything been read? */
  get isWhole(): boolean {
    return this.#rest === '';
  }
}

/** Groups of four, of which the last may be padded. */
const PADDED = /^[A-Za-z0-9+/]*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
