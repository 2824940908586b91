import { expect, test } from 'vitest';
import { FieldLines } from '../http/field-lines.ts';
import { grpcReply } from './grpc-reply.ts';
import type { Reply } from './plugin.ts';

function answerTo(reply: Reply): Record<string, string> {
  const { status, headers = [], lines, body } = grpcReply(reply);
  expect([status, lines, body]).toEqual([200, undefined, undefined]);
  const fields: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) fields[headers[i]!.toLowerCase()] = headers[i + 1]!;
  expect(Object.keys(fields).length).toBe(headers.length / 2);
  return fields;
}

test('[rule R3] what a plugin answers to a gRPC request is a status and a message, and no page', () => {
  expect(
    answerTo({
      status: 401,
      headers: ['Content-Type', 'text/plain', 'WWW-Authenticate', 'Basic realm="a"', 'Content-Language', 'en'],
      body: 'who are you?\n',
    }),
  ).toEqual({
    'content-type': 'application/grpc',
    'grpc-status': '16',
    'grpc-message': 'who are you?',
    'www-authenticate': 'Basic realm="a"',
  });
});

test('[rule R3] a Retry-After of a plugin is a pushback, also when its fields were written ready', () => {
  const lines = FieldLines.of(['Retry-After', '3', 'X-Limit', '5', 'Content-Type', 'text/html']);
  expect(answerTo({ status: 429, lines, body: '<p>too much</p>' })).toEqual({
    'content-type': 'application/grpc',
    'grpc-status': '8',
    'grpc-message': '429 Too Many Requests',
    'grpc-retry-pushback-ms': '3000',
    'retry-after': '3',
    'x-limit': '5',
  });
});

test.each<[string, Reply, string]>([
  ['the detail of a problem', { status: 403, headers: ['content-type', 'application/problem+json'], body: '{"detail":"not you"}' }, 'not you'],
  ['bytes of text', { status: 403, headers: ['content-type', 'text/plain; charset=utf-8'], body: Buffer.from('näh') }, 'n%C3%A4h'],
  ['nothing from JSON that is none', { status: 403, headers: ['content-type', 'application/json'], body: '{' }, '403 Forbidden'],
  ['nothing from JSON without a detail', { status: 403, headers: ['content-type', 'application/json'], body: '[]' }, '403 Forbidden'],
  ['nothing from a long text', { status: 403, headers: ['content-type', 'text/plain'], body: 'x'.repeat(5000) }, '403 Forbidden'],
  ['nothing where there is no body', { status: 599 }, '599'],
])('the message is %s', (_, reply, message) => {
  expect(answerTo(reply)['grpc-message']).toBe(message);
});

test('an answer that is gRPC stays as it is', () => {
  const reply: Reply = { status: 200, headers: ['Content-Type', 'application/grpc+proto', 'grpc-status', '0'], body: new Uint8Array(5) };
  expect(grpcReply(reply)).toBe(reply);
});

test('a plugin cannot say OK to what is no answer, nor another status than that of its answer', () => {
  expect(answerTo({ status: 200, headers: ['content-type', 'text/html', 'grpc-status', '0'], body: '' })).toMatchObject({ 'grpc-status': '2' });
});
