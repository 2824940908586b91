import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { fileWithPlugins } from '../kit/ask.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { failureOf, grpcClient, startGrpcOrigin, statusOf } from '../kit/grpc.ts';
import { rawGrpc } from '../kit/grpc-raw.ts';
import { kit, metricBecomes } from '../kit/kit.ts';
import { field } from '../kit/stage.ts';
import { soon } from '../kit/until.ts';

const tools = kit();
const { startHubWith, startAgentFor, startOrigin, rawClient } = tools;

/** How a gateway whose location has these plugins answers. */
async function answered(plugins: string, path = '/test.Service/Unary') {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(tools, fileWithPlugins(origin.port, plugins));
  const answer = await rawGrpc(tools, gateway.port())({ ':path': path }).answer;
  expect(origin.requests.length).toBe(0);
  return answer;
}

test('[rule R3] a hub without agents is UNAVAILABLE: HTTP 200, one frame, no body, and when to try again', async () => {
  const hub = await startHubWith();
  const { head, headOnly, body, trailers } = await rawGrpc(tools, hub.address.port)().answer;
  expect(head).toMatchObject({
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-status': '14',
    'grpc-message': 'No available agent: none is connected',
    'grpc-retry-pushback-ms': '5000',
    'proxy-status': expect.stringContaining('details="no_agent"'),
  });
  expect([headOnly, body.length, trailers]).toEqual([true, 0, null]);
});

test('[rule R3] a full queue is RESOURCE_EXHAUSTED', async () => {
  const hub = await startHubWith({ queueTimeoutMs: 60_000, queueSize: 1 });
  const client = grpcClient(tools, hub.address.port);
  const waiting = client.emit(1, 1);
  await metricBecomes(hub, 'windlass_queue_size', (size) => size === 1);
  expect(await failureOf(client.unary('a'))).toMatchObject({ code: 8, details: '1 requests wait already' });
  const cancelled = statusOf(waiting);
  waiting.cancel();
  expect((await cancelled).code).toBe(1);
  // A client that leaves gives its place back.
  await metricBecomes(hub, 'windlass_queue_size', (size) => size === 0);
});

test('[rule R3] who waits too long for a slot is UNAVAILABLE', async () => {
  const hub = await startHubWith({ queueTimeoutMs: 100 });
  expect(await failureOf(grpcClient(tools, hub.address.port).unary('a'))).toMatchObject({
    code: 14,
    details: expect.stringContaining('no slot became free'),
  });
});

test('a grpc-timeout ends the wait for a slot with DEADLINE_EXCEEDED, in whatever unit it comes', async () => {
  const hub = await startHubWith({ queueTimeoutMs: 60_000 });
  const call = rawGrpc(tools, hub.address.port);
  const long = ['1H', '1M', '99999999S'].map((timeout) => call({ 'grpc-timeout': timeout }));
  const short = ['1S', '200m', '200000u', '99999999n', '0n'].map((timeout) => call({ 'grpc-timeout': timeout }));
  for (const { answer } of short) {
    const { head, headOnly } = await answer;
    expect([head[':status'], head['grpc-status'], headOnly]).toEqual([200, '4', true]);
  }
  await metricBecomes(hub, 'windlass_queue_size', (size) => size === long.length);
  for (const { stream } of long) stream.close();
});

test('a grpc-timeout that is no time is INVALID_ARGUMENT, as nobody knows how long to wait', async () => {
  const hub = await startHubWith({ queueTimeoutMs: 60_000 });
  const { head, headOnly } = await rawGrpc(tools, hub.address.port)({ 'grpc-timeout': '123456789S' }).answer;
  expect([head[':status'], head['grpc-status'], headOnly]).toEqual([200, '3', true]);
});

test('[rule R3] an address that nothing serves is UNIMPLEMENTED, and a dead upstream UNAVAILABLE', async () => {
  const dead = await startGrpcOrigin(tools);
  dead.kill();
  const gateway = await startGatewayOf(tools, fileTo(dead.port, { location: 'path = "/test."', more: 'alpn = "H2"\n' }));
  const call = rawGrpc(tools, gateway.port());
  expect((await call({ ':path': '/other.Service/Unary' }).answer).head).toMatchObject({ ':status': 200, 'grpc-status': '12' });
  expect((await call().answer).head).toMatchObject({ ':status': 200, 'grpc-status': '14' });
});

test('a gRPC request for a service that speaks only HTTP/1.1 is UNIMPLEMENTED, through an agent and without one', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(tools, fileTo(origin.port));
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  for (const port of [gateway.port(), hub.address.port]) {
    expect(await failureOf(grpcClient(tools, port).unary('a'))).toMatchObject({ code: 12, details: expect.stringMatching(/HTTP\/2|h2c/) });
  }
  expect(origin.requests.length).toBe(0);
});

