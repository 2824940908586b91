import { expect, test } from 'vitest';
import { isSecretField, redactedGiven, withoutAddressSecrets } from './secret-field.ts';

test.each([
  ['Authorization', 'x'],
  ['X-Auth-Key', 'x'],
  ['Ocp-Apim-Subscription-Key', 'x'],
  ['x_functions_key', 'x'],
  ['X-Webhook-Signature', 'x'],
  ['X-Session-Id', 'x'],
  ['X-Jwt', 'x'],
  ['X-CSRF', 'x'],
  ['X-Pass', 'x'],
  ['X-Goog-Credential', 'x'],
  ['X-Anything', 'Bearer abcdefgh'],
  ['X-Anything', 'basic YWxpY2U6c2VjcmV0'],
  ['X-Anything', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc'],
  ['Sec-WebSocket-Protocol', 'base64url.bearer.authorization.k8s.io.abc, v4.channel.k8s.io'],
])('%s: %s is a secret [threat 62]', (name, value) => {
  expect(isSecretField(name, value)).toBe(true);
});

test.each([
  ['Accept', '*/*'],
  ['X-Auth-Email', 'a@example.com'],
  ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
  ['Sec-WebSocket-Protocol', 'graphql-ws'],
  ['Idempotency-Key', '1'],
  ['X-Cache-Bypass', '1'],
  ['X-Plan', 'basic'],
  ['ETag', '"a.b.c"'],
])('%s: %s is none', (name, value) => {
  expect(isSecretField(name, value)).toBe(false);
});

test('addresses are shown without who asks and without secret parameters, wherever they stand [threat 62]', () => {
  expect(withoutAddressSecrets('https://alice:canary@example.com/a?page=1&id_token=canary#x')).toBe('https://***@example.com/a?page=1&id_token=***');
  expect(withoutAddressSecrets('/x?k=canary&page=2', new Set(['k']))).toBe('/x?k=***&page=2');
  expect(withoutAddressSecrets('1; url=/y?code=7&client_secret=canary')).toBe('1; url=/y?code=7&client_secret=***');
  expect(withoutAddressSecrets('a@b, c?d')).toBe('a@b, c?d');
});

test('what somebody has written wrong is told of without the secret in it [threat 63]', () => {
  expect(redactedGiven('Authorization Bearer canary')).toBe('Authorization ***');
  expect(redactedGiven('X-Api-Key:canary')).toBe('X-Api-Key:***');
  expect(redactedGiven('http://a/verify?key=canary')).toBe('http://a/verify?key=***');
  expect(redactedGiven('X-Tenant: a')).toBe('X-Tenant: a');
  expect(redactedGiven('2 m')).toBe('2 m');
});
