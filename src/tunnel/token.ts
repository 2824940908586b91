import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';

/** What an agent token says. The hub believes it because only who knows the secret can have sealed it. */
export interface TokenClaims {
  /** Random unless chosen: what revocation names. */
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** When there are any, the agent serves exactly these paths. */
  readonly scopePaths: readonly string[];
  readonly issuedMs: number;
  /** Wall-clock ms at which it ends; 0 = never. */
  readonly expiresMs: number;
  /** Labels the agent must announce with exactly these values; empty = it may announce what it likes. */
  readonly labels: ReadonlyMap<string, string>;
}

/** `malformed`: not a token at all. `foreign`: sealed with a secret that is not ours, or altered. */
export interface TokenRefusal {
  readonly reason: 'malformed' | 'foreign' | 'expired';
}

/** Keys derived from the secrets, once: the first seals, all open. So a secret is rotated by putting the new one first and dropping the old one when its tokens are gone. */
export interface Keyring {
  readonly keys: readonly KeyObject[];
}

/** Characters of a token's text: far above what bounded claims need, and small enough to be a header field. */
export const TOKEN_TEXT_MAX = 4096;
/** How far the clocks of who issued and who checks may be apart, ms. */
export const CLOCK_LEEWAY_MS = 60_000;

/** Has a token ended? `expiresMs` 0 = it never does. */
export function isOver(expiresMs: number, wallMs: number): boolean {
  return expiresMs !== 0 && wallMs > expiresMs + CLOCK_LEEWAY_MS;
}

const PREFIX = 'wl1.';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function createKeyring(secrets: readonly string[]): Keyring {
  if (secrets.length === 0) throw new TypeError('a keyring needs at least one secret');
  // HKDF, so that a short secret does not become a key of zeros, and another version or use of the same secret has an unrelated key.
  return { keys: secrets.map((secret) => createSecretKey(Buffer.from(hkdfSync('sha256', secret, 'windlass agent token', PREFIX, 32)))) };
}

/** A token's text: `wl1.` and base64url of nonce, ciphertext and tag. Throws a RangeError for claims that openToken() would refuse. */
export function sealToken(claims: TokenClaims, keyring: Keyring): string {
  const wire: WireClaims = {
    i: claims.id,
    n: claims.name,
    a: Math.floor(claims.issuedMs / 1000),
    // Away from zero: a date just before 1970 must not become 0, which is for ever.
    e: claims.expiresMs > 0 ? Math.ceil(claims.expiresMs / 1000) : Math.floor(claims.expiresMs / 1000),
    ...(claims.scopes.length > 0 && { s: claims.scopes }),
    ...(claims.scopePaths.length > 0 && { p: claims.scopePaths }),
    ...(claims.labels.size > 0 && { l: [...claims.labels] }),
  };
  const problem = problemOf(wire);
  if (problem !== null) throw new RangeError(problem);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keyring.keys[0]!, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(PREFIX));
  const sealed = Buffer.concat([nonce, cipher.update(JSON.stringify(wire)), cipher.final(), cipher.getAuthTag()]);
  const text = PREFIX + sealed.toString('base64url');
  if (text.length > TOKEN_TEXT_MAX) throw new RangeError('is too much for one token: fewer or shorter scopes and paths are needed');
  return text;
}

/** The claims of a token that one of our secrets sealed and that has not ended, or why not. Never throws, whatever the text. */
export function openToken(text: string, keyring: Keyring, wallMs: number): TokenClaims | TokenRefusal {
  if (text.length > TOKEN_TEXT_MAX || !/^wl1\.[A-Za-z0-9_-]+$/.test(text)) return MALFORMED;
  const sealed = Buffer.from(text.slice(PREFIX.length), 'base64url');
  // One spelling per token: the unused bits of base64's last character must be zero, or a changed text would still open.
  if (sealed.length <= NONCE_BYTES + TAG_BYTES || sealed.toString('base64url') !== text.slice(PREFIX.length)) return MALFORMED;
  let plain: Buffer | null = null;
  // No early end: how long it takes does not tell which secret, if any, was the right one.
  for (const key of keyring.keys) plain = decrypt(key, sealed) ?? plain;
  if (plain === null) return FOREIGN;
  const claims = decode(plain);
  if (claims === null) return MALFORMED;
  return isOver(claims.expiresMs, wallMs) ? EXPIRED : claims;
}

