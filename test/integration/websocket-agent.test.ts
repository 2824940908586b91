import { once } from 'node:events';
import net from 'node:net';
import { expect, test } from 'vitest';
import { egressOf } from '../../src/schema/egress.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { ConnectProxy } from '../kit/connect-proxy.ts';
import { kit, metricBecomes, portOf, tokenFor } from '../kit/kit.ts';
import { asks, field, get, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startHubWith, startAgentFor, dialHub, rawClient, later } = tools;

const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const WEBSOCKET = { transport: 'websocket' } as const;
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

function upgrade(fields: readonly string[] = [], target = '/windlass/agent'): string {
  return get(target, ['Connection: Upgrade', 'Upgrade: websocket', ...fields]);
}

function agentFields(token = tokenFor()): string[] {
  return [`Windlass-Token: ${token}`, 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${KEY}`, 'Sec-WebSocket-Protocol: chat, windlass.1'];
}

test('an agent that came as a WebSocket serves like any other: many at once, large bodies both ways', async () => {
  const origin = await startOrigin((request, response) => {
    if (request.method === 'POST') request.pipe(response);
    else response.end(`you asked for ${request.url}`);
  });
  const hub = await startHubWith({ queueTimeoutMs: 10_000 });
  await startAgentFor(hub, origin, { ...WEBSOCKET, slots: 8 });
  const answers = await Promise.all(Array.from({ length: 40 }, async (_, i) => (await (await asks(tools, hub, `/${i}`)).answer()).body.toString()));
  expect(answers).toEqual(Array.from({ length: 40 }, (_, i) => `you asked for /${i}`));
  const body = Buffer.alloc(5_000_000);
  for (let i = 0; i < body.length; i++) body[i] = (i * 31) & 255;
  const bodies = await Promise.all(
    [1, 2, 3].map(async () => {
      const client = await rawClient(hub);
      client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`).send(body);
      return (await client.answer('POST')).body.equals(body);
    }),
  );
  expect(bodies).toEqual([true, true, true]);
});

test('it comes through TLS and a CONNECT proxy as well', async () => {
  const hub = await startHubWith({ tls: { certFile: `${FIXTURES}one.pem`, keyFile: `${FIXTURES}one.key` } });
  const proxy = await new ConnectProxy().listen();
  later(() => proxy.close());
  await startAgentFor(hub, await startOrigin(), {
    ...WEBSOCKET,
    hubs: [parseUpstreamUrl(`https://hub.test:${portOf(hub)}`)],
    caFile: `${FIXTURES}ca.pem`,
    egress: egressOf({ https_proxy: `http://127.0.0.1:${proxy.port}` }),
  });
  expect(proxy.asked).toHaveLength(1);
});

test('a client that takes nothing of its answer stops the upstream: nothing is heaped up behind a WebSocket', async () => {
  const origin = await startOrigin((_, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
    };
    response.on('drain', more);
    more();
  });
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, origin, { ...WEBSOCKET, adminAddr: { host: '127.0.0.1', port: 0 } });
  const client = await asks(tools, hub);
  client.pause();
  await metricBecomes(hub, 'windlass_buffered_bytes', (n) => n > 64 * 1024);
  await new Promise((resolve) => setTimeout(resolve, 500));
  for (const one of [hub, agent]) await metricBecomes(one, 'windlass_buffered_bytes', (n) => n < 4 * 1024 * 1024);
  client.reset();
  await metricBecomes(hub, 'windlass_requests_in_flight', (n) => n === 0);
});

test('both sides notice when the other is gone, and the agent comes back', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, origin, WEBSOCKET, { backoffBaseMs: 10, backoffCapMs: 50 });
  const client = await asks(tools, hub);
  const held = await arrived(0);
  const gone = once(held.response, 'close');
  hub.destroy();
  await gone;
  await client.ended();
  await until('the line', () => agent.log.some((line) => /the connection to the hub ended|cannot be reached/.test(line.message)));
});

