import { expect, test } from 'vitest';
import { parseHubUrl, parseServerUrl, parseUpstreamUrl } from './upstream-url.ts';

test.each([
  [
    'localhost:3000',
    { protocol: 'http', host: 'localhost', port: 3000, authority: 'localhost:3000', path: '', authorization: null, shown: 'http://localhost:3000' },
  ],
  ['http://a', { protocol: 'http', host: 'a', port: 80, authority: 'a', path: '', authorization: null, shown: 'http://a' }],
  [
    'HTTPS://A.example/',
    { protocol: 'https', host: 'a.example', port: 443, authority: 'a.example', path: '', authorization: null, shown: 'https://a.example' },
  ],
  ['https://a:80/v1/', { protocol: 'https', host: 'a', port: 80, authority: 'a:80', path: '/v1', authorization: null, shown: 'https://a:80/v1' }],
  [
    'http://[::1]:3000/x%20y',
    { protocol: 'http', host: '::1', port: 3000, authority: '[::1]:3000', path: '/x%20y', authorization: null, shown: 'http://[::1]:3000/x%20y' },
  ],
  ['[::1]', { protocol: 'http', host: '::1', port: 80, authority: '[::1]', path: '', authorization: null, shown: 'http://[::1]' }],
  [
    'H2C://me.example:50051/v1',
    {
      protocol: 'http',
      host: 'me.example',
      port: 50051,
      authority: 'me.example:50051',
      path: '/v1',
      authorization: null,
      shown: 'h2c://me.example:50051/v1',
      h2c: true,
    },
  ],
  ['host', { protocol: 'http', host: 'host', port: 80, authority: 'host', path: '', authorization: null, shown: 'http://host' }],
] as const)('%s', (text, url) => {
  expect(parseUpstreamUrl(text)).toEqual(url);
});

test.each([
  ['http://me:pw@h', 'me:pw'],
  ['me@h:1', 'me:'],
  ['http://me:p%40%3Aw%25@h', 'me:p@:w%'],
  ['http://me:p@w@h', 'me:p@w'],
  ['http://ü:ö@h', 'ü:ö'],
])('user info becomes Basic auth and is not shown: %s', (text, plain) => {
  const url = parseUpstreamUrl(text);
  expect(Buffer.from(url.authorization!.replace('Basic ', ''), 'base64').toString()).toBe(plain);
  expect(url.shown).not.toContain('@');
});

test.each([
  '',
  'http://',
  'https:///x',
  'ftp://a',
  'ws://a',
  'unix:/x',
  '3000',
  'http://3000',
  'a:0',
  'a:65536',
  'a:b',
  'a:',
  'a:1:2',
  '::1',
  'http://[::1',
  'http://[x]:1',
  'http://a/?q',
  'http://a#f',
  'http://a/../b',
  'http://a/%2e%2e/b',
  'http://a/ü',
  'http://a b',
  'a\n:1',
  'a\u0000',
  'http://a%zz@h',
  'http://%zz@h',
  'http://1.2.3.4.5',
  'http://a..b',
  'http://-a',
])('%j is nothing to dial', (text) => {
  expect(() => parseUpstreamUrl(text)).toThrow();
});

test.each([
  ['ws://hub:8080/prefix', 'http://hub:8080/prefix', true],
  ['WSS://me:pw@hub.example.com', 'https://hub.example.com', true],
  ['https://hub.example.com', 'https://hub.example.com', undefined],
  ['wss:8080', 'http://wss:8080', undefined],
])('a hub at %s is dialled at %s; as a WebSocket: %s', (text, shown, webSocket) => {
  const url = parseHubUrl(text);
  expect([url.shown, url.webSocket]).toEqual([shown, webSocket]);
});

test('only an upstream can be HTTP/2 in plain text: a hub or a proxy is dialled otherwise', () => {
  for (const parse of [parseHubUrl, parseServerUrl]) expect(() => parse('h2c://hub:8080')).toThrow('not supported');
});
