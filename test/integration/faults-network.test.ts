import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/std/clock.ts';
import { CLOCK_LEEWAY_MS } from '../../src/tunnel/token.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { RawClient } from '../kit/client.ts';
import { Crowd } from '../kit/crowd.ts';
import { kit, metric, metricBecomes, type Served, tokenFor } from '../kit/kit.ts';
import { startRelay } from '../kit/relay.ts';
import { asks, get, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, startAgentFor, dialHub, startOrigin, startScript, rawClient, later } = tools;

const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const CA_FILE = join(FIXTURES, 'ca.pem');
const ONE = { certFile: join(FIXTURES, 'one.pem'), keyFile: join(FIXTURES, 'one.key') };
const BLOCK = ['Slime-Block: 1'];

/** A client over TLS that asks for the certificate of `servername`, '' = of nobody. */
async function secureClient(hub: Served, servername: string): Promise<RawClient> {
  const socket = tls.connect({
    port: hub.address.port,
    host: '127.0.0.1',
    ca: readFileSync(CA_FILE),
    checkServerIdentity: () => undefined,
    ...(servername === '' ? {} : { servername }),
  });
  later(() => socket.destroy());
  await once(socket, 'secureConnect');
  return new RawClient(socket);
}

async function sessions(hub: Served, count: number): Promise<void> {
  await metricBecomes(hub, 'windlass_agent_sessions', (value) => value === count);
}

function said(hub: { readonly log: Served['log'] }, message: string): number {
  return hub.log.filter((line) => line.message === message).length;
}

describe('a network that swallows everything for longer than a session is borne, and heals', () => {
  test.each([
    ['both ends have given up', 'well', { deadAfterMs: 900 }, { deadAfterMs: 900 }],
    ['only the agent has given up', 'well', { deadAfterMs: 60_000 }, { deadAfterMs: 900 }],
    ['only the agent has given up, and the old connection stays dead', 'forgetful', { deadAfterMs: 60_000 }, { deadAfterMs: 900 }],
    ['only the hub has given up', 'well', { deadAfterMs: 900 }, { deadAfterMs: 60_000 }],
  ] as const)('%s: one session afterwards, no request to the old one, none twice [fault 46, fault 7]', async (_who, how, hubTimes, agentTimes) => {
    const times = { tickMs: 50, pingAfterMs: 200, backoffBaseMs: 20, backoffCapMs: 100, handshakeTimeoutMs: 300 };
    const origin = await startOrigin((request, response) => response.end(request.url));
    const hub = await startHubWith({}, { ...times, ...hubTimes });
    const other = await startHubWith({ hubId: 'other' });
    const relay = await startRelay(tools, hub);
    const hubs = [relay.port, other.address.port].map((port) => parseUpstreamUrl(`127.0.0.1:${port}`));
    const agent = await startAgentFor(relay, origin, { hubs, slots: 2 }, { ...times, ...agentTimes });
    await sessions(hub, 1);
    await sessions(other, 1);
    relay.silence();
    await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 0);
    const lost = [hub, agent].filter((_, i) => [hubTimes, agentTimes][i]!.deadAfterMs === 900);
    for (const one of lost)
      await until('it to give up', () => one.log.some(({ message, fields }) => /left|ended/.test(`${message} ${String(fields['reason'])}`)));
    // Meanwhile the other hub is served by both slots, and who waits here waits.
    const crowd = new Crowd(other, 'other');
    await crowd.ask(30, 3);
    expect(crowd.answered).toBe(30);
    const waiting = await Promise.all([1, 2, 3].map((i) => asks(tools, hub, `/waits-${i}`, BLOCK)));
    await metricBecomes(hub, 'windlass_queue_size', (size) => size === 3);
    relay.heal(how);
    for (const [i, client] of waiting.entries()) expect((await client.answer()).body.toString()).toBe(`/waits-${i + 1}`);
    const after = new Crowd(hub, 'after');
    await after.ask(30, 3);
    expect(after.answered).toBe(30);
    await sessions(hub, 1);
    expect(said(hub, 'agent joined')).toBe(said(hub, 'agent left') + 1);
    const urls = origin.requests.map(({ url }) => url);
    expect(new Set(urls).size).toBe(urls.length);
    expect(urls.length).toBe(63);
    expect(origin.mostRunning).toBeLessThanOrEqual(2);
    await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 2);
  });
});

