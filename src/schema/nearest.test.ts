import { expect, test } from 'vitest';
import { nearest } from './nearest.ts';

const words = ['port', 'host', 'secret', 'app-password', 'queue-timeout', 'trusted-proxies', 'log-level'];

test.each([
  ['prot', 'port'],
  ['hots', 'host'],
  ['secert', 'secret'],
  ['appPasword', 'app-password'],
  ['app_password', 'app-password'],
  ['queue-time', 'queue-timeout'],
  ['trusted-proxy', 'trusted-proxies'],
  ['loglevel', 'log-level'],
])('%s was probably %s', (word, meant) => {
  expect(nearest(word, words)).toBe(meant);
});

test.each(['x', 'zzzz', 'constructor', 'completely-different', 'x'.repeat(10_000), ''])('%j is like none of them', (word) => {
  expect(nearest(word, words)).toBeNull();
});
