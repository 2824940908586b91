import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { CertificateInfo, Overview, Page, UpstreamInfo } from '../../src/admin/model.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit, SECRET } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startHubWith, startAgentFor, folder } = tools;
const fixture = (file: string) => fileURLToPath(new URL(`../fixtures/${file}`, import.meta.url));

const fileOf = (addrs: readonly string[], more = '') => `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "api"
[upstreams.api]
addrs = ${JSON.stringify(addrs)}
health_check = "off"
${more}
`;

async function ask(gateway: TestGateway): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${gateway.port()}/`);
  const text = await answer.text();
  return answer.status === 200 ? text : `${answer.status} ${(JSON.parse(text) as { code: string }).code}`;
}

/** An origin that says its name. */
async function named(name: string): Promise<string> {
  const { port } = await startOrigin((request, response) => {
    request.resume();
    response.end(name);
  });
  return `127.0.0.1:${port}`;
}

test('an endpoint that is taken out gets nothing, over reloads and with other weights, until it is put back', async () => {
  const [one, two] = [await named('one'), await named('two')];
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, fileOf([one, two]), { stateDir });
  const operator = new Operator(gateway, stateDir);
  const out = await operator.ask<UpstreamInfo>('POST', '/upstreams/api/out', { endpoint: one });
  expect(out.json.endpoints.map(({ id, condition, usable }) => [id, condition, usable])).toEqual([
    [one, 'out', false],
    [two, 'well', true],
  ]);
  const answers = async () => new Set([await ask(gateway), await ask(gateway), await ask(gateway), await ask(gateway)]);
  expect(await answers()).toEqual(new Set(['two']));
  await gateway.change(fileOf([`${one} 2`, two]));
  expect(await answers()).toEqual(new Set(['two']));
  // It is seen in the pages that are open to all, too.
  const status = await (await fetch(`http://127.0.0.1:${gateway.adminAddress!.port}/status`)).json();
  expect((status as { upstreams: unknown[] }).upstreams).toContainEqual(expect.objectContaining({ endpoint: one, condition: 'out', usable: false }));
  expect((await operator.get<Overview>('/overview')).endpoints).toEqual({
    total: 2,
    usable: 1,
    unwell: [{ upstream: 'api', endpoint: one, reason: 'taken out by an operator' }],
  });
  await operator.ask('POST', '/upstreams/api/in', { endpoint: one });
  expect(await answers()).toEqual(new Set(['one', 'two']));
});

test('when all are taken out the answer says so and no upstream is to blame; what has left the file comes back as new', async () => {
  const [one, two] = [await named('one'), await named('two')];
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, fileOf([one, two]), { stateDir });
  const operator = new Operator(gateway, stateDir);
  // By the host as it stands in the file: both.
  const { json } = await operator.ask<UpstreamInfo>('POST', '/upstreams/api/out', { endpoint: '127.0.0.1' });
  expect(json.endpoints.map(({ condition }) => condition)).toEqual(['out', 'out']);
  const answer = await fetch(`http://127.0.0.1:${gateway.port()}/`);
  expect([answer.status, await answer.json()]).toEqual([
    503,
    expect.objectContaining({ code: 'taken_out', detail: expect.stringContaining('operators have taken out') }),
  ]);
  expect(answer.headers.get('proxy-status')).toContain('error=destination_unavailable');
  expect(gateway.log.lines.some(({ level, message }) => level === 'warn' && message.includes('nobody left'))).toBe(true);
  await gateway.change(fileOf([two]));
  expect(await ask(gateway)).toBe('503 taken_out');
  await gateway.change(fileOf([one, two]));
  expect(await ask(gateway)).toBe('one');
  // A gateway that starts anew has nobody out.
  const again = await startGatewayOf(tools, fileOf([two]), { stateDir });
  expect(await ask(again)).toBe('two');
});