test('an event loop that stands still for longer than a peer may be silent loses no session and no request [fault 41]', async () => {
  const { origin, arrived } = await startHolding(tools);
  const times = { tickMs: 50, pingAfterMs: 150, deadAfterMs: 600 };
  const hubs = [await startHubWith({ hubId: 'a' }, times), await startHubWith({ hubId: 'b' }, times)];
  const agent = await startAgentFor(
    hubs[0]!,
    origin,
    { slots: 3, hubs: hubs.map(({ address }) => parseUpstreamUrl(`127.0.0.1:${address.port}`)) },
    times,
  );
  for (const hub of hubs) await sessions(hub, 1);
  const running = await Promise.all(hubs.map((hub) => asks(tools, hub)));
  await arrived(1);
  for (let i = 0; i < 3; i++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
    // Long enough for every look at the clock that the pause has made due.
    const pings = performance.now() + 300;
    await until('some time to pass', () => performance.now() > pings);
  }
  for (let i = 0; i < 2; i++) (await arrived(i)).response.end('late');
  for (const client of running) expect((await client.answer()).body.toString()).toBe('late');
  for (const hub of hubs) expect([said(hub, 'agent joined'), said(hub, 'agent left')]).toEqual([1, 0]);
  expect(said(agent, 'joined the hub')).toBe(2);
});

describe('a wall clock that jumps by a year', () => {
  const YEAR_MS = 365 * 24 * 3_600_000;

  function movableClock(): { now(): number; wall(): number; byMs: number } {
    const clock = { byMs: 0, now: () => systemClock.now(), wall: () => systemClock.wall() + clock.byMs };
    return clock;
  }

  test.each([
    ['forward', YEAR_MS],
    ['back', -YEAR_MS],
  ])(
    '%s, at hub and agent: no session ends, no request is late, and tokens are judged by the time that it is now [threat 81, fault 44]',
    async (_way, byMs) => {
      const { origin, arrived } = await startHolding(tools);
      const clock = movableClock();
      const hub = await startHubWith({ timeoutMs: 60_000 }, {}, { clock });
      const token = tokenFor({ expiresMs: Date.now() + 3_600_000 });
      const agents = [];
      for (let i = 0; i < 5; i++) agents.push(await startAgentFor(hub, origin, { token, agentId: `a${i}` }, {}, { clock }));
      await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 5);
      const before = await asks(tools, hub, '/before');
      await arrived(0);
      for (let i = 0; i < 4; i++) await asks(tools, hub, '/');
      await arrived(4);
      const waits = await asks(tools, hub, '/waits', BLOCK);
      await metricBecomes(hub, 'windlass_queue_size', (size) => size === 1);
      clock.byMs = byMs;
      // Longer than the hub looks away from its sessions.
      const end = performance.now() + 1_300;
      await until('some time to pass', () => performance.now() > end);
      expect(await metric(hub, 'windlass_agent_sessions')).toBe(5);
      (await arrived(0)).response.end('in time');
      expect((await before.answer()).body.toString()).toBe('in time');
      (await arrived(5)).response.end('in time');
      expect((await waits.answer()).body.toString()).toBe('in time');
      expect([said(hub, 'agent joined'), said(hub, 'agent left')]).toEqual([5, 0]);
      // A new handshake: an hour is over in a year, and not begun a year ago.
      const late = await dialHub(hub, origin, { token, agentId: 'late' });
      if (byMs > 0) await until('the refusal', () => late.log.some(({ message }) => message.includes('expired')));
      else await sessions(hub, 6);
    },
  );

  test('a minute is forgiven, more is not [threat 81]', async () => {
    const origin = await startOrigin();
    const clock = movableClock();
    const hub = await startHubWith({}, {}, { clock });
    const expiresMs = Date.now() + 1_000_000;
    clock.byMs = 1_000_000 + CLOCK_LEEWAY_MS - 20_000;
    await startAgentFor(hub, origin, { token: tokenFor({ expiresMs }) });
    clock.byMs += 40_000;
    const late = await dialHub(hub, origin, { token: tokenFor({ expiresMs }) });
    await until('the refusal', () => late.log.some(({ message }) => message.includes('expired')));
    await sessions(hub, 1);
  });
});

