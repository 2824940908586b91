// HOT: every head of the Cranker wire passes here, in both directions.
import { Buffer, isUtf8 } from 'node:buffer';
import { type Head, NO_BODY, REMOVED, type RequestHead, type ResponseHead, STRIDE, UNKNOWN_LENGTH } from '../../http/head.ts';
import type { HttpLimits } from '../../http/limits.ts';
import { CONTENT_LENGTH, HOST, TCHAR, X_FORWARDED_FOR, X_FORWARDED_PORT } from '../../http/names.ts';
import { parseRequest, parseResponse } from '../../http/parse.ts';
import { REASONS } from '../../http/write.ts';

const CR = 13;
const LF = 10;
const SP = 32;
const ZERO = 48;
const COLON = 58;
const EQUALS = 61;
/** What stands for a host that was not told. */
const NO_HOST = 'Host: localhost\r\n';
/** What a writer adds beside fields, target and authority. */
const MARGIN = 256;

/**
 * Reads heads that peers of the Cranker family write (lines that end with LF or CRLF, with or without a last one, with a line `METHOD url` between the
 * status and the fields …) by writing them anew as strict HTTP/1.1 and giving that to the parsers that everything else passes. What they find wrong is wrong.
 * A reader's memory holds one head: it is valid until the next one is read.
 */
export class HeadReader {
  #memory: Buffer = Buffer.allocUnsafeSlow(4096);

  /** Reads an answer's head from bytes[start..end). @returns false when it is refused: see `head.problem` */
  response(head: ResponseHead, bytes: Buffer, start: number, end: number, limits: HttpLimits): boolean {
    const out = this.#room(head, bytes, start, end, limits);
    if (out === null) return false;
    const i = lineEnd(bytes, start, end);
    const to = trimmed(bytes, start, i);
    // The reason is whatever it is (jc leaves a word for later there): the status says it all.
    const status = statusOf(bytes, start, to);
    let at =
      status === 0 ? copyLine(bytes, start, to, '', out, 0) : copyLine(bytes, start, start + STATUS_END, ` ${REASONS[status] ?? 'Unknown'}`, out, 0);
    at = copyFields(bytes, i + 1, end, out, at);
    if (at < 0) return refuse(head, 'bad_response', 'text behind the head');
    const parsed = parseResponse(head, out, 0, at, limits);
    return parsed === at || refuseUnless(head, 'bad_response');
  }

  /** Reads a request's head from bytes[start..end), without its marker. `hasBody`: what the marker or END_STREAM says. @returns as response() */
  request(head: RequestHead, bytes: Buffer, start: number, end: number, hasBody: boolean, limits: HttpLimits): boolean {
    const out = this.#room(head, bytes, start, end, limits);
    if (out === null) return false;
    const first = lineEnd(bytes, start, end);
    let at = copyLine(bytes, start, trimmed(bytes, start, first), '', out, 0);
    at = copyFields(bytes, first + 1, end, out, at);
    if (at < 0) return refuse(head, 'bad_request', 'text behind the head');
    if (parseRequest(head, out, 0, at, limits) !== at) {
      // Some routers keep the client's Host to themselves (crank4go's always, mu's when told to): its place is where parsers want one.
      if (head.problem !== 'bad_request' || head.has(HOST)) return refuseUnless(head, 'bad_request');
      const from = out.indexOf(LF) + 1;
      out.copy(out, from + NO_HOST.length, from, at);
      out.latin1Write(NO_HOST, from);
      at += NO_HOST.length;
      head.reset(out, 0);
      if (parseRequest(head, out, 0, at, limits) !== at) return refuseUnless(head, 'bad_request');
    }
    if (!hasBody) {
      if (head.length > 0) return refuse(head, 'bad_request', 'a length, and no body');
      if (head.length === UNKNOWN_LENGTH) head.length = NO_BODY;
    } else if (head.length === NO_BODY) head.length = UNKNOWN_LENGTH;
    return true;
  }

  /** Memory that the head fits in however it is written; null when it is too long. */
  #room(head: Head, bytes: Buffer, start: number, end: number, limits: HttpLimits): Buffer | null {
    head.reset(bytes, start);
    if (end - start > limits.headBytes) {
      refuse(head, 'head_too_large', `the head is longer than ${limits.headBytes} bytes`);
      return null;
    }
    // Each line may grow by the CR that it lacks.
    const most = (end - start) * 2 + MARGIN;
    if (this.#memory.length < most) this.#memory = Buffer.allocUnsafeSlow(most);
    return this.#memory;
  }
}

