import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { locationSettings } from '../../test/kit/location.ts';
import { hostOf } from './host-pattern.ts';
import { imagine } from './imagined.ts';
import { Router } from './router.ts';
import { admits, compileRule, takes } from './rule.ts';

type Toml = Readonly<Record<string, unknown>>;
type Locations = Readonly<Record<string, Toml>>;

function routerOf(locations: Locations): Router<string> {
  return new Router(Object.entries(locations).map(([name, toml]) => ({ rule: compileRule(locationSettings(name, toml)), value: name })));
}

/** `GET example.com /path` and header lines. */
function requestOf(line: string, headers: readonly string[] = []) {
  const [method, host, path] = line.split(' ');
  return imagine({ method: method!, host: host === '-' ? '' : host!, path: path!, headers });
}

function winner(locations: Locations, line: string, headers: readonly string[] = []): string | null {
  const router = routerOf(locations);
  const head = requestOf(line, headers);
  const found = router.find(head)?.value ?? null;
  expect(router.explain(head).winner).toBe(found);
  return found;
}

describe('hosts', () => {
  test.each([
    ['example.com', 'example.com'],
    ['example.com', 'EXAMPLE.Com'],
    ['Example.COM', 'example.com'],
    ['example.com', 'example.com:8080'],
    ['example.com', 'example.com.'],
    ['example.com.', 'example.com'],
    ['example.com', 'example.com.:443'],
    ['a.io, example.com', 'example.com'],
    ['*.example.com', 'a.example.com'],
    ['*.example.com', 'a.b.example.com:1'],
    ['*.example.com', 'A.Example.com.'],
    ['~^api-\\d+\\.example\\.com$', 'api-12.example.com:80'],
    ['~^api', 'API.example.com'],
    ['[::1]', '[::1]'],
    ['::1', '[::1]:8080'],
    ['[2001:DB8::1]', '[2001:db8:0:0:0:0:0:1]:443'],
    ['127.0.0.1', '127.0.0.1:8080'],
    ['münchen.de', 'xn--mnchen-3ya.de'],
  ])('%s takes %s', (host, asked) => {
    expect(winner({ it: { host } }, `GET ${asked} /`)).toBe('it');
  });

  test.each([
    ['example.com', 'www.example.com'],
    ['example.com', 'example.com.evil.io'],
    ['example.com', 'xexample.com'],
    ['*.example.com', 'example.com'],
    ['*.example.com', 'xexample.com'],
    ['*.example.com', 'a.example.com.evil.io'],
    ['~^api\\.', 'x.api.io'],
    ['[::1]', '[::2]'],
    ['example.com', '-'],
  ])('%s does not take %s', (host, asked) => {
    expect(winner({ it: { host } }, `GET ${asked} /`)).toBe(null);
  });

  test('an absolute target counts instead of Host', () => {
    expect(winner({ one: { host: 'one.io' }, two: { host: 'two.io' } }, 'GET one.io http://two.io/x')).toBe('two');
  });
});

