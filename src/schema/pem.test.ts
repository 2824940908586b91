import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { certificatesIn, pem } from './pem.ts';

const fixtures = new URL('../../test/fixtures/', import.meta.url).pathname;
const cert = readFileSync(join(fixtures, 'one.pem'), 'utf8');
const key = readFileSync(join(fixtures, 'one.key'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a certificate may be a path, PEM text, or that in base64', () => {
  const kind = pem('certificate');
  expect(kind.fromToml('one.pem', fixtures)).toEqual({ path: join(fixtures, 'one.pem'), text: cert });
  expect(kind.fromToml(join(fixtures, 'one.pem'), '/')).toEqual({ path: join(fixtures, 'one.pem'), text: cert });
  expect(kind.fromToml(cert, folder)).toEqual({ path: null, text: cert });
  expect(kind.fromToml(Buffer.from(cert).toString('base64'), folder)).toEqual({ path: null, text: cert });
});

test('so may a key', () => {
  const kind = pem('key', true);
  expect(kind.fromToml('one.key', fixtures)).toEqual({ path: join(fixtures, 'one.key'), text: key });
  expect(kind.fromToml(Buffer.from(key).toString('base64'), folder)).toEqual({ path: null, text: key });
});

test('a bundle is read to its end', () => {
  const kind = pem('certificate');
  const ca = readFileSync(join(fixtures, 'ca.pem'), 'utf8');
  expect(certificatesIn(kind.fromToml(`# two\n${cert}\n${ca}`, folder).text)).toHaveLength(2);
  const broken = `${cert}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----`;
  expect(() => kind.fromToml(broken, folder)).toThrow('holds certificate 2 of 2 that cannot be read');
});

const locked = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
}).privateKey;
writeFileSync(join(folder, 'large.pem'), '');
truncateSync(join(folder, 'large.pem'), 2 * 1024 * 1024);

test.each([
  ['nowhere.pem', false, 'does not exist'],
  [join(fixtures, 'one.key'), false, 'holds no PEM certificate'],
  [join(fixtures, 'one.pem'), true, 'holds no PEM key that can be used'],
  ['.', false, 'cannot be read (EISDIR)'],
  ['large.pem', false, 'is larger than 1048576 bytes'],
  ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', false, 'holds a certificate that cannot be read'],
  ['LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg==', true, 'holds no PEM key that can be used'],
  ['A'.repeat(400), false, 'is neither PEM nor base64 of it'],
  ['a\nb', false, 'is neither PEM nor a path'],
  ['', false, 'is neither PEM nor a path'],
  [5, false, 'is not text'],
  [locked, true, 'holds a key with a password'],
])('what is no PEM is refused: %s (key: %s)', (given, isKey, message) => {
  expect(() => pem('it', isKey).fromToml(given, folder)).toThrow(message);
});

test('what may be a key is never shown; a path is', () => {
  const kind = pem('key', true);
  expect(kind.redact('key.pem')).toBe('key.pem');
  expect(kind.redact(key)).toBe('***');
  expect(kind.redact(Buffer.from(key).toString('base64'))).toBe('***');
  expect(kind.format({ path: null, text: key })).toBe('***');
});
