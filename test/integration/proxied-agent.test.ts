import net from 'node:net';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { egressOf } from '../../src/schema/egress.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { ConnectProxy } from '../kit/connect-proxy.ts';
import { kit, portOf, type ServedAgent } from '../kit/kit.ts';
import { asks } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const { startOrigin, startHubWith, startAgentFor, dialHub, later, rawClient } = kit();

const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const TLS = { certFile: `${FIXTURES}one.pem`, keyFile: `${FIXTURES}one.key` };

async function startProxy(): Promise<ConnectProxy> {
  const proxy = await new ConnectProxy().listen();
  later(() => proxy.close());
  return proxy;
}

async function complaint(agent: ServedAgent): Promise<string> {
  const line = await until('a warning', () => agent.log.find((one) => one.level === 'warn' && /cannot be reached/.test(one.message)));
  return line.message;
}

test('an agent reaches a hub through the proxy of its environment, and the proxy resolves the name', async () => {
  const origin = await startOrigin((_, response) => response.end('from behind'));
  const hub = await startHubWith();
  const proxy = await startProxy();
  proxy.wants = `Basic ${Buffer.from('me:p@ss').toString('base64')}`;
  const egress = egressOf({ http_proxy: `http://me:p%40ss@127.0.0.1:${proxy.port}` });
  await startAgentFor(hub, origin, { hubs: [parseUpstreamUrl(`http://hub.test:${portOf(hub)}`)], egress });
  expect(proxy.asked).toEqual([{ target: `hub.test:${portOf(hub)}`, authorization: proxy.wants }]);
  const answer = await (await asks({ rawClient }, hub)).answer();
  expect([answer.status, answer.body.toString()]).toEqual([200, 'from behind']);
});

test('TLS to the hub is end to end through the proxy', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith({ tls: TLS });
  const proxy = await startProxy();
  const egress = egressOf({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` });
  await startAgentFor(hub, origin, { hubs: [parseUpstreamUrl(`https://hub.test:${portOf(hub)}`)], egress, caFile: `${FIXTURES}ca.pem` });
  expect(proxy.asked).toEqual([{ target: `hub.test:${portOf(hub)}`, authorization: undefined }]);
});

test('a certificate of another name is not believed behind a proxy either [threat 47]', async () => {
  const hub = await startHubWith({ tls: TLS });
  const proxy = await startProxy();
  const egress = egressOf({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` });
  const agent = await dialHub(hub, await startOrigin(), {
    hubs: [parseUpstreamUrl(`https://other.test:${portOf(hub)}`)],
    egress,
    caFile: `${FIXTURES}ca.pem`,
  });
  expect(await complaint(agent)).toMatch(/altnames/);
});

test('NO_PROXY takes the hub past the proxy', async () => {
  const hub = await startHubWith();
  const proxy = await startProxy();
  const egress = egressOf({ http_proxy: `http://127.0.0.1:${proxy.port}`, NO_PROXY: '127.0.0.1' });
  await startAgentFor(hub, await startOrigin(), { egress });
  expect(proxy.asked).toEqual([]);
});

test.each([
  [407, /wants a name and password \(407\)/],
  [403, /does not allow connections to 127\.0\.0\.1:\d+ \(403\)/],
  [502, /answered 502/],
])('a proxy that refuses with %i is named in the log with the reason, without its password', async (status, reason) => {
  const hub = await startHubWith();
  const proxy = await startProxy();
  proxy.status = status;
  const agent = await dialHub(hub, await startOrigin(), { egress: egressOf({ http_proxy: `http://me:canary@127.0.0.1:${proxy.port}` }) });
  const said = await complaint(agent);
  expect(said).toMatch(reason);
  expect(said).toContain(`(proxy http://127.0.0.1:${proxy.port})`);
  expect(JSON.stringify(agent.log)).not.toContain('canary');
});

test('a proxy that is not there, and one that is none, are named; the agent joins when there is one', async () => {
  const hub = await startHubWith();
  const junk = net.createServer((socket) => socket.on('error', () => {}).end('SSH-2.0-OpenSSH_9.2\r\n\r\n'));
  junk.listen(0, '127.0.0.1');
  later(() => junk.close());
  await once(junk, 'listening');
  const { port } = junk.address() as net.AddressInfo;
  const agent = await dialHub(
    hub,
    await startOrigin(),
    { egress: egressOf({ http_proxy: `127.0.0.1:${port}` }) },
    { backoffBaseMs: 10, backoffCapMs: 50 },
  );
  expect(await complaint(agent)).toMatch(/the proxy does not speak HTTP/);
  junk.close();
  await until('the second reason', () => agent.log.some((line) => /the proxy cannot be reached: .*ECONNREFUSED/.test(line.message)));
});

test('an agent that stops while a proxy keeps it waiting stops at once', async () => {
  const hub = await startHubWith();
  const mute = net.createServer((socket) => socket.on('error', () => {}));
  mute.listen(0, '127.0.0.1');
  later(() => mute.close());
  await once(mute, 'listening');
  const connected = once(mute, 'connection') as Promise<[net.Socket]>;
  const { port } = mute.address() as net.AddressInfo;
  const agent = await dialHub(hub, await startOrigin(), { egress: egressOf({ http_proxy: `127.0.0.1:${port}` }) });
  const [socket] = await connected;
  const gone = once(socket.resume(), 'close');
  await agent.close();
  await gone;
});
