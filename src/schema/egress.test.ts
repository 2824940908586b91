import { expect, test } from 'vitest';
import { egressOf, proxyFor } from './egress.ts';
import { parseUpstreamUrl } from './upstream-url.ts';
import { Wrong } from './wrong.ts';

function used(env: Record<string, string>, to: string): string | null {
  return proxyFor(egressOf(env), parseUpstreamUrl(to))?.shown ?? null;
}

test.each([
  [{ HTTPS_PROXY: 'http://p:3128' }, 'https://hub.example', 'http://p:3128'],
  [{ https_proxy: 'p:3128' }, 'https://hub.example', 'http://p:3128'],
  [{ https_proxy: 'http://low:1', HTTPS_PROXY: 'http://up:1' }, 'https://hub.example', 'http://low:1'],
  [{ HTTPS_PROXY: 'http://p:3128' }, 'http://hub.example', null],
  [{ HTTP_PROXY: 'http://p:3128' }, 'http://hub.example', 'http://p:3128'],
  [{ HTTP_PROXY: 'http://p:3128' }, 'https://hub.example', null],
  [{ ALL_PROXY: 'http://all:1' }, 'https://hub.example', 'http://all:1'],
  [{ all_proxy: 'http://all:1', https_proxy: 'https://p' }, 'https://hub.example', 'https://p'],
  [{ HTTPS_PROXY: '' }, 'https://hub.example', null],
  [{}, 'https://hub.example', null],
])('%o takes %s through %s', (env, to, proxy) => {
  expect(used(env, to)).toBe(proxy);
});

test.each([
  ['*', 'https://anything.example', true],
  ['example.com', 'https://example.com', true],
  ['example.com', 'https://hub.example.com', true],
  ['.example.com', 'https://hub.example.com', true],
  ['*.example.com', 'https://hub.example.com', true],
  ['example.com', 'https://badexample.com', false],
  ['EXAMPLE.com', 'https://hub.Example.COM', true],
  ['localhost, example.com', 'https://example.com', true],
  ['a b', 'https://b', true],
  ['example.com:8443', 'https://example.com', false],
  ['example.com:8443', 'https://example.com:8443', true],
  ['10.1.2.3', 'https://10.1.2.3', true],
  ['2.3', 'https://10.1.2.3', false],
  ['[::1]', 'https://[::1]:99', true],
  ['::1', 'https://[::1]:99', true],
  ['[::1]:98', 'https://[::1]:99', false],
  [',,. ', 'https://example.com', false],
])('NO_PROXY=%s and %s: past the proxy is %s', (except, to, isDirect) => {
  expect(used({ HTTPS_PROXY: 'http://p:1', NO_PROXY: except }, to) === null).toBe(isDirect);
});

test('user info becomes Basic authorization', () => {
  expect(egressOf({ https_proxy: 'http://me:p%40ss@p:1' }).https?.authorization).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`);
});

test.each(['socks5://p:1', 'http://', 'http://:3128', 'http://p:99999'])(
  'a proxy that cannot be used is wrong, by the name of its variable: %s',
  (value) => {
    let wrong: unknown;
    try {
      egressOf({ HTTPS_PROXY: value });
    } catch (error) {
      wrong = error;
    }
    expect(wrong).toBeInstanceOf(Wrong);
    expect(wrong).toMatchObject({ part: 'HTTPS_PROXY' });
    expect((wrong as Wrong).fix).toContain('--proxy off');
  },
);
