import { expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { ask } from '../kit/ask.ts';
import { type MetricsPage, readMetrics, scrape, valueOf } from '../kit/exposition.ts';

import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, metric, metricBecomes, SECRET } from '../kit/kit.ts';
import { asks, startHolding } from '../kit/stage.ts';

const tools = kit();
const { startOrigin, startHubWith, startAgentFor } = tools;

const TWO = (first: number, second: number): string => `[servers.main]
addr = "127.0.0.1:0"
prometheus_metrics = "/metrics"
locations = ["a", "b"]
[locations.a]
path = "/a"
upstream = "one"
[locations.b]
path = "/b"
upstream = "two"
[upstreams.one]
addrs = ["127.0.0.1:${first}"]
[upstreams.two]
addrs = ["127.0.0.1:${second}"]
`;

const get = async (gateway: { port(): number }, path: string, init?: RequestInit): Promise<number> => {
  const response = await fetch(`http://127.0.0.1:${gateway.port()}${path}`, init);
  await response.arrayBuffer();
  return response.status;
};

test('a request is counted once, by server, location, upstream and class of status, and in what the whole gateway did', async () => {
  const origin = await startOrigin((request, response) => {
    response.writeHead(request.url === '/a/bad' ? 503 : 200);
    response.end('twelve bytes');
  });
  const gateway = await startGatewayOf(tools, TWO(origin.port, origin.port));
  await get(gateway, '/a/1', { method: 'POST', body: 'hello' });
  await get(gateway, '/a/bad');
  await get(gateway, '/b/1');
  await get(gateway, '/none');
  await metricBecomes(gateway, 'windlass_requests_in_flight', (value) => value === 0);
  const page = await scrape(gateway);
  const of = (location: string, upstream: string, code: string): number =>
    valueOf(page, 'windlass_location_requests_total', { server: 'main', location, upstream, code });
  expect([of('a', 'one', '2xx'), of('a', 'one', '5xx'), of('b', 'two', '2xx'), of('-', '-', '4xx')]).toEqual([1, 1, 1, 1]);
  expect([valueOf(page, 'windlass_requests_total', { code: '2xx' }), valueOf(page, 'windlass_requests_total', { code: '4xx' })]).toEqual([2, 1]);
  expect(valueOf(page, 'windlass_location_request_body_bytes_total', { location: 'a' })).toBe(5);
  expect(valueOf(page, 'windlass_location_reply_body_bytes_total', { location: 'a' })).toBe(24);
  for (const name of ['windlass_location_duration_seconds_count', 'windlass_location_first_byte_seconds_count'])
    expect([name, valueOf(page, name, { location: 'a' })]).toEqual([name, 2]);
  expect(valueOf(page, 'windlass_request_duration_seconds_count')).toBe(4);
  expect(valueOf(page, 'windlass_failures_total', { code: 'no_location' })).toBe(1);
});

test('requests inside are counted by location while they run', async () => {
  const { origin, arrived } = await startHolding(tools);
  const gateway = await startGatewayOf(tools, fileTo(origin.port));
  const client = await asks(tools, { port: gateway.port() });
  const held = await arrived(0);
  const inside = () => metric(gateway, 'windlass_location_requests_in_flight{server="main",location="all"}');
  expect([await inside(), await metric(gateway, 'windlass_requests_in_flight')]).toEqual([1, 1]);
  held.response.end();
  await client.answer();
  await metricBecomes(gateway, 'windlass_location_requests_in_flight{server="main",location="all"}', (value) => value === 0);
});

