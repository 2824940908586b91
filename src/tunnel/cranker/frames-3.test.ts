import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  FRAME_HEAD,
  FrameView,
  HEADER,
  headerFlags,
  headerPieceEnd,
  HeadPieces,
  MAX_ID,
  readFrame,
  readIncrement,
  readResetCode,
  readResetText,
  RESET_ROOM,
  RST_STREAM,
  WINDOW_UPDATE,
  WINDOW_UPDATE_BYTES,
  writeFrameHead,
  writeReset,
  writeWindowUpdate,
} from './frames-3.ts';

describe('frames of Cranker 3.0', () => {
  test('are the bytes that mu-cranker-router and cranker-connector exchange', () => {
    const out = Buffer.alloc(RESET_ROOM);
    writeWindowUpdate(out, 0, 1, 24);
    expect(out.subarray(0, WINDOW_UPDATE_BYTES).toString('hex')).toBe('08000000000100000018');
    writeFrameHead(out, 0, HEADER, END_HEADERS | END_STREAM, 1);
    expect(out.subarray(0, FRAME_HEAD).toString('hex')).toBe('010500000001');
    const end = writeReset(out, 0, 1, 1011, 'boom');
    expect(out.subarray(0, end).toString('hex')).toBe('030000000001000003f3626f6f6d');
    writeFrameHead(out, 0, DATA, END_STREAM, 1);
    expect(out.subarray(0, FRAME_HEAD).toString('hex')).toBe('000100000001');
  });

  test('read back as they were written', () => {
    const frame = new FrameView();
    fc.assert(
      fc.property(fc.nat(255), fc.nat(255), fc.nat(MAX_ID), fc.nat(20), fc.uint8Array({ maxLength: 50 }), (type, flags, id, at, payload) => {
        const out = Buffer.alloc(at + FRAME_HEAD + payload.length, 0xaa);
        out.set(payload, writeFrameHead(out, at, type, flags, id));
        expect(readFrame(frame, out, at, out.length)).toBe(true);
        expect([frame.type, frame.flags, frame.id]).toEqual([type, flags, id]);
        expect(out.subarray(frame.start, frame.end)).toEqual(Buffer.from(payload));
      }),
    );
  });

  test('are never read beyond their message, whatever it holds', () => {
    const frame = new FrameView();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), fc.nat(5), (junk, at) => {
        const message = Buffer.concat([Buffer.alloc(at, 1), junk, Buffer.alloc(16, 0x7f)]);
        const end = at + junk.length;
        if (!readFrame(frame, message, at, end)) {
          expect(junk.length).toBeLessThan(FRAME_HEAD);
          return;
        }
        expect(frame.start).toBeLessThanOrEqual(end);
        expect(frame.end).toBe(end);
        const rest = junk.length - FRAME_HEAD;
        if (rest < 4) {
          expect(readIncrement(frame, message)).toBe(-1);
          expect(readResetCode(frame, message)).toBe(-1);
        }
        expect(Buffer.byteLength(readResetText(frame, message), 'latin1')).toBeLessThanOrEqual(Math.max(0, rest - 4));
      }),
    );
  });

  test('with a negative increment say so, and zero is one', () => {
    const out = Buffer.alloc(WINDOW_UPDATE_BYTES);
    const frame = new FrameView();
    for (const [increment, read] of [
      [0, 0],
      [MAX_ID, MAX_ID],
      [-5, -1],
    ] as const) {
      writeWindowUpdate(out, 0, 7, increment);
      readFrame(frame, out, 0, out.length);
      expect(frame.type).toBe(WINDOW_UPDATE);
      expect(readIncrement(frame, out)).toBe(read);
    }
  });

  test('that reset a stream may lack code and text', () => {
    const out = Buffer.alloc(RESET_ROOM);
    const frame = new FrameView();
    readFrame(frame, out, 0, writeFrameHead(out, 0, RST_STREAM, 0, 3));
    expect([readResetCode(frame, out), readResetText(frame, out)]).toEqual([-1, '']);
    readFrame(frame, out, 0, writeReset(out, 0, 3, 1, 'ü'.repeat(1000)));
    expect([readResetCode(frame, out), readResetText(frame, out)]).toEqual([1, 'ü'.repeat(100)]);
  });

  test('cut a long head into pieces that end with characters, and only the last one says that it ends', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.integer({ min: 4, max: 40 }), (given, most) => {
        const text = Buffer.from(given);
        const pieces = new HeadPieces();
        const flags: number[] = [];
        let from = 0;
        do {
          const end = headerPieceEnd(text, from, text.length, most);
          expect(end - from).toBeLessThanOrEqual(most);
          expect(Buffer.from(text.subarray(from, end).toString()).equals(text.subarray(from, end))).toBe(true);
          flags.push(headerFlags(end === text.length, false));
          if (!pieces.add(text.subarray(from, end), 100_000)) return;
          from = end;
        } while (from < text.length);
        expect(pieces.take().toString()).toBe(given);
        expect(flags.pop()).toBe(END_HEADERS | END_STREAM);
        expect(flags.every((one) => one === 0)).toBe(true);
      }),
    );
  });

  test('with too much of a head, or too many pieces of it, are not kept', () => {
    const pieces = new HeadPieces();
    expect(pieces.add(Buffer.alloc(60), 100)).toBe(true);
    expect(pieces.add(Buffer.alloc(41), 100)).toBe(false);
    const many = new HeadPieces();
    let taken = 0;
    while (many.add(Buffer.alloc(0), 100)) taken++;
    expect(taken).toBe(64);
  });
});
