import { Buffer } from 'node:buffer';
import type { ReplySink } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import { isGrpc, trailersOnly } from '../http/grpc.ts';
import { type RequestHead, ResponseHead, STRIDE } from '../http/head.ts';
import { ACCEPT } from '../http/names.ts';
import { REASONS } from '../http/write.ts';
import { type ErrorPages, escapeHtml, fill, type PageKind } from './error-pages.ts';
import type { Entry } from './journal.ts';

/** What is asked of the page of an error: by whom, in what language, and who else hears of it. */
export interface Asked {
  readonly wish: Wish;
  readonly pages: ErrorPages;
  /** '' when the request has none. */
  readonly requestId: string;
  readonly entry: Entry | null;
  /** Field lines that the answer gets beside its own, each with its CRLF. */
  readonly extra?: string;
}

/** The page that a client would rather have; `any` when it does not say. A gRPC client wants a status, and no page. */
export type Wish = PageKind | 'any' | 'grpc';

/**
 * The only place where a failure becomes an answer: a template of the operator's, or else `application/problem+json` (RFC 9457), or HTML for those who
 * like that better; to a gRPC request its status, as trailers without a body (rule R3).
 */
export function rescue(failure: Failure, reply: ReplySink, asked: Asked): void {
  const { pages, wish } = asked;
  if (wish === 'grpc') {
    rescueGrpc(failure, reply, asked);
    return;
  }
  // 499 is for logs only.
  const status = failure.status === 499 ? 400 : failure.status;
  const title = REASONS[status] ?? 'Error';
  const template = pages.find(status, wish);
  const isHtml = template === null ? wish === 'html' : template.kind === 'html';
  const text =
    template !== null
      ? fill(template, failure, status, title, asked.requestId)
      : isHtml
        ? page(status, title, failure)
        : problem(status, title, failure);
  const body = Buffer.from(text, 'utf8');
  const fields = [
    'Content-Type',
    isHtml ? 'text/html; charset=utf-8' : template === null ? 'application/problem+json' : 'application/json',
    'Cache-Control',
    'no-store',
    'Date',
    new Date().toUTCString(),
    'Proxy-Status',
    proxyStatus(failure, pages),
  ];
  if (failure.retryAfterS > 0) fields.push('Retry-After', String(failure.retryAfterS));
  if (status === 405) fields.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  if (failure.code === 'websocket_version') fields.push('Sec-WebSocket-Version', '13');
  if (status === 401) fields.push('WWW-Authenticate', 'Slime-App-Password');
  const head = ResponseHead.make(status, fields, body.length);
  if (asked.extra !== undefined) head.tail += asked.extra;
  asked.entry?.answered(head);
  reply.head(head);
  reply.write(body);
  reply.end();
}

function rescueGrpc(failure: Failure, reply: ReplySink, { pages, entry, extra }: Asked): void {
  const head = trailersOnly(failure);
  head.add('date', new Date().toUTCString());
  head.add('proxy-status', proxyStatus(failure, pages));
  if (extra !== undefined) head.tail += extra;
  entry?.answered(head);
  reply.head(head);
  reply.end();
}

/** RFC 9209. */
function proxyStatus(failure: Failure, { viaName }: ErrorPages): string {
  return `${viaName}; error=${failure.proxyStatus}; details="${failure.code}"`;
}

/**
 * Which page does `Accept` ask for (RFC 9110 12.5.1)? What browsers send begins with text/html, what programs send with application/json, or it does not
 * say html at all: then no string is made of it.
 */
export function wishOf(head: RequestHead): Wish {
  if (isGrpc(head)) return 'grpc';
  const at = head.first[ACCEPT]!;
  if (at === 0) return 'any';
  const f = (at - 1) * STRIDE;
  const from = head.fields[f + 2]!;
  const to = head.fields[f + 3]!;
  const { bytes } = head;
  if (isFirst(bytes, from, to, HTML)) return 'html';
  // application/json in front, told by three of its bytes: what else they fit does not want HTML either.
  const comma = from + 16;
  if (bytes[from] === SMALL_A && bytes[from + 12] === SMALL_J && (comma === to || (comma < to && bytes[comma] === COMMA))) return 'json';
  if (isFirst(bytes, from, to, ANYTHING) && from + ANYTHING.length === to) return 'any';
  // An `h` or a `*` behind a slash: html, or all of text.
  for (let i = from + 1; i < to; i++) {
    const c = bytes[i]!;
    if (bytes[i - 1] === SLASH && (c === STAR || (c | 0x20) === SMALL_H)) return weighed(bytes.latin1Slice(from, to).toLowerCase());
  }
  return 'json';
}

const HTML = 'text/html';
const ANYTHING = '*/*';
const COMMA = 0x2c;
const SLASH = 0x2f;
const STAR = 0x2a;
const SMALL_A = 0x61;
const SMALL_H = 0x68;
const SMALL_J = 0x6a;

/** Is this the first range, without a weight of its own? Then no other has a greater one. */
function isFirst(bytes: Uint8Array, from: number, to: number, range: string): boolean {
  const end = from + range.length;
  if (end > to || (end < to && bytes[end] !== COMMA)) return false;
  for (let i = 0; i < range.length; i++) if (bytes[from + i] !== range.charCodeAt(i)) return false;
  return true;
}

/** The slow way: HTML when it has the greater weight, or as great a one and is named while JSON is not. */
function weighed(accept: string): Wish {
  const html = { weight: 0, rank: -1 };
  const json = { weight: 0, rank: -1 };
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((one) => one.trim());
    const q = parameters.find((one) => one.startsWith('q='))?.slice(2) ?? '1';
    // What is no weight counts as none at all: a page in the default kind is always right.
    const weight = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(q) ? Number(q) : 0;
    note(html, HTML_RANGES.indexOf(type), weight);
    note(json, type.endsWith('+json') ? 2 : JSON_RANGES.indexOf(type), weight);
  }
  if (html.weight !== json.weight) return html.weight > json.weight ? 'html' : 'json';
  return html.weight > 0 && html.rank > json.rank ? 'html' : 'json';
}

/** From the least particular on: the most particular range that fits counts. */
const HTML_RANGES = ['*/*', 'text/*', 'text/html'];
const JSON_RANGES = ['*/*', 'application/*', 'application/json'];

function note(of: { weight: number; rank: number }, rank: number, weight: number): void {
  if (rank < 0 || rank < of.rank || (rank === of.rank && weight <= of.weight)) return;
  of.rank = rank;
  of.weight = weight;
}

function problem(status: number, title: string, failure: Failure): string {
  return `${JSON.stringify({ type: 'about:blank', title, status, code: failure.code, detail: failure.detail })}\n`;
}

function page(status: number, title: string, failure: Failure): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${status} ${title}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem;color:#222;background:#fff}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181a1b}}code{opacity:.7}</style>
<h1>${status} ${title}</h1><p>${escapeHtml(failure.detail)}</p><p><code>${failure.code}</code></p></html>
`;
}
