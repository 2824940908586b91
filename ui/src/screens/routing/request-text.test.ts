import { expect, test } from 'vitest';
import { headersOf, requestOf } from './request-text.ts';

test('a URL is taken as people write it', () => {
  expect(requestOf('https://example.com/api?x=1#top')).toEqual({ host: 'example.com', path: '/api?x=1' });
  expect(requestOf('example.com:8080')).toEqual({ host: 'example.com:8080', path: '/' });
  expect(requestOf('http://user:secret@[::1]:80/a')).toEqual({ host: '[::1]:80', path: '/a' });
  expect(requestOf('/api')).toEqual({ host: 'example.com', path: '/api' });
  expect(requestOf('example.com?x=1')).toEqual({ host: 'example.com', path: '/?x=1' });
  expect(requestOf('http://例え.jp/')).toEqual({ host: '例え.jp', path: '/' });
});

test('what is no URL is none', () => {
  for (const text of ['', '  ', 'a b', 'http://', 'http://[::1/', 'http://a:99999999/']) expect(requestOf(text), text).toBeNull();
});

test('headers are lines, and others are left out', () => {
  expect(headersOf('X-Beta: 1\nCookie: a=b; c=d\nnonsense\n  X-Empty:\n')).toEqual([
    ['X-Beta', '1'],
    ['Cookie', 'a=b; c=d'],
    ['X-Empty', ''],
  ]);
});
