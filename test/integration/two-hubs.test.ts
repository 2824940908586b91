import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { kit, metric, metricBecomes, SECRET, tokenFor } from '../kit/kit.ts';
import { Program, type RunningProgram } from '../kit/program.ts';
import { asks, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { folder, startAgentFor, startHubWith, startOrigin } = tools;
const program = new Program();
beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

const BLOCK = ['Slime-Block: 1'];

interface HubProcess {
  readonly running: RunningProgram;
  readonly port: number;
  readonly admin: { readonly adminAddress: { readonly port: number } };
}

async function runHub(id: string, port = 0, more: readonly string[] = []): Promise<HubProcess> {
  const file = join(folder(), 'secret');
  writeFileSync(file, SECRET);
  const running = program.run(
    // prettier-ignore
    ['hub', 'run', '--secret-file', file, '--hub-id', id, '--host', '127.0.0.1', '--port', String(port), '--admin-addr', '127.0.0.1:0', '--log-format', 'json', ...more],
  );
  const bound = await running.port('the hub listens');
  return { running, port: bound, admin: { adminAddress: { port: await running.port('/metrics') } } };
}

function runAgent(hubs: readonly number[], origin: number, more: readonly string[] = []): RunningProgram {
  const dir = folder();
  writeFileSync(join(dir, 'token'), tokenFor());
  return program.run(
    // prettier-ignore
    ['agent', 'run', '--token-file', join(dir, 'token'), '--hub', hubs.map((port) => `127.0.0.1:${port}`).join(','), '--upstream', `127.0.0.1:${origin}`, '--report-hardware=false', '--log-format', 'json', '--state-dir', 'off', ...more],
  );
}

type Fate = 'answered' | 'no connection' | 'cut' | 'status';

/** One POST. `no connection`: nothing of it has left, so whoever sent it may go to the next address, as browsers and load balancers do. */
function post(agent: http.Agent, port: number, id: string): Promise<Fate> {
  return new Promise((resolve) => {
    const headers = { 'Slime-Block': '1', Host: 'a' };
    const request = http.request({ port, host: '127.0.0.1', agent, method: 'POST', path: `/${id}`, headers }, (response) => {
      let body = '';
      response.on('data', (piece: Buffer) => (body += piece.toString()));
      response.on('close', () => {
        if (!response.complete) resolve('cut');
        else resolve(response.statusCode === 200 && body === `/${id}` ? 'answered' : 'status');
      });
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED' ? 'no connection' : 'cut'));
    request.end('hi');
  });
}

test(
  'two hubs: one is killed with -9 under load, and clients that try the other address when one refuses lose only what was in flight on it; started again, it has its agents back',
  { timeout: 60_000 },
  async () => {
    let running = 0;
    let most = 0;
    const came = new Map<string, number>();
    const origin = await startOrigin((request, response) => {
      most = Math.max(most, ++running);
      came.set(request.url!, (came.get(request.url!) ?? 0) + 1);
      response.on('close', () => running--);
      request.resume();
      request.on('end', () => setTimeout(() => response.end(request.url), 10));
    });
    const hubs = [await runHub('a'), await runHub('b')];
    const agents = [
      runAgent(
        hubs.map(({ port }) => port),
        origin.port,
        ['--num-worker', '3'],
      ),
      runAgent(
        hubs.map(({ port }) => port),
        origin.port,
        ['--num-worker', '1'],
      ),
    ];
    for (const { admin } of hubs) await metricBecomes(admin, 'windlass_agent_sessions', (count) => count === 2);
    const keepAlive = new http.Agent({ keepAlive: false });
    const CLIENTS = 8;
    const fates: { id: string; hub: number; fate: Fate; sentMs: number; endMs: number }[] = [];
    let sent = 0;
    let over = false;
    let killedMs = Number.POSITIVE_INFINITY;
    const clients = Promise.all(
      Array.from({ length: CLIENTS }, async (_, client) => {
        while (!over) {
          const id = `r${sent++}`;
          for (let hub = client % 2, tries = 0; tries < 2; hub = 1 - hub, tries++) {
            const sentMs = performance.now();
            const fate = await post(keepAlive, hubs[hub]!.port, id);
            if (fate === 'no connection') continue;
            fates.push({ id, hub, fate, sentMs, endMs: performance.now() });
            break;
          }
        }
      }),
    );
    const answered = (hub: number) => fates.filter((one) => one.hub === hub && one.fate === 'answered').length;
    await until('some answers', () => answered(0) >= 30 && answered(1) >= 30);
    killedMs = performance.now();
    hubs[0]!.running.child.kill('SIGKILL');
    const before = answered(1);
    await until('answers of the other', () => answered(1) >= before + 100);
    // The same address again.
    hubs[0] = await runHub('a', hubs[0]!.port);
    await metricBecomes(hubs[0].admin, 'windlass_agent_sessions', (count) => count === 2);
    const again = answered(0);
    await until('answers of the one that is back', () => answered(0) >= again + 50);
    over = true;
    await clients;
    const lost = fates.filter(({ fate }) => fate !== 'answered');
    // Each was on its way to the hub that was killed, or in it, at that moment: no more than there were clients.
    expect(lost.length).toBeLessThanOrEqual(CLIENTS);
    for (const { hub, fate, sentMs, endMs } of lost) {
      expect([hub, fate]).toEqual([0, 'cut']);
      expect(sentMs).toBeLessThanOrEqual(killedMs + 1_000);
      expect(endMs).toBeGreaterThanOrEqual(killedMs);
    }
    expect(fates.length).toBe(sent);
    expect(most).toBeLessThanOrEqual(4);
    expect(Math.max(...came.values())).toBe(1);
    for (const agent of agents) expect(agent.alive).toBe(true);
    for (const { admin } of hubs) await metricBecomes(admin, 'windlass_agent_slots{state="free"}', (free) => free === 4);
    console.log(`${sent} requests, ${lost.length} lost with the hub that was killed`);
  },
);

test('a rolling restart of two hubs behind a balancer that asks /readyz loses nothing', { timeout: 60_000 }, async () => {
  const origin = await startOrigin((request, response) => {
    request.resume();
    request.on('end', () => setTimeout(() => response.end(request.url), 5));
  });
  const delay = ['--drain-delay', '1s'];
  const hubs = [await runHub('a', 0, delay), await runHub('b', 0, delay)];
  runAgent(
    hubs.map(({ port }) => port),
    origin.port,
    ['--num-worker', '2'],
  );
  for (const { admin } of hubs) await metricBecomes(admin, 'windlass_agent_sessions', (count) => count === 1);
  const isReady = async ({ admin }: HubProcess): Promise<boolean> => {
    const answer = await fetch(`http://127.0.0.1:${admin.adminAddress.port}/readyz`).catch(() => null);
    return answer?.status === 200;
  };
  /** As the balancer knows it. */
  const ready = [true, true];
  const fresh = new http.Agent({ keepAlive: false });
  let over = false;
  let sent = 0;
  const fates: Fate[] = [];
  const clients = Promise.all(
    Array.from({ length: 6 }, async (_, client) => {
      while (!over) {
        const hub = ready[client % 2] === true ? client % 2 : 1 - (client % 2);
        fates.push(await post(fresh, hubs[hub]!.port, `r${sent++}`));
      }
    }),
  );
  for (let i = 0; i < 2; i++) {
    const count = fates.length;
    await until('some answers', () => fates.length >= count + 50);
    const old = hubs[i]!;
    old.running.child.kill('SIGTERM');
    await until('the balancer to notice', async () => !(await isReady(old)));
    ready[i] = false;
    await until('it to end', () => !old.running.alive);
    expect(old.running.child.exitCode).toBe(0);
    hubs[i] = await runHub('ab'[i]!, old.port, delay);
    await metricBecomes(hubs[i]!.admin, 'windlass_agent_sessions', (sessions) => sessions === 1);
    await until('the balancer to notice', () => isReady(hubs[i]!));
    ready[i] = true;
  }
  over = true;
  await clients;
  expect(fates.filter((fate) => fate !== 'answered')).toEqual([]);
  expect(fates.length).toBe(sent);
});

test(
  'an agent process that is stopped gets no work from either hub, and its waiting requests go to another [fault 8]',
  { timeout: 30_000 },
  async () => {
    const origin = await startOrigin((_request, response) => response.end('slept'));
    const other = await startOrigin((_request, response) => response.end('awake'));
    const times = { tickMs: 100, pingAfterMs: 300, deadAfterMs: 20_000 };
    const hubs = [await startHubWith({ hubId: 'a' }, times), await startHubWith({ hubId: 'b' }, times)];
    const agent = runAgent(
      hubs.map(({ address }) => address.port),
      origin.port,
      ['--num-worker', '2'],
    );
    for (const hub of hubs) await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 2);
    agent.child.kill('SIGSTOP');
    for (const hub of hubs) await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 0);
    const waits = await Promise.all(hubs.map((hub) => asks(tools, hub, '/', BLOCK)));
    for (const hub of hubs) await metricBecomes(hub, 'windlass_queue_size', (size) => size === 1);
    await startAgentFor(hubs[0]!, other, { hubs: hubs.map(({ address }) => parseUpstreamUrl(`127.0.0.1:${address.port}`)) });
    for (const client of waits) expect((await client.answer()).body.toString()).toBe('awake');
    agent.child.kill('SIGCONT');
    for (const hub of hubs) await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 3);
    expect(origin.requests.length).toBe(0);
  },
);

