import net from 'node:net';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CLOCK_LEEWAY_MS } from '../../src/tunnel/token.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import type { RawClient } from '../kit/client.ts';
import { kit, metric, metricBecomes, type Served, tokenFor } from '../kit/kit.ts';
import { startRelay } from '../kit/relay.ts';
import { asks, field, get, startHolding } from '../kit/stage.ts';
import { soon, turns, until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startScript, startHubWith, startAgentFor, dialHub, rawClient, folder, accessLog } = tools;

const BLOCK = ['Slime-Block: 1'];

async function quiet(hub: Served, slots: number): Promise<void> {
  await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === slots);
  await metricBecomes(hub, 'windlass_buffered_bytes', (value) => value === 0);
  expect(await metric(hub, 'windlass_agent_slots{state="busy"}')).toBe(0);
  expect(await metric(hub, 'windlass_queue_size')).toBe(0);
}

test.each([
  ['a foreign one', () => tokenFor({}, 'another secret of another hub'), 'secret'],
  ['an expired one', () => tokenFor({ issuedMs: Date.now() - 10_000_000, expiresMs: Date.now() - 1_000_000 }), 'expired'],
  ['one cut short', () => tokenFor().slice(0, -3), 'token'],
  ['one in lower case letters only', () => tokenFor().toLowerCase(), 'token'],
  ['a random word', () => 'letmein', 'token'],
  ['a very long one', () => 'x'.repeat(20_000), ''],
])(
  'a token that is no good is refused at the handshake, said once, and not tried again at once: %s [threat 33, threat 35]',
  async (_what, token, why) => {
    const origin = await startOrigin();
    const hub = await startHubWith();
    const relay = await startRelay(tools, hub);
    const agent = await dialHub(relay, origin, { token: token() }, { backoffBaseMs: 5, backoffCapMs: 10 });
    const line = await until('the agent to say so', () => agent.log.find(({ level, message }) => level === 'warn' && message.includes('refused')));
    expect(line.message).toContain(why);
    expect(JSON.stringify(agent.log) + JSON.stringify(hub.log)).not.toContain(token());
    expect(await metric(hub, 'windlass_agent_sessions')).toBe(0);
    // A hundred times as long as its backoff would wait after another failure.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(relay.connections).toBe(1);
    expect(agent.log.filter(({ level }) => level === 'warn').length).toBe(1);
  },
);

test('a token file that has been replaced is read again after a refusal, and the agent joins', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  const tokenFile = join(folder(), 'token');
  writeFileSync(tokenFile, tokenFor());
  const agent = await startAgentFor(hub, origin, { token: tokenFor({}, 'an old secret that is gone'), tokenFile });
  expect(agent.log.some(({ message }) => message === 'agent token read anew')).toBe(true);
  expect((await (await asks(tools, hub)).answer()).status).toBe(200);
});

test('a token of an older secret is still good while the hub has both', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith({ secrets: ['a new secret for tests only', 'an old secret for tests only'] });
  await startAgentFor(hub, origin, { token: tokenFor({}, 'an old secret for tests only') });
  expect((await (await asks(tools, hub)).answer()).status).toBe(200);
});

test('a session whose token ends is closed, and a new one is refused [threat 35]', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, origin, { token: tokenFor({ expiresMs: Date.now() - CLOCK_LEEWAY_MS + 2_000 }) });
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(1);
  await metricBecomes(hub, 'windlass_agent_sessions', (value) => value === 0);
  await until('the agent to say why', () => agent.log.some(({ message }) => message.includes('expired')));
});

