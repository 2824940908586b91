import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { clientCertificate } from './client-certificate.ts';

const read = (name: string): X509Certificate => new X509Certificate(readFileSync(new URL(`../../test/fixtures/${name}.pem`, import.meta.url)));

test('a certificate says who it is for, from the most particular part on, and who has signed it', () => {
  const alice = read('alice');
  expect(clientCertificate(alice)).toEqual({
    subject: 'CN=alice,OU=dev,O=Example',
    commonName: 'alice',
    issuer: 'CN=Windlass test clients',
    names: ['DNS:alice.test', 'URI:spiffe://example/alice', 'email:alice@example.test', 'IP:192.0.2.1'],
    serial: '01',
    fingerprint: alice.fingerprint256.replaceAll(':', '').toLowerCase(),
    notAfterMs: Date.parse(alice.validTo),
    base64: alice.raw.toString('base64'),
  });
});

test('names with commas, quotes and letters from elsewhere are escaped, so that none reads as another or as two [threat 75]', () => {
  const { subject, commonName, names } = clientCertificate(read('odd'));
  expect(commonName).toBe(String.raw`al ice \"q\" \\ \E2\98\83 \+z`);
  expect(subject).toBe(String.raw`CN=al ice \"q\" \\ \E2\98\83 \+z,OU=x + O=Ex\, ample`);
  expect(names).toEqual(['DNS:a.test', String.raw`URI:spiffe://x/a\,DNS:root.test`]);
});

test('a certificate without a common name has none', () => {
  const nameless = { ...fieldsOf(read('alice')), subject: 'O=CN=root', subjectAltName: undefined } as unknown as X509Certificate;
  expect(clientCertificate(nameless)).toMatchObject({ subject: 'O=CN=root', commonName: '', names: [] });
});

function fieldsOf({ issuer, serialNumber, fingerprint256, validTo, raw }: X509Certificate): object {
  return { issuer, serialNumber, fingerprint256, validTo, raw };
}