test(
  'an agent that is restarted while its old process finishes, at two hubs: with --slots-lock the service never has more than its slots [threat 36]',
  { timeout: 30_000 },
  async () => {
    const { origin, arrived } = await startHolding(tools);
    const hubs = [await startHubWith({ hubId: 'a' }), await startHubWith({ hubId: 'b' })];
    const lock = ['--slots-lock', join(folder(), 'slots'), '--num-worker', '2', '--agent-id', 'box', '--drain-timeout', '20s'];
    const ports = hubs.map(({ address }) => address.port);
    const old = runAgent(ports, origin.port, lock);
    for (const hub of hubs) await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 2);
    const clients = [];
    for (let i = 0; i < 2; i++) {
      clients.push(await asks(tools, hubs[i]!, `/${i}`));
      await arrived(i);
    }
    old.child.kill('SIGTERM');
    const next = runAgent(ports, origin.port, lock);
    for (const hub of hubs) await metricBecomes(hub, 'windlass_agent_sessions', (count) => count === 2);
    for (let i = 2; i < 6; i++) clients.push(await asks(tools, hubs[i % 2]!, `/${i}`, BLOCK));
    for (const hub of hubs) await metricBecomes(hub, 'windlass_queue_size', (size) => size === 2);
    expect(origin.running).toBe(2);
    for (let i = 0; i < 6; i++) {
      (await arrived(i)).response.end(String(i));
      if (i < 4) await arrived(i + 2);
      expect(origin.running).toBeLessThanOrEqual(2);
    }
    for (const [i, client] of clients.entries()) expect((await client.answer()).status, String(i)).toBe(200);
    await until('the old one to end', () => !old.alive);
    expect(old.child.exitCode).toBe(0);
    expect(next.alive).toBe(true);
    expect(origin.mostRunning).toBe(2);
    for (const hub of hubs) expect(await metric(hub, 'windlass_agent_sessions')).toBe(1);
  },
);
