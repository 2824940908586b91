import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SlotsLock } from '../../src/agent/slots-lock.ts';
import { parseHealthCheck } from '../../src/schema/health-check.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import type { HttpOrigin } from '../kit/http-origin.ts';
import { kit, metric, metricBecomes, type Served, type ServedAgent } from '../kit/kit.ts';
import { asks } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, startAgentFor, startOrigin } = tools;

const CHECK = parseHealthCheck('http://model/health?check_frequency=100ms');
const ADMIN = { host: '127.0.0.1', port: 0 };

/** A service that can be made ill: then it answers everything with 500. It holds what asks for /held until it is let go. */
interface Service {
  readonly origin: HttpOrigin;
  ill: boolean;
  /** Targets that it was asked for, but for its health. */
  readonly asked: () => string[];
  readonly letGo: () => void;
}

async function startService({ ill = false } = {}): Promise<Service> {
  const held: (() => void)[] = [];
  const service = { ill };
  const origin = await startOrigin((request, response, { url }) => {
    request.resume();
    if (url === '/held') held.push(() => response.end('held'));
    else response.writeHead(service.ill ? 500 : 200).end(service.ill ? 'ill' : 'well');
  });
  return Object.assign(service, {
    origin,
    asked: () => origin.requests.map(({ url }) => url).filter((url) => url !== '/health'),
    letGo: () => held.shift()!(),
  });
}

function startHub(): Promise<Served> {
  return startHubWith({ queueTimeoutMs: 60_000 });
}

function startAgent(hub: Served, { origin }: Service, settings: Parameters<typeof startAgentFor>[2] = {}): Promise<ServedAgent> {
  return startAgentFor(hub, origin, { healthCheck: CHECK, adminAddr: ADMIN, ...settings });
}

/** Waits until the hub is offered so many slots, free ones and busy ones. */
async function offered(hub: Served, slots: number): Promise<void> {
  await until(`${slots} slots at the hub`, async () => {
    const [free, busy] = [await metric(hub, 'windlass_agent_slots{state="free"}'), await metric(hub, 'windlass_agent_slots{state="busy"}')];
    return free + busy === slots;
  });
}

async function ready(agent: ServedAgent): Promise<{ status: number; [detail: string]: unknown }> {
  const response = await fetch(`http://127.0.0.1:${agent.adminAddress!.port}/readyz?verbose`);
  return { status: response.status, ...((await response.json()) as object) };
}

function flips(agent: ServedAgent): string[] {
  return agent.log.filter(({ message }) => message.startsWith('the upstream')).map(({ level, fields }) => `${level} ${String(fields['reason'])}`);
}

test('while a service fails its requests wait, and are served when it is well again', async () => {
  const service = await startService();
  const hub = await startHub();
  const agent = await startAgent(hub, service, { slots: 2 });
  await offered(hub, 2);
  expect((await (await asks(tools, hub, '/before')).answer()).status).toBe(200);

  service.ill = true;
  await offered(hub, 0);
  const clients = [await asks(tools, hub, '/1'), await asks(tools, hub, '/2'), await asks(tools, hub, '/3')];
  await metricBecomes(hub, 'windlass_queue_size', (waiting) => waiting === 3);
  const { length } = service.origin.requests;
  await until('three more looks', () => service.origin.requests.length >= length + 3);
  expect(service.asked()).toEqual(['/before']);

  service.ill = false;
  for (const client of clients) expect(await client.answer()).toMatchObject({ status: 200, body: Buffer.from('well') });
  expect(service.asked().toSorted()).toEqual(['/1', '/2', '/3', '/before']);
  expect(flips(agent)).toEqual(['info answers 200', 'warn answers 500', 'info answers 200']);
});

test('a service that is not well when its agent starts is offered nothing, one that stops listening no more', async () => {
  const service = await startService({ ill: true });
  const hub = await startHub();
  const agent = await startAgent(hub, service);
  const client = await asks(tools, hub, '/early');
  await metricBecomes(hub, 'windlass_queue_size', (waiting) => waiting === 1);
  await until('it was looked at', () => flips(agent).length === 1);
  expect(service.asked()).toEqual([]);
  service.ill = false;
  expect((await client.answer()).status).toBe(200);

  await service.origin.close();
  await offered(hub, 0);
  expect(flips(agent)).toEqual(['warn answers 500', 'info answers 200', 'warn the connection is refused']);
  // The kit closes it once more.
  service.origin.server.listen(0, '127.0.0.1');
});

test('what runs when a service begins to fail goes on, and its slot is not offered again', async () => {
  const service = await startService();
  const hub = await startHub();
  await startAgent(hub, service, { slots: 2 });
  await offered(hub, 2);
  const running = await asks(tools, hub, '/held');
  await until('the request at the service', () => service.asked().length === 1);
  service.ill = true;
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 0);
  const waiting = await asks(tools, hub, '/after');
  await metricBecomes(hub, 'windlass_queue_size', (size) => size === 1);
  service.letGo();
  expect(await running.answer()).toMatchObject({ status: 200, body: Buffer.from('held') });
  const { length } = service.origin.requests;
  await until('three more looks', () => service.origin.requests.length >= length + 3);
  expect(service.asked()).toEqual(['/held']);
  service.ill = false;
  expect((await waiting.answer()).status).toBe(200);
});

