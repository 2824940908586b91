import type http from 'node:http';
import { expect, test } from 'vitest';
import { HELLO } from '../../src/tunnel/native/frames.ts';
import { parseAllowRule } from '../../src/schema/allow.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { kit, metric, metricBecomes, tokenFor } from '../kit/kit.ts';
import { asks, field, get, startHolding } from '../kit/stage.ts';
import { frame, helloPayload } from '../kit/tunnel.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startHubWith, startAgentFor, rawClient, folder } = tools;

test('a request goes through hub and agent to the origin, and its answer names the agent', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { agentId: 'gpu-7' });
  const answer = await (await asks(tools, hub, '/a?b')).answer();
  expect(answer).toMatchObject({ status: 200, complete: true });
  expect(answer.body.toString()).toBe('ok');
  expect(field(answer, 'Slime-Agent-Id')).toBe('gpu-7');
  expect(origin.only).toMatchObject({ method: 'GET', url: '/a?b' });
});

test("an origin's own Slime-Agent-Id does not stand beside the agent's", async () => {
  const origin = await startOrigin((_request, response) => {
    response.setHeader('Slime-Agent-Id', 'forged');
    response.end('x');
  });
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { agentId: 'true' });
  expect(field(await (await asks(tools, hub)).answer(), 'slime-agent-id')).toBe('true');
});

test.each([
  ['none', []],
  ['a wrong one', ['Slime-App-Password: opem-sesame']],
  ['a shorter one', ['Slime-App-Password: open']],
  ['a longer one', ['Slime-App-Password: open-sesame-and-more']],
  ['an empty one', ['Slime-App-Password:']],
  ['a wrong one before it', ['Slime-App-Password: guess', 'Slime-App-Password: open-sesame']],
  ['it in another field', ['Authorization: open-sesame']],
])('without the right app password there is a 401 and nothing reaches an upstream: %s [threat 64]', async (_what, fields) => {
  const origin = await startOrigin();
  const hub = await startHubWith({ appPassword: 'open-sesame' });
  await startAgentFor(hub, origin);
  const answer = await (await asks(tools, hub, '/', fields)).answer();
  expect(answer.status).toBe(401);
  expect(field(answer, 'content-type')).toBe('application/problem+json');
  expect(answer.body.toString()).not.toContain('open-sesame');
  expect(origin.bytes).toBe(0);
});

test('the app password and the fields of the tunnel never reach an upstream [threat 22]', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith({ appPassword: 'open-sesame' });
  await startAgentFor(hub, origin);
  const client = await asks(tools, hub, '/', [
    'sLiMe-aPp-pAssWord: open-sesame',
    'Windlass-Token: a',
    'Windlass-Hub: b',
    'Slime-Agent-Id: 7',
    'Slime-Agent-Token: c',
    'Slime-Connection-Id: 9',
    'X-Mine: stays',
  ]);
  expect((await client.answer()).status).toBe(200);
  const { rawHeaders } = origin.only;
  expect(rawHeaders.join('\n')).not.toMatch(/open-sesame|windlass-token|windlass-hub|slime-(agent|connection|app)/i);
  expect(origin.only.headers['x-mine']).toBe('stays');
});

test('Connection cannot hide the app password, nor take our own fields away [threat 21]', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith({ appPassword: 'open-sesame' });
  await startAgentFor(hub, origin, { agentId: 'a1' });
  const client = await asks(tools, hub, '/', [
    'Connection: Slime-App-Password, X-Forwarded-For, Via',
    'Slime-App-Password: open-sesame',
    'X-Forwarded-For: 6.6.6.6',
  ]);
  const answer = await client.answer();
  expect([200, 401]).toContain(answer.status);
  if (answer.status === 200) {
    expect(origin.only.headers['x-forwarded-for']).toBe('127.0.0.1');
    expect(origin.only.headers['via']).toContain('windlass');
    expect(origin.only.headers['slime-app-password']).toBeUndefined();
  }
});

test('[fault 1] a request that names a scope goes only to agents whose token carries it, and to nobody when there is none', async () => {
  const cpu = await startOrigin((_request, response) => response.end('cpu'));
  const gpu = await startOrigin((_request, response) => response.end('gpu'));
  const hub = await startHubWith();
  await startAgentFor(hub, cpu, { slots: 8, token: tokenFor({ scopes: ['cpu', '__proto__'] }) });
  await startAgentFor(hub, gpu, { slots: 8, token: tokenFor({ scopes: ['gpu', 'large'] }) });
  const bodyFor = async (scope: string) => {
    const answer = await (await asks(tools, hub, '/', [`Slime-Scope: ${scope}`])).answer();
    return answer.status === 200 ? answer.body.toString() : answer.status;
  };
  for (let i = 0; i < 4; i++) {
    expect(await bodyFor('cpu')).toBe('cpu');
    expect(await bodyFor('large')).toBe('gpu');
  }
  expect(await bodyFor('GPU')).toBe(503);
  expect(await bodyFor('none')).toBe(503);
  expect(await bodyFor('cpu,gpu')).toBe(503);
});

