import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kit, metric, metricBecomes, tokenFor } from '../kit/kit.ts';
import { Program, type RunningProgram } from '../kit/program.ts';
import { asks, get, startHolding } from '../kit/stage.ts';
import { soon, until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startHubWith, startAgentFor, rawClient, folder, later } = tools;
const program = new Program();

beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

const BLOCK = ['Slime-Block: 1'];

function runAgent(hub: number, origin: number, more: readonly string[] = [], descriptors?: number): RunningProgram {
  const dir = folder();
  writeFileSync(join(dir, 'token'), tokenFor());
  return program.run(
    // prettier-ignore
    ['agent', 'run', '--token-file', join(dir, 'token'), '--hub', `127.0.0.1:${hub}`, '--upstream', `127.0.0.1:${origin}`, '--report-hardware=false', '--log-format', 'json', '--state-dir', 'off', ...more],
    descriptors,
  );
}

async function exitOf(running: RunningProgram): Promise<number | null> {
  if (!running.alive) return running.child.exitCode;
  const [code] = (await soon('the process to end', once(running.child, 'exit'), 10_000)) as [number | null];
  return code;
}

test('an agent killed with -9 in the middle of bodies cuts its clients, never ends an answer in order, and disturbs no other [fault 6]', async () => {
  const doomed = await startOrigin((request, response) => {
    const lengths = request.url === '/length' ? { 'Content-Length': 1_000_000 } : {};
    response.writeHead(200, lengths);
    response.write('some of it');
  });
  const other = await startHolding(tools);
  const hub = await startHubWith();
  const child = runAgent(hub.address.port, doomed.port, ['--num-worker', '16']);
  await metricBecomes(hub, 'windlass_agent_sessions', (value) => value === 1);
  const clients = await Promise.all(['/length', '/chunks', '/length', '/chunks'].map((target) => asks(tools, hub, target)));
  const old = await rawClient(hub);
  old.send('GET /chunks HTTP/1.0\r\nHost: a\r\n\r\n');
  for (const client of [...clients, old]) await client.until((one) => one.text.includes('some of it'), 'some of it');
  await startAgentFor(hub, other.origin, { token: tokenFor({ scopes: ['other'] }) });
  const undisturbed = await asks(tools, hub, '/', ['Slime-Scope: other']);
  const held = await other.arrived(0);
  held.response.write('one ');
  child.child.kill('SIGKILL');
  for (const client of clients) expect((await client.answer()).complete).toBe(false);
  expect(await old.ended()).toBe('reset');
  held.response.end('two');
  expect((await undisturbed.answer()).body.toString()).toBe('one two');
  await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 1);
});

test('a hub killed with -9 makes agents cancel what they run within a second, and they are back when it is', { timeout: 30_000 }, async () => {
  const { origin, arrived } = await startHolding(tools);
  const dir = folder();
  writeFileSync(join(dir, 'secret'), 'a secret that only tests know');
  const hubArguments = (port: number) => [
    'hub',
    'run',
    '--secret-file',
    join(dir, 'secret'),
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
    '--admin-addr',
    '127.0.0.1:0',
    '--log-format',
    'json',
  ];
  const first = program.run(hubArguments(0));
  const port = await first.port('the hub listens');
  await startAgentFor({ port }, origin);
  await asks(tools, { port });
  const { seen } = await arrived(0);
  first.child.kill('SIGKILL');
  await until('the origin to see its client leave', () => seen.aborted, 1_000);
  const second = program.run(hubArguments(port));
  await second.port('the hub listens');
  const client = await asks(tools, { port }, '/', BLOCK);
  (await arrived(1)).response.end('back');
  expect((await client.answer()).body.toString()).toBe('back');
});

test('SIGTERM lets an agent finish what runs and ends it with 0; a second one ends it at once with 1', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  const patient = runAgent(hub.address.port, origin.port);
  await metricBecomes(hub, 'windlass_agent_sessions', (value) => value === 1);
  const client = await asks(tools, hub);
  const held = await arrived(0);
  patient.child.kill('SIGTERM');
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 0);
  expect(patient.alive).toBe(true);
  held.response.end('done');
  expect((await client.answer()).body.toString()).toBe('done');
  expect(await exitOf(patient)).toBe(0);

  const cut = runAgent(hub.address.port, origin.port);
  await metricBecomes(hub, 'windlass_agent_sessions', (value) => value === 1);
  const unlucky = await asks(tools, hub);
  await arrived(1);
  cut.child.kill('SIGTERM');
  await until('the first signal to be heard', () => cut.err.includes('stopping'));
  cut.child.kill('SIGTERM');
  expect(await exitOf(cut)).toBe(1);
  expect((await unlucky.answer()).status).toBe(502);
});

