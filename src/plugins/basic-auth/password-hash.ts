import { randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto';
import { Wrong } from '../../schema/wrong.ts';
import { HASH_BYTES_MAX, LN, LN_MIN } from './limits.ts';

/** A password's hash with what it was made by. */
export interface PasswordHash {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** Hashes a password with a new salt: `$scrypt$ln=15,r=8,p=1$SALT$HASH`, the form that other programs know as PHC string. */
export async function hashPassword(password: Buffer): Promise<string> {
  const made = { ln: LN, r: 8, p: 1, salt: randomBytes(16) };
  const hash = await derive(password, made, 32);
  return `$scrypt$ln=${made.ln},r=${made.r},p=${made.p}$${plain64(made.salt)}$${plain64(hash)}`;
}

/** Reads what hashPassword() writes. @throws Wrong */
export function parsePasswordHash(text: string): PasswordHash {
  const [, ln, r, p, salt, hash] = FORM.exec(text) ?? [];
  if (hash === undefined) throw new Wrong('has no password hash', 'make one with windlass hash-password: $scrypt$ln=15,r=8,p=1$SALT$HASH');
  const of = { ln: Number(ln), r: Number(r), p: Number(p), salt: Buffer.from(salt!, 'base64'), hash: Buffer.from(hash, 'base64') };
  if (of.ln < LN_MIN) throw new Wrong(`has a hash with ln=${of.ln}, which is guessed in no time`, 'make one with windlass hash-password');
  if (of.r < 1 || of.p < 1 || of.p > 16 || bytesOf(of) > HASH_BYTES_MAX)
    throw new Wrong('has a hash that takes too much memory', 'make one with windlass hash-password');
  if (of.salt.length < 8 || of.hash.length < 16) throw new Wrong('has a hash that is too short', 'make one with windlass hash-password');
  return of;
}

const FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z\d+/]{8,200})\$([A-Za-z\d+/]{8,200})$/;

/** Is it the password? In Node's thread pool. */
export async function isPassword(password: Buffer, of: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, of, of.hash.length), of.hash);
}

function derive(password: Buffer, of: Omit<PasswordHash, 'hash'>, length: number): Promise<Buffer> {
  const options: ScryptOptions = { N: 2 ** of.ln, r: of.r, p: of.p, maxmem: 2 * bytesOf(of) };
  return new Promise((resolve, reject) => {
    scrypt(password, of.salt, length, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

function bytesOf({ ln, r, p }: { ln: number; r: number; p: number }): number {
  return 128 * r * (2 ** ln + p);
}

function plain64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
