// HOT: every head in both directions and at both ends is parsed here, once per hop, byte by byte.
import type { Buffer } from 'node:buffer';
import type { FailureCode } from './failure.ts';
import { type Head, NO_BODY, REMOVED, type RequestHead, type ResponseHead, STRIDE, UNKNOWN_LENGTH } from './head.ts';
import { removeHopByHop } from './hop.ts';
import type { HttpLimits } from './limits.ts';
import { CONTENT_LENGTH, EXPECT, HOST, lookUpToken, TCHAR, TOKEN, TRANSFER_ENCODING, VALUE } from './names.ts';
import { resolveTarget } from './target.ts';

const CR = 13;
const LF = 10;
const SP = 32;
const TAB = 9;
const COLON = 58;
const SLASH = 47;

/** The head is not complete yet. */
export const INCOMPLETE = 0;
/** The head is refused: see `problem` and `problemDetail`. */
export const REFUSED = -1;

/**
 * Parses one request head from bytes[start..end), strictly (RFC 9112; where leniency is an attack, nothing is lenient).
 * @returns the offset behind the head, or INCOMPLETE, or REFUSED
 */
export function parseRequest(head: RequestHead, bytes: Buffer, start: number, end: number, limits: HttpLimits): number {
  head.reset(bytes, start);
  let i = start;
  // RFC 9112 2.2: one empty line before the request line is ignored.
  if (i < end && bytes[i] === CR) {
    if (i + 1 >= end) return INCOMPLETE;
    if (bytes[i + 1] !== LF) return refuse(head, 'bad_request', 'bare CR before the request line');
    i += 2;
  }
  const methodStart = i;
  while (i < end && TOKEN[bytes[i]!] !== 0) i++;
  if (i >= end) return i - methodStart > 32 ? refuse(head, 'bad_request', 'method longer than 32 bytes') : INCOMPLETE;
  if (bytes[i] !== SP || i === methodStart) {
    const isTls = bytes[methodStart] === TLS_HANDSHAKE && bytes[methodStart + 1] === TLS_MAJOR;
    return refuse(head, 'bad_request', isTls ? SPEAKS_TLS : 'the request line does not begin with a method and one space');
  }
  if (i - methodStart > 32) return refuse(head, 'bad_request', 'method longer than 32 bytes');
  head.method = head.textMethod = methodOf(bytes, methodStart, i);
  head.lineStart = methodStart;
  if (head.method === 'CONNECT' || head.method === 'TRACE') return refuse(head, 'method_not_allowed', `${head.method} is not served here`);
  const targetStart = ++i;
  const targetMax = targetStart + limits.targetBytes;
  // One pass over the target: what may stand in it, and does its path need resolving (dot segments, escapes)?
  let special = false;
  let query = false;
  let c = 0;
  for (; i < end; i++) {
    c = bytes[i]!;
    if (c <= SP || c >= 0x7f) break;
    if (c === 37) {
      if (!query) special = true;
    } else if (c === 46) {
      if (!query && bytes[i - 1] === SLASH) special = true;
    } else if (c === 63) query = true;
    else if (c === 35 || c === 92)
      return refuse(head, 'bad_request', c === 35 ? 'a fragment in the request target' : 'a backslash in the request target');
  }
  if (i > targetMax) return refuse(head, 'target_too_long', `the request target is longer than ${limits.targetBytes} bytes`);
  if (i >= end) return INCOMPLETE;
  if (c !== SP || i === targetStart) return refuse(head, 'bad_request', 'a character that may not stand in a request target');
  head.targetStart = targetStart;
  head.targetEnd = i;
  i++;
  if (end - i < 10) {
    if (!couldBeVersion(bytes, i, end)) return refuse(head, 'bad_request', 'the request line does not end with HTTP/1.1');
    return INCOMPLETE;
  }
  // "HTTP/1.x" CR LF
  if (bytes[i] !== 72 || bytes[i + 1] !== 84 || bytes[i + 2] !== 84 || bytes[i + 3] !== 80 || bytes[i + 4] !== SLASH)
    return refuse(head, 'bad_request', 'the request line does not end with HTTP/1.1');
  const minor = bytes[i + 7]! - 48;
  if (bytes[i + 5] !== 49 || bytes[i + 6] !== 46 || minor < 0 || minor > 1) {
    const other = bytes[i + 5]! >= 48 && bytes[i + 5]! <= 57;
    return refuse(head, other ? 'version_not_supported' : 'bad_request', 'only HTTP/1.1 and HTTP/1.0 are spoken here');
  }
  if (bytes[i + 8] !== CR || bytes[i + 9] !== LF) return refuse(head, 'bad_request', 'the request line does not end with CRLF');
  head.minor = minor;
  i = parseFields(head, bytes, i + 10, end, limits);
  if (i <= 0) return i;
  return finishRequest(head, special) ? i : REFUSED;
}

