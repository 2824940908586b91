import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { HubStatus } from '../../src/hub/status.ts';
import { type ClientKey, clientKeyForm, newKey } from '../../src/plugins/client-keys/client-key.ts';
import { FileRecords } from '../../src/store/file-records.ts';
import { type Asked, ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit, metric, SECRET } from '../kit/kit.ts';
import { asks, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startAgentFor, startOrigin, folder, rawClient } = tools;

interface Keys {
  readonly store: string;
  readonly file: FileRecords<ClientKey>;
  readonly add: (of?: Partial<ClientKey>) => Promise<{ id: string; key: string }>;
}

function keysIn(store = join(folder(), 'keys.json')): Keys {
  const file = new FileRecords(store, clientKeyForm);
  return {
    store,
    file,
    add: async (of = {}) => {
      const { id, key, hash } = newKey();
      const plain = {
        name: 'a',
        createdMs: Date.now(),
        expiresMs: null,
        revokedMs: null,
        rate: null,
        inflight: null,
        weight: 1,
        class: null,
        waiting: null,
      };
      await file.change((all) => all.set(id, { ...plain, hash, ...of }));
      return { id, key };
    },
  };
}

const section = (store: string, more = ''): string => `[plugins.keys]\ncategory = "client_keys"\nstore = "${store}"\n${more}`;

async function statusWith(gateway: TestGateway, key: string, header = 'Authorization'): Promise<number> {
  return (await ask(gateway.port(), { headers: { [header]: header === 'Authorization' ? `Bearer ${key}` : key } })).status;
}

test('who has a key passes and the upstream does not see it; who has none, or another, is told so', async () => {
  const origin = await startOrigin();
  const keys = keysIn();
  const { id, key } = await keys.add();
  const gateway = await startGatewayOf(tools, fileWithPlugins(origin.port, section(keys.store)));
  expect(await statusWith(gateway, key)).toBe(200);
  expect(origin.requests[0]!.headers['authorization']).toBeUndefined();
  const none = await ask(gateway.port());
  expect([none.status, none.headers['www-authenticate']]).toEqual([401, 'Bearer realm="windlass"']);
  const other = newKey();
  const forged = `wk_${id}_${other.key.slice(16)}`;
  for (const field of [
    `Bearer ${other.key}`,
    `Bearer ${forged}`,
    `Bearer ${key}x`,
    `Basic ${key}`,
    key,
    `Bearer ${key}, Bearer ${key}`,
    `Bearer ${key} ${key}`,
    `Bearer ${'x'.repeat(10_000)}`,
    'Bearer __proto__',
  ]) {
    const { status, headers, text } = await ask(gateway.port(), { headers: { Authorization: field } });
    expect([field.slice(0, 60), status, headers['www-authenticate']]).toEqual([
      field.slice(0, 60),
      401,
      'Bearer realm="windlass", error="invalid_token"',
    ]);
    expect(text).not.toContain('wk_');
  }
  expect(origin.requests.length).toBe(1);
  expect(await metric(gateway, `windlass_client_key_requests_total{plugin="keys",key="${id}",result="accepted"}`)).toBe(1);
  expect(await metric(gateway, 'windlass_client_key_requests_total{plugin="keys",key="none",result="refused"}')).toBe(9);
  expect(await metric(gateway, `windlass_client_key_reply_bytes_total{plugin="keys",key="${id}"}`)).toBe(2);
});

test('a key may stand in a header of its own, and upgrades need one as well', async () => {
  const origin = await startOrigin();
  const keys = keysIn();
  const { key } = await keys.add();
  const gateway = await startGatewayOf(tools, fileWithPlugins(origin.port, section(keys.store, 'header = "X-Api-Key"\n')));
  expect(await statusWith(gateway, key, 'X-Api-Key')).toBe(200);
  expect(origin.requests[0]!.headers['x-api-key']).toBeUndefined();
  expect(await statusWith(gateway, key)).toBe(401);
  const client = await rawClient({ port: gateway.port() });
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  await client.until(() => client.text.includes('401'));
  expect(origin.requests.length).toBe(1);
});

