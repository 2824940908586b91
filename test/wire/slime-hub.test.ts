import { expect, test } from 'vitest';
import { kit, SECRET, tokenFor } from '../kit/kit.ts';
import { answerText, chunk, SlimeWorkerPeer, slimeToken } from '../kit/slime-peer.ts';
import { asks, field, get } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, rawClient } = tools;

const SLIME = { accepts: ['slime'], slimeSecrets: ['old secret'], blockTimeoutMs: 20_000 } as const;
const BLOCK = ['Slime-Block: 1'];
const token = slimeToken('old secret');

async function worker(hub: Parameters<typeof rawClient>[0], id: number | string = 1000, as = token): Promise<SlimeWorkerPeer> {
  return new SlimeWorkerPeer(tools, hub, as, id).connect();
}

test('a worker of slime joins, takes a request as text, and its answer reaches the application with the agent id', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const joined = await peer.join(
    '{"CPUCores":8,"CPUThreads":16,"MemoryPhysicalGB":64,"GPUNames":["A100"],"MacAddresses":[],"PlatformArch":"amd64","PlatformOS":"linux"}',
  );
  expect([joined.status, joined.body.length]).toEqual([200, 0]);
  const client = await asks(tools, hub, '/v1/models?x=1', [...BLOCK, 'X-Of-Mine: yes']);
  const work = await peer.poll().work();
  const [line, ...fields] = work.request.split('\r\n');
  expect(line).toBe('GET /v1/models?x=1 HTTP/1.1');
  expect(fields).toContain('Host: app.example');
  expect(fields).toContain('X-Of-Mine: yes');
  expect(work.request.endsWith('\r\n\r\n')).toBe(true);
  const submitted = await peer.submit(work.connectionId, answerText('hello', ['X-Theirs: 1']));
  expect([submitted.status, submitted.body.length]).toEqual([200, 0]);
  const answer = await client.answer();
  expect([answer.status, answer.body.toString(), field(answer, 'X-Theirs'), field(answer, 'Slime-Agent-Id')]).toEqual([200, 'hello', '1', '1000']);
  const status = (await (await fetch(`http://127.0.0.1:${hub.adminAddress!.port}/status`)).json()) as { agentList: { hardware?: object }[] };
  expect(status.agentList[0]!.hardware).toMatchObject({ cpuCores: 8, memoryBytes: 64 * 1024 ** 3, gpus: ['A100'], platform: 'linux', arch: 'amd64' });
});