test('names that every object has are scopes and paths like any other [threat 59]', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { token: tokenFor({ scopes: ['constructor'], scopePaths: ['/__proto__', '/toString'] }) });
  const status = async (target: string, scope: string) => (await (await asks(tools, hub, target, [`Slime-Scope: ${scope}`])).answer()).status;
  expect(await status('/__proto__', 'constructor')).toBe(200);
  expect(await status('/toString', 'constructor')).toBe(200);
  expect(await status('/constructor', 'constructor')).toBe(503);
  for (const scope of ['__proto__', 'toString', 'hasOwnProperty']) expect(await status('/__proto__', scope)).toBe(503);
  const client = await asks(tools, hub, '/__proto__?__proto__=1&constructor=2', ['__proto__: 1', 'constructor: 2', 'toString: 3']);
  expect((await client.answer()).status).toBe(200);
  expect(origin.requests.at(-1)!.rawHeaders.join('\n')).toMatch(/constructor\n2\ntoString\n3/);
});

test('an agent whose token names paths serves exactly these, and others serve them too', async () => {
  const narrow = await startOrigin((_request, response) => response.end('narrow'));
  const wide = await startOrigin((_request, response) => response.end('wide'));
  const hub = await startHubWith();
  await startAgentFor(hub, narrow, { slots: 8, token: tokenFor({ scopePaths: ['/v1/chat', '/v1/models'] }) });
  const ask = async (target: string) => {
    const answer = await (await asks(tools, hub, target)).answer();
    return answer.status === 200 ? answer.body.toString() : answer.status;
  };
  expect(await ask('/v1/chat')).toBe('narrow');
  expect(await ask('/v1/models?limit=1')).toBe('narrow');
  for (const target of ['/', '/v1', '/v1/', '/v1/chat/', '/v1/chat/more', '/V1/chat', '/v1//chat', '/v1/chat;x', '/v1/ch%61t'])
    expect(await ask(target), target).toBe(503);
  expect(await ask('/v1/x/../chat')).toBe('narrow');
  await startAgentFor(hub, wide, { slots: 8 });
  expect(await ask('/other')).toBe('wide');
  const both = new Set<unknown>();
  for (let i = 0; i < 40; i++) both.add(await ask('/v1/chat'));
  expect(both).toEqual(new Set(['narrow', 'wide']));
});

test('without an agent there is a 503 with Retry-After and the reason, at once [fault 2]', async () => {
  const hub = await startHubWith();
  const answer = await (await asks(tools, hub)).answer();
  expect(answer.status).toBe(503);
  expect(field(answer, 'retry-after')).toBe('5');
  expect(field(answer, 'content-type')).toBe('application/problem+json');
  expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 503, code: 'no_agent' });
  expect(field(answer, 'proxy-status')).toContain('no_agent');
});

test('a browser gets its failures in HTML, and nothing of the request stands in it', async () => {
  const hub = await startHubWith();
  const client = await asks(tools, hub, '/<script>', ['Accept: text/html,application/xhtml+xml,*/*;q=0.8']);
  const answer = await client.answer();
  expect(answer.status).toBe(503);
  expect(field(answer, 'content-type')).toBe('text/html; charset=utf-8');
  expect(answer.body.toString()).toMatch(/^<!doctype html>/);
  expect(answer.body.toString()).not.toContain('<script>');
});

test('while every slot is taken there is a 503 with Retry-After, and a slot serves again when it is free', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const first = await asks(tools, hub, '/first');
  const held = await arrived(0);
  const busy = await (await asks(tools, hub)).answer();
  expect(busy.status).toBe(503);
  expect(JSON.parse(busy.body.toString())).toMatchObject({ code: 'no_free_slot' });
  expect(field(busy, 'retry-after')).toBe('1');
  expect(origin.requests.length).toBe(1);
  held.response.end('done');
  expect((await first.answer()).body.toString()).toBe('done');
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 1);
  const third = await asks(tools, hub, '/third');
  (await arrived(1)).response.end();
  expect((await third.answer()).status).toBe(200);
});

