// HOT: isGrpc() runs per request.
import { Buffer } from 'node:buffer';
import type { Failure } from './failure.ts';
import { type Head, type HeaderList, ResponseHead, STRIDE } from './head.ts';
import { CONTENT_TYPE, GRPC_TIMEOUT } from './names.ts';

/** What a gRPC message begins its content type with; `application/grpc-web` is another protocol. */
export const GRPC_TYPE = 'application/grpc';

/** Status codes, beside those of the failure table. */
export const GRPC_OK = 0;
export const GRPC_UNKNOWN = 2;
export const GRPC_INVALID_ARGUMENT = 3;
export const GRPC_NOT_FOUND = 5;
export const GRPC_RESOURCE_EXHAUSTED = 8;
export const GRPC_UNIMPLEMENTED = 12;
export const GRPC_INTERNAL = 13;

/** Is this the head of a gRPC request or answer, by its content type? Makes no string, but for heads of our own making. */
export function isGrpc(head: Head): boolean {
  const at = head.first[CONTENT_TYPE]!;
  if (at === 0) return head.tail !== '' && isGrpcType(head.get('content-type') ?? '');
  const f = (at - 1) * STRIDE;
  const from = head.fields[f + 2]!;
  const length = head.fields[f + 3]! - from;
  if (length < GRPC_TYPE.length) return false;
  const { bytes } = head;
  // The last letters first: most other types differ there.
  for (let i = GRPC_TYPE.length - 1; i >= 0; i--) {
    const c = bytes[from + i]!;
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== GRPC_TYPE.charCodeAt(i)) return false;
  }
  return length === GRPC_TYPE.length || isBehindType(bytes[from + GRPC_TYPE.length]!);
}

/** The same of the type alone. */
export function isGrpcType(value: string): boolean {
  if (value.slice(0, GRPC_TYPE.length).toLowerCase() !== GRPC_TYPE) return false;
  return value.length === GRPC_TYPE.length || isBehindType(value.charCodeAt(GRPC_TYPE.length));
}

/** The type of gRPC-Web, and its form in base64. */
export const GRPC_WEB_TYPE = 'application/grpc-web';

/** `application/grpc-web`, in base64 (`-text`) or not, with what stands behind it: `+proto`, parameters; null for other types. */
export function readGrpcWebType(value: string): { readonly isText: boolean; readonly suffix: string } | null {
  const found = /^application\/grpc-web(-text)?((?:[+; ].*)?)$/i.exec(value.trim());
  return found === null ? null : { isText: found[1] !== undefined, suffix: found[2]! };
}

/** `+proto`, `;charset=x`, or the space that may stand before a parameter. */
function isBehindType(c: number): boolean {
  return c === 0x2b || c === 0x3b || c === 0x20;
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** Eight digits at most; 0 has passed already: what some clients send when nothing is left. */
const TIMEOUT_SHAPE = /^([0-9]{1,8})([HMSmun])$/;

/** How long the client of a gRPC request waits, ms with fractions; null when it does not say, NaN when what it says is no time. */
export function grpcTimeoutMs(head: Head): number | null {
  if (!head.has(GRPC_TIMEOUT) && head.tail === '') return null;
  const text = head.get('grpc-timeout');
  if (text === undefined) return null;
  const found = TIMEOUT_SHAPE.exec(text);
  return found === null ? Number.NaN : Number(found[1]) * UNIT_MS[found[2]!]!;
}

/** A time as the value of `grpc-timeout`, in the finest unit from milliseconds on that has eight digits for it; never 0. */
export function grpcTimeoutText(ms: number): string {
  for (const unit of 'mSM') {
    const count = Math.max(1, Math.ceil(ms / UNIT_MS[unit]!));
    if (count < 1e8) return `${count}${unit}`;
  }
  return `${Math.min(99_999_999, Math.ceil(ms / UNIT_MS['H']!))}H`;
}

/** The trailers that tell a gRPC client of a failure; never OK. */
export function grpcStatusFields({ grpcStatus, code, detail, retryAfterS }: Failure): HeaderList {
  const fields = grpcStatusOf(grpcStatus, detail === '' ? code : detail);
  return retryAfterS > 0 ? [...fields, ...pushbackOf(retryAfterS)] : fields;
}

/** Says when to try again to clients that have a retry policy: the Retry-After of gRPC. */
export function pushbackOf(retryAfterS: number): HeaderList {
  return ['grpc-retry-pushback-ms', String(retryAfterS * 1000)];
}

/** A status as trailers. */
export function grpcStatusOf(status: number, message: string): HeaderList {
  return message === '' ? ['grpc-status', String(status)] : ['grpc-status', String(status), 'grpc-message', encodeMessage(message)];
}

/** A failure as the whole answer to a gRPC request: a head with the status in it, and no body. */
export function trailersOnly(failure: Failure): ResponseHead {
  return headOnly(grpcStatusFields(failure));
}

/** These fields, a status among them, as the whole answer. */
export function headOnly(status: HeaderList): ResponseHead {
  return ResponseHead.make(200, ['content-type', GRPC_TYPE, ...status], 0);
}

/** Longest `grpc-message` that we send, characters: a head has other things to carry. */
const MESSAGE_CHARACTERS = 1024;

/** Percent-encodes what may not stand in the value of a field as it is ("Percent-Encoded" of the gRPC over HTTP/2 protocol). */
export function encodeMessage(message: string): string {
  const bytes = Buffer.from(message.slice(0, MESSAGE_CHARACTERS), 'utf8');
  let text = '';
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i]!;
    // A space at either end would be lost with the white space around a value.
    const plain = c >= 0x20 && c <= 0x7e && c !== 0x25 && (c !== 0x20 || (i > 0 && i < bytes.length - 1));
    text += plain ? String.fromCharCode(c) : `%${c.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}

/**
 * What an HTTP status that stands in for a gRPC one means: the mapping that gRPC's clients use themselves, but for 429 and 504, which say what they mean
 * (rule R3). For answers of ours; those of upstreams pass as they are.
 */
export function grpcOfHttpStatus(status: number): number {
  switch (status) {
    case 400:
      return GRPC_INTERNAL;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return GRPC_UNIMPLEMENTED;
    case 429:
      return GRPC_RESOURCE_EXHAUSTED;
    case 502:
    case 503:
      return 14;
    case 504:
      return 4;
    default:
      return GRPC_UNKNOWN;
  }
}
