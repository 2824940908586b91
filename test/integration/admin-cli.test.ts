import { afterEach, expect, test } from 'vitest';
import type { Tick } from '../../src/admin/model.ts';
import { run } from '../../src/cli/run.ts';
import type { World } from '../../src/cli/world.ts';
import { readText } from '../../src/config/read-text.ts';
import { type FakeWorld, fakeWorld } from '../config/world.ts';
import { agentOf, INFO, OVERVIEW, QUEUE, tickOf, UPSTREAMS } from '../kit/admin-facts.ts';
import { AdminScript, type Scripted, type Seen } from '../kit/admin-script.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, SECRET } from '../kit/kit.ts';
import { asks, startHolding } from '../kit/stage.ts';
import { FakeTerminal, screenOf } from '../kit/fake-terminal.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

type Answers = Record<string, Scripted | ((seen: Seen) => Scripted)>;

const HOSTILE = 'evil\u001b[2J\u001b]0;title\u0007\n\u202e';
const AGENTS = [
  agentOf(),
  agentOf({ id: 'agent-2', name: HOSTILE, state: 'draining', failed: 3 }),
  agentOf({ id: 'agent-3', name: 'twin' }),
  agentOf({ id: 'agent-4', name: 'twin' }),
];

const ALL: Answers = {
  'GET /info': { json: INFO },
  'GET /overview': { json: OVERVIEW },
  'GET /agents': ({ path }) => {
    const query = new URLSearchParams(path.split('?')[1]).get('query') ?? '';
    const items = AGENTS.filter(({ id, name }) => id.includes(query) || name.includes(query));
    return { json: { total: items.length, items } };
  },
  'GET /queue': { json: QUEUE },
  'GET /upstreams': { json: { total: UPSTREAMS.length, items: UPSTREAMS } },
};

async function scripted(answers: Answers = ALL): Promise<AdminScript> {
  const script = await AdminScript.start(answers);
  ends.push(() => script.close());
  return script;
}

async function windlass(
  script: AdminScript,
  words: readonly string[],
  change: Partial<World> = {},
): Promise<{ code: number; out: string; err: string }> {
  const world: FakeWorld = fakeWorld({ WINDLASS_ADMIN_URL: script.url, WINDLASS_ADMIN_TOKEN: 'wlt_canary-token' });
  const code = await run(words, { ...world, ...change });
  const [out, err] = [world.out(), world.err()];
  expect(out + err).not.toContain('canary');
  // A terminal never gets what it would obey.
  expect(out + err).toMatch(/^[^\p{Cc}\u202e]*(?:\n[^\p{Cc}\u202e]*)*$/u);
  return { code, out, err };
}

test('status says in a dozen lines what is, and what is not well', async () => {
  const { code, out } = await windlass(await scripted(), ['status']);
  expect(code).toBe(0);
  expect(out).toContain('windlass 1.2.3  gateway edge on box, pid 4711, Node v20.20.0');
  expect(out).toContain('serving for 1h');
  expect(out).toContain('http://0.0.0.0:8080  web');
  expect(out).toContain('/etc/windlass.toml, in use for 1m');
  expect(out).toContain('12.5 requests/s, 4 in flight, 17 connections, 0.25 errors/s');
  expect(out).toContain('p50 3.2 ms, p95 20 ms, p99 1.5 s');
  expect(out).toContain('8 of 24 slots free');
  expect(out).toContain('2 wait, the oldest for 1.2 s');
  expect(out).toContain('✗ api 10.0.0.2:80: connection refused');
  expect(out).toContain('the next to expire is example, in 12d 1');
});

test('a program that has just begun has no figures yet: status waits for the first', async () => {
  const answers: Answers = {
    ...ALL,
    'GET /overview': { json: { ...OVERVIEW, history: [] } },
    'GET /events': {
      events: [
        ['change', {}],
        ['tick', tickOf({ requestsPerSecond: 7 })],
      ],
      stays: true,
    },
  };
  expect((await windlass(await scripted(answers), ['status'])).out).toContain('7 requests/s');
});

