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

/** The name of the service in a HealthCheckRequest; '' = the server as a whole. Null: these bytes are none. */
export function requestedService(bytes: Uint8Array): string | null {
  let service = '';
  const whole = eachField(bytes, (field, type, value, from) => {
    if (field === 1 && type === 2) service = Buffer.from(bytes.subarray(from, from + value)).toString('utf8');
  });
  return whole ? service : null;
}

/** A HealthCheckResponse as it goes out. */
export function healthAnswer(status: number): Buffer {
  return Buffer.from([0, 0, 0, 0, 2, 0x08, status]);
}

/** The state in a HealthCheckResponse: 0 unknown, 1 serving, 2 not serving, 3 service unknown, or what later versions say. Null: these bytes are none. */
export function servingStatus(bytes: Uint8Array): number | null {
  let status = 0;
  const whole = eachField(bytes, (field, type, value) => {
    if (field === 1 && type === 0) status = value;
  });
  return whole ? status : null;
}

/**
 * Visits the fields of the one message that these bytes are, its prefix included. `value`: the number itself, or the length of what stands at `from`.
 * @returns false when they are no such message
 */
function eachField(bytes: Uint8Array, visit: (field: number, type: number, value: number, from: number) => void): boolean {
  if (bytes.length < PREFIX_BYTES || bytes[0] !== 0) return false;
  const { buffer, byteOffset, length } = bytes;
  if (new DataView(buffer, byteOffset).getUint32(1) !== length - PREFIX_BYTES) return false;
  for (let at = PREFIX_BYTES; at < length;) {
    const tag = readVarint(bytes, at);
    if (tag === null) return false;
    const type = tag.value & 7;
    const number = WITH_VARINT.has(type) ? readVarint(bytes, tag.next) : null;
    const from = number?.next ?? tag.next;
    switch (type) {
      case 0:
        if (number === null) return false;
        at = from;
        break;
      case 1:
        at = from + 8;
        break;
      case 2:
        if (number === null) return false;
        at = from + number.value;
        break;
      case 5:
        at = from + 4;
        break;
      default:
        return false;
    }
    if (at > length) return false;
    visit(tag.value >> 3, type, number?.value ?? 0, from);
  }
  return true;
}

/** In front of each message of gRPC: is it compressed, and its length. */
const PREFIX_BYTES = 5;

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
