// HOT: one call per exchange and end.
import type { Buffer } from 'node:buffer';
import type { OnAbort } from '../../http/client-h1.ts';
import { keepMetadata } from '../../http/grpc-metadata.ts';
import { NO_BODY, type RequestHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import type { HttpLimits } from '../../http/limits.ts';
import { parseRequest } from '../../http/parse.ts';
import { requestRoom, writeRequest } from '../../http/write.ts';
import {
  F_END,
  F_EXPECT,
  F_NO_BODY,
  F_UNKNOWN_LENGTH,
  fieldsFit,
  fieldValue,
  HEADER_BYTES,
  OPEN,
  OPEN_FIXED,
  patchLength,
  readU16,
  T_ON_ABORT,
  T_TIMES,
  writeHeader,
  writeU16,
  writeU32,
} from './frames.ts';

/** By their numbers on the wire. */
const ON_ABORT: readonly OnAbort[] = ['cancel', 'drain', 'drain_capped'];
/** Bytes of its typed field. */
const ON_ABORT_BYTES = 4;
/** Bytes of the typed field that asks for times. */
const ASK_TIMES_BYTES = 3;

/** What stands for the host of an HTTP/1.0 request that named none: the agent replaces it anyway. */
const NO_HOST = 'localhost';

/** Bytes that writeOpen() needs at most. */
export function openRoom(head: RequestHead): number {
  return HEADER_BYTES + OPEN_FIXED + ON_ABORT_BYTES + ASK_TIMES_BYTES + requestRoom(head, NO_HOST);
}

/** The flags of the OPEN frame for this head. END stands there when it is certain that no body byte follows. */
export function openFlags(head: RequestHead): number {
  let flags = head.expectContinue ? F_EXPECT : 0;
  if (head.length === UNKNOWN_LENGTH) flags |= F_UNKNOWN_LENGTH;
  else if (head.length === NO_BODY) flags |= head.upgrade === '' ? F_NO_BODY | F_END : F_NO_BODY;
  return flags;
}

/** Bytes of the typed fields of an OPEN frame. */
export function openFieldBytes(onAbort: OnAbort | null, asksTimes: boolean): number {
  return (onAbort === null ? 0 : ON_ABORT_BYTES) + (asksTimes ? ASK_TIMES_BYTES : 0);
}

/** Writes an OPEN frame. @returns the offset behind it; the head's text is too long for a frame when that makes it longer than `headBytes` */
export function writeOpen(
  head: RequestHead,
  flags: number,
  stream: number,
  deadlineMs: number,
  onAbort: OnAbort | null,
  asksTimes: boolean,
  out: Buffer,
  from: number,
): number {
  let at = writeHeader(out, from, 0, OPEN, flags, stream);
  at = writeU32(out, at, deadlineMs);
  at = writeU16(out, at, openFieldBytes(onAbort, asksTimes));
  let textAt = at + 2;
  if (onAbort !== null) {
    out[textAt] = T_ON_ABORT;
    writeU16(out, textAt + 1, 1);
    out[textAt + 3] = ON_ABORT.indexOf(onAbort);
    textAt += ON_ABORT_BYTES;
  }
  if (asksTimes) {
    out[textAt] = T_TIMES;
    textAt = writeU16(out, textAt + 1, 0);
  }
  const end = writeRequest(head, head.newAuthority === null && head.authorityEnd === head.authorityStart ? NO_HOST : '', false, out, textAt);
  writeU16(out, at, end - textAt);
  patchLength(out, from, end - from - HEADER_BYTES);
  return end;
}

/** What the hub asks for, should the client leave; null when it asks for nothing. The payload has been read by readOpen(). */
export function readOnAbort(bytes: Buffer, start: number): OnAbort | null {
  const length = readU16(bytes, start + 4);
  if (length === 0) return null;
  const value = fieldValue(bytes, start + OPEN_FIXED, start + OPEN_FIXED + length, T_ON_ABORT);
  return value === null || value.length !== 1 ? null : (ON_ABORT[value[0]!] ?? null);
}

/** Does the hub ask for the agent's times? The payload has been read by readOpen(). */
export function asksForTimes(bytes: Buffer, start: number): boolean {
  const length = readU16(bytes, start + 4);
  return length > 0 && fieldValue(bytes, start + OPEN_FIXED, start + OPEN_FIXED + length, T_TIMES) !== null;
}

/**
 * Reads the payload of an OPEN frame, bytes[start..end), into `head`. The first body bytes are bytes[head.end..end).
 * @returns null when the lengths do not fit, false when the head is refused (see head.problem)
 */
export function readOpen(head: RequestHead, flags: number, bytes: Buffer, start: number, end: number, limits: HttpLimits): boolean | null {
  const fieldsAt = start + OPEN_FIXED;
  const fieldsEnd = fieldsAt + readU16(bytes, start + 4);
  const textEnd = fieldsEnd + readU16(bytes, start + 6);
  if (textEnd > end || (fieldsEnd > fieldsAt && !fieldsFit(bytes, fieldsAt, fieldsEnd))) return null;
  const at = parseRequest(head, bytes, fieldsEnd, textEnd, limits);
  if (at !== textEnd) {
    if (at >= 0) {
      head.problem = 'bad_request';
      head.problemDetail = at === 0 ? 'a head that does not end' : 'bytes behind the head';
    }
    return false;
  }
  keepMetadata(head);
  if ((flags & F_NO_BODY) !== 0) head.length = NO_BODY;
  else if ((flags & F_UNKNOWN_LENGTH) !== 0) head.length = UNKNOWN_LENGTH;
  if ((flags & F_EXPECT) !== 0 && !head.bodiless) head.expectContinue = true;
  return true;
}
