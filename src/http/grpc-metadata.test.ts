import { expect, test } from 'vitest';
import { requestHead } from '../../test/kit/tunnel.ts';
import { makePeer } from '../http/head.ts';
import { keepMetadata } from './grpc-metadata.ts';

/** Names that go on, of a request with these fields. */
function kept(names: readonly string[], { type = 'application/grpc', http2 = true, more = '' } = {}): readonly string[] {
  const lines = names.map((name) => `${name}: 1\r\n`).join('');
  const head = requestHead(`POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\n${more}${lines}\r\n`);
  head.peer = Object.assign(makePeer('192.0.2.1', 1, 2, 'http', false), { http2 });
  keepMetadata(head);
  const seen: string[] = [];
  head.each((name) => seen.push(name));
  return seen.filter((name) => name.includes('_'));
}

test('metadata of a gRPC call goes on, whatever its name', () => {
  expect(kept(['user_token', 'trace_id', 'a_b_c-bin'])).toEqual(['user_token', 'trace_id', 'a_b_c-bin']);
});

test('what could be taken for a field that says who the client is, or how the message is framed, stays out [threat 23]', () => {
  const names = ['X_Real_IP', 'x_forwarded_for', 'X-Forwarded_Anything', 'content_length', 'Transfer_Encoding', 'client_cert', 'ssl_client_new'];
  expect(kept([...names, 'http_x_forwarded_for', 'windlass_token', 'slime_scope', 'authorization_', 'x_request_id', 'proxy_x'])).toEqual([
    'authorization_',
  ]);
});

test('other requests lose such fields as ever, and so does HTTP/1.1 [threat 23]', () => {
  expect(kept(['user_token'], { type: 'application/json' })).toEqual([]);
  expect(kept(['user_token'], { type: 'application/grpc-web' })).toEqual([]);
  expect(kept(['user_token'], { http2: false, more: 'Connection: user_token\r\n' })).toEqual([]);
});
