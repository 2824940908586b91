import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ScriptedConnector } from '../kit/cranker-peer.ts';
import { routers } from '../kit/cranker-router-peer.ts';
import { kit, SECRET } from '../kit/kit.ts';
import { OldRouter } from '../kit/old-cranker.ts';
import { Program, type RunningProgram } from '../kit/program.ts';
import { answerText, SlimeHubPeer, SlimeWorkerPeer, slimeToken } from '../kit/slime-peer.ts';
import { get } from '../kit/stage.ts';
import { SteadyClients } from '../kit/steady-clients.ts';
import { soon, until } from '../kit/until.ts';

/** The migrations of docs/from-cranker.md and docs/from-slime.md, step by step, under load: what is old is a script, what is new is the program. */

const made = kit();
const program = new Program();
beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

const HERE = ['--host', '127.0.0.1', '--admin-addr', '127.0.0.1:0', '--log-format', 'json'];
const LIMIT = { timeout: 60_000 };

/** The port in the log line with this text. */
async function portIn(running: RunningProgram, line: string): Promise<number> {
  return until(
    `the log line "${line}"`,
    () => {
      if (!running.alive) throw new Error(`it ended: ${running.err}`);
      const found = running.err.split('\n').find((one) => one.includes(line));
      return found === undefined ? null : Number(/:\/\/127\.0\.0\.1:(\d+)/.exec(found)![1]);
    },
    20_000,
  );
}

/** SIGTERM, and its end: in order. */
async function stop(running: RunningProgram): Promise<void> {
  const exit = once(running.child, 'exit');
  running.child.kill('SIGTERM');
  const [code] = (await soon('its end', exit, 20_000)) as [number];
  expect(code).toBe(0);
}

async function fetched(port: number, path: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
  const body = await answer.text();
  if (answer.status !== 200) throw new Error(`${answer.status} ${body}`);
  return body;
}

function clientsOf(ask: () => Promise<string>): SteadyClients {
  const clients = new SteadyClients(ask);
  made.later(() => clients.stop());
  return clients;
}

async function service(): Promise<number> {
  return (await made.startOrigin((_, response) => response.end('new'))).port;
}

/** Who has served from now on. */
async function onlyServedBy(clients: SteadyClients, name: string): Promise<void> {
  // What runs now may still be another's.
  await clients.servedBy(name);
  clients.forget();
  await clients.servedBy(name);
  expect(clients.servers).toEqual([name]);
}