test('a location that is taken out goes from the page, and no counter of the others, nor of the gateway, goes backwards', async () => {
  const { origin, arrived } = await startHolding(tools);
  const quick = await startOrigin();
  const gateway = await startGatewayOf(tools, TWO(quick.port, origin.port));
  for (let i = 0; i < 3; i++) await get(gateway, '/a/1');
  // One of the location that goes still runs then.
  const client = await asks(tools, { port: gateway.port() }, '/b/1');
  const held = await arrived(0);
  const second = await asks(tools, { port: gateway.port() }, '/b/2');
  (await arrived(1)).response.end();
  await second.answer();
  await metricBecomes(gateway, 'windlass_requests_in_flight', (value) => value === 1);
  const before = await scrape(gateway);
  expect(valueOf(before, 'windlass_location_requests_total', { location: 'b', code: '2xx' })).toBe(1);
  const [upToB = ''] = TWO(quick.port, quick.port).replace('"a", "b"', '"a"').split('[locations.b]');
  await gateway.change(`${upToB}[upstreams.one]\naddrs = ["127.0.0.1:${quick.port}"]\n`);
  expect(gateway.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  const page = await scrape(gateway);
  const b = page.samples.filter(({ labels }) => labels.get('location') === 'b' || labels.get('upstream') === 'two');
  expect(b).toEqual([]);
  expect(valueOf(page, 'windlass_requests_in_flight')).toBe(1);
  held.response.end();
  await client.answer();
  await metricBecomes(gateway, 'windlass_requests_in_flight', (value) => value === 0);
  await get(gateway, '/a/1');
  await metricBecomes(gateway, 'windlass_requests_total{code="2xx"}', (value) => value === 6);
  const after = await scrape(gateway);
  expect(valueOf(after, 'windlass_location_requests_total', { location: 'a', code: '2xx' })).toBe(4);
  expect(valueOf(after, 'windlass_request_duration_seconds_count')).toBe(6);
  for (const { name, labels, value } of before.samples) {
    const type = before.types.get(name.replace(/_(bucket|count|sum)$/, '')) ?? before.types.get(name);
    if (type === 'gauge' || labels.get('location') === 'b' || labels.get('upstream') === 'two') continue;
    const now = valueOf(after, name, Object.fromEntries(labels));
    if (!(now >= value)) throw new Error(`${name} ${JSON.stringify([...labels])} went from ${value} to ${now}`);
  }
});

test('a location whose upstream is another after a reload is counted at both, and goes on', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(tools, TWO(origin.port, origin.port));
  await get(gateway, '/a/1');
  await gateway.change(TWO(origin.port, origin.port).replace('path = "/a"\nupstream = "one"', 'path = "/a"\nupstream = "two"'));
  await get(gateway, '/a/1');
  await metricBecomes(gateway, 'windlass_requests_total{code="2xx"}', (value) => value === 2);
  const page = await scrape(gateway);
  const of = (upstream: string): number => valueOf(page, 'windlass_location_requests_total', { location: 'a', upstream, code: '2xx' });
  expect([of('one'), of('two')]).toEqual([1, 1]);
});

test('a thousand locations and names that nobody would choose make a page that can be read', async () => {
  const origin = await startOrigin();
  const names = ['other', 'all-of-it', ...Array.from({ length: 998 }, (_, i) => `l${i}`)];
  const text = `[servers.other]
addr = "127.0.0.1:0"
locations = [${names.map((name) => `"${name}"`).join(', ')}]
${names.map((name, i) => `[locations."${name}"]\npath = "/x${i}/"\nupstream = "other"\n`).join('')}
[upstreams.other]
addrs = ["127.0.0.1:${origin.port}"]
`;
  const gateway = await startGatewayOf(tools, text);
  for (const i of [0, 1, 500]) await get(gateway, `/x${i}/`);
  await metricBecomes(gateway, 'windlass_requests_total{code="2xx"}', (value) => value === 3);
  const page = await scrape(gateway);
  const counted = page.samples.filter(({ name, labels }) => name === 'windlass_location_requests_total' && labels.get('code') === '2xx');
  expect(counted.map(({ labels, value }) => [labels.get('location'), value])).toEqual([
    ['other', 1],
    ['all-of-it', 1],
    ['l498', 1],
  ]);
});