test('a configuration that cannot be used is told of by status', async () => {
  const problems = [{ level: 'error' as const, message: HOSTILE, file: '', line: 0, column: 0, subject: '' }];
  const { out } = await windlass(
    await scripted({ ...ALL, 'GET /overview': { json: { ...OVERVIEW, config: { ...OVERVIEW.config, ok: false, problems } } } }),
    ['status'],
  );
  expect(out).toContain('cannot be used as it is now; the one before serves');
  expect(out).toContain('evil?[2J');
});

test('every command prints JSON that a program can read', async () => {
  const script = await scripted({ ...ALL, 'POST /agents/agent-1/drain': { raw: '', status: 204 } });
  const json = async (words: readonly string[]): Promise<unknown> => JSON.parse((await windlass(script, [...words, '--json'])).out);
  expect(await json(['status'])).toMatchObject({
    url: script.url,
    info: { name: 'edge' },
    now: { requestsPerSecond: 12.5 },
    endpoints: { total: 3 },
  });
  expect(await json(['agents'])).toMatchObject({ total: 4, items: [{ id: 'agent-1' }, { name: HOSTILE }, {}, {}] });
  expect(await json(['agents', 'show', 'gpu-box'])).toMatchObject({ id: 'agent-1', labels: { zone: 'eu' } });
  expect(await json(['agents', 'drain', 'gpu-box'])).toEqual({ id: 'agent-1', name: 'gpu-box', draining: true });
  expect(await json(['queue'])).toEqual(QUEUE);
  expect(await json(['upstreams', 'gpu'])).toMatchObject({ total: 1, items: [{ name: 'gpu' }] });
  // As docs/terminal.md says.
  expect(Object.keys((await json(['status'])) as object).toSorted()).toEqual(
    ['url', 'info', 'now', 'failures', 'endpoints', 'certificates', 'config'].toSorted(),
  );
});

test('agents are a table, whose names cannot harm a terminal [threat 61]', async () => {
  const { out } = await windlass(await scripted(), ['agents']);
  const [title, ...rows] = out.trimEnd().split('\n');
  expect(title).toMatch(/^NAME +ID +STATE +BUSY +SERVED +FAILED +SCOPES +FROM +SINCE$/);
  expect(rows).toHaveLength(4);
  expect(rows[0]).toMatch(/^gpu-box +agent-1 +serving +3\/8 +1234 +0 +gpu +10\.1\.2\.3 +\d+m(?: \d+s)?$/);
  expect(rows[1]).toMatch(/^evil\?\[2J\?\]0;title\?\?\? +agent-2 +draining/);
});

test('a word after agents is looked for, and none that fits is said in words', async () => {
  const script = await scripted();
  expect((await windlass(script, ['agents', 'gpu'])).out.trimEnd().split('\n')).toHaveLength(2);
  expect((await windlass(script, ['agents', 'nobody'])).out).toBe('no such agents\n');
  await windlass(script, ['agents', '--state', 'draining', '--limit', '5']);
  expect(script.seen.at(-1)?.path).toBe('/agents?limit=5&state=draining');
});

