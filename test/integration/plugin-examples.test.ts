import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startGatewayOf } from '../kit/gateway.ts';
import { startGrpcOrigin } from '../kit/grpc.ts';
import { framed } from '../kit/grpc-raw.ts';
import { kit } from '../kit/kit.ts';
import { FIXTURES, shown, tlsClient } from '../kit/tls-client.ts';

const made = kit();

/** The file that the page of a plugin begins with, at ports and with certificates of the test. */
function exampleOf(name: string, upstream: number): string {
  const page = readFileSync(new URL(`../../docs/plugins/${name}.md`, import.meta.url), 'utf8');
  return /```toml\n([^]*?)```/
    .exec(page)![1]!
    .replace(/0\.0\.0\.0:\d+/, '127.0.0.1:0')
    .replace(/127\.0\.0\.1:(?:3000|50051)/, `127.0.0.1:${upstream}`)
    .replace('"cert.pem"', `"${FIXTURES}one.pem"`)
    .replace('"key.pem"', `"${FIXTURES}one.key"`)
    .replace('"clients.pem"', `"${FIXTURES}client-ca.pem"`);
}

test.each([
  ['ip-restriction', '/', 200, {}],
  ['redirect', '/a?b', 308, { location: 'https://127.0.0.1/a?b' }],
  ['request-id', '/', 200, { 'x-request-id': /^[\da-f-]{36}$/ }],
  ['mock', '/beta', 503, { 'retry-after': '3600', 'content-type': 'application/json' }],
  ['mock', '/else', 200, {}],
  ['ping', '/ping', 200, {}],
  ['response-headers', '/', 200, { 'x-frame-options': 'DENY', 'x-served-to': '127.0.0.1', 'cache-control': 'no-store', 'x-app-runtime': '7' }],
])('the example of the page of %s runs: %s is %i', async (name, path, status, headers) => {
  const origin = await made.startOrigin((_, response) => response.setHeader('X-Runtime', '7').end('ok'));
  const gateway = await startGatewayOf(made, exampleOf(name, origin.port));
  const answer = await fetch(`http://127.0.0.1:${gateway.port()}${path}`, { redirect: 'manual' });
  expect(answer.status).toBe(status);
  for (const [field, value] of Object.entries(headers)) expect(answer.headers.get(field)).toMatch(value);
  expect(origin.requests.length).toBe(status === 200 && path !== '/ping' ? 1 : 0);
});

test('the example of the page of client_certificate runs: who has none is everybody, and operators show theirs', async () => {
  const origin = await made.startOrigin((request, response) => response.end(`user ${String(request.headers['x-user'] ?? 'nobody')}`));
  const gateway = await startGatewayOf(made, exampleOf('client-certificate', origin.port));
  const answer = async (path: string, identity: object): Promise<[number, string]> => {
    const client = await tlsClient(made, gateway.port(), identity);
    const { status, body } = await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`).answer();
    return [status, body.toString()];
  };
  expect(await answer('/', {})).toEqual([200, 'user nobody']);
  expect((await answer('/admin/', {}))[0]).toBe(403);
  expect(await answer('/admin/', shown('alice'))).toEqual([200, 'user alice']);
});

test('the example of the page of admin runs: the console is there for some addresses only, and the rest goes on', async () => {
  const origin = await made.startOrigin();
  const example = exampleOf('admin', origin.port);
  const ask = async (text: string, path: string): Promise<string> => {
    const client = await tlsClient(made, (await startGatewayOf(made, text)).port(), {});
    const { status } = await client.send(`GET ${path} HTTP/1.1\r\nHost: gateway.example.com\r\nConnection: close\r\n\r\n`).answer();
    return `${path} ${status}`;
  };
  expect(await ask(example, '/')).toBe('/ 200');
  expect(await ask(example, '/ops/api/v1/session')).toBe('/ops/api/v1/session 403');
  expect(await ask(example.replace('10.0.0.0/8', '127.0.0.0/8'), '/ops/api/v1/session')).toBe('/ops/api/v1/session 401');
  expect(origin.requests.length).toBe(1);
});

test('the example of the page of grpc_web runs: a call of a page is one of gRPC', async () => {
  const origin = await startGrpcOrigin(made);
  const gateway = await startGatewayOf(made, exampleOf('grpc-web', origin.port));
  const answer = await fetch(`http://127.0.0.1:${gateway.port()}/test.Service/Unary`, {
    method: 'POST',
    headers: { 'content-type': 'application/grpc-web+proto', origin: 'https://app.example.com' },
    body: framed('hello'),
  });
  expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example.com');
  expect(Buffer.from(await answer.arrayBuffer()).toString('latin1')).toContain('grpc-status: 0\r\n');
  expect(origin.calls.length).toBe(1);
});