test('nothing that a client sends makes the page longer: paths, hosts, methods, fields and queries', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(tools, TWO(origin.port, origin.port));
  const strangers = async (from: number, to: number): Promise<string> => {
    for (let i = from; i < to; i++) {
      const headers = { Host: `h${i}.example`, 'User-Agent': `u${i}`, 'X-Request-Id': `r${i}`, Authorization: `Basic ${btoa(`p${i}:x`)}` };
      for (const path of [`/a/${i}?q${i}=${i}`, `/b/${i}`, `/${i}`]) await ask(gateway.port(), { method: `M${i}`, path, headers });
    }
    await metricBecomes(gateway, 'windlass_request_duration_seconds_count', (value) => value === to * 3);
    return seriesOf(await scrape(gateway));
  };
  const few = await strangers(0, 5);
  expect(await strangers(5, 40)).toBe(few);
});

/** The series of a page, without their values. */
function seriesOf({ samples }: MetricsPage): string {
  return samples.map(({ name, labels }) => `${name} ${JSON.stringify([...labels])}`).join('\n');
}

test.each(['/metrics of operators', '/metrics of a server'])('OpenMetrics comes to those who ask for it (%s)', async (where) => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(tools, TWO(origin.port, origin.port));
  await get(gateway, '/a/1');
  const port = where.endsWith('operators') ? gateway.adminAddress!.port : gateway.port();
  const page = async (accept: string): Promise<{ type: string; text: string }> => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { Accept: accept } });
    return { type: response.headers.get('content-type')!, text: await response.text() };
  };
  // As Prometheus 2 asks.
  const open = await page(
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
  );
  expect(open.type).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
  const read = readMetrics(open.text, 'openmetrics');
  expect(read.types.get('windlass_requests')).toBe('counter');
  // There is a gauge without _total, whose name it may not take.
  expect([read.types.get('windlass_connections'), read.types.get('windlass_connections_total')]).toEqual(['gauge', 'unknown']);
  expect(open.text).toContain('windlass_request_duration_seconds_bucket{le="1.0"}');
  const plain = await page('*/*');
  expect(plain.type).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(readMetrics(plain.text).types.get('windlass_requests_total')).toBe('counter');
});

test('a hub tells of its agents, their slots, sessions and tunnels, and of who waits for whom', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ queueTimeoutMs: 60_000 });
  const agent = await startAgentFor(hub, origin, { slots: 2 });
  await asks(tools, hub, '/1');
  await arrived(0);
  const running = await scrape(hub);
  const slots = (state: string): number => valueOf(running, 'windlass_agent_slots', { state });
  expect([slots('free'), slots('busy'), slots('unavailable')]).toEqual([1, 1, 0]);
  expect(valueOf(running, 'windlass_tunnel_sessions', { wire: 'native' })).toBe(1);
  for (const direction of ['sent', 'received'])
    expect(valueOf(running, 'windlass_tunnel_bytes_total', { wire: 'native', direction })).toBeGreaterThan(100);
  await asks(tools, hub, '/2');
  await arrived(1);
  await asks(tools, hub, '/3');
  await metricBecomes(hub, 'windlass_upstream_queue_size{upstream="agents"}', (value) => value === 1);
  expect(valueOf(await scrape(hub), 'windlass_upstream_queue_oldest_age_seconds', { upstream: 'agents' })).toBeGreaterThan(0);
  agent.destroy();
  await metricBecomes(hub, 'windlass_agent_leaves_total{wire="native"}', (value) => value === 1);
  const after = await scrape(hub);
  expect(valueOf(after, 'windlass_tunnel_resets_total', { wire: 'native', code: 'tunnel_lost' })).toBe(2);
  expect(valueOf(after, 'windlass_tunnel_sessions', { wire: 'native' })).toBe(0);
  // What a session carried that is over is still counted.
  expect(valueOf(after, 'windlass_tunnel_bytes_total', { wire: 'native', direction: 'sent' })).toBeGreaterThanOrEqual(
    valueOf(running, 'windlass_tunnel_bytes_total', { wire: 'native', direction: 'sent' }),
  );
});

