import { Buffer } from 'node:buffer';

/** DER (X.690), as much of it as certificates and requests for them need: each function makes one element, tag and length included. */
export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return element(0x30, Buffer.concat(parts));
}

/** A set of one, which needs no order. */
export function setOf(part: Uint8Array): Buffer {
  return element(0x31, part);
}

/** A number that is not negative, big endian. */
export function integer(value: number | Uint8Array): Buffer {
  let bytes = typeof value === 'number' ? Buffer.from(value.toString(16).padStart(8, '0'), 'hex') : Buffer.from(value);
  while (bytes.length > 1 && bytes[0] === 0) bytes = bytes.subarray(1);
  // The first bit is the sign.
  return element(0x02, bytes[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}

/** `1.2.840.10045.4.3.2` */
export function oid(dotted: string): Buffer {
  const [first, second, ...others] = dotted.split('.').map(Number);
  return element(0x06, Buffer.from([first! * 40 + second!, ...others.flatMap(base128)]));
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return bytes;
}

export function nothing(): Buffer {
  return element(0x05, Buffer.alloc(0));
}

export function truth(): Buffer {
  return element(0x01, Buffer.of(0xff));
}

export function octets(bytes: Uint8Array): Buffer {
  return element(0x04, bytes);
}

/** `unused`: bits at the end that mean nothing. */
export function bits(bytes: Uint8Array, unused = 0): Buffer {
  return element(0x03, Buffer.concat([Buffer.of(unused), bytes]));
}

export function utf8(text: string): Buffer {
  return element(0x0c, Buffer.from(text));
}

/** A moment, wall-clock ms, without its fraction of a second: in two digits for the year until 2049 (RFC 5280 4.1.2.5). */
export function time(ms: number): Buffer {
  const digits = `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`;
  const isShort = digits < '2050';
  return element(isShort ? 0x17 : 0x18, Buffer.from(isShort ? digits.slice(2) : digits, 'latin1'));
}

/** `[n]` around whole elements. */
export function tagged(n: number, ...parts: readonly Uint8Array[]): Buffer {
  return element(0xa0 | n, Buffer.concat(parts));
}

/** `[n]` in place of an element's own tag. */
export function retagged(n: number, bytes: Uint8Array): Buffer {
  return element(0x80 | n, bytes);
}

function element(tag: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag), lengthOf(value.length), value]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const bytes = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}
