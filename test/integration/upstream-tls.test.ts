import { once } from 'node:events';
import type http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type net from 'node:net';
import type tls from 'node:tls';
import { expect, test } from 'vitest';
import { ask } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { fixture, FIXTURES } from '../kit/tls-client.ts';

const made = kit();
const { startOrigin, later } = made;

interface Service {
  readonly port: number;
  /** Methods of the requests that it has read. */
  readonly heard: string[];
}

/** A service behind TLS. */
async function startService(options: tls.TlsOptions): Promise<Service> {
  const heard: string[] = [];
  const server = https.createServer({ cert: fixture('one.pem'), key: fixture('one.key'), ...options }, (request: http.IncomingMessage, response) => {
    heard.push(request.method!);
    request.resume().on('end', () => response.end('from the service'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later(() => server.close());
  later(() => server.closeAllConnections());
  return { port: (server.address() as net.AddressInfo).port, heard };
}

function fileOf(addrs: string, more: string): string {
  return `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
[upstreams.one]
addrs = [${addrs}]
health_check = "off"
${more}`;
}

const TRUST = `sni = "hub.test"\ntls_ca = "${FIXTURES}ca.pem"\n`;
const SHOWN = (name: string, key: string): string => `tls_cert = "${FIXTURES}${name}.pem"\ntls_key = "${FIXTURES}${key}.key"\n`;
const EXPIRED = { cert: fixture('expired.pem'), key: fixture('expired.key') };

test.each([
  ['that has expired', EXPIRED, `sni = "localhost"\ntls_ca = "${FIXTURES}expired.pem"\n`, /certificate has expired \(CERT_HAS_EXPIRED\)/],
  ['for another name', {}, TRUST.replace('hub.test', 'other.test'), /certificate is for another name \(ERR_TLS_CERT_ALTNAME_INVALID\)/],
  ['from nobody who is known', {}, 'sni = "hub.test"\n', /certificate comes .* \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)/],
  ['from another authority', {}, TRUST.replace('ca.pem', 'client-ca.pem'), /certificate comes .* \(\w+\)/],
  ['that is signed by itself', EXPIRED, 'sni = "localhost"\n', /certificate (?:is self-signed|has expired)/],
])('a service with a certificate %s gets nothing, and the client is told why [fault 19]', async (_what, options, more, words) => {
  const service = await startService(options);
  const gateway = await startGatewayOf(made, fileOf(`"127.0.0.1:${service.port}"`, more));
  const answer = await ask(gateway.port(), { headers: { Accept: 'application/json' } });
  expect([answer.status, JSON.parse(answer.text)]).toEqual([
    502,
    expect.objectContaining({ code: 'tls_failed', detail: expect.stringMatching(words) }),
  ]);
  expect(service.heard).toEqual([]);
});

test.each([
  ['TLSv1.2', 'H1'],
  ['TLSv1.3', 'H1'],
  ['TLSv1.2', 'H2H1'],
  ['TLSv1.3', 'H2H1'],
] as const)(
  'a service that wants a client certificate is 502 without one, and the reason says it, %s, alpn = %s [fault 19]',
  async (version, alpn) => {
    const only = { minVersion: version, maxVersion: version };
    const service = await startService({ ...only, ca: fixture('client-ca.pem'), requestCert: true, rejectUnauthorized: true });
    const gateway = await startGatewayOf(made, fileOf(`"127.0.0.1:${service.port}"`, `${TRUST}alpn = "${alpn}"\n`));
    for (const method of ['GET', 'POST']) {
      const answer = await ask(gateway.port(), { method, headers: { Accept: 'application/json' }, ...(method === 'POST' ? { body: 'x' } : {}) });
      expect([answer.status, JSON.parse(answer.text)]).toEqual([
        502,
        expect.objectContaining({ code: 'tls_failed', detail: expect.stringMatching(/wants a client certificate/) }),
      ]);
    }
    expect(service.heard).toEqual([]);
    await gateway.change(fileOf(`"127.0.0.1:${service.port}"`, `${TRUST}alpn = "${alpn}"\n${SHOWN('alice', 'alice')}`));
    expect((await ask(gateway.port(), { method: 'POST', body: 'x' })).text).toBe('from the service');
  },
);

test('a service of HTTP/2 that wants a client certificate is no other', async () => {
  const server = http2.createSecureServer({
    cert: fixture('one.pem'),
    key: fixture('one.key'),
    ca: fixture('client-ca.pem'),
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('from the service');
  });
  server.on('sessionError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  for (const alpn of ['H2', 'H2H1']) {
    const gateway = await startGatewayOf(made, fileOf(`"127.0.0.1:${port}"`, `${TRUST}alpn = "${alpn}"\n`));
    const answer = await ask(gateway.port(), { headers: { Accept: 'application/json' } });
    expect(JSON.parse(answer.text)).toMatchObject({ status: 502, code: 'tls_failed', detail: expect.stringMatching(/wants a client certificate/) });
    await gateway.change(fileOf(`"127.0.0.1:${port}"`, `${TRUST}alpn = "${alpn}"\n${SHOWN('alice', 'alice')}`));
    expect((await ask(gateway.port())).text).toBe('from the service');
    gateway.destroy();
  }
});

test('a request that a service has turned away for want of a certificate goes to the next address, whatever its method, when its body can be sent again', async () => {
  const picky = await startService({ ca: fixture('client-ca.pem'), requestCert: true, rejectUnauthorized: true });
  const open = await startService({});
  const gateway = await startGatewayOf(made, fileOf(`"127.0.0.1:${picky.port}", "127.0.0.1:${open.port}"`, TRUST));
  for (let i = 0; i < 4; i++) expect((await ask(gateway.port(), { method: 'POST', headers: { 'Content-Length': 0 } })).text).toBe('from the service');
  expect([picky.heard, open.heard]).toEqual([[], ['POST', 'POST', 'POST', 'POST']]);
});

test('TLS asked of a service without it is 502 with the reason; without TLS, what a service with TLS says is no answer', async () => {
  const plain = await startOrigin();
  const gateway = await startGatewayOf(made, fileOf(`"127.0.0.1:${plain.port}"`, TRUST));
  const answer = await ask(gateway.port(), { headers: { Accept: 'application/json' } });
  expect(JSON.parse(answer.text)).toMatchObject({
    status: 502,
    code: 'tls_failed',
    detail: expect.stringMatching(/does this port speak (?:it|TLS)\?$/),
  });
  const service = await startService({});
  await gateway.change(fileOf(`"127.0.0.1:${service.port}"`, ''));
  expect((await ask(gateway.port())).status).toBe(502);
});