/** As parseRequest, for the head of an answer. @returns the offset behind the head, or INCOMPLETE, or REFUSED */
export function parseResponse(head: ResponseHead, bytes: Buffer, start: number, end: number, limits: HttpLimits): number {
  head.reset(bytes, start);
  if (end - start < 12)
    return couldBeVersion(bytes, start, end) ? INCOMPLETE : refuse(head, 'bad_response', 'the answer does not begin with HTTP/1.1');
  if (bytes[start] !== 72 || bytes[start + 1] !== 84 || bytes[start + 2] !== 84 || bytes[start + 3] !== 80 || bytes[start + 4] !== SLASH)
    return refuse(head, 'bad_response', 'the answer does not begin with HTTP/1.1');
  const minor = bytes[start + 7]! - 48;
  if (bytes[start + 5] !== 49 || bytes[start + 6] !== 46 || minor < 0 || minor > 1 || bytes[start + 8] !== SP)
    return refuse(head, 'bad_response', 'the answer is not HTTP/1.1 or HTTP/1.0');
  head.minor = minor;
  let i = start + 9;
  const a = bytes[i]! - 48;
  const b = bytes[i + 1]! - 48;
  const c = bytes[i + 2]! - 48;
  if (a < 1 || a > 9 || b < 0 || b > 9 || c < 0 || c > 9) return refuse(head, 'bad_response', 'the status is not three digits from 100');
  head.status = head.textStatus = a * 100 + b * 10 + c;
  i += 3;
  if (i >= end) return INCOMPLETE;
  if (bytes[i] === SP) i++;
  else if (bytes[i] !== CR) return refuse(head, 'bad_response', 'the status is not followed by a space');
  head.reasonStart = i;
  while (i < end && VALUE[bytes[i]!] !== 0) i++;
  if (i - start > limits.headBytes) return refuse(head, 'bad_response', `the head of the answer is longer than ${limits.headBytes} bytes`);
  if (i + 1 >= end) return INCOMPLETE;
  if (bytes[i] !== CR || bytes[i + 1] !== LF) return refuse(head, 'bad_response', 'the status line does not end with CRLF');
  head.reasonEnd = i;
  i = parseFields(head, bytes, i + 2, end, limits);
  if (i === REFUSED) head.problem = 'bad_response';
  if (i <= 0) return i;
  return finishResponse(head) ? i : REFUSED;
}

/** Fields up to and including the blank line. Two ids are handled on sight, since a second one of them is an attack. */
function parseFields(head: Head, bytes: Buffer, from: number, end: number, limits: HttpLimits): number {
  let i = from;
  const { fields, first, words } = head;
  const cap = Math.min(limits.fieldCount, fields.length / STRIDE);
  const max = head.start + limits.headBytes;
  // Names and values are scanned four bytes per step: they are nearly all of a head.
  const quads = end - 3;
  let count = 0;
  for (;;) {
    if (i >= end) break;
    if (bytes[i] === CR) {
      if (i + 1 >= end) break;
      if (bytes[i + 1] !== LF) return refuse(head, 'bad_request', 'bare CR in the head');
      i += 2;
      if (i > max) return refuse(head, 'head_too_large', `the head is longer than ${limits.headBytes} bytes`);
      head.count = count;
      head.end = i;
      return i;
    }
    const nameStart = i;
    while (i < quads && (TCHAR[bytes[i]!]! & TCHAR[bytes[i + 1]!]! & TCHAR[bytes[i + 2]!]! & TCHAR[bytes[i + 3]!]!) !== 0) i += 4;
    while (i < end && TCHAR[bytes[i]!] !== 0) i++;
    if (i >= end) break;
    if (bytes[i] !== COLON || i === nameStart) return refuse(head, 'bad_request', badName(bytes, nameStart, i));
    const nameEnd = i++;
    while (i < end && (bytes[i] === SP || bytes[i] === TAB)) i++;
    const valueStart = i;
    i = valueEndOf(words, bytes, i, end);
    if (i + 1 >= end) {
      if (i < end && bytes[i] !== CR) return refuse(head, 'bad_request', 'a control character or bare LF in a field value');
      break;
    }
    if (bytes[i] !== CR || bytes[i + 1] !== LF)
      return refuse(head, 'bad_request', bytes[i] === CR ? 'bare CR in a field value' : 'a control character or bare LF in a field value');
    let valueEnd = i;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === TAB)) valueEnd--;
    i += 2;
    if (count === cap) return refuse(head, 'head_too_large', `more than ${cap} fields`);
    let id = lookUpToken(words, bytes, nameStart, nameEnd);
    if (id !== 0) {
      if (first[id] === 0) first[id] = count + 1;
      else if (id === HOST || id === CONTENT_LENGTH || id === TRANSFER_ENCODING || id === EXPECT)
        return refuse(head, 'bad_request', `${bytes.latin1Slice(nameStart, nameEnd)} stands there twice`);
    } else if (hasUnderscore(bytes, nameStart, nameEnd)) {
      id = REMOVED;
      head.underscored = true;
    }
    const f = count * STRIDE;
    fields[f] = nameStart;
    fields[f + 1] = nameEnd;
    fields[f + 2] = valueStart;
    fields[f + 3] = valueEnd;
    fields[f + 4] = id;
    count++;
  }
  if (end > max) return refuse(head, 'head_too_large', `the head is longer than ${limits.headBytes} bytes`);
  return INCOMPLETE;
}