/** The fields, line by line, then the blank line. @returns the offset behind it; -1 when something else follows the blank line */
function copyFields(bytes: Buffer, from: number, end: number, out: Buffer, outAt: number): number {
  let at = outAt;
  let i = from;
  while (i < end) {
    const line = at;
    while (i < end && TCHAR[bytes[i]!] !== 0) out[at++] = bytes[i++]!;
    // `GET /x?b=x:y` of crank4go, `:status` of HTTP/2, folded lines: none has a field's name before its colon.
    const isField = at > line && i < end && bytes[i] === COLON;
    while (i < end && bytes[i] !== LF) out[at++] = bytes[i++]!;
    i++;
    if (at > line && out[at - 1] === CR) at--;
    if (at === line) {
      // The blank line. Some write it, some don't; one writes two.
      for (; i < end; i++) if (bytes[i] !== LF && bytes[i] !== CR) return -1;
      break;
    }
    if (isField) {
      out[at++] = CR;
      out[at++] = LF;
    } else at = line;
  }
  out[at++] = CR;
  out[at++] = LF;
  return at;
}

/** Where the LF stands that ends the line; `end` when none does. */
function lineEnd(bytes: Buffer, from: number, end: number): number {
  const at = bytes.indexOf(LF, from);
  return at < 0 || at > end ? end : at;
}

/** The end of a line without the CR of another dialect. */
function trimmed(bytes: Buffer, from: number, to: number): number {
  return to > from && bytes[to - 1] === CR ? to - 1 : to;
}

function copyLine(bytes: Buffer, from: number, to: number, more: string, out: Buffer, outAt: number): number {
  let at = outAt;
  for (let i = from; i < to; i++) out[at++] = bytes[i]!;
  return put('\r\n', out, put(more, out, at));
}

/** Where the status ends that begins a head. */
const STATUS_END = 12;
const VERSION = 'HTTP/1.1 ';

/** The status of `HTTP/1.1 200 …`; 0 when the line is none such. */
function statusOf(bytes: Buffer, from: number, to: number): number {
  if (to - from < STATUS_END || !begins(bytes, from, VERSION)) return 0;
  let status = 0;
  for (let i = from + VERSION.length; i < from + STATUS_END; i++) {
    const digit = bytes[i]! - ZERO;
    if (digit < 0 || digit > 9) return 0;
    status = status * 10 + digit;
  }
  return status < 100 || (to - from > STATUS_END && bytes[from + STATUS_END] !== SP) ? 0 : status;
}

/** Bytes that writeRequestText() needs at most. */
export function requestTextRoom(head: RequestHead): number {
  // Bytes beyond ASCII may need two.
  return (head.end - head.start + head.tail.length) * 2 + (head.newTarget?.length ?? 0) + (head.newAuthority?.length ?? 0) * 2 + MARGIN;
}

/**
 * Writes a request's head as Cranker's text: lines that end with LF, no space behind the colon, a blank line, no marker. `host`: the client's Host goes along;
 * `legacy`: so do `X-Forwarded-*`. The text is UTF-8. @returns the offset behind it
 */
export function writeRequestText(head: RequestHead, out: Buffer, from: number, host: boolean, legacy: boolean): number {
  let at = put(head.method, out, from);
  out[at++] = SP;
  if (head.newTarget === null) at = copy(head, head.targetStart, head.targetEnd, out, at);
  else at += out.latin1Write(head.newTarget, at);
  at = put(' HTTP/1.1\n', out, at);
  if (!host) return asUtf8(out, from, writeFieldLines(head, out, at, legacy, head.peer.localAddress));
  if (head.newAuthority !== null) at += out.latin1Write(`host:${head.newAuthority}\n`, at);
  else if (head.authorityEnd > head.authorityStart) {
    at = copy(head, head.authorityStart, head.authorityEnd, out, put('host:', out, at));
    out[at++] = LF;
  }
  return asUtf8(out, from, writeFieldLines(head, out, at, legacy, head.peer.localAddress));
}

/** Bytes that writeResponseText() needs at most. */
export function responseTextRoom(head: ResponseHead): number {
  return (head.end - head.start + head.tail.length) * 2 + MARGIN;
}