test(
  '300 agents whose hub is restarted all come back, each once, while clients are served; nobody is left out [fault 11, fault 10]',
  { timeout: 60_000 },
  async () => {
    const origin = await startOrigin((request, response) => response.end(request.url));
    const first = await startHubWith();
    const { port } = first.address;
    const agents = await Promise.all(Array.from({ length: 300 }, (_, i) => startAgentFor(first, origin, { agentId: `agent-${i}` })));
    await sessions(first, 300);
    first.destroy();
    // Down for so long that their waits have grown.
    const tries = (log: readonly { readonly message: string }[]) => log.filter(({ message }) => message.includes('cannot be reached')).length;
    await until('each to have tried in vain', () => agents.every(({ log }) => tries(log) >= 3), 20_000);
    const again = await startHubWith({ port });
    const returned = performance.now();
    const times: number[] = [];
    const crowd = new Crowd(again, 'again');
    const asked = crowd.ask(200, 4);
    await until(
      'all to be back',
      () => {
        const back = said(again, 'agent joined');
        while (times.length < back) times.push(performance.now() - returned);
        return back === 300;
      },
      30_000,
    );
    await asked;
    expect(crowd.answered).toBe(200);
    await sessions(again, 300);
    const names = new Set(again.log.filter(({ message }) => message === 'agent joined').map(({ fields }) => fields['agent']));
    expect(names.size).toBe(300);
    console.log(`300 agents back: half ${Math.round(times[149]!)} ms, 95 % ${Math.round(times[284]!)} ms, all ${Math.round(times[299]!)} ms`);
  },
);

test.each([
  ['plainly', null],
  ['over TLS', ONE],
])(
  '%s: connections that come and go by the hundred, half of them without a byte, leave no descriptor behind, and good clients are served [threat 51]',
  { timeout: 60_000 },
  async (_how, pair) => {
    const origin = await startOrigin();
    const hub = await startHubWith({ tls: pair });
    const hubs = [parseUpstreamUrl(`${pair === null ? 'http' : 'https'}://127.0.0.1:${hub.address.port}`)];
    await startAgentFor(hub, origin, { hubs, caFile: CA_FILE });
    const good = pair === null ? await rawClient(hub) : await secureClient(hub, 'localhost');
    good.send(get('/', BLOCK));
    expect((await good.answer()).status).toBe(200);
    const baseOpen = await metric(hub, 'windlass_process_open_fds');
    let came = 0;
    let over = false;
    const churn = Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        while (!over) {
          const socket = net.connect(hub.address.port, '127.0.0.1');
          socket.on('error', () => {});
          await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
          const kind = (came++ + n) % 6;
          if (kind === 1) socket.write('GET / HT');
          else if (kind === 3) socket.write(get('/', BLOCK));
          else if (kind === 5) socket.write('neither HTTP nor TLS\r\n\r\n');
          if (kind % 2 === 0) socket.destroy();
          else if (kind === 1) socket.resetAndDestroy();
          else {
            socket.resume();
            socket.end();
          }
          await once(socket, 'close');
        }
      }),
    );
    let served = 0;
    const beganMs = performance.now();
    while (came < 500 || served < 20) {
      good.send(get('/', BLOCK));
      expect((await good.answer()).status).toBe(200);
      served++;
    }
    over = true;
    await churn;
    await metricBecomes(hub, 'windlass_connections', (open) => open === 1);
    const isBack = async (): Promise<boolean> => !((await metric(hub, 'windlass_process_open_fds')) > baseOpen + 5);
    await until('the descriptors to be free again', isBack);
    await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
    expect(await metric(hub, 'windlass_agent_slots{state="free"}')).toBe(1);
    console.log(`${came} connections in ${Math.round(performance.now() - beganMs)} ms, ${served} requests of a good client meanwhile`);
  },
);

