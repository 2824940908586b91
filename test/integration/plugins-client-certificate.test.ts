import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { fixture, FIXTURES, shown, tlsClient } from '../kit/tls-client.ts';

const made = kit();
const { startOrigin } = made;

function fileOf(port: number, settings: string, more = ''): string {
  return `[servers.main]
addr = "127.0.0.1:0"
locations = ["open", "guarded"]
tls_cert = "${FIXTURES}one.pem"
tls_key = "${FIXTURES}one.key"
tls_client_ca = "${FIXTURES}client-ca.pem"
tls_client_auth = "optional"
[locations.open]
upstream = "one"
[locations.guarded]
path = "/guarded"
upstream = "one"
plugins = [${more === '' ? '' : '"cache", '}"guard"]
proxy_set_headers = ["X-Cn: $tls_client_cn"]
[upstreams.one]
addrs = ["127.0.0.1:${port}"]
[plugins.guard]
category = "client_certificate"
${settings}
${more}`;
}

type Who = 'alice' | 'bob' | 'odd' | null;

async function answer(gateway: TestGateway, path: string, who: Who): Promise<{ status: number; text: string }> {
  const client = await tlsClient(made, gateway.port(), who === null ? {} : shown(who));
  const said = await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\nX-Cn: alice\r\nConnection: close\r\n\r\n`).answer();
  return { status: said.status, text: said.body.toString() };
}

test('who has shown a certificate gets in, others get elsewhere only', async () => {
  const origin = await startOrigin((_, response) => response.end('in'));
  const gateway = await startGatewayOf(made, fileOf(origin.port, 'message = "Show yours"'));
  expect(await answer(gateway, '/', null)).toEqual({ status: 200, text: 'in' });
  expect(await answer(gateway, '/guarded', null)).toEqual({ status: 403, text: 'Show yours\n' });
  expect(await answer(gateway, '/guarded', 'alice')).toEqual({ status: 200, text: 'in' });
});

test.each([
  ['common_names = ["alice"]', { alice: 200, bob: 403, odd: 403 }],
  ['names = ["URI:spiffe://example/alice"]', { alice: 200, bob: 403, odd: 403 }],
  [`fingerprints = ["${new X509Certificate(fixture('bob.pem')).fingerprint256}"]`, { alice: 403, bob: 200, odd: 403 }],
  ['names = ["DNS:root.test", "URI:spiffe://x/a"]', { alice: 403, bob: 403, odd: 403 }],
  ['common_names = ["bob"]\nnames = ["DNS:a.test"]', { alice: 403, bob: 200, odd: 200 }],
])('with %s only those get in, and a name that looks like two is one [threat 75]', async (settings, statuses) => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileOf(origin.port, settings));
  for (const [who, status] of Object.entries(statuses)) expect([who, (await answer(gateway, '/guarded', who as Who)).status]).toEqual([who, status]);
});

test('a cache in front of it, or behind it, gives nobody what was for another', async () => {
  const origin = await startOrigin((request, response) => {
    response.setHeader('Cache-Control', 'max-age=60');
    response.end(String(request.headers['x-cn']));
  });
  const gateway = await startGatewayOf(made, fileOf(origin.port, '', '[plugins.cache]\ncategory = "cache"\n'));
  expect((await answer(gateway, '/guarded', 'alice')).text).toBe('alice');
  expect((await answer(gateway, '/guarded', 'bob')).text).toBe('bob');
  expect((await answer(gateway, '/guarded', null)).status).not.toBe(200);
});
