import { Buffer } from 'node:buffer';
import type { ReplySink, RequestSink } from '../http/exchange.ts';
import { type HeaderList, NO_BODY, ResponseHead } from '../http/head.ts';
import { REASONS } from '../http/write.ts';

/** What the admin room answers with. */
export interface Answer {
  status: number;
  /** Fields besides those every answer of this room carries. */
  fields: HeaderList;
  body: string;
}

/** Nothing of what is shown may be guessed to be something else, framed, told to others by its address, or load and run what is not ours. */
export const GUARDS: HeaderList = [
  'X-Content-Type-Options',
  'nosniff',
  'X-Frame-Options',
  'DENY',
  'Referrer-Policy',
  'no-referrer',
  'Content-Security-Policy',
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
];

/** On all our answers: state of the moment, for nobody's cache. */
const COMMON: HeaderList = ['Cache-Control', 'no-store', ...GUARDS];

/** Sends a whole answer at once. With `bodiless` (HEAD) only its head. */
export function answer(reply: ReplySink, { status, fields, body }: Answer, bodiless = false): void {
  const bytes = Buffer.from(body, 'utf8');
  reply.head(ResponseHead.make(status, [...fields, ...COMMON], bytes.length === 0 && (status === 204 || status === 304) ? NO_BODY : bytes.length));
  if (!bodiless && bytes.length > 0) reply.write(bytes);
  reply.end();
  reply.settled();
}

export function text(status: number, body: string): Answer {
  return { status, fields: ['Content-Type', 'text/plain; charset=utf-8'], body };
}

/** JSON in printable ASCII, so that it is safe on a terminal and inside a page, whatever a name says. */
export function json(status: number, value: unknown, type = 'application/json'): Answer {
  const body = JSON.stringify(value).replaceAll(/[<>&\u007f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return { status, fields: ['Content-Type', type], body: `${body}\n` };
}

/** RFC 9457. */
export function problem(status: number, code: string, detail: string, fields: HeaderList = []): Answer {
  const made = json(status, { type: 'about:blank', title: REASONS[status] ?? '', status, code, detail }, 'application/problem+json');
  return { ...made, fields: [...made.fields, ...fields] };
}

/** For handlers that have answered already: takes what else of the request comes and drops it. */
export function discard(): RequestSink {
  return { writer: null, write: () => true, end() {}, abort() {}, settled() {} };
}