test.each([
  ['a length', 'Content-Length: 1000000', '1.1'],
  ['chunks', 'Transfer-Encoding: chunked', '1.1'],
  ['the end of the connection', 'Transfer-Encoding: chunked', '1.0'],
])(
  'an agent that is lost in the middle of a body delimited by %s cuts its client; other agents go on [fault 6, threat 38]',
  async (_what, framing, version) => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n5\r\nhello\r\n`);
    });
    const other = await startHolding(tools);
    const hub = await startHubWith();
    const relay = await startRelay(tools, hub);
    await startAgentFor(hub, other.origin, { token: tokenFor({ scopes: ['other'] }), slots: 2 });
    await startAgentFor(relay, origin, { token: tokenFor({ scopes: ['lost'] }) });
    const undisturbed = await asks(tools, hub, '/', ['Slime-Scope: other']);
    const held = await other.arrived(0);
    held.response.write('one ');
    const client = await rawClient(hub);
    client.send(`GET / HTTP/${version}\r\nHost: a\r\nSlime-Scope: lost\r\n\r\n`);
    await client.until((one) => one.text.includes('hello'), 'some of the body');
    relay.cut();
    if (version === '1.0') expect(await client.ended()).toBe('reset');
    else expect((await client.answer()).complete).toBe(false);
    held.response.end('two');
    expect((await undisturbed.answer()).body.toString()).toBe('one two');
  },
);

test('an agent that is lost before its answer is a 502 for a POST, and the POST is sent once [fault 5]', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  const relay = await startRelay(tools, hub);
  await startAgentFor(relay, origin, {}, { backoffBaseMs: 5 });
  const client = await rawClient(hub);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 2\r\n\r\nhi');
  const { seen } = await arrived(0);
  relay.cut();
  const answer = await client.answer('POST');
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'tunnel_lost' });
  // The agent tells the upstream, dials anew, and serves.
  await until('the origin to see its client leave', () => seen.aborted);
  const next = await asks(tools, hub, '/next', BLOCK);
  (await arrived(1)).response.end();
  expect((await next.answer()).status).toBe(200);
  expect(origin.requests.length).toBe(2);
});

test('a hub that is gone makes the agent cancel what it runs at once, and come back when the hub does [rule R5]', async () => {
  const { origin, arrived } = await startHolding(tools);
  const first = await startHubWith();
  const agent = await startAgentFor(first, origin, {}, { backoffBaseMs: 5, backoffCapMs: 20 });
  await asks(tools, first);
  const { seen } = await arrived(0);
  const { port } = first.address;
  first.destroy();
  await until('the origin to see its client leave', () => seen.aborted, 1_000);
  const again = await startHubWith({ port });
  await metricBecomes(again, 'windlass_agent_sessions', (value) => value === 1);
  const client = await asks(tools, again, '/', BLOCK);
  (await arrived(1)).response.end('back');
  expect((await client.answer()).body.toString()).toBe('back');
  expect(agent.log.filter(({ message }) => message === 'joined the hub').length).toBe(2);
});

test('an agent that falls silent gets no new work after one missed ping, and is given up; its client hears it [fault 7, fault 8]', async () => {
  const { origin, arrived } = await startHolding(tools);
  const times = { tickMs: 60, pingAfterMs: 200, deadAfterMs: 1_500 };
  const hub = await startHubWith({}, times);
  const relay = await startRelay(tools, hub);
  await startAgentFor(relay, origin, { slots: 4 });
  const client = await asks(tools, hub);
  await arrived(0);
  relay.silence();
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 0);
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(1);
  const busy = await (await asks(tools, hub)).answer();
  expect(busy.status).toBe(503);
  const answer = await client.answer();
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'tunnel_lost' });
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(0);
  expect(origin.requests.length).toBe(1);
});

test('two processes with one id live beside each other, and the log says so [threat 36]', async () => {
  const [one, two] = [await startOrigin((_request, response) => response.end('one')), await startOrigin((_request, response) => response.end('two'))];
  const hub = await startHubWith();
  await startAgentFor(hub, one, { agentId: 'twin' });
  await startAgentFor(hub, two, { agentId: 'twin' });
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(2);
  expect(await metric(hub, 'windlass_agents_connected')).toBe(1);
  expect(hub.log.some(({ level, message }) => level === 'warn' && message.includes('same id'))).toBe(true);
  const bodies = new Set<string>();
  while (bodies.size < 2) {
    const answer = await (await asks(tools, hub)).answer();
    expect(field(answer, 'slime-agent-id')).toBe('twin');
    bodies.add(answer.body.toString());
  }
});

test.each([
  ['FIN', (client: RawClient) => client.halfClose()],
  ['RST', (client: RawClient) => client.reset()],
])('a client that departs by %s while it waits for its answer is told to the upstream across the tunnel [fault 28, rule R5]', async (_how, leave) => {
  const { origin, arrived } = await startHolding(tools);
  const log = accessLog();
  const hub = await startHubWith({ accessLog: log.target });
  await startAgentFor(hub, origin);
  const client = await asks(tools, hub);
  const { seen } = await arrived(0);
  leave(client);
  await until('the origin to see its client leave', () => seen.aborted, 1_000);
  expect((await log.lines(1))[0]).toContain(' 499 ');
  await quiet(hub, 1);
});

test('a client that departs in the middle of its upload: the upstream never sees a complete request [fault 27]', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  for (const framing of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
    const client = await rawClient(hub);
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\n${framing}\r\n\r\n3\r\nabc\r\n`);
    const n = origin.requests.length;
    await until('the request to arrive', () => origin.requests.length > n && origin.requests[n]!.bytes > 0);
    client.halfClose();
    expect((await origin.decided(n)).complete).toBe(false);
    await quiet(hub, 1);
  }
});

