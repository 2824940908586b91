import { Buffer } from 'node:buffer';

/** A HealthCheckRequest of grpc.health.v1 as it goes out: not compressed, its length, and the service's name in field 1. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  // proto3 leaves out what is empty.
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The state in a HealthCheckResponse: 0 unknown, 1 serving, 2 not serving, 3 service unknown, or what later versions say. Null: these bytes are none. */
export function servingStatus(bytes: Uint8Array): number | null {
  if (bytes.length < 5 || bytes[0] !== 0) return null;
  const { buffer, byteOffset } = bytes;
  const message = bytes.subarray(5);
  if (new DataView(buffer, byteOffset).getUint32(1) !== message.length) return null;
  let status = 0;
  for (let at = 0; at < message.length;) {
    const tag = readVarint(message, at);
    if (tag === null) return null;
    at = tag.next;
    const value = WITH_VARINT.has(tag.value & 7) ? readVarint(message, at) : null;
    switch (tag.value & 7) {
      case 0:
        if (value === null) return null;
        if (tag.value >> 3 === 1) status = value.value;
        at = value.next;
        break;
      case 1:
        at += 8;
        break;
      case 2:
        if (value === null) return null;
        at = value.next + value.value;
        break;
      case 5:
        at += 4;
        break;
      default:
        return null;
    }
    if (at > message.length) return null;
  }
  return status;
}

/** Wire types whose field goes on with a number: the value itself, or its length. */
const WITH_VARINT: ReadonlySet<number> = new Set([0, 2]);

function varint(n: number): number[] {
  const bytes: number[] = [];
  for (; n > 127; n >>>= 7) bytes.push((n & 127) | 128);
  bytes.push(n);
  return bytes;
}

/** No number here needs more than 28 bits; one that does is refused. */
function readVarint(bytes: Uint8Array, at: number): { value: number; next: number } | null {
  let value = 0;
  for (let i = 0; i < 4; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return null;
    value |= (byte & 127) << (7 * i);
    if (byte < 128) return { value, next: at + i + 1 };
  }
  return null;
}