const MALFORMED: TokenRefusal = { reason: 'malformed' };
const FOREIGN: TokenRefusal = { reason: 'foreign' };
const EXPIRED: TokenRefusal = { reason: 'expired' };

/** Short keys: a token travels in every handshake. Labels are pairs, so that `__proto__` is a label like any other. */
interface WireClaims {
  readonly i: string;
  readonly n: string;
  /** Issued and expiry, Unix seconds. */
  readonly a: number;
  readonly e: number;
  readonly s?: readonly string[];
  readonly p?: readonly string[];
  readonly l?: readonly (readonly [string, string])[];
}

function decrypt(key: KeyObject, sealed: Buffer): Buffer | null {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(PREFIX)).setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES)), decipher.final()]);
  } catch {
    return null;
  }
}

function decode(plain: Buffer): TokenClaims | null {
  let wire: unknown;
  try {
    wire = JSON.parse(plain.toString('utf8'));
  } catch {
    return null;
  }
  if (problemOf(wire) !== null) return null;
  const { i, n, a, e, s, p, l } = wire as WireClaims;
  return { id: i, name: n, scopes: s ?? [], scopePaths: p ?? [], issuedMs: a * 1000, expiresMs: e * 1000, labels: new Map(l) };
}

const KNOWN: ReadonlySet<string> = new Set(['i', 'n', 'a', 'e', 's', 'p', 'l']);
const ID = /^[\w.:-]{1,64}$/;
const NAME = /^[^\p{C}]{1,100}$/u;
const SCOPE = /^[^\p{C}\s,]{1,100}$/u;
const PATH = /^\/[\x21-\x7e]{0,500}$/;
const LABEL_KEY = /^[a-zA-Z][\w./-]{0,62}$/;
const LABEL_VALUE = /^[^\p{C}]{0,200}$/u;
/** Unix seconds up to the year 9999. */
const SECONDS_MAX = 253_402_300_799;

/** Strict both ways, unknown members included: a claim that we don't know may be a restriction that we would not keep. */
function problemOf(wire: unknown): string | null {
  if (typeof wire !== 'object' || wire === null || Array.isArray(wire)) return 'is no object';
  for (const key of Object.keys(wire)) if (!KNOWN.has(key)) return 'has a claim that is not known';
  const { i, n, a, e, s, p, l } = wire as { [K in keyof WireClaims]?: unknown };
  if (typeof i !== 'string' || !ID.test(i)) return 'needs an id of 1 to 64 letters, digits and . : - _';
  if (typeof n !== 'string' || !NAME.test(n)) return 'needs a name of 1 to 100 printable characters';
  if (!isSeconds(a) || !isSeconds(e)) return 'needs dates between 1970 and 9999';
  if (s !== undefined && !isListOf(s, SCOPE)) return 'needs scopes of 1 to 100 characters without spaces and commas';
  if (p !== undefined && !isListOf(p, PATH)) return 'needs scope paths that begin with / and have no spaces';
  if (l !== undefined && !isLabels(l)) return 'needs labels such as gpu=a100';
  return null;
}

function isSeconds(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= SECONDS_MAX;
}

function isListOf(value: unknown, form: RegExp): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && form.test(item));
}

function isLabels(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  return value.every((pair) => {
    return Array.isArray(pair) && pair.length === 2 && isListOf(pair, LABEL_VALUE) && LABEL_KEY.test(pair[0] as string);
  });
}
