import net from 'node:net';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { kit, metric, metricBecomes, type Listening } from '../kit/kit.ts';
import { asks, field, startHolding } from '../kit/stage.ts';

const tools = kit();
const { startHubWith, startAgentFor, startOrigin, startScript, startDirect, rawClient, accessLog } = tools;

/** A port of loopback that nobody listens on. */
async function closedPort(): Promise<{ port: number }> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return { port };
}

async function post(to: Listening, body: string) {
  const client = await rawClient(to);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  return client.answer();
}

test('[fault 3] [rule R1] a request whose upstream refuses goes to another agent, whatever its method', async () => {
  const log = accessLog();
  const hub = await startHubWith({ accessLog: log.target });
  const origin = await startOrigin();
  await startAgentFor(hub, await closedPort(), { agentId: 'broken' });
  await startAgentFor(hub, origin, { agentId: 'sound' });
  for (let i = 0; i < 12; i++) {
    const answer = i % 2 === 0 ? await (await asks(tools, hub)).answer() : await post(hub, 'a body');
    expect(answer.status).toBe(200);
    expect(field(answer, 'Slime-Agent-Id')).toBe('sound');
  }
  expect(origin.requests).toHaveLength(12);
  expect(origin.requests.filter(({ method }) => method === 'POST').every(({ bytes }) => bytes === 6)).toBe(true);
  // Which agent is asked first is a matter of chance: 12 times the sound one is one case in 4,096.
  const lines = await log.lines(12);
  const repeated = lines.filter((line) => line.includes('tries=broken:connect_refused'));
  expect(repeated.length).toBeGreaterThan(0);
  // It did not fail.
  expect(repeated.filter((line) => !line.includes(' failure=- '))).toEqual([]);
  expect(await metric(hub, 'windlass_failures_total{code="connect_refused"}')).toBeNaN();
});

test('[fault 3] without another agent the answer is a 502 at once, with the reason', async () => {
  const hub = await startHubWith();
  await startAgentFor(hub, await closedPort());
  const answer = await (await asks(tools, hub, '/', ['Slime-Block: 1'])).answer();
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'connect_refused' });
});

test('[rule R1] the access log says of which failed requests only the budget forbade another try', async () => {
  const log = accessLog();
  const hub = await startHubWith({ accessLog: log.target });
  const { origin, arrived } = await startHolding(tools);
  const lost = await startAgentFor(hub, origin, { agentId: 'lost', slots: 40 });
  const clients = await Promise.all(Array.from({ length: 40 }, () => asks(tools, hub)));
  await arrived(39);
  await startAgentFor(hub, await startOrigin(), { agentId: 'other', slots: 40 });
  lost.destroy();
  const statuses = await Promise.all(clients.map(async (client) => (await client.answer()).status));
  const failed = statuses.filter((status) => status === 502).length;
  // Ten to begin with, and a fifth of forty.
  expect(failed).toBeGreaterThanOrEqual(20);
  expect(failed).toBeLessThanOrEqual(24);
  const lines = await log.lines(40);
  expect(lines.filter((line) => line.endsWith('tries=lost:no_budget'))).toHaveLength(failed);
  expect(lines.filter((line) => line.endsWith('tries=lost:tunnel_lost'))).toHaveLength(40 - failed);
});

test('[fault 21] [rule R1] an upstream that closes without an answer: a GET is tried elsewhere, a POST is not sent twice', async () => {
  const hub = await startHubWith();
  let connections = 0;
  const mute = await startScript((connection) => {
    connections++;
    connection.socket.once('data', () => connection.socket.destroy());
  });
  const origin = await startOrigin();
  await startAgentFor(hub, mute, { agentId: 'mute' });
  await startAgentFor(hub, origin, { agentId: 'sound' });
  for (let i = 0; i < 10; i++) expect((await (await asks(tools, hub)).answer()).status).toBe(200);
  expect(origin.requests).toHaveLength(10);
  const before = connections;
  let failed = 0;
  for (let i = 0; i < 10; i++) if ((await post(hub, 'once')).status === 502) failed++;
  // Every POST was seen by exactly one of the two.
  expect(connections - before).toBe(failed);
  expect(origin.requests.filter(({ method }) => method === 'POST')).toHaveLength(10 - failed);
});

test('[fault 5] an agent that is lost before it answers: a GET goes to another, a POST is a 502', async () => {
  for (const method of ['GET', 'POST']) {
    const hub = await startHubWith();
    const { origin, arrived } = await startHolding(tools);
    const lost = await startAgentFor(hub, origin, { agentId: 'lost' });
    const client = await rawClient(hub);
    client.send(`${method} / HTTP/1.1\r\nHost: a\r\n${method === 'POST' ? 'Content-Length: 0\r\n' : ''}\r\n`);
    await arrived(0);
    const other = await startOrigin();
    await startAgentFor(hub, other, { agentId: 'other' });
    lost.destroy();
    const answer = await client.answer();
    expect(answer.status).toBe(method === 'GET' ? 200 : 502);
    expect(other.requests).toHaveLength(method === 'GET' ? 1 : 0);
    expect(origin.requests).toHaveLength(1);
  }
});

test('[rule R1] when everything fails, tries again are a fifth of the requests', async () => {
  const hub = await startHubWith();
  let connections = 0;
  const mute = await startScript((connection) => {
    connections++;
    connection.socket.once('data', () => connection.socket.destroy());
  });
  await startAgentFor(hub, mute, { agentId: 'one', slots: 4 });
  await startAgentFor(hub, mute, { agentId: 'two', slots: 4 });
  for (let i = 0; i < 100; i++) expect((await (await asks(tools, hub)).answer()).status).toBe(502);
  expect(connections).toBeGreaterThan(110);
  expect(connections).toBeLessThanOrEqual(100 + 10 + 20);
  await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
});

test('[fault 3] a direct proxy in front of two addresses tries the other one when the first refuses, body included', async () => {
  const origin = await startOrigin();
  const broken = await closedPort();
  const proxy = await startDirect({ to: [parseUpstreamUrl(`127.0.0.1:${broken.port}`), parseUpstreamUrl(`127.0.0.1:${origin.port}`)] });
  for (let i = 0; i < 6; i++) expect((await post(proxy, 'a body')).status).toBe(200);
  expect(origin.requests.map(({ bytes }) => bytes)).toEqual([6, 6, 6, 6, 6, 6]);
});