test('an agent is drained, resumed and revoked by id or by a name that only it has', async () => {
  const did: string[] = [];
  const done = ({ method, path, body }: Seen): Scripted => {
    did.push(`${method} ${path} ${JSON.stringify(body)}`);
    return { raw: '', status: 204 };
  };
  const script = await scripted({
    ...ALL,
    'POST /agents/agent-1/drain': done,
    'POST /agents/agent-1/resume': done,
    'POST /agents/agent-2/revoke': done,
    'DELETE /queue/r-7': done,
    'POST /upstreams/api/out': done,
    'POST /upstreams/api/in': done,
  });
  expect((await windlass(script, ['agents', 'drain', 'gpu-box'])).err).toContain('gpu-box (agent-1) gets no new requests');
  expect((await windlass(script, ['agents', 'resume', '--agent', 'agent-1'])).err).toContain('gets requests again');
  expect((await windlass(script, ['agents', 'revoke', 'agent-2', '--reason', 'stolen'])).err).toContain('is out: its sessions are cut');
  expect((await windlass(script, ['queue', 'cancel', 'r-7'])).err).toContain('waits no more');
  expect((await windlass(script, ['upstreams', 'out', 'api/10.0.0.1:80'])).err).toContain('gets no new requests');
  expect((await windlass(script, ['upstreams', 'in', 'api/10.0.0.1:80'])).err).toContain('gets requests again');
  expect(did).toEqual([
    'POST /agents/agent-1/drain null',
    'POST /agents/agent-1/resume null',
    'POST /agents/agent-2/revoke {"reason":"stolen"}',
    'DELETE /queue/r-7 null',
    'POST /upstreams/api/out {"endpoint":"10.0.0.1:80"}',
    'POST /upstreams/api/in {"endpoint":"10.0.0.1:80"}',
  ]);
  const twins = await windlass(script, ['agents', 'revoke', 'twin']);
  expect(twins).toMatchObject({ code: 1, err: 'windlass: 2 agents are called twin; give the id of one: agent-3, agent-4\n' });
  expect((await windlass(script, ['agents', 'drain', 'gpu'])).err).toContain('no agent has the id or name gpu;');
  expect(await windlass(script, ['upstreams', 'out', 'api'])).toMatchObject({ code: 2 });
  expect(did).toHaveLength(6);
});

test('a token for a new agent is alone on standard output', async () => {
  const made = {
    id: 'a-9',
    token: 'wl1.secret',
    command: 'windlass agent run --hub https://hub.example.com --token-file agent.token --upstream localhost:3000',
  };
  const script = await scripted({ 'POST /agents': { json: made } });
  const { out, err } = await windlass(script, ['agents', 'register', 'gpu-box', '--age', '1h', '--scopes', 'gpu,eu', '--label', 'zone=eu']);
  expect(out).toBe('wl1.secret\n');
  expect(err).toContain(made.command);
  expect(script.seen[0]?.body).toEqual({ name: 'gpu-box', ttlMs: 3_600_000, scopes: ['gpu', 'eu'], labels: { zone: 'eu' } });
});

test('queue shows who waits, and how long still', async () => {
  const { out } = await windlass(await scripted(), ['queue']);
  expect(out).toContain('2 wait for a slot, the oldest for 1.2 s, requests take 800 ms of late');
  expect(out).toMatch(/1 +r-7 +1\.2 s +400 ms +3 +gpu +alice +- +\/v1\/chat/);
  expect(out).toMatch(/2 +r-8 +300 ms +- +3 +gpu +bob +gpu +\/v1\/images/);
  const empty = await scripted({ 'GET /queue': { json: { ...QUEUE, size: 0, waiting: [] } } });
  expect((await windlass(empty, ['queue'])).out).toBe('nobody waits\n');
});

test('upstreams shows each endpoint with what is wrong with it', async () => {
  const { out } = await windlass(await scripted(), ['upstreams']);
  expect(out).toMatch(/api +10\.0\.0\.1:80 +well +1 +100 +0 +one\.example\.com/);
  expect(out).toMatch(/api +10\.0\.0\.2:80 +unhealthy +0 +50 +7 +connection refused/);
  expect(out).toMatch(/gpu +1 agent +well +3 +- +- +8 slots, 5 free/);
});

test('what cannot be done is one line and exit code 1', async () => {
  const script = await scripted({});
  const { url } = script;
  expect(await windlass(script, ['status'])).toMatchObject({ code: 1, out: '', err: `windlass: nothing of that name (${url})\n` });
  script.close();
  expect(await windlass({ url } as AdminScript, ['agents'])).toMatchObject({
    code: 1,
    err: expect.stringContaining(`nobody listens at ${url}`) as string,
  });
});