test('a client that departs in the middle of its download leaves the tunnel to the others [fault 29]', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { slots: 2 });
  const leaver = await asks(tools, hub, '/leaver');
  const left = await arrived(0);
  left.response.write('some');
  const stayer = await asks(tools, hub, '/stayer');
  const stays = await arrived(1);
  stays.response.write('one ');
  await leaver.until((one) => one.text.includes('some'), 'some');
  leaver.reset();
  await until('the origin to see its client leave', () => left.seen.aborted, 1_000);
  stays.response.end('two');
  expect((await stayer.answer()).body.toString()).toBe('one two');
  await quiet(hub, 2);
});

test('a slot comes back only when the upstream has stopped: the next request never begins beside a cancelled one', async () => {
  let running = 0;
  let most = 0;
  const order: string[] = [];
  const origin = await startScript(async (connection) => {
    const text = await connection.head();
    running++;
    most = Math.max(most, running);
    order.push(text.slice(4, text.indexOf(' HTTP')));
    if (text.startsWith('GET /last')) connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    else {
      await connection.ended();
      // It takes its time to stop.
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    running--;
    connection.end();
  });
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  for (let i = 0; i < 3; i++) {
    const client = await asks(tools, hub, `/${i}`, BLOCK);
    await until('it to run', () => order.length > i);
    client.reset();
  }
  const last = await asks(tools, hub, '/last', BLOCK);
  expect((await last.answer()).status).toBe(200);
  expect(most).toBe(1);
  expect(order).toEqual(['/0', '/1', '/2', '/last']);
});

test('an upstream that does not stop within its grace is reset and counted', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
  });
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, origin, { cancelGraceMs: 200, adminAddr: { host: '127.0.0.1', port: 0 } });
  const client = await asks(tools, hub);
  await until('it to run', () => origin.connections[0]?.text.includes('GET'));
  client.reset();
  expect(await origin.connections[0]!.ended()).toBe('fin');
  expect(await metric(hub, 'windlass_agent_slots{state="free"}')).toBe(0);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 1);
  expect(await metric(agent, `windlass_cancel_grace_expired_total{endpoint="http://127.0.0.1:${origin.port}"}`)).toBe(1);
});

test.each(['drain', 'drain_capped'] as const)('with --on-abort %s the upstream is let finish, and its slot is kept meanwhile', async (onAbort) => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { onAbort, drainTimeoutMs: 5_000 });
  const client = await asks(tools, hub);
  const { seen, response } = await arrived(0);
  response.write('begun');
  client.reset();
  await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
  await turns(20);
  expect(seen.aborted).toBe(false);
  expect(await metric(hub, 'windlass_agent_slots{state="free"}')).toBe(0);
  response.end('done');
  await quiet(hub, 1);
  expect(seen.aborted).toBe(false);
});

test('with --on-abort drain_capped an upstream that goes on too long is cancelled in the end', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { onAbort: 'drain_capped', drainTimeoutMs: 200 });
  const client = await asks(tools, hub);
  const { seen } = await arrived(0);
  client.reset();
  await until('it to be cancelled', () => seen.aborted);
  await quiet(hub, 1);
});

