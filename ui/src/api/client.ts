import { signal } from '@preact/signals';
import type { SessionInfo } from '../../../src/admin/model.ts';
import { ApiError, problemOf } from './problem.ts';

/** Who looks at the page: `undefined` until that is known, `null` = somebody who must log in. */
export const session = signal<SessionInfo | null | undefined>(undefined);
/** False while nobody answers. */
export const online = signal(true);

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface CallOptions {
  readonly query?: Query;
  readonly ifMatch?: string;
  readonly signal?: AbortSignal;
  /** The answer goes on for as long as it likes. */
  readonly stream?: boolean;
}

/** Nobody waits longer for an answer, ms. */
const TIMEOUT_MS = 30_000;

/** The admin API. Every method throws `ApiError` and nothing else, but an AbortError where `signal` has asked for it. */
export const api = {
  get: <T>(path: string, options: CallOptions = {}): Promise<T> => call<T>('GET', path, undefined, options),
  post: <T>(path: string, body?: unknown, options: CallOptions = {}): Promise<T> => call<T>('POST', path, body, options),
  put: <T>(path: string, body?: unknown, options: CallOptions = {}): Promise<T> => call<T>('PUT', path, body, options),
  patch: <T>(path: string, body?: unknown, options: CallOptions = {}): Promise<T> => call<T>('PATCH', path, body, options),
  delete: <T>(path: string, options: CallOptions = {}): Promise<T> => call<T>('DELETE', path, undefined, options),
  /** An answer that is a text. */
  text: async (path: string, options: CallOptions = {}): Promise<string> => (await send('GET', path, undefined, options)).text(),
};

/** A path with its variable parts encoded: at`agents/${id}/drain`. */
export function at(parts: TemplateStringsArray, ...values: readonly string[]): string {
  return parts.reduce((path, part, i) => path + encodeURIComponent(values[i - 1]!) + part);
}

/** Where the API stands: beside the page, whatever path that is under. */
export function address(path: string, query: Query = {}): string {
  const url = new URL(`api/v1/${path}`, document.baseURI.replace(/[?#].*/s, ''));
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') url.searchParams.set(name, String(value));
  return url.href;
}

async function call<T>(method: string, path: string, body: unknown, options: CallOptions): Promise<T> {
  const answer = await send(method, path, body, options);
  const text = await answer.text();
  if (text === '') return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(answer.status, 'not_json', 'something between this page and the server has answered with another thing than JSON');
  }
}

/** Sends a request with everything that proves who asks. */
export async function send(method: string, path: string, body: unknown, { query, ifMatch, signal: ends, stream }: CallOptions): Promise<Response> {
  const headers: Record<string, string> = { Accept: stream === true ? 'text/event-stream' : 'application/json, text/plain' };
  const known = session.peek();
  if (method !== 'GET' && known) headers['Windlass-CSRF'] = known.csrf;
  if (ifMatch !== undefined) headers['If-Match'] = `"${ifMatch}"`;
  const isText = typeof body === 'string';
  if (body !== undefined) headers['Content-Type'] = isText ? 'text/plain; charset=utf-8' : 'application/json';
  const late = stream === true ? [] : [AbortSignal.timeout(TIMEOUT_MS)];
  let answer: Response;
  try {
    answer = await fetch(address(path, query), {
      method,
      headers,
      body: body === undefined ? undefined : isText ? body : JSON.stringify(body),
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.any([...(ends === undefined ? [] : [ends]), ...late]),
    });
  } catch (error) {
    if (ends?.aborted === true) throw error;
    online.value = false;
    throw new ApiError(0, 'away', 'the server does not answer');
  }
  // Who stands in front of a server that is away says so with these.
  if (answer.status !== 502 && answer.status !== 504) online.value = true;
  if (answer.ok) return answer;
  if (answer.status === 401 && path !== 'session' && path !== 'session/ticket') session.value = null;
  throw await problemOf(answer);
}
