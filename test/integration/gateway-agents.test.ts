import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit, SECRET, tokenFor } from '../kit/kit.ts';
import { asks, field, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startAgentFor, dialHub, rawClient, folder } = tools;

function file(locations: string, agents = ''): string {
  return `[agents]
secret = "${SECRET}"
hub_id = "gate"
${agents}
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["a", "b"]
${locations}`;
}

/** Two locations, /a and /b, over upstreams of the given settings. */
function two(a: string, b: string): string {
  return file(`[locations.a]
path = "/a"
upstream = "a"
[locations.b]
path = "~^/b/(\\\\w+)"
upstream = "b"
[upstreams.a]
${a}
[upstreams.b]
${b}
`);
}

const at = (gateway: TestGateway) => ({ port: gateway.port() });
const code = async (client: Awaited<ReturnType<typeof asks>>): Promise<unknown> => {
  const answer = await client.answer();
  return [answer.status, (JSON.parse(answer.body.toString()) as { code: string }).code];
};

/** Waits until so many requests wait for a slot. */
async function waiting(gateway: TestGateway, count: number): Promise<void> {
  await until(`${count} waiting`, async () => {
    const status = (await (await fetch(`http://127.0.0.1:${gateway.adminAddress!.port}/status`)).json()) as { queue: { size: number } };
    return status.queue.size === count;
  });
}

test('one slot serves two upstreams in order of arrival, each with its own bounds', async () => {
  const { origin, arrived } = await startHolding(tools);
  const gateway = await startGatewayOf(tools, two('agents = "gpu=a100"\nqueue = 1\nqueue_full_status = 429', 'agents = "route=$1"'));
  await startAgentFor(at(gateway), origin, { labels: new Map(Object.entries({ gpu: 'a100', route: '/images' })), agentId: 'one' });
  const running = await asks(tools, at(gateway), '/a/0');
  await arrived(0);
  const clients = [running];
  for (const [i, path] of ['/b/images', '/a/1', '/b/images'].entries()) {
    clients.push(await asks(tools, at(gateway), path));
    await waiting(gateway, i + 1);
  }
  const full = await (await asks(tools, at(gateway), '/a/2')).answer();
  expect([full.status, field(full, 'retry-after')]).toEqual([429, '1']);
  for (const [i, client] of clients.entries()) {
    (await arrived(i)).response.end(String(i));
    expect((await client.answer()).body.toString()).toBe(String(i));
  }
  expect(origin.requests.map(({ url }) => url)).toEqual(['/a/0', '/b/images', '/a/1', '/b/images']);
});

test('what nobody serves is 404 at once; what is away waits, and then is 503', async () => {
  const { origin, arrived } = await startHolding(tools);
  const gateway = await startGatewayOf(tools, two('agents = "name=ghost"', 'agents = "route=$1"\nqueue_timeout = "300ms"'));
  const labels = new Map([['route', 'images']]);
  const agent = await startAgentFor(at(gateway), origin, { labels, agentId: 'one' });
  expect(await code(await asks(tools, at(gateway), '/a'))).toEqual([404, 'unknown_agent']);
  expect(await code(await asks(tools, at(gateway), '/b/video'))).toEqual([404, 'unknown_agent']);
  const served = await asks(tools, at(gateway), '/b/images');
  (await arrived(0)).response.end('here');
  expect((await served.answer()).status).toBe(200);
  await agent.close();
  expect(await code(await asks(tools, at(gateway), '/b/images'))).toEqual([503, 'queue_timeout']);
  const patient = await asks(tools, at(gateway), '/b/images', ['Slime-Block: 1']);
  await waiting(gateway, 1);
  await startAgentFor(at(gateway), origin, { labels, agentId: 'one' });
  (await arrived(1)).response.end('back');
  expect((await patient.answer()).body.toString()).toBe('back');
});

test('@announced finds agents by host and path as they announce them, bounded by their tokens', async () => {
  const gateway = await startGatewayOf(
    tools,
    file(`[locations.a]
upstream = "announced"
[locations.b]
path = "=/never"
upstream = "announced"
[upstreams.announced]
agents = "@announced"
`),
  );
  const start = async (id: string, labels: Record<string, string>, token = tokenFor()) => {
    const origin = await tools.startOrigin((_request, response) => response.end(id));
    await startAgentFor(at(gateway), origin, { agentId: id, labels: new Map(Object.entries(labels)), token });
  };
  await start('v1', { route: '/v1' });
  await start('images', { route: '/v1/images' });
  await start(
    'bound',
    {},
    tokenFor({
      labels: new Map([
        ['host', 'app.example'],
        ['route', '/v2'],
      ]),
    }),
  );
  const said = async (path: string) => (await (await asks(tools, at(gateway), path)).answer()).body.toString();
  expect(await said('/v1/images/cat.png')).toBe('images');
  expect(await said('/v1/models')).toBe('v1');
  expect(await said('/v2')).toBe('bound');
  expect(await code(await asks(tools, at(gateway), '/v3'))).toEqual([404, 'unknown_agent']);
});

