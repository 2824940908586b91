import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, metric, metricBecomes, SECRET, tokenFor } from '../kit/kit.ts';
import { Program } from '../kit/program.ts';
import { answerText, SlimeHubPeer, SlimeWorkerPeer, slimeToken } from '../kit/slime-peer.ts';
import { asks, field, get, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const program = new Program();
beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

const BLOCK = ['Slime-Block: 1'];
const OLD_SECRET = 'the secret of the old hub';

interface RunningHub {
  readonly port: number;
  readonly adminAddress: { readonly port: number };
  readonly err: () => string;
}

async function runHub(more: readonly string[] = []): Promise<RunningHub> {
  const folder = tools.folder();
  writeFileSync(join(folder, 'secret'), SECRET);
  writeFileSync(join(folder, 'old-secret'), OLD_SECRET);
  const files = ['--secret-file', join(folder, 'secret'), '--slime-secret-file', join(folder, 'old-secret')];
  const hub = program.run([
    'hub',
    'run',
    ...files,
    '--accept',
    'native,slime',
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--admin-addr',
    '127.0.0.1:0',
    ...more,
  ]);
  return {
    port: await hub.port('the hub listens'),
    adminAddress: { port: await hub.port('health and metrics') },
    err: () => hub.err,
  };
}

function runAgent(hub: { readonly port: number }, upstream: { readonly port: number }, token: string, more: readonly string[]) {
  const file = join(tools.folder(), 'token');
  writeFileSync(file, token);
  const where = ['--hub', `http://127.0.0.1:${hub.port}`, '--upstream', `127.0.0.1:${upstream.port}`, '--token-file', file, '--state-dir', 'off'];
  return program.run(['agent', 'run', ...where, ...more]);
}

test('a hub of ours serves an agent of slime, one of ours over both wires, with tokens of both hubs', { timeout: 40_000 }, async () => {
  const hub = await runHub();
  const registered = execFileSync(
    process.execPath,
    [program.main, 'hub', 'register', '--format', 'slime', '--slime-secret', OLD_SECRET, '--scopes', 'old'],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  ).trim();
  expect(registered).toMatch(/^[A-Z2-7]+$/);
  const worker = await new SlimeWorkerPeer(tools, hub, registered, 900).connect();
  expect((await worker.join()).status).toBe(200);
  worker.poll();
  const origin = await tools.startOrigin((_request, response) => response.end('ours'));
  runAgent(hub, origin, tokenFor({ id: 'n', scopes: ['native'] }), []);
  runAgent(hub, origin, slimeToken(OLD_SECRET, { id: 11, scopes: ['wire'] }), ['--wire', 'slime', '--agent-id', '4000', '--num-worker', '4']);
  await metricBecomes(hub, 'windlass_agents_connected', (count) => count === 6);
  const asked = await Promise.all(['old', 'native', 'wire'].map((scope) => asks(tools, hub, '/', [...BLOCK, `Slime-Scope: ${scope}`])));
  await worker.submit((await worker.work()).connectionId, answerText('theirs'));
  const answers = await Promise.all(asked.map((client) => client.answer()));
  expect(answers.map(({ body }) => body.toString())).toEqual(['theirs', 'ours', 'ours']);
  expect(field(answers[0]!, 'Slime-Agent-Id')).toBe('900');
  expect(field(answers[2]!, 'Slime-Agent-Id')).toMatch(/^400[0-3]$/);
});

test('large bodies pass both ways over slime, many at once, and each is whole', { timeout: 40_000 }, async () => {
  const hub = await runHub();
  const origin = await tools.startOrigin((request, response) => void request.pipe(response));
  runAgent(hub, origin, tokenFor(), ['--wire', 'slime', '--num-worker', '8']);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 8);
  const body = Buffer.alloc(3_000_000);
  for (let i = 0; i < body.length; i++) body[i] = (i * 31 + (i >> 8)) & 255;
  const same = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const size = i % 2 === 0 ? body.length : i * 1000;
      const client = await tools.rawClient(hub);
      client.send(`POST /${i} HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: ${size}\r\n\r\n`).send(body.subarray(0, size));
      return (await client.answer('POST')).body.equals(body.subarray(0, size));
    }),
  );
  expect(same).toEqual(same.map(() => true));
});

