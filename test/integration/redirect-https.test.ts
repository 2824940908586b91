import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { expect, test } from 'vitest';
import { loadGateway } from '../../src/config/gateway.ts';
import { CHALLENGE_PATH } from '../../src/certs/acme/http-01.ts';
import { AcmeServer } from '../kit/acme-server.ts';
import { ask, type Asked } from '../kit/ask.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, portOf } from '../kit/kit.ts';
import { get } from '../kit/stage.ts';
import { FIXTURES, tlsGet } from '../kit/tls-client.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { startOrigin, startDirect, rawClient, folder, later } = made;

const SECURE = `[servers.secure]
addr = "127.0.0.1:0"
locations = ["all"]
tls_cert = "${FIXTURES}one.pem"
tls_key = "${FIXTURES}one.key"
`;

test('a server that redirects to https sends everything there, method and query included, and serves nothing itself', async () => {
  const origin = await startOrigin((_, response) => response.end('served'));
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: 'redirect_https = true', more: SECURE }));
  const port = gateway.port('main');
  const answer = await ask(port, { method: 'POST', path: '/a//b?x=%2F', headers: { Host: 'example.com:8080' }, body: 'left behind' });
  expect([answer.status, answer.headers.location, answer.text]).toEqual([308, 'https://example.com/a//b?x=%2F', '']);
  const six = await ask(port, { method: 'OPTIONS', path: '*', headers: { Host: '[::1]:8080' } });
  expect([six.status, six.headers.location]).toEqual([308, 'https://[::1]/']);
  const old = await rawClient({ port });
  expect((await old.send('GET / HTTP/1.0\r\n\r\n').answer()).status).toBe(400);
  expect(origin.requests).toEqual([]);
  expect(await tlsGet(made, gateway.port('secure'))).toBe('served');
});

test('the port may be another one, and it changes with the file', async () => {
  const origin = await startOrigin((_, response) => response.end('served'));
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: 'redirect_https = 8443' }));
  const where = async (): Promise<unknown> => (await ask(gateway.port(), { headers: { Host: 'example.com' } })).headers.location;
  expect(await where()).toBe('https://example.com:8443/');
  await gateway.change(fileTo(origin.port, { server: 'redirect_https = true' }));
  expect(await where()).toBe('https://example.com/');
  await gateway.change(fileTo(origin.port, { server: 'redirect_https = false' }));
  expect((await ask(gateway.port())).text).toBe('served');
});

test('what a trusted proxy has taken off the TLS of is served; of others the word counts for nothing', async () => {
  const origin = await startOrigin((_, response) => response.end('served'));
  const server = 'redirect_https = true\ntrusted_proxies = ["loopback"]';
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server }));
  const status = async (said: string): Promise<number> => (await ask(gateway.port(), { headers: { 'X-Forwarded-Proto': said } })).status;
  expect([await status('https'), await status('HTTPS, http'), await status('http'), await status('httpsx')]).toEqual([200, 200, 308, 308]);
  await gateway.change(fileTo(origin.port, { server: 'redirect_https = true' }));
  expect(await status('https')).toBe(308);
});

test('a server that does nothing but redirect needs no locations; one with TLS has nothing to redirect, and is told so', async () => {
  const file = join(folder(), 'windlass.toml');
  writeFileSync(
    file,
    `[servers.plain]\naddr = "127.0.0.1:0"\nredirect_https = true\n${SECURE.replace('locations = ["all"]\n', 'redirect_https = 443\n')}`,
  );
  const { warnings } = await loadGateway(file, {});
  expect(warnings).toEqual([expect.stringMatching(/servers\.secure\.redirect_https has no effect on a server with TLS/)]);
  writeFileSync(file, '[servers.plain]\naddr = "127.0.0.1:0"\nredirect_https = 70000\n');
  await expect(loadGateway(file, {})).rejects.toThrow('is no port; write true, or a port from 1 to 65535');
});

test('proofs for a certificate authority are shown past the redirect, and nothing else is', async () => {
  const server = new AcmeServer();
  await server.listen();
  later(() => server.close());
  const held = { port: 0 };
  const seen: unknown[] = [];
  server.validate = async (name, token, proof) => {
    const at = async (path: string): Promise<Asked> => ask(held.port, { path, headers: { host: name } });
    const answer = await at(`${CHALLENGE_PATH}${token}`);
    const other = await at(`${CHALLENGE_PATH}${token}x`);
    seen.push([answer.status, answer.text === proof, other.status, other.headers.location]);
    return true;
  };
  const gateway = await startGatewayOf(
    made,
    `[servers.plain]
addr = "127.0.0.1:0"
redirect_https = true
[servers.secure]
addr = "127.0.0.1:0"
global_certificates = true
[certificates.site]
domains = ["a.example.com"]
acme_directory = "${server.directory}"
`,
    { stateDir: folder(), acmeLimits: { pollMs: 1, pollMaxMs: 5, lookMs: 5 } },
  );
  held.port = gateway.port('plain');
  await until('the order', () => seen.length > 0);
  expect(seen[0]).toEqual([200, true, 308, expect.stringMatching(/^https:\/\/a\.example\.com\/\.well-known\/acme-challenge\/\S+x$/)]);
});

test('a client that speaks TLS to a port without it is answered 400, and one line says so however often it happens', async () => {
  const proxy = await startDirect({ to: await startOrigin() });
  for (let i = 0; i < 3; i++) {
    const socket = tls.connect({ port: portOf(proxy), host: '127.0.0.1' });
    later(() => socket.destroy());
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ERR_SSL_WRONG_VERSION_NUMBER');
  }
  const raw = await rawClient(proxy);
  const answer = await raw.send(Buffer.from([0x16, 3, 1, 2, 0, 1, 0])).answer();
  expect([answer.status, answer.body.toString()]).toEqual([400, expect.stringContaining('TLS was spoken to a port without TLS')]);
  const lines = (level: string) =>
    proxy.log.filter((line) => line.level === level && line.message.startsWith('TLS was spoken to a port without TLS'));
  await until('four lines', () => lines('debug').length === 3);
  expect(lines('info')).toHaveLength(1);
  expect(lines('info')[0]!.fields['peer']).toBe('127.0.0.1');
  expect((await (await rawClient(proxy)).send(get()).answer()).status).toBe(200);
});
