import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { expect, test } from 'vitest';
import { parseAllowRule } from '../../src/schema/allow.ts';
import { egressOf } from '../../src/schema/egress.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { ConnectProxy } from '../kit/connect-proxy.ts';
import { kit, tokenFor } from '../kit/kit.ts';
import { closedPort, SlimeHubPeer, slimeToken } from '../kit/slime-peer.ts';
import { get, startHolding } from '../kit/stage.ts';
import { turns, until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startScript, startAgentFor, dialHub } = tools;

const AGENT = { wire: 'slime', token: slimeToken('old secret'), agentId: '5000' } as const;

async function startHubPeer(): Promise<{ hub: SlimeHubPeer; port: number }> {
  const hub = new SlimeHubPeer();
  const { port } = await startScript(hub.script);
  return { hub, port };
}

test('an agent joins a hub of slime with as many workers as it has slots, and each asks for work', async () => {
  const { hub, port } = await startHubPeer();
  await startAgentFor({ port }, await startOrigin(), { ...AGENT, slots: 3, reportHardware: true });
  await until('three polls', () => hub.polls.length === 3);
  expect(hub.joins).toHaveLength(1);
  expect(Object.keys(JSON.parse(hub.joins[0]!.body))).toEqual([
    'CPUCores',
    'CPUThreads',
    'MemoryUsableGB',
    'MemoryPhysicalGB',
    'GPUNames',
    'MacAddresses',
    'PlatformArch',
    'PlatformOS',
  ]);
  expect([...hub.agentIds].toSorted()).toEqual(['5000', '5001', '5002']);
  expect([...hub.tokens]).toEqual([AGENT.token]);
});

test('it has the service answer, submits the answer as text, and asks again', async () => {
  const { hub, port } = await startHubPeer();
  const origin = await startOrigin((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      response.setHeader('X-Seen', `${request.method} ${request.url} ${String(request.headers['x-of-app'])}`);
      response.end(`got ${body}`);
    });
  });
  await startAgentFor({ port }, origin, AGENT);
  const first = await hub.give('POST /v1/chat?a=1 HTTP/1.1\r\nHost: app.example\r\nX-Of-App: yes\r\nContent-Length: 5\r\n\r\nhello');
  const submitted = await hub.submitted(first);
  expect(submitted.agentId).toBe('5000');
  const [head, body] = submitted.text.split('\r\n\r\n');
  expect(head!.split('\r\n')[0]).toBe('HTTP/1.1 200 OK');
  expect(head).toMatch(/^X-Seen: POST \/v1\/chat\?a=1 yes$/m);
  expect(head).toMatch(/^Content-Length: 9$/m);
  expect(body).toBe('got hello');
  const second = await hub.give('POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n');
  expect((await hub.submitted(second)).text).toMatch(/got abcde$/);
  expect(origin.requests.map(({ headers }) => headers['slime-agent-token'])).toEqual([undefined, undefined]);
});

test('an answer whose length is not known is submitted in chunks, as its parts come', async () => {
  const { hub, port } = await startHubPeer();
  const holding = await startHolding(tools);
  await startAgentFor({ port }, holding.origin, AGENT);
  const id = await hub.give(get('/events'));
  const { response } = await holding.arrived(0);
  response.write('one');
  await until('the first part', () => hub.submissions[0]?.text.includes('3\r\none\r\n'));
  expect(hub.submissions[0]!.complete).toBe(false);
  response.end('three');
  expect((await hub.submitted(id)).text).toMatch(/Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n$/);
});

test('when the service refuses the connection, the hub gets a 502 and its application does not wait for ever', async () => {
  const { hub, port } = await startHubPeer();
  await startAgentFor({ port }, { port: await closedPort() }, AGENT);
  const id = await hub.give(get());
  const { text } = await hub.submitted(id);
  expect(text).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
  expect(text).toContain('application/problem+json');
  expect(JSON.parse(text.slice(text.indexOf('{')))).toMatchObject({ status: 502, code: 'connect_refused' });
});

test('an answer that breaks off breaks the submission off, and never looks complete', async () => {
  const { hub, port } = await startHubPeer();
  const holding = await startHolding(tools);
  await startAgentFor({ port }, holding.origin, AGENT);
  await hub.give(get());
  const { response } = await holding.arrived(0);
  response.setHeader('Content-Length', '100');
  response.write('half');
  await until('the first part', () => hub.submissions[0]?.text.endsWith('half'));
  response.destroy();
  const [submission] = hub.submissions;
  await submission!.connection.ended();
  expect(submission!.complete).toBe(false);
  await hub.nextPoll();
});

test('a hub that drops the submission stops the service, and the worker asks for work again', async () => {
  const { hub, port } = await startHubPeer();
  const holding = await startHolding(tools);
  await startAgentFor({ port }, holding.origin, AGENT);
  await hub.give(get());
  const { response, seen } = await holding.arrived(0);
  response.write('part');
  await until('the first part', () => hub.submissions[0]?.text.includes('part'));
  hub.submissions[0]!.connection.reset();
  await until('the departure', () => seen.aborted);
  await hub.nextPoll();
});

test('a worker whose poll is dropped asks again, and one whose hub is gone comes back to it', async () => {
  const { hub, port } = await startHubPeer();
  await startAgentFor({ port }, await startOrigin(), AGENT);
  (await hub.nextPoll()).connection.reset();
  (await hub.nextPoll()).connection.end();
  const id = await hub.give(get());
  expect((await hub.submitted(id)).text).toMatch(/^HTTP\/1\.1 200 /);
  expect(hub.joins).toHaveLength(1);
});

