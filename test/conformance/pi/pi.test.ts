import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { readText } from '../../../src/config/read-text.ts';
import { parseHealthCheck } from '../../../src/schema/health-check.ts';
import { parseUpstreamUrl } from '../../../src/schema/upstream-url.ts';
import { fakeWorld } from '../../config/world.ts';
import { startGatewayOf } from '../../kit/gateway.ts';
import { kit, metric } from '../../kit/kit.ts';
import { soon, until } from '../../kit/until.ts';
import { type Client, findPython, generate, type Language, Programs, type Server } from './programs.ts';

const tools = kit();

const OK = 0;
const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const UNAVAILABLE = 14;

/** Calls at once that an agent takes. */
const SLOTS = 8;

const python = findPython();
if (python === null) console.warn('the PI conformance tests in Python are skipped: install python3-grpcio and python3-grpc-tools');
const LANGUAGES: readonly Language[] = ['python', 'node'];

/** What stands between clients and servers. */
interface Between {
  readonly port: number;
  /** Does it go by priorities? */
  readonly ranks: boolean;
  /**
   * So many servers are up, and that has been noticed. Over agents calls that meet a dead service take from the hub's budget of retries until its agent
   * looks, so that only then none need fail; the proxy passes over a server that was not to be reached twice, and needs no such moment.
   */
  readonly noticed: (up: number) => Promise<void>;
}

type Way = (servers: readonly Server[], loads?: readonly number[]) => Promise<Between>;

/** A file of the PI gRPC proxy: the first server is preferred, or all are alike when they have loads. */
function piFile(servers: readonly Server[], loads?: readonly number[]): string {
  const path = join(tools.folder(), 'proxy_config.json');
  const rows = servers.map(({ name, port }, i) => ({
    priority: loads === undefined ? i : 0,
    name,
    address: '127.0.0.1',
    port,
    load: loads?.[i] ?? 0.5,
  }));
  writeFileSync(path, JSON.stringify({ _: 'written by a test', heartbeatInterval: 0.1, heartbeatTimeout: 2, servers: rows }));
  return path;
}

const WAYS: Readonly<Record<string, Way>> = {
  'windlass grpc-proxy': async (servers, loads) => {
    const world = { ...fakeWorld({ PROXY_SERVER_PORT: '0', PROXY_SERVER_CONFIG: piFile(servers, loads) }), readText };
    const code = run(['grpc-proxy'], world);
    tools.later(async () => {
      // The second signal ends it at once.
      world.signal('SIGTERM');
      world.signal('SIGTERM');
      await soon('the end', code);
    });
    const port = await until('the proxy listens', () => /the gRPC proxy listens/.test(world.err()) && /"address":"\S*:(\d+)"/.exec(world.err())?.[1]);
    return { port: Number(port), ranks: true, noticed: () => Promise.resolve() };
  },
  'windlass run with the imported file': async (servers, loads) => {
    const world = { ...fakeWorld({ PROXY_SERVER_PORT: '0' }), readText };
    expect(await run(['import', 'pi', piFile(servers, loads)], world)).toBe(0);
    const gateway = await startGatewayOf(tools, world.out());
    expect(gateway.warnings).toEqual([]);
    return { port: gateway.port(), ranks: true, noticed: () => Promise.resolve() };
  },
  'hub and agents': async (servers) => {
    const hub = await tools.startHubWith({ queueTimeoutMs: 5_000 });
    const healthCheck = parseHealthCheck('tcp://tts?check_frequency=100ms&failure=1');
    for (const { port } of servers)
      await tools.startAgentFor(hub, { port }, { upstreams: [parseUpstreamUrl(`h2c://127.0.0.1:${port}`)], slots: SLOTS, healthCheck });
    const slots = async (): Promise<number> => {
      const [free, busy] = await Promise.all(['free', 'busy'].map((state) => metric(hub, `windlass_agent_slots{state="${state}"}`)));
      return free! + busy!;
    };
    return {
      port: hub.address.port,
      ranks: false,
      noticed: (up) => until(`slots of ${up} agents`, async () => (await slots()) === up * SLOTS, 20_000).then(() => {}),
    };
  },
};