test('an agent that stops leaves in order', async () => {
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, await startOrigin(), WEBSOCKET);
  await agent.close();
  await metricBecomes(hub, 'windlass_agents_connected', (n) => n === 0);
});

test("the handshake is RFC 6455's", async () => {
  const client = await rawClient(await startHubWith());
  client.send(upgrade(agentFields()));
  await client.until(({ text }) => text.includes('\r\n\r\n'));
  expect(client.text).toContain('HTTP/1.1 101 Switching Protocols\r\n');
  expect(client.text).toContain('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n');
  expect(client.text).toContain('Sec-WebSocket-Protocol: windlass.1\r\n');
  expect(client.text).not.toContain('Extensions');
});

test.each([
  ['a wrong token', agentFields('wl1.forged'), 401],
  ['no key', agentFields().filter((one) => !one.includes('Key')), 400],
  ['a bad key', agentFields().map((one) => one.replace(KEY, 'c2hvcnQ=')), 400],
  ['version 8', agentFields().map((one) => one.replace('Version: 13', 'Version: 8')), 400],
])('%s gets no WebSocket', async (_, fields, status) => {
  const answer = await (await rawClient(await startHubWith())).send(upgrade(fields)).answer();
  expect([answer.status, field(answer, 'upgrade')]).toEqual([status, undefined]);
});

test("an application's own WebSocket still goes to an agent, whatever its path", async () => {
  const origin = await startOrigin();
  origin.server.on('upgrade', (_, socket: net.Socket) =>
    socket.end(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfrom the origin',
    ),
  );
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { slots: 2 });
  for (const [target, fields] of [
    ['/windlass/agent', ['Sec-WebSocket-Protocol: chat']],
    ['/chat', ['Sec-WebSocket-Protocol: windlass.1']],
  ] as const) {
    const client = await rawClient(hub);
    client.send(upgrade([...fields, `Sec-WebSocket-Key: ${KEY}`], target));
    await client.until(({ text }) => text.includes('from the origin'));
  }
});

test.each([
  ['text', Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x61])],
  ['an unmasked frame', Buffer.from([0x82, 0x01, 0x61])],
  ['a frame of 1 GiB', Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0])],
  ['compression that nobody agreed on', Buffer.from([0xc2, 0x81, 0, 0, 0, 0, 0x61])],
  ['a reserved opcode', Buffer.from([0x83, 0x80, 0, 0, 0, 0])],
  ['a flood of pings', Buffer.concat(Array.from({ length: 200 }, () => Buffer.from([0x89, 0x80, 0, 0, 0, 0])))],
  ['a flood of empty messages', Buffer.concat(Array.from({ length: 200 }, () => Buffer.from([0x82, 0x80, 0, 0, 0, 0])))],
  ['pieces without end', Buffer.concat(Array.from({ length: 5_000 }, (_, i) => Buffer.from([i === 0 ? 0x02 : 0x00, 0x81, 0, 0, 0, 0, 0x61])))],
  ['junk inside of messages', Buffer.concat([Buffer.from([0x82, 0x90, 0, 0, 0, 0]), Buffer.alloc(16, 0xff)])],
])('a peer that sends %s is closed, and others are served on [threat 39] [threat 55]', async (_, bytes) => {
  const hub = await startHubWith();
  await startAgentFor(hub, await startOrigin(), WEBSOCKET);
  const client = await rawClient(hub);
  client.send(upgrade(agentFields()));
  await client.until(({ text }) => text.includes('\r\n\r\n'));
  client.send(bytes);
  await client.ended();
  expect((await (await asks(tools, hub)).answer()).status).toBe(200);
});

test('what answers the upgrade with another key is no hub', async () => {
  const server = net.createServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', () =>
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: windlass.1\r\n\r\n',
        ),
      );
  });
  server.listen(0, '127.0.0.1');
  later(() => server.close());
  await once(server, 'listening');
  const agent = await dialHub({ port: (server.address() as net.AddressInfo).port }, await startOrigin(), WEBSOCKET);
  await until('the line', () => agent.log.some((line) => /speaks another protocol/.test(line.message)));
});
