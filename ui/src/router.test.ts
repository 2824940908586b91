import { expect, test } from 'vitest';
import { href, placeOf } from './router.ts';

test('what goes into an address comes out of it, whatever it holds', () => {
  for (const id of ['plain', 'a/b', '#x', '?y=1', 'ä 你', '%2F', '"><script>', 'javascript:alert(1)']) {
    const { screen, rest, query } = placeOf(href('agents', id, { query: id, none: undefined, empty: '' }));
    expect([screen, rest, [...query]]).toEqual(['agents', [id], [['query', id]]]);
  }
});

test('a link never leaves the page, whatever its parts say', () => {
  for (const part of ['javascript:alert(1)', '//evil.example', 'https://evil.example']) expect(href(part, part)).toMatch(/^#\//);
});

test('a bad escape in the address is taken as it stands', () => {
  expect(placeOf('#/agents/%zz')).toMatchObject({ screen: 'agents', rest: ['%zz'] });
  expect(placeOf('')).toMatchObject({ screen: '', rest: [] });
});
