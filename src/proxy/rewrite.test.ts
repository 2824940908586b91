import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolvePath } from '../http/target.ts';
import { Wrong } from '../schema/wrong.ts';
import { imagine } from './imagined.ts';
import { compileRewrite } from './rewrite.ts';

function rewritten(rule: string, path: string, captures: Record<string, string> = {}): string {
  const head = imagine({ host: 'a.io', method: 'GET', path, headers: [] });
  compileRewrite(rule).apply(head, new Map(Object.entries(captures)));
  return head.problem ?? head.target;
}

describe('a rewrite', () => {
  test.each([
    ['^/api/(.*)$ /$1', '/api/v1/x', '/v1/x'],
    ['^/api/ /', '/api/v1', '/v1'],
    ['^/api /', '/api/v1', '//v1'],
    ['^/users/(.*)/(.*)$ /$2/of/$1', '/users/a/b', '/b/of/a'],
    ['^/(?P<user>\\w+)/x$ /u-${user}y', '/bob/x', '/u-boby'],
    ['^/(?P<user>\\w+)/x$ /$user/', '/bob/x', '/bob/'],
    ['^/(\\w)(\\w+) /$2$1', '/abc', '/bca'],
    ['a b', '/aaa', '/baa'],
    ['^/a /$$1', '/a', '/$1'],
    ['^/a(.)? /x$1y', '/a', '/xy'],
    ['^/api/ ', '/api/v1', '/v1'],
    ['^/api', '/api', '/'],
    ['^/api', '/api?q', '/?q'],
    ['/api$', '/x/api', '/x'],
    ['^/a/b /c%20d', '/a/b/e', '/c%20d/e'],
    ['^/none /x', '/api', '/api'],
    // One word with a $ replaces everything; numbers are then those of the location's path.
    ['/all/$1', '/x/y', '/all/one'],
    ['/$tenant/$0', '/x/y', '/acme//x/y'],
    ['^/x /$tenant', '/x/y', '/acme/y'],
    ['^/x /${tenant}s/${1}', '/x', '400'],
  ])('%s makes of %s: %s', (rule, path, target) => {
    if (target === '400') expect(() => compileRewrite(rule)).toThrow(Wrong);
    else expect(rewritten(rule, path, { '1': 'one', tenant: 'acme' })).toBe(target);
  });

  test.each([
    ['^/a /b', '/a?x=%2F&&y=a+b&z', '/b?x=%2F&&y=a+b&z'],
    ['^/a /b', '/a?', '/b?'],
    ['^/a /b', '/a?x=/a?b', '/b?x=/a?b'],
    ['^/a /b?fixed=1', '/a', '/b?fixed=1'],
    ['^/a /b?fixed=1', '/a?x', '/b?fixed=1&x'],
    ['x y', '/a?x', '/a?x'],
  ])('leaves the query as it is: %s on %s', (rule, target, made) => {
    expect(rewritten(rule, target)).toBe(made);
  });

  test('[threat 58] a path too long for a pattern that could be busy with it is refused when it would be rewritten, and left alone when not', () => {
    const long = 'a/'.repeat(2000);
    expect(rewritten('^/(.*)/(.*)/x(.*)$ /$2', `/${long}x`)).toBe('target_too_long');
    expect(rewritten('^/(.*)/(.*)/x(.*)$ /$2', `/${long}`)).toBe(`/${long}`);
    expect(rewritten('^/(.*)$ /b/$1', `/${long}`)).toBe(`/b/${long}`);
  });

  test('leaves the * of OPTIONS alone', () => {
    const head = imagine({ host: 'a.io', method: 'OPTIONS', path: '*', headers: [] });
    compileRewrite('^.*$ /x').apply(head, null);
    expect(head.target).toBe('*');
  });

  test('hands on the captures that it was given, and its own names', () => {
    const head = imagine({ host: 'a.io', method: 'GET', path: '/bob/x', headers: [] });
    const given = new Map([['tenant', 'acme']]);
    const captures = compileRewrite('^/(?P<user>\\w+)(/x) $2').apply(head, given);
    expect(Object.fromEntries(captures!)).toEqual({ tenant: 'acme', user: 'bob' });
    expect(compileRewrite('^/nothing /x').apply(head, given)).toBe(given);
  });

  test.each([
    ['^/files-(.*)$ /files/$1', '/files-../secret'],
    ['^/files/(.)x(.*)$ /files/.$1$2', '/files/.x/secret'],
    ['^/(.)4(.*)$ /$1$2', '/%41'],
    ['^/x(.*)$ /y/.%2e$1', '/x/a'],
  ])('[threat 27] a path that would leave its place when rewritten is refused: %s on %s', (rule, path) => {
    expect(rewritten(rule, path)).toBe('bad_request');
  });

  test('what comes out may always be sent: one path without dot segments, spaces and controls, whatever is captured', () => {
    const rules = ['^/a(.*)$ /b/$1', '^(.*)/(.*)$ $2$1', '/$tenant/$0', '^/(?P<a>..)(.*) /.${a}/../$2', '. x', '^/ .', '(.)(.)$ $2?$1'].map((rule) =>
      compileRewrite(rule),
    );
    const path = fc
      .array(fc.constantFrom('/', 'a', '.', '..', '%2e', '%41', ';', '?', '&', ':', '%0d%0a', '$1'), { maxLength: 12 })
      .map((parts) => `/${parts.join('')}`);
    let checked = 0;
    fc.assert(
      fc.property(path, fc.constantFrom(...rules), (target, rule) => {
        let head;
        try {
          head = imagine({ host: 'a.io', method: 'GET', path: target, headers: [] });
        } catch {
          return;
        }
        const query = head.target.split('?').slice(1).join('?');
        rule.apply(head, new Map([['tenant', 'acme']]));
        if (head.problem !== null) return;
        checked++;
        expect(head.target).toMatch(/^\/[\x21-\x7e]*$/);
        expect(resolvePath(head.path)).toBe(head.path);
        expect(head.target.endsWith(query)).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(checked).toBeGreaterThan(200);
  });

  test.each([
    ['a b c', /3 parts/, /\\x20/],
    ['^/(a /$1', /missing closing \) at position 3/, /./],
    ['^/a /$1', /uses \$1, and its pattern has 0 groups/, /parentheses/],
    ['^/a /b\\c', /may not stand in a path/, /%5C/],
    ['^/a /ü', /may not stand in a path/, /%C3%BC/],
    ['^/a /b$', /a \$ that names nothing/, /\$\$/],
    ['^/a /b#c', /may not stand in a path/, /./],
    ['^(?=/a) /b', /invalid or unsupported Perl syntax at position 2/, /two locations/],
  ])('%s is an error at load', (rule, message, fix) => {
    let error: unknown;
    try {
      compileRewrite(rule);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(Wrong);
    expect((error as Wrong).message).toMatch(message);
    expect((error as Wrong).fix).toMatch(fix);
  });
});