test('a hub that is told to stop serves what runs, refuses new connections, says so at /readyz, and ends', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ drainTimeoutMs: 10_000 });
  const agent = await startAgentFor(hub, origin, { slots: 2 });
  const running = await asks(tools, hub, '/running');
  const held = await arrived(0);
  const idle = await rawClient(hub);
  const readyUrl = `http://127.0.0.1:${hub.adminAddress!.port}/readyz`;
  expect((await fetch(readyUrl)).status).toBe(200);
  let closed = false;
  const closing = hub.close().then(() => (closed = true));
  await until('/readyz to say so', async () => (await fetch(readyUrl)).status === 503);
  const refused = net.connect(hub.address.port, '127.0.0.1');
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNREFUSED');
  expect(await idle.ended()).toBe('fin');
  expect(closed).toBe(false);
  held.response.end('done');
  const answer = await running.answer();
  expect(answer.body.toString()).toBe('done');
  expect(field(answer, 'connection')).toBe('close');
  await soon('the hub to end', closing);
  await until('the agent to notice', () => agent.log.some(({ message }) => message.includes('ended')));
});

test('a hub that stops still serves those who wait in its queue, within its time', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ drainTimeoutMs: 10_000 });
  await startAgentFor(hub, origin);
  const first = await asks(tools, hub, '/first');
  const held = await arrived(0);
  const second = await asks(tools, hub, '/second', BLOCK);
  await metricBecomes(hub, 'windlass_queue_size', (value) => value === 1);
  const closing = hub.close();
  held.response.end();
  expect((await first.answer()).status).toBe(200);
  (await arrived(1)).response.end();
  expect((await second.answer()).status).toBe(200);
  await soon('the hub to end', closing);
});

test('what a hub cannot finish in its time is cut [fault 6]', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ drainTimeoutMs: 200 });
  await startAgentFor(hub, origin);
  const client = await asks(tools, hub);
  const { response, seen } = await arrived(0);
  response.writeHead(200, { 'Content-Length': 10 });
  response.write('some');
  await client.until((one) => one.text.includes('some'), 'some');
  await soon('the hub to end', hub.close());
  expect((await client.answer()).complete).toBe(false);
  await until('the origin to see its client leave', () => seen.aborted);
});

test('an agent that is told to stop finishes what runs and takes nothing new: that goes elsewhere or waits', async () => {
  const leaving = await startHolding(tools);
  const staying = await startOrigin((_request, response) => response.end('stayed'));
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, leaving.origin, { slots: 8, drainTimeoutMs: 10_000 });
  const running = await asks(tools, hub, '/running');
  const held = await leaving.arrived(0);
  const closing = agent.close();
  // At this moment the hub does not know yet: what it sends there is refused and comes back.
  const waits = await asks(tools, hub, '/waits', BLOCK);
  await metricBecomes(hub, 'windlass_queue_size', (value) => value === 1);
  await startAgentFor(hub, staying);
  expect((await waits.answer()).body.toString()).toBe('stayed');
  held.response.end('finished');
  expect((await running.answer()).body.toString()).toBe('finished');
  await soon('the agent to end', closing);
  expect(leaving.origin.requests.map(({ url }) => url)).toEqual(['/running']);
  await metricBecomes(hub, 'windlass_agents_connected', (value) => value === 1);
});

test('agents come and go under load: nothing is lost, nothing is sent twice [fault 4]', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  let stopping = false;
  const agents = new Set<Promise<void>>();
  const carousel = (async () => {
    let previous = await startAgentFor(hub, origin, { slots: 4, drainTimeoutMs: 10_000 });
    for (let i = 0; i < 15; i++) {
      const next = await startAgentFor(hub, origin, { slots: 4, drainTimeoutMs: 10_000 });
      agents.add(previous.close());
      previous = next;
      await turns(10);
    }
    stopping = true;
  })();
  let sent = 0;
  const clients = await Promise.all(Array.from({ length: 12 }, () => rawClient(hub)));
  await Promise.all(
    clients.map(async (client) => {
      while (!stopping) {
        const id = sent++;
        client.send(`POST /${id} HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 2\r\n\r\nhi`);
        expect((await client.answer('POST')).status).toBe(200);
      }
    }),
  );
  await carousel;
  await Promise.all(agents);
  const urls = origin.requests.map(({ url }) => url);
  expect(new Set(urls).size).toBe(urls.length);
  expect(urls.length).toBe(sent);
  await quiet(hub, 4);
});

