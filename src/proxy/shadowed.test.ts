import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { locationSettings } from '../../test/kit/location.ts';
import { imagine } from './imagined.ts';
import { Router } from './router.ts';
import { compileRule } from './rule.ts';
import { shadowed } from './shadowed.ts';

function rulesOf(...locations: Record<string, unknown>[]) {
  return locations.map((toml, i) => compileRule(locationSettings(String.fromCharCode(97 + i), toml)));
}

describe('a location that can never win', () => {
  test.each<[string, Record<string, unknown>[], string[]]>([
    ['two alike', [{ path: '/a' }, { path: '/a' }], ['b by a']],
    ['a heavier beginning', [{ path: '/a/b' }, { path: '/a', weight: 9000 }], ['a by b']],
    ['an exact path below a heavier beginning', [{ path: '=/a/b' }, { path: '/a', weight: 9000 }], ['a by b']],
    ['everything is taken', [{ weight: 9000 }, { path: '/a' }, { host: 'a.io' }], ['b by a', 'c by a']],
    ['a host below a wildcard', [{ host: '*.a.io', weight: 9000 }, { host: 'x.y.a.io', path: '/q' }, { host: '*.y.a.io' }], ['b by a', 'c by a']],
    ['each of its hosts is taken by another', [{ host: 'a.io' }, { host: 'b.io' }, { host: 'b.io,a.io', path: '/' }], ['c by b+a']],
    ['a host that a regular expression takes', [{ host: '~^a', weight: 9000 }, { host: 'a.io' }], ['b by a']],
    ['an exact path that one takes', [{ path: '~^/a', weight: 9000 }, { path: '=/a/b' }], ['b by a']],
    ['a regular expression below a heavier /', [{ path: '/', weight: 9000 }, { path: '~^/a' }], ['b by a']],
    ['the same regular expression', [{ path: '~^/a' }, { path: '~ ^/a' }], ['a by b']],
    [
      'fewer methods',
      [
        { path: '/a', methods: ['GET', 'PUT'] },
        { path: '/a', methods: ['GET'] },
      ],
      ['b by a'],
    ],
    [
      'more conditions',
      [
        { path: '/a', match_headers: ['x'] },
        { path: '/a', match_headers: ['x:1', 'y'] },
      ],
      ['b by a'],
    ],
    [
      'a value that the pattern of another takes',
      [
        { path: '/a', match_query: ['x:~^a'] },
        { path: '/a', match_query: ['x:ab'] },
      ],
      ['b by a'],
    ],
  ])('%s', (_, locations, expected) => {
    expect(shadowed(rulesOf(...locations)).map(({ rule, by }) => `${rule.name} by ${by.map(({ name }) => name).join('+')}`)).toEqual(expected);
  });

  test.each<[string, Record<string, unknown>[]]>([
    [
      'different hosts',
      [
        { host: 'a.io', path: '/a' },
        { host: 'b.io', path: '/a' },
      ],
    ],
    ['a wildcard and its own name', [{ host: '*.a.io', weight: 9000 }, { host: 'a.io' }]],
    ['one of its hosts is free', [{ host: 'a.io' }, { host: 'a.io,b.io' }]],
    ['conditions above', [{ path: '/a', match_headers: ['x'], weight: 9000 }, { path: '/a' }]],
    ['methods above', [{ path: '/a', methods: ['GET'], weight: 9000 }, { path: '/a' }]],
    ['everything below /, since OPTIONS * has no /', [{ path: '/', weight: 9000 }, {}]],
    ['a regular expression that takes *', [{ path: '/', weight: 9000 }, { path: '~.' }]],
    ['a beginning below a regular expression', [{ path: '~^/a', weight: 9000 }, { path: '/a' }]],
    ['the heavier one comes first anyhow', [{ path: '/' }, { path: '/a' }]],
  ])('none: %s', (_, locations) => {
    expect(shadowed(rulesOf(...locations))).toEqual([]);
  });

  test('one that is told never wins a request, whatever the locations', () => {
    const host = fc.constantFrom('a', 'b.a', '*.a', '*.b.a', '~^b', '~a$');
    const location = fc.record({
      host: fc.option(fc.oneof(host, fc.array(host, { minLength: 1, maxLength: 2 })), { nil: undefined }),
      path: fc.option(fc.constantFrom('/', '/a', '=/a', '/a/', '=/a/b', '~^/a', '~b$', '~.'), { nil: undefined }),
      weight: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
      methods: fc.option(fc.constantFrom(['GET'], ['GET', 'POST']), { nil: undefined, freq: 1 }),
      match_query: fc.option(fc.constantFrom(['q'], ['q:1'], ['q:~1']), { nil: undefined, freq: 1 }),
    });
    const heads = ['a', 'b.a', 'c.b.a', 'z'].flatMap((one) =>
      ['/', '/a', '/a/b', '/b', '/a?q=1', '/a/b?q=2'].flatMap((path) =>
        ['GET', 'POST'].map((method) => imagine({ host: one, path, method, headers: [] })),
      ),
    );
    let told = 0;
    fc.assert(
      fc.property(fc.array(location, { minLength: 2, maxLength: 6, size: 'max' }), (locations) => {
        const rules = rulesOf(...locations);
        const never = new Set(shadowed(rules).map(({ rule }) => rule.name));
        told += never.size;
        const router = new Router(rules.map((rule) => ({ rule, value: rule.name })));
        for (const head of heads) expect(never.has(router.find(head)?.value ?? '')).toBe(false);
      }),
      { numRuns: 200 },
    );
    expect(told).toBeGreaterThan(20);
  });
});
