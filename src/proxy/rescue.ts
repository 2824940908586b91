import { Buffer } from 'node:buffer';
import type { ReplySink } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
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
}

/** The page that a client would rather have; `any` when it does not say. */
export type Wish = PageKind | 'any';

/**
 * The only place where a failure becomes an answer: a template of the operator's, or else `application/problem+json` (RFC 9457), or HTML for those who
 * like that better.
 */
export function rescue(failure: Failure, reply: ReplySink, asked: Asked): void {
  const { pages, wish } = asked;
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
    `${pages.viaName}; error=${failure.proxyStatus}; details="${failure.code}"`,
  ];
  if (failure.retryAfterS > 0) fields.push('Retry-After', String(failure.retryAfterS));
  if (status === 405) fields.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  if (status === 401) fields.push('WWW-Authenticate', 'Slime-App-Password');
  const head = ResponseHead.make(status, fields, body.length);
  asked.entry?.answered(head);
  reply.head(head);
  reply.write(body);
  reply.end();
}

/**
 * Which page does `Accept` ask for (RFC 9110 12.5.1)? What browsers send begins with text/html, what programs send does not say html at all: neither
 * is read any further.
 */
export function wishOf(head: RequestHead): Wish {
  const at = head.first[ACCEPT]!;
  if (at === 0) return 'any';
  const f = (at - 1) * STRIDE;
  const from = head.fields[f + 2]!;
  const to = head.fields[f + 3]!;
  const { bytes } = head;
  if (startsWith(bytes, from, to, HTML)) {
    const next = from + HTML.length;
    if (next === to || bytes[next] === COMMA) return 'html';
  } else if (startsWith(bytes, from, to, ANYTHING) && from + ANYTHING.length === to) return 'any';
  const text = bytes.latin1Slice(from, to).toLowerCase();
  return text.includes('html') || text.includes('text/*') ? weighed(text) : 'json';
}

const HTML = 'text/html';
const ANYTHING = '*/*';
const COMMA = 0x2c;

function startsWith(bytes: Uint8Array, from: number, to: number, word: string): boolean {
  if (to - from < word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[from + i] !== word.charCodeAt(i)) return false;
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
