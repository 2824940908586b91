import { expect, test } from 'vitest';
import type { HubStatus } from '../../src/hub/status.ts';
import { kit, metricBecomes, type Served, tokenFor } from '../kit/kit.ts';
import { asks, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, startAgentFor } = tools;

const BLOCK = 'Slime-Block: 1';

async function statusText(hub: Served): Promise<string> {
  return (await fetch(`http://127.0.0.1:${hub.adminAddress!.port}/status`)).text();
}

async function statusOf(hub: Served): Promise<HubStatus> {
  return JSON.parse(await statusText(hub)) as HubStatus;
}

test('of a hub lists its agents, and who waits in the order in which they are served', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ hubId: 'hub-7' });
  expect(await statusOf(hub)).toMatchObject({ hub: 'hub-7', state: 'serving', agentList: [], queue: { size: 0, oldestAgeMs: 0, waiting: [] } });
  const token = tokenFor({ name: 'gpu', scopes: ['big'] });
  await startAgentFor(hub, origin, { slots: 2, agentId: 'box', token });
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 2);
  const first = await asks(tools, hub, '/0');
  (await arrived(0)).response.end();
  await first.answer();
  for (let i = 1; i <= 2; i++) {
    await asks(tools, hub, `/${i}`);
    await arrived(i);
  }
  const waits = [[BLOCK], [BLOCK, 'Slime-Scope: big'], [BLOCK, 'Slime-Scope: nobody-has-it'], [BLOCK]];
  for (const [i, fields] of waits.entries()) {
    await asks(tools, hub, `/wait-${i}?token=canary`, [...fields, 'Authorization: Bearer canary', 'Cookie: id=canary']);
    await metricBecomes(hub, 'windlass_queue_size', (size) => size === i + 1);
  }
  const status = await statusOf(hub);
  expect(status.agents).toEqual({ connected: 1, sessions: 1, slots: 2, free: 0, inFlight: 2 });
  expect(status.agentList).toEqual([{ id: 'box', name: 'gpu', sessions: 1, slots: 2, free: 0, inFlight: 2 }]);
  const { queue } = status;
  expect(queue.size).toBe(4);
  expect(queue.waiting.map(({ position, scope }) => [position, scope])).toEqual([
    [1, undefined],
    [2, 'big'],
    [3, 'nobody-has-it'],
    [4, undefined],
  ]);
  const ages = queue.waiting.map(({ ageMs }) => ageMs);
  expect(ages).toEqual(ages.toSorted((a, b) => b - a));
  expect(queue.oldestAgeMs).toBe(ages[0]);
  const estimates = queue.waiting.map(({ estimatedWaitMs }) => estimatedWaitMs);
  expect(estimates[2]).toBe(null);
  expect(estimates[0]).toBeLessThanOrEqual(estimates[3]!);
  expect(await statusText(hub)).not.toContain('canary');
  // Two slots come back: the first two go, and the fourth before the third, which nobody may serve.
  (await arrived(1)).response.end();
  (await arrived(2)).response.end();
  await arrived(4);
  expect((await statusOf(hub)).queue.waiting.map(({ position, scope }) => [position, scope])).toEqual([
    [1, 'nobody-has-it'],
    [2, undefined],
  ]);
});

test('of an agent with two processes counts them together, and a hub that stops says so', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ drainTimeoutMs: 5_000 });
  for (let i = 0; i < 2; i++) await startAgentFor(hub, origin, { slots: 3, agentId: 'twin' });
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 6);
  const { agents, agentList } = await statusOf(hub);
  expect(agents).toMatchObject({ connected: 1, sessions: 2, slots: 6 });
  expect(agentList).toMatchObject([{ id: 'twin', sessions: 2, slots: 6, free: 6, inFlight: 0 }]);
  await asks(tools, hub);
  const held = await arrived(0);
  const closed = hub.close();
  await until('it to say so', async () => (await statusOf(hub)).state === 'draining');
  held.response.end();
  await closed;
});

test('lists a hundred of those who wait and no more, however long their scopes are', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  await asks(tools, hub);
  await arrived(0);
  const long = 'x'.repeat(5_000);
  for (let i = 0; i < 120; i++) await asks(tools, hub, '/', [BLOCK, ...(i % 2 === 0 ? [`Slime-Scope: ${long}${i}`] : [])]);
  await metricBecomes(hub, 'windlass_queue_size', (size) => size === 120);
  const text = await statusText(hub);
  expect(text.length).toBeLessThan(50_000);
  const { queue } = JSON.parse(text) as HubStatus;
  expect(queue.size).toBe(120);
  expect(queue.waiting.map(({ position }) => position)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
});

test.each(['POST', 'PUT', 'DELETE'])('takes no %s', async (method) => {
  const hub = await startHubWith();
  const answer = await fetch(`http://127.0.0.1:${hub.adminAddress!.port}/status`, { method });
  expect(answer.status).toBe(405);
});
