import { describe, expect, test } from 'vitest';
import { lifetimeOf, namesOf, wishOf } from './policy.ts';

const OPTIONS = { defaultTtlMs: 0, maxTtlMs: null, staleWhileRevalidateMs: 1000, staleIfErrorMs: 2000 };
const DATE = 'Sun, 06 Nov 1994 08:49:37 GMT';
const LATER = 'Sun, 06 Nov 1994 08:50:37 GMT';

describe('[threat 74] what is private is not kept', () => {
  test.each([
    ['private', {}, { 'cache-control': 'private, max-age=60' }],
    ['Private in capitals', {}, { 'cache-control': 'PRIVATE, max-age=60' }],
    ['private fields', {}, { 'cache-control': 'max-age=60, private="x-user"' }],
    ['no-store', {}, { 'cache-control': 'max-age=60, No-Store' }],
    ['no-cache', {}, { 'cache-control': 'max-age=60, no-cache' }],
    ['a cookie', {}, { 'cache-control': 'public, max-age=60', 'set-cookie': 'a=b' }],
    ['Authorization', { authorization: 'Basic x' }, { 'cache-control': 'max-age=60' }],
    ['Authorization with must-revalidate', { authorization: 'Basic x' }, { 'cache-control': 'max-age=60, must-revalidate' }],
    ['a request that says no-store', { 'cache-control': 'NO-STORE' }, { 'cache-control': 'max-age=60' }],
    ['Vary: *', {}, { 'cache-control': 'max-age=60', vary: 'accept, *' }],
    ['silence', {}, {}],
    ['silence with a date', {}, { 'last-modified': DATE }],
    ['max-age=0', {}, { 'cache-control': 'max-age=0' }],
    ['s-maxage=0', {}, { 'cache-control': 'max-age=60, s-maxage=0' }],
    ['what has expired', {}, { date: LATER, expires: DATE }],
    ['Expires: 0', {}, { expires: '0' }],
    ['an age beyond it', {}, { 'cache-control': 'max-age=60, must-revalidate', age: '61' }],
  ])('%s', (_name, asked, answered) => {
    expect(lifetimeOf(asked as Record<string, string>, 200, answered as Record<string, string>, OPTIONS)).toBeNull();
  });
});

test.each([
  ['max-age=60', {}, 200, { ageMs: 0, freshMs: 60_000, revalidateMs: 1000, errorMs: 2000 }],
  ['Max-Age=60', { age: '20' }, 404, { ageMs: 20_000, freshMs: 40_000, revalidateMs: 1000, errorMs: 2000 }],
  ['max-age=60, s-maxage=10', {}, 200, { ageMs: 0, freshMs: 10_000, revalidateMs: 0, errorMs: 0 }],
  ['s-maxage=10, stale-while-revalidate=30, stale-if-error=40', {}, 200, { ageMs: 0, freshMs: 10_000, revalidateMs: 30_000, errorMs: 40_000 }],
  ['max-age=10, must-revalidate, stale-if-error=40', {}, 200, { ageMs: 0, freshMs: 10_000, revalidateMs: 0, errorMs: 0 }],
  ['max-age="10"', {}, 301, { ageMs: 0, freshMs: 10_000, revalidateMs: 1000, errorMs: 2000 }],
])('Cache-Control: %s', (control, more, status, lifetime) => {
  expect(lifetimeOf({}, status, { 'cache-control': control, ...more } as Record<string, string>, OPTIONS)).toEqual(lifetime);
});

test('what says public or s-maxage is for those who showed who they are, too', () => {
  for (const control of ['public, max-age=5', 's-maxage=5'])
    expect(lifetimeOf({ authorization: 'x' }, 200, { 'cache-control': control }, OPTIONS)?.freshMs).toBe(5000);
});

test('Expires counts from Date; max_ttl bounds whatever is said', () => {
  expect(lifetimeOf({}, 200, { date: DATE, expires: LATER }, OPTIONS)?.freshMs).toBe(60_000);
  expect(lifetimeOf({}, 200, { date: DATE, expires: LATER }, { ...OPTIONS, maxTtlMs: 5000 })?.freshMs).toBe(5000);
});

test('errors, parts and odd statuses are not kept', () => {
  for (const status of [206, 304, 500, 503, 999]) expect(lifetimeOf({}, status, { 'cache-control': 'max-age=60' }, OPTIONS)).toBeNull();
});

test('silence counts as default_ttl, but not where there is a cookie or a word against it', () => {
  const options = { ...OPTIONS, defaultTtlMs: 1000 };
  expect(lifetimeOf({}, 200, {}, options)?.freshMs).toBe(1000);
  expect(lifetimeOf({}, 200, { 'cache-control': 'public' }, options)?.freshMs).toBe(1000);
  expect(lifetimeOf({ cookie: 'a=b' }, 200, {}, options)).toBeNull();
  expect(lifetimeOf({}, 200, { pragma: 'no-cache' }, options)).toBeNull();
  expect(lifetimeOf({}, 200, { 'cache-control': 'no-cache' }, options)).toBeNull();
  expect(lifetimeOf({}, 302, {}, options)).toBeNull();
});

test('what requests may say', () => {
  expect(wishOf('Max-Age=5, NO-CACHE', undefined)).toMatchObject({ noCache: true, maxAgeMs: 5000 });
  expect(wishOf(undefined, 'no-cache')).toMatchObject({ noCache: true });
  expect(wishOf('min-fresh=3', 'no-cache')).toMatchObject({ noCache: false, minFreshMs: 3000 });
  expect(wishOf('only-if-cached, no-store', undefined)).toMatchObject({ onlyIfCached: true, noStore: true });
  expect(wishOf('max-age=junk', undefined)).toMatchObject({ maxAgeMs: 0 });
});

test('Vary names fields in any case and order', () => {
  expect(namesOf(' Origin,accept-encoding, ACCEPT-Encoding,,')).toEqual(['accept-encoding', 'origin']);
});
