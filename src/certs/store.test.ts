import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CertStore, type NamedPair } from './store.ts';

const FIXTURES = new URL('../../test/fixtures/', import.meta.url);

function pair(name: 'one' | 'two', domains: readonly string[], isDefault = false): NamedPair {
  const text = (ending: string): string => readFileSync(new URL(`${name}.${ending}`, FIXTURES), 'utf8');
  return { cert: text('pem'), key: text('key'), domains, isDefault, notAfterMs: 0 };
}

test('the exact name goes before all names directly below another, and those before the default', () => {
  const store = new CertStore([pair('one', ['*.example.com', 'other.org']), pair('two', ['a.example.com']), pair('one', [], true)], {});
  const [wild, exact, standard] = ['b.example.com', 'a.example.com', 'nobody.net'].map((name) => store.find(name));
  expect(new Set([wild, exact, standard]).size).toBe(3);
  expect(store.find('A.Example.COM.')).toBe(exact);
  expect(store.find('other.org')).toBe(wild);
  // One level, and not the apex.
  expect([store.find('x.b.example.com'), store.find('example.com'), store.find('')]).toEqual([standard, standard, standard]);
});

test('without a default there is none for a name that nobody has; the first of two for one name has it', () => {
  const store = new CertStore([pair('one', ['a.example']), pair('two', ['a.example', 'b.example'])], {});
  expect(store.find('c.example')).toBeNull();
  expect(store.find('a.example')).not.toBe(store.find('b.example'));
  expect(store.standard).toBeNull();
});

test('what is made for a name comes after what names it and before the default; nothing is made for others', () => {
  const asked: string[] = [];
  const made = pair('two', []);
  const minter = {
    domains: ['*.test', 'test'],
    isDefault: false,
    leafFor: (name: string) => {
      asked.push(name);
      return name === 'odd.test' ? null : made;
    },
  };
  const store = new CertStore([pair('one', ['a.test']), pair('one', [], true)], {}, [minter]);
  const standard = store.find('example.com');
  expect(store.find('b.test')).toBe(store.find('test'));
  expect(new Set([store.find('a.test'), store.find('b.test'), standard]).size).toBe(3);
  expect([store.find('x.b.test'), store.find('odd.test'), store.find('')]).toEqual([standard, standard, standard]);
  expect(asked).toEqual(['b.test', 'test', 'b.test', 'odd.test']);
  // Without domains for every name; and the default is what it makes for nobody in particular.
  const forAll = new CertStore([], {}, [{ domains: [], isDefault: true, leafFor: (name) => pair(name === '' ? 'one' : 'two', []) }]);
  expect(forAll.standard?.cert).toBe(pair('one', []).cert);
  expect(forAll.find('anything.example')).not.toBeNull();
});

test('a pair that changes while it is in use is shown as it is then', () => {
  const live = { ...pair('one', ['a.example']) };
  const store = new CertStore([live], {});
  const before = store.find('a.example');
  expect(store.find('a.example')).toBe(before);
  Object.assign(live, { cert: pair('two', []).cert, key: pair('two', []).key });
  expect(store.find('a.example')).not.toBe(before);
});
