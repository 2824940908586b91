import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { WebSocket, WebSocketServer } from 'ws';
import { describe, expect, test } from 'vitest';
import type { Page, TrafficItem, TrafficStory } from '../../src/admin/model.ts';
import { startHub } from '../../src/index.ts';
import { kit, type Listening, metric, portOf, SECRET, tokenFor } from '../kit/kit.ts';
import { Library } from '../kit/library.ts';
import { Operator } from '../kit/operator.ts';
import { soon, until } from '../kit/until.ts';

const script = fileURLToPath(new URL('../../examples/python-agent/agent.py', import.meta.url));
const hasPython = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))']).status === 0;

const tools = kit();
const library = new Library(tools);

interface PythonAgent {
  readonly child: ChildProcess;
  err: string;
}

/** The example, as its README starts it. */
function dial(hub: Listening, origin: Listening, slots = 2, token = tokenFor()): PythonAgent {
  const argv = [
    '-B',
    script,
    '--hub',
    `127.0.0.1:${portOf(hub)}`,
    '--upstream',
    `127.0.0.1:${portOf(origin)}`,
    '--slots',
    String(slots),
    '--agent-id',
    'snake',
  ];
  const child = spawn('python3', argv, { env: { PATH: process.env['PATH'], WINDLASS_TOKEN: token }, stdio: ['ignore', 'ignore', 'pipe'] });
  const agent: PythonAgent = { child, err: '' };
  child.stderr!.on('data', (piece: Buffer) => (agent.err += piece.toString()));
  tools.later(() => child.kill('SIGKILL'));
  return agent;
}

async function joined(hub: Listening & { readonly adminAddress: { readonly port: number } | null }, slots = 2): Promise<void> {
  await until('the agent has joined', async () => (await metric(hub, 'windlass_agent_slots{state="free"}')) === slots);
}

const url = (hub: Listening, path = '/'): string => `http://127.0.0.1:${portOf(hub)}${path}`;

test('python3 is here, or it is said loudly that the agent in Python was not tested', () => {
  if (!hasPython) console.warn('python3 (3.9 or later) is missing: the agent in Python is NOT tested here');
  expect(typeof hasPython).toBe('boolean');
});