test('the agent tells how its service is: metric, readiness, looks counted', async () => {
  const service = await startService();
  const hub = await startHub();
  const agent = await startAgent(hub, service, { agentId: 'one' });
  await metricBecomes(agent, 'windlass_upstream_healthy{agent="one"}', (value) => value === 1);
  expect(await ready(agent)).toEqual({ status: 200, ready: true, joined: 1, agents: 1, healthy: 1 });
  service.ill = true;
  await metricBecomes(agent, 'windlass_upstream_healthy{agent="one"}', (value) => value === 0);
  expect(await ready(agent)).toEqual({ status: 503, ready: false, joined: 1, agents: 1, healthy: 0 });
  expect(await metric(agent, 'windlass_health_checks_total{result="pass"}')).toBeGreaterThan(0);
  expect(await metric(agent, 'windlass_health_checks_total{result="fail"}')).toBeGreaterThanOrEqual(2);
});

test('of two services only the one that fails is withdrawn', async () => {
  const [well, ill] = [await startService(), await startService({ ill: true })];
  const hub = await startHub();
  const agent = await startAgent(hub, well, {
    agentId: 'two',
    upstreams: [well, ill].map(({ origin }) => parseUpstreamUrl(`127.0.0.1:${origin.port}`)),
  });
  await metricBecomes(agent, 'windlass_upstream_healthy{agent="two"}', (value) => value === 1);
  await metricBecomes(agent, 'windlass_upstream_healthy{agent="two-2"}', (value) => value === 0);
  await until('both have been looked at', () => flips(agent).length === 2);
  for (let i = 0; i < 4; i++) expect((await (await asks(tools, hub, `/${i}`)).answer()).status).toBe(200);
  expect([well.asked().length, ill.asked().length]).toEqual([4, 0]);
  expect(await ready(agent)).toMatchObject({ status: 200, joined: 2, agents: 2, healthy: 1 });
});

test('a new number of slots is offered when the service is well, not before', async () => {
  const service = await startService({ ill: true });
  const hub = await startHub();
  const agent = await startAgent(hub, service);
  await until('it was looked at', () => flips(agent).length === 1);
  agent.resize(3);
  const { length } = service.origin.requests;
  await until('three more looks', () => service.origin.requests.length >= length + 3);
  await offered(hub, 0);
  service.ill = false;
  await offered(hub, 3);
});

test('locked slots of a service that fails go to another process, and only those of a service that is well are taken', async () => {
  const service = await startService();
  const hub = await startHub();
  const slotsLock = join(tools.folder(), 'slots');
  const agent = await startAgent(hub, service, { slots: 2, slotsLock });
  await offered(hub, 2);
  const running = await asks(tools, hub, '/held');
  await until('the request at the service', () => service.asked().length === 1);
  const other = new SlotsLock({ file: slotsLock, upstream: `http://127.0.0.1:${service.origin.port}`, changed: () => {} });
  tools.later(() => other.close());
  other.want(2, 0);
  service.ill = true;
  await until('the slot that is free goes to the other process', () => other.held === 1);
  service.letGo();
  await running.answer();
  await until('and the other one, when its request is done', () => other.held === 2);
  service.ill = false;
  await until('the service is well again', () => flips(agent).length === 3);
  await offered(hub, 0);
  other.want(0, 0);
  await offered(hub, 2);
});

test('an agent that is stopped probes no more', async () => {
  const [one, other] = [await startService(), await startService()];
  const hub = await startHub();
  const agent = await startAgent(hub, one);
  await startAgent(hub, other);
  await offered(hub, 2);
  await agent.close();
  await until('no connection is left', () => one.origin.open === 0);
  const [before, looks] = [one.origin.requests.length, other.origin.requests.length];
  await until('three looks at the other', () => other.origin.requests.length >= looks + 3);
  expect(one.origin.requests.length).toBe(before);
});

test('an agent that is being stopped gives its slots away one by one, also when its service becomes well meanwhile', async () => {
  const [service, metronome] = [await startService(), await startService()];
  const hub = await startHub();
  const slotsLock = join(tools.folder(), 'slots');
  const agent = await startAgent(hub, service, { slots: 2, slotsLock, drainTimeoutMs: 60_000 });
  await offered(hub, 2);
  const running = [await asks(tools, hub, '/held'), await asks(tools, hub, '/held')];
  await until('the requests at the service', () => service.asked().length === 2);
  service.ill = true;
  await until('the service fails', () => flips(agent).length === 2);
  const closed = agent.close();
  service.ill = false;
  await startAgent(hub, metronome);
  await until('three looks at another service', () => metronome.origin.requests.length >= 3);
  const next = new SlotsLock({ file: slotsLock, upstream: `http://127.0.0.1:${service.origin.port}`, changed: () => {} });
  tools.later(() => next.close());
  next.want(2, 0);
  service.letGo();
  await until('the next process has the first slot', () => next.held === 1);
  service.letGo();
  await closed;
  await until('it has both', () => next.held === 2);
  for (const client of running) expect((await client.answer()).status).toBe(200);
});
