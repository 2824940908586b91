import fc from 'fast-check';
import { expect, test } from 'vitest';
import { resolvePath } from './target.ts';

test('dot segments are resolved once, escaped ones too; the rest is untouched [threat 27]', () => {
  for (const [path, resolved] of [
    ['/', '/'],
    ['/a/b', '/a/b'],
    ['/a//b', '/a//b'],
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/a/b/..', '/a/'],
    ['/a/b/.', '/a/b/'],
    ['/a/%2E%2e/b', '/b'],
    ['/a/.%2e/b', '/b'],
    ['/a/%2e', '/a/'],
    ['/a/...', '/a/...'],
    ['/a/..b', '/a/..b'],
    ['/a/b..', '/a/b..'],
    ['/a/%2f../b', '/a/%2f../b'],
    ['/a/..%2fb', '/a/..%2fb'],
    ['/a/%252e%252e/b', '/a/%252e%252e/b'],
    ['/a//../b', '/a/b'],
    ['/..', null],
    ['/a/../..', null],
    ['/%2e%2e', null],
    ['/a/../../a', null],
    ['/%00', null],
    ['/a%0', null],
    ['/a%', null],
    ['/a%gg', null],
  ])
    expect([path, resolvePath(path!)]).toEqual([path, resolved]);
});

test('a resolved path has no dot segment left, and resolving it again changes nothing [threat 28]', () => {
  const segment = fc.constantFrom('a', 'b', '..', '.', '', '%2e', '%2E%2e', '..%2f', '.a', 'a.', '%2fa', '...');
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
      const path = `/${segments.join('/')}`;
      const resolved = resolvePath(path);
      if (resolved === null) return;
      expect(resolved.startsWith('/')).toBe(true);
      expect(resolved.replaceAll(/%2e/gi, '.').split('/')).not.toContain('..');
      expect(resolved.replaceAll(/%2e/gi, '.').split('/')).not.toContain('.');
      expect(resolvePath(resolved)).toBe(resolved);
    }),
  );
});