test('SIGTERM twice ends a hub at once with 1, and cuts what runs', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = program.run([
    'hub',
    'run',
    '--secret',
    'a secret that only tests know',
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--admin-addr',
    'off',
    '--log-format',
    'json',
  ]);
  const port = await hub.port('the hub listens');
  await startAgentFor({ port }, origin);
  const client = await asks(tools, { port });
  await arrived(0);
  hub.child.kill('SIGTERM');
  await until('the first signal to be heard', () => hub.err.includes('stopping'));
  hub.child.kill('SIGTERM');
  expect(await exitOf(hub)).toBe(1);
  expect(['fin', 'reset']).toContain(await client.ended());
});

test('an agent process that is stopped gets no work while it stands still, and works on when it goes on [fault 8]', { timeout: 30_000 }, async () => {
  const origin = await startOrigin();
  const hub = await startHubWith({}, { tickMs: 100, pingAfterMs: 300, deadAfterMs: 20_000 });
  const agent = runAgent(hub.address.port, origin.port, ['--num-worker', '4']);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 4);
  agent.child.kill('SIGSTOP');
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 0);
  expect((await (await asks(tools, hub)).answer()).status).toBe(503);
  const waits = await asks(tools, hub, '/', BLOCK);
  await metricBecomes(hub, 'windlass_queue_size', (value) => value === 1);
  expect(await metric(hub, 'windlass_buffered_bytes')).toBeLessThan(64 * 1024);
  agent.child.kill('SIGCONT');
  expect((await waits.answer()).status).toBe(200);
});

test.runIf(existsSync('/proc/self/stat'))(
  'a hub that runs out of file descriptors stays alive, keeps its agents, and recovers [fault 38]',
  { timeout: 30_000 },
  async () => {
    const origin = await startOrigin();
    const hub = program.run(
      [
        'hub',
        'run',
        '--secret',
        'a secret that only tests know',
        '--host',
        '127.0.0.1',
        '--port',
        '0',
        '--admin-addr',
        '127.0.0.1:0',
        '--log-format',
        'json',
      ],
      // The loader opens the program's own files many at a time, once.
      130,
    );
    const port = await hub.port('the hub listens');
    const admin = { adminAddress: { port: await hub.port('/metrics') } };
    await startAgentFor({ port }, origin, { slots: 4 });
    const steady = await rawClient({ port });
    steady.send(get());
    expect((await steady.answer()).status).toBe(200);
    let ended = 0;
    const crowd = Array.from({ length: 200 }, () => {
      const socket = net.connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.on('close', () => ended++);
      return socket.resume();
    });
    later(() => crowd.forEach((socket) => socket.destroy()));
    await until('descriptors to run out', () => ended > 0);
    for (let i = 0; i < 5; i++) {
      steady.send(get('/', BLOCK));
      expect((await steady.answer()).status).toBe(200);
    }
    expect(hub.alive).toBe(true);
    for (const socket of crowd) socket.destroy();
    await until('new clients to be served again', async () => {
      const socket = net.connect(port, '127.0.0.1');
      later(() => socket.destroy());
      socket.on('error', () => {});
      socket.write(get('/', BLOCK));
      const [first] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [unknown];
      return Buffer.isBuffer(first) && first.toString('latin1').startsWith('HTTP/1.1 200');
    });
    expect(await metric(admin, 'windlass_agent_sessions')).toBe(1);
    expect(hub.alive).toBe(true);
  },
);

