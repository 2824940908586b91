import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { acceptOf, closeFrame, FrameTracker } from './websocket-frames.ts';

function frame(opcode: number, length: number, masked: boolean): Buffer {
  const size = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const head = Buffer.alloc(2 + size + (masked ? 4 : 0), 0x88);
  head[0] = 0x80 | opcode;
  head[1] = (masked ? 0x80 : 0) | (size === 0 ? length : size === 2 ? 126 : 127);
  if (size === 2) head.writeUInt16BE(length, 2);
  if (size === 8) head.writeBigUInt64BE(BigInt(length), 2);
  // Payload that looks like Close frames, for whoever loses his place.
  return Buffer.concat([head, Buffer.alloc(length, 0x88)]);
}

/** A small generator, so that a failure can be seen again. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
}

test('it knows where frames end, however they are cut', () => {
  const roll = dice(7);
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];
  for (let round = 0; round < 200; round++) {
    const frames = Array.from({ length: 6 }, () => frame(Math.floor(roll() * 3), lengths[Math.floor(roll() * lengths.length)]!, roll() < 0.5));
    const ends = new Set<number>([0]);
    let total = 0;
    for (const one of frames) ends.add((total += one.length));
    const bytes = Buffer.concat(frames);
    const tracker = new FrameTracker();
    let at = 0;
    while (at < total) {
      const size = Math.min(total - at, roll() < 0.5 ? 1 + Math.floor(roll() * 5) : 1 + Math.floor(roll() * 60_000));
      expect(tracker.follow(bytes.subarray(at, at + size))).toBe(size);
      at += size;
      expect(tracker.isBetween).toBe(ends.has(at));
    }
    expect(tracker.saidClose).toBe(false);
  }
});

test('asked to, it stops at the end of a frame', () => {
  const [one, two] = [frame(1, 200, true), frame(2, 5, false)];
  const tracker = new FrameTracker();
  const both = Buffer.concat([one, two]);
  expect(tracker.follow(both.subarray(0, 10))).toBe(10);
  expect(tracker.follow(both.subarray(10), true)).toBe(one.length - 10);
  expect(tracker.isBetween).toBe(true);
  expect(tracker.follow(two.subarray(0, 3), true)).toBe(3);
  expect(tracker.isBetween).toBe(false);
});

test('it notices a Close frame, and takes none for one that is not', () => {
  const tracker = new FrameTracker();
  tracker.follow(frame(0x9, 4, false));
  tracker.follow(frame(0xa, 4, true));
  expect(tracker.saidClose).toBe(false);
  tracker.follow(frame(0x8, 2, true).subarray(0, 1));
  expect(tracker.saidClose).toBe(true);
});

test('a Close frame says code and reason, masked or not, and is one frame', () => {
  for (const masked of [false, true]) {
    const bytes = closeFrame(1001, 'going away', masked);
    const tracker = new FrameTracker();
    expect(tracker.follow(bytes, true)).toBe(bytes.length);
    expect([tracker.isBetween, tracker.saidClose]).toEqual([true, true]);
    expect((bytes[1]! & 0x80) !== 0).toBe(masked);
    const payload = Buffer.from(bytes.subarray(masked ? 6 : 2));
    if (masked) for (let i = 0; i < payload.length; i++) payload[i]! ^= bytes[2 + (i & 3)]!;
    expect([payload.readUInt16BE(0), payload.toString('latin1', 2)]).toEqual([1001, 'going away']);
  }
  expect(closeFrame(1011, 'x'.repeat(500), false).length).toBe(127);
});

test('the answer to a key is that of the RFC', () => {
  expect(acceptOf('dGhlIHNhbXBsZSBub25jZQ==')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});