describe.runIf(hasPython)('the agent in Python', () => {
  test('serves requests with and without bodies, and heads that carry anything', async () => {
    const hub = await tools.startHubWith();
    const origin = await tools.startOrigin((request, response, seen) => {
      request.on('end', () => {
        response.writeHead(201, 'Made So', { 'X-Seen': `${seen.method} ${seen.url} ${String(seen.headers['x-a'])}`, 'Set-Cookie': ['a=1', 'b=2'] });
        response.end(request.method === 'HEAD' ? undefined : seen.body);
      });
      request.resume();
    });
    dial(hub, origin);
    await joined(hub);
    const answer = await fetch(url(hub, '/a%20b?c=d'), { method: 'POST', body: 'hello', headers: { 'X-A': 'b' } });
    expect([answer.status, answer.statusText, await answer.text()]).toEqual([201, 'Made So', 'hello']);
    expect([answer.headers.get('x-seen'), answer.headers.getSetCookie(), answer.headers.get('slime-agent-id')]).toEqual([
      'POST /a%20b?c=d b',
      ['a=1', 'b=2'],
      'snake',
    ]);
    const head = await fetch(url(hub), { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([201, '']);
    expect((await fetch(url(hub), { method: 'DELETE' })).status).toBe(201);
  });

  test('is asked for its times and does not mind that it knows none: the story of a request has one piece for it', async () => {
    const stateDir = tools.folder();
    const hub = await tools.startHubWith({ inspector: 10 }, {}, { stateDir });
    const origin = await tools.startOrigin();
    dial(hub, origin);
    await joined(hub);
    expect((await fetch(url(hub, '/x'))).status).toBe(200);
    const operator = new Operator(hub, stateDir);
    const { items } = await operator.get<Page<TrafficItem>>('/traffic');
    const { spans } = await operator.get<TrafficStory>(`/traffic/${items[0]!.id}`);
    expect(spans.map(({ name }) => name)).toEqual(['hub', 'tunnel', 'answer']);
    expect(await metric(hub, 'windlass_agent_slots{state="free"}')).toBe(2);
  });

  test('megabytes go both ways within the windows, and come back the same', async () => {
    const hub = await tools.startHubWith();
    const origin = await tools.startOrigin((request, response) => void request.pipe(response));
    const agent = dial(hub, origin);
    await joined(hub);
    const body = Buffer.alloc(5 << 20, 'windlass and python ');
    const sent = await Promise.all(
      Array.from({ length: 2 }, async () => Buffer.from(await (await fetch(url(hub), { method: 'PUT', body })).arrayBuffer())),
    );
    expect(sent.every((one) => one.equals(body))).toBe(true);
    expect(agent.err).not.toContain('rules');
  });

  test('a stream arrives piece by piece, with its trailers', async () => {
    const hub = await tools.startHubWith();
    let go!: () => void;
    const next = new Promise<void>((resolve) => (go = resolve));
    const origin = await tools.startOrigin((_request, response) => {
      response.writeHead(200, { Trailer: 'X-End' });
      response.write('one');
      void next.then(() => {
        response.addTrailers({ 'X-End': 'yes' });
        response.end('two');
      });
    });
    dial(hub, origin);
    await joined(hub);
    const request = http.get(url(hub), { headers: { TE: 'trailers', Connection: 'TE' } });
    const [answer] = (await soon('the head', once(request, 'response'))) as [http.IncomingMessage];
    expect(String((await soon('a piece', once(answer, 'data')))[0])).toBe('one');
    let rest = '';
    answer.on('data', (piece: Buffer) => (rest += piece.toString()));
    const end = once(answer, 'end');
    go();
    await soon('the end', end);
    expect(rest).toBe('two');
    expect(answer.trailers['x-end']).toBe('yes');
  });

  test('never more requests at once than slots, none refused, and every one is answered', async () => {
    const hub = await tools.startHubWith({ queueTimeoutMs: 20_000 });
    const origin = await tools.startOrigin((request, response) => {
      request.resume();
      setTimeout(() => response.end('ok'), 3);
    });
    dial(hub, origin, 3);
    await joined(hub, 3);
    const answers = await Promise.all(Array.from({ length: 60 }, async () => (await fetch(url(hub), { method: 'POST', body: 'x' })).text()));
    expect(new Set(answers)).toEqual(new Set(['ok']));
    expect([origin.requests.length, origin.mostRunning]).toEqual([60, 3]);
    await joined(hub, 3);
  });

  test('a client that leaves is a cancelled request: the service hears it, and the slot comes back', async () => {
    const hub = await tools.startHubWith();
    const origin = await tools.startOrigin((_request, response, seen) => {
      if (seen.url === '/slow') response.write('begun');
      else response.end('ok');
    });
    dial(hub, origin, 1);
    await joined(hub, 1);
    const gone = new AbortController();
    const answer = await fetch(url(hub, '/slow'), { signal: gone.signal });
    expect(answer.status).toBe(200);
    gone.abort();
    await until('the service hears it', () => origin.requests[0]!.aborted);
    await joined(hub, 1);
    expect(await (await fetch(url(hub, '/fast'))).text()).toBe('ok');
  });

  test('a service that is not there, and one that breaks off, are failures with a code', async () => {
    const hub = await tools.startHubWith();
    const origin = await tools.startOrigin((request, response) => {
      response.writeHead(200, { 'Content-Length': '100' });
      response.write('half');
      setImmediate(() => request.socket.destroy());
    });
    dial(hub, origin, 1);
    await joined(hub, 1);
    await expect(fetch(url(hub)).then((one) => one.text())).rejects.toThrow();
    await joined(hub, 1);
    origin.server.close();
    origin.server.closeAllConnections();
    await until('nobody accepts', async () => {
      const answer = await fetch(url(hub));
      return answer.status === 502 && ((await answer.json()) as { code: string }).code === 'connect_refused';
    });
  });

  test('WebSockets pass, both ways', async () => {
    const hub = await tools.startHubWith();
    const server = http.createServer();
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) => socket.on('message', (message) => socket.send(`echo ${String(message)}`)));
    dial(hub, { port: await library.listen(server) }, 1);
    await joined(hub, 1);
    const socket = new WebSocket(`ws://127.0.0.1:${portOf(hub)}/chat`);
    tools.later(() => socket.terminate());
    await soon('the open', once(socket, 'open'));
    socket.send('hi');
    expect(String((await soon('the echo', once(socket, 'message')))[0])).toBe('echo hi');
    socket.close();
    await soon('the close', once(socket, 'close'));
    await joined(hub, 1);
  });

  test('answers PING while nothing else happens', async () => {
    const hub = await startHub(
      { secret: SECRET, listen: { host: '127.0.0.1', port: 0 } },
      { tunnelLimits: { tickMs: 60, pingAfterMs: 200, deadAfterMs: 5_000 } },
    );
    tools.later(() => hub.destroy());
    const origin = await tools.startOrigin();
    dial({ address: hub.address! }, origin);
    const trips = new Set<number>();
    await until('four round trips', () => {
      for (const { roundTripMs } of hub.connections()) if (roundTripMs > 0) trips.add(roundTripMs);
      return trips.size >= 4;
    });
    expect(hub.connections()).toHaveLength(1);
    expect(await (await fetch(url({ address: hub.address! }))).text()).toBe('ok');
  });

  test('SIGTERM: what runs finishes, then it says goodbye and ends', async () => {
    const hub = await tools.startHubWith();
    let finish!: () => void;
    const work = new Promise<void>((resolve) => (finish = resolve));
    const origin = await tools.startOrigin((_request, response) => void work.then(() => response.end('whole')));
    const { child } = dial(hub, origin);
    await joined(hub);
    const asked = fetch(url(hub));
    await until('it runs', () => origin.running === 1);
    child.kill('SIGTERM');
    await until('no slots', async () => (await metric(hub, 'windlass_agent_slots{state="free"}')) === 0);
    const ended = once(child, 'exit');
    finish();
    expect(await (await asked).text()).toBe('whole');
    expect((await soon('its end', ended))[0]).toBe(0);
    expect(hub.log.find(({ message }) => message === 'agent left')?.fields['reason']).toBe('the peer said goodbye');
  });

  test('a hub that stops is left in order, and found again when it is back', async () => {
    const hub = await tools.startHubWith({ drainTimeoutMs: 5_000 });
    const { port } = hub.address;
    let finish!: () => void;
    const work = new Promise<void>((resolve) => (finish = resolve));
    const origin = await tools.startOrigin((_request, response) => void work.then(() => response.end('whole')));
    dial(hub, origin);
    await joined(hub);
    const asked = fetch(url(hub));
    await until('it runs', () => origin.running === 1);
    const closed = hub.close();
    finish();
    expect(await (await asked).text()).toBe('whole');
    await soon('the close', closed);
    const next = await tools.startHubWith({ port });
    await joined(next);
    expect(await (await fetch(url(next))).text()).toBe('whole');
  });

  test('a token that is not good is said, and not tried again at once', async () => {
    const hub = await tools.startHubWith();
    const origin = await tools.startOrigin();
    const agent = dial(hub, origin, 1, 'nonsense');
    await until('the word', () => agent.err.includes('the hub answers 401'));
    expect(agent.child.exitCode).toBe(null);
    expect(agent.err.match(/401/g)).toHaveLength(1);
  });
});
