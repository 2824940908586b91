import { expect, test } from 'vitest';
import { parseHealthCheck } from '../../src/schema/health-check.ts';
import { fileTo, startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { grpcClient, startGrpcOrigin } from '../kit/grpc.ts';
import { addHealth, checkHealth, type HealthState, watchHealth } from '../kit/grpc-health.ts';
import { kit, metricBecomes, SECRET } from '../kit/kit.ts';

const tools = kit();
const { startHubWith, startAgentFor, startOrigin } = tools;

/** What a watcher hears, one by one. */
function told(call: AsyncIterable<HealthState>): () => Promise<HealthState | undefined> {
  const states = call[Symbol.asyncIterator]();
  return async () => ((await states.next()) as { value?: HealthState }).value;
}

function upBecomes(gateway: TestGateway, port: number, up: 0 | 1): Promise<void> {
  return metricBecomes(gateway, `windlass_health_up{upstream="one",endpoint="127.0.0.1:${port}"}`, (value) => value === up);
}

// --- asked by us

test.each(['', 'app.Model'])(
  'an upstream of real gRPC is asked after its service %j, leaves with NOT_SERVING and comes back with SERVING',
  async (service) => {
    const states = new Map<string, HealthState>([[service, 'SERVING']]);
    const asked: string[] = [];
    const origin = await startGrpcOrigin(tools, undefined, (server) => addHealth(server, states, asked));
    const check = `health_check = "grpc://api?check_frequency=100ms${service === '' ? '' : `&service=${service}`}"\n`;
    const gateway = await startGatewayOf(tools, fileTo(origin.port, { more: check }));
    await upBecomes(gateway, origin.port, 1);
    states.set(service, 'NOT_SERVING');
    await upBecomes(gateway, origin.port, 0);
    states.set(service, 'SERVING');
    await upBecomes(gateway, origin.port, 1);
    states.delete(service);
    await upBecomes(gateway, origin.port, 0);
    expect(new Set(asked)).toEqual(new Set([service]));
    const said = gateway.log.lines.map(({ fields }) => (fields as { reason?: string }).reason);
    expect(said).toContain('says NOT_SERVING');
    expect(said).toContain(`its health service does not know ${service === '' ? 'the server' : service}`);
  },
);

test('an upstream of real gRPC without a health service fails its check, and the log says why', async () => {
  const origin = await startGrpcOrigin(tools);
  const gateway = await startGatewayOf(tools, fileTo(origin.port, { more: 'health_check = "grpc://api?check_frequency=100ms"\n' }));
  await upBecomes(gateway, origin.port, 0);
  expect(JSON.stringify(gateway.log.lines)).toContain('it has no health service (grpc.health.v1)');
});

test('an agent beside a real gRPC service withdraws its slots while that says NOT_SERVING', async () => {
  const states = new Map<string, HealthState>([['', 'SERVING']]);
  const origin = await startGrpcOrigin(tools, undefined, (server) => addHealth(server, states));
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { healthCheck: parseHealthCheck('grpc://api?check_frequency=100ms') });
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (slots) => slots === 1);
  states.set('', 'NOT_SERVING');
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (slots) => slots === 0);
  states.set('', 'SERVING');
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (slots) => slots === 1);
});

// --- asked of us

test('a hub answers Check at its admin address, and Watch tells that it drains', async () => {
  const hub = await startHubWith({ drainDelayMs: 3000, drainTimeoutMs: 1000 });
  const client = grpcClient(tools, hub.adminAddress!.port);
  expect(await checkHealth(client, '')).toBe('SERVING');
  const next = told(watchHealth(client, ''));
  expect(await next()).toBe('SERVING');
  const closed = hub.close();
  expect(await next()).toBe('NOT_SERVING');
  expect(await checkHealth(client, '')).toBe('NOT_SERVING');
  hub.destroy();
  await closed;
});

test('a gateway knows its upstreams by name: SERVING while an address is in use, NOT_SERVING without one, and no others', async () => {
  const origin = await startOrigin((request, response) => {
    request.resume();
    response.writeHead(ill ? 500 : 200).end();
  });
  let ill = false;
  const more = 'health_check = "http://api/?check_frequency=100ms"\n';
  const gateway = await startGatewayOf(tools, fileTo(origin.port, { more }));
  const client = grpcClient(tools, gateway.adminAddress!.port);
  expect(await checkHealth(client, '')).toBe('SERVING');
  const next = told(watchHealth(client, 'one'));
  expect(await next()).toBe('SERVING');
  ill = true;
  expect(await next()).toBe('NOT_SERVING');
  expect(await checkHealth(client, 'one')).toBe('NOT_SERVING');
  expect(await checkHealth(client, '')).toBe('SERVING');
  ill = false;
  expect(await next()).toBe('SERVING');
  await expect(checkHealth(client, 'two')).rejects.toMatchObject({ code: 5 });
  const other = told(watchHealth(client, 'two'));
  expect(await other()).toBe('SERVICE_UNKNOWN');
  await gateway.change(`${fileTo(origin.port)}[upstreams.two]\naddrs = ["127.0.0.1:${origin.port}"]\n`);
  expect(await other()).toBe('SERVING');
});

test('an upstream of agents serves while one of them is there', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
hub_id = "gate"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
grpc_health = true
[upstreams.gpu]
agents = "gpu=a100"
[upstreams.any]
agents = "*"
`,
  );
  const client = grpcClient(tools, gateway.port());
  const next = told(watchHealth(client, 'any'));
  expect(await next()).toBe('NOT_SERVING');
  const agent = await startAgentFor({ port: gateway.port() }, origin);
  expect(await next()).toBe('SERVING');
  expect(await checkHealth(client, 'gpu')).toBe('NOT_SERVING');
  agent.destroy();
  expect(await next()).toBe('NOT_SERVING');
});

test('a server of a gateway answers health checks only when it is told to', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    tools,
    `[servers.open]
addr = "127.0.0.1:0"
grpc_health = true
[servers.closed]
addr = "127.0.0.1:0"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`,
  );
  const open = grpcClient(tools, gateway.port('open'));
  expect([await checkHealth(open, ''), await checkHealth(open, 'one')]).toEqual(['SERVING', 'SERVING']);
  await expect(checkHealth(grpcClient(tools, gateway.port('closed')), '')).rejects.toMatchObject({ code: 12 });
});

test('who leaves while he watches is not looked at any more', async () => {
  const gateway = await startGatewayOf(tools, '[servers.open]\naddr = "127.0.0.1:0"\ngrpc_health = true\n');
  const call = watchHealth(grpcClient(tools, gateway.port()), '');
  expect(await told(call)()).toBe('SERVING');
  await metricBecomes(gateway, 'windlass_requests_in_flight', (running) => running === 1);
  call.cancel();
  await metricBecomes(gateway, 'windlass_requests_in_flight', (running) => running === 0);
});