describe.each(['1.0', '3.0'] as const)('from Cranker, connectors of protocol %s:', (version) => {
  const PATH = '/my-service/x';

  async function oldRouter(): Promise<OldRouter> {
    const router = await OldRouter.start(version === '3.0' ? routers.mu : routers.mu1);
    made.later(() => router.close());
    return router;
  }

  async function oldConnector(port: number, id: string): Promise<ScriptedConnector> {
    const connector = await ScriptedConnector.start(port, version, {
      route: 'my-service',
      id,
      component: 'old',
      window: 4,
      answer: () => ({ body: 'old' }),
    });
    made.later(() => connector.kill());
    return connector;
  }

  async function newRouter(): Promise<{ running: RunningProgram; port: number; registration: number; admin: number }> {
    const running = program.run(['cranker-router', '--port', '0', '--registration-port', '0', ...HERE]);
    return {
      running,
      port: await portIn(running, 'the router listens for applications'),
      registration: await portIn(running, 'connectors register at'),
      admin: await portIn(running, 'health and metrics are at'),
    };
  }

  /** `windlass agent run --wire cranker`. */
  function newConnector(hubs: readonly number[], upstream: number): RunningProgram {
    const where = hubs.flatMap((port) => ['--hub', `ws://127.0.0.1:${port}`]);
    const run = [
      '--wire',
      'cranker',
      '--route',
      'my-service',
      ...where,
      '--upstream',
      `127.0.0.1:${upstream}`,
      '--slots',
      '1000',
      '--state-dir',
      'off',
    ];
    return program.run(['agent', 'run', ...run, '--log-format', 'json']);
  }

  async function connectorsAt(admin: number): Promise<string> {
    return (await fetch(`http://127.0.0.1:${admin}/health/connectors`)).text();
  }

  test('the router first, then its connectors, without a failed request', LIMIT, async () => {
    const old = await oldRouter();
    const first = await oldConnector(old.port, 'first');
    const clients = clientsOf(() => old.ask(PATH));
    await clients.servedBy('old');

    // Beside the old one; connectors register at both.
    const router = await newRouter();
    const second = await oldConnector(router.registration, 'first');
    await until('it is there', async () => (await connectorsAt(router.admin)).includes('my-service'));
    expect(await fetched(router.port, PATH)).toBe('old');
    await clients.servedBy('old');

    // The clients move, the old router goes.
    clients.ask = () => fetched(router.port, PATH);
    await clients.servedBy('old');
    await first.deregister();
    old.close();
    await onlyServedBy(clients, 'old');

    // Then the connectors.
    const agent = newConnector([router.registration], await service());
    await clients.servedBy('old', 'new');
    await second.deregister();
    await onlyServedBy(clients, 'new');
    await clients.stop();
    expect(clients.failures).toEqual([]);
    await stop(agent);
    await stop(router.running);
  });

  test('the connector first, then the router, without a failed request', LIMIT, async () => {
    const old = await oldRouter();
    const connector = await oldConnector(old.port, 'first');
    const clients = clientsOf(() => old.ask(PATH));
    await clients.servedBy('old');

    // Beside the old one, at the same router: it gets its share.
    const upstream = await service();
    const agent = newConnector([old.port], upstream);
    await clients.servedBy('old', 'new');
    expect(old.components.toSorted()).toEqual(['old', 'windlass']);

    // The old connector goes.
    await connector.deregister();
    await onlyServedBy(clients, 'new');

    // One more of ours, at the old router and at the new one; the first one ends while requests run.
    const router = await newRouter();
    const both = newConnector([old.port, router.registration], upstream);
    await until('it is there', async () => (await connectorsAt(router.admin)).includes('my-service'));
    await until('it is at the old one, too', () => new Set(old.peer.open.map(({ asked }) => asked.query.get('connectorInstanceID'))).size === 2);
    await stop(agent);
    await clients.servedBy('new');

    clients.ask = () => fetched(router.port, PATH);
    await clients.servedBy('new');
    old.close();
    await onlyServedBy(clients, 'new');
    await clients.stop();
    expect(clients.failures).toEqual([]);
    await stop(both);
    await stop(router.running);
  });
});

