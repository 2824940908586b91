import { expect, test } from 'vitest';
import { Wrong } from '../../schema/wrong.ts';
import { hashPassword, isPassword, parsePasswordHash } from './password-hash.ts';

test('[threat 65] a password is kept as scrypt with a salt of its own, and is recognised by it', async () => {
  const password = Buffer.from('pass wörd');
  const [one, other] = await Promise.all([hashPassword(password), hashPassword(password)]);
  expect(one).toMatch(/^\$scrypt\$ln=15,r=8,p=1\$[A-Za-z\d+/]{22}\$[A-Za-z\d+/]{43}$/);
  expect(one).not.toBe(other);
  expect(await isPassword(password, parsePasswordHash(one!))).toBe(true);
  expect(await isPassword(Buffer.from('pass word'), parsePasswordHash(one!))).toBe(false);
});

test('a hash of another program is read: the vector of RFC 7914', async () => {
  const key = '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887';
  const [salt, hash] = [Buffer.from('SodiumChloride'), Buffer.from(key, 'hex')].map((bytes) => bytes.toString('base64').replace(/=+$/, ''));
  expect(await isPassword(Buffer.from('pleaseletmein'), parsePasswordHash(`$scrypt$ln=14,r=8,p=1$${salt}$${hash}`))).toBe(true);
});

const SALT = 'c2FsdHNhbHRzYWx0';
test.each([
  ['plain text', 'has no password hash'],
  [`$scrypt$ln=15,r=8,p=1$${SALT}$`, 'has no password hash'],
  ['$2b$12$abcdefghijklmnopqrstuv', 'has no password hash'],
  [`$scrypt$ln=4,r=8,p=1$${SALT}$${'A'.repeat(43)}`, 'guessed in no time'],
  [`$scrypt$ln=30,r=8,p=1$${SALT}$${'A'.repeat(43)}`, 'too much memory'],
  [`$scrypt$ln=15,r=0,p=1$${SALT}$${'A'.repeat(43)}`, 'too much memory'],
  [`$scrypt$ln=15,r=8,p=1$${SALT}$${'A'.repeat(10)}`, 'too short'],
])('%s is refused: %s', (text, said) => {
  expect(() => parsePasswordHash(text)).toThrow(Wrong);
  expect(() => parsePasswordHash(text)).toThrow(said);
});
