import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tunnelLimits } from '../limits.ts';
import {
  fieldsFit,
  fieldValue,
  frameBounds,
  HEADER_BYTES,
  parseTrailers,
  plainText,
  readU16,
  readU24,
  readU32,
  SKIPPABLE,
  trailerText,
  writeHeader,
  writeU16,
  writeU32,
} from './frames.ts';
import { readFarewell, readHello, readWelcome, writeFarewell, writeHello, writeWelcome } from './hello.ts';

describe('the frame codec', () => {
  test('reads back every header it writes', () => {
    fc.assert(
      fc.property(fc.nat(0xff_ffff), fc.nat(255), fc.nat(255), fc.nat(0xffff_ffff), fc.nat(20), (length, type, flags, stream, at) => {
        const out = Buffer.alloc(at + HEADER_BYTES, 0xaa);
        expect(writeHeader(out, at, length, type, flags, stream)).toBe(at + HEADER_BYTES);
        expect([readU24(out, at), out[at + 3], out[at + 4], readU32(out, at + 5)]).toEqual([length, type, flags, stream]);
      }),
    );
  });

  test('reads back every number it writes', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffff_ffff), (a, b) => {
        const out = Buffer.alloc(6);
        writeU32(out, writeU16(out, 0, a), b);
        expect([readU16(out, 0), readU32(out, 2)]).toEqual([a, b]);
      }),
    );
  });

  test('finds typed fields by their type and refuses those that run over their end', () => {
    const field = fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(fc.array(field, { maxLength: 8 }), fc.nat(255), (fields, wanted) => {
        const bytes = Buffer.concat(fields.map(([type, value]) => Buffer.concat([Buffer.from([type, 0, value.length]), value])));
        expect(fieldsFit(bytes, 0, bytes.length)).toBe(true);
        if (bytes.length > 0) expect(fieldsFit(bytes, 0, bytes.length - 1)).toBe(false);
        const first = fields.find(([type]) => type === wanted);
        const found = fieldValue(bytes, 0, bytes.length, wanted);
        expect(found === null ? null : [...found]).toEqual(first === undefined ? null : [...first[1]]);
      }),
    );
  });

  test('knows bounds for every frame it speaks, and lets every skippable type through', () => {
    const { max } = frameBounds(tunnelLimits);
    expect(max[0x05]).toBe(-1);
    expect(max[0x7f]).toBe(-1);
    for (let type = SKIPPABLE; type < 256; type++) expect(max[type]).toBe(65_536);
  });
});

describe('trailers', () => {
  test('survive the way through text', () => {
    expect(parseTrailers(trailerText(['X-Sum', '1', 'x-two', 'a b']))).toEqual(['X-Sum', '1', 'x-two', 'a b']);
    expect(parseTrailers('')).toEqual([]);
  });

  test.each([['X-A: 1'], ['X-A: 1\r\n\r\n'], [': 1\r\n'], ['X A: 1\r\n'], ['X-A: 1\nX-B: 2\r\n'], ['X-A: \0\r\n'], [' folded\r\n']])(
    'that are no field lines are refused: %j',
    (text) => {
      expect(parseTrailers(text)).toBeNull();
    },
  );

  test('never carry framing, routing or authorisation', () => {
    expect(parseTrailers('Content-Length: 5\r\nX-A: 1\r\nHost: evil\r\nAuthorization: x\r\nTransfer-Encoding: chunked\r\n')).toEqual(['X-A', '1']);
  });
});

describe('HELLO, WELCOME and BYE', () => {
  const hello = {
    versions: [1],
    software: 'windlass/1.2.3',
    agent: 'a-1',
    instance: 'i-1',
    labels: new Map([['zone', 'eu']]),
    hardware: { cpuCores: 8, cpuModel: 'x', memoryBytes: 1024, gpus: ['g'], platform: 'linux', arch: 'x64' },
    slots: { total: 4, free: 2 },
  };

  test('are read as they were written', () => {
    const bytes = writeHello(hello);
    expect(readHello(bytes, 0, bytes.length, tunnelLimits)).toEqual(hello);
    // Other programs may not say what they are, or say it with what no terminal should see.
    for (const [software, read] of [
      [undefined, ''],
      [7, ''],
      ['evil\u001b[2J', plainText('evil\u001b[2J', 64)],
    ] as const) {
      const other = Buffer.from(JSON.stringify({ ...hello, labels: {}, software }));
      expect(readHello(other, 0, other.length, tunnelLimits)).toMatchObject({ software: read });
    }
    const welcome = { version: 1, hub: 'h', session: 's', siblings: [{ id: 'h2', address: 'https://h2.example' }] };
    const other = writeWelcome(welcome);
    expect(readWelcome(other, 0, other.length)).toEqual(welcome);
    const bye = { code: 'c', reason: 'why', retryAfterMs: 5 };
    const third = writeFarewell(bye);
    expect(readFarewell(third, 0, third.length, tunnelLimits)).toEqual(bye);
  });

  test.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['no common version', JSON.stringify({ ...hello, labels: {}, versions: [2] })],
    ['an agent id with a line break', JSON.stringify({ ...hello, labels: {}, agent: 'a\r\nX: 1' })],
    ['an agent id of 129 characters', JSON.stringify({ ...hello, labels: {}, agent: 'a'.repeat(129) })],
    ['no instance', JSON.stringify({ ...hello, labels: {}, instance: 5 })],
    ['more free slots than slots', JSON.stringify({ ...hello, labels: {}, slots: { total: 1, free: 2 } })],
    ['a fraction of a slot', JSON.stringify({ ...hello, labels: {}, slots: { total: 1.5, free: 1 } })],
    ['negative slots', JSON.stringify({ ...hello, labels: {}, slots: { total: -1, free: -1 } })],
    ['65 labels', JSON.stringify({ ...hello, labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, ''])) })],
    ['a label that is no text', JSON.stringify({ ...hello, labels: { a: 5 } })],
    ['a label with a control character', JSON.stringify({ ...hello, labels: { a: 'x\u001b[2J' } })],
    ['a label name with a space', JSON.stringify({ ...hello, labels: { 'a b': '' } })],
  ])('HELLO is refused with a reason: %s', (_what, text) => {
    const bytes = Buffer.from(text);
    expect(readHello(bytes, 0, bytes.length, tunnelLimits)).toBeTypeOf('string');
  });

  test('HELLO takes any JSON without throwing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const bytes = Buffer.from(JSON.stringify(value));
        readHello(bytes, 0, bytes.length, tunnelLimits);
        readWelcome(bytes, 0, bytes.length);
        readFarewell(bytes, 0, bytes.length, tunnelLimits);
      }),
    );
  });
});

test('text of a peer becomes one bounded line', () => {
  expect(plainText('a\r\nb\u001b[31m\u2028c', 100)).toBe('a  b [31m c');
  expect(plainText('x'.repeat(500), 300)).toHaveLength(300);
});
