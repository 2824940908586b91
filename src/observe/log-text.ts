// HOT: what stands in an access log line goes through here, value by value.
import { Buffer } from 'node:buffer';
import { LOGGED_VALUE_BYTES } from './limits.ts';

/** Milliseconds with one decimal at most. */
export function tenths(ms: number): number {
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
export function quoted(value: string): string {
  if (value.length > LOGGED_VALUE_BYTES) return escaped(value, ESCAPE);
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c > 255 || CLASS[c] === ESCAPE) return escaped(value, ESCAPE);
  }
  return value;
}

/** A value that stands bare: no spaces either. '-' when empty. */
export function word(value: string): string {
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
const SECRET_PARAMETERS: ReadonlySet<string> = new Set(
  `token key api_key api-key apikey password passwd pwd secret access_token access_key client_secret refresh_token id_token auth jwt
  session sessionid session_id sid assertion signature sig x-amz-signature x-amz-security-token x-goog-signature`.split(/\s+/),
);
const LONGEST_SECRET_NAME = 20;

const NO_MORE: ReadonlySet<string> = new Set();

/** The target with the values of secret query parameters replaced by `***`. `more`: further names, in lower case. */
export function redactedTarget(target: string, more: ReadonlySet<string> = NO_MORE): string {
  const query = target.indexOf('?');
  if (query < 0) return target;
  let out = '';
  let copied = 0;
  for (let from = query + 1; from < target.length;) {
    let to = target.indexOf('&', from);
    if (to < 0) to = target.length;
    const equals = target.indexOf('=', from);
    if (equals > 0 && equals < to && isSecretParameter(target, from, equals, more)) {
      out += `${target.slice(copied, equals)}=***`;
      copied = to;
    }
    from = to + 1;
  }
  return copied === 0 ? target : out + target.slice(copied);
}

function isSecretParameter(target: string, from: number, to: number, more: ReadonlySet<string>): boolean {
  // A name may be written with escapes, three units for one.
  if (to - from > LONGEST_SECRET_NAME * 3) return false;
  let name = target.slice(from, to).toLowerCase();
  if (name.includes('%'))
    name = name.replaceAll(/%([0-7][0-9a-f])/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))).toLowerCase();
  return SECRET_PARAMETERS.has(name) || more.has(name);
}

/** A value that stands between the quotes of a JSON string, in printable ASCII. */
export function jsonQuoted(value: string): string {
  if (value.length > LOGGED_VALUE_BYTES) return jsonEscaped(value);
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c > 255 || CLASS[c] === ESCAPE) return jsonEscaped(value);
  }
  return value;
}

function jsonEscaped(value: string): string {
  const cut = value.length - LOGGED_VALUE_BYTES;
  const text = cut > 0 ? value.slice(0, LOGGED_VALUE_BYTES) : value;
  let out = '';
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22 || c === 0x5c) out += `\\${text[i]!}`;
    else if (c >= 0x20 && c < 0x7f) out += text[i]!;
    else out += `\\u${HEX[c >> 12]!}${HEX[(c >> 8) & 15]!}${HEX[(c >> 4) & 15]!}${HEX[c & 15]!}`;
  }
  return cut > 0 ? `${out}...(+${cut})` : out;
}

/** `999B`, `1.2KB`, `34.5MB`, of 1000. */
export function humanBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes}B`;
  let value = bytes / 1000;
  let unit = 0;
  // From 999.95 on it would be written as 1000.
  for (; value >= 999.95 && unit < UNITS.length - 1; unit++) value /= 1000;
  return `${tenths(value)}${UNITS[unit]!}`;
}

const UNITS: readonly string[] = ['KB', 'MB', 'GB', 'TB'];

/** `12ms`, `1.2s`, `3.4m`, `5.6h`. */
export function humanTime(ms: number): string {
  if (ms < 999.5) return `${tenths(ms)}ms`;
  if (ms < 59_950) return `${tenths(ms / 1000)}s`;
  return ms < 3_597_000 ? `${tenths(ms / 60_000)}m` : `${tenths(ms / 3_600_000)}h`;
}
