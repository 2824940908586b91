import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, test } from 'vitest';
import { nativePattern } from './native-pattern.ts';

describe('a pattern for JavaScript’s own engine', () => {
  test.each([
    '^/api/',
    '^/api/(.*)',
    '^/(api|rest)/',
    '^/api/v(\\d+)/users/([^/]+)/?$',
    '^/(?P<tenant>[^/]+)/(.*)$',
    '^(?<a>\\w+)\\.example\\.com$',
    '\\.(?:jpe?g|png|gif)$',
    '/v\\d+',
    'abc|def',
    '^(.*)/images/[a-z]$',
    '^/a{2,3}b',
    '^[a-z0-9-]{1,63}\\.io$',
    '.*',
    '^.*$',
    '',
    '^/(users|groups|projects|teams|orgs|repos|issues|pulls|commits|branches)/(\\d+)$',
  ])('%s is certain', (source) => {
    expect(nativePattern(source, false)).not.toBe(null);
  });

  test.each([
    '(a+)+$',
    '^(a|a)*$',
    'a+b',
    '^(.*)/(.*)/x$',
    '^a*a*$',
    '^a*(a|b)*$',
    '(?i)abc',
    '^\\bx',
    '^(a|b$)',
    'a**',
    '^(?:(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a))$',
    'a.{80}b',
    '^a?a?a?a?a?aaaaa$',
    '^(a*)(a*)b',
    '^.*a{0,100}b',
    '[[:alpha:]]',
    '\\pL',
    '^(.*)\\d+x',
    'ü',
    '^(a?)?b',
  ])('[threat 58] %s is not', (source) => {
    expect(nativePattern(source, false)).toBe(null);
  });

  const char = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('a', 'b', '/', '\\.', '-') },
    { weight: 3, arbitrary: fc.constantFrom('[ab]', '[^/]', '\\d', '\\w', '.', '[a-c\\d_-]', '[^a\\-]', '[\\w.]') },
  );
  const item = fc
    .tuple(
      char,
      fc.oneof({ weight: 3, arbitrary: fc.constant('') }, fc.constantFrom('*', '+', '?', '*?', '+?', '??', '{2}', '{0,2}', '{1,}', '{1,3}?')),
    )
    .map((parts) => parts.join(''));
  const { pattern } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
    piece: fc.oneof(
      { maxDepth: 2, withCrossShrink: true },
      { weight: 5, arbitrary: item },
      { weight: 2, arbitrary: fc.tuple(fc.constantFrom('(', '(?:'), tie('pattern'), fc.constantFrom(')', ')?')).map((parts) => parts.join('')) },
    ),
    pattern: fc
      .array(
        fc.array(tie('piece'), { maxLength: 4 }).map((pieces) => pieces.join('')),
        { minLength: 1, maxLength: 3 },
      )
      .map((choices) => choices.join('|')),
  }));
  const anchored = fc.tuple(fc.constantFrom('', '^'), pattern, fc.constantFrom('', '$')).map((parts) => parts.join(''));

  test('finds what the linear engine finds, groups included', () => {
    let compared = 0;
    let found = 0;
    const text = fc.array(fc.constantFrom('a', 'b', 'c', '/', '.', '-', '1', 'A', '\n', 'ü', '😀'), { maxLength: 12 }).map((chars) => chars.join(''));
    fc.assert(
      fc.property(anchored, fc.array(text, { minLength: 6, maxLength: 6 }), fc.boolean(), (source, texts, ignoreCase) => {
        const native = nativePattern(source, ignoreCase);
        if (native === null) return;
        const linear = RE2JS.compile(source, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
        for (const one of texts) {
          compared++;
          const matcher = linear.matcher(one);
          const match = native.exec(one);
          const isFound = matcher.find();
          expect(match !== null, `${source} in ${JSON.stringify(one)}`).toBe(isFound);
          if (match === null) continue;
          found++;
          const groups = Array.from({ length: linear.groupCount() + 1 }, (_, i) => matcher.group(i) ?? '');
          expect([match.index, ...Array.from(match, (group) => group ?? '')], `${source} in ${JSON.stringify(one)}`).toEqual([
            matcher.start(),
            ...groups,
          ]);
        }
      }),
      { numRuns: 2000 },
    );
    expect(compared).toBeGreaterThan(2000);
    expect(found).toBeGreaterThan(500);
  });

  // Quadratic time would be seconds for each of them.
  test('is linear: texts made of what it repeats, cut short, are refused at once', () => {
    const pieces = ['a', 'b', '/', 'ab', 'a/', '-a', '1', 'aab', '.a', '/a-'];
    const last = ['', 'c', '/', '!', '\n'];
    let checked = 0;
    fc.assert(
      fc.property(anchored, fc.constantFrom(...pieces), fc.constantFrom(...last), (source, piece, end) => {
        const native = nativePattern(source, false);
        if (native === null) return;
        native.test(piece.repeat(Math.ceil((128 * 1024) / piece.length)) + end);
        checked++;
      }),
      { numRuns: 1000 },
    );
    expect(checked).toBeGreaterThan(100);
  });
});
