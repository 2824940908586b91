/** Why no certificate came: one line for the operator, in `message`. */
export class AcmeError extends Error {
  /** As the server names it (RFC 8555 6.7), such as `rateLimited`; '' when it was not the server who said no. */
  readonly type: string;
  /** How long the server wants to be left alone, ms; null = it did not say. */
  readonly retryAfterMs: number | null;

  constructor(message: string, type = '', retryAfterMs: number | null = null) {
    super(message);
    this.name = 'AcmeError';
    this.type = type;
    this.retryAfterMs = retryAfterMs;
  }
}

/** What the problem document of a server says (RFC 7807), with what can be done about it. `value`: as it was parsed, by whoever wrote it. */
export function problemOf(value: unknown, whereabouts: string, retryAfterMs: number | null): AcmeError {
  const { type, said } = sayingOf(value);
  const list = fieldOf(value, 'subproblems');
  const parts = Array.isArray(list) ? list.slice(0, PARTS).map((part: unknown) => nameOf(part) + sayingOf(part).said) : [];
  const fix = FIXES.get(type);
  const text = [`${whereabouts}: ${nameOf(value)}${said}`, ...parts].join('; ');
  return new AcmeError(fix === undefined ? text : `${text}; ${fix}`, type, retryAfterMs);
}

/** Subproblems that are told of. */
const PARTS = 5;
/** Characters of what a server says. */
const DETAIL_CHARACTERS = 400;
const PREFIX = 'urn:ietf:params:acme:error:';

const PORT_80 = 'each name must lead to this gateway, and its port 80 to a server of it that speaks plain HTTP';

/** What an operator can do, by the type of the problem. */
const FIXES: ReadonlyMap<string, string> = new Map([
  ['connection', PORT_80],
  ['dns', 'the name must have an A or AAAA record that leads to this gateway'],
  ['unauthorized', PORT_80],
  ['incorrectResponse', PORT_80],
  ['externalAccountRequired', 'give acme_eab_kid and acme_eab_hmac_key, which this authority hands out'],
  ['caa', 'a CAA record of the name forbids this authority'],
  ['rejectedIdentifier', 'this authority gives no certificate for such a name'],
  ['unsupportedContact', 'mend acme_email'],
  ['invalidContact', 'mend acme_email'],
]);

function sayingOf(value: unknown): { type: string; said: string } {
  const [given, detail] = [fieldOf(value, 'type'), fieldOf(value, 'detail')];
  const type = typeof given !== 'string' ? '' : given.startsWith(PREFIX) ? given.slice(PREFIX.length) : given;
  const words = [type, typeof detail === 'string' ? detail : ''].filter((word) => word !== '').join(', ');
  return { type, said: words === '' ? 'no reason was given' : printable(words) };
}

function nameOf(value: unknown): string {
  const name = fieldOf(fieldOf(value, 'identifier'), 'value');
  return typeof name === 'string' ? `${printable(name)}: ` : '';
}

/** What a server says goes into a log: without control characters, and not too long. */
export function printable(text: string): string {
  const plain = text.replaceAll(/[\p{C}\s]+/gu, ' ').trim();
  return plain.length > DETAIL_CHARACTERS ? `${plain.slice(0, DETAIL_CHARACTERS)}…` : plain;
}

/** A field of what was parsed; undefined when that is no object. */
export function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
