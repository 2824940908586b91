import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { NameServer } from '../kit/name-server.ts';

const made = kit();
const fixture = (file: string) => fileURLToPath(new URL(`../fixtures/${file}`, import.meta.url));

/** One server, one location, one upstream. */
function fileOf(addrs: string, more = '', location = ''): string {
  return `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "api"
${location}
[upstreams.api]
addrs = ${addrs}
health_check = "off"
${more}
`;
}

async function ask(gateway: TestGateway, init: RequestInit & { path?: string } = {}): Promise<{ status: number; text: string; headers: Headers }> {
  const answer = await fetch(`http://127.0.0.1:${gateway.port()}${init.path ?? '/'}`, init);
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

/** An origin that says its name. @returns its port */
async function named(name: string): Promise<number> {
  const origin = await made.startOrigin((request, response) => {
    request.resume();
    response.end(name);
  });
  return origin.port;
}

/** A port of loopback at which nobody listens. */
async function nobody(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('addresses share the requests by weight, exactly', async () => {
  const [one, two] = [await named('one'), await named('two')];
  const gateway = await startGatewayOf(made, fileOf(`["127.0.0.1:${one} 3", "127.0.0.1:${two}"]`));
  const got: string[] = [];
  for (let i = 0; i < 8; i++) got.push((await ask(gateway)).text);
  expect(got.filter((text) => text === 'one').length).toBe(6);
});

test('a request whose address refuses goes to another one, a POST too, and the address is left out before long', async () => {
  const [dead, well] = [await nobody(), await named('well')];
  const gateway = await startGatewayOf(made, fileOf(`["127.0.0.1:${dead}", "127.0.0.1:${well}"]`, 'eject_time = "1h"'));
  for (let i = 0; i < 20; i++) expect((await ask(gateway, { method: 'POST', body: 'x' })).text).toBe('well');
  await metricBecomes(gateway, `windlass_upstream_endpoint_up{upstream="api",endpoint="127.0.0.1:${dead}"}`, (value) => value === 0);
  expect(await metric(gateway, `windlass_upstream_requests_total{upstream="api",endpoint="127.0.0.1:${dead}"}`)).toBe(5);
  expect(await metric(gateway, `windlass_upstream_requests_total{upstream="api",endpoint="127.0.0.1:${well}"}`)).toBe(20);
});

test('the next tier serves while the first one is gone, and no longer', async () => {
  const [first, second] = [await named('first'), await named('second')];
  const tiers = (port: number) => `[{ addr = "127.0.0.1:${port}" }, { addr = "127.0.0.1:${second}", priority = 1 }]`;
  const gateway = await startGatewayOf(made, fileOf(tiers(first)));
  expect((await ask(gateway)).text).toBe('first');
  await gateway.change(fileOf(tiers(await nobody())));
  expect((await ask(gateway)).text).toBe('second');
  await gateway.change(fileOf(tiers(first)));
  expect((await ask(gateway)).text).toBe('first');
});

test('an open breaker answers 503 with the time to come again, and tries again by itself', async () => {
  let ill = true;
  const origin = await made.startOrigin((_, response) => response.writeHead(ill ? 500 : 200).end());
  const breaker = `circuit_break_max_consecutive_failures = 3
circuit_break_half_open_consecutive_success_threshold = 1
circuit_break_open_duration = "2s"`;
  const gateway = await startGatewayOf(made, fileOf(`["127.0.0.1:${origin.port}"]`, breaker));
  for (let i = 0; i < 3; i++) expect((await ask(gateway)).status).toBe(500);
  const refused = await ask(gateway);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2']);
  expect(refused.text).toContain('no_healthy_endpoint');
  expect(origin.requests.length).toBe(3);
  ill = false;
  await metricBecomes(gateway, `windlass_upstream_breaker_state{upstream="api",endpoint="127.0.0.1:${origin.port}"}`, (value) => value === 1);
  expect((await ask(gateway)).status).toBe(200);
  expect(await metric(gateway, `windlass_upstream_breaker_state{upstream="api",endpoint="127.0.0.1:${origin.port}"}`)).toBe(0);
});

test('a client that comes again is served by the same address, for as long as that is well', async () => {
  const ports = await Promise.all(['a', 'b', 'c'].map((name) => named(name)));
  const gateway = await startGatewayOf(made, fileOf(`[${ports.map((port) => `"127.0.0.1:${port}"`).join(', ')}]`, 'algo = "hash:cookie:sid"'));
  const served = new Set<string>();
  for (let user = 0; user < 30; user++) {
    const first = (await ask(gateway, { headers: { cookie: `sid=user-${user}` } })).text;
    served.add(first);
    for (let i = 0; i < 3; i++) expect((await ask(gateway, { path: `/${i}`, headers: { cookie: `x=${i}; sid=user-${user}` } })).text).toBe(first);
  }
  expect(served.size).toBe(3);
});

test('a name is asked of the name server that is set, and followed where it leads', async () => {
  const names = await NameServer.start();
  made.later(() => names.close());
  const origin = await made.startOrigin();
  names.zone.set('api.internal', { a: ['127.0.0.1'], ttlS: 60 });
  const dns = `dns_server = ["${names.address}"]
dns_domain = "internal"
ipv4_only = true
host_header = "upstream"`;
  const gateway = await startGatewayOf(made, fileOf(`["api:${origin.port}"]`, dns));
  expect((await ask(gateway)).status).toBe(200);
  expect(origin.requests[0]!.headers.host).toBe(`api:${origin.port}`);
  expect(names.asked).toEqual(['api.internal A']);
  await gateway.change(fileOf(`["elsewhere:${origin.port}"]`, dns));
  const lost = await ask(gateway);
  expect([lost.status, lost.text.includes('name_not_found')]).toEqual([502, true]);
});

test('TLS with a name, an authority and a client certificate of its own; a wrong certificate is 502 and says what is wrong [fault 19]', async () => {
  const clients: unknown[] = [];
  const server = https.createServer(
    { cert: readFileSync(fixture('one.pem')), key: readFileSync(fixture('one.key')), ca: readFileSync(fixture('ca.pem')), requestCert: true },
    (request, response) => {
      clients.push((request.socket as TLSSocket).getPeerCertificate().subject.CN);
      response.end('secret');
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  made.later(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const tls = (sni: string) => `sni = "${sni}"
tls_ca = "${fixture('ca.pem')}"
tls_cert = "${fixture('two.pem')}"
tls_key = "${fixture('two.key')}"`;
  const gateway = await startGatewayOf(made, fileOf(`["127.0.0.1:${port}"]`, tls('hub.test')));
  expect((await ask(gateway)).text).toBe('secret');
  expect(clients).toEqual(['two.test']);
  await gateway.change(fileOf(`["127.0.0.1:${port}"]`, tls('other.test')));
  const wrong = await ask(gateway, { headers: { accept: 'application/json' } });
  expect(wrong.status).toBe(502);
  expect(wrong.text).toContain('tls_failed');
  expect(wrong.text).toContain('is for another name');
  expect(clients.length).toBe(1);
});

test('an address that answers late is 504 after read_timeout, and a request without effects is tried elsewhere', async () => {
  const silent = await made.startOrigin(() => {});
  const well = await named('well');
  const alone = await startGatewayOf(made, fileOf(`["127.0.0.1:${silent.port}"]`, 'read_timeout = "200ms"'));
  const late = await ask(alone);
  expect([late.status, late.text.includes('first_byte_timeout')]).toEqual([504, true]);
  const both = await startGatewayOf(made, fileOf(`["127.0.0.1:${silent.port}", "127.0.0.1:${well}"]`, 'read_timeout = "1s"'));
  for (let i = 0; i < 2; i++) expect((await ask(both)).text).toBe('well');
});

test('the PROXY protocol tells the upstream who the client is, once per connection', async () => {
  const firsts: string[] = [];
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data: Buffer) => {
      firsts.push(data.toString('latin1').split('\r\n')[0]!);
      socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  made.later(() => server.close());
  const { port } = server.address() as AddressInfo;
  const gateway = await startGatewayOf(made, fileOf(`["127.0.0.1:${port}"]`, 'proxy_protocol = "v1"'));
  for (let i = 0; i < 2; i++) expect((await ask(gateway)).status).toBe(204);
  expect(firsts.length).toBe(2);
  for (const first of firsts) expect(first).toMatch(new RegExp(`^PROXY TCP4 127\\.0\\.0\\.1 127\\.0\\.0\\.1 \\d+ ${gateway.port()}$`));
});
