import { describe, expect, test } from 'vitest';
import { locationSettings } from '../../test/kit/location.ts';
import { Wrong } from '../schema/wrong.ts';
import { orderOf } from './order.ts';
import { captureNamesOf, compileRule } from './rule.ts';

const weigh = (toml: Record<string, unknown>): number => compileRule(locationSettings('x', toml)).weight;

describe('the weight of a location', () => {
  test.each([
    ['nothing', {}, 0],
    ['the path /', { path: '/' }, 0],
    ['a beginning', { path: '/api' }, 512 + 4],
    ['an exact path, whose = counts', { path: '=/api' }, 1024 + 5],
    ['a regular expression, whose ~ counts', { path: '~^/api' }, 256 + 6],
    ['a path longer than 64 characters', { path: `/${'a'.repeat(100)}` }, 512 + 64],
    ['a host', { host: 'example.com' }, 128],
    ['several hosts', { host: 'a.example.com, b.example.com' }, 128],
    ['a wildcard host', { host: '*.example.com' }, 128],
    ['a host and the path /', { host: 'example.com', path: '/' }, 128],
    ['a host and a beginning', { host: 'example.com', path: '/api' }, 512 + 4 + 128],
    ['a regular expression as host: its length', { host: '~^api' }, 5],
    ['a list of hosts with a regular expression in it: the length of all', { host: 'a.io,~^b' }, 8],
    ['a long regular expression as host, which outweighs a plain one', { host: `~^${'a'.repeat(198)}` }, 200],
    ['a weight that is written', { host: 'example.com', path: '/api', weight: 7 }, 7],
  ])('%s', (_, toml, weight) => {
    expect(weigh(toml)).toBe(weight);
  });

  test('an exact path without host comes before a beginning with one, and a regular expression with host after any beginning', () => {
    const hosted = weigh({ host: 'example.com', path: `/${'a'.repeat(100)}` });
    expect(weigh({ path: '=/a' })).toBeGreaterThan(hosted);
    expect(weigh({ host: 'example.com', path: `~${'a'.repeat(100)}` })).toBeLessThan(weigh({ path: '/a' }));
  });

  test('equals stay in the order of the configuration', () => {
    const rules = ['c', 'a', 'd', 'b'].map((name) => compileRule(locationSettings(name, { path: name === 'd' ? '=/same' : '/same' })));
    expect(orderOf(rules).map(({ name }) => name)).toEqual(['d', 'c', 'a', 'b']);
  });
});

describe('what does not fit together is an error at load', () => {
  test.each([
    [{ path: '/a', upstream: '$tenant' }, /capture tenant as upstream, and nothing captures it/],
    [{ path: '~^/(a)', upstream: '$2' }, /capture 2 as upstream/],
    [{ path: '/a', rewrite: '^/a /b/$tenant' }, /uses \$tenant in its rewrite/],
    [{ path: '/a', rewrite: '/b/$1' }, /uses \$1 in its rewrite/],
    [{ proxy_add_headers: ['Host: b.io'] }, /adds a second Host/],
    [{ proxy_add_headers: ['X-To: $upstream_addr'] }, /adds \$upstream_addr/],
  ])('%j', (toml, message) => {
    let error: unknown;
    try {
      compileRule(locationSettings('x', toml));
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(Wrong);
    expect((error as Wrong).message).toMatch(message);
    expect((error as Wrong).fix).not.toBe('');
  });

  test('captures of host, path and rewrite may be used', () => {
    expect(() => compileRule(locationSettings('x', { host: '~^(?P<tenant>\\w+)\\.', upstream: '$tenant' }))).not.toThrow();
    expect(() => compileRule(locationSettings('x', { path: '~^/(\\w+)/', upstream: '${1}' }))).not.toThrow();
    const settings = locationSettings('x', { path: '/', rewrite: '^/(?P<service>\\w+) /', upstream: '$service' });
    expect([...captureNamesOf(settings, compileRule(settings))]).toEqual(['service']);
  });
});