test(
  '[rule R1] an agent that is killed with requests: those of GET go to another, a POST is told 502, and nobody waits for ever',
  { timeout: 40_000 },
  async () => {
    const hub = await runHub();
    const holding = await startHolding(tools);
    const doomed = runAgent(hub, holding.origin, tokenFor({ id: 'a' }), ['--wire', 'slime', '--num-worker', '2']);
    await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 2);
    const read = await asks(tools, hub, '/', BLOCK);
    await holding.arrived(0);
    const write = await tools.rawClient(hub);
    write.send('POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 0\r\n\r\n');
    await holding.arrived(1);
    doomed.child.kill('SIGKILL');
    expect((await write.answer('POST')).status).toBe(502);
    runAgent(hub, await tools.startOrigin(), tokenFor({ id: 'b' }), ['--wire', 'slime']);
    expect((await read.answer()).status).toBe(200);
  },
);

test('[fault 29, rule R5] a client that leaves stops the service at the other end', { timeout: 40_000 }, async () => {
  const hub = await runHub();
  const holding = await startHolding(tools);
  runAgent(hub, holding.origin, tokenFor(), ['--wire', 'slime']);
  const client = await asks(tools, hub, '/', BLOCK);
  const { response, seen } = await holding.arrived(0);
  response.write('some');
  await client.until(({ text }) => text.includes('some'), 'some');
  client.reset();
  await until('the departure', () => seen.aborted);
  // Its slot is free again.
  const next = await asks(tools, hub, '/next', BLOCK);
  (await holding.arrived(1)).response.end('served');
  expect((await next.answer()).body.toString()).toBe('served');
});

test('an agent of ours serves a hub of slime from the command line', { timeout: 40_000 }, async () => {
  const hub = new SlimeHubPeer();
  const { port } = await tools.startScript(hub.script);
  const origin = await tools.startOrigin((_request, response) => response.end('from behind'));
  const agent = runAgent({ port }, origin, slimeToken(OLD_SECRET), [
    '--wire',
    'slime',
    '--agent-id',
    '70',
    '--num-worker',
    '2',
    '--drain-timeout',
    '5s',
  ]);
  const id = await hub.give(get('/x'));
  expect((await hub.submitted(id)).text).toMatch(/from behind$/);
  expect([...hub.agentIds].every((one) => one === '70' || one === '71')).toBe(true);
  agent.child.kill('SIGTERM');
  await until('its end', () => !agent.alive);
  expect(agent.child.exitCode).toBe(0);
});

test('a gateway takes agents of slime where its file says so, and lets them finish when it no longer does', { timeout: 20_000 }, async () => {
  const file = (accepts: string): string => `
[servers.web]
addr = "127.0.0.1:0"
locations = ["all"]
accepts = [${accepts}]
[locations.all]
upstream = "agents"
[upstreams.agents]
agents = "*"
queue_timeout = "10s"
[agents]
secret = "${SECRET}"
slime_secret = "${OLD_SECRET}"
`;
  const gateway = await startGatewayOf(tools, file('"native", "slime"'));
  const hub = { port: gateway.port() };
  const worker = await new SlimeWorkerPeer(tools, hub, slimeToken(OLD_SECRET), 1).connect();
  const client = await asks(tools, hub);
  const work = await worker.poll().work();
  await gateway.change(file('"native"'));
  expect((await worker.submit(work.connectionId, answerText('last'))).status).toBe(200);
  expect((await client.answer()).body.toString()).toBe('last');
  await gateway.change(file('"slime"'));
  const back = await new SlimeWorkerPeer(tools, hub, slimeToken(OLD_SECRET), 1).connect();
  back.poll();
  const again = await asks(tools, hub);
  await back.submit((await back.work()).connectionId, answerText('back'));
  expect((await again.answer()).body.toString()).toBe('back');
});

test('[threat 35] a token that is revoked at a reload ends its poll at once', async () => {
  const folder = tools.folder();
  const revokedFile = join(folder, 'revoked');
  writeFileSync(revokedFile, '');
  const hub = await tools.startHubWith({ accepts: ['slime'], slimeSecrets: [OLD_SECRET], revokedFile });
  const worker = await new SlimeWorkerPeer(tools, hub, slimeToken(OLD_SECRET, { id: 77 }), 1).connect();
  worker.poll();
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 1);
  writeFileSync(revokedFile, '77\n');
  hub.reload();
  expect((await worker.client.answer('POST')).status).toBe(401);
  expect((await worker.join()).status).toBe(401);
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(0);
});
