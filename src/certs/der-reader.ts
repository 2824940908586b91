import type { Buffer } from 'node:buffer';

/** An element of DER as it lies in a buffer. */
export interface DerElement {
  readonly tag: number;
  readonly value: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

/** The elements that follow each other in these bytes. @throws RangeError when they are cut off or no DER */
export function elementsOf(bytes: Buffer): DerElement[] {
  const found: DerElement[] = [];
  for (let at = 0; at < bytes.length;) {
    const one = elementAt(bytes, at);
    found.push(one);
    at += one.whole.length;
  }
  return found;
}

function elementAt(bytes: Buffer, at: number): DerElement {
  let begin = at + 2;
  let length = bytes.readUInt8(at + 1);
  if (length >= 0x80) {
    const count = length & 0x7f;
    length = count >= 1 && count <= 4 ? bytes.readUIntBE(begin, count) : Infinity;
    begin += count;
  }
  if (begin + length > bytes.length) throw new RangeError('an element is longer than what is there');
  return { tag: bytes[at]!, value: bytes.subarray(begin, begin + length), whole: bytes.subarray(at, begin + length) };
}