describe('a tunnel that is lost under', () => {
  test('a WebSocket closes its connection, without a word of ours in it, at both ends [fault 45]', async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello',
      );
    });
    const hub = await startHubWith();
    const relay = await startRelay(tools, hub);
    await startAgentFor(relay, origin);
    const client = await asks(tools, hub, '/', [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]);
    await client.until(({ text }) => text.endsWith('hello'), 'what the service said');
    client.send('a word');
    await until('it to arrive', () => origin.connections[0]?.text.endsWith('a word'));
    relay.cut();
    expect(['fin', 'reset']).toContain(await client.ended());
    expect(client.text.endsWith('\r\n\r\nhello')).toBe(true);
    expect(['fin', 'reset']).toContain(await origin.connections[0]!.ended());
  });

  test('an event stream cuts it, and the client that comes again with Last-Event-ID is served on [fault 45]', async () => {
    const { origin, arrived } = await startHolding(tools);
    const hub = await startHubWith();
    const relay = await startRelay(tools, hub);
    await startAgentFor(relay, origin, {}, { backoffBaseMs: 5, backoffCapMs: 20 });
    const client = await asks(tools, hub, '/events', ['Accept: text/event-stream']);
    const { response } = await arrived(0);
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('id: 1\ndata: one\n\n');
    await client.until(({ text }) => text.includes('data: one'), 'an event');
    relay.cut();
    expect((await client.answer()).complete).toBe(false);
    const again = await asks(tools, hub, '/events', ['Last-Event-ID: 1', ...BLOCK]);
    const { request, response: second } = await arrived(1);
    expect(request.headers['last-event-id']).toBe('1');
    second.end('id: 2\ndata: two\n\n');
    expect((await again.answer()).body.toString()).toContain('data: two');
  });
});

describe('over TLS', () => {
  test('what a listener on the way has recorded of a handshake opens nothing, and holds no token [threat 34]', async () => {
    const origin = await startOrigin();
    const hub = await startHubWith({ tls: ONE });
    const relay = await startRelay(tools, hub);
    const token = tokenFor();
    await startAgentFor(hub, origin, { hubs: [parseUpstreamUrl(`https://127.0.0.1:${relay.port}`)], caFile: CA_FILE, token });
    await sessions(hub, 1);
    const recorded = Buffer.concat(relay.heard[0]!);
    expect(recorded.length).toBeGreaterThan(500);
    expect(recorded.includes(token)).toBe(false);
    const replay = await rawClient(hub);
    replay.send(recorded);
    await replay.ended();
    expect(replay.text).not.toContain('101');
    expect([said(hub, 'agent joined'), said(hub, 'agent left')]).toEqual([1, 0]);
    expect(await metric(hub, 'windlass_agent_sessions')).toBe(1);
  });

  test('the name in a handshake opens nothing: whoever then asks for another host is asked for the same password [threat 26]', async () => {
    const origin = await startOrigin();
    const hub = await startHubWith({ tls: ONE, appPassword: 'open sesame' });
    await startAgentFor(hub, origin, { hubs: [parseUpstreamUrl(`https://127.0.0.1:${hub.address.port}`)], caFile: CA_FILE });
    for (const servername of ['one.test', 'admin.test', 'localhost', '']) {
      const client = await secureClient(hub, servername);
      for (const [fields, status] of [
        [[], 401],
        [['Slime-App-Password: open sesame'], 200],
      ] as const)
        expect((await client.send(get('/', [...fields, ...BLOCK])).answer()).status).toBe(status);
    }
    expect(new Set(origin.requests.map(({ headers }) => headers.host)).size).toBe(1);
  });
});
