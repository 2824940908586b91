import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadGateway } from '../../src/config/gateway.ts';
import type { SettingsError } from '../../src/config/settings-error.ts';
import type { HubStatus } from '../../src/hub/status.ts';
import type { RawClient } from '../kit/client.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit, SECRET } from '../kit/kit.ts';
import { asks, field, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startAgentFor, startOrigin, folder } = tools;

/** A gateway whose agents are asked at / through the plugin, and at /plain without it. */
function fileWith(settings: string, upstream = '', server = ''): string {
  return `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["plain", "all"]
${server}
[locations.plain]
path = "/plain"
upstream = "gpu"
[locations.all]
path = "~^/(?<tenant>[a-z]*)"
upstream = "gpu"
plugins = ["line"]
[plugins.line]
category = "queue"
${settings}
[upstreams.gpu]
agents = "*"
queue_timeout = "5m"
${upstream}`;
}

async function statusOf(gateway: TestGateway): Promise<HubStatus> {
  return (await (await fetch(`http://127.0.0.1:${gateway.adminAddress!.port}/status`)).json()) as HubStatus;
}

interface Stage {
  readonly gateway: TestGateway;
  /** Sends a request, and waits until it waits. */
  readonly queues: (target: string, ...fields: string[]) => Promise<RawClient>;
  /** Answers the next so many, and tells their targets in the order in which they were served. */
  readonly serves: (count: number) => Promise<string[]>;
}

/** An agent of one slot, which is taken. */
async function stage(settings: string, upstream = '', server = ''): Promise<Stage> {
  const { origin, arrived } = await startHolding(tools);
  const gateway = await startGatewayOf(tools, fileWith(settings, upstream, server));
  const to = { port: gateway.port() };
  await startAgentFor(to, origin);
  await until('the agent', async () => (await statusOf(gateway)).agents.free === 1);
  await asks(tools, to, '/plain/first');
  await arrived(0);
  let done = 0;
  return {
    gateway,
    queues: async (target, ...fields) => {
      const { size } = (await statusOf(gateway)).queue;
      const client = await asks(tools, to, target, fields);
      await until(`${target} to wait`, async () => (await statusOf(gateway)).queue.size === size + 1);
      return client;
    },
    serves: async (count) => {
      const targets: string[] = [];
      for (let i = 0; i < count; i++) {
        (await arrived(done++)).response.end('done');
        targets.push((await arrived(done)).request.url!);
      }
      return targets;
    },
  };
}

test('clients take turns however much one of them asks, and each is served in its own order', async () => {
  const { queues, serves } = await stage('tag = "header"\nkey = "X-User"');
  for (let i = 0; i < 4; i++) await queues(`/a${i}`, 'X-User: a');
  for (let i = 0; i < 2; i++) await queues(`/b${i}`, 'X-User: b');
  await queues('/c0', 'X-User: c');
  expect(await serves(7)).toEqual(['/a0', '/b0', '/c0', '/a1', '/b1', '/a2', '/a3']);
});

test('what a location captures tells clients apart, and requests of other locations share as one', async () => {
  const { queues, serves } = await stage('tag = "capture"\nkey = "tenant"');
  for (const target of ['/red/0', '/red/1', '/plain/0', '/plain/1', '/blue/0']) await queues(target);
  expect(await serves(5)).toEqual(['/red/0', '/plain/0', '/blue/0', '/red/1', '/plain/1']);
});

test('[threat 73] by address, what a client says of its address makes it no other, and an IPv6 network is one client', async () => {
  const { queues, serves } = await stage('');
  for (const [target, said] of [
    ['/a0', '192.0.2.1'],
    ['/a1', '192.0.2.1'],
    ['/b0', '192.0.2.2'],
  ] as const)
    await queues(target, `X-Forwarded-For: ${said}`, `Forwarded: for=${said}`, `X-Real-IP: ${said}`);
  expect(await serves(3)).toEqual(['/a0', '/a1', '/b0']);
  // The same from a proxy that is believed.
  const behind = await stage('', '', 'trusted_proxies = ["loopback"]');
  for (const [target, said] of [
    ['/a0', '2001:db8:1:2::1'],
    ['/a1', '2001:db8:1:2::1'],
    ['/a2', '2001:db8:1:2:ffff::9'],
    ['/b0', '2001:db8:1:3::1'],
  ] as const)
    await behind.queues(target, `X-Forwarded-For: ${said}`);
  expect(await behind.serves(4)).toEqual(['/a0', '/b0', '/a1', '/a2']);
});

test("a client's own urgency may lower its request and not raise it, unless it is trusted", async () => {
  const { queues, serves } = await stage('tag = "none"');
  await queues('/low', 'Priority: u=7');
  await queues('/liar', 'Priority: u=0');
  await queues('/broken', 'Priority: u=99, u=;;=,');
  await queues('/plain/usual');
  expect(await serves(4)).toEqual(['/liar', '/broken', '/plain/usual', '/low']);
  const trusted = await stage('tag = "none"\ntrust = true');
  await trusted.queues('/usual');
  await trusted.queues('/first', 'Priority: u=0, i');
  expect(await trusted.serves(2)).toEqual(['/first', '/usual']);
});

