// HOT: every head and trailer section that comes or goes over HTTP/2 passes here.
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { OutgoingHttpHeaders } from 'node:http2';
import type { FailureCode } from '../failure.ts';
import { isMetadata, keepMetadata } from '../grpc-metadata.ts';
import { type Head, type HeaderList, NO_BODY, REMOVED, type RequestHead, type ResponseHead, STRIDE } from '../head.ts';
import type { HttpLimits } from '../limits.ts';
import { CONTENT_LENGTH, idOfName, nameOfId } from '../names.ts';
import { parseRequest, parseResponse } from '../parse.ts';

/** The head has been filled. */
export const TAKEN = 0;
/** The head is refused: see its `problem` and `problemDetail`. */
export const REFUSED = 1;
/** It is no HTTP message at all (RFC 9113 8.1.1): the stream is reset with PROTOCOL_ERROR. `problemDetail` says why. */
export const MALFORMED = 2;

/** What nghttp2 and Node give: names in lower case and values, one after the other, pseudo fields among them. */
export type RawFields = readonly string[];

/** Room for what the text says beside the fields: request line, Host, framing, an upgrade. */
const SCRATCH_MARGIN = 512;

/** Memory in which heads of HTTP/2 are written as text: one for each who reads them one after the other. */
export function headScratch(limits: HttpLimits): Buffer {
  return Buffer.allocUnsafeSlow(limits.headBytes + limits.targetBytes + SCRATCH_MARGIN);
}

/**
 * A request of HTTP/2 as one of HTTP/1.1: written as text and read by the strict parser, so that one set of rules holds for both and a tunnel can
 * carry it. An extended CONNECT (RFC 8441) becomes the upgrade that it stands for. `ended`: no body follows.
 */