/** Where what may stand in a field value ends. Four bytes per step, since values are most of a head. */
function valueEndOf(words: DataView, bytes: Buffer, from: number, end: number): number {
  let i = from;
  const quads = end - 3;
  for (;;) {
    while (i < quads) {
      const word = words.getInt32(i, true);
      // The high bit of each byte that is no printable ASCII: below 32 it borrows, 127 carries into it, above 127 it is set. Exact up to the first such byte.
      const odd = ((word - 0x20202020) | (word + 0x01010101) | word) & HIGH_BITS;
      if (odd === 0) i += 4;
      else {
        i += (31 - Math.clz32(odd & -odd)) >> 3;
        break;
      }
    }
    // What is left are tabs, text beyond ASCII, and the last bytes.
    if (i >= end || VALUE[bytes[i]!] === 0) return i;
    i++;
  }
}

const HIGH_BITS = 0x80808080 | 0;

/** What the fields of a request mean together. False: refused. */
function finishRequest(head: RequestHead, special: boolean): boolean {
  if (!framing(head, 'bad_request')) return false;
  if (head.length === UNKNOWN_LENGTH && head.minor === 0) return fail(head, 'bad_request', 'Transfer-Encoding in HTTP/1.0');
  if (head.first[HOST] !== 0) {
    const f = (head.first[HOST]! - 1) * STRIDE;
    head.authorityStart = head.fields[f + 2]!;
    head.authorityEnd = head.fields[f + 3]!;
    if (!isAuthority(head.bytes, head.authorityStart, head.authorityEnd)) return fail(head, 'bad_request', 'Host is empty or not a host');
    head.fields[f + 4] = HOST | REMOVED;
  } else if (head.minor === 1) return fail(head, 'bad_request', 'HTTP/1.1 without Host');
  const c = head.bytes[head.targetStart];
  if (c !== SLASH || special) {
    const problem = resolveTarget(head);
    if (problem !== null) return fail(head, 'bad_request', problem);
  }
  if (head.first[EXPECT] !== 0) {
    const expect = head.value(EXPECT);
    if (expect.length !== 12 || expect.toLowerCase() !== '100-continue')
      return fail(head, 'expectation_failed', 'the only expectation known is 100-continue');
    head.expectContinue = head.minor === 1 && !head.bodiless;
    head.remove(EXPECT);
  }
  removeHopByHop(head);
  if (head.upgrade !== '' && !head.bodiless) head.upgrade = '';
  return true;
}

/** What the fields of an answer mean together, without knowing the request (HEAD, 204 and 304 are the client's business). */
function finishResponse(head: ResponseHead): boolean {
  if (!framing(head, 'bad_response')) return false;
  if (head.length === UNKNOWN_LENGTH && head.minor === 0) return fail(head, 'bad_response', 'Transfer-Encoding in HTTP/1.0');
  head.chunked = head.length === UNKNOWN_LENGTH;
  removeHopByHop(head);
  if (head.length === NO_BODY) head.length = UNKNOWN_LENGTH;
  return true;
}

