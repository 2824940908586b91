import { expect, test } from 'vitest';
import { clientKeyForm, digestOf, idOfKey, newKey, parseRate } from './client-key.ts';

const RECORD = {
  name: 'mobile',
  hash: 'a'.repeat(64),
  created: '2026-01-02T03:04:05.000Z',
  expires: null,
  revoked: null,
  rate: { max: 100, intervalMs: 60_000 },
  inflight: 4,
  weight: 2,
  class: 5,
  waiting: 0,
};

test('a new key has an id that can be read from it, and a digest', () => {
  const { id, key, hash } = newKey();
  expect(idOfKey(key)).toBe(id);
  expect(digestOf(key).toString('hex')).toBe(hash);
  expect(new Set(Array.from({ length: 100 }, () => newKey().id)).size).toBe(100);
});

test.each([
  '',
  'wk_',
  'wk_abcdefghjkmn_short',
  `wk_ABCDEFGHJKMN_${'a'.repeat(43)}`,
  `xx_abcdefghjkmn_${'a'.repeat(43)}`,
  `wk_abcdefghjkmn_${'a'.repeat(44)}`,
])('%s is no key', (key) => {
  expect(idOfKey(key)).toBeNull();
});

test('what is written is read', () => {
  expect(clientKeyForm.write(clientKeyForm.read(RECORD))).toEqual(RECORD);
  const least = clientKeyForm.read({ name: 'a', hash: RECORD.hash, created: RECORD.created });
  expect(least).toMatchObject({ expiresMs: null, revokedMs: null, rate: null, inflight: null, weight: 1, class: null, waiting: null });
});

test.each([
  [null, 'is no object'],
  [{ ...RECORD, hash: 'canary' }, 'has no SHA-256 as hash'],
  [{ ...RECORD, name: 7 }, 'has no text as name'],
  [{ ...RECORD, expires: 'soon' }, 'has no time as expires'],
  [{ ...RECORD, revoked: true }, 'has no time as revoked'],
  [{ ...RECORD, inflight: 0 }, 'has no number from 1 to 1000000000 as inflight'],
  [{ ...RECORD, weight: '2' }, 'has no number from 1 to 1000 as weight'],
  [{ ...RECORD, class: 8 }, 'has no number from 0 to 7 as class'],
  [{ ...RECORD, rate: '100/1m' }, 'has no rate as rate'],
  [{ ...RECORD, rate: { max: 1 } }, 'has no rate as rate'],
])('%j is refused: %s', (value, said) => {
  expect(() => clientKeyForm.read(value)).toThrow(said);
});

test('a rate is so many per time', () => {
  expect(parseRate('100/1m')).toEqual({ max: 100, intervalMs: 60_000 });
  for (const text of ['100', '0/1m', '-1/1m', '1.5/1m', '100/', '100/0', '100/60', '/1m', '100/2d']) expect(() => parseRate(text)).toThrow();
});
