import { createCipheriv, createSecretKey, hkdfSync, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CLOCK_LEEWAY_MS, createKeyring, openToken, sealToken, TOKEN_TEXT_MAX, type TokenClaims } from './token.ts';

const NOW = 1_750_000_000_000;
const keyring = createKeyring(['s3cret']);
const claims: TokenClaims = {
  id: 'a1b2',
  name: 'brisk-otter',
  scopes: ['gpu', 'eu'],
  scopePaths: ['/v1/chat'],
  issuedMs: NOW,
  expiresMs: NOW + 3_600_000,
  labels: new Map([['gpu', 'a100']]),
};

test('a sealed token opens to the claims that went in', () => {
  expect(openToken(sealToken(claims, keyring), keyring, NOW)).toEqual(claims);
});

test('whatever claims are allowed come back unchanged', () => {
  const word = fc.stringMatching(/^[a-z_]{1,20}$/);
  fc.assert(
    fc.property(word, fc.array(word, { maxLength: 5 }), fc.array(word, { maxLength: 5 }), fc.nat(4e9), (name, scopes, paths, seconds) => {
      const some = { ...claims, name, scopes, scopePaths: paths.map((path) => `/${path}`), expiresMs: seconds * 1000 };
      expect(openToken(sealToken(some, keyring), keyring, 0)).toEqual(some);
    }),
  );
});

test('two tokens of the same claims have different texts', () => {
  expect(sealToken(claims, keyring)).not.toBe(sealToken(claims, keyring));
});

test('the first secret seals and all open, so that a secret can be rotated', () => {
  const both = createKeyring(['new', 's3cret']);
  expect(openToken(sealToken(claims, keyring), both, NOW)).toEqual(claims);
  expect(openToken(sealToken(claims, both), createKeyring(['new']), NOW)).toEqual(claims);
  expect(openToken(sealToken(claims, both), keyring, NOW)).toEqual({ reason: 'foreign' });
});

test('a token of another secret is foreign [threat 33]', () => {
  expect(openToken(sealToken(claims, createKeyring(['other'])), keyring, NOW)).toEqual({ reason: 'foreign' });
  expect(openToken(sealToken(claims, createKeyring(['S3cret'])), keyring, NOW)).toEqual({ reason: 'foreign' });
});

test('a token with any one bit flipped, or cut anywhere, is refused [threat 33]', () => {
  const text = sealToken(claims, keyring);
  const sealed = Buffer.from(text.slice(4), 'base64url');
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const bent = Buffer.from(sealed);
    bent[bit >> 3]! ^= 1 << (bit & 7);
    expect(openToken(`wl1.${bent.toString('base64url')}`, keyring, NOW)).toEqual({ reason: 'foreign' });
  }
  for (let length = 0; length < text.length; length++) expect(openToken(text.slice(0, length), keyring, NOW)).toHaveProperty('reason');
});

test('every token has one spelling only: changing any character, even a bit that base64 ignores, makes it useless [threat 33]', () => {
  // Names of three lengths, so that the last character carries 6, 4 and 2 used bits.
  for (const name of ['a', 'ab', 'abc']) {
    const text = sealToken({ ...claims, name }, keyring);
    for (const other of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      if (text.endsWith(other)) continue;
      expect(openToken(text.slice(0, -1) + other, keyring, NOW)).toHaveProperty('reason');
    }
  }
});

test('text that is no token is malformed, however long or strange [threat 33]', () => {
  const good = sealToken(claims, keyring);
  for (const text of [
    '',
    'wl1.',
    'wl1.AAAA',
    'wl2.' + good.slice(4),
    good.toLowerCase().replace('wl1.', 'WL1.'),
    `${good} `,
    `${good}\n`,
    ` ${good}`,
    `${good}=`,
    'wl1.' + 'é'.repeat(60),
    'wl1.' + '😀'.repeat(60),
    'wl1.\u0000' + good.slice(4),
    'A'.repeat(1_000_000),
    'wl1.' + 'A'.repeat(1_000_000),
    'wl1.' + 'A'.repeat(TOKEN_TEXT_MAX - 3),
    randomBytes(200).toString('base64'),
  ]) {
    expect(openToken(text, keyring, NOW), text.slice(0, 40)).toEqual({ reason: 'malformed' });
  }
});

test('random text never opens and never throws', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => 'reason' in openToken(`wl1.${text}`, keyring, NOW)));
});

test('a token ends at its expiry, give or take what clocks differ [threat 33]', () => {
  const text = sealToken(claims, keyring);
  expect(openToken(text, keyring, claims.expiresMs + CLOCK_LEEWAY_MS)).toEqual(claims);
  expect(openToken(text, keyring, claims.expiresMs + CLOCK_LEEWAY_MS + 1)).toEqual({ reason: 'expired' });
  expect(openToken(sealToken({ ...claims, expiresMs: 0 }, keyring), keyring, NOW * 2)).toHaveProperty('name');
});

test('claims that are not exactly what we know are refused, though the seal is right [threat 59]', () => {
  const good = { i: 'a', n: 'b', a: 1, e: 0 };
  expect(openToken(sealText(JSON.stringify(good)), keyring, NOW)).toHaveProperty('id', 'a');
  for (const text of [
    '',
    'null',
    '[]',
    '"x"',
    '{',
    '{"i":"a","n":"b","a":1,"e":0,"__proto__":{"s":["gpu"]}}',
    '{"i":"a","n":"b","a":1,"e":0,"constructor":{}}',
    '{"i":"a","n":"b","a":1,"e":0,"only_on_tuesdays":true}',
    '{"__proto__":{"i":"a","n":"b","a":1,"e":0}}',
    ...[{ i: 5 }, { i: '' }, { i: 'x'.repeat(65) }, { i: 'a b' }, { n: 'a\nb' }, { n: '' }, { a: -1 }, { a: 1.5 }, { e: '0' }, { e: 1e300 }].map(
      change,
    ),
    ...[
      { s: 'gpu' },
      { s: [1] },
      { s: ['a b'] },
      { s: {} },
      { p: ['v1'] },
      { p: ['/a b'] },
      { l: { a: 'b' } },
      { l: [['a']] },
      { l: [['', 'b']] },
    ].map(change),
  ]) {
    expect(openToken(sealText(text), keyring, NOW), text).toEqual({ reason: 'malformed' });
  }
  function change(member: object): string {
    return JSON.stringify({ ...good, ...member });
  }
});

test('sealing refuses claims that opening would refuse, and more than a token can carry', () => {
  for (const bad of [{ id: '' }, { name: 'a\tb' }, { scopes: ['a,b'] }, { scopePaths: ['v1'] }, { expiresMs: -1 }, { expiresMs: Number.NaN }]) {
    expect(() => sealToken({ ...claims, ...bad }, keyring), JSON.stringify(bad)).toThrow(RangeError);
  }
  expect(() => sealToken({ ...claims, scopes: Array.from({ length: 500 }, (_, i) => `scope-${i}`) }, keyring)).toThrow('too much for one token');
});

test('a keyring without a secret is a mistake of the program', () => {
  expect(() => createKeyring([])).toThrow(TypeError);
});

/** Seals any text with the right key. */
function sealText(text: string): string {
  const key = createSecretKey(Buffer.from(hkdfSync('sha256', 's3cret', 'windlass agent token', 'wl1.', 32)));
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from('wl1.'));
  return `wl1.${Buffer.concat([nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]).toString('base64url')}`;
}
