import net from 'node:net';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { kit, metric, metricBecomes, type Served } from '../kit/kit.ts';
import type { OriginConnection } from '../kit/scripted-origin.ts';
import { asks, field, startHolding } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startScript, startHubWith, startAgentFor, rawClient } = tools;

/** Everything is as it was before the first request. */
async function quiet(hub: Served, slots: number): Promise<void> {
  await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === slots);
  await metricBecomes(hub, 'windlass_buffered_bytes', (value) => value === 0);
  expect(await metric(hub, 'windlass_agent_slots{state="busy"}')).toBe(0);
  expect(await metric(hub, 'windlass_queue_size')).toBe(0);
}

test('an upstream that refuses is a 502 at once, with the reason, and the slot is free again [fault 3]', async () => {
  const closed = net.createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as net.AddressInfo;
  closed.close();
  await once(closed, 'close');
  const hub = await startHubWith();
  await startAgentFor(hub, { port });
  for (let i = 0; i < 3; i++) {
    const answer = await (await asks(tools, hub, '/', ['Slime-Block: 1'])).answer();
    expect(answer.status).toBe(502);
    const problem = JSON.parse(answer.body.toString()) as { code: string; detail: string };
    expect(problem.code).toBe('connect_refused');
    expect(problem.detail).toContain('ECONNREFUSED');
    expect(field(answer, 'proxy-status')).toContain('connection_refused');
  }
  await quiet(hub, 1);
});

test.each([
  ['closes without a byte', 'upstream_closed', (connection: OriginConnection) => connection.end()],
  ['resets without a byte', 'upstream_reset', (connection: OriginConnection) => connection.reset()],
  ['closes inside its head', 'upstream_closed', (connection: OriginConnection) => connection.send('HTTP/1.1 200 OK\r\nContent-Le').socket.end()],
  ['sends garbage', 'bad_response', (connection: OriginConnection) => void connection.send('\x16\x03\x01\x00\x05 hello\r\n\r\n')],
  ['speaks HTTP/0.9', 'bad_response', (connection: OriginConnection) => void connection.send('<html>hi</html>\r\n\r\n')],
  ['has status 000', 'bad_response', (connection: OriginConnection) => void connection.send('HTTP/1.1 000 Zero\r\n\r\n')],
  ['has status 99', 'bad_response', (connection: OriginConnection) => void connection.send('HTTP/1.1 99 Low\r\n\r\n')],
  ['has status 1000', 'bad_response', (connection: OriginConnection) => void connection.send('HTTP/1.1 1000 High\r\n\r\n')],
  [
    'has two lengths',
    'bad_response',
    (connection: OriginConnection) => void connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
  ],
  [
    'has length and chunks',
    'bad_response',
    (connection: OriginConnection) => void connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
  ],
  [
    'has a NUL in a field',
    'bad_response',
    (connection: OriginConnection) => void connection.send('HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n'),
  ],
  [
    'has a bare CR in a field',
    'bad_response',
    (connection: OriginConnection) => void connection.send('HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n'),
  ],
  [
    'switches protocols unasked',
    'bad_response',
    (connection: OriginConnection) => void connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
  ],
  [
    'sends 500 interim answers',
    'bad_response',
    (connection: OriginConnection) => void connection.send('HTTP/1.1 102 Processing\r\n\r\n'.repeat(500)),
  ],
  [
    'has a head of 1 MiB',
    'bad_response',
    (connection: OriginConnection) => void connection.send(`HTTP/1.1 200 OK\r\n${`X: ${'y'.repeat(1000)}\r\n`.repeat(1000)}\r\n`),
  ],
])('an upstream that %s is a 502, through the tunnel [fault 21, fault 26, threat 44]', async (_what, code, misbehave) => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    misbehave(connection);
  });
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const client = await rawClient(hub);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi');
  const answer = await client.answer('POST');
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code });
  expect(origin.connections.length).toBe(1);
  await quiet(hub, 1);
});