test('keys are issued, expire and are revoked while the gateway runs', async () => {
  const origin = await startOrigin();
  const keys = keysIn();
  const old = await keys.add();
  const gateway = await startGatewayOf(tools, fileWithPlugins(origin.port, section(keys.store)));
  const becomes = (key: string, status: number): Promise<unknown> => until(`${status}`, async () => (await statusWith(gateway, key)) === status);
  const fresh = await keys.add({ expiresMs: Date.now() + 3_000 });
  await becomes(fresh.key, 200);
  await keys.file.change((all) => all.set(old.id, { ...all.get(old.id)!, revokedMs: Date.now() }));
  await becomes(old.key, 401);
  await becomes(fresh.key, 401);
});

test('a file that breaks while the gateway runs changes nothing but the log; at the start it is refused', async () => {
  const origin = await startOrigin();
  const keys = keysIn();
  const { key } = await keys.add();
  const gateway = await startGatewayOf(tools, fileWithPlugins(origin.port, section(keys.store)));
  writeFileSync(keys.store, '{"version": 1, canary');
  await until('the log', () => gateway.log.at('error').some((line) => line.includes('cannot be read')));
  expect(await statusWith(gateway, key)).toBe(200);
  await expect(startGatewayOf(tools, fileWithPlugins(origin.port, section(keys.store)))).rejects.toThrow(`${keys.store}:1:16 is no JSON`);
  await expect(startGatewayOf(tools, fileWithPlugins(origin.port, section(join(folder(), 'none'))))).rejects.toThrow('does not exist');
});

test('a key has its own rate, which a reload and other keys do not change', async () => {
  const origin = await startOrigin();
  const keys = keysIn();
  const { key, id } = await keys.add({ rate: { max: 2, intervalMs: 3_600_000 } });
  const free = await keys.add();
  const file = fileWithPlugins(origin.port, section(keys.store));
  const gateway = await startGatewayOf(tools, file);
  expect([await statusWith(gateway, key), await statusWith(gateway, key)]).toEqual([200, 200]);
  const refused = await ask(gateway.port(), { headers: { Authorization: `Bearer ${key}` } });
  expect(refused.status).toBe(429);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(3_000);
  const later = await keys.add();
  await until('the new key', async () => (await statusWith(gateway, later.key)) === 200);
  await gateway.change(`${file}\n# nothing else\n`);
  expect([await statusWith(gateway, key), await statusWith(gateway, free.key)]).toEqual([429, 200]);
  expect(await metric(gateway, `windlass_client_key_requests_total{plugin="keys",key="${id}",result="rate"}`)).toBe(2);
});

test('several of them stand in one file, and one is changed by a reload', async () => {
  const origin = await startOrigin();
  const keys = keysIn();
  const { key, id } = await keys.add();
  const other = (header: string): string => `[plugins.other]\ncategory = "client_keys"\nstore = "${keys.store}"\nheader = "${header}"\n`;
  const gateway = await startGatewayOf(tools, fileWithPlugins(origin.port, section(keys.store) + other('X-Other')));
  const both = (header: string): Promise<Asked> => ask(gateway.port(), { headers: { Authorization: `Bearer ${key}`, [header]: key } });
  expect((await both('X-Other')).status).toBe(200);
  await gateway.change(fileWithPlugins(origin.port, section(keys.store) + other('X-New')));
  expect([(await both('X-Other')).status, (await both('X-New')).status]).toEqual([401, 200]);
  const counted = (name: string): Promise<number> =>
    metric(gateway, `windlass_client_key_requests_total{plugin="${name}",key="${id}",result="accepted"}`);
  expect([await counted('keys'), await counted('other')]).toEqual([3, 2]);
});

test('a limit behind it may count by key, and who has none is not counted by it', async () => {
  const origin = await startOrigin();
  const keys = keysIn();
  const [one, other] = [await keys.add(), await keys.add()];
  const limit = '[plugins.few]\ncategory = "limit"\nmax = 1\ninterval = "1h"\ntag = "client_key"\n';
  const gateway = await startGatewayOf(tools, fileWithPlugins(origin.port, section(keys.store) + limit));
  const statuses = [];
  for (const { key } of [one, one, other, other]) statuses.push(await statusWith(gateway, key));
  expect(statuses).toEqual([200, 429, 200, 429]);
  await gateway.change(fileWithPlugins(origin.port, limit));
  expect([(await ask(gateway.port())).status, (await ask(gateway.port())).status]).toEqual([200, 200]);
});