describe('paths', () => {
  test.each([
    ['/api', '/api', true],
    ['/api', '/apix', true],
    ['/api', '/api/?q=1', true],
    ['/api', '/ap', false],
    ['/api', '/x?/api', false],
    ['=/api', '/api', true],
    ['=/api', '/api?x=1', true],
    ['=/api', '/api/', false],
    ['~^/v\\d+/', '/v12/x', true],
    ['~/v\\d+/', '/a/v1/b', true],
    ['~^/v\\d+/', '/x?/v1/', false],
    ['~\\?', '/x?y', false],
    ['/', '/anything', true],
  ])('path %s and a request for %s: %s', (path, asked, takesIt) => {
    expect(winner({ it: { path } }, `GET a.io ${asked}`)).toBe(takesIt ? 'it' : null);
  });

  test('a location without path takes everything, OPTIONS * too; the path / does not take that', () => {
    expect(winner({ it: {} }, 'OPTIONS a.io *')).toBe('it');
    expect(winner({ it: { path: '/' } }, 'OPTIONS a.io *')).toBe(null);
  });

  test('of two that fit the heavier wins, whatever their order in the file', () => {
    const locations = {
      all: {},
      slash: { path: '/' },
      regex: { path: '~^/a' },
      short: { path: '/a' },
      long: { path: '/a/b' },
      exact: { path: '=/a/b' },
    };
    expect(winner(locations, 'GET a.io /a/b')).toBe('exact');
    expect(winner(locations, 'GET a.io /a/bc')).toBe('long');
    expect(winner(locations, 'GET a.io /ab')).toBe('short');
    expect(winner(locations, 'GET a.io /z')).toBe('all');
    expect(winner({ ...locations, regex: { path: '~^/a', weight: 2000 } }, 'GET a.io /a/b')).toBe('regex');
  });

  // The answer of a path that a careless proxy would take for something below /admin.
  test.each([
    ['/admin', 'admin'],
    ['/admin/', 'admin'],
    ['/admin/x', 'admin'],
    ['/x/../admin', 'admin'],
    ['/x/%2e%2e/admin', 'admin'],
    ['/x/.%2E/admin/', 'admin'],
    ['/./admin', 'admin'],
    ['/admin/../x', 'rest'],
    ['/admin/%2e%2e/x', 'rest'],
    ['/admin%2f..%2fx', 'admin'],
    ['/admin/..;/x', 'admin'],
    ['/admin;x=1', 'admin'],
    ['/Admin', 'rest'],
    ['//admin', 'rest'],
    ['/%61dmin', 'rest'],
    ['/x%2fadmin', 'rest'],
    ['/x%5c..%5cadmin', 'rest'],
    ['/x%2f..%2fadmin', 'rest'],
    ['/%252e%252e/admin', 'rest'],
  ])('[threat 27] [threat 28] %s goes to %s, and what was matched is what is forwarded', (path, location) => {
    const router = routerOf({ rest: { path: '/' }, admin: { path: '/admin' } });
    const head = requestOf(`GET a.io ${path}`);
    expect(router.find(head)?.value).toBe(location);
    expect(head.path.startsWith('/admin')).toBe(location === 'admin');
    expect(head.path).not.toMatch(/\/(\.|%2e){1,2}(\/|$)/i);
  });

  test.each(['/../admin', '/%00', '/a/../../admin', '/%zz', '/a\\b'])('[threat 27] %s is refused before it is routed', (path) => {
    expect(() => requestOf(`GET a.io ${path}`)).toThrow();
  });
});

describe('conditions and methods', () => {
  const locations = {
    rest: { path: '/' },
    beta: { path: '/', match_headers: ['x-beta'], weight: 5 },
    exact: { path: '/', match_headers: ['X-Plan: gold'], weight: 6 },
    regex: { path: '/', match_headers: ['user-agent:~(?i)curl/'], weight: 7 },
    query: { path: '/', match_query: ['debug', 'level:a b'], weight: 8 },
    cookie: { path: '/', match_cookies: ['group:two'], weight: 9 },
    writes: { path: '/w', methods: ['POST', 'PUT'] },
    sockets: { path: '/ws', match_headers: ['upgrade:websocket'] },
  };
  test.each([
    ['GET a.io /', [], 'rest'],
    ['GET a.io /', ['X-Beta:'], 'beta'],
    ['GET a.io /', ['X-Plan: gold'], 'exact'],
    ['GET a.io /', ['X-Plan: Gold'], 'rest'],
    ['GET a.io /', ['X-Plan: silver', 'x-plan: gold'], 'exact'],
    ['GET a.io /', ['User-Agent: Curl/8'], 'regex'],
    ['GET a.io /?debug&level=a%20b', [], 'query'],
    ['GET a.io /?level=a+b&debug=1', [], 'query'],
    ['GET a.io /?level=a+b', [], 'rest'],
    ['GET a.io /?debug&level=%zz', [], 'rest'],
    ['GET a.io /', ['Cookie: a=1; group=two'], 'cookie'],
    ['GET a.io /', ['Cookie: group=two2'], 'rest'],
    ['GET a.io /', ['Cookie: xgroup=two'], 'rest'],
    ['POST a.io /w', [], 'writes'],
    ['GET a.io /w', [], 'rest'],
    ['GET a.io /ws', ['Connection: upgrade', 'Upgrade: websocket'], 'sockets'],
    ['GET a.io /ws', ['Upgrade: websocket'], 'rest'],
    ['GET a.io /', ['Connection: x-beta', 'X-Beta: 1'], 'rest'],
    ['GET a.io /', ['constructor: 1', '__proto__: 2'], 'rest'],
  ])('%s with %j goes to %s', (line, headers, name) => {
    expect(winner(locations, line, headers)).toBe(name);
  });

  test('[threat 59] names of object properties are names like others, in every place', () => {
    const odd = { __proto__: { path: '/toString' }, constructor: { host: 'constructor', match_query: ['__proto__:1'] } };
    expect(winner({ ...odd, ['__proto__']: { path: '/toString' } }, 'GET a.io /toString/x')).toBe('__proto__');
    expect(winner(odd, 'GET constructor /?__proto__=1')).toBe('constructor');
    expect(winner(odd, 'GET constructor /')).toBe(null);
  });
});

