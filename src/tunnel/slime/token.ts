import { Buffer } from 'node:buffer';
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { isOver, TOKEN_TEXT_MAX, type TokenRefusal } from '../token.ts';
import { fromBase32, toBase32 } from './base32.ts';

/** What a token of slime says. */
export interface SlimeClaims {
  /** An integer of 64 bits. */
  readonly id: bigint;
  readonly name: string;
  /** Wall-clock ms at which it ends; 0 = never. */
  readonly expiresMs: number;
  readonly scopePaths: readonly string[];
  readonly scopes: readonly string[];
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
/** Entries of a list that one token may hold: what fits its text many times over is no list. */
const ITEMS = 1_000;

/** Does the text look like a token of slime? Ours have a dot. */
export function isSlimeToken(text: string): boolean {
  return /^[A-Z2-7]+$/.test(text);
}

/** slime's key: the secret's bytes, filled up with zeros or cut. Nothing makes a guess at a short secret expensive: use it for slime's agents alone. */
export function slimeKey(secret: string): KeyObject {
  const key = Buffer.alloc(KEY_BYTES);
  Buffer.from(secret, 'utf8').copy(key, 0, 0, KEY_BYTES);
  return createSecretKey(key);
}

/** The token's text. @throws RangeError when it would be too long */
export function sealSlimeToken(claims: SlimeClaims, key: KeyObject): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  const text = toBase32(Buffer.concat([nonce, cipher.update(encode(claims)), cipher.final(), cipher.getAuthTag()]));
  if (text.length > TOKEN_TEXT_MAX) throw new RangeError('is too much for one token: fewer or shorter scopes and paths are needed');
  return text;
}

/** The claims of a token that one of these keys sealed and that has not ended, or why not. Never throws, whatever the text. */
export function openSlimeToken(text: string, keys: readonly KeyObject[], wallMs: number): SlimeClaims | TokenRefusal {
  if (text.length > TOKEN_TEXT_MAX || !isSlimeToken(text)) return MALFORMED;
  const sealed = fromBase32(text);
  if (sealed === null || sealed.length < NONCE_BYTES + TAG_BYTES) return MALFORMED;
  let plain: Buffer | null = null;
  // No early end: how long it takes does not tell which secret, if any, was the right one.
  for (const key of keys) plain = decrypt(key, sealed) ?? plain;
  if (plain === null) return { reason: 'foreign' };
  const claims = decode(plain);
  if (claims === null) return MALFORMED;
  return isOver(claims.expiresMs, wallMs) ? { reason: 'expired' } : claims;
}

const MALFORMED: TokenRefusal = { reason: 'malformed' };

function decrypt(key: KeyObject, sealed: Buffer): Buffer | null {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES)), decipher.final()]);
  } catch {
    return null;
  }
}

// --- the message: 1 id int64, 2 name string, 3 expire_at int64 (Unix seconds), 4 scope_paths, 5 scopes

function encode({ id, name, expiresMs, scopePaths, scopes }: SlimeClaims): Buffer {
  const parts: Buffer[] = [];
  // proto3 leaves out what is 0 or empty.
  if (id !== 0n) parts.push(Buffer.from([0x08]), varint(BigInt.asUintN(64, id)));
  if (name !== '') parts.push(lengthed(0x12, name));
  if (expiresMs !== 0) parts.push(Buffer.from([0x18]), varint(BigInt.asUintN(64, BigInt(Math.ceil(expiresMs / 1000)))));
  for (const path of scopePaths) parts.push(lengthed(0x22, path));
  for (const scope of scopes) parts.push(lengthed(0x2a, scope));
  return Buffer.concat(parts);
}

function lengthed(tag: number, text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([Buffer.from([tag]), varint(BigInt(bytes.length)), bytes]);
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7fn; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
  return Buffer.from(bytes);
}

/** Strict: a field that we do not know may be a restriction that we would not keep. Null: no such message. */
function decode(plain: Buffer): SlimeClaims | null {
  let id = 0n;
  let name = '';
  let expireAt = 0n;
  const scopePaths: string[] = [];
  const scopes: string[] = [];
  for (let at = 0; at < plain.length;) {
    const tag = plain[at]!;
    const number = readVarint(plain, at + 1);
    if (number === null) return null;
    at = number.next;
    if (tag === 0x08) id = BigInt.asIntN(64, number.value);
    else if (tag === 0x18) expireAt = BigInt.asIntN(64, number.value);
    else {
      if (number.value > BigInt(plain.length - at)) return null;
      const end = at + Number(number.value);
      const bytes = plain.subarray(at, end);
      const text = bytes.toString('utf8');
      // Bytes that are no text might be two different scopes to two readers.
      if (!Buffer.from(text, 'utf8').equals(bytes)) return null;
      at = end;
      if (tag === 0x12) name = text;
      else if (tag === 0x22) scopePaths.push(text);
      else if (tag === 0x2a) scopes.push(text);
      else return null;
    }
  }
  if (scopePaths.length > ITEMS || scopes.length > ITEMS) return null;
  // Beyond what a date can be it is for ever in all but name; below 0 it is over.
  const expiresMs = Number(expireAt) * 1000;
  return { id, name, expiresMs, scopePaths, scopes };
}

function readVarint(bytes: Buffer, from: number): { readonly value: bigint; readonly next: number } | null {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) return null;
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) return value > 0xffff_ffff_ffff_ffffn ? null : { value, next: from + i + 1 };
  }
  return null;
}
