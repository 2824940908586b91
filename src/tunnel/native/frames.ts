// HOT: frame headers and credits are written and read per message.
import type { Buffer } from 'node:buffer';
import { fieldLine, type HeaderList } from '../../http/head.ts';
import type { TunnelLimits } from '../limits.ts';

/** Bytes of a frame header: length u24, type u8, flags u8, stream u32, all big-endian. */
export const HEADER_BYTES = 9;

// Frame types: SPEC.md section 3.
export const HELLO = 0x01;
export const WELCOME = 0x02;
export const BYE = 0x03;
export const GOAWAY = 0x04;
export const OPEN = 0x10;
export const HEAD = 0x11;
export const INFO = 0x12;
export const DATA = 0x13;
export const END = 0x14;
export const CREDIT = 0x15;
export const CANCEL = 0x16;
export const RESET = 0x17;
export const REFUSED = 0x18;
export const SLOTS = 0x20;
export const WAITING = 0x21;
export const PING = 0x40;
export const PONG = 0x41;
/** Reserved for resuming a session after a lost connection. */
export const ACK = 0x42;
export const RESUME = 0x43;
/** A type with this bit may be skipped by who does not know it. */
export const SKIPPABLE = 0x80;

// Flags.
/** The sender's body ends with this frame. */
export const F_END = 0x01;
/** The agent's slot of this stream is free again, and nothing more of the request is wanted. */
export const F_RELEASED = 0x02;
/** The message has no body, whatever its text says (HEAD, 204, 304). */
export const F_NO_BODY = 0x04;
/** The body's length is not known beforehand. */
export const F_UNKNOWN_LENGTH = 0x08;
/** The client waits for 100 (Continue) before it sends the body. */
export const F_EXPECT = 0x10;

/** In SLOTS: the agent has other hubs as well, and wants to know who waits here. */
export const F_SHARED = 0x20;

/** Bytes of OPEN before its typed fields: deadline u32, length of the fields u16, length of the head u16. */
export const OPEN_FIXED = 8;
/** Bytes of HEAD and INFO before their typed fields: length of the fields u16, length of the head u16. */
export const HEAD_FIXED = 4;

// Types of typed fields (u8 type, u16 length, value).
/** In OPEN: empty, the agent is asked for its times. In HEAD: those times. */
export const T_TIMES = 0x03;
export const T_TRAILERS = 0x05;
/** In OPEN: u8, what is to become of the service's work when the client leaves. */
export const T_ON_ABORT = 0x06;

const NAMES: Readonly<Record<number, string>> = {
  [HELLO]: 'HELLO',
  [WELCOME]: 'WELCOME',
  [BYE]: 'BYE',
  [GOAWAY]: 'GOAWAY',
  [OPEN]: 'OPEN',
  [HEAD]: 'HEAD',
  [INFO]: 'INFO',
  [DATA]: 'DATA',
  [END]: 'END',
  [CREDIT]: 'CREDIT',
  [CANCEL]: 'CANCEL',
  [RESET]: 'RESET',
  [REFUSED]: 'REFUSED',
  [SLOTS]: 'SLOTS',
  [WAITING]: 'WAITING',
  [PING]: 'PING',
  [PONG]: 'PONG',
  [ACK]: 'ACK',
  [RESUME]: 'RESUME',
};

/** A frame type for people. */
export function frameName(type: number): string {
  return NAMES[type] ?? `type 0x${type.toString(16).padStart(2, '0')}`;
}

/** Per type, the smallest and the largest payload; what is not listed is not spoken here. */
export function frameBounds(limits: TunnelLimits): { min: Uint32Array; max: Int32Array } {
  const min = new Uint32Array(256);
  const max = new Int32Array(256).fill(-1);
  const set = (type: number, from: number, to: number): void => {
    min[type] = from;
    max[type] = to;
  };
  const message = limits.fieldsBytes + limits.headBytes + limits.inlineBytes;
  set(HELLO, 2, limits.helloBytes);
  set(WELCOME, 2, 64 * 1024);
  set(BYE, 2, 4 * 1024);
  set(GOAWAY, 2, 4 * 1024);
  set(OPEN, OPEN_FIXED, OPEN_FIXED + message);
  set(HEAD, HEAD_FIXED, HEAD_FIXED + message);
  set(INFO, HEAD_FIXED, HEAD_FIXED + limits.fieldsBytes + limits.headBytes);
  set(DATA, 0, limits.dataBytes);
  set(END, 0, limits.fieldsBytes + limits.trailerBytes);
  set(CREDIT, 4, 4);
  set(CANCEL, 0, 64);
  set(RESET, 2, 2 + 64 + 4 * limits.detailLength);
  set(REFUSED, 0, limits.fieldsBytes);
  set(SLOTS, 12, 12);
  set(WAITING, 8, 8);
  set(PING, 8, 8);
  set(PONG, 8, 8);
  for (let type = SKIPPABLE; type < 256; type++) set(type, 0, 64 * 1024);
  return { min, max };
}