test('top without a terminal is a line each second, as many as are asked for', async () => {
  const ticks: readonly Tick[] = [tickOf({ requestsPerSecond: 1 }), tickOf({ requestsPerSecond: 2 }), tickOf({ requestsPerSecond: 3 })];
  const script = await scripted({ ...ALL, 'GET /events': { events: ticks.map((tick) => ['tick', tick] as const), stays: true } });
  const { code, out } = await windlass(script, ['top', '--count', '2']);
  expect(code).toBe(0);
  const lines = out.trimEnd().split('\n');
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^\d{4}-.*Z {2}traffic: 1 requests\/s.*queue: 2 wait/);
  const json = await windlass(script, ['top', '--json', '--count', '3']);
  expect(
    json.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Tick),
  ).toEqual(ticks);
});

/** `top` on a terminal, running. */
function topOn(script: AdminScript, terminal: FakeTerminal): { world: FakeWorld; ended: Promise<number>; screen: () => ReturnType<typeof screenOf> } {
  const world = fakeWorld({ WINDLASS_ADMIN_URL: script.url, WINDLASS_ADMIN_TOKEN: 'wlt_canary-token', NO_COLOR: '1' });
  const ended = run(['top', '--interval', '20ms'], { ...world, terminal: () => terminal });
  return { world, ended, screen: () => screenOf(world.out(), terminal.rows) };
}

test('top is a screen with figures and tables, follows keys and size, and gives the terminal back', async () => {
  const script = await scripted({ ...ALL, 'GET /events': { events: [], stays: true } });
  const terminal = new FakeTerminal();
  const { world, ended, screen } = topOn(script, terminal);
  const shows = (part: string | RegExp): Promise<boolean> =>
    until(String(part), () => screen().lines.some((line) => (typeof part === 'string' ? line.includes(part) : part.test(line))));
  await shows('gpu-box');
  expect(screen()).toMatchObject({ isSecond: true, cursor: false, wraps: false });
  expect(screen().lines[0]).toContain('windlass 1.2.3  gateway edge on box  serving for 1h');
  await until('a listener', () => script.listening === 1);
  script.tell('tick', tickOf({ requestsPerSecond: 4321 }));
  await shows('4321 requests/s');
  terminal.type('2');
  await shows(/10\.0\.0\.2:80 +unhealthy/);
  terminal.type('\t');
  await shows(/r-7 +1\.2 s/);
  terminal.type('1\u001b[B');
  await until('another table', () => !screen().lines.some((line) => line.includes('[ 3 queue')));
  terminal.resize(60, 12);
  await until('a smaller screen', () => screen().lines.length === 12);
  expect(screen().lines.at(-1)).toContain('q leave');
  terminal.type('q');
  expect(await ended).toBe(0);
  expect(screen()).toMatchObject({ isSecond: false, cursor: true, wraps: true });
  expect(terminal.held + world.listening()).toBe(0);
});

test('top says when the connection is lost, and goes on when it is back', async () => {
  const script = await scripted({ ...ALL, 'GET /events': { events: [['tick', tickOf({ requestsPerSecond: 77 })]] } });
  const terminal = new FakeTerminal();
  const { ended, screen } = topOn(script, terminal);
  await until('a complaint', () => screen().lines.at(-1)?.includes('ended the stream; trying again') === true);
  script.answers.set('GET /events', { events: [['tick', tickOf({ requestsPerSecond: 88 })]], stays: true });
  await until(
    'new figures',
    () => screen().lines.some((line) => line.includes('88 requests/s')) && screen().lines.at(-1)?.includes('q leave') === true,
  );
  // Ctrl-C, as a terminal in raw mode sends it.
  terminal.type('\u0003');
  expect(await ended).toBe(0);
});

test('while nobody answers top keeps what it knew, and afterwards says who answers now', async () => {
  const script = await scripted({ ...ALL, 'GET /events': { events: [['tick', tickOf({})]], stays: true } });
  const terminal = new FakeTerminal();
  const { ended, screen } = topOn(script, terminal);
  await until('the agents', () => screen().lines.some((line) => line.includes('gpu-box')));
  const info = script.answers.get('GET /info') as { json: object };
  for (const what of ['GET /agents', 'GET /upstreams', 'GET /queue']) script.answers.set(what, { breaks: true });
  script.answers.set('GET /events', { breaks: true });
  script.endStreams();
  await until('a complaint', () => screen().lines.at(-1)?.includes('trying again') === true);
  const asked = script.seen.length;
  await until('other tries', () => script.seen.slice(asked).some(({ path }) => path.startsWith('/agents')));
  expect(screen().lines.some((line) => line.includes('gpu-box'))).toBe(true);
  script.answers.set('GET /info', { json: { ...info.json, version: '7.7.7' } });
  script.answers.set('GET /events', { events: [['tick', tickOf({})]], stays: true });
  await until('who answers', () => screen().lines[0]?.includes('windlass 7.7.7') === true);
  terminal.type('q');
  expect(await ended).toBe(0);
});