export function requestFromH2(head: RequestHead, raw: RawFields, ended: boolean, scratch: Buffer, limits: HttpLimits): number {
  let method = '';
  let path = '';
  let scheme = '';
  let authority = '';
  let protocol = '';
  let host = '';
  let cookies = '';
  let lines = '';
  let measured = false;
  let count = 0;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    if (name.charCodeAt(0) === COLON) {
      if (name === ':method') method = value;
      else if (name === ':path') path = value;
      else if (name === ':scheme') scheme = value;
      else if (name === ':authority') authority = value;
      else if (name === ':protocol') protocol = value;
      else return malformed(head, `${quoted(name)} in a request`);
      continue;
    }
    switch (name.length) {
      case 4:
        if (name === 'host') {
          if (host !== '' && host !== value) return refused(head, 'bad_request', 'two hosts that differ');
          host = value;
          continue;
        }
        break;
      case 6:
        // RFC 9113 8.2.3: crumbs become one field again.
        if (name === 'cookie') {
          cookies = cookies === '' ? value : `${cookies}; ${value}`;
          continue;
        }
        break;
      case 14:
        if (name === 'content-length') measured = true;
        break;
      default:
        if (isOfConnection(name)) return malformed(head, `the field ${name} is not for HTTP/2`);
    }
    lines += `${name}: ${value}\r\n`;
    count++;
  }
  if (method === '') return malformed(head, 'a request without :method');
  if (authority === '') authority = host;
  else if (host !== '' && host.toLowerCase() !== authority.toLowerCase()) return refused(head, 'bad_request', ':authority and host differ');
  let text: string;
  // The line of Host is a field as well.
  count++;
  if (method === 'CONNECT' && protocol !== '') {
    text = `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
    count += 2;
    if (protocol === 'websocket') {
      text += `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n`;
      count++;
    }
    method = 'GET';
    // What follows are the bytes of the new protocol, not the body of a request.
    ended = true;
  } else {
    if (protocol !== '') return malformed(head, ':protocol without CONNECT');
    if (method === 'CONNECT') path = authority;
    text = `${method} ${path} HTTP/1.1\r\nHost: ${authority}\r\n`;
  }
  if (scheme !== 'http' && scheme !== 'https' && method !== 'CONNECT') return refused(head, 'bad_request', 'the scheme is neither http nor https');
  if (path.charCodeAt(0) !== SLASH && path !== '*' && method !== 'CONNECT') return refused(head, 'bad_request', 'the path does not begin with /');
  text += lines;
  if (cookies !== '') {
    text += `cookie: ${cookies}\r\n`;
    count++;
  }
  if (!ended && !measured) {
    text += 'Transfer-Encoding: chunked\r\n';
    count++;
  }
  text += '\r\n';
  if (path.length > limits.targetBytes) return refused(head, 'target_too_long', `the path is longer than ${limits.targetBytes} bytes`);
  if (text.length > scratch.length) return refused(head, 'head_too_large', `the head is longer than ${limits.headBytes} bytes`);
  const end = scratch.latin1Write(text, 0);
  const read = parseRequest(head, scratch, 0, end, limits);
  if (read < 0) return REFUSED;
  if (read !== end || head.count !== count || head.targetEnd - head.targetStart !== path.length || head.textMethod.length !== method.length)
    return malformed(head, 'a line break in a field');
  keepMetadata(head);
  return TAKEN;
}

/**
 * The head of an answer of HTTP/2, final or interim, as one of HTTP/1.1. `ended`: no body follows. `length` is NO_BODY then, unless the head says one:
 * whoever sent the request knows whether it was HEAD.
 */
export function responseFromH2(head: ResponseHead, raw: RawFields, ended: boolean, scratch: Buffer, limits: HttpLimits): number {
  let status = '';
  let lines = '';
  let count = 0;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    if (name.charCodeAt(0) === COLON) {
      if (name !== ':status') return malformed(head, `${quoted(name)} in an answer`);
      status = value;
      continue;
    }
    if (isOfConnection(name)) return malformed(head, `the field ${name} is not for HTTP/2`);
    lines += `${name}: ${value}\r\n`;
    count++;
  }
  const text = `HTTP/1.1 ${status} \r\n${lines}\r\n`;
  if (text.length > scratch.length) return refused(head, 'bad_response', `the head of the answer is longer than ${limits.headBytes} bytes`);
  const end = scratch.latin1Write(text, 0);
  const read = parseResponse(head, scratch, 0, end, limits);
  if (read < 0) return REFUSED;
  if (read !== end || head.count !== count || status.length !== 3) return malformed(head, 'a line break in a field');
  keepMetadata(head);
  // Whatever says how the body ends, here it is certain.
  head.chunked = true;
  if (ended && head.first[CONTENT_LENGTH] === 0) head.length = NO_BODY;
  return TAKEN;
}

/** Trailers of HTTP/2 that may be passed on; undefined when there are none. */
export function trailersFromH2(raw: RawFields, limits: HttpLimits): HeaderList | undefined {
  let list: string[] | undefined;
  for (let i = 0; i < raw.length && i < 2 * limits.fieldCount; i += 2) {
    const name = raw[i]!;
    // Names we have an opinion on are about framing, routing or identity: never from a trailer (threat row 8). Nor what looks like them (row 23).
    if (idOfName(name) !== 0 || !PLAIN_NAME.test(name) || NOT_IN_VALUE.test(raw[i + 1]!)) continue;
    if (name.includes('_') && !isMetadata(name)) continue;
    list ??= [];
    list.push(name, raw[i + 1]!);
  }
  return list;
}

/**
 * A request as it goes out over HTTP/2. `authority` '' means: as received. An upgrade becomes the extended CONNECT that stands for it; ask first whether the
 * other side takes those.
 */
export function requestToH2(head: RequestHead, scheme: 'http' | 'https', authority: string): OutgoingHttpHeaders {
  const upgrades = head.upgrade !== '';
  const out = blank();
  out[':method'] = upgrades ? 'CONNECT' : head.method;
  if (upgrades) out[':protocol'] = head.upgrade.toLowerCase();
  out[':scheme'] = scheme;
  const host = authority === '' ? head.authority : authority;
  if (host !== '') out[':authority'] = host;
  out[':path'] = head.target;
  fieldsTo(out, head);
  if (upgrades) delete out['sec-websocket-key'];
  else if (head.trailers) out['te'] = 'trailers';
  return out;
}

/** The head of an answer, final or interim, as it goes out over HTTP/2. A 101 goes out as the 200 of an extended CONNECT. */
export function responseToH2(head: ResponseHead): OutgoingHttpHeaders {
  const out = blank();
  const switches = head.status === 101;
  out[':status'] = switches ? 200 : head.status;
  fieldsTo(out, head);
  if (switches) delete out['sec-websocket-accept'];
  return out;
}

/** Trailers as they go out over HTTP/2. */
export function trailersToH2(trailers: HeaderList): OutgoingHttpHeaders {
  const out = blank();
  for (let i = 0; i < trailers.length; i += 2) put(out, trailers[i]!.toLowerCase(), trailers[i + 1]!);
  return out;
}

const COLON = 58;
const SLASH = 47;
/** A field name as HTTP/2 has it. */
const PLAIN_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

function blank(): OutgoingHttpHeaders {
  return Object.create(null) as OutgoingHttpHeaders;
}

function refused(head: Head, code: FailureCode, detail: string): number {
  head.problem = code;
  head.problemDetail = detail;
  return REFUSED;
}

function malformed(head: Head, detail: string): number {
  head.problem = 'bad_request';
  head.problemDetail = detail;
  return MALFORMED;
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 40));
}

/** Fields about the connection, which HTTP/2 forbids (RFC 9113 8.2.2). `TE` may say trailers; nghttp2 sees to that. */
function isOfConnection(name: string): boolean {
  switch (name) {
    case 'connection':
    case 'transfer-encoding':
    case 'keep-alive':
    case 'proxy-connection':
    case 'upgrade':
    case 'http2-settings':
      return true;
    default:
      return false;
  }
}

/** What is passed on of a head, framing included. */
function fieldsTo(out: OutgoingHttpHeaders, head: Head): void {
  const { bytes, fields, tail } = head;
  for (let f = 0, last = head.count * STRIDE; f < last; f += STRIDE) {
    const id = fields[f + 4]!;
    if ((id & REMOVED) !== 0) continue;
    const name = id === 0 ? bytes.latin1Slice(fields[f]!, fields[f + 1]!).toLowerCase() : nameOfId(id);
    put(out, name, bytes.latin1Slice(fields[f + 2]!, fields[f + 3]!));
  }
  for (let at = 0; at < tail.length;) {
    const end = tail.indexOf('\r\n', at);
    const colon = tail.indexOf(':', at);
    put(out, tail.slice(at, colon).toLowerCase(), tail.slice(colon + 2, end));
    at = end + 2;
  }
  if (head.length >= 0) out['content-length'] ??= String(head.length);
}

/** Node refuses a second one of these with an exception; the first counts, as for most who read them. */
const SINGLE: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
]);
/** Nor of these, but they are lists: two fields say the same as one. */
const JOINED: ReadonlySet<string> = new Set(['content-encoding', 'content-language', 'if-match', 'if-none-match']);

function put(out: OutgoingHttpHeaders, name: string, value: string): void {
  const before = out[name];
  if (before === undefined) {
    // A plugin may have added one; whoever wrote it meant a connection of HTTP/1.
    if (!isOfConnection(name)) out[name] = value;
  } else if (Array.isArray(before)) before.push(value);
  else if (JOINED.has(name)) out[name] = `${before}, ${value}`;
  else if (!SINGLE.has(name)) out[name] = [String(before), value];
}