let generated = '';

beforeAll(() => {
  if (python !== null) generated = generate(python);
});

afterAll(() => rmSync(generated, { recursive: true, force: true }));

for (const language of LANGUAGES) {
  describe.skipIf(language === 'python' && python === null)(`clients and servers in ${language}`, () => {
    for (const [name, start] of Object.entries(WAYS)) {
      const build = async (count: number): Promise<{ servers: readonly Server[]; client: Client; between: Between }> => {
        const programs = new Programs(language, tools, python ?? '', generated);
        const servers = await Promise.all(Array.from({ length: count }, (_, i) => programs.server(`tts@container${i + 1}`)));
        const between = await start(servers);
        return { servers, between, client: programs.client(between.port) };
      };

      test(`through ${name}: every call passes as it is, with metadata both ways, true statuses and a deadline`, async () => {
        const { client } = await build(1);
        await everyCall(client);
      });

      test(`through ${name}: servers are killed and revived, and only the streams that they held end, with UNAVAILABLE`, async () => {
        const { servers, client, between } = await build(2);
        await killedAndRevived(servers, client, between);
      }, 60_000);
    }
  });
}

async function everyCall(client: Client): Promise<void> {
  const unary: readonly (readonly [string, object, string])[] = [
    ['AddUser', { user: 'Анна' }, 'added Анна'],
    ['AddVoice', { voice: 'alto', sample: Buffer.alloc(1_000_000, 7).toString('base64') }, 'alto has 1000000 bytes'],
    ['AssociateUserVoice', { user: 'Анна', voice: 'alto' }, 'Анна speaks as alto'],
    ['RemoveUserVoiceAssociation', { user: 'Анна', voice: 'alto' }, 'Анна speaks no more as alto'],
    ['RemoveVoice', { voice: 'alto' }, 'removed alto'],
    ['RemoveUser', { user: 'Анна' }, 'removed Анна'],
  ];
  const echo = Buffer.from([0, 255, 10, 13]).toString('base64');
  for (const [method, request, message] of unary) {
    const { code, details, reply, initial, trailers } = await client.call(method, request, { metadata: { user_token: 't', 'echo-bin': echo } });
    expect({ method, code, details, reply }).toEqual({ method, code: OK, details: '', reply: { success: true, message } });
    expect(initial).toMatchObject({ 'server-name': 'tts@container1' });
    expect(trailers).toMatchObject({ 'server-name': 'tts@container1', 'echo-bin': echo });
  }
  expect(await client.call('RemoveUser', { user: 'Анна' })).toMatchObject({ code: NOT_FOUND, details: 'no user “Анна”, 100 % sure' });
  await client.call('AddUser', { user: 'b' });
  expect(await client.call('AddUser', { user: 'b' })).toMatchObject({ code: ALREADY_EXISTS, details: 'b is there' });
  expect(await client.call('AddUser', { user: 'c' }, { metadata: {} })).toMatchObject({ code: INVALID_ARGUMENT, details: 'user_token is missing' });
  expect((await client.call('AddVoice', { voice: 'slow' }, { timeout: 0.3 })).code).toBe(DEADLINE_EXCEEDED);

  // Audio of one text is there before the next text is sent: nothing holds a stream back.
  const stream = client.open();
  let index = 0;
  for (const text of ['guten ', 'Tag', ' 你好']) {
    stream.send(text);
    const audio = Buffer.from(text.repeat(400)).toString('base64');
    expect(await stream.chunks(3)).toEqual([0, 1, 2].map(() => ({ audio, index: index++ })));
  }
  stream.end();
  expect(await soon('the end of the stream', stream.outcome)).toMatchObject({ code: OK, trailers: { 'server-name': 'tts@container1' } });
  expect(await soon('a refusal', client.open({}).outcome)).toMatchObject({ code: INVALID_ARGUMENT, details: 'user_token is missing' });
}