test('of more agents than are asked for top shows the busiest, and says how many there are besides', async () => {
  const asked: string[] = [];
  const script = await scripted({
    ...ALL,
    'GET /agents': ({ path }) => {
      asked.push(new URLSearchParams(path.split('?')[1]).get('sort') ?? '');
      return { json: { total: 10_000, items: AGENTS } };
    },
    'GET /events': { events: [['tick', tickOf({})]], stays: true },
  });
  const terminal = new FakeTerminal();
  const { ended, screen } = topOn(script, terminal);
  await until('the others', () => screen().lines.some((line) => line.startsWith('9996 more, none of them busier')));
  expect(asked[0]).toBe('-inFlight');
  terminal.type('q');
  expect(await ended).toBe(0);
});

test('on a small screen figures make room for the table, and what is missed least goes first', async () => {
  const script = await scripted({ ...ALL, 'GET /events': { events: [['tick', tickOf({})]], stays: true } });
  const terminal = new FakeTerminal();
  terminal.resize(20, 10);
  const { ended, screen } = topOn(script, terminal);
  await until('the agents', () => screen().lines.some((line) => line.startsWith('gpu')));
  const words = screen().lines.map((line) => line.split(/ +/)[0]);
  expect(words).toEqual(expect.arrayContaining(['windlass', 'traffic', 'queue', 'NAME', 'q']));
  expect(words).not.toContain('process');
  terminal.resize(20, 3);
  await until('a very small screen', () => screen().lines.length === 3 && screen().lines.at(-1)!.includes('q leave'));
  terminal.type('q');
  expect(await ended).toBe(0);
});

test('an endpoint that is not there is told from one that is meant', async () => {
  const script = await scripted(ALL);
  const err = async (endpoint: string): Promise<string> => {
    const { code, out, err: said } = await windlass(script, ['upstreams', 'out', endpoint]);
    expect([code, out]).toEqual([1, '']);
    return said;
  };
  expect(await err('apo/10.0.0.1:80')).toContain('no upstream is called apo; did you mean api?');
  expect(await err('api/10.0.0.1:8')).toMatch(/api has no endpoint 10.0.0.1:8; did you mean 10.0.0.\d:80/);
  expect(script.seen.filter(({ method }) => method === 'POST')).toEqual([]);
});

test('whatever ends top, the terminal is given back', async () => {
  const script = await scripted({ ...ALL, 'GET /events': { events: [], stays: true } });
  const terminal = new FakeTerminal();
  const { world, ended, screen } = topOn(script, terminal);
  await until('the screen', () => screen().isSecond);
  // The last chance of a process that is ended by somebody else.
  terminal.exit();
  expect(screen()).toMatchObject({ isSecond: false, cursor: true, wraps: true });
  world.signal('SIGTERM');
  expect(await ended).toBe(0);
  expect(world.out().split('\u001b[?1049l')).toHaveLength(2);
});

test('a name that a terminal would obey does nothing on the screen of top [threat 61]', async () => {
  const script = await scripted({ ...ALL, 'GET /events': { events: [], stays: true } });
  const terminal = new FakeTerminal();
  const { ended, screen } = topOn(script, terminal);
  // screenOf() throws for what it does not know.
  await until('the name', () => screen().lines.some((line) => line.includes('evil?[2J?]0;title???')));
  expect(screen().lines[0]).toContain('windlass 1.2.3');
  terminal.type('q');
  await ended;
});