test('[rule R3] a location with too many requests, and a body that is too large, are RESOURCE_EXHAUSTED', async () => {
  const origin = await startGrpcOrigin(tools);
  const file = fileTo(origin.port, { location: 'max_processing = 1\nclient_max_body_size = "1kb"', more: 'alpn = "H2"\n' });
  const gateway = await startGatewayOf(tools, file);
  const client = grpcClient(tools, gateway.port());
  expect((await failureOf(client.unary(Buffer.alloc(5000)))).code).toBe(8);
  const talk = client.talk();
  talk.write(Buffer.from('a'));
  await origin.arrived(0);
  expect(await failureOf(client.unary('a'))).toMatchObject({ code: 8, details: expect.stringContaining('run already') });
  talk.cancel();
});

test.each([
  ['a server takes', { server: 'max_body = "1kb"' }],
  ['a location takes', { location: 'client_max_body_size = "1kb"' }],
])('[rule R3] a stream that grows beyond what %s is RESOURCE_EXHAUSTED, before its head and behind it', async (_, settings) => {
  const origin = await startGrpcOrigin(tools);
  const gateway = await startGatewayOf(tools, fileTo(origin.port, { ...settings, more: 'alpn = "H2"\n' }));
  const client = grpcClient(tools, gateway.port());
  expect(await failureOf(client.collect([Buffer.alloc(700), Buffer.alloc(700)]))).toMatchObject({
    code: 8,
    details: expect.stringContaining('than 1000 bytes'),
  });
  const talk = client.talk();
  const status = statusOf(talk);
  talk.write(Buffer.alloc(700));
  await once(talk, 'data');
  talk.write(Buffer.alloc(700));
  expect(await soon('its status', status)).toMatchObject({ code: 8, details: expect.stringContaining('than 1000 bytes') });
  await soon('the cancellation', origin.calls.find(({ method }) => method === 'Talk')!.cancelled);
});

test('[rule R3] a call whose head cannot be served, such as one with too much metadata, is INVALID_ARGUMENT; half of the room passes', async () => {
  const origin = await startGrpcOrigin(tools);
  const gateway = await startGatewayOf(tools, fileTo(origin.port, { more: 'alpn = "H2"\n' }));
  const call = rawGrpc(tools, gateway.port());
  const much = (bytes: number) => call({ 'x-much': 'x'.repeat(bytes), 'x-echo-a': 'b' }).answer;
  expect((await much(16_000)).head).toMatchObject({ ':status': 200, 'x-echo-a': 'b' });
  const { head, headOnly } = await much(33_000);
  expect([head[':status'], head['grpc-status'], headOnly]).toEqual([200, '3', true]);
});

test.each<[string, string, string]>([
  ['a key that is lacking is UNAUTHENTICATED', '[plugins.a]\ncategory = "key_auth"\nheader = "X-Key"\nkeys = ["k"]\n', '16'],
  ['an address that may not come in is PERMISSION_DENIED', '[plugins.a]\ncategory = "ip_restriction"\ntype = "deny"\nip_list = ["127.0.0.1"]\n', '7'],
  ['a page of another status is what gRPC makes of it', '[plugins.a]\ncategory = "mock"\nstatus = 404\ndata = "no"\n', '12'],
  ['a page that is no gRPC is never OK', '[plugins.a]\ncategory = "mock"\nstatus = 200\ndata = "hello"\n', '2'],
])('[rule R3] what a plugin answers: %s', async (_, plugins, status) => {
  const { head, headOnly, body } = await answered(plugins);
  expect([head[':status'], head['content-type'], head['grpc-status'], headOnly, body.length]).toEqual([200, 'application/grpc', status, true, 0]);
});

test('[rule R3] a limit that is reached is RESOURCE_EXHAUSTED, with its message and when to come again', async () => {
  const file = fileWithPlugins((await startOrigin()).port, '[plugins.few]\ncategory = "limit"\nmax = 1\ninterval = "1h"\nmessage = "slowly"\n');
  const call = rawGrpc(tools, (await startGatewayOf(tools, file)).port());
  await call().answer;
  const { head } = await call().answer;
  expect(head).toMatchObject({ ':status': 200, 'grpc-status': '8', 'grpc-message': 'slowly' });
  expect(head['grpc-retry-pushback-ms']).toBe(`${head['retry-after']}000`);
});

test('[rule R3] over HTTP/1.1 it is the same', async () => {
  const hub = await startHubWith();
  const client = await rawClient(hub);
  client.send('POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc+proto\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0');
  const answer = await client.answer();
  expect([answer.status, answer.body.length]).toEqual([200, 0]);
  expect([field(answer, 'content-type'), field(answer, 'grpc-status')]).toEqual(['application/grpc', '14']);
});

test('pages of the operator are for others: gRPC-Web, which a browser reads, is not gRPC', async () => {
  const gateway = await startGatewayOf(tools, '[servers.main]\naddr = "127.0.0.1:0"\nerror_template = "{\\"sorry\\": {{status}}}"\n');
  const call = rawGrpc(tools, gateway.port());
  const page = await call({ 'content-type': 'application/grpc-web' }).answer;
  expect([page.head[':status'], page.body.toString()]).toEqual([404, '{"sorry": 404}']);
  expect((await call().answer).head).toMatchObject({ ':status': 200, 'grpc-status': '12' });
});
