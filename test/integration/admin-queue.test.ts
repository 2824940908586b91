import { expect, test } from 'vitest';
import type { QueueInfo } from '../../src/admin/model.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { rawGrpc } from '../kit/grpc-raw.ts';
import { kit, metric, metricBecomes, SECRET } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { asks, field, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, startAgentFor, rawClient, folder } = tools;

const FILE = `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["gpu", "cpu"]
[locations.gpu]
path = "/gpu"
upstream = "gpu"
[locations.cpu]
upstream = "cpu"
[upstreams.gpu]
agents = "*"
queue_timeout = "60s"
[upstreams.cpu]
agents = "*"
queue_timeout = "60s"
`;

const at = (gateway: TestGateway) => ({ port: gateway.port() });

test('who waits is listed over all upstreams, and one that is cancelled is answered so; the others keep their places', async () => {
  const { origin, arrived } = await startHolding(tools);
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, FILE, { stateDir });
  const operator = new Operator(gateway, stateDir);
  expect(await operator.get<QueueInfo>('/queue')).toMatchObject({
    size: 0,
    waiting: [],
    byUpstream: [
      { upstream: 'gpu', size: 0 },
      { upstream: 'cpu', size: 0 },
    ],
  });
  await startAgentFor(at(gateway), origin, { agentId: 'box' });
  const running = await asks(tools, at(gateway), '/gpu/0');
  await arrived(0);
  const clients = [];
  for (const [i, path] of ['/gpu/1', '/cpu/2?key=canary', '/gpu/3'].entries()) {
    clients.push(await asks(tools, at(gateway), path, ['Authorization: Bearer canary']));
    await metricBecomes(gateway, 'windlass_queue_size', (size) => size === i + 1);
  }
  const queue = await operator.get<QueueInfo>('/queue');
  expect(queue).toMatchObject({
    size: 3,
    outside: 0,
    byUpstream: [
      { upstream: 'gpu', size: 2 },
      { upstream: 'cpu', size: 1 },
    ],
  });
  expect(queue.waiting.map(({ position, upstream }) => [position, upstream])).toEqual([
    [1, 'gpu'],
    [2, 'cpu'],
    [3, 'gpu'],
  ]);
  expect(queue.oldestAgeMs).toBe(queue.waiting[0]!.ageMs);
  expect(JSON.stringify(queue)).not.toContain('canary');
  expect((await operator.get<QueueInfo>('/queue?limit=1')).waiting).toHaveLength(1);

  const { id } = queue.waiting[1]!;
  expect((await operator.ask('DELETE', `/queue/${id}`)).status).toBe(204);
  const answer = await clients[1]!.answer();
  expect([answer.status, field(answer, 'content-type'), JSON.parse(answer.body.toString())]).toEqual([
    503,
    'application/problem+json',
    expect.objectContaining({ code: 'cancelled', detail: expect.stringContaining('operator') }),
  ]);
  expect(field(answer, 'proxy-status')).toContain('error=http_request_denied; details="cancelled"');
  expect((await operator.ask('DELETE', `/queue/${id}`)).json).toMatchObject({ status: 404, code: 'not_waiting' });
  expect(await metric(gateway, 'windlass_failures_total{code="cancelled"}')).toBe(1);
  expect(await metric(gateway, 'windlass_queue_wait_seconds_count')).toBe(1);
  (await arrived(0)).response.end();
  await running.answer();
  for (const [i, client] of [clients[0]!, clients[2]!].entries()) {
    (await arrived(i + 1)).response.end(String(i));
    expect((await client.answer()).body.toString()).toBe(String(i));
  }
  expect(origin.requests.map(({ url }) => url)).toEqual(['/gpu/0', '/gpu/1', '/gpu/3']);
  expect((await operator.get<QueueInfo>('/queue')).size).toBe(0);
});

test('a request that is cancelled in the middle of its body is answered, and its memory is free again', async () => {
  const { origin, arrived } = await startHolding(tools);
  const stateDir = folder();
  const hub = await startHubWith({}, {}, { stateDir });
  const operator = new Operator(hub, stateDir);
  await startAgentFor(hub, origin, { agentId: 'box' });
  await asks(tools, hub);
  await arrived(0);
  const client = await rawClient(hub);
  client.send(`POST /big HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 50000000\r\n\r\n${'x'.repeat(200_000)}`);
  const [waits] = await until('it to wait', async () => {
    const { waiting } = await operator.get<QueueInfo>('/queue');
    return waiting.length > 0 && (await metric(hub, 'windlass_buffered_bytes')) > 60_000 ? waiting : null;
  });
  expect(waits).toMatchObject({ upstream: 'agents', position: 1 });
  expect((await operator.ask('DELETE', `/queue/${waits!.id}`)).status).toBe(204);
  const answer = await client.answer();
  expect([answer.status, JSON.parse(answer.body.toString()).code]).toEqual([503, 'cancelled']);
  await metricBecomes(hub, 'windlass_buffered_bytes', (bytes) => bytes < 60_000);
  await metricBecomes(hub, 'windlass_requests_in_flight', (count) => count === 1);
});

test('gRPC hears of it as CANCELLED', async () => {
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, FILE, { stateDir });
  const operator = new Operator(gateway, stateDir);
  const asked = rawGrpc(tools, gateway.port())({ ':path': '/gpu' }).answer;
  const [waits] = await until('it to wait', async () => {
    const { waiting } = await operator.get<QueueInfo>('/queue');
    return waiting.length > 0 ? waiting : null;
  });
  await operator.ask('DELETE', `/queue/${waits!.id}`);
  expect((await asked).head).toMatchObject({ ':status': 200, 'grpc-status': '1', 'proxy-status': expect.stringContaining('details="cancelled"') });
});