describe('captures', () => {
  test('names of host and path, and numbers of the path', () => {
    const router = routerOf({ it: { host: '~^(?P<tenant>\\w+)\\.example\\.com$', path: '~^/v(\\d)/(?P<rest>.*)$' } });
    const { captures } = router.find(requestOf('GET ACME.example.com:8080 /v2/a/b?c'))!;
    expect(Object.fromEntries(captures!)).toEqual({ tenant: 'acme', '1': '2', '2': 'a/b', rest: 'a/b' });
  });

  test('numbers of the host when the path is no regular expression', () => {
    const { captures } = routerOf({ it: { host: ['x.io', '~^(\\w+)-(\\w+)\\.'], path: '/' } }).find(requestOf('GET a-b.io /'))!;
    expect(Object.fromEntries(captures!)).toEqual({ '1': 'a', '2': 'b' });
  });

  test('[threat 58] nothing is captured of a path too long for a pattern that could be busy with it, and the head says so', () => {
    const router = routerOf({ busy: { path: '~^/(.*)/(.*)x' }, quick: { path: '~^/q/([^/]+)/' } });
    const long = requestOf(`GET a.io /${'a/'.repeat(2000)}x`);
    expect(router.find(long)).toEqual({ value: 'busy', captures: null });
    expect(long.problem).toBe('target_too_long');
    const quick = requestOf(`GET a.io /q/${'a'.repeat(4000)}/`);
    expect(router.find(quick)?.captures?.get('1')?.length).toBe(4000);
    expect(quick.problem).toBe(null);
  });

  test('a location that captures nothing costs no object: the same match is given again', () => {
    const router = routerOf({ it: { path: '/' } });
    expect(router.find(requestOf('GET a.io /x'))).toBe(router.find(requestOf('GET a.io /y')));
  });
});