test.each([
  ['a length', 'Content-Length: 100'],
  ['chunks', 'Transfer-Encoding: chunked'],
])('an upstream that breaks off in the middle of %s cuts its client, never ends the answer [fault 22]', async (_what, framing) => {
  for (const how of ['end', 'reset'] as const) {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n5\r\nhello\r\n`);
      await until('the client to have some', () => client.text.includes('hello'));
      connection[how]();
    });
    const hub = await startHubWith();
    await startAgentFor(hub, origin);
    const client = await rawClient(hub);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const answer = await client.answer();
    expect(answer).toMatchObject({ status: 200, complete: false });
    // The last field of the head is an id, which may end with a zero.
    expect(client.text.slice(client.text.indexOf('\r\n\r\n') + 4)).not.toContain('0\r\n\r\n');
    await quiet(hub, 1);
  }
});

test('what an HTTP/1.0 client gets of an answer that breaks off does not end in order [fault 22]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await until('the client to have some', () => client.text.includes('hello'));
    connection.reset();
  });
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const client = await rawClient(hub);
  client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
  expect(await client.ended()).toBe('reset');
});

test('an upstream that takes too long for its head is a 504 and hears that it is over [fault 23, threat 49]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
  });
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { firstByteTimeoutMs: 200 });
  const answer = await (await asks(tools, hub)).answer();
  expect(answer.status).toBe(504);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'first_byte_timeout' });
  await origin.connections[0]!.ended();
  await quiet(hub, 1);
});

test("the hub's own limit for an answer is a 504 too, and the upstream hears of it across the tunnel [fault 8, fault 23]", async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith({ timeoutMs: 300 });
  await startAgentFor(hub, origin);
  const client = await asks(tools, hub);
  const { seen } = await arrived(0);
  const answer = await client.answer();
  expect(answer.status).toBe(504);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'deadline' });
  await until('the origin to see its client leave', () => seen.aborted);
  await quiet(hub, 1);
});

test('an upstream that stalls in the middle of its answer cuts it [fault 24, threat 49]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome');
  });
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { idleTimeoutMs: 200 });
  const client = await asks(tools, hub);
  expect((await client.answer()).complete).toBe(false);
  await quiet(hub, 1);
});

test('a name that does not resolve is a 502 that says so [fault 18]', async () => {
  const { parseUpstreamUrl } = await import('../../src/schema/upstream-url.ts');
  const hub = await startHubWith();
  await startAgentFor(hub, { port: 1 }, { upstreams: [parseUpstreamUrl('http://no-such-host.invalid:80')] });
  const answer = await (await asks(tools, hub)).answer();
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'name_not_found' });
});

test('an upstream that closes idle connections is never seen to do so, in 2,000 requests [fault 20]', async () => {
  const origin = await startOrigin();
  origin.server.keepAliveTimeout = 5;
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { slots: 4 });
  const clients = await Promise.all(Array.from({ length: 4 }, () => rawClient(hub)));
  await Promise.all(
    clients.map(async (client, n) => {
      for (let i = 0; i < 500; i++) {
        client.send('GET / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\n\r\n');
        expect((await client.answer()).status).toBe(200);
        if (i % 50 === n) await new Promise((resolve) => setTimeout(resolve, 4 + (i % 5)));
      }
    }),
  );
  await quiet(hub, 4);
});

test('an answer that is appended to another is given to nobody [threat 9]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison');
  });
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  for (let i = 0; i < 3; i++) expect((await (await asks(tools, hub, '/', ['Slime-Block: 1'])).answer()).body.toString()).toBe('first');
  expect(origin.connections.length).toBe(3);
});

test('a large answer that nobody reads holds little at hub and agent together, and other streams go on [threat 48, threat 50]', async () => {
  const piece = Buffer.alloc(64 * 1024, 'x');
  const bytes = 64 * 1024 * 1024;
  const stalled = 50;
  const origin = await startOrigin((request, response) => {
    if (request.url !== '/large') {
      response.end('quick');
      return;
    }
    let sent = 0;
    response.writeHead(200, { 'Content-Length': bytes });
    const more = (): void => {
      while (sent < bytes && !response.destroyed) {
        sent += piece.length;
        if (!response.write(piece)) {
          response.once('drain', more);
          return;
        }
      }
      response.end();
    };
    more();
  });
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, origin, { slots: stalled + 1, adminAddr: { host: '127.0.0.1', port: 0 } });
  const readers = await Promise.all(
    Array.from({ length: stalled }, async () => {
      const reader = await rawClient(hub);
      reader.socket.pause();
      return reader.send('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
    }),
  );
  await until('all streams to run', () => origin.requests.length === stalled);
  let most = 0;
  let steady = 0;
  let last = -1;
  const quick = await rawClient(hub);
  // Until what is held has stopped growing, and all the while a quick answer gets through.
  while (steady < 5) {
    quick.send('GET /quick HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await quick.answer()).body.toString()).toBe('quick');
    const held = (await metric(hub, 'windlass_buffered_bytes')) + (await metric(agent, 'windlass_buffered_bytes'));
    most = Math.max(most, held);
    steady = held === last ? steady + 1 : 0;
    last = held;
  }
  expect(most).toBeLessThan(stalled * 512 * 1024);
  const one = readers[0]!;
  one.resume();
  let taken = 0;
  one.socket.on('data', (chunk: Buffer) => (taken += chunk.length));
  await until('one of them to get on', () => taken > 4 * 1024 * 1024);
  for (const reader of readers) reader.reset();
  await quiet(hub, stalled + 1);
  await metricBecomes(agent, 'windlass_buffered_bytes', (value) => value === 0);
});

test('a client that reads slowly from a large answer holds at most 10 MiB at both ends together [threat 50]', async () => {
  const piece = Buffer.alloc(64 * 1024, 'x');
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Length': 1024 * 1024 * 1024 });
    const more = (): void => {
      while (!response.destroyed) {
        if (!response.write(piece)) {
          response.once('drain', more);
          return;
        }
      }
    };
    more();
  });
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, origin, { adminAddr: { host: '127.0.0.1', port: 0 } });
  const client = await asks(tools, hub);
  let taken = 0;
  client.socket.on('data', (chunk: Buffer) => {
    taken += chunk.length;
    client.socket.pause();
  });
  let most = 0;
  for (let i = 0; i < 100; i++) {
    client.socket.resume();
    await new Promise((resolve) => setTimeout(resolve, 2));
    most = Math.max(most, (await metric(hub, 'windlass_buffered_bytes')) + (await metric(agent, 'windlass_buffered_bytes')));
  }
  expect(taken).toBeGreaterThan(1024 * 1024);
  expect(most).toBeLessThan(10 * 1024 * 1024);
  client.reset();
  await quiet(hub, 1);
});

test('an origin that reads an upload slowly slows its client down, and little is held [threat 49]', async () => {
  const body = Buffer.alloc(24 * 1024 * 1024, 'abcdefghijk');
  const origin = await startOrigin((request, response) => {
    let reads = 0;
    request.on('data', () => {
      if (++reads % 32 !== 0) return;
      request.pause();
      setTimeout(() => request.resume(), 2);
    });
    request.on('end', () => response.end('ok'));
  });
  const hub = await startHubWith();
  const agent = await startAgentFor(hub, origin, { adminAddr: { host: '127.0.0.1', port: 0 } });
  const client = await rawClient(hub);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`).send(body);
  let most = 0;
  let done = false;
  const watching = (async () => {
    while (!done) most = Math.max(most, (await metric(hub, 'windlass_buffered_bytes')) + (await metric(agent, 'windlass_buffered_bytes')));
  })();
  expect((await client.answer('POST')).status).toBe(200);
  done = true;
  await watching;
  expect(origin.only.bytes).toBe(body.length);
  expect(most).toBeLessThan(10 * 1024 * 1024);
  await quiet(hub, 1);
});
