import { existsSync } from 'node:fs';
import net from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { Program } from '../kit/program.ts';
import { asks, field, get, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startDirect, startHubWith, startAgentFor, rawClient, later } = tools;
const program = new Program();

beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

test('over 85 % of the heap idle clients are closed and nobody new may wait; what runs and what is free is served [fault 39]', async () => {
  let share = 0.1;
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ queueTimeoutMs: 60_000 }, {}, { heapShare: () => share });
  await startAgentFor(hub, origin);
  const first = await asks(tools, hub, '/first');
  const held = await arrived(0);
  const waiting = await asks(tools, hub, '/waits');
  await metricBecomes(hub, 'windlass_queue_size', (n) => n === 1);
  const idle = await rawClient(hub);
  await metricBecomes(hub, 'windlass_connections', (n) => n === 3);

  share = 0.86;
  await idle.ended();
  const refused = await (await asks(tools, hub, '/new')).answer();
  expect([refused.status, field(refused, 'proxy-status')?.includes('no_free_slot') || refused.body.toString().includes('no_free_slot')]).toEqual([
    503,
    true,
  ]);
  expect(hub.log.filter((line) => /memory runs short: no request may wait/.test(line.message))).toHaveLength(1);

  held.response.end('one');
  expect((await first.answer()).body.toString()).toBe('one');
  (await arrived(1)).response.end('two');
  expect((await waiting.answer()).body.toString()).toBe('two');
  // A free slot is still given: that brings work to an end.
  const free = await asks(tools, hub, '/free');
  (await arrived(2)).response.end('three');
  expect((await free.answer()).body.toString()).toBe('three');

  share = 0.5;
  await metricBecomes(hub, 'windlass_pressure', (n) => n === 0);
  const late = await asks(tools, hub, '/a');
  await arrived(3);
  const waits = await asks(tools, hub, '/b');
  await metricBecomes(hub, 'windlass_queue_size', (n) => n === 1);
  (await arrived(3)).response.end();
  (await arrived(4)).response.end();
  expect([(await late.answer()).status, (await waits.answer()).status]).toEqual([200, 200]);
});

test('over 95 % of the heap new requests get 503 with Retry-After, until it is over [fault 39]', async () => {
  let share = 0.1;
  const { origin, arrived } = await startHolding(tools);
  const proxy = await startDirect({ to: origin }, { heapShare: () => share });
  // A client in the middle of its head is not idle.
  const here = await rawClient(proxy);
  here.send('GET / HTTP/1.1\r\n');
  await metricBecomes(proxy, 'windlass_connections', (n) => n === 1);
  share = 0.96;
  await metricBecomes(proxy, 'windlass_pressure', (n) => n === 2);
  here.send('Host: a\r\n\r\n');
  const answer = await here.answer();
  expect([answer.status, field(answer, 'retry-after')]).toEqual([503, '1']);
  expect(answer.body.toString()).toContain('overload');
  // A new connection would cost memory before it has said a word.
  await (await rawClient(proxy)).ended();
  // Just below the mark is not enough: it would go up and down with every collection.
  share = 0.94;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(await metric(proxy, 'windlass_pressure')).toBe(2);
  share = 0.5;
  await metricBecomes(proxy, 'windlass_pressure', (n) => n === 0);
  const client = await asks(tools, proxy);
  (await arrived(0)).response.end('ok');
  expect((await client.answer()).status).toBe(200);
});

test('a request that runs is not touched by a full heap [fault 39]', async () => {
  let share = 0.1;
  const { origin, arrived } = await startHolding(tools);
  const proxy = await startDirect({ to: origin }, { heapShare: () => share });
  const client = await asks(tools, proxy);
  const held = await arrived(0);
  share = 0.99;
  await metricBecomes(proxy, 'windlass_pressure', (n) => n === 2);
  held.response.end('done');
  expect((await client.answer()).body.toString()).toBe('done');
});

test.runIf(existsSync('/proc/self/limits'))(
  'without a number, connections are bounded by the descriptors: the rest is closed, counted, and told once; operators still get in [fault 38]',
  async () => {
    const origin = await startOrigin();
    const argv = ['proxy', '--from', '127.0.0.1:0', '--to', `127.0.0.1:${origin.port}`, '--admin-addr', '127.0.0.1:0', '--log-format', 'json'];
    const proxy = program.run(argv, 100);
    const port = await proxy.port('the proxy listens');
    const admin = { adminAddress: { port: await proxy.port('/metrics') } };
    const crowd = Array.from({ length: 150 }, () => net.connect(port, '127.0.0.1'));
    later(() => crowd.forEach((socket) => socket.destroy()));
    let ended = 0;
    for (const socket of crowd)
      socket
        .on('error', () => {})
        .on('close', () => ended++)
        .resume();
    await until('most to be closed', () => ended > 100);
    const open = await metric(admin, 'windlass_connections');
    expect(open).toBeGreaterThan(10);
    expect(open).toBeLessThan(48);
    expect(await metric(admin, 'windlass_connections_total{result="refused"}')).toBe(150 - open);
    // Every one of those inside can be served, because its connection onward is reckoned with.
    await until('the line', () => proxy.err.includes('as many connections are open as may be'));
    crowd.forEach((socket) => socket.destroy());
    await metricBecomes(admin, 'windlass_connections', (n) => n === 0);
    expect((await (await rawClient({ port })).send(get()).answer()).status).toBe(200);
    expect(proxy.err.split('as many connections are open as may be')).toHaveLength(2);
  },
);

test('with --drain-delay a stopping proxy says at once that it is not ready, and takes new connections until the delay is over', async () => {
  const origin = await startOrigin();
  const proxy = await startDirect({ to: origin, drainDelayMs: 400 });
  const ready = async () => (await fetch(`http://127.0.0.1:${proxy.adminAddress!.port}/readyz`)).status;
  expect(await ready()).toBe(200);
  const closed = proxy.close();
  expect(await ready()).toBe(503);
  expect((await (await asks(tools, proxy)).answer()).status).toBe(200);
  await closed;
  await expect(rawClient(proxy)).rejects.toThrow(/ECONNREFUSED/);
});

test('a second signal does not wait for the drain delay', async () => {
  const proxy = await startDirect({ to: await startOrigin(), drainDelayMs: 600_000 });
  const closed = proxy.close();
  proxy.destroy();
  await closed;
});