test('a class of its own goes before the others, and who waits long goes up', async () => {
  const { queues, serves } = await stage('class = 1');
  await queues('/plain/a');
  await queues('/b');
  expect(await serves(2)).toEqual(['/b', '/plain/a']);
  const ageing = await stage('class = 7\nage = "1ms"');
  await ageing.queues('/old');
  await until('its class to matter', async () => (await statusOf(ageing.gateway)).queue.waiting[0]!.ageMs > 8);
  await ageing.queues('/plain/young');
  expect(await ageing.serves(2)).toEqual(['/old', '/plain/young']);
});

test('one client may have so many waiting and no more, the others are not touched by it, and a place that is left is free again', async () => {
  const { queues, gateway } = await stage('tag = "header"\nkey = "X-User"\nmax_waiting = 2');
  await queues('/a0', 'X-User: a');
  const leaves = await queues('/a1', 'X-User: a');
  const refused = await (await asks(tools, { port: gateway.port() }, '/a2', ['X-User: a'])).answer();
  expect(refused.status).toBe(429);
  expect(Number(field(refused, 'Retry-After'))).toBeGreaterThanOrEqual(1);
  expect(JSON.parse(refused.body.toString())).toMatchObject({ code: 'queue_full' });
  await queues('/b0', 'X-User: b');
  await queues('/plain/0');
  leaves.reset();
  await until('it to be gone', async () => (await statusOf(gateway)).queue.size === 3);
  await queues('/a3', 'X-User: a');
});

test('operators see class and place of those who wait, and a digest instead of an address or a secret', async () => {
  const { queues, gateway } = await stage('tag = "header"\nkey = "Authorization"\nclass = 4');
  await queues('/a0', 'Authorization: Bearer canary');
  await queues('/a1', 'Authorization: Bearer canary');
  await queues('/b0', `Authorization: ${'x'.repeat(5_000)}`);
  await queues('/plain/0');
  const { waiting } = (await statusOf(gateway)).queue;
  expect(waiting.map(({ position, class: rank }) => [position, rank])).toEqual([
    [1, undefined],
    [2, 4],
    [3, 4],
    [4, 4],
  ]);
  const [plain, a0, b0, a1] = waiting;
  expect(plain!.key).toBeUndefined();
  expect(a0!.key).toMatch(/^[\w+/]{12}$/);
  expect(a1!.key).toBe(a0!.key);
  expect(b0!.key).not.toBe(a0!.key);
  expect(JSON.stringify(waiting)).not.toContain('canary');
});

test('answers say how long their requests have waited, when that is asked for', async () => {
  const { queues, serves } = await stage('tell_wait = true');
  const client = await queues('/a');
  await queues('/b');
  expect(await serves(2)).toEqual(['/a', '/b']);
  expect(Number(field(await client.answer(), 'Queue-Wait'))).toBeGreaterThan(0);
});

test('who asks hears where his request stands while it waits, and the others do not', async () => {
  const { queues, serves } = await stage('tell_wait = true\ntag = "header"\nkey = "X-User"');
  const quiet = await queues('/a', 'X-User: a');
  const curious = await queues('/b', 'X-User: a', 'Prefer: wait=60, Queue-Position');
  await queues('/c', 'X-User: a');
  await curious.until(() => curious.text.includes('\r\n\r\n'), 'a head');
  expect(curious.text).toMatch(/^HTTP\/1\.1 102 Processing\r\nQueue-Position: 2\r\n\r\n/);
  expect(quiet.text).toBe('');
  // Now it is known how long one takes.
  expect(await serves(1)).toEqual(['/a']);
  await curious.until(() => /Queue-Position: 1\r\nQueue-Estimate: \d+\r\n\r\n/.test(curious.text), 'the next place');
  expect(await serves(2)).toEqual(['/b', '/c']);
  await curious.until(() => curious.text.endsWith('done'), 'the answer');
  expect(curious.text).toMatch(/\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*Queue-Wait: \d+\r\n/);
});

test.each([
  ['class = 8', 'line.class "8" is out of range'],
  ['weight = 0', 'line.weight "0" is out of range'],
  ['tag = "ips"', 'did you mean ip?'],
  ['max_waiting = -1', 'max_waiting "-1" is out of range'],
  ['age = "soon"', 'line.age "soon"'],
])('%s is refused at load', async (settings, said) => {
  const file = join(folder(), 'windlass.toml');
  writeFileSync(file, fileWith(settings));
  const error = (await loadGateway(file, {}).catch((problem: unknown) => problem)) as SettingsError;
  expect(error.lines.join('\n')).toContain(said);
});

test.each([
  ['tag = "capture"', 'has tag = "capture" and no key'],
  ['tag = "cookie"', 'has tag = "cookie" and no key'],
  ['trust = true\npriority = false', 'has trust = true and priority = false'],
])('%s is refused before anything is served', async (settings, said) => {
  await expect(startGatewayOf(tools, fileWith(settings))).rejects.toThrow(said);
});

test('the example of its page runs', async () => {
  const page = readFileSync(new URL('../../docs/plugins/queue.md', import.meta.url), 'utf8');
  const secret = join(folder(), 'secret');
  writeFileSync(secret, SECRET);
  const example = /```toml\n([^]*?)```/.exec(page)![1]!.replace('0.0.0.0:8080', '127.0.0.1:0').replace('/etc/windlass/secret', secret);
  const origin = await startOrigin();
  const gateway = await startGatewayOf(tools, example);
  await startAgentFor({ port: gateway.port() }, origin);
  expect((await fetch(`http://127.0.0.1:${gateway.port()}/v1/x`, { headers: { 'X-Api-Key': 'k' } })).status).toBe(200);
});
