// HOT: write() runs once per request when the access log is on: one string, no regular expression unless a value needs escapes.
import { Buffer } from 'node:buffer';
import { LOGGED_VALUE_BYTES } from './limits.ts';
import type { Lines } from './lines.ts';

/** What one line says. May be a scratch object: nothing of it is held. */
export interface AccessRecord {
  /** When the line is written, ms since the Unix epoch. */
  wallMs: number;
  /** The client's address, as trusted. */
  client: string;
  method: string;
  /** Request target with its query. */
  target: string;
  /** HTTP/1.x: the x. */
  minor: number;
  /** Status that went out, or 499 / 598, which never do. */
  status: number;
  replyBytes: number;
  requestBytes: number;
  /** From the first byte of the request to the last of the answer, ms. */
  totalMs: number;
  /** Wait for a slot, ms. */
  waitMs: number;
  /** Id of the agent that answered, or ''. */
  agent: string;
  endpoint: string;
  attempts: number;
  /** Failure code, or ''. */
  failure: string;
  host: string;
  /** Attempts that failed before the one that counts: `endpoint:code`, comma separated; '' when there were none. */
  tries: string;
}

/**
 * One line per request:
 * `2026-01-02T03:04:05.678Z 192.0.2.7 "GET /v1/models HTTP/1.1" 200 out=1024 in=0 ms=12.3 wait=0 attempts=1 agent=7f endpoint=gpu failure=- host=example.org`
 *
 * Whatever a client sent is escaped (`\xNN`), so that a line is always one line of printable ASCII; secrets in the query are removed.
 */
export class AccessLog {
  readonly #lines: Lines;
  #second = -1;
  #prefix = '';

  constructor(lines: Lines) {
    this.#lines = lines;
  }

  write(record: AccessRecord): void {
    this.#lines.write(this.format(record));
  }

  /** Lines that were given up because the target did not take them. */
  get dropped(): number {
    return this.#lines.dropped;
  }

  reopen(): void {
    this.#lines.reopen();
  }

  close(): Promise<void> {
    return this.#lines.close();
  }

  /** The line, newline included. */
  format(r: AccessRecord): string {
    return `${this.#time(r.wallMs)} ${word(r.client)} "${quoted(r.method)} ${quoted(redactedTarget(r.target))} HTTP/1.${r.minor}" ${r.status} out=${r.replyBytes} in=${r.requestBytes} ms=${tenths(r.totalMs)} wait=${tenths(r.waitMs)} attempts=${r.attempts} agent=${word(r.agent)} endpoint=${word(r.endpoint)} failure=${r.failure === '' ? '-' : r.failure} host=${word(r.host)}${r.tries === '' ? '' : ` tries=${word(r.tries)}`}\n`;
  }

  #time(ms: number): string {
    const second = Math.floor(ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#prefix = new Date(second * 1000).toISOString().slice(0, 20);
    }
    const rest = Math.floor(ms) - second * 1000;
    return rest > 99 ? `${this.#prefix}${rest}Z` : rest > 9 ? `${this.#prefix}0${rest}Z` : `${this.#prefix}00${rest}Z`;
  }
}

/** Milliseconds with one decimal at most. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

const PLAIN = 0;
const ESCAPE = 1;
const SPACE = 2;
const CLASS = new Uint8Array(256).fill(ESCAPE);
for (let c = 0x21; c < 0x7f; c++) CLASS[c] = PLAIN;
CLASS[0x20] = SPACE;
CLASS[0x22] = CLASS[0x5c] = ESCAPE;

/** A value that stands between quotes. */
function quoted(value: string): string {
  if (value.length > LOGGED_VALUE_BYTES) return escaped(value, ESCAPE);
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c > 255 || CLASS[c] === ESCAPE) return escaped(value, ESCAPE);
  }
  return value;
}

/** A value that stands bare: no spaces either. '-' when empty. */
function word(value: string): string {
  if (value === '') return '-';
  if (value.length > LOGGED_VALUE_BYTES) return escaped(value, SPACE);
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c > 255 || CLASS[c] !== PLAIN) return escaped(value, SPACE);
  }
  return value;
}

const HEX = '0123456789abcdef';

/** The slow way. Field text is Latin-1, a byte per unit; names of our own may be any text and are written as UTF-8. */
function escaped(value: string, upTo: typeof ESCAPE | typeof SPACE): string {
  const cut = value.length - LOGGED_VALUE_BYTES;
  const text = cut > 0 ? value.slice(0, LOGGED_VALUE_BYTES) : value;
  let wide = false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 255) wide = true;
  const bytes = Buffer.from(text, wide ? 'utf8' : 'latin1');
  let out = '';
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i]!;
    const kind = CLASS[c]!;
    if (kind === PLAIN || (kind === SPACE && upTo === ESCAPE)) out += String.fromCharCode(c);
    else out += `\\x${HEX[c >> 4]!}${HEX[c & 15]!}`;
  }
  return cut > 0 ? `${out}...(+${cut})` : out;
}

/** Names of query parameters whose values are secrets. */
const SECRET_PARAMETERS: ReadonlySet<string> = new Set(['token', 'key', 'api_key', 'apikey', 'password', 'secret', 'access_token']);
const LONGEST_SECRET_NAME = 12;

/** The target with the values of secret query parameters replaced by `***`. */
export function redactedTarget(target: string): string {
  const query = target.indexOf('?');
  if (query < 0) return target;
  let out = '';
  let copied = 0;
  for (let from = query + 1; from < target.length;) {
    let to = target.indexOf('&', from);
    if (to < 0) to = target.length;
    const equals = target.indexOf('=', from);
    if (equals > 0 && equals < to && isSecretParameter(target, from, equals)) {
      out += `${target.slice(copied, equals)}=***`;
      copied = to;
    }
    from = to + 1;
  }
  return copied === 0 ? target : out + target.slice(copied);
}

function isSecretParameter(target: string, from: number, to: number): boolean {
  // A name may be written with escapes, three units for one.
  if (to - from > LONGEST_SECRET_NAME * 3) return false;
  let name = target.slice(from, to).toLowerCase();
  if (name.includes('%'))
    name = name.replaceAll(/%([0-7][0-9a-f])/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))).toLowerCase();
  return SECRET_PARAMETERS.has(name);
}
