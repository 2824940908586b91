import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseHubUrl } from '../../src/schema/upstream-url.ts';
import { HEADER } from '../kit/cranker-peer.ts';
import { connectors } from '../kit/cranker-connector.ts';
import { routers } from '../kit/cranker-router-peer.ts';
import { ok } from '../kit/http-origin.ts';
import { SECRET, tokenFor } from '../kit/kit.ts';
import { Program, type RunningProgram } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const all = connectors();
const { kit } = all;
const file = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** What a client gets; `cut`: its connection broke in the middle. */
interface Got {
  status: number;
  body: string;
  cut: boolean;
}

function ask(port: number, path: string, body = '', method = body === '' ? 'GET' : 'POST'): Promise<Got> {
  return new Promise((resolve) => {
    const got: Got = { status: 0, body: '', cut: false };
    const asking = request({ port, host: '127.0.0.1', path, method, agent: false }, (response) => {
      got.status = response.statusCode!;
      response.on('data', (data: Buffer) => {
        got.body += data.toString('latin1');
      });
      response.on('error', () => {
        got.cut = true;
      });
      response.on('close', () => resolve(got));
    });
    asking.on('error', () => resolve({ ...got, cut: true }));
    asking.end(body);
  });
}

const EACH = [['3.0'], ['1.0']] as const;

describe('a connector and a router of ours', () => {
  test.each(EACH)('%s: bodies of all sizes go through both ways, many at once', async (version) => {
    const origin = await kit.startOrigin((incoming, response) => void incoming.pipe(response));
    const router = await kit.startRouter();
    const agent = await all.connect([{ port: router.registrationAddress.port }], { cranker: { versions: [version], window: 10 } }, origin);
    await agent.ready;
    const sizes = [0, 1, 16_378, 16_384, 65_536, 300_000, 2_000_000];
    const bodies = sizes.map((size) => 'abcdefghij'.repeat(Math.ceil(size / 10)).slice(0, size));
    const got = await Promise.all([...bodies, ...bodies].map((body) => ask(router.address.port, '/shop/x', body, 'POST')));
    for (const [i, one] of got.entries()) {
      expect(one.status).toBe(200);
      expect(one.body === bodies[i % sizes.length]).toBe(true);
    }
  });

  test.each(EACH)('%s: an answer that the service cuts breaks the client’s connection', async (version) => {
    const origin = await kit.startOrigin((_, response) => {
      response.writeHead(200, { 'content-length': 10 });
      response.write('half');
      setTimeout(() => response.socket!.resetAndDestroy(), 20);
    });
    const router = await kit.startRouter();
    await (
      await all.connect([{ port: router.registrationAddress.port }], { cranker: { versions: [version] } }, origin)
    ).ready;
    expect(await ask(router.address.port, '/shop/x')).toEqual({ status: 200, body: 'half', cut: true });
  });

  test.each(EACH)('%s: a client that leaves stops the service', async (version) => {
    let closed = 0;
    const origin = await kit.startOrigin((_, response) => {
      response.on('close', () => closed++);
      response.write('a');
    });
    const router = await kit.startRouter();
    await (
      await all.connect([{ port: router.registrationAddress.port }], { cranker: { versions: [version] } }, origin)
    ).ready;
    const asking = request({ port: router.address.port, host: '127.0.0.1', path: '/shop/x' });
    asking.on('error', () => {});
    asking.on('response', (response) => response.on('error', () => {}));
    asking.end();
    await until('it runs', () => origin.running === 1);
    asking.destroy();
    await until('it has stopped', () => closed === 1);
  });

  test('several routers share one agent’s slots, and each stops alone', async () => {
    const origin = await kit.startOrigin(ok);
    const one = await kit.startRouter();
    const two = await kit.startRouter();
    const agent = await all.connect([{ port: one.registrationAddress.port }, { port: two.registrationAddress.port }], { slots: 3 }, origin);
    await until('both have it', async () =>
      [await ask(one.address.port, '/shop'), await ask(two.address.port, '/shop')].every(({ status }) => status === 200),
    );
    one.destroy();
    expect(await ask(two.address.port, '/shop')).toMatchObject({ status: 200, body: 'ok' });
    await agent.close();
    expect((await ask(two.address.port, '/shop')).status).toBe(503);
  });

  test('a router that wants proof takes the agent’s token, and no other', async () => {
    const origin = await kit.startOrigin(ok);
    const router = await kit.startRouter({ auth: 'token', secrets: [SECRET] });
    const stranger = await all.connect([{ port: router.registrationAddress.port }], { token: 'wl1.nobody' }, origin);
    await until('it is turned away', () => stranger.log.some(({ message }) => message.startsWith('the router did not take this connector')));
    const agent = await all.connect([{ port: router.registrationAddress.port }], { token: tokenFor() }, origin);
    await agent.ready;
    expect((await ask(router.address.port, '/shop')).status).toBe(200);
  });
});

