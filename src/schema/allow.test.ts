import { expect, test } from 'vitest';
import { isAllowed, parseAllowRule } from './allow.ts';

const allowed = (rules: readonly string[], method: string, path: string): boolean => isAllowed(rules.map(parseAllowRule), method, path);

test.each([
  [['GET,POST /v1/*'], 'GET', '/v1/x', true],
  [['GET,POST /v1/*'], 'POST', '/v1/', true],
  [['GET,POST /v1/*'], 'PUT', '/v1/x', false],
  [['GET,POST /v1/*'], 'get', '/v1/x', false],
  [['GET,POST /v1/*'], 'GET', '/v1', false],
  [['GET,POST /v1/*'], 'GET', '/V1/x', false],
  [['GET /status'], 'GET', '/status', true],
  [['GET /status'], 'GET', '/status/', false],
  [['GET /status'], 'HEAD', '/status', false],
  [['/v1/*'], 'DELETE', '/v1/x', true],
  [['* /v1/*'], 'DELETE', '/v1/x', true],
  [['*'], 'DELETE', '/anything', true],
  [['GET /a', 'POST /b'], 'POST', '/b', true],
  [['GET /a', 'POST /b'], 'POST', '/a', false],
  [['OPTIONS /*'], 'OPTIONS', '*', false],
  [[], 'DELETE', '/anything', true],
])('%j allows %s %s: %s', (rules, method, path, answer) => {
  expect(allowed(rules, method, path)).toBe(answer);
});

test.each([
  '/v1/../admin',
  '/v1/..',
  '/v1/%2e%2e/admin',
  '/v1/.%2E/admin',
  '/v1/..%2fadmin',
  '/v1/..%5cadmin',
  '/v1/..\\admin',
  '/v1\\../x',
  '/v1/..;/admin',
  '/v1/..%3b/admin',
  '/v1/%2e%2e%3B/admin',
  '/v1/..%09/admin',
  '/v1/..%20/admin',
  '/v1/%252e%252e/admin',
  '/v1/..%252fadmin',
  '/v1/%2E%2E',
])('a rule cannot be climbed out of: %s', (path) => {
  expect(allowed(['/v1/*', '*'], 'GET', path)).toBe(false);
});

test('dots that climb nowhere are fine', () => {
  for (const path of ['/v1/a..b', '/v1/...', '/v1/..a', '/v1/a..']) expect(allowed(['/v1/*'], 'GET', path)).toBe(true);
});

test.each([
  '',
  'GET',
  'GET v1',
  'get /v1',
  'GET, POST /v1',
  'GET,,POST /v1',
  'GET /v1/*/x',
  'GET /**',
  'GET /v1?x',
  'GET /v1#x',
  'GET /v1 /v2',
  'GET /a/../b',
  'G<T /x',
])('%j is no rule', (text) => {
  expect(() => parseAllowRule(text)).toThrow();
});
