import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Overview, Tick, Topology } from '../../src/admin/model.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, SECRET } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { folder, startOrigin, startHubWith, startAgentFor } = tools;

const get = async (port: number, path: string): Promise<void> => {
  await (await fetch(`http://127.0.0.1:${port}${path}`)).arrayBuffer();
};

const sum = (history: readonly Tick[], of: (tick: Tick) => number): number => history.reduce((all, tick) => all + of(tick), 0);

test('the overview of a gateway has each second of late, what failed, and what is not well', async () => {
  const origin = await startOrigin((request, response) => {
    response.writeHead(request.url === '/bad' ? 500 : 200);
    response.end('hello');
  });
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
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
[upstreams.gpu]
agents = "*"
queue_timeout = "0s"
`,
    { stateDir },
  );
  const operator = new Operator(gateway, stateDir);
  for (let i = 0; i < 4; i++) await get(gateway.port(), '/');
  await get(gateway.port(), '/bad');
  await get(gateway.port(), '/gpu');
  const seen = await until('ticks that count them', async () => {
    const overview = await operator.get<Overview>('/overview');
    return sum(overview.history, ({ byClass }) => byClass['2xx']) > 0 && sum(overview.history, ({ byClass }) => byClass['5xx']) > 0 ? overview : null;
  });
  const tick = seen.history.find(({ requestsPerSecond }) => requestsPerSecond > 0)!;
  expect(tick.p50Ms).toBeGreaterThan(0);
  expect(tick.p99Ms).toBeGreaterThanOrEqual(tick.p50Ms!);
  expect([tick.bytesOutPerSecond > 0, tick.memory > 1_000_000, tick.connections > 0]).toEqual([true, true, true]);
  expect(seen.failures).toEqual([{ code: 'no_agent', count: 1 }]);
  expect(seen.endpoints).toEqual({ total: 1, usable: 1, unwell: [{ upstream: 'gpu', endpoint: '', reason: 'no agent is connected' }] });
  expect(seen.certificates).toEqual({ total: 0, soonest: null, soon: 0 });
});

test('the topology of a gateway leads from its server over locations and upstreams to endpoints and agents', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  const text = (locations: string): string => `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = [${locations}]
[locations.gpu]
path = "/gpu"
upstream = "gpu"
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
[upstreams.gpu]
agents = "*"
`;
  const gateway = await startGatewayOf(tools, text('"gpu", "all"'), { stateDir });
  const operator = new Operator(gateway, stateDir);
  await startAgentFor({ port: gateway.port() }, origin, { slots: 3, agentId: 'box' });
  for (let i = 0; i < 3; i++) await get(gateway.port(), '/gpu');
  await get(gateway.port(), '/');
  const { nodes, edges } = await until('what was sent', async () => {
    const topology = await operator.get<Topology>('/topology');
    const edge = topology.edges.find(({ from, to }) => from === 'upstream:one' && to.startsWith('endpoint:'));
    return edge !== undefined && edge.requestsPerSecond > 0 ? topology : null;
  });
  const endpoint = `endpoint:one/127.0.0.1:${origin.port}`;
  expect(nodes.map(({ id }) => id).toSorted()).toEqual(
    ['agent:box', endpoint, 'location:all', 'location:gpu', 'server:main', 'upstream:gpu', 'upstream:one'].toSorted(),
  );
  expect(nodes.find(({ id }) => id === 'agent:box')).toMatchObject({ kind: 'agent', label: 'test', detail: '3 of 3 slots free', state: 'well' });
  expect(nodes.find(({ id }) => id === 'server:main')!.detail).toBe(`127.0.0.1:${gateway.port()}`);
  const flows = new Map(edges.map(({ from, to, requestsPerSecond }) => [`${from} > ${to}`, requestsPerSecond]));
  expect([...flows.keys()].toSorted()).toEqual(
    [
      'server:main > location:gpu',
      'server:main > location:all',
      'location:gpu > upstream:gpu',
      'location:all > upstream:one',
      `upstream:one > ${endpoint}`,
      'upstream:gpu > agent:box',
    ].toSorted(),
  );
  // What comes in at one end goes out at the other.
  expect(flows.get('upstream:gpu > agent:box')).toBe(flows.get('location:gpu > upstream:gpu'));
  expect(flows.get('location:gpu > upstream:gpu')).toBeCloseTo(flows.get('location:all > upstream:one')! * 3, 1);
});

test('a hub without a file is one server, one location, and all its agents', async () => {
  const origin = await startOrigin();
  const stateDir = folder();
  const hub = await startHubWith({}, {}, { stateDir });
  const operator = new Operator(hub, stateDir);
  await startAgentFor(hub, origin, { slots: 2, agentId: 'box' });
  await get(hub.address.port, '/');
  const { nodes } = await until('an agent that has served', async () => {
    const topology = await operator.get<Topology>('/topology');
    return topology.nodes.find(({ kind }) => kind === 'agent')?.state === 'well' ? topology : null;
  });
  expect(nodes.map(({ id }) => id)).toEqual(['server:hub', 'location:all', 'upstream:agents', 'agent:box']);
  const { history } = await until('a tick', async () => {
    const overview = await operator.get<Overview>('/overview');
    return overview.history.length > 0 ? overview : null;
  });
  expect(history.at(-1)).toMatchObject({ slots: 2, slotsFree: 2, agents: 1, queue: 0 });
});

test('what happens comes every second to whoever listens', async () => {
  const stateDir = folder();
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    tools,
    `[servers.main]\naddr = "127.0.0.1:0"\nlocations = ["all"]\n[locations.all]\nupstream = "one"\n[upstreams.one]\naddrs = ["127.0.0.1:${origin.port}"]\n`,
    { stateDir },
  );
  const token = readFileSync(`${stateDir}/admin-token-${gateway.adminAddress!.port}`, 'latin1').trim();
  const stop = new AbortController();
  tools.later(() => stop.abort());
  const response = await fetch(`http://127.0.0.1:${gateway.adminAddress!.port}/api/v1/events`, {
    headers: { Authorization: `Bearer ${token}` },
    signal: stop.signal,
  });
  let text = '';
  const ticks = (): Tick[] => [...text.matchAll(/^event: tick\ndata: (.*)\n\n/gm)].map(([, data]) => JSON.parse(data!) as Tick);
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk, { stream: true });
    if (ticks().length >= 2) break;
  }
  const [first, second] = ticks();
  expect(second!.atMs).toBeGreaterThan(first!.atMs);
  expect(first).toMatchObject({ inFlight: 0, queue: 0, agents: 0 });
});