test('upstreams are listed with those who use them, how their endpoints are, and what agents are behind', async () => {
  const one = await named('one');
  const stateDir = folder();
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["gpu", "all"]
[locations.gpu]
path = "/gpu"
upstream = "gpu"
[locations.all]
upstream = "api"
[upstreams.api]
addrs = ["${one} 3"]
algo = "hash:header:X-Key"
health_check = "tcp://x?check_frequency=1s"
[upstreams.gpu]
agents = "tier=gold"
[upstreams.idle]
agents = "*"
`,
    { stateDir },
  );
  const operator = new Operator(gateway, stateDir);
  await startAgentFor({ port: gateway.port() }, { port: 1 }, { slots: 4, labels: new Map([['tier', 'gold']]) });
  expect(await ask(gateway)).toBe('one');
  const { total, items } = await until('a health check', async () => {
    const page = await operator.get<Page<UpstreamInfo>>('/upstreams');
    return page.items[0]!.endpoints[0]!.check === null ? null : page;
  });
  expect(total).toBe(3);
  const [api, gpu, idle] = items;
  expect(api).toMatchObject({
    name: 'api',
    of: 'addresses',
    algorithm: 'hash:header:x-key',
    locations: ['all'],
    inFlight: 0,
    waiting: 0,
    agents: null,
  });
  expect(api!.endpoints).toEqual([
    {
      id: one,
      host: '127.0.0.1',
      weight: 3,
      priority: 0,
      condition: 'well',
      inFlight: 0,
      check: { healthy: true, reason: expect.any(String) },
      load: null,
      usable: true,
      requests: 1,
      failures: 0,
    },
  ]);
  expect(gpu).toMatchObject({ of: 'agents', locations: ['gpu'], endpoints: [], agents: { selector: 'tier=gold', connected: 1, slots: 4, free: 4 } });
  expect(idle).toMatchObject({ locations: [], agents: { connected: 1 } });
  expect((await operator.get<Page<UpstreamInfo>>('/upstreams?query=GP')).items.map(({ name }) => name)).toEqual(['gpu']);
  expect((await operator.get<Page<UpstreamInfo>>(`/upstreams?query=${one}`)).items.map(({ name }) => name)).toEqual(['api']);
  expect(await operator.get<Page<UpstreamInfo>>('/upstreams?offset=1&limit=1')).toMatchObject({ total: 3, items: [{ name: 'gpu' }] });
  expect(await operator.get<UpstreamInfo>('/upstreams/gpu')).toEqual(gpu);
  for (const [path, body, status, code] of [
    ['gpu/out', { endpoint: 'x' }, 409, 'of_agents'],
    ['nobody/out', { endpoint: 'x' }, 404, 'no_such_upstream'],
    ['api/out', { endpoint: '127.0.0.1:1' }, 404, 'no_such_endpoint'],
    ['api/out', { endpoint: '' }, 422, 'invalid'],
    ['api/out', {}, 422, 'invalid'],
  ] as const)
    expect((await operator.ask('POST', `/upstreams/${path}`, body)).json).toMatchObject({ status, code });
  expect((await operator.ask('GET', '/upstreams/nobody')).status).toBe(404);
});

test('pages that are open hear of agents that come, endpoints that change and certificates that are renewed', async () => {
  const one = await named('one');
  const path = folder();
  const stateDir = folder();
  for (const part of ['pem', 'key']) writeFileSync(join(path, `x.${part}`), readFileSync(fixture(`one.${part}`)));
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["all"]
[certificates.x]
tls_cert = "${join(path, 'x.pem')}"
tls_key = "${join(path, 'x.key')}"
[locations.all]
upstream = "api"
[upstreams.api]
addrs = ["${one}"]
health_check = "off"
`,
    { stateDir },
  );
  const operator = new Operator(gateway, stateDir);
  const ended = new AbortController();
  tools.later(() => ended.abort());
  const told = await operator.changes(ended.signal);
  await startAgentFor({ port: gateway.port() }, { port: 1 });
  await until('agents', () => told.includes('agents'));
  expect(told).not.toContain('upstreams');
  await operator.ask('POST', '/upstreams/api/out', { endpoint: one });
  await until('upstreams', () => told.includes('upstreams'));
  expect(told).not.toContain('certificates');
  for (const part of ['pem', 'key']) writeFileSync(join(path, `x.${part}`), readFileSync(fixture(`two.${part}`)));
  await until('certificates', () => told.includes('certificates'));
});

test('a hub without a file has one upstream, its agents', async () => {
  const stateDir = folder();
  const hub = await startHubWith({}, {}, { stateDir });
  await startAgentFor(hub, { port: 1 }, { slots: 3 });
  const [only] = (await new Operator(hub, stateDir).get<Page<UpstreamInfo>>('/upstreams')).items;
  expect(only).toMatchObject({ name: 'agents', of: 'agents', algorithm: 'least_conn', agents: { selector: '*', connected: 1, slots: 3 } });
});

test('certificates are shown with who uses them and what is wrong with them, and never a key', async () => {
  const path = folder();
  const stateDir = folder();
  const [cert, key] = [join(path, 'cert.pem'), join(path, 'key.pem')];
  writeFileSync(cert, readFileSync(fixture('one.pem')));
  writeFileSync(key, readFileSync(fixture('one.key')));
  const gateway = await startGatewayOf(
    tools,
    `[servers.main]
addr = "127.0.0.1:0"
global_certificates = true
[servers.made]
addr = "127.0.0.1:0"
self_signed = true
[certificates.site]
tls_cert = "${cert}"
tls_key = "${key}"
`,
    { stateDir },
  );
  const operator = new Operator(gateway, stateDir);
  const { total, items } = await operator.get<Page<CertificateInfo>>('/certificates');
  expect(total).toBe(2);
  const site = items.find(({ name }) => name === 'certificates.site')!;
  const der = Buffer.from(readFileSync(cert, 'latin1').replace(/-----.*-----|\s/g, ''), 'base64');
  expect(site.fingerprint.replaceAll(':', '').toLowerCase()).toBe(createHash('sha256').update(der).digest('hex'));
  expect(site).toMatchObject({ source: 'file', usedBy: ['main'], names: expect.arrayContaining(['localhost']) });
  expect(items.find(({ name }) => name === 'self_signed')).toMatchObject({ source: 'self_signed', usedBy: ['made'], problem: '' });
  expect(JSON.stringify(items)).not.toContain('PRIVATE');
  expect(items.map(({ notAfterMs }) => notAfterMs)).toEqual(items.map(({ notAfterMs }) => notAfterMs).toSorted((a, b) => a - b));
  writeFileSync(key, 'no key');
  const told = await until('the file to be seen', async () => {
    const page = await operator.get<Page<CertificateInfo>>('/certificates');
    return page.items.find(({ problem }) => problem !== '');
  });
  expect(told).toMatchObject({
    name: 'certificates.site',
    problem: expect.stringContaining('the new one cannot be used: '),
    fingerprint: site.fingerprint,
  });
});
