import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { kit, metric, metricBecomes, tokenFor } from '../kit/kit.ts';
import { asks, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startHubWith, startAgentFor, dialHub, folder } = tools;

const said = (log: readonly { readonly message: string }[], words: string): boolean => log.some(({ message }) => message.includes(words));

test('a revoked token: its live session is cut at the reload, its next hello is refused with the reason, others go on [threat 35]', async () => {
  const { origin, arrived } = await startHolding(tools);
  const others = await startHolding(tools);
  const revokedFile = join(folder(), 'revoked');
  writeFileSync(revokedFile, '');
  const hub = await startHubWith({ revokedFile });
  const agent = await startAgentFor(hub, origin, { token: tokenFor({ id: 'lost-laptop', scopes: ['lost'] }), agentId: 'lost' });
  await startAgentFor(hub, others.origin, { token: tokenFor({ id: 'good', scopes: ['good'] }), agentId: 'good' });
  const cut = await asks(tools, hub, '/', ['Slime-Scope: lost']);
  await arrived(0);
  const undisturbed = await asks(tools, hub, '/', ['Slime-Scope: good']);
  const held = await others.arrived(0);

  writeFileSync(revokedFile, '# stolen on Monday\nlost-laptop   # Ann\n');
  hub.reload();
  expect((await cut.answer()).status).toBe(502);
  await metricBecomes(hub, 'windlass_agent_sessions', (value) => value === 1);
  await until('the agent to say why', () => said(agent.log, 'revoked'));
  held.response.end('whole');
  expect((await undisturbed.answer()).body.toString()).toBe('whole');

  const again = await dialHub(hub, origin, { token: tokenFor({ id: 'lost-laptop' }), agentId: 'again' });
  await until('the new hello to be refused', () => said(again.log, "refused this agent's token: the agent token has been revoked"));
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(1);
});

test('a token may be revoked by its name, and comes back when the list is shorter', async () => {
  const origin = await startOrigin();
  const revokedFile = join(folder(), 'revoked');
  writeFileSync(revokedFile, 'calm-otter\n');
  const hub = await startHubWith({ revokedFile });
  const agent = await dialHub(hub, origin, { token: tokenFor({ id: 'x1', name: 'calm-otter' }) }, { refusedRetryMs: 20 });
  await until('the refusal', () => said(agent.log, 'revoked'));
  writeFileSync(revokedFile, '');
  hub.reload();
  await agent.ready;
  expect((await (await asks(tools, hub)).answer()).status).toBe(200);
});

test('a list of revoked tokens that cannot be read stays as it was, and stops a hub from starting', async () => {
  const origin = await startOrigin();
  const path = folder();
  const revokedFile = join(path, 'revoked');
  await expect(startHubWith({ revokedFile })).rejects.toThrow('revoked" does not exist; give the path');
  writeFileSync(revokedFile, 'x1');
  const hub = await startHubWith({ revokedFile });
  writeFileSync(revokedFile, Buffer.from([0xff, 0xfe, 0x00]));
  hub.reload();
  expect(said(hub.log, 'stays as it was')).toBe(true);
  const agent = await dialHub(hub, origin, { token: tokenFor({ id: 'x1' }) });
  await until('the refusal', () => said(agent.log, 'revoked'));
});

test('an agent that announces more than its token allows is turned away as a whole [threat 37]', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  const token = tokenFor({ labels: new Map([['route', '/images /video']]) });
  const greedy = await dialHub(hub, origin, { token, agentId: 'greedy', labels: new Map([['route', '/images /admin']]) });
  await until('the refusal', () => said(greedy.log, 'turned this agent away'));
  expect(greedy.log.find(({ level }) => level === 'warn')!.message).toContain('label route');
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(0);
  await startAgentFor(hub, origin, { token, agentId: 'modest', labels: new Map([['route', '/video']]) });
  expect((await (await asks(tools, hub)).answer()).status).toBe(200);
});