/** Whoever served a call that must not fail. */
async function servedBy(client: Client): Promise<string> {
  const { code, details, trailers } = await client.call('RemoveVoice', { voice: 'x' });
  expect({ code, details }).toEqual({ code: OK, details: '' });
  return trailers['server-name']!;
}

async function killedAndRevived(servers: readonly Server[], client: Client, { ranks, noticed }: Between): Promise<void> {
  const stream = client.open();
  stream.send('a');
  await stream.chunks(3);
  // The one that has the stream is the preferred one, where there are priorities.
  const first = ranks ? servers[0]! : await ownerOf(servers, client);
  const second = servers.find((server) => server !== first)!;
  if (ranks) for (let i = 0; i < 5; i++) expect(await servedBy(client)).toBe(first.name);

  const streams = [stream, ...(ranks ? [] : [client.open(), client.open(), client.open()])];
  for (const more of streams.slice(1)) {
    more.send('a');
    await more.chunks(3);
  }
  await first.kill();
  if (ranks) expect((await soon('the end of the stream', stream.outcome, 15_000)).code).toBe(UNAVAILABLE);
  // No call fails that need not: through the proxy not even those that come before a heartbeat has noticed.
  await noticed(1);
  for (let i = 0; i < 10; i++) expect(await servedBy(client)).toBe(second.name);

  await first.revive();
  await noticed(2);
  await until('the first server gets calls again', async () => (await servedBy(client)) === first.name, 20_000);
  if (ranks) for (let i = 0; i < 5; i++) expect(await servedBy(client)).toBe(first.name);

  await second.kill();
  await noticed(1);
  for (let i = 0; i < 10; i++) expect(await servedBy(client)).toBe(first.name);
  for (const { outcome } of streams) expect((await soon('the end of the stream', outcome, 15_000)).code).toBe(UNAVAILABLE);

  await first.kill();
  await until('nobody is up', async () => (await client.call('RemoveVoice', { voice: 'x' })).code === UNAVAILABLE, 20_000);
  await second.revive();
  await until('the second server gets calls', async () => (await client.call('RemoveVoice', { voice: 'x' })).code === OK, 20_000);
  expect(await servedBy(client)).toBe(second.name);
}

/** Over agents nobody is preferred: whoever serves a call is as good as any. */
async function ownerOf(servers: readonly Server[], client: Client): Promise<Server> {
  const name = await servedBy(client);
  return servers.find((server) => server.name === name)!;
}

describe('what only the proxy does', () => {
  const made = (): Programs => new Programs('node', tools, '', '');

  test('of servers that are alike the one with more to spare gets the calls, by its own word as soon as it has spoken; clients see no reports', async () => {
    const programs = made();
    // By the file the first has more to spare; it says itself that it has not.
    const servers = await Promise.all([programs.server('busy', 0.9), programs.server('idle', 0.2)]);
    const { port } = await WAYS['windlass grpc-proxy']!(servers, [0.1, 0.5]);
    const client = programs.client(port);
    const { trailers } = await client.call('RemoveVoice', { voice: 'x' });
    expect(trailers).toMatchObject({ 'server-name': 'busy' });
    expect(Object.keys(trailers)).not.toContain('endpoint-load-metrics');
    for (let i = 0; i < 5; i++) expect(await servedBy(client)).toBe('idle');
  });

  test('when no server is up the answer is UNAVAILABLE, in a head alone', async () => {
    const programs = made();
    const server = await programs.server('gone');
    await server.kill();
    const { port } = await WAYS['windlass grpc-proxy']!([server]);
    const session = http2.connect(`http://127.0.0.1:${port}`);
    tools.later(() => session.destroy());
    const stream = session.request({ ':method': 'POST', ':path': '/tts.TTSService/AddUser', 'content-type': 'application/grpc', te: 'trailers' });
    const [fields, flags] = (await soon('an answer', once(stream, 'response'))) as [http2.IncomingHttpHeaders, number];
    expect(fields).toMatchObject({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(UNAVAILABLE) });
    // END_STREAM: nothing follows.
    expect(flags & 1).toBe(1);
    stream.close();
  });
});
