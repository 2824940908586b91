/** Facts that go with a log line. */
export type Fields = Record<string, unknown>;

const HIDDEN = '***';
/** Key names whose values are never written: compared in lower case without separators, as endings, so that `hubSecret` counts and `secretFile` does not. */
const SECRET_KEY = /(?:authorization|cookies?|tokens?|secrets?|passwords?|passwd|apikeys?|privatekey|accesskey)$/;
/** With a bound for the scheme: without one a long word is searched again from each of its letters. */
const URL_USER_INFO = /([a-z][a-z0-9+.-]{0,31}:\/\/)[^/?#\s@]+@/gi;
const QUERY_SECRET =
  /([?&](?:token|key|api[_-]?key|passw(?:or)?d|pwd|secret|access_(?:token|key)|client_secret|refresh_token|id_token|auth|jwt|session(?:_?id)?|sid|assertion|sig(?:nature)?|x-amz-signature|x-amz-security-token|x-goog-signature)=)[^&#\s"]*/gi;
/** Fields are ours, so deep or long ones are accidents: cut them rather than fill the disk. */
const MAX_DEPTH = 4;
const MAX_ENTRIES = 64;
const MAX_TEXT = 4096;

/** Does a field of this name hold a secret? */
export function isSecretName(name: string): boolean {
  return SECRET_KEY.test(name.toLowerCase().replaceAll(/[-_.\s]/g, ''));
}

/** The text without user info in its addresses and without secret query parameters. */
export function redactedText(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  const open = cut.includes('://') ? cut.replace(URL_USER_INFO, `$1${HIDDEN}@`) : cut;
  return open.replace(QUERY_SECRET, `$1${HIDDEN}`);
}

/** A copy of the fields without secrets. */
export function redactedFields(fields: Fields): Fields {
  return copy(fields, 0);
}

function copy(from: object, depth: number): Fields {
  // No prototype: a key called __proto__ is a key like any other.
  const to = Object.create(null) as Fields;
  let entries = 0;
  for (const key of Object.keys(from)) {
    if (++entries > MAX_ENTRIES) break;
    const value = (from as Fields)[key];
    if (value === undefined) continue;
    to[key] = value !== null && value !== '' && isSecretName(key) ? HIDDEN : redactedValue(value, depth);
  }
  return to;
}

function redactedValue(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return redactedText(value);
    case 'bigint':
      return value.toString();
    case 'symbol':
    case 'function':
      return `[${typeof value}]`;
    case 'object':
      break;
    default:
      return value;
  }
  if (value === null) return null;
  if (value instanceof Error) return errorFields(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= MAX_DEPTH) return '[…]';
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => redactedValue(item, depth + 1));
  return copy(value, depth + 1);
}

function errorFields(error: Error, depth: number): Fields {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  const fields: Fields = { type: error.name, message: redactedText(error.message) };
  if (code !== undefined) fields['code'] = redactedValue(code, MAX_DEPTH);
  if (error.stack !== undefined) fields['stack'] = redactedText(error.stack);
  if (cause !== undefined && depth < MAX_DEPTH) fields['cause'] = redactedValue(cause, depth + 1);
  return fields;
}
