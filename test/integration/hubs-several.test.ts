import { describe, expect, test } from 'vitest';
import { parseUpstreamUrl, type UpstreamUrl } from '../../src/schema/upstream-url.ts';
import { Crowd } from '../kit/crowd.ts';
import type { HttpOrigin } from '../kit/http-origin.ts';
import { kit, metric, metricBecomes, type Served } from '../kit/kit.ts';
import { asks, startHolding } from '../kit/stage.ts';
import type { OriginConnection } from '../kit/scripted-origin.ts';
import { turns, until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, startAgentFor, startOrigin, startScript } = tools;

function urlOf(hub: Served): UpstreamUrl {
  return parseUpstreamUrl(`127.0.0.1:${hub.address.port}`);
}

/** So that its numbers can be read. */
const BOX = { agentId: 'box', adminAddr: { host: '127.0.0.1', port: 0 } };

function startHubs(count: number): Promise<Served[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => startHubWith({ hubId: `hub-${i + 1}` })));
}

async function sessions(hub: Served, count: number): Promise<void> {
  await metricBecomes(hub, 'windlass_agent_sessions', (value) => value === count);
}

/** An origin that answers each request after a few milliseconds with its path. */
function startSlow(ms: number): Promise<HttpOrigin> {
  return startOrigin((request, response) => {
    request.on('end', () => setTimeout(() => response.end(request.url), ms));
    request.resume();
  });
}

function timesEach(origin: HttpOrigin): number[] {
  const times = new Map<string, number>();
  for (const { url } of origin.requests) times.set(url, (times.get(url) ?? 0) + 1);
  return [...times.values()];
}

describe('one agent at three hubs', () => {
  test.each([
    [1, 40],
    [4, 120],
    [64, 500],
  ])('of %i slots: its service never has more than that, and every request exactly once', async (slots, total) => {
    const origin = await startSlow(5);
    const hubs = await startHubs(3);
    const agent = await startAgentFor(hubs[0]!, origin, { ...BOX, hubs: hubs.map(urlOf), slots });
    for (const hub of hubs) await sessions(hub, 1);
    const crowds = hubs.map((hub, i) => new Crowd(hub, `h${i}`));
    await Promise.all(crowds.map((crowd) => crowd.ask(total, slots + 2)));
    for (const crowd of crowds) expect(crowd.answered).toBe(total);
    for (const { outcomes } of crowds) for (const { id, body } of outcomes) expect(body).toBe(`/${id}`);
    expect(origin.mostRunning).toBeLessThanOrEqual(slots);
    expect(origin.requests.length).toBe(3 * total);
    expect(Math.max(...timesEach(origin))).toBe(1);
    expect(await metric(agent, 'windlass_agent_slots{agent="box",state="free"}')).toBe(slots);
  });

  test.each([[1], [4]])('of %i slots: a hub that is killed takes its own clients with it and nobody else [fault 10]', async (slots) => {
    const origin = await startSlow(10);
    const hubs = await startHubs(3);
    const agent = await startAgentFor(hubs[0]!, origin, { ...BOX, hubs: hubs.map(urlOf), slots });
    for (const hub of hubs) await sessions(hub, 1);
    const crowds = hubs.map((hub, i) => new Crowd(hub, `h${i}`));
    const asked = crowds.map((crowd) => crowd.ask(60, slots + 2));
    await until('ten answers everywhere', () => crowds.every(({ outcomes }) => outcomes.length >= 10));
    hubs[0]!.destroy();
    await Promise.all(asked);
    expect(crowds[1]!.answered).toBe(60);
    expect(crowds[2]!.answered).toBe(60);
    // Those of the dead hub: answered before, or cut, and never something in between.
    for (const { status, complete, id, body } of crowds[0]!.outcomes) {
      if (complete && status === 200) expect(body).toBe(`/${id}`);
      else expect([0, 200, 502, 503]).toContain(status);
    }
    expect(crowds[0]!.answered).toBeLessThan(60);
    expect(origin.mostRunning).toBeLessThanOrEqual(slots);
    expect(Math.max(...timesEach(origin))).toBe(1);
    await metricBecomes(agent, 'windlass_agent_slots{agent="box",state="free"}', (free) => free === slots);
    expect(await metric(agent, 'windlass_hub_sessions{agent="box"}')).toBe(2);
  });

  test('a request that waits at one hub gets the slot that a request at another has held', async () => {
    const { origin, arrived } = await startHolding(tools);
    const hubs = await startHubs(2);
    await startAgentFor(hubs[0]!, origin, { ...BOX, hubs: hubs.map(urlOf) });
    for (const hub of hubs) await sessions(hub, 1);
    const first = await asks(tools, hubs[0]!, '/first');
    await arrived(0);
    const second = await asks(tools, hubs[1]!, '/second', ['Slime-Block: 1']);
    await metricBecomes(hubs[1]!, 'windlass_queue_size', (value) => value === 1);
    expect(origin.running).toBe(1);
    (await arrived(0)).response.end('one');
    (await arrived(1)).response.end('two');
    expect((await first.answer()).body.toString()).toBe('one');
    expect((await second.answer()).body.toString()).toBe('two');
    expect(origin.mostRunning).toBe(1);
  });

  test('requests that wait at several hubs are served by their age', async () => {
    const { origin, held, arrived } = await startHolding(tools);
    const hubs = await startHubs(3);
    await startAgentFor(hubs[0]!, origin, { ...BOX, hubs: hubs.map(urlOf) });
    for (const hub of hubs) await sessions(hub, 1);
    await asks(tools, hubs[0]!, '/now');
    await arrived(0);
    for (const [i, hub] of [hubs[2]!, hubs[0]!, hubs[1]!].entries()) {
      await asks(tools, hub, `/${i}`, ['Slime-Block: 1']);
      await metricBecomes(hub, 'windlass_queue_size', (value) => value === 1);
    }
    for (let i = 0; i < 4; i++) (await arrived(i)).response.end();
    expect(held.map(({ seen }) => seen.url)).toEqual(['/now', '/0', '/1', '/2']);
  });
});