describe('an index of many locations', () => {
  const label = fc.constantFrom('a', 'b', 'ab', 'x-1');
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'));
  const host = fc.oneof(
    { weight: 4, arbitrary: name },
    { weight: 3, arbitrary: name.map((one) => `*.${one}`) },
    { weight: 1, arbitrary: fc.constantFrom('~^a', '~b$', '~^(?P<h>[ab]+)\\.', '[::1]') },
  );
  const path = fc.array(fc.constantFrom('/', 'a', 'b', '/a', '%2F'), { maxLength: 5 }).map((parts) => `/${parts.join('')}`);
  const seldom = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, of);
  const location = fc.record({
    host: fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, host, fc.array(host, { minLength: 1, maxLength: 3 })),
    path: fc.oneof(
      { weight: 2, arbitrary: fc.constant(undefined) },
      { weight: 5, arbitrary: path },
      { weight: 3, arbitrary: path.map((one) => `=${one}`) },
      { weight: 2, arbitrary: fc.constantFrom('~^/a', '~b', '~^/(a|b)/$', '~^/(?P<p>.)', '=*') },
    ),
    weight: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
    methods: seldom(fc.constantFrom(['GET'], ['POST', 'GET'], ['OPTIONS'])),
    match_headers: seldom(fc.constantFrom(['x-a'], ['x-a:1'], ['x-a:~^[12]$'])),
    match_query: seldom(fc.constantFrom(['q'], ['q:1'])),
    match_cookies: seldom(fc.constantFrom(['c:1'])),
  });
  const request = fc.record({
    method: fc.constantFrom('GET', 'POST', 'OPTIONS'),
    host: fc.oneof(
      name,
      name.map((one) => `${one.toUpperCase()}.:80`),
      fc.constantFrom('', '[::1]:80', '[0:0::1]', '.a', 'a.b.a.b.ab'),
    ),
    path: fc.oneof(
      { weight: 6, arbitrary: fc.tuple(path, fc.constantFrom('', '?', '?q', '?q=1', '?x=/a')).map((parts) => parts.join('')) },
      { weight: 1, arbitrary: fc.constantFrom('/b/../a', '/a/%2e', 'http://b.a/a?q', 'http://a', `/${'a'.repeat(9000)}`) },
    ),
    headers: fc.subarray(['X-A: 1', 'X-A: 3', 'Cookie: b=1; c=1']),
  });

  test('finds what a linear search in the order finds, captures included, whatever the locations and the request', () => {
    let hits = 0;
    fc.assert(
      fc.property(fc.array(location, { maxLength: 12, size: 'max' }), fc.array(request, { minLength: 8, maxLength: 8 }), (locations, requests) => {
        const rules = locations.map((toml, i) => compileRule(locationSettings(`n${i}`, toml)));
        const router = new Router(rules.map((rule) => ({ rule, value: rule.name })));
        for (const one of requests) {
          const head = imagine(one);
          const expected = router.rules.find((rule) => takes(rule, hostOf(head.authority), head.path) && admits(rule, head));
          const found = router.find(head);
          expect(found?.value).toBe(expected?.name);
          const explained = router.explain(head);
          expect(explained.winner).toBe(expected?.name ?? null);
          expect(found?.captures ?? null).toEqual(explained.captures);
          if (found !== null) hits++;
        }
      }),
      { numRuns: 500 },
    );
    // The two must have had something to agree on.
    expect(hits).toBeGreaterThan(500);
  });

  test('paths and hosts longer than its memory are looked up all the same', () => {
    const router = routerOf({ deep: { path: `/${'a'.repeat(100)}`, host: '*.b' } });
    const head = requestOf('GET x.b /z');
    head.newTarget = `/${'a'.repeat(40_000)}`;
    expect(router.find(head)?.value).toBe('deep');
    head.newAuthority = `${'x.'.repeat(600)}b`;
    expect(router.find(head)?.value).toBe('deep');
  });
});

describe('explaining', () => {
  test('says of every location in order why it wins or does not', () => {
    const router = routerOf({
      rest: { path: '/' },
      api: { path: '/api', host: 'example.com' },
      twin: { path: '/api', host: 'example.com' },
      exact: { path: '=/api' },
      other: { host: 'other.io, *.other.io', path: '/api' },
      writes: { path: '/api/', methods: ['POST'] },
      beta: { path: '/api/', match_headers: ['x-beta:1'] },
      regex: { path: '~^/v(\\d)' },
    });
    const { considered, winner: won, path, host } = router.explain(requestOf('GET Example.com:80 /api/x?y'));
    expect({ won, path, host }).toEqual({ won: 'api', path: '/api/x', host: 'example.com' });
    expect(considered.map(({ name, weight, verdict, why }) => `${name} ${weight} ${verdict}: ${why}`)).toEqual([
      'exact 1029 path: path /api/x is not /api',
      'api 644 wins: host example.com, path /api fit',
      'twin 644 behind: takes it too, but api weighs the same and stands first',
      'other 644 host: host example.com is not other.io or *.other.io',
      'writes 517 method: method GET is not POST',
      'beta 517 condition: header x-beta:1 does not hold',
      'regex 264 path: path /api/x does not match ~^/v(\\d)',
      'rest 0 behind: takes it too, but api is heavier',
    ]);
  });
});