test('a key has so many requests at once, and a client that leaves makes room', async () => {
  const { origin, arrived } = await startHolding(tools);
  const keys = keysIn();
  const { key } = await keys.add({ inflight: 1 });
  const gateway = await startGatewayOf(tools, fileWithPlugins(origin.port, section(keys.store)));
  const first = await asks(tools, { port: gateway.port() }, '/', [`Authorization: Bearer ${key}`]);
  await arrived(0);
  expect(await statusWith(gateway, key)).toBe(429);
  first.reset();
  const second = await until('room', async () => {
    const client = await asks(tools, { port: gateway.port() }, '/', [`Authorization: Bearer ${key}`]);
    await until('an answer, or the request at the origin', () => client.text.includes('429') || origin.requests.length === 2);
    return origin.requests.length === 2 ? client : null;
  });
  (await arrived(1)).response.end('ok');
  expect((await second.answer()).status).toBe(200);
});

test('a plugin that stands twice in a list counts a request once, and its end once', async () => {
  const { origin, arrived } = await startHolding(tools);
  const keys = keysIn();
  const { key } = await keys.add({ inflight: 1 });
  const twice = fileWithPlugins(origin.port, section(keys.store)).replace('["keys"]', '["keys", "keys"]');
  const gateway = await startGatewayOf(tools, twice);
  for (const n of [0, 1]) {
    const client = await asks(tools, { port: gateway.port() }, '/', [`Authorization: Bearer ${key}`]);
    const { response } = await arrived(n);
    expect(await statusWith(gateway, key)).toBe(429);
    response.end('ok');
    expect((await client.answer()).status).toBe(200);
  }
});

test('where requests wait for a slot, keys have their shares, classes and bounds, and operators see whose they are', async () => {
  const { origin, arrived } = await startHolding(tools);
  const keys = keysIn();
  const [busy, heavy, low] = [await keys.add({ waiting: 3 }), await keys.add({ weight: 2 }), await keys.add({ class: 6 })];
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["all"]
[locations.all]
upstream = "gpu"
plugins = ["keys", "line"]
${section(keys.store)}
[plugins.line]
category = "queue"
tag = "none"
age = "1h"
[upstreams.gpu]
agents = "*"
queue_timeout = "5m"
`,
  );
  const to = { port: gateway.port() };
  const queue = async (): Promise<HubStatus['queue']> =>
    ((await (await fetch(`http://127.0.0.1:${gateway.adminAddress!.port}/status`)).json()) as HubStatus).queue;
  await startAgentFor(to, origin);
  await until('the agent', async () => (await metric(gateway, 'windlass_agent_slots{state="free"}')) === 1);
  await asks(tools, to, '/first', [`Authorization: Bearer ${busy.key}`]);
  await arrived(0);
  let waiting = 0;
  for (const [target, { key }] of [
    ['/low', low],
    ['/b0', busy],
    ['/b1', busy],
    ['/b2', busy],
    ['/h0', heavy],
    ['/h1', heavy],
  ] as const) {
    await asks(tools, to, target, [`Authorization: Bearer ${key}`]);
    waiting++;
    await until(`${target} to wait`, async () => (await queue()).size === waiting);
  }
  expect(await statusWith(gateway, busy.key)).toBe(429);
  const places = (await queue()).waiting;
  expect(places.map(({ key }) => key)).toContain(`keys ${busy.id}`);
  expect(JSON.stringify(places)).not.toContain(busy.key.slice(16));
  const order: string[] = [];
  for (let i = 0; i < waiting; i++) {
    (await arrived(i)).response.end('done');
    order.push((await arrived(i + 1)).request.url!);
  }
  expect(order).toEqual(['/h0', '/b0', '/h1', '/b1', '/b2', '/low']);
});

test('the example of its page runs', async () => {
  const page = readFileSync(new URL('../../docs/plugins/client-keys.md', import.meta.url), 'utf8');
  const keys = keysIn();
  const { key } = await keys.add();
  const origin = await startOrigin();
  const example = /```toml\n([^]*?)```/
    .exec(page)![1]!
    .replace('0.0.0.0:8080', '127.0.0.1:0')
    .replace('/etc/windlass/client-keys.json', keys.store)
    .replace('127.0.0.1:3000', `127.0.0.1:${origin.port}`);
  const gateway = await startGatewayOf(tools, example);
  expect([await statusWith(gateway, key), (await ask(gateway.port())).status]).toEqual([200, 401]);
});