test('a hash keeps a client with its agent, whose slot gates; after affinity_wait another one helps', async () => {
  const gateway = await startGatewayOf(
    tools,
    two(
      'agents = "*"\nalgo = "hash:header:X-User"\naffinity_wait = "30s"\nqueue_timeout = "2m"',
      'agents = "*"\nalgo = "hash:header:X-User"\naffinity_wait = "10ms"',
    ),
  );
  const [one, other] = [await startHolding(tools), await startHolding(tools)];
  await startAgentFor(at(gateway), one.origin, { agentId: 'one' });
  await startAgentFor(at(gateway), other.origin, { agentId: 'other' });
  const user = ['X-User: ann'];
  const first = await asks(tools, at(gateway), '/a/1', user);
  await until('the first request', () => one.held.length + other.held.length === 1);
  const [own, theirs] = one.held.length === 1 ? [one, other] : [other, one];
  const second = await asks(tools, at(gateway), '/a/2', user);
  await waiting(gateway, 1);
  const helped = await asks(tools, at(gateway), '/b/3', user);
  (await theirs.arrived(0)).response.end('helped');
  expect((await helped.answer()).body.toString()).toBe('helped');
  expect(own.held.length).toBe(1);
  own.held[0]!.response.end('first');
  (await own.arrived(1)).response.end('second');
  expect([(await first.answer()).body.toString(), (await second.answer()).body.toString()]).toEqual(['first', 'second']);
  expect(theirs.origin.requests.length).toBe(1);
});

test('on_abort of an upstream makes an agent more patient with its service than it is by itself', async () => {
  const { origin, arrived } = await startHolding(tools);
  const gateway = await startGatewayOf(tools, two('agents = "*"\non_abort = "drain"', 'agents = "*"'));
  await startAgentFor(at(gateway), origin, { onAbort: 'cancel' });
  const gone = await asks(tools, at(gateway), '/a');
  const drained = await arrived(0);
  gone.socket.destroy();
  const next = await asks(tools, at(gateway), '/b/x');
  await waiting(gateway, 1);
  // The service is left to finish: only then has the agent a slot again.
  expect(drained.request.socket.destroyed).toBe(false);
  drained.response.end('to the end');
  const cancelled = await arrived(1);
  const closed = new Promise((resolve) => cancelled.request.socket.once('end', resolve));
  next.socket.destroy();
  await closed;
});

test('an agent that must not disturb its service stays patient, whatever an upstream asks for', async () => {
  const { origin, arrived } = await startHolding(tools);
  const gateway = await startGatewayOf(tools, two('agents = "*"\non_abort = "cancel"', 'agents = "*"'));
  await startAgentFor(at(gateway), origin, { onAbort: 'drain' });
  const gone = await asks(tools, at(gateway), '/a');
  const drained = await arrived(0);
  let isClosed = false;
  drained.request.socket.once('end', () => (isClosed = true));
  gone.socket.destroy();
  const next = await asks(tools, at(gateway), '/b/x');
  await waiting(gateway, 1);
  drained.response.end('to the end');
  (await arrived(1)).response.end('next');
  expect((await next.answer()).body.toString()).toBe('next');
  expect(isClosed).toBe(false);
});

test('a reload keeps what waits where nothing changed, and serves what waits at an upstream that is gone', async () => {
  const { origin, arrived } = await startHolding(tools);
  const gateway = await startGatewayOf(tools, two('agents = "*"', 'agents = "*"\nqueue = 7'));
  await startAgentFor(at(gateway), origin);
  const clients = [await asks(tools, at(gateway), '/a/0')];
  await arrived(0);
  for (const [i, path] of ['/a/1', '/b/2', '/a/3'].entries()) {
    clients.push(await asks(tools, at(gateway), path));
    await waiting(gateway, i + 1);
  }
  await gateway.change(two('agents = "*"', 'agents = "*"\nqueue = 8'));
  await gateway.change(file('[locations.a]\npath = "/a"\nupstream = "a"\n[locations.b]\npath = "/b"\nupstream = "a"\n[upstreams.a]\nagents = "*"'));
  for (const [i, client] of clients.entries()) {
    (await arrived(i)).response.end(String(i));
    expect((await client.answer()).body.toString()).toBe(String(i));
  }
  await waiting(gateway, 0);
});

