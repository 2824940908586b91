// HOT: follow() runs per chunk of every WebSocket, in both directions.
import { Buffer } from 'node:buffer';
import { createHash, randomFillSync } from 'node:crypto';

const FIRST = 0;
const SECOND = 1;
const LENGTH = 2;
const PAYLOAD = 3;

const CLOSE = 8;
const FIN = 0x80;
const MASKED = 0x80;
const MASK_BYTES = 4;
/** Why a connection was closed (RFC 6455 5.5): what a control frame carries at most, less the code. */
const REASON_BYTES = 123;

/** Knows where in one direction of a WebSocket its frames begin and end (RFC 6455 5.2), and nothing else: no byte is kept, or changed. */
export class FrameTracker {
  #part = FIRST;
  /** Bytes of the length, or of mask and payload, still to come. */
  #left = 0;
  #length = 0;
  #maskBytes = 0;
  #isClose = false;
  /** A Close frame has begun to pass: whoever sends it has said its last word. */
  saidClose = false;

  /** Between two frames another one may stand, even inside a message if it is a control frame (RFC 6455 5.4). */
  get isBetween(): boolean {
    return this.#part === FIRST;
  }

  /**
   * Takes what passes. `toBoundary`: only up to the next end of a frame.
   * @returns how many bytes it took
   */
  follow(bytes: Uint8Array, toBoundary = false): number {
    const end = bytes.length;
    let i = 0;
    while (i < end) {
      switch (this.#part) {
        case FIRST:
          this.#isClose = (bytes[i++]! & 0x0f) === CLOSE;
          if (this.#isClose) this.saidClose = true;
          this.#part = SECOND;
          break;
        case SECOND: {
          const second = bytes[i++]!;
          const short = second & 0x7f;
          this.#maskBytes = second & MASKED ? MASK_BYTES : 0;
          if (short >= 126) {
            this.#part = LENGTH;
            this.#left = short === 126 ? 2 : 8;
            this.#length = 0;
          } else this.#carries(short);
          break;
        }
        case LENGTH:
          this.#length = this.#length * 256 + bytes[i++]!;
          if (--this.#left === 0) this.#carries(this.#length);
          break;
        default: {
          const n = Math.min(this.#left, end - i);
          i += n;
          this.#left -= n;
          if (this.#left === 0) this.#part = FIRST;
        }
      }
      if (toBoundary && this.#part === FIRST) return i;
    }
    return i;
  }

  #carries(length: number): void {
    this.#left = length + this.#maskBytes;
    this.#part = this.#left === 0 ? FIRST : PAYLOAD;
  }
}

/** A Close frame (RFC 6455 5.5.1). `masked`: as clients must send it. */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const text = Buffer.from(reason, 'latin1').subarray(0, REASON_BYTES);
  const head = masked ? 2 + MASK_BYTES : 2;
  const frame = Buffer.alloc(head + 2 + text.length);
  frame[0] = FIN | CLOSE;
  frame[1] = (masked ? MASKED : 0) | (2 + text.length);
  frame.writeUInt16BE(code, head);
  text.copy(frame, head + 2);
  if (!masked) return frame;
  randomFillSync(frame, 2, MASK_BYTES);
  for (let i = head; i < frame.length; i++) frame[i]! ^= frame[2 + ((i - head) & 3)]!;
  return frame;
}

/** What a server must say to a key (RFC 6455 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}
