import { expect, test } from 'vitest';
import type { ConfigProblem } from '../../../src/admin/model.ts';
import { messageAtField, messageOf } from './problem-text.ts';

const problem: ConfigProblem = {
  level: 'error',
  message: '/etc/windlass.toml:78:1 servers.web.tls_cert "cert.pem" does not exist',
  file: 'windlass.toml',
  line: 78,
  column: 1,
  subject: 'servers.web.tls_cert',
};

test('a problem is told without its place, and at its field without its key', () => {
  expect(messageOf(problem)).toBe('servers.web.tls_cert "cert.pem" does not exist');
  expect(messageAtField(problem)).toBe('"cert.pem" does not exist');
});

test('a problem without a place is told as it is', () => {
  expect(messageOf({ ...problem, line: 0, message: 'a:1:1 is said' })).toBe('a:1:1 is said');
  expect(messageOf({ ...problem, message: 'no place here' })).toBe('no place here');
  expect(messageAtField({ ...problem, subject: '' })).toBe('servers.web.tls_cert "cert.pem" does not exist');
});