describe('a slot whose client has left is nobody’s, at no hub, before its service has stopped', () => {
  test.each([
    // What the service hears first, and how it says that it has stopped.
    ['cancel', 60_000, 'fin', (one: OriginConnection) => one.end()],
    ['drain', 60_000, 'open', (one: OriginConnection) => one.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone')],
    ['drain_capped', 60_000, 'open', (one: OriginConnection) => one.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone')],
    ['drain_capped', 300, 'fin', (one: OriginConnection) => one.end()],
  ] as const)('with %s (at most %i ms)', async (onAbort, drainTimeoutMs, hears, stop) => {
    let running = 0;
    let most = 0;
    const origin = await startScript(async (connection) => {
      await connection.head();
      most = Math.max(most, ++running);
      if (connection.text.includes('/second')) connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
    });
    const hubs = await startHubs(2);
    await startAgentFor(hubs[0]!, origin, { ...BOX, hubs: hubs.map(urlOf), onAbort, drainTimeoutMs, cancelGraceMs: 60_000 });
    for (const hub of hubs) await sessions(hub, 1);
    const leaver = await asks(tools, hubs[0]!, '/first');
    await until('it to run', () => running === 1);
    const second = await asks(tools, hubs[1]!, '/second', ['Slime-Block: 1']);
    await metricBecomes(hubs[1]!, 'windlass_queue_size', (value) => value === 1);
    leaver.reset();
    await metricBecomes(hubs[0]!, 'windlass_requests_in_flight', (value) => value === 0);
    const service = origin.connections[0]!;
    if (hears === 'fin') expect(await service.ended()).toBe('fin');
    await turns(20);
    expect(service.ending).toBe(hears);
    expect([running, origin.connections.length]).toEqual([1, 1]);
    expect(await metric(hubs[1]!, 'windlass_queue_size')).toBe(1);
    running--;
    stop(service);
    expect((await second.answer()).body.toString()).toBe('ok');
    expect(most).toBe(1);
    for (const hub of hubs) await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 1);
  });
});

test('the number of slots can change while requests run at several hubs', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hubs = await startHubs(2);
  const agent = await startAgentFor(hubs[0]!, origin, { ...BOX, hubs: hubs.map(urlOf), slots: 2 });
  for (const hub of hubs) await sessions(hub, 1);
  for (let i = 0; i < 2; i++) {
    await asks(tools, hubs[i]!, `/${i}`);
    await arrived(i);
  }
  agent.resize(1);
  for (let i = 2; i < 5; i++) await asks(tools, hubs[i % 2]!, `/${i}`, ['Slime-Block: 1']);
  await metricBecomes(hubs[0]!, 'windlass_queue_size', (value) => value === 2);
  (await arrived(0)).response.end();
  await until('one running', () => origin.running === 1);
  (await arrived(1)).response.end();
  await arrived(2);
  expect(origin.running).toBe(1);
  agent.resize(3);
  await arrived(4);
  expect(origin.running).toBe(3);
});

