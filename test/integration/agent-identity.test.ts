import { availableParallelism, totalmem } from 'node:os';
import { afterEach, expect, test } from 'vitest';
import { kit } from '../kit/kit.ts';
import { TestHub } from '../kit/tunnel.ts';
import { until } from '../kit/until.ts';

const { dialHub } = kit();
const hubs: TestHub[] = [];
afterEach(() => hubs.splice(0).forEach((hub) => hub.close()));

async function startTestHub(): Promise<TestHub> {
  const hub = await new TestHub().listen();
  hubs.push(hub);
  return hub;
}

test('an agent tells its hub its id, labels, slots and hardware', async () => {
  const hub = await startTestHub();
  const labels = new Map([
    ['name', 'ann'],
    ['models', 'a,b'],
  ]);
  await dialHub({ port: hub.port }, { port: 1 }, { token: 'good', agentId: 'box', labels, slots: 3, reportHardware: true });
  const session = await until('the session', () => hub.sessions[0]);
  expect(session.agent).toMatchObject({ id: 'box', hardware: { cpuCores: availableParallelism(), memoryBytes: totalmem(), arch: process.arch } });
  expect(Object.fromEntries(session.agent.labels)).toMatchObject({ name: 'ann', models: 'a,b' });
  expect(session).toMatchObject({ slots: 3, free: 3 });
});

test('an agent that is told not to report its hardware does not', async () => {
  const hub = await startTestHub();
  await dialHub({ port: hub.port }, { port: 1 }, { token: 'good', reportHardware: false });
  expect((await until('the session', () => hub.sessions[0])).agent.hardware).toBeNull();
});

test('each start of an agent is an instance of its own', async () => {
  const hub = await startTestHub();
  for (let i = 0; i < 2; i++) await dialHub({ port: hub.port }, { port: 1 }, { token: 'good', agentId: 'same' });
  await until('both', () => hub.sessions.length === 2);
  const [a, b] = hub.sessions.map(({ agent }) => agent);
  expect(a!.id).toBe(b!.id);
  expect(a!.instance).not.toBe(b!.instance);
});
