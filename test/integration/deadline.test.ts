import { expect, test } from 'vitest';
import { kit } from '../kit/kit.ts';
import { asks, startHolding } from '../kit/stage.ts';

const tools = kit();
const { startHubWith, startAgentFor } = tools;

test('[fault 8] [fault 23] a request without an answer is a 504 at its deadline, which the agent is told, and its upstream is cancelled', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ timeoutMs: 300 });
  await startAgentFor(hub, origin);
  const client = await asks(tools, hub);
  const { request } = await arrived(0);
  const gone = new Promise((resolve) => request.socket.once('close', resolve));
  const answer = await client.answer();
  expect(answer.status).toBe(504);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'deadline' });
  await gone;
});

test('the deadline covers the wait for a slot: what is left of it is the agent’s', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ timeoutMs: 600 });
  await startAgentFor(hub, origin);
  const first = await asks(tools, hub);
  await arrived(0);
  const second = await asks(tools, hub, '/', ['Slime-Block: 1']);
  expect((await first.answer()).status).toBe(504);
  expect((await second.answer()).status).toBe(504);
});