describe('hubs are found', () => {
  test('at every address of a name, and a second way to one hub is not used while the first works', async () => {
    const origin = await startOrigin();
    const a = await startHubWith({ hubId: 'a', host: '127.0.0.1' });
    const { port } = a.address;
    const b = await startHubWith({ hubId: 'b', host: '127.0.0.2', port });
    const hubs = [parseUpstreamUrl(`hubs.test:${port}`), parseUpstreamUrl(`127.0.0.1:${port}`)];
    const agent = await startAgentFor(a, origin, { ...BOX, hubs }, {}, { resolve: () => Promise.resolve(['127.0.0.2', '127.0.0.1']) });
    await sessions(a, 1);
    await sessions(b, 1);
    expect(await metric(agent, 'windlass_hub_sessions{agent="box"}')).toBe(2);
    // Nobody was replaced on the way.
    expect(a.log.filter(({ message }) => message === 'agent joined').length).toBe(1);
    expect(a.log.filter(({ message }) => message === 'agent left').length).toBe(0);
  });

  test('when a hub names them, and the agent stays there when the one that named them leaves [fault 12]', async () => {
    const origin = await startSlow(1);
    const b = await startHubWith({ hubId: 'b' });
    const a = await startHubWith({ hubId: 'a', siblings: new Map([['b', urlOf(b)]]) });
    const agent = await startAgentFor(a, origin, BOX);
    await sessions(b, 1);
    await metricBecomes(agent, 'windlass_hub_sessions{agent="box"}', (value) => value === 2);
    await a.close();
    const crowd = new Crowd(b, 'b');
    await crowd.ask(20, 2);
    expect(crowd.answered).toBe(20);
    expect(b.log.filter(({ message }) => message === 'agent joined').length).toBe(1);
  });

  test('and a sibling that is not there harms nobody', async () => {
    const origin = await startOrigin();
    const a = await startHubWith({ hubId: 'a', siblings: new Map([['self', parseUpstreamUrl('127.0.0.1:1')]]) });
    const agent = await startAgentFor(a, origin, BOX);
    await sessions(a, 1);
    await until('a try at the sibling', () => agent.log.some(({ fields }) => fields['hub'] === 'http://127.0.0.1:1'));
    expect((await fetch(`http://127.0.0.1:${a.address.port}/`)).status).toBe(200);
  });
});

test('[fault 12] a hub that is stopped serves its queue first, and says goodbye to its agents last', async () => {
  const { origin, arrived } = await startHolding(tools);
  const [a, b] = await startHubs(2);
  await startAgentFor(a!, origin, { ...BOX, hubs: [urlOf(a!), urlOf(b!)] });
  for (const hub of [a!, b!]) await sessions(hub, 1);
  const clients = [await asks(tools, a!, '/0')];
  await arrived(0);
  for (let i = 1; i < 4; i++) clients.push(await asks(tools, a!, `/${i}`, ['Slime-Block: 1']));
  await metricBecomes(a!, 'windlass_queue_size', (value) => value === 3);
  const closed = a!.close();
  for (let i = 0; i < 4; i++) (await arrived(i)).response.end(String(i));
  for (let i = 0; i < 4; i++) expect((await clients[i]!.answer()).body.toString()).toBe(String(i));
  await closed;
  expect(await metric(b!, 'windlass_agent_sessions')).toBe(1);
  const other = await asks(tools, b!, '/after');
  (await arrived(4)).response.end('after');
  expect((await other.answer()).status).toBe(200);
});

describe('an agent that is restarted', () => {
  test('leaves its slots to its successor one by one as its work ends: the service never has more than that [threat 36]', async () => {
    const { origin, arrived } = await startHolding(tools);
    const hub = await startHubWith();
    const slotsLock = `${tools.folder()}/slots`;
    const settings = { slotsLock, slots: 2, agentId: 'box' };
    const old = await startAgentFor(hub, origin, settings);
    await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 2);
    const clients = [await asks(tools, hub, '/0')];
    await arrived(0);
    clients.push(await asks(tools, hub, '/1'));
    await arrived(1);
    const gone = old.close();
    await startAgentFor(hub, origin, settings);
    clients.push(await asks(tools, hub, '/2', ['Slime-Block: 1']), await asks(tools, hub, '/3', ['Slime-Block: 1']));
    await metricBecomes(hub, 'windlass_queue_size', (value) => value === 2);
    expect(origin.running).toBe(2);
    (await arrived(0)).response.end('0');
    await arrived(2);
    expect(origin.running).toBe(2);
    (await arrived(1)).response.end('1');
    await arrived(3);
    await gone;
    (await arrived(2)).response.end('2');
    (await arrived(3)).response.end('3');
    for (let i = 0; i < 4; i++) expect((await clients[i]!.answer()).body.toString()).toBe(String(i));
    expect(origin.mostRunning).toBe(2);
  });

  test('and was killed has left its slots at once', async () => {
    const { origin, arrived } = await startHolding(tools);
    const hub = await startHubWith();
    const settings = { slotsLock: `${tools.folder()}/slots`, slots: 1, agentId: 'box' };
    const old = await startAgentFor(hub, origin, settings);
    await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 1);
    await startAgentFor(hub, origin, settings);
    old.destroy();
    const client = await asks(tools, hub, '/', ['Slime-Block: 1']);
    (await arrived(0)).response.end('ok');
    expect((await client.answer()).status).toBe(200);
  });
});