test.each([1, 4, 64])('an origin never sees more than its %i slots at once, and all of them are used', async (slots) => {
  // The first answers wait until every slot is taken.
  const held: http.ServerResponse[] = [];
  const origin = await startOrigin((_request, response) => {
    if (held.push(response) > slots) setImmediate(() => response.end('x'));
    else if (held.length === slots) for (const one of held) one.end('x');
  });
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { slots });
  const clients = await Promise.all(Array.from({ length: 96 }, () => rawClient(hub)));
  const rounds = 4;
  await Promise.all(
    clients.map(async (client) => {
      for (let i = 0; i < rounds; i++) {
        client.send(get('/', ['Slime-Block: 1']));
        expect((await client.answer()).status).toBe(200);
      }
    }),
  );
  expect(origin.requests.length).toBe(96 * rounds);
  expect(origin.mostRunning).toBe(slots);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === slots);
  expect(await metric(hub, 'windlass_agent_slots{state="busy"}')).toBe(0);
  expect(await metric(hub, 'windlass_requests_in_flight')).toBe(0);
  expect(await metric(hub, 'windlass_queue_size')).toBe(0);
});

test('several upstreams are several agents of one process', async () => {
  const origins = await Promise.all(['one', 'two', 'three'].map((text) => startOrigin((_request, response) => response.end(text))));
  const hub = await startHubWith();
  const upstreams = origins.map((origin) => parseUpstreamUrl(`127.0.0.1:${origin.port}`));
  const agent = await startAgentFor(hub, origins[0]!, { agentId: 'box', upstreams, adminAddr: { host: '127.0.0.1', port: 0 } });
  expect(await metric(hub, 'windlass_agents_connected')).toBe(3);
  expect(await metric(agent, 'windlass_hub_connected{agent="box-2"}')).toBe(1);
  const seen = new Map<string, string>();
  while (seen.size < 3) {
    const answer = await (await asks(tools, hub)).answer();
    seen.set(field(answer, 'slime-agent-id')!, answer.body.toString());
  }
  expect(Object.fromEntries(seen)).toEqual({ box: 'one', 'box-2': 'two', 'box-3': 'three' });
});

test('what --allow does not name is a 403, and nothing of it reaches the upstream [threat 45]', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { allow: [parseAllowRule('GET,POST /v1/*'), parseAllowRule('/status')] });
  const status = async (method: string, target: string) => {
    const client = await rawClient(hub);
    client.send(`${method} ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
    return (await client.answer(method)).status;
  };
  for (const [method, target] of [
    ['DELETE', '/v1/models'],
    ['GET', '/admin'],
    ['GET', '/v1'],
    ['GET', '/status/x'],
    ['GET', '/v1/%2e%2e/admin'],
    ['GET', '/v1/../admin'],
    ['GET', '/v1/..%2fadmin'],
    ['GET', '/v1/..%5cadmin'],
    ['GET', '/v1/..;/admin'],
    ['HEAD', '/v1/models'],
  ] as const)
    expect(await status(method, target), `${method} ${target}`).toBe(403);
  expect(origin.bytes).toBe(0);
  expect(await status('GET', '/v1/models')).toBe(200);
  expect(await status('DELETE', '/status')).toBe(200);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 1);
});

test("Host is the upstream's own, the client's is told beside it; keep keeps it", async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, origin);
  await (await asks(tools, hub)).answer();
  expect(origin.only.headers.host).toBe(`127.0.0.1:${origin.port}`);
  expect(origin.only.headers['x-forwarded-host']).toBe('app.example');
  expect(origin.only.headers['x-forwarded-for']).toBe('127.0.0.1');
  expect(origin.only.headers['forwarded']).toContain('host="app.example"');
  agent.destroy();
  await metricBecomes(hub, 'windlass_agents_connected', (value) => value === 0);
  await startAgentFor(hub, origin, { hostHeader: 'keep' });
  await (await asks(tools, hub)).answer();
  expect(origin.requests[1]!.headers.host).toBe('app.example');
});

test("an upstream's path is a prefix, and its user info is Basic auth unless the request has its own", async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { upstreams: [parseUpstreamUrl(`http://ann:s%40cret@127.0.0.1:${origin.port}/base/v2/`)] });
  await (await asks(tools, hub, '/x?y=1')).answer();
  await (await asks(tools, hub, '/', ['Authorization: Bearer mine'])).answer();
  expect(origin.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
    ['/base/v2/x?y=1', `Basic ${Buffer.from('ann:s@cret').toString('base64')}`],
    ['/base/v2/', 'Bearer mine'],
  ]);
});

