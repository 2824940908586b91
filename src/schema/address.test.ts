import { expect, test } from 'vitest';
import { formatAddress, isLoopback, parseAddress } from './address.ts';

test.each([
  [':8080', '0.0.0.0', 8080],
  ['8080', '0.0.0.0', 8080],
  ['*:80', '0.0.0.0', 80],
  ['127.0.0.1:0', '127.0.0.1', 0],
  ['localhost:65535', 'localhost', 65_535],
  ['[::1]:80', '::1', 80],
  ['[::]:80', '::', 80],
  ['my_host.local.:1', 'my_host.local.', 1],
])('%s is host %s and port %d', (text, host, port) => {
  expect(parseAddress(text)).toEqual({ host, port });
});

test.each([
  '',
  ':',
  'host',
  'host:',
  ':65536',
  ':-1',
  ':1.5',
  ':٣',
  '::1:80',
  '[::1',
  '[]:80',
  '[127.0.0.1]:80',
  '256.0.0.1:80',
  '1.2.3:80',
  'a b:80',
  '-a:80',
  'a..b:80',
  'a/b:80',
])('%j is no address to listen on', (text) => {
  expect(() => parseAddress(text)).toThrow();
});

test('a host that is left out is the given one', () => {
  expect(parseAddress(':9080', '127.0.0.1')).toEqual({ host: '127.0.0.1', port: 9080 });
});

test('an address is written as in a URL', () => {
  expect(formatAddress({ host: '::1', port: 80 })).toBe('[::1]:80');
  expect(formatAddress({ host: 'a', port: 80 })).toBe('a:80');
});

test('loopback is told from what others can reach', () => {
  for (const host of ['localhost', 'LOCALHOST', 'x.localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]', '::ffff:127.0.0.1'])
    expect(isLoopback(host)).toBe(true);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'localhost.example.com', '127.0.0.1.example.com', '128.0.0.1'])
    expect(isLoopback(host)).toBe(false);
});