test.runIf(existsSync('/proc/self/stat'))(
  'an agent that runs out of file descriptors says 503 for what it cannot serve, stays alive, and recovers [fault 38]',
  { timeout: 30_000 },
  async () => {
    const { origin, held } = await startHolding(tools);
    const hub = await startHubWith();
    const agent = runAgent(hub.address.port, origin.port, ['--num-worker', '200'], 60);
    await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 200);
    const clients = await Promise.all(Array.from({ length: 120 }, () => asks(tools, hub)));
    const statuses: number[] = [];
    const answers = clients.map(async (client) => statuses.push((await client.answer()).status));
    await until('some to be refused', () => statuses.length + held.length === 120);
    expect(new Set(statuses)).toEqual(new Set([503]));
    expect(held.length).toBeGreaterThan(8);
    for (const { response } of held) response.end('ok');
    await Promise.all(answers);
    expect(statuses.filter((status) => status === 200).length).toBe(held.length);
    expect(agent.alive).toBe(true);
    await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 200);
    const again = await asks(tools, hub);
    await until('another request', () => held.length > statuses.filter((status) => status === 200).length);
    held.at(-1)!.response.end('again');
    expect((await again.answer()).status).toBe(200);
  },
);

test('no secret stands in any log, metric, answer or process list [threat 62, threat 63]', { timeout: 30_000 }, async () => {
  const secrets = {
    secret: 'canary-hub-secret-8f2c71',
    password: 'canary-app-password-55d0',
    upstream: 'canary-upstream-pw-19ab',
    authorization: 'canary-bearer-77aa',
    cookie: 'canary-cookie-31c9',
    query: 'canary-query-token-6e',
  };
  const token = tokenFor({ name: 'ann' }, secrets.secret);
  const foreign = tokenFor({}, 'another-canary-secret-000');
  const dir = folder();
  const accessLog = join(dir, 'access.log');
  const hub = program.run(
    // prettier-ignore
    ['hub', 'run', '--secret', secrets.secret, '--app-password', secrets.password, '--host', '127.0.0.1', '--port', '0', '--admin-addr', '127.0.0.1:0', '--log-format', 'json', '--log-level', 'debug', '--access-log', accessLog],
  );
  const port = await hub.port('the hub listens');
  const admin = await hub.port('/metrics');
  const origin = await startOrigin();
  const agentArguments = (tokenText: string, originPort: number) =>
    // prettier-ignore
    ['agent', 'run', '--token', tokenText, '--hub', `127.0.0.1:${port}`, '--upstream', `http://ann:${secrets.upstream}@127.0.0.1:${originPort}`, '--report-hardware=false', '--log-format', 'json', '--log-level', 'debug', '--state-dir', 'off', '--admin-addr', '127.0.0.1:0'];
  const agent = program.run(agentArguments(token, origin.port));
  const turnedAway = program.run(agentArguments(foreign, origin.port));
  await until('the refusal', () => turnedAway.err.includes('refused'));
  await until('the agent to join', () => agent.err.includes('joined the hub'));
  const heard: string[] = [];
  const fields = [`Authorization: Bearer ${secrets.authorization}`, `Cookie: id=${secrets.cookie}`];
  for (const [target, more] of [
    ['/ok', [`Slime-App-Password: ${secrets.password}`]],
    [`/q?token=${secrets.query}`, [`Slime-App-Password: ${secrets.password}`]],
    ['/wrong', ['Slime-App-Password: wrong']],
    ['/scope', [`Slime-App-Password: ${secrets.password}`, 'Slime-Scope: none']],
  ] as const) {
    const client = await asks(tools, { port }, target, [...fields, ...more]);
    await client.answer();
    heard.push(client.text);
  }
  await origin.close();
  const broken = await asks(tools, { port }, '/broken', [...fields, `Slime-App-Password: ${secrets.password}`]);
  expect((await broken.answer()).status).toBe(502);
  heard.push(broken.text);
  for (const adminPort of [admin, await agent.port('/metrics')])
    for (const page of ['metrics', 'healthz', 'readyz']) heard.push(await (await fetch(`http://127.0.0.1:${adminPort}/${page}`)).text());
  if (existsSync('/proc/self/cmdline'))
    for (const { child } of [hub, agent, turnedAway]) heard.push(readFileSync(`/proc/${child.pid}/cmdline`, 'latin1'));
  await until('the access log', () => existsSync(accessLog) && readFileSync(accessLog, 'latin1').split('\n').length > 5);
  heard.push(readFileSync(accessLog, 'latin1'));
  hub.child.kill('SIGTERM');
  await exitOf(hub);
  const everything = [...heard, hub.err, agent.err, turnedAway.err].join('\n');
  for (const [name, secret] of Object.entries(secrets)) expect(everything.includes(secret), name).toBe(false);
  for (const one of [token, foreign]) expect(everything).not.toContain(one);
  expect(everything).not.toContain(Buffer.from(`ann:${secrets.upstream}`).toString('base64'));
});