test('a hub that refuses the token is told of once, and not asked all the time', async () => {
  const { hub, port } = await startHubPeer();
  hub.refusal = 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n';
  const agent = await dialHub({ port }, await startOrigin(), AGENT);
  await until('a warning', () => agent.log.some(({ message }) => message.includes("refused this agent's token")));
  expect(hub.polls).toHaveLength(0);
});

test('a request that is none is answered, not passed on', async () => {
  const { hub, port } = await startHubPeer();
  const origin = await startOrigin();
  await startAgentFor({ port }, origin, AGENT);
  const id = await hub.give('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx');
  expect((await hub.submitted(id)).text).toMatch(/^HTTP\/1\.1 400 /);
  expect(origin.requests).toHaveLength(0);
  await hub.nextPoll();
});

test('[threat 45] what its owner does not allow is refused by the agent, whatever the hub asks', async () => {
  const { hub, port } = await startHubPeer();
  const origin = await startOrigin();
  await startAgentFor({ port }, origin, { ...AGENT, allow: [parseAllowRule('GET /v1/*')] });
  const id = await hub.give(get('/admin'));
  expect((await hub.submitted(id)).text).toMatch(/^HTTP\/1\.1 403 /);
  expect(origin.requests).toHaveLength(0);
});

test('one that stops finishes what runs, and takes its other polls back', async () => {
  const { hub, port } = await startHubPeer();
  const holding = await startHolding(tools);
  const agent = await startAgentFor({ port }, holding.origin, { ...AGENT, slots: 2, drainTimeoutMs: 10_000 });
  await until('two polls', () => hub.polls.length === 2);
  const id = await hub.give(get());
  const other = hub.polls[0]!;
  const { response } = await holding.arrived(0);
  const closed = agent.close();
  await other.connection.ended();
  response.end('last words');
  expect((await hub.submitted(id)).text).toMatch(/last words$/);
  await closed;
});

test('work that was on its way when the agent took its poll back is still done', async () => {
  const { hub, port } = await startHubPeer();
  const agent = await startAgentFor({ port }, await startOrigin((_, response) => response.end('late')), { ...AGENT, drainTimeoutMs: 5_000 });
  const poll = await hub.nextPoll();
  const stopped = agent.close();
  await until('the poll is taken back', () => poll.connection.ending === 'fin');
  hub.polls.push(poll);
  const id = await hub.give(get('/'));
  expect((await hub.submitted(id)).text).toMatch(/late$/);
  await stopped;
});

test('slots are dealt out among several hubs: all of them together never get more than there are', async () => {
  const one = await startHubPeer();
  const two = await startHubPeer();
  const holding = await startHolding(tools);
  const hubs = [one, two].map(({ port }) => parseUpstreamUrl(`127.0.0.1:${port}`));
  const agent = await startAgentFor({ port: one.port }, holding.origin, { ...AGENT, hubs, slots: 3 });
  await until('three polls', () => one.hub.polls.length === 2 && two.hub.polls.length === 1);
  await one.hub.give(get('/a'));
  await one.hub.give(get('/b'));
  await two.hub.give(get('/c'));
  await holding.arrived(2);
  agent.resize(1);
  for (const { response } of holding.held) response.end();
  await until('one poll', () => one.hub.polls.length === 1);
  await turns(10);
  expect(two.hub.polls).toHaveLength(0);
  agent.resize(3);
  await until('three polls again', () => one.hub.polls.length === 2 && two.hub.polls.length === 1);
});

test('[threat 47] a hub whose certificate is not to be believed gets no token', async () => {
  const fixtures = new URL('../fixtures/', import.meta.url).pathname;
  const hub = await tools.startHubWith({ accepts: ['slime'], tls: { certFile: `${fixtures}one.pem`, keyFile: `${fixtures}one.key` } });
  const agent = await dialHub(hub, await startOrigin(), {
    ...AGENT,
    token: tokenFor(),
    hubs: [parseUpstreamUrl(`https://127.0.0.1:${hub.address.port}`)],
  });
  await until('a warning', () => agent.log.some(({ message }) => message.includes('cannot be reached')));
  expect(hub.log.some(({ message }) => message === 'agent joined')).toBe(false);
});

test('an agent goes through TLS and a CONNECT proxy as well, and its worker serves', async () => {
  const fixtures = new URL('../fixtures/', import.meta.url).pathname;
  const hub = await tools.startHubWith({ accepts: ['slime'], tls: { certFile: `${fixtures}one.pem`, keyFile: `${fixtures}one.key` } });
  const proxy = await new ConnectProxy().listen();
  tools.later(() => proxy.close());
  const origin = await startOrigin();
  await startAgentFor(hub, origin, {
    ...AGENT,
    token: tokenFor(),
    hubs: [parseUpstreamUrl(`https://hub.test:${hub.address.port}`)],
    caFile: `${fixtures}ca.pem`,
    egress: egressOf({ https_proxy: `http://127.0.0.1:${proxy.port}` }),
  });
  await until('a poll', () => hub.log.some(({ message }) => message === 'agent joined'));
  const ca = readFileSync(`${fixtures}ca.pem`);
  const request = https.get({ port: hub.address.port, host: '127.0.0.1', ca, servername: 'hub.test', headers: { 'slime-block': '1' }, agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  expect(response.headers['slime-agent-id']).toBe('5000');
  response.resume();
  expect(JSON.stringify(proxy.asked[0])).toContain(`hub.test:${hub.address.port}`);
});