/** Content-Length and Transfer-Encoding: RFC 9112 6.1 and 6.3, without any of its tolerance. */
function framing(head: Head, code: FailureCode): boolean {
  const hasLength = head.first[CONTENT_LENGTH] !== 0;
  if (head.first[TRANSFER_ENCODING] !== 0) {
    if (hasLength) return fail(head, code, 'Content-Length and Transfer-Encoding together');
    const coding = head.value(TRANSFER_ENCODING).toLowerCase();
    if (coding !== 'chunked') {
      const known = code === 'bad_request' && /^[a-z-]+( *, *[a-z-]+)* *, *chunked$/.test(coding) && !/chunked.*chunked|identity/.test(coding);
      return fail(head, known ? 'not_implemented' : code, 'the only transfer coding taken is chunked');
    }
    head.length = UNKNOWN_LENGTH;
  } else if (hasLength) {
    const f = (head.first[CONTENT_LENGTH]! - 1) * STRIDE;
    const from = head.fields[f + 2]!;
    const to = head.fields[f + 3]!;
    // 15 digits stay exact in a double; nobody sends a petabyte in one message.
    if (to === from || to - from > 15) return fail(head, code, 'Content-Length is not a number of at most 15 digits');
    let n = 0;
    for (let i = from; i < to; i++) {
      const d = head.bytes[i]! - 48;
      if (d < 0 || d > 9) return fail(head, code, 'Content-Length is not a number of at most 15 digits');
      n = n * 10 + d;
    }
    head.length = n;
  }
  return true;
}

/** Host characters: registered name, IPv4 or bracketed IPv6, and a port. No user info, no list, no empty host. */
function isAuthority(bytes: Buffer, from: number, to: number): boolean {
  if (from === to || to - from > 300) return false;
  let i = from;
  if (bytes[i] === 91) {
    i++;
    while (i < to && isV6Byte(bytes[i]!)) i++;
    if (i >= to || i === from + 1 || bytes[i] !== 93) return false;
    i++;
  } else {
    while (i < to && HOST_BYTE[bytes[i]!] !== 0) i++;
    if (i === from) return false;
  }
  if (i === to) return true;
  if (bytes[i] !== COLON) return false;
  const port = ++i;
  while (i < to && bytes[i]! >= 48 && bytes[i]! <= 57) i++;
  return i === to && i - port <= 5;
}

const HOST_BYTE: Uint8Array = (() => {
  const table = new Uint8Array(256);
  for (const c of '-._~abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789') table[c.charCodeAt(0)] = 1;
  return table;
})();

function isV6Byte(c: number): boolean {
  return (c >= 48 && c <= 58) || (c >= 97 && c <= 102) || (c >= 65 && c <= 70) || c === 46;
}

/** Can bytes[from..end) still become "HTTP/1.x"? */
function couldBeVersion(bytes: Buffer, from: number, end: number): boolean {
  const expected = 'HTTP/';
  for (let i = from; i < end && i - from < 5; i++) if (bytes[i] !== expected.charCodeAt(i - from)) return false;
  return true;
}

function methodOf(bytes: Buffer, from: number, to: number): string {
  const c = bytes[from]!;
  switch (to - from) {
    case 3:
      if (c === 71 && bytes[from + 1] === 69 && bytes[from + 2] === 84) return 'GET';
      if (c === 80 && bytes[from + 1] === 85 && bytes[from + 2] === 84) return 'PUT';
      break;
    case 4:
      if (c === 80 && bytes[from + 1] === 79 && bytes[from + 2] === 83 && bytes[from + 3] === 84) return 'POST';
      if (c === 72 && bytes[from + 1] === 69 && bytes[from + 2] === 65 && bytes[from + 3] === 68) return 'HEAD';
      break;
  }
  return bytes.latin1Slice(from, to);
}

/** nginx's rule, and for its reason: many frameworks read `X_Real_IP` and `X-Real-IP` as one. Such fields are not passed on. */
function hasUnderscore(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] === 95) return true;
  return false;
}

function badName(bytes: Buffer, from: number, at: number): string {
  const c = bytes[at]!;
  if (at === from && (c === SP || c === TAB)) return 'a folded field line';
  if (c === SP || c === TAB) return 'white space before the colon of a field';
  return at === from && c === COLON ? 'a field without a name' : 'a character that may not stand in a field name';
}

/** How a ClientHello begins (RFC 8446 5.1); a NUL of its length may be all that came with it. */
const TLS_HANDSHAKE = 0x16;
const TLS_MAJOR = 3;
/** Why a request was refused that is none. */
export const SPEAKS_TLS = 'TLS was spoken to a port without TLS';

function refuse(head: Head, code: FailureCode, detail: string): number {
  head.problem = code;
  head.problemDetail = detail;
  return REFUSED;
}

function fail(head: Head, code: FailureCode, detail: string): false {
  head.problem = code;
  head.problemDetail = detail;
  return false;
}