test.each([
  ['native', {}],
  ['slime', { wire: 'slime' as const, agentId: '7' }],
  [
    'cranker',
    {
      wire: 'cranker' as const,
      cranker: { route: '*', domain: '*', componentName: 'any', versions: ['3.0', '1.0'] as const, window: 2, fields: [] },
    },
  ],
])('bytes of requests and answers are counted over the wire %s, both ways', async (wire, settings) => {
  const origin = await tools.startOrigin((_, response) => void response.end(Buffer.alloc(30_000)));
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native", "slime", "cranker"]
locations = ["all"]
[locations.all]
upstream = "gpu"
[upstreams.gpu]
agents = "*"
queue_timeout = "30s"
`,
  );
  await startAgentFor({ port: gateway.port() }, origin, { slots: 1, ...settings });
  const bytes = async (direction: string): Promise<number> => valueOf(await scrape(gateway), 'windlass_tunnel_bytes_total', { wire, direction });
  for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }])
    expect((await ask(gateway.port(), { method: 'POST', headers, body: 'x'.repeat(50_000) })).body.length).toBe(30_000);
  const [sent, received] = [await bytes('sent'), await bytes('received')];
  expect([sent > 100_000, sent < 110_000, received > 60_000, received < 70_000]).toEqual([true, true, true, true]);
});

test('waits are counted by the upstream that was waited for', async () => {
  const { origin, arrived } = await startHolding(tools);
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["all"]
[locations.all]
upstream = "gpu"
[upstreams.gpu]
agents = "*"
queue_timeout = "30s"
`,
  );
  await startAgentFor({ port: gateway.port() }, origin, { slots: 1 });
  const clients = [await asks(tools, { port: gateway.port() }), await asks(tools, { port: gateway.port() })];
  (await arrived(0)).response.end();
  (await arrived(1)).response.end();
  for (const client of clients) await client.answer();
  await metricBecomes(gateway, 'windlass_upstream_queue_wait_seconds_count{upstream="gpu"}', (value) => value === 1);
  expect(await metric(gateway, 'windlass_queue_wait_seconds_count')).toBe(1);
});

test('a limit tells how many it let pass and how many it refused', async () => {
  const origin = await startOrigin();
  const more = '[plugins.few]\ncategory = "limit"\ntype = "rate"\nmax = 2\ninterval = "1h"\ntag = "ip"\n';
  const gateway = await startGatewayOf(tools, fileTo(origin.port, { location: 'plugins = ["few"]', more }));
  const statuses: number[] = [];
  for (let i = 0; i < 3; i++) statuses.push(await get(gateway, '/'));
  expect(statuses).toEqual([200, 200, 429]);
  const page = await scrape(gateway);
  const of = (result: string): number => valueOf(page, 'windlass_limit_requests_total', { plugin: 'few', result });
  expect([of('passed'), of('refused')]).toEqual([2, 1]);
});

test('agents of one process that serve the same address are counted together, so that no series stands twice', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  const upstream = parseUpstreamUrl(`127.0.0.1:${origin.port}`);
  const agent = await startAgentFor(hub, origin, { upstreams: [upstream, upstream], adminAddr: { host: '127.0.0.1', port: 0 } });
  await metricBecomes(hub, 'windlass_agents_connected', (value) => value === 2);
  for (let i = 0; i < 4; i++) await (await fetch(`http://127.0.0.1:${hub.address.port}/`)).arrayBuffer();
  const page = await scrape(agent);
  const endpoint = `http://127.0.0.1:${origin.port}`;
  const used = ['connects', 'reuses'].map((what) => valueOf(page, `windlass_upstream_${what}_total`, { endpoint }));
  expect(used[0]! + used[1]!).toBe(4);
});