/** Writes an answer's head as Cranker's text, blank line included: mu-cranker-router writes it, and everybody takes it. @returns the offset behind it */
export function writeResponseText(head: ResponseHead, out: Buffer, from: number): number {
  const at = from + out.latin1Write(`HTTP/1.1 ${head.status} ${REASONS[head.status] ?? 'Unknown'}\n`, from);
  return asUtf8(out, from, writeFieldLines(head, out, at, true, ''));
}

/** The fields that are passed on, then those that were added, the length, and the blank line. `legacy`: with `X-Forwarded-*`. `by`: our own address. */
function writeFieldLines(head: Head, out: Buffer, from: number, legacy: boolean, by: string): number {
  const { fields, count } = head;
  let at = from;
  let hasLength = false;
  for (let f = 0, last = count * STRIDE; f < last; f += STRIDE) {
    const id = fields[f + 4]!;
    if ((id & REMOVED) !== 0 || (!legacy && isLegacy(id))) continue;
    if (id === CONTENT_LENGTH) hasLength = true;
    at = copy(head, fields[f]!, fields[f + 1]!, out, at);
    out[at++] = COLON;
    at = copy(head, fields[f + 2]!, fields[f + 3]!, out, at);
    out[at++] = LF;
  }
  if (head.tail !== '') at = writeTail(head.tail, out, at, legacy, by);
  if (head.length >= 0 && !hasLength) at += out.latin1Write(`content-length:${head.length}\n`, at);
  out[at++] = LF;
  return at;
}

/** Lines of fieldLine(), `Name: value` CR LF: from the end of `out`, which has room, moved to `from` and made ours. @returns the offset behind them */
function writeTail(tail: string, out: Buffer, from: number, legacy: boolean, by: string): number {
  let at = from;
  let i = out.length - tail.length;
  out.latin1Write(tail, i);
  while (i < out.length) {
    if (!legacy && begins(out, i, 'X-Forwarded-')) {
      while (out[i++] !== LF);
      continue;
    }
    const isForwarded = by !== '' && begins(out, i, 'Forwarded:');
    let ours = -1;
    while (out[i] !== COLON) out[at++] = out[i++]!;
    out[at++] = COLON;
    for (i += 2; out[i] !== CR; i++) {
      if (out[i] === EQUALS && isForwarded && begins(out, at - 3, 'for')) ours = at - 3;
      out[at++] = out[i]!;
    }
    out[at++] = LF;
    i += 2;
    if (ours < 0) continue;
    // Ours is the last element of it, and the family says in it who adds it.
    const said = by.includes(':') ? `by="[${by}]";` : `by=${by};`;
    out.copyWithin(ours + said.length, ours, at);
    put(said, out, ours);
    at += said.length;
  }
  return at;
}

function begins(bytes: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

function isLegacy(id: number): boolean {
  return id >= X_FORWARDED_FOR && id <= X_FORWARDED_PORT;
}

/** Short runs byte by byte: below about 32 bytes a native call costs more than it saves. */
function copy(head: Head, from: number, to: number, out: Buffer, outAt: number): number {
  if (to - from > 32) {
    out.set(new Uint8Array(head.memory, head.memoryAt + from, to - from), outAt);
    return outAt + to - from;
  }
  const { bytes } = head;
  let at = outAt;
  for (let i = from; i < to; i++) out[at++] = bytes[i]!;
  return at;
}

/** Short ASCII. @returns the offset behind it */
function put(text: string, out: Buffer, at: number): number {
  for (let i = 0; i < text.length; i++) out[at + i] = text.charCodeAt(i);
  return at + text.length;
}

/** A field may hold any byte over 127, a TEXT message may not: what is no UTF-8 is taken for Latin-1, as HTTP once meant it. */
function asUtf8(out: Buffer, from: number, end: number): number {
  const text = new Uint8Array(out.buffer, out.byteOffset + from, end - from);
  return isUtf8(text) ? end : from + out.write(out.latin1Slice(from, end), from, 'utf8');
}

function refuse(head: Head, code: 'bad_request' | 'bad_response' | 'head_too_large', detail: string): false {
  head.problem = code;
  head.problemDetail = detail;
  return false;
}

/** The parser found no end where there is one: it stopped before, or it said why. */
function refuseUnless(head: Head, code: 'bad_request' | 'bad_response'): false {
  return head.problem === null ? refuse(head, code, 'the head cannot be read') : false;
}
