import { createPublicKey, verify, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Authority } from './authority.ts';
import { makeCertificate } from './certificate.ts';
import { certificateRequest } from './csr.ts';
import { elementsOf } from './der-reader.ts';
import { openDevelopmentAuthority } from './development-authority.ts';
import { certLimits } from './limits.ts';
import { makeKey, type KeyType } from './signing.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function stateDir(): string {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-ca-'));
  folders.push(folder);
  return join(folder, 'state');
}

const NOW = Date.UTC(2026, 10, 1);
const pemOfKey = (key: Awaited<ReturnType<typeof makeKey>>): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;

test.each<KeyType>(['ecdsa', 'rsa'])('a request with a key of kind %s is signed with it, and names what it is for', async (type) => {
  const key = await makeKey(type);
  const request = certificateRequest(['a.example.com', 'b.example.com'], key);
  const [body, , signature] = elementsOf(elementsOf(request)[0]!.value);
  expect(verify('sha256', body!.whole, createPublicKey(key), signature!.value.subarray(1))).toBe(true);
  expect(body!.whole.includes('b.example.com')).toBe(true);
  expect(elementsOf(body!.value).map(({ tag }) => tag)).toEqual([0x02, 0x30, 0x30, 0xa0]);
});

test.each<KeyType>(['ecdsa', 'rsa'])('an authority with a key of kind %s makes certificates that it vouches for', async (type) => {
  const key = await makeKey(type);
  const notAfterMs = Date.UTC(2055, 0, 1);
  const cert = makeCertificate({ names: ['Test CA'], isAuthority: true, key, notBeforeMs: NOW - 1000, notAfterMs, issuer: null });
  const authority = new Authority(cert, pemOfKey(key), () => NOW);
  expect(authority.certificate).toMatchObject({ ca: true, subject: 'CN=Test CA', issuer: 'CN=Test CA', validTo: 'Jan  1 00:00:00 2055 GMT' });
  const leaf = new X509Certificate(authority.leafFor(['a.example.com', '127.0.0.1', '::1'])!.cert);
  expect(leaf.verify(authority.certificate.publicKey)).toBe(true);
  expect(leaf.checkIssued(authority.certificate)).toBe(true);
  expect(leaf).toMatchObject({ ca: false, subjectAltName: 'DNS:a.example.com, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1' });
  expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect(Date.parse(leaf.validTo)).toBe(NOW + certLimits.leafMs);
  // Not before the authority itself.
  expect(Date.parse(leaf.validFrom)).toBe(NOW - 1000);
});

test('the same name gets the same certificate until a third of its time is left, and only so many are kept', async () => {
  let now = NOW;
  const key = await makeKey('ecdsa');
  const cert = makeCertificate({ names: ['CA'], isAuthority: true, key, notBeforeMs: NOW, notAfterMs: NOW + certLimits.authorityMs, issuer: null });
  const authority = new Authority(cert, key, () => now);
  const first = authority.leafFor(['a.test'])!;
  expect(authority.leafFor(['a.test'])).toBe(first);
  now += certLimits.leafMs * 0.7;
  const second = authority.leafFor(['a.test'])!;
  expect(second).not.toBe(first);
  // One that ends with its authority is as good as any other.
  now = NOW + certLimits.authorityMs - 1000;
  expect(authority.leafFor(['b.test'])).toBe(authority.leafFor(['b.test']));
  now = NOW;
  for (let i = 0; i < certLimits.leaves; i++) authority.leafFor([`n${i}.test`]);
  expect(authority.leafFor(['a.test'])).not.toBe(second);
});

test.each(['', 'a..b', '*.example.com', 'a b', 'A.example', '-a.example', `${'a'.repeat(64)}.b`, 'a.'.repeat(127) + 'a', 'ä.de'])(
  'for %j, which can be no name, no certificate is made',
  async (name) => {
    const key = await makeKey('ecdsa');
    const cert = makeCertificate({ names: ['CA'], isAuthority: true, key, notBeforeMs: NOW, notAfterMs: NOW + 1e9, issuer: null });
    expect(new Authority(cert, key, () => NOW).leafFor([name])).toBeNull();
  },
);

test('a name that is too long for the subject stands among the names alone', async () => {
  const key = await makeKey('ecdsa');
  const cert = makeCertificate({ names: ['CA'], isAuthority: true, key, notBeforeMs: NOW, notAfterMs: NOW + 1e9, issuer: null });
  const name = `${'a'.repeat(60)}.${'b'.repeat(60)}.test`;
  const leaf = new X509Certificate(new Authority(cert, key, () => NOW).leafFor([name])!.cert);
  expect(leaf.subject ?? '').toBe('');
  expect(leaf.checkHost(name)).toBe(name);
});

test("what is no authority's certificate, or not for that key, is refused", async () => {
  const [key, other] = [await makeKey('ecdsa'), await makeKey('ecdsa')];
  const times = { notBeforeMs: NOW, notAfterMs: NOW + 1e9, issuer: null };
  expect(() => new Authority(makeCertificate({ names: ['a.b'], isAuthority: false, key, ...times }), key, () => NOW)).toThrow(
    'no certificate of an authority',
  );
  expect(() => new Authority(makeCertificate({ names: ['CA'], isAuthority: true, key, ...times }), other, () => NOW)).toThrow('is not for the key');
});

test('the development authority is made once, by however many at once, and its key is for its owner alone', async () => {
  const folder = stateDir();
  const all = await Promise.all(Array.from({ length: 4 }, () => openDevelopmentAuthority(folder, () => NOW)));
  expect(new Set(all.map(({ authority }) => authority.certificate.fingerprint256)).size).toBe(1);
  const { certPath } = all[0]!;
  expect(readFileSync(certPath, 'utf8')).toBe(all[0]!.authority.cert);
  expect(statSync(certPath.replace(/pem$/, 'key')).mode & 0o777).toBe(0o600);
  expect((await openDevelopmentAuthority(folder, () => NOW)).isNew).toBe(false);
  const later = await openDevelopmentAuthority(folder, () => NOW + certLimits.authorityMs + 1);
  expect(later.isNew).toBe(true);
});

test('a development authority that somebody damaged is not replaced behind the back of those who believe it', async () => {
  const folder = stateDir();
  const { certPath } = await openDevelopmentAuthority(folder, () => NOW);
  writeFileSync(certPath.replace(/pem$/, 'key'), pemOfKey(await makeKey('ecdsa')));
  await expect(openDevelopmentAuthority(folder, () => NOW)).rejects.toThrow('remove that folder');
  writeFileSync(certPath, 'junk');
  await expect(openDevelopmentAuthority(folder, () => NOW)).rejects.toThrow('remove that folder');
});