test('--concurrent lets N requests in, waiting ones included; the others wait their turn', async () => {
  const { origin, held, arrived } = await startHolding(tools);
  const hub = await startHubWith({ concurrent: 2 });
  await startAgentFor(hub, origin, { slots: 8 });
  const clients = [];
  for (let i = 0; i < 5; i++) {
    clients.push(await asks(tools, hub, `/${i}`));
    if (i < 2) await arrived(i);
    else await metricBecomes(hub, 'windlass_queue_size', (value) => value === i - 1);
  }
  expect(held.length).toBe(2);
  for (let i = 0; i < 5; i++) {
    (await arrived(i)).response.end(String(i));
    expect((await clients[i]!.answer()).body.toString()).toBe(String(i));
  }
  expect(origin.requests.map(({ url }) => url)).toEqual(['/0', '/1', '/2', '/3', '/4']);
  expect(origin.mostRunning).toBe(2);
});

test('a client that leaves while it waits to come in frees its place, and its request goes nowhere [fault 28]', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ concurrent: 1, queueSize: 1 });
  await startAgentFor(hub, origin, { slots: 8 });
  const first = await asks(tools, hub, '/first');
  const held = await arrived(0);
  const second = await asks(tools, hub, '/second');
  await metricBecomes(hub, 'windlass_queue_size', (value) => value === 1);
  expect((await (await asks(tools, hub)).answer()).status).toBe(503);
  second.halfClose();
  await metricBecomes(hub, 'windlass_queue_size', (value) => value === 0);
  const third = await asks(tools, hub, '/third');
  await metricBecomes(hub, 'windlass_queue_size', (value) => value === 1);
  held.response.end();
  await first.answer();
  (await arrived(1)).response.end();
  await third.answer();
  expect(origin.requests.map(({ url }) => url)).toEqual(['/first', '/third']);
});

test('an agent keeps its id over a restart', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  const stateDir = folder();
  const first = await startAgentFor(hub, origin, { stateDir });
  const id = field(await (await asks(tools, hub)).answer(), 'slime-agent-id');
  expect(id).toMatch(/^[\da-f]{16}$/);
  first.destroy();
  await metricBecomes(hub, 'windlass_agents_connected', (value) => value === 0);
  await startAgentFor(hub, origin, { stateDir });
  expect(field(await (await asks(tools, hub)).answer(), 'slime-agent-id')).toBe(id);
});

test('an agent leaves and joins while requests come: the metrics page counts slots and agents', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, origin, { slots: 3 });
  expect(await metric(hub, 'windlass_agent_slots{state="free"}')).toBe(3);
  agent.destroy();
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 0);
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(0);
  await until('the log to say so', () => hub.log.some(({ message }) => message === 'agent left'));
});

test.each([
  ['a length', `Content-Length: ${300 * 1024}\r\n\r\n`],
  ['chunks', 'Transfer-Encoding: chunked\r\n\r\n4b000\r\n'],
])('an early refusal of an upload by %s says that its connection closes, so that no next request is sent on it', async (_what, rest) => {
  const hub = await startHubWith();
  const client = await rawClient(hub);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\n${rest}`).send(Buffer.alloc(300 * 1024, 'x'));
  const answer = await client.answer('POST');
  expect(answer.status).toBe(503);
  expect(field(answer, 'connection')).toBe('close');
  expect(await client.ended()).toBe('fin');
});

test('an early refusal of a small body keeps its connection', async () => {
  const hub = await startHubWith();
  const client = await rawClient(hub);
  for (let i = 0; i < 3; i++) {
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n${'x'.repeat(4000)}`);
    const answer = await client.answer('POST');
    expect(answer.status).toBe(503);
    expect(field(answer, 'connection')).toBeUndefined();
  }
});

test('an agent never gets to see the app password, nor what else is between an application and its hub', async () => {
  const hub = await startHubWith({ appPassword: 'open-sesame' });
  const agent = await rawClient(hub);
  agent.send(`GET /windlass/agent HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: windlass/1\r\nWindlass-Token: ${tokenFor()}\r\n\r\n`);
  agent.send(frame(HELLO, 0, 0, helloPayload()));
  await metricBecomes(hub, 'windlass_agent_sessions', (value) => value === 1);
  await asks(tools, hub, '/marker', [
    'Slime-App-Password: open-sesame',
    'Windlass-Token: planted-one',
    'Slime-Agent-Token: planted-two',
    'Slime-Connection-Id: planted-three',
  ]);
  await agent.until((one) => one.text.includes('/marker'), 'the request');
  expect(agent.text).not.toMatch(/open-sesame|planted/);
});
