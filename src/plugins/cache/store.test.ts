import { expect, test } from 'vitest';
import { Entry } from './entry.ts';
import { VARIANTS } from './limits.ts';
import { Store } from './store.ts';

const LIFE = { ageMs: 0, freshMs: 1000, revalidateMs: 0, errorMs: 0 };

function entry(bytes = 100): Entry {
  return new Entry({ status: 200, fields: [['x', 'y']], body: new Uint8Array(bytes) }, LIFE, 0);
}

/** A request with these headers. */
function asking(headers: Record<string, string> = {}) {
  return { header: (name: string): string | undefined => headers[name] };
}

test('an entry is found by its key and by the values of what its Vary names, absent ones included', () => {
  const store = new Store(1e6);
  const [plain, empty, german] = [entry(), entry(), entry()];
  store.put('k', ['accept-language'], {}, plain);
  store.put('k', ['accept-language'], { 'accept-language': '' }, empty);
  store.put('k', ['accept-language'], { 'accept-language': 'de' }, german);
  expect(store.find('k', asking())).toBe(plain);
  expect(store.find('k', asking({ 'accept-language': '' }))).toBe(empty);
  expect(store.find('k', asking({ 'accept-language': 'de ' }))).toBe(german);
  expect(store.find('k', asking({ 'accept-language': 'fr' }))).toBeNull();
  expect(store.find('other', asking())).toBeNull();
  expect(store.size).toBe(3);
});

test('[threat 74] a value cannot pass itself off as two', () => {
  const store = new Store(1e6);
  const names = ['a', 'b'];
  store.put('k', names, { a: 'x', b: 'y' }, entry());
  for (const headers of [{ a: 'x=y' }, { a: 'x', b: '' }, { b: 'xy' }, { a: 'xy' }, { a: 'x' }]) expect(store.find('k', asking(headers))).toBeNull();
});

test('another Vary forgets what was kept by the old one', () => {
  const store = new Store(1e6);
  store.put('k', ['a'], { a: '1' }, entry());
  store.put('k', ['b'], { b: '1' }, entry());
  expect(store.find('k', asking({ a: '1' }))).toBeNull();
  expect(store.find('k', asking({ b: '1' }))).not.toBeNull();
  expect(store.size).toBe(1);
});

test('the memory is bounded, counted exactly, and given back', () => {
  const store = new Store(50_000);
  for (let i = 0; i < 500; i++) {
    store.put(`k${i % 70}`, ['v'], { v: String(i % 3) }, entry(i * 7));
    expect(store.bytes).toBeLessThanOrEqual(50_000);
  }
  expect(store.put('large', [], {}, entry(60_000))).toBe(false);
  for (let i = 0; i < 70; i++) store.drop(`k${i}`);
  expect([store.bytes, store.size]).toEqual([0, 0]);
});

test('what is asked for stays when something has to go, and the oldest goes first', () => {
  const store = new Store(10 * (entry().bytes + 4));
  for (let i = 0; i < 10; i++) store.put(`k${i}`, [], {}, entry());
  store.find('k0', asking());
  for (let i = 10; i < 14; i++) store.put(`k${i}`, [], {}, entry());
  const left = Array.from({ length: 14 }, (_, i) => i).filter((i) => store.find(`k${i}`, asking()) !== null);
  expect(left).toContain(0);
  expect(left).not.toContain(1);
  expect(left).toContain(13);
});

test('an address has so many variants at most', () => {
  const store = new Store(1e9);
  for (let i = 0; i < VARIANTS + 10; i++) store.put('k', ['a'], { a: String(i) }, entry());
  expect(store.size).toBe(VARIANTS);
  expect(store.find('k', asking({ a: '0' }))).toBeNull();
  expect(store.drop('k')).toBe(VARIANTS);
});

test('bodies on their way share a bound of their own', () => {
  const store = new Store(1000);
  expect([store.collect(200), store.collect(51), store.collect(50)]).toEqual([true, false, true]);
  store.collected(250);
  expect(store.collect(250)).toBe(true);
});
