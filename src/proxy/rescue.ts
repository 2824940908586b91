import { Buffer } from 'node:buffer';
import type { ReplySink } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import { type RequestHead, ResponseHead, STRIDE } from '../http/head.ts';
import { ACCEPT } from '../http/names.ts';
import { REASONS } from '../http/write.ts';
import type { Entry } from './journal.ts';

/** The only place where a failure becomes an answer: `application/problem+json` (RFC 9457), or HTML for those who ask for it first. */
export function rescue(failure: Failure, reply: ReplySink, html: boolean, server: string, entry: Entry | null): void {
  // 499 is for logs only.
  const status = failure.status === 499 ? 400 : failure.status;
  const title = REASONS[status] ?? 'Error';
  const body = Buffer.from(html ? page(status, title, failure) : problem(status, title, failure), 'utf8');
  const fields = [
    'Content-Type',
    html ? 'text/html; charset=utf-8' : 'application/problem+json',
    'Cache-Control',
    'no-store',
    'Date',
    new Date().toUTCString(),
    'Proxy-Status',
    `${server}; error=${failure.proxyStatus}; details="${failure.code}"`,
  ];
  if (failure.retryAfterS > 0) fields.push('Retry-After', String(failure.retryAfterS));
  if (status === 405) fields.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  if (status === 401) fields.push('WWW-Authenticate', 'Slime-App-Password');
  const head = ResponseHead.make(status, fields, body.length);
  entry?.answered(head);
  reply.head(head);
  reply.write(body);
  reply.end();
}

/** Does the client want HTML before all else? What browsers send begins so. */
export function prefersHtml(head: RequestHead): boolean {
  const at = head.first[ACCEPT]!;
  if (at === 0) return false;
  const from = head.fields[(at - 1) * STRIDE + 2]!;
  for (let i = 0; i < HTML.length; i++) if (head.bytes[from + i] !== HTML.charCodeAt(i)) return false;
  return true;
}

const HTML = 'text/html';

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

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