test('64 clients that cut their connections in the middle of 64 KiB answers, again and again, disturb nobody', async () => {
  const body = Buffer.from(Array.from({ length: 64 * 1024 }, (_, i) => (i * 31) % 251));
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Length': body.length });
    response.end(body);
  });
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { slots: 64 });
  let right = 0;
  const good = Promise.all(
    Array.from({ length: 4 }, async () => {
      const client = await rawClient(hub);
      for (let i = 0; i < 50; i++) {
        client.send(get('/', BLOCK));
        const answer = await client.answer();
        expect(answer).toMatchObject({ status: 200, complete: true });
        expect(body.equals(answer.body)).toBe(true);
        right++;
      }
    }),
  );
  await Promise.all(
    Array.from({ length: 64 }, async (_, n) => {
      for (let i = 0; i < 6; i++) {
        const client = await rawClient(hub);
        client.send(get('/', BLOCK));
        const enough = 1 + ((n * 7919 + i * 104_729) % 60_000);
        await client.until((one) => one.heardBytes >= enough, 'some of it');
        if ((n + i) % 2 === 0) client.reset();
        else client.socket.destroy();
      }
    }),
  );
  await good;
  expect(right).toBe(200);
  await quiet(hub, 64);
  await metricBecomes(hub, 'windlass_connections', (value) => value === 4);
});

test.each([
  ['random bytes', Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 167 + 13) % 256))],
  ['a frame of 16 MiB', Buffer.from([0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0])],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['a HELLO that is no JSON', Buffer.from([0, 0, 4, 1, 0, 0, 0, 0, 0, 0x6e, 0x6f, 0x70, 0x65])],
])('a peer with a good token that sends junk loses its session only: %s [threat 39]', async (_what, junk) => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const rogue = await rawClient(hub);
  rogue.send(`GET /windlass/agent HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: windlass/1\r\nWindlass-Token: ${tokenFor()}\r\n\r\n`);
  await rogue.until((one) => one.text.includes('101'), 'the 101');
  rogue.send(junk);
  await rogue.ended();
  expect(hub.log.filter(({ level }) => level === 'error')).toEqual([]);
  expect((await (await asks(tools, hub)).answer()).status).toBe(200);
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(1);
});

test("an application cannot pass as an agent, and an agent's handshake asks for its token [threat 33]", async () => {
  const hub = await startHubWith({ appPassword: 'open-sesame' });
  for (const fields of [[], ['Windlass-Token: x'], ['Slime-App-Password: open-sesame']]) {
    const client = await asks(tools, hub, '/windlass/agent', ['Connection: Upgrade', 'Upgrade: windlass/1', ...fields]);
    expect((await client.answer()).status).toBe(401);
    expect(await client.ended()).toBe('fin');
  }
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(0);
});

test('an agent counts a hub that is asked for by another path prefix, with user info for a proxy before it', async () => {
  const origin = await startOrigin();
  const seen: string[] = [];
  const front = await startScript(async (connection) => {
    seen.push(await connection.head());
    connection.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
  });
  const hubs = [parseUpstreamUrl(`http://ann:pw@127.0.0.1:${front.port}/edge`)];
  const agent = await dialHub(front, origin, { hubs });
  await until('the agent to say so', () => agent.log.some(({ level }) => level === 'warn'));
  expect(seen[0]).toMatch(/^GET \/edge\/windlass\/agent HTTP\/1\.1\r\n/);
  expect(seen[0]).toContain(`Authorization: Basic ${Buffer.from('ann:pw').toString('base64')}`);
  expect(JSON.stringify(agent.log)).not.toContain('pw');
});