test('a router that wants a certificate is shown one, and its own is checked', async () => {
  const origin = await kit.startOrigin(ok);
  const router = await kit.startRouter({
    auth: 'certificate',
    certificateRoutes: new Map([['alice', ['shop']]]),
    registration: {
      host: '127.0.0.1',
      port: 0,
      tls: { certFile: file('one.pem'), keyFile: file('one.key'), clients: { caFile: file('client-ca.pem'), ask: 'required' } },
    },
  });
  const hubs = [parseHubUrl(`wss://127.0.0.1:${router.registrationAddress.port}`)];
  const shown = { certFile: file('alice.pem'), keyFile: file('alice.key') };
  const bare = await all.connect([], { hubs, caFile: file('ca.pem') }, origin);
  const careful = await all.connect([], { hubs, shown }, origin);
  for (const refused of [bare, careful])
    await until('it does not come through', () => refused.log.some(({ message }) => message.startsWith('the router cannot be reached')));
  const agent = await all.connect([], { hubs, shown, caFile: file('ca.pem') }, origin);
  await agent.ready;
  expect((await ask(router.address.port, '/shop')).body).toBe('ok');
});

test('a router whose address leaves the name is left, and a new one is found, while requests go on', async () => {
  const origin = await kit.startOrigin(ok);
  const first = await all.router(routers.mu);
  let addresses = ['127.0.0.1'];
  const agent = await all.connect(
    [first],
    { hubs: [parseHubUrl(`ws://routers.example:${first.port}`)], cranker: { window: 1 }, drainTimeoutMs: 20_000 },
    origin,
    { resolve: () => Promise.resolve(addresses) },
  );
  await agent.ready;
  const socket = await first.socket();
  expect(socket.asked.fields.get('host')).toBe(`routers.example:${first.port}`);
  addresses = ['127.0.0.2'];
  agent.reload();
  await until('it is left in order', () => first.asked.some(({ path }) => path === '/deregister/') && first.open.length === 0);
  addresses = ['127.0.0.1'];
  agent.reload();
  expect((await (await first.socket()).send3(HEADER, 5, 1, 'GET /shop HTTP/1.1\nhost:h\n\n').answer3(1)).body.toString()).toBe('ok');
});

describe('windlass agent run --wire cranker as it is shipped', () => {
  const program = new Program();
  beforeAll(() => program.build(), 60_000);
  afterAll(() => program.close());
  const json = ['--log-format', 'json'];

  async function portIn(running: RunningProgram, line: string): Promise<number> {
    return until(`the log line "${line}"`, () => {
      if (!running.alive) throw new Error(`it ended: ${running.err}`);
      const found = running.err.split('\n').find((one) => one.includes(line));
      return found === undefined ? null : Number(/:\/\/127\.0\.0\.1:(\d+)/.exec(found)![1]);
    });
  }

  test('registers with windlass cranker-router; SIGTERM lets what runs finish and nothing fails', async () => {
    let release: (() => void) | null = null;
    const origin = await kit.startOrigin((incoming, response) => {
      if (incoming.url === '/my-service/slow') release = () => response.end('slow but whole');
      else response.end('quick');
    });
    const router = program.run([
      'cranker-router',
      '--host',
      '127.0.0.1',
      '--port',
      '0',
      '--registration-port',
      '0',
      '--admin-addr',
      '127.0.0.1:0',
      ...json,
    ]);
    const port = await portIn(router, 'the router listens for applications');
    const hub = `ws://127.0.0.1:${await portIn(router, 'connectors register at')}`;
    const run = [
      'agent',
      'run',
      '--wire',
      'cranker',
      '--route',
      'my-service',
      '--hub',
      hub,
      '--upstream',
      `127.0.0.1:${origin.port}`,
      '--slots',
      '20',
    ];
    const first = program.run([...run, ...json]);
    await until('it serves', async () => (await ask(port, '/my-service/')).status === 200);
    const slow = ask(port, '/my-service/slow');
    await until('the slow one runs', () => release);
    // Its successor is there before it goes.
    const second = program.run([...run, ...json]);
    await until('the second has registered', () => second.err.includes('registered with the router'));
    first.child.kill('SIGTERM');
    for (let i = 0; i < 50; i++) expect((await ask(port, '/my-service/x')).status).toBe(200);
    release!();
    expect(await slow).toEqual({ status: 200, body: 'slow but whole', cut: false });
    await until('the first has ended', () => !first.alive);
    expect(first.child.exitCode).toBe(0);
    expect((await ask(port, '/my-service/x')).body).toBe('quick');
  }, 30_000);

  test('says in one line what is missing', async () => {
    const running = program.run(['agent', 'run', '--wire', 'cranker', '--hub', 'ws://127.0.0.1:1', '--upstream', '127.0.0.1:1']);
    await until('it has ended', () => !running.alive);
    expect(running.err).toContain('--wire cranker needs --route');
  });
});
