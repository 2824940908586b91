// HOT: every head that leaves the process is written here.
import type { Buffer } from 'node:buffer';
import { CONTENT_LENGTH, HOST } from './names.ts';
import { fieldLine, type Head, type HeaderList, REMOVED, type RequestHead, type ResponseHead, STRIDE, UNKNOWN_LENGTH } from './head.ts';

/** Room for what a writer may add beside fields, tail, target and authority. */
const MARGIN = 192;

/** Bytes that writeRequest() needs at most. */
export function requestRoom(head: RequestHead, authority: string): number {
  return (
    head.end -
    head.start +
    head.tail.length +
    authority.length +
    (head.newTarget?.length ?? 0) +
    (head.newAuthority?.length ?? 0) +
    head.upgrade.length +
    MARGIN
  );
}

/**
 * Writes a request head as HTTP/1.1 text, Host first (so that the far end of a tunnel can replace it without rebuilding the rest).
 * `authority` '' means: as received. `framed`: say `Transfer-Encoding: chunked` for a body of unknown length (a tunnel has frames instead).
 * @returns the offset behind what was written
 */
export function writeRequest(head: RequestHead, authority: string, framed: boolean, out: Buffer, from: number): number {
  let at = from;
  const { fields } = head;
  if (
    head.newTarget === null &&
    head.newAuthority === null &&
    head.minor === 1 &&
    head.method === head.textMethod &&
    head.count > 0 &&
    fields[4] === (HOST | REMOVED)
  ) {
    // As received, and Host first already (as most clients and all hubs write it): the request line is part of the first run, and so is Host.
    if (authority === '') at = writeFields(head, out, at, head.lineStart, 1);
    else {
      at = copyRun(head, head.lineStart, fields[2]!, out, at);
      at += out.latin1Write(authority, at);
      at = writeFields(head, out, at, fields[3]!, 1);
    }
  } else {
    at += out.latin1Write(head.method, at);
    out[at++] = 32;
    if (head.newTarget !== null) at += out.latin1Write(head.newTarget, at);
    else at = copyRun(head, head.targetStart, head.targetEnd, out, at);
    at += out.latin1Write(' HTTP/1.1\r\nHost: ', at);
    if (authority !== '') at += out.latin1Write(authority, at);
    else if (head.newAuthority !== null) at += out.latin1Write(head.newAuthority, at);
    else at = copyRun(head, head.authorityStart, head.authorityEnd, out, at);
    out[at++] = 13;
    out[at++] = 10;
    at = writeFields(head, out, at, -1, 0);
  }
  if (head.upgrade !== '') at += out.latin1Write(`Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`, at);
  else if (head.trailers) at += out.latin1Write('Connection: TE\r\nTE: trailers\r\n', at);
  if (framed && head.length === UNKNOWN_LENGTH) at += out.latin1Write('Transfer-Encoding: chunked\r\n', at);
  out[at++] = 13;
  out[at++] = 10;
  return at;
}

/** Bytes that writeResponse() needs at most. */
export function responseRoom(head: ResponseHead): number {
  return head.end - head.start + head.tail.length + head.upgrade.length + MARGIN;
}

/** What a writer adds to an answer for the connection it goes to. */
export type Closing = 'keep' | 'close' | 'keep-alive';

/** Writes the head of an answer as HTTP/1.1 text. @returns the offset behind what was written */
export function writeResponse(head: ResponseHead, chunked: boolean, closing: Closing, out: Buffer, from: number): number {
  let at = from;
  const { status } = head;
  if (head.reasonEnd > head.reasonStart && head.minor === 1 && status === head.textStatus) at = writeFields(head, out, at, head.start, 0);
  else {
    if (head.reasonEnd > head.reasonStart && status === head.textStatus) {
      at += out.latin1Write(`HTTP/1.1 ${status} `, at);
      at = copyRun(head, head.reasonStart, head.reasonEnd, out, at);
      out[at++] = 13;
      out[at++] = 10;
    } else at += out.latin1Write(`HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n`, at);
    at = writeFields(head, out, at, -1, 0);
  }
  if (chunked) at += out.latin1Write('Transfer-Encoding: chunked\r\n', at);
  if (head.upgrade !== '') at += out.latin1Write(`Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`, at);
  else if (closing === 'close') at += out.latin1Write('Connection: close\r\n', at);
  else if (closing === 'keep-alive') at += out.latin1Write('Connection: keep-alive\r\n', at);
  out[at++] = 13;
  out[at++] = 10;
  return at;
}

/** A trailer section without its blank line. @throws RangeError, see fieldLine */
export function trailerLines(trailers: HeaderList): string {
  let text = '';
  for (let i = 0; i < trailers.length; i += 2) text += fieldLine(trailers[i]!, trailers[i + 1]!);
  return text;
}

/**
 * The fields that are passed on, from number `first`, in runs as long as they go, then what was added.
 * `lead`: where the first run begins when what stands before the fields goes with them; else -1.
 */
function writeFields(head: Head, out: Buffer, from: number, lead: number, first: number): number {
  const { fields, count } = head;
  let at = from;
  let runStart = lead;
  let lengthWritten = false;
  for (let f = first * STRIDE, last = count * STRIDE; f < last; f += STRIDE) {
    const id = fields[f + 4]!;
    if ((id & REMOVED) !== 0) {
      if (runStart >= 0) {
        at = copyRun(head, runStart, fields[f]!, out, at);
        runStart = -1;
      }
    } else {
      if (runStart < 0) runStart = fields[f]!;
      if (id === CONTENT_LENGTH) lengthWritten = true;
    }
  }
  // Behind the last field stands the blank line, 2 bytes.
  if (runStart >= 0) at = copyRun(head, runStart, head.end - 2, out, at);
  if (head.tail !== '') at += out.latin1Write(head.tail, at);
  if (head.length >= 0 && !lengthWritten) at += out.latin1Write(`Content-Length: ${head.length}\r\n`, at);
  return at;
}

/** Copies short runs byte by byte: below about 32 bytes a native call costs more than it saves. */
function copyRun(head: Head, from: number, to: number, out: Buffer, at: number): number {
  if (to - from > 32) {
    out.set(new Uint8Array(head.memory, head.memoryAt + from, to - from), at);
    return at + to - from;
  }
  const { bytes } = head;
  for (let i = from; i < to; i++) out[at++] = bytes[i]!;
  return at;
}

/** The reason phrases we say ourselves (RFC 9110 15, RFC 6585, RFC 5842, RFC 8470). */
export const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue',
  101: 'Switching Protocols',
  102: 'Processing',
  103: 'Early Hints',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  409: 'Conflict',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  507: 'Insufficient Storage',
  508: 'Loop Detected',
};