test(
  'on the machine of a gateway no token is needed: its user sees agents, queue and endpoints, drains, revokes and registers',
  { timeout: 30_000 },
  async () => {
    const { origin, arrived } = await startHolding(tools);
    const stateDir = tools.folder();
    const text = `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["gpu"]
[locations.gpu]
upstream = "gpu"
[upstreams.gpu]
agents = "*"
queue_timeout = "30s"
[upstreams.plain]
addrs = ["127.0.0.1:${origin.port}"]
`;
    const gateway = await startGatewayOf(tools, text, { stateDir });
    const hub = { port: gateway.port() };
    const ask = async (words: readonly string[], env: Record<string, string> = {}): Promise<{ code: number; out: string; err: string }> => {
      const world = fakeWorld({ WINDLASS_ADMIN_URL: `http://127.0.0.1:${gateway.adminAddress!.port}`, WINDLASS_STATE_DIR: stateDir, ...env });
      const code = await run(words, { ...world, readText });
      return { code, out: world.out(), err: world.err() };
    };
    const json = async <T>(words: readonly string[]): Promise<T> => JSON.parse((await ask([...words, '--json'])).out) as T;
    // Who may not read the file is nobody.
    expect(await ask(['status'], { WINDLASS_STATE_DIR: tools.folder() })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/wants to know who asks; .*ask as its user/) as string,
    });
    expect(await ask(['status'], { WINDLASS_ADMIN_TOKEN: 'wlt_canary-of-nobody' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('does not take this token') as string,
    });

    const made = await ask(['agents', 'register', 'calm-otter', '--age', '1h']);
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^wl1\.\S+\n$/) as string });
    expect(made.err).not.toContain(made.out.trim());
    const agent = await tools.startAgentFor(hub, origin, { token: made.out.trim(), agentId: 'box', slots: 1 });
    expect((await ask(['agents'])).out).toMatch(/\ncalm-otter +box +serving +0\/1 /);
    expect((await ask(['agents', 'show', 'calm-otter'])).out).toContain('1, 1 free, 0 in flight');

    const running = await asks(tools, hub);
    await arrived(0);
    const waits = await asks(tools, hub, '/waits');
    await until('one that waits', async () => (await json<{ size: number }>(['queue'])).size === 1);
    expect((await ask(['queue'])).out).toContain('1 waits for a slot');
    const { waiting } = await json<{ waiting: { id: string }[] }>(['queue']);
    expect((await ask(['queue', 'cancel', waiting[0]!.id])).code).toBe(0);
    expect((await waits.answer()).status).toBe(503);
    (await arrived(0)).response.end('done');
    expect((await running.answer()).status).toBe(200);

    const endpoint = `plain/127.0.0.1:${origin.port}`;
    expect((await ask(['upstreams', 'out', endpoint])).code).toBe(0);
    expect((await ask(['upstreams', 'plain'])).out).toMatch(/\nplain +127\.0\.0\.1:\d+ +out /);
    expect((await ask(['upstreams', 'in', endpoint])).code).toBe(0);
    expect((await ask(['upstreams', 'plain'])).out).toMatch(/\nplain +127\.0\.0\.1:\d+ +well /);

    expect((await ask(['agents', 'drain', 'calm-otter'])).code).toBe(0);
    await until('it is drained', async () => (await ask(['agents'])).out.includes('draining'));
    expect((await ask(['agents', 'resume', 'calm-otter'])).code).toBe(0);
    expect((await ask(['status'])).out).toMatch(/^windlass \S+ {2}gateway windlass on /);
    expect(await json(['status'])).toMatchObject({ info: { kind: 'gateway', state: 'serving' }, endpoints: { total: expect.any(Number) as number } });
    const lines = (await ask(['top', '--json', '--count', '2'])).out.trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as Tick).agents)).toEqual([1, 1]);
    expect((await ask(['agents', 'revoke', 'calm-otter', '--reason', 'stolen'])).code).toBe(0);
    await until(
      'it is out',
      () => agent.log.some(({ message }) => message.includes('refused')) || agent.log.some(({ message }) => message.includes('turned')),
    );
  },
);
