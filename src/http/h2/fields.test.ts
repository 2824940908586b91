import { describe, expect, it } from 'vitest';
import {
  headScratch,
  MALFORMED,
  REFUSED,
  requestFromH2,
  requestToH2,
  responseFromH2,
  responseToH2,
  TAKEN,
  trailersFromH2,
  trailersToH2,
} from './fields.ts';
import { NO_BODY, RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../head.ts';
import { httpLimits } from '../limits.ts';

const scratch = headScratch(httpLimits);
const PSEUDO = [':method', 'GET', ':scheme', 'https', ':authority', 'example.org', ':path', '/a?b=1'];

function request(raw: readonly string[], ended = true): [RequestHead, number] {
  const head = new RequestHead();
  return [head, requestFromH2(head, raw, ended, scratch, httpLimits)];
}

function answer(raw: readonly string[], ended = false): [ResponseHead, number] {
  const head = new ResponseHead();
  return [head, responseFromH2(head, raw, ended, scratch, httpLimits)];
}

describe('a request of HTTP/2', () => {
  it('becomes the head that HTTP/1.1 would have made', () => {
    const [head, outcome] = request([...PSEUDO, 'accept', '*/*', 'x-thing', 'caf\xe9']);
    expect(outcome).toBe(TAKEN);
    expect([head.method, head.target, head.authority, head.length]).toEqual(['GET', '/a?b=1', 'example.org', NO_BODY]);
    expect(head.list()).toEqual(['accept', '*/*', 'x-thing', 'caf\xe9']);
  });

  it('has a body of unknown length unless it says how long', () => {
    expect(request(PSEUDO, false)[0].length).toBe(UNKNOWN_LENGTH);
    expect(request([...PSEUDO, 'content-length', '5'], false)[0].length).toBe(5);
  });

  it('brings the crumbs of its cookie together, for who reads one field only', () => {
    expect(request([...PSEUDO, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2'])[0].get('cookie')).toBe('a=1; b=2');
  });

  it('says that it takes trailers', () => {
    const [head] = request([...PSEUDO, 'te', 'trailers']);
    expect(head.trailers).toBe(true);
    expect(head.list()).toEqual([]);
  });

  it('is told what to expect only where a body follows', () => {
    expect(request([...PSEUDO, 'expect', '100-continue'], false)[0].expectContinue).toBe(true);
    expect(request([...PSEUDO, 'expect', '100-continue'])[0].expectContinue).toBe(false);
  });

  it('that is an extended CONNECT is the upgrade that it stands for', () => {
    const [head, outcome] = request(
      [':method', 'CONNECT', ':protocol', 'websocket', ':scheme', 'https', ':authority', 'h', ':path', '/chat', 'sec-websocket-version', '13'],
      false,
    );
    expect(outcome).toBe(TAKEN);
    expect([head.method, head.upgrade, head.target, head.length]).toEqual(['GET', 'websocket', '/chat', NO_BODY]);
    expect(Buffer.from(head.get('sec-websocket-key')!, 'base64')).toHaveLength(16);
  });

  for (const [what, raw, code] of [
    ['another host than its authority', [...PSEUDO, 'host', 'other.org'], 'bad_request'],
    ['user information in its authority', [':method', 'GET', ':scheme', 'https', ':authority', 'u@h', ':path', '/'], 'bad_request'],
    ['a path for an authority', [':method', 'GET', ':scheme', 'https', ':authority', 'a/b', ':path', '/'], 'bad_request'],
    ['no authority', [':method', 'GET', ':scheme', 'https', ':path', '/'], 'bad_request'],
    ['a space in its path', [':method', 'GET', ':scheme', 'https', ':authority', 'h', ':path', '/a b'], 'bad_request'],
    ['a fragment in its path', [':method', 'GET', ':scheme', 'https', ':authority', 'h', ':path', '/a#b'], 'bad_request'],
    ['a path without a slash', [':method', 'GET', ':scheme', 'https', ':authority', 'h', ':path', 'a'], 'bad_request'],
    ['a URL for a path', [':method', 'GET', ':scheme', 'https', ':authority', 'h', ':path', 'http://x/'], 'bad_request'],
    ['a space in its method', [':method', 'GE T', ':scheme', 'https', ':authority', 'h', ':path', '/'], 'bad_request'],
    ['another scheme', [':method', 'GET', ':scheme', 'ftp', ':authority', 'h', ':path', '/'], 'bad_request'],
    ['CONNECT without a protocol', [':method', 'CONNECT', ':authority', 'h:1'], 'method_not_allowed'],
    ['a target that is too long', [':method', 'GET', ':scheme', 'https', ':authority', 'h', ':path', `/${'a'.repeat(20_000)}`], 'target_too_long'],
    ['a head that is too long', [...PSEUDO, 'x', 'y'.repeat(60_000)], 'head_too_large'],
    ['too many fields', [...PSEUDO, ...Array.from({ length: 120 }, () => ['x', 'y']).flat()], 'head_too_large'],
    ['an unknown expectation', [...PSEUDO, 'expect', 'wonders'], 'expectation_failed'],
  ] as const)
    it(`with ${what} is refused as over HTTP/1.1: ${code} [threat 16] [threat 17]`, () => {
      const [head, outcome] = request(raw);
      expect([outcome, head.problem]).toEqual([REFUSED, code]);
    });

  for (const [what, raw] of [
    ['a line break in a value', [...PSEUDO, 'x', 'y\r\ncontent-type: z']],
    ['a line break in its path', [':method', 'GET', ':scheme', 'https', ':authority', 'h', ':path', '/ HTTP/1.1\r\nx: y']],
    ['a line break in its authority', [':method', 'GET', ':scheme', 'https', ':authority', 'h\r\nx: y', ':path', '/']],
    ['a field of the connection', [...PSEUDO, 'connection', 'close']],
    ['a transfer coding', [...PSEUDO, 'transfer-encoding', 'chunked']],
    ['an upgrade of HTTP/1', [...PSEUDO, 'upgrade', 'websocket']],
    ['a protocol without CONNECT', [...PSEUDO, ':protocol', 'websocket']],
    ['a pseudo field that it cannot have', [...PSEUDO, ':status', '200']],
  ] as const)
    it(`with ${what} is no message at all [threat 14] [threat 15]`, () => {
      expect(request(raw)[1]).toBe(MALFORMED);
    });

  it('never has a line that the peer did not send as a field, whatever the value is [threat 15]', () => {
    for (const evil of ['\n', '\r', '\0', '\r\n', '\r\n\r\n', '\nx: y', 'a\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n']) {
      expect(request([...PSEUDO, 'x', `a${evil}b`])[1]).not.toBe(TAKEN);
      expect(request([...PSEUDO, `x${evil}`, 'b'])[1]).not.toBe(TAKEN);
      expect(request([':method', `GET${evil}`, ...PSEUDO.slice(2)])[1]).not.toBe(TAKEN);
    }
  });

  it('goes out as it came in', () => {
    const [head] = request([...PSEUDO, 'accept', 'a', 'accept', 'b', 'te', 'trailers', 'content-length', '0']);
    expect({ ...requestToH2(head, 'http', '') }).toEqual({
      ':method': 'GET',
      ':scheme': 'http',
      ':authority': 'example.org',
      ':path': '/a?b=1',
      accept: ['a', 'b'],
      'content-length': '0',
      te: 'trailers',
    });
    expect(requestToH2(head, 'http', 'other:1')[':authority']).toBe('other:1');
  });

  it('that upgrades goes out as an extended CONNECT', () => {
    const [head] = request(
      [':method', 'CONNECT', ':protocol', 'websocket', ':scheme', 'https', ':authority', 'h', ':path', '/chat', 'origin', 'o'],
      false,
    );
    expect({ ...requestToH2(head, 'https', '') }).toEqual({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'https',
      ':authority': 'h',
      ':path': '/chat',
      origin: 'o',
    });
  });
});

describe('an answer of HTTP/2', () => {
  it('becomes the head that HTTP/1.1 would have made', () => {
    const [head, outcome] = answer([':status', '200', 'set-cookie', 'a=1', 'set-cookie', 'b=2']);
    expect([outcome, head.status, head.length]).toEqual([TAKEN, 200, UNKNOWN_LENGTH]);
    expect(head.list()).toEqual(['set-cookie', 'a=1', 'set-cookie', 'b=2']);
    expect(answer([':status', '204'], true)[0].length).toBe(NO_BODY);
    expect(answer([':status', '200', 'content-length', '7'], true)[0].length).toBe(7);
  });

  it('that is none is refused', () => {
    for (const status of ['', '20', '000', '99', '1000', 'abc']) expect(answer([':status', status])[1]).not.toBe(TAKEN);
    expect(answer([':status', '200', 'connection', 'close'])[1]).toBe(MALFORMED);
    expect(answer([':status', '200', 'x', 'a\r\nb: c'])[1]).toBe(MALFORMED);
    expect(answer([':status', '200', ':path', '/'])[1]).toBe(MALFORMED);
  });

  it('goes out with its added fields and its length', () => {
    const head = ResponseHead.make(200, ['X-A', '1', 'Set-Cookie', 'a', 'Set-Cookie', 'b', 'Date', 'x', 'Date', 'y', 'Connection', 'close'], 12);
    expect({ ...responseToH2(head) }).toEqual({ ':status': 200, 'x-a': '1', 'set-cookie': ['a', 'b'], date: 'x', 'content-length': '12' });
  });

  it('that switches protocols is the 200 of an extended CONNECT', () => {
    const head = ResponseHead.make(101, ['Sec-WebSocket-Accept', 'x', 'Sec-WebSocket-Protocol', 'p'], NO_BODY);
    expect({ ...responseToH2(head) }).toEqual({ ':status': 200, 'sec-websocket-protocol': 'p' });
  });
});

describe('trailers of HTTP/2', () => {
  it('are passed on without those that are about framing, routing or identity [threat 8]', () => {
    expect(trailersFromH2(['grpc-status', '0', 'content-length', '3', 'host', 'x', 'x_real_ip', 'c', 'x', 'y\nz'], httpLimits)).toEqual([
      'grpc-status',
      '0',
    ]);
    expect(trailersFromH2(['authorization', 'x'], httpLimits)).toBeUndefined();
    expect({ ...trailersToH2(['Grpc-Status', '0', 'x', 'a', 'x', 'b']) }).toEqual({ 'grpc-status': '0', x: ['a', 'b'] });
  });
});
