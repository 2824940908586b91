import { expect, test } from 'vitest';
import { requestHead } from '../../test/kit/tunnel.ts';
import { keepMetadata } from './grpc-metadata.ts';

/** Names that go on, of a request with these fields. */
function kept(names: readonly string[], { type = 'application/grpc' } = {}): readonly string[] {
  const lines = names.map((name) => `${name}: 1\r\n`).join('');
  const head = requestHead(`POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\n${lines}\r\n`);
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

test('other requests lose such fields as ever [threat 23]', () => {
  expect(kept(['user_token'], { type: 'application/json' })).toEqual([]);
  expect(kept(['user_token'], { type: 'application/grpc-web' })).toEqual([]);
});