/**
 * What a frame costs of the peer's budget (`costPerSecond`). Frames that carry an exchange on are cheap; those of which an honest peer sends
 * few are dear, so that a flood of them ends long before it is felt.
 */
export const COST: Uint16Array = (() => {
  const cost = new Uint16Array(256).fill(100);
  for (const type of [OPEN, HEAD, DATA, END]) cost[type] = 2;
  cost[CREDIT] = 10;
  for (const type of [RESET, REFUSED, CANCEL, INFO, SLOTS]) cost[type] = 20;
  cost[PING] = cost[PONG] = 1_000;
  return cost;
})();
/** What a DATA frame of fewer bytes than TINY_BYTES costs. */
export const TINY_COST = 10;
export const TINY_BYTES = 16;
/** What an empty DATA frame without END costs: it says nothing. */
export const EMPTY_COST = 200;

/** Writes a frame header. @returns the offset behind it */
export function writeHeader(out: Uint8Array, at: number, length: number, type: number, flags: number, stream: number): number {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  return writeU32(out, at + 5, stream);
}

/** Writes a frame's length anew. */
export function patchLength(out: Uint8Array, at: number, length: number): void {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
}

export function writeU16(out: Uint8Array, at: number, n: number): number {
  out[at] = n >>> 8;
  out[at + 1] = n;
  return at + 2;
}

export function writeU32(out: Uint8Array, at: number, n: number): number {
  out[at] = n >>> 24;
  out[at + 1] = n >>> 16;
  out[at + 2] = n >>> 8;
  out[at + 3] = n;
  return at + 4;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function readU24(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Are bytes[start..end) well-formed typed fields? Unknown types are nobody's business. */
export function fieldsFit(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    if (end - at < 3) return false;
    at += 3 + readU16(bytes, at + 1);
  }
  return at === end;
}

/** The value of the first typed field of that type within bytes[start..end), which fit; null when there is none. */
export function fieldValue(bytes: Buffer, start: number, end: number, type: number): Buffer | null {
  for (let at = start; at < end;) {
    const length = readU16(bytes, at + 1);
    if (bytes[at] === type) return bytes.subarray(at + 3, at + 3 + length);
    at += 3 + length;
  }
  return null;
}

/** Is the text of these trailers no longer than that? What is longer would break the session at the other end. */
export function trailersFit(trailers: HeaderList, bytes: number): boolean {
  let sum = 0;
  for (let i = 0; i < trailers.length; i += 2) sum += trailers[i]!.length + trailers[i + 1]!.length + FIELD_LINE_BYTES;
  return sum <= bytes;
}

/** Colon, space and line end. */
const FIELD_LINE_BYTES = 4;

/** Trailers as the text that travels. @throws RangeError, see fieldLine */
export function trailerText(trailers: HeaderList): string {
  let text = '';
  for (let i = 0; i < trailers.length; i += 2) text += fieldLine(trailers[i]!, trailers[i + 1]!);
  return text;
}

/** Framing, routing and authorisation never come from a trailer (RFC 9110 6.5.1). */
const NO_TRAILER: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'host',
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'content-type',
  'content-encoding',
  'content-range',
  'cache-control',
]);

/** Reads trailers, strictly; fields that may not be trailers are left out. @returns null when the text is not field lines */
export function parseTrailers(text: string): string[] | null {
  const out: string[] = [];
  if (text === '') return out;
  if (!text.endsWith('\r\n')) return null;
  for (const line of text.slice(0, -2).split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) return null;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
    try {
      fieldLine(name, value);
    } catch {
      return null;
    }
    if (!NO_TRAILER.has(name.toLowerCase())) out.push(name, value);
  }
  return out;
}

/** One line of at most `max` characters that is safe in any log and answer. */
export function plainText(text: string, max: number): string {
  let out = '';
  for (const character of text) {
    if (out.length >= max) break;
    const c = character.codePointAt(0)!;
    out += c < 0x20 || (c >= 0x7f && c < 0xa0) || c === 0x2028 || c === 0x2029 ? ' ' : character;
  }
  return out.slice(0, max);
}
