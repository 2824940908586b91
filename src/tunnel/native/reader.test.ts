import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { frame } from '../../../test/kit/tunnel.ts';
import { tunnelLimits } from '../limits.ts';
import { CREDIT, DATA, frameBounds, HEAD, HELLO, OPEN, PING, SKIPPABLE } from './frames.ts';
import { FrameReader, type FrameUser } from './reader.ts';

const bounds = frameBounds(tunnelLimits);

class Seen implements FrameUser {
  readonly events: string[] = [];
  reason = '';
  #data = '';

  frame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    this.events.push(`${type}/${flags}/${stream}:${bytes.toString('hex', start, end)}`);
  }

  data(flags: number, stream: number, bytes: Buffer, start: number, end: number, left: number, first: boolean): void {
    if (first) this.#data = '';
    this.#data += bytes.toString('hex', start, end);
    if (left === 0) this.events.push(`D/${flags}/${stream}:${this.#data}`);
  }

  broken(reason: string): void {
    this.reason = reason;
  }
}

function read(bytes: Buffer, cuts: readonly number[]): Seen {
  const seen = new Seen();
  const reader = new FrameReader(seen, bounds);
  let at = 0;
  const ends = cuts.map((cut) => cut % (bytes.length + 1));
  ends.sort((a, b) => a - b);
  for (const end of [...ends, bytes.length]) {
    // A fresh copy each, overwritten after: what is still used later would be seen.
    const chunk = Buffer.from(bytes.subarray(at, end));
    reader.read(chunk, 0, chunk.length);
    chunk.fill(0xee);
    at = end;
  }
  return seen;
}

const anyFrame = fc.oneof(
  fc.tuple(fc.constant(DATA), fc.uint8Array({ maxLength: 300 })),
  fc.tuple(fc.constant(HEAD), fc.uint8Array({ minLength: 4, maxLength: 100 })),
  fc.tuple(fc.constant(OPEN), fc.uint8Array({ minLength: 8, maxLength: 100 })),
  fc.tuple(fc.constant(PING), fc.uint8Array({ minLength: 8, maxLength: 8 })),
  fc.tuple(fc.constant(CREDIT), fc.uint8Array({ minLength: 4, maxLength: 4 })),
  fc.tuple(fc.integer({ min: SKIPPABLE, max: 255 }), fc.uint8Array({ maxLength: 50 })),
);

describe('the frame reader', () => {
  test('sees the same frames however the byte stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyFrame, fc.nat(255), fc.nat(0xffff_ffff)), { maxLength: 12 }),
        fc.array(fc.nat(5_000), { maxLength: 30 }),
        (frames, cuts) => {
          const bytes = Buffer.concat(frames.map(([[type, payload], flags, stream]) => frame(type, flags, stream, payload)));
          const expected = frames.map(([[type, payload], flags, stream]) => {
            const hex = Buffer.from(payload).toString('hex');
            return type === DATA ? `D/${flags}/${stream}:${hex}` : `${type}/${flags}/${stream}:${hex}`;
          });
          expect(read(bytes, cuts).events).toEqual(expected);
          expect(
            read(
              bytes,
              Array.from({ length: bytes.length }, (_, i) => i),
            ).events,
          ).toEqual(expected);
        },
      ),
    );
  });

  test('[threat 39] refuses a length over its type’s bound as soon as the header is there, holding nothing', () => {
    for (const [type, length] of [
      [HELLO, tunnelLimits.helloBytes + 1],
      [DATA, tunnelLimits.dataBytes + 1],
      [PING, 9],
      [PING, 7],
      [OPEN, 0xff_ffff],
      [0x30, 0],
    ] as const) {
      const header = frame(type, 0, 0);
      header[0] = length >> 16;
      header[1] = (length >> 8) & 255;
      header[2] = length & 255;
      const seen = new Seen();
      const reader = new FrameReader(seen, bounds);
      for (const byte of header) reader.read(Buffer.from([byte]), 0, 1);
      expect(seen.reason, `type ${type}`).not.toBe('');
      expect(reader.bufferedBytes).toBe(0);
    }
  });

  test('takes each bound at exactly its value', () => {
    for (const [type, length] of [
      [DATA, tunnelLimits.dataBytes],
      [HELLO, tunnelLimits.helloBytes],
      [HEAD, 4 + tunnelLimits.fieldsBytes + tunnelLimits.headBytes + tunnelLimits.inlineBytes],
    ] as const) {
      const seen = read(frame(type, 0, 1, Buffer.alloc(length)), [5, 100, 9_000]);
      expect(seen.reason).toBe('');
      expect(seen.events).toHaveLength(1);
    }
  });

  test('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400), { maxLength: 10 }), (bytes, cuts) => {
        read(Buffer.from(bytes), cuts);
      }),
    );
  });
});