test('a token that a reload revokes is cut, whether the file names it or the list [threat 35]', async () => {
  const origin = await tools.startOrigin();
  const list = join(folder(), 'revoked');
  writeFileSync(list, '');
  const upstreams =
    '[locations.a]\nupstream = "a"\n[locations.b]\npath = "=/never"\nupstream = "a"\n[upstreams.a]\nagents = "*"\nqueue_timeout = "0s"';
  const withList = (ids: string) => file(upstreams, `revoked_file = "${list}"\nrevoked = [${ids}]`);
  const gateway = await startGatewayOf(tools, withList(''));
  const agents = await Promise.all(
    ['t1', 't2', 't3'].map((id) => startAgentFor(at(gateway), origin, { token: tokenFor({ id }), agentId: `agent-${id}` })),
  );
  const cut = (i: number) => agents[i]!.log.some(({ message }) => message.includes('revoked'));
  await gateway.change(withList('"t1"'));
  await until('the first to be cut', () => cut(0));
  writeFileSync(list, 't2 # lost');
  await gateway.change(withList('"t1"'));
  await until('the second to be cut', () => cut(1));
  expect(cut(2)).toBe(false);
  expect((await (await asks(tools, at(gateway))).answer()).status).toBe(200);
  const again = await dialHub(at(gateway), origin, { token: tokenFor({ id: 't2' }) });
  await until('the refusal', () => again.log.some(({ message }) => message.includes('the agent token has been revoked')));
});

test('a secret that a reload removes takes the sessions of its tokens with it [threat 35]', async () => {
  const upstreams = '[locations.a]\nupstream = "a"\n[locations.b]\npath = "=/never"\nupstream = "a"\n[upstreams.a]\nagents = "*"';
  const text = (secrets: string) => file(upstreams).replace(`secret = "${SECRET}"`, `secret = [${secrets}]`);
  const [old, fresh] = ['an old secret for tests only', 'a new secret for tests only'];
  const gateway = await startGatewayOf(tools, text(`"${old}"`));
  const origin = await tools.startOrigin();
  const before = await startAgentFor(at(gateway), origin, { token: tokenFor({}, old), agentId: 'before' });
  await gateway.change(text(`"${fresh}", "${old}"`));
  await startAgentFor(at(gateway), origin, { token: tokenFor({}, fresh), agentId: 'after' });
  const isCut = () => before.log.some(({ message }) => message.includes('given up the secret'));
  expect(isCut()).toBe(false);
  await gateway.change(text(`"${fresh}"`));
  await until('the old one to be cut', isCut);
  const answer = await (await asks(tools, at(gateway))).answer();
  expect([answer.status, field(answer, 'slime-agent-id')]).toEqual([200, 'after']);
});

test('on_empty of an upstream calls whoever can start its agents, and operators see where requests wait', async () => {
  const calls: unknown[] = [];
  const hook = await tools.startOrigin((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      calls.push(JSON.parse(body));
      response.end();
    });
  });
  const gateway = await startGatewayOf(tools, two(`agents = "gpu=a100"\non_empty = "http://127.0.0.1:${hook.port}/start"`, 'agents = "*"'));
  const origin = await tools.startOrigin();
  const asleep = await asks(tools, at(gateway), '/a');
  await until('the call', () => calls.length === 1);
  expect(calls).toEqual([{ event: 'no_agent', hub: 'gate', waiting: 1, scope: '', upstream: 'a' }]);
  const operators = `http://127.0.0.1:${gateway.adminAddress!.port}`;
  expect(await (await fetch(`${operators}/status`)).json()).toMatchObject({ queue: { size: 1, waiting: [{ position: 1, upstream: 'a' }] } });
  expect(await (await fetch(`${operators}/metrics`)).text()).toContain('windlass_upstream_queue_size{upstream="a"} 1\n');
  await startAgentFor(at(gateway), origin, { labels: new Map([['gpu', 'a100']]) });
  expect((await asleep.answer()).status).toBe(200);
});

test('bodies of waiting requests are bounded for each upstream', async () => {
  const gateway = await startGatewayOf(tools, two('agents = "*"\nqueue_bytes = "10KB"\nqueue_full_status = 429', 'agents = "*"'));
  const post = async (path: string) =>
    (await rawClient(at(gateway))).send(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n${'x'.repeat(20_000)}`);
  expect(await code(await post('/a'))).toEqual([429, 'queue_full']);
  const fits = await post('/b/x');
  await waiting(gateway, 1);
  const origin = await tools.startOrigin();
  await startAgentFor(at(gateway), origin);
  expect((await fits.answer()).status).toBe(200);
});