describe('from slime:', () => {
  const OLD_SECRET = 'the secret of the old hub';
  const TOKEN = slimeToken(OLD_SECRET, { id: 5 });

  /** A hub of slime, and its application's GET. */
  async function oldHub(): Promise<{ port: number; ask: () => Promise<string>; close: () => void }> {
    const hub = new SlimeHubPeer();
    const origin = await made.startScript(hub.script);
    return {
      port: origin.port,
      ask: async () => {
        const { text } = await hub.submitted(await hub.give(get('/x')));
        if (!text.startsWith('HTTP/1.1 200 OK\r\n')) throw new Error(`the old hub got: ${text}`);
        return text.slice(text.indexOf('\r\n\r\n') + 4);
      },
      close: () => void origin.close(),
    };
  }

  /** Workers of an agent of slime. stop(): each serves the request that it has asked for, and no more. */
  async function oldAgent(port: number, workers: number): Promise<{ stop: () => Promise<void>; cut: () => Promise<void> }> {
    let stops = false;
    let isCut = false;
    const loops = await Promise.all(
      Array.from({ length: workers }, async (_, i) => {
        const worker = await new SlimeWorkerPeer(made, { port }, TOKEN, 100 + i).connect();
        await worker.join();
        return { worker, done: serve(worker) };
      }),
    );
    async function serve(worker: SlimeWorkerPeer): Promise<void> {
      try {
        while (!stops) await worker.serve(answerText('old'));
      } catch (error) {
        if (!isCut) throw error;
      }
      worker.client.socket.destroy();
    }
    return {
      // While nobody asks.
      cut: async () => {
        stops = isCut = true;
        for (const { worker } of loops) worker.client.socket.destroy();
        await soon('their end', Promise.all(loops.map(({ done }) => done)));
      },
      stop: async () => {
        stops = true;
        await soon('the last answers', Promise.all(loops.map(({ done }) => done)));
      },
    };
  }

  async function newHub(): Promise<{ running: RunningProgram; port: number }> {
    const folder = made.folder();
    writeFileSync(join(folder, 'new.secret'), SECRET);
    writeFileSync(join(folder, 'old.secret'), OLD_SECRET);
    const files = ['--secret-file', join(folder, 'new.secret'), '--slime-secret-file', join(folder, 'old.secret')];
    const running = program.run(['hub', 'run', ...files, '--accept', 'native,slime', '--port', '0', ...HERE]);
    return { running, port: await portIn(running, 'the hub listens') };
  }

  /** With the token of the old hub. */
  function newAgent(port: number, upstream: number, flags: readonly string[] = []): RunningProgram {
    const file = join(made.folder(), 'old.token');
    writeFileSync(file, TOKEN);
    const where = ['--hub', `http://127.0.0.1:${port}`, '--upstream', `127.0.0.1:${upstream}`, '--token-file', file, '--state-dir', 'off'];
    return program.run(['agent', 'run', ...where, '--num-worker', '4', '--log-format', 'json', ...flags]);
  }

  const asked = (port: number): Promise<string> => fetched(port, '/x', { 'slime-block': '1' });

  test('the hub first, then its agents, without a failed request', LIMIT, async () => {
    const old = await oldHub();
    const first = await oldAgent(old.port, 4);
    const clients = clientsOf(old.ask);
    await clients.servedBy('old');

    // Beside the old hub, with some of the agents, whose tokens stay.
    const hub = await newHub();
    const second = await oldAgent(hub.port, 4);
    expect(await asked(hub.port)).toBe('old');
    await clients.servedBy('old');

    clients.ask = () => asked(hub.port);
    await clients.servedBy('old');
    old.close();
    await first.cut();
    await onlyServedBy(clients, 'old');

    // Then the agents, over the native wire, with the old token.
    const agent = newAgent(hub.port, await service());
    await clients.servedBy('old', 'new');
    await second.stop();
    await onlyServedBy(clients, 'new');
    await clients.stop();
    expect(clients.failures).toEqual([]);
    await stop(agent);
    await stop(hub.running);
  });

  test('the agents first, then the hub, without a failed request', LIMIT, async () => {
    const old = await oldHub();
    const first = await oldAgent(old.port, 4);
    const clients = clientsOf(old.ask);
    await clients.servedBy('old');

    const upstream = await service();
    const agent = newAgent(old.port, upstream, ['--wire', 'slime', '--agent-id', '1000']);
    await clients.servedBy('old', 'new');
    await first.stop();
    await onlyServedBy(clients, 'new');

    // The hub is replaced; --wire slime is left out at agents that join the new one.
    const hub = await newHub();
    const native = newAgent(hub.port, upstream);
    expect(await asked(hub.port)).toBe('new');
    clients.ask = () => asked(hub.port);
    await clients.servedBy('new');
    await stop(agent);
    old.close();
    await onlyServedBy(clients, 'new');
    await clients.stop();
    expect(clients.failures).toEqual([]);
    await stop(native);
    await stop(hub.running);
  });

  test('one agent of each kind serves beside the others at our hub', LIMIT, async () => {
    const hub = await newHub();
    const clients = clientsOf(() => asked(hub.port));
    const oldOne = await oldAgent(hub.port, 2);
    await clients.servedBy('old');
    const native = newAgent(hub.port, await service());
    const wired = newAgent(hub.port, (await made.startOrigin((_, response) => response.end('wired'))).port, [
      '--wire',
      'slime',
      '--agent-id',
      '2000',
    ]);
    await clients.servedBy('old', 'new', 'wired');
    await stop(wired);
    await clients.servedBy('old', 'new');
    await stop(native);
    await onlyServedBy(clients, 'old');
    await clients.stop();
    expect(clients.failures).toEqual([]);
    await oldOne.cut();
    await stop(hub.running);
  });
});
