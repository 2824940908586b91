import { expect, test } from 'vitest';
import { fromBase32, toBase32 } from './base32.ts';
import { openSlimeToken, sealSlimeToken, slimeKey } from './token.ts';

const NOW = Date.UTC(2026, 0, 1);
const KEY = slimeKey('secret');
const CLAIMS = { id: 42n, name: 'brave otter', expiresMs: NOW + 60_000, scopePaths: ['/a', '/b'], scopes: ['gpu'] };

/** Sealed by other code: id 7, name "old-agent", for ever, scope "gpu", path "/draw", with the secret "old secret". */
const RECORDED = 'EMDKOBU7CVCCNM7KH6PZDHJOTKLPIKZ2YKQCAAQ645TKM5VID6T27CUCPM4PW6KFSFOKPTMCEZMOV2JHV2N7O';

test('a token opens to what was sealed', () => {
  expect(openSlimeToken(sealSlimeToken(CLAIMS, KEY), [KEY], NOW)).toEqual(CLAIMS);
  const least = { id: 0n, name: '', expiresMs: 0, scopePaths: [], scopes: [] };
  expect(openSlimeToken(sealSlimeToken(least, KEY), [KEY], NOW)).toEqual(least);
  const negative = { ...least, id: -5n };
  expect(openSlimeToken(sealSlimeToken(negative, KEY), [KEY], NOW)).toEqual(negative);
});

test('a token that was recorded elsewhere opens', () => {
  expect(openSlimeToken(RECORDED, [slimeKey('old secret')], NOW)).toEqual({
    id: 7n,
    name: 'old-agent',
    expiresMs: 0,
    scopePaths: ['/draw'],
    scopes: ['gpu'],
  });
});

test('secrets are cut to 32 bytes and filled up with zeros, as slime does', () => {
  const long = 'x'.repeat(40);
  const token = sealSlimeToken(CLAIMS, slimeKey(long));
  expect(openSlimeToken(token, [slimeKey('x'.repeat(32))], NOW)).toEqual(CLAIMS);
  expect(openSlimeToken(token, [slimeKey('x'.repeat(31))], NOW)).toEqual({ reason: 'foreign' });
  expect(openSlimeToken(sealSlimeToken(CLAIMS, slimeKey('é'.repeat(20))), [slimeKey('é'.repeat(16))], NOW)).toEqual(CLAIMS);
});

test('[threat 33] no other spelling of a token opens, nor an altered, cut or foreign one', () => {
  const token = sealSlimeToken(CLAIMS, KEY);
  for (let at = 0; at < token.length; at++) {
    const other = token[at] === 'A' ? 'B' : 'A';
    expect(openSlimeToken(token.slice(0, at) + other + token.slice(at + 1), [KEY], NOW)).toHaveProperty('reason');
    expect(openSlimeToken(token.slice(0, at), [KEY], NOW)).toHaveProperty('reason');
  }
  for (const text of [`${token}=`, `${token}A`, token.toLowerCase(), ` ${token}`, '', 'wl1.AAAA', 'A'.repeat(5000)])
    expect(openSlimeToken(text, [KEY], NOW)).toHaveProperty('reason');
  expect(openSlimeToken(token, [slimeKey('other')], NOW)).toEqual({ reason: 'foreign' });
  expect(openSlimeToken(token, [slimeKey('other'), KEY], NOW)).toEqual(CLAIMS);
});

test('a token ends, with a minute for clocks that differ', () => {
  const token = sealSlimeToken(CLAIMS, KEY);
  expect(openSlimeToken(token, [KEY], CLAIMS.expiresMs + 50_000)).toEqual(CLAIMS);
  expect(openSlimeToken(token, [KEY], CLAIMS.expiresMs + 61_000)).toEqual({ reason: 'expired' });
});

test('base32 has one spelling for each run of bytes', () => {
  for (let length = 0; length < 12; length++) {
    const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 89 + 7) & 255));
    expect(fromBase32(toBase32(bytes))).toEqual(bytes);
  }
  expect(toBase32(Buffer.from('foobar'))).toBe('MZXW6YTBOI');
  expect(fromBase32('MZXW6YTBOJ')).toBeNull();
  expect(fromBase32('A')).toBeNull();
});
