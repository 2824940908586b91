import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { Failure, failures, type FailureCode } from './failure.ts';
import { encodeMessage, grpcOfHttpStatus, grpcStatusFields, grpcTimeoutMs, grpcTimeoutText, isGrpc, trailersOnly } from './grpc.ts';
import { RequestHead, ResponseHead } from './head.ts';
import { httpLimits } from './limits.ts';
import { parseRequest } from './parse.ts';

function request(fields: string): RequestHead {
  const head = new RequestHead();
  const text = Buffer.from(`POST /a.B/C HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, 'latin1');
  parseRequest(head, text, 0, text.length, httpLimits);
  expect(head.problem).toBeNull();
  return head;
}

test.each(['application/grpc', 'application/grpc+proto', 'Application/gRPC+json', 'application/grpc;charset=utf-8', 'application/grpc ; a=b'])(
  '%s is gRPC',
  (type) => {
    expect(isGrpc(request(`Content-Type: ${type}\r\n`))).toBe(true);
    expect(isGrpc(ResponseHead.make(200, ['Content-Type', type], 0))).toBe(true);
  },
);

test.each(['application/grpc-web', 'application/grpc-web+proto', 'application/grpcs', 'application/grp', 'application/json', 'text/html', ''])(
  '%j is not gRPC',
  (type) => {
    expect(isGrpc(request(`Content-Type: ${type}\r\n`))).toBe(false);
    expect(isGrpc(ResponseHead.make(200, ['Content-Type', type], 0))).toBe(false);
  },
);

test('a request without a content type is not gRPC', () => {
  expect(isGrpc(request(''))).toBe(false);
});

test.each([
  ['1H', 3_600_000],
  ['2M', 120_000],
  ['3S', 3000],
  ['250m', 250],
  ['1500u', 1.5],
  ['1000000n', 1],
  ['99999999H', 99_999_999 * 3_600_000],
  ['00000010S', 10_000],
  ['0n', 0],
])('a grpc-timeout of %s is %d ms', (text, ms) => {
  expect(grpcTimeoutMs(request(`grpc-timeout: ${text}\r\n`))).toBeCloseTo(ms, 6);
});

test.each(['', '1', 'S', '123456789S', '-1S', '+1S', '1.5S', '1 S', '1s', '1h', '1x', '1SS', '0x1S', '1S, 2S'])(
  'a grpc-timeout of %j is no time',
  (text) => {
    expect(grpcTimeoutMs(request(`grpc-timeout: ${text}\r\n`))).toBeNaN();
  },
);

test('two grpc-timeouts are no time, and none is none', () => {
  expect(grpcTimeoutMs(request('grpc-timeout: 1S\r\ngrpc-timeout: 2S\r\n'))).toBeNaN();
  expect(grpcTimeoutMs(request(''))).toBeNull();
});

test('a grpc-timeout that was written anew is read', () => {
  const head = request('grpc-timeout: 1S\r\n');
  head.set('grpc-timeout', '2S');
  expect(grpcTimeoutMs(head)).toBe(2000);
});

test.each([
  [0, '1m'],
  [0.2, '1m'],
  [12.3, '13m'],
  [99_999_999, '99999999m'],
  [100_000_000, '100000S'],
  [1e12, '16666667M'],
  [1e16, '99999999H'],
])('%d ms are written as %s', (ms, text) => {
  expect(grpcTimeoutText(ms)).toBe(text);
});

test('a time that is written is the same when it is read', () => {
  for (const ms of [1, 999, 60_000, 3_600_000, 86_400_000, 1e10]) {
    expect(grpcTimeoutMs(request(`grpc-timeout: ${grpcTimeoutText(ms)}\r\n`))).toBe(ms);
  }
});

test.each([
  ['plain text', 'plain text'],
  ['100% sure', '100%25 sure'],
  ['two\r\nlines\0', 'two%0D%0Alines%00'],
  ['größe ☃', 'gr%C3%B6%C3%9Fe %E2%98%83'],
  [' edges ', '%20edges%20'],
  ['~\u007f', '~%7F'],
])('the message %j goes as %s', (message, encoded) => {
  expect(encodeMessage(message)).toBe(encoded);
  expect(decodeURIComponent(encoded)).toBe(message);
});

test('[rule R3] a failure of a gRPC request is a status, a message and a time to try again', () => {
  expect(grpcStatusFields(new Failure('queue_full', '3 requests wait already', 2))).toEqual([
    'grpc-status',
    '8',
    'grpc-message',
    '3 requests wait already',
    'grpc-retry-pushback-ms',
    '2000',
  ]);
  expect(grpcStatusFields(new Failure('deadline', ''))).toEqual(['grpc-status', '4', 'grpc-message', 'deadline']);
});

test('[rule R3] no failure is ever OK, and all have a status that gRPC knows', () => {
  for (const code of Object.keys(failures) as FailureCode[]) {
    const { grpcStatus } = new Failure(code, '');
    expect(grpcStatus, code).toBeGreaterThan(0);
    expect(grpcStatus, code).toBeLessThanOrEqual(16);
  }
});

test('[rule R3] an answer of trailers only is 200, of the gRPC type, and has no body', () => {
  const head = trailersOnly(new Failure('no_agent', 'nobody is there'));
  expect([head.status, head.length]).toEqual([200, 0]);
  expect(head.list()).toEqual(['content-type', 'application/grpc', 'grpc-status', '14', 'grpc-message', 'nobody is there']);
});

test('[rule R3] an HTTP status that stands in for a gRPC one is mapped, and none to OK', () => {
  const wanted = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 8, 500: 2, 502: 14, 503: 14, 504: 4, 200: 2, 302: 2, 418: 2 };
  for (const [status, grpc] of Object.entries(wanted)) expect(grpcOfHttpStatus(Number(status)), status).toBe(grpc);
});
