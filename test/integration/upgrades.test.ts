import { setTimeout as sleep } from 'node:timers/promises';
import net from 'node:net';
import http2 from 'node:http2';
import { describe, expect, test } from 'vitest';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { Listener, pour, stageOf, WAYS } from '../kit/upgraded.ts';
import { soon, until } from '../kit/until.ts';

const made = kit();
const { accessLog } = made;
const MIB = 1024 * 1024;
/** `hello` as a whole frame of a server. */
const HELLO = Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('hello')]);
/** Codes 1001 and 1011. */
const CLOSED = ['\x03\xe9', '\x03\xf3'];

/** The code and reason of a Close frame of a server, at the end of what was heard. */
function closeOf(heard: Listener): [number, string] | null {
  const at = heard.tail.lastIndexOf(0x88);
  if (at < 0 || heard.tail.length !== at + 2 + heard.tail[at + 1]!) return null;
  return [heard.tail.readUInt16BE(at + 2), heard.tail.toString('latin1', at + 4)];
}

/** The same of a client, masked, and nothing before it. */
function maskedCloseOf(heard: Listener): [number, string] | null {
  const at = 0;
  if (heard.tail[at] !== 0x88 || (heard.tail[at + 1]! & 0x80) === 0) return null;
  const length = heard.tail[at + 1]! & 0x7f;
  if (heard.tail.length !== at + 6 + length) return null;
  const payload = Buffer.from(heard.tail.subarray(at + 6));
  for (let i = 0; i < length; i++) payload[i]! ^= heard.tail[at + 2 + (i & 3)]!;
  return [payload.readUInt16BE(0), payload.toString('latin1', 2)];
}

describe.each(WAYS)('an upgraded connection $name', (way) => {
  test('carries bytes in pieces of any size untouched, both ways at once', async () => {
    const { front, connect } = await stageOf(made, way);
    const { client, upstream } = await connect();
    const [below, above] = [new Listener(upstream), new Listener(client)];
    await metricBecomes(front, 'windlass_upgraded_connections', (n) => n === 1);
    const [sent, answered] = await Promise.all([pour(client, 4 * MIB, 1), pour(upstream, 4 * MIB, 2)]);
    client.end();
    upstream.end();
    await until('both ends', () => below.ended && above.ended);
    expect([below.bytes, above.bytes]).toEqual([4 * MIB, 4 * MIB]);
    expect([below.digest(), above.digest()]).toEqual([sent, answered]);
    await metricBecomes(front, 'windlass_upgraded_connections', (n) => n === 0);
    await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
  });

  test.each(['client', 'upstream'])('goes on one way when the %s has ended the other', async (who) => {
    const { front, connect } = await stageOf(made, way);
    const both = await connect();
    const [first, second] = who === 'client' ? [both.client, both.upstream] : [both.upstream, both.client];
    const [heardFirst, heardSecond] = [new Listener(first), new Listener(second)];
    first.end('the last of one side');
    await until('the end', () => heardSecond.ended);
    expect(heardSecond.text).toBe('the last of one side');
    for (let i = 0; i < 5; i++) {
      second.write(`still ${i};`);
      await until('it to come', () => heardFirst.text.endsWith(`still ${i};`));
    }
    expect(heardFirst.ended).toBe(false);
    second.end('over');
    await until('the other end', () => heardFirst.ended);
    expect(heardFirst.text.endsWith('over')).toBe(true);
    await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
  });

  test.each(['client', 'upstream'])('holds no more than some windows for a slow %s, and loses nothing', async (who) => {
    const bytes = 24 * MIB;
    const { front, agent, connect } = await stageOf(made, way);
    const both = await connect();
    const [reader, writer] = who === 'client' ? [both.client, both.upstream] : [both.upstream, both.client];
    reader.pause();
    const poured = { bytes: 0 };
    const pouring = pour(writer, bytes, 3, poured).then((digest) => {
      writer.end();
      return digest;
    });
    await until('the writer to be stopped', async () => {
      const before = poured.bytes;
      await sleep(200);
      return before > 0 && before === poured.bytes;
    });
    expect(poured.bytes).toBeLessThan(bytes);
    for (const one of agent === null ? [front] : [front, agent]) expect(await metric(one, 'windlass_buffered_bytes')).toBeLessThan(4 * MIB);
    const heard = new Listener(reader);
    reader.resume();
    const sent = await pouring;
    await until('all of it', () => heard.ended);
    expect([heard.bytes, heard.digest()]).toEqual([bytes, sent]);
    reader.end();
    await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
  });

  test.each(['client', 'upstream'])('breaks at the other end when the %s breaks it, without a Close frame of ours [rule R2]', async (who) => {
    const { front, connect } = await stageOf(made, way);
    const both = await connect();
    const [gone, other] = who === 'client' ? [both.client, both.upstream] : [both.upstream, both.client];
    const heard = new Listener(other);
    gone.write(HELLO);
    await until('a frame', () => heard.bytes === HELLO.length);
    if (gone instanceof net.Socket) gone.resetAndDestroy();
    else (gone as http2.Http2Stream).close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    await until('the break', () => heard.closed || heard.ended);
    other.destroy();
    expect(heard.bytes).toBe(HELLO.length);
    await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
    await metricBecomes(front, 'windlass_upgraded_connections', (n) => n === 0);
  });

  test('that is silent for too long is closed by us, and both ends are told; pings keep it [threat 55]', async () => {
    const log = accessLog();
    const { front, connect } = await stageOf(made, way, { limits: { upgradeIdleTimeoutMs: 700 }, accessLog: log.target });
    const { client, upstream } = await connect();
    const [above, below] = [new Listener(client), new Listener(upstream)];
    for (let i = 0; i < 12; i++) {
      // An empty ping, as a server may send it.
      upstream.write(Buffer.from([0x89, 0]));
      await sleep(100);
    }
    expect([above.ended, below.ended, above.bytes]).toEqual([false, false, 24]);
    await until('the end', () => above.ended && below.ended);
    expect([closeOf(above), maskedCloseOf(below)]).toEqual([
      [1001, 'idle for too long'],
      [1001, 'idle for too long'],
    ]);
    client.end();
    upstream.end();
    await metricBecomes(front, 'windlass_upgraded_connections', (n) => n === 0);
    expect((await log.lines(1))[0]).toContain('failure=upgrade_idle');
  });

  test('lives until the end of the drain, and both ends are told that we are going away', async () => {
    const { front, connect } = await stageOf(made, way, { drainTimeoutMs: 600 });
    const [one, two] = [await connect(), await connect('websocket')];
    const listeners = [one, two].map(({ client, upstream }) => [new Listener(client), new Listener(upstream)] as const);
    const closing = front.close();
    one.upstream.write(HELLO);
    await until('a frame during the drain', () => listeners[0]![0].bytes === HELLO.length);
    await until('the ends', () => listeners.every(([above, below]) => above.ended && below.ended));
    for (const [above, below] of listeners) {
      expect(closeOf(above)).toEqual([1001, 'going away']);
      expect(maskedCloseOf(below)).toEqual([1001, 'going away']);
    }
    for (const { client, upstream } of [one, two]) {
      client.end();
      upstream.end();
    }
    await closing;
  });
});

const [DIRECT, TUNNEL] = [WAYS[0]!, WAYS[4]!];

test('an agent that goes away tells both ends of its WebSockets when its time to drain is over', async () => {
  const { front, agent, connect } = await stageOf(made, TUNNEL);
  const { client, upstream } = await connect();
  const [above, below] = [new Listener(client), new Listener(upstream)];
  const closing = agent!.close();
  await until('the ends', () => above.ended && below.ended);
  expect([closeOf(above), maskedCloseOf(below)]).toEqual([
    [1001, 'going away'],
    [1001, 'going away'],
  ]);
  client.end();
  upstream.end();
  await closing;
  await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
});

test('a Close frame waits for the end of the frame that is under way', async () => {
  const { connect } = await stageOf(made, DIRECT, { limits: { upgradeIdleTimeoutMs: 300 } });
  const { client, upstream } = await connect();
  const above = new Listener(client);
  upstream.write(HELLO.subarray(0, 4));
  await until('a part of a frame', () => above.bytes === 4);
  // What the client hears of ours first is its end of the other direction.
  const below = new Listener(upstream);
  await until('the upstream to be told', () => below.ended);
  expect(above.bytes).toBe(4);
  upstream.write(Buffer.concat([HELLO.subarray(4), HELLO]));
  await until('the end', () => above.ended);
  expect(above.tail.subarray(0, HELLO.length).equals(HELLO)).toBe(true);
  expect(above.bytes).toBe(HELLO.length + 4 + 'idle for too long'.length);
  expect(closeOf(above)).toEqual([1001, 'idle for too long']);
  client.end();
  upstream.end();
});

test('who has said Close already is not told another time', async () => {
  const { connect } = await stageOf(made, DIRECT, { limits: { upgradeIdleTimeoutMs: 300 } });
  const { client, upstream } = await connect();
  const above = new Listener(client);
  upstream.write(Buffer.from([0x88, 2, 0x03, 0xe8]));
  await until('the end', () => above.ended);
  expect([...above.tail]).toEqual([0x88, 2, 0x03, 0xe8]);
  client.end();
  upstream.end();
});

test.each([DIRECT, TUNNEL])('who does not close a connection that we have ended is cut off, $name', async (way) => {
  const { front, agent, connect } = await stageOf(made, way, { limits: { upgradeIdleTimeoutMs: 300 } });
  const { client, upstream } = await connect();
  const [above, below] = [new Listener(client), new Listener(upstream)];
  await until('the Close frames', () => above.ended && below.ended);
  // Whoever has heard an end hears of the cut only when he says something.
  await until('both to be cut off', () => {
    for (const one of [client, upstream]) if (!one.destroyed) one.write('still here');
    return above.closed && below.closed;
  });
  expect(closeOf(above)?.[0]).toBe(1001);
  await metricBecomes(front, 'windlass_upgraded_connections', (n) => n === 0);
  await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
  if (agent !== null) await metricBecomes(front, 'windlass_agent_slots{state="free"}', (n) => n === 4);
});

test.each([DIRECT, TUNNEL])('an upgrade to something else passes where it is allowed, and is never told a Close frame, $name', async (way) => {
  const { front, connect } = await stageOf(made, way, { upgrades: ['websocket', 'other'], limits: { upgradeIdleTimeoutMs: 300 } });
  const { client, upstream } = await connect('other');
  const [above, below] = [new Listener(client), new Listener(upstream)];
  client.write('\x00any');
  upstream.write('bytes\xff');
  await until('them', () => above.bytes > 0 && below.bytes > 0);
  await until('the cut', () => (above.closed || above.ended) && (below.closed || below.ended));
  expect([above.text, below.text].some((text) => CLOSED.some((code) => text.includes(code)))).toBe(false);
  client.destroy();
  upstream.destroy();
  await metricBecomes(front, 'windlass_upgraded_connections', (n) => n === 0);
});

test.each([DIRECT, TUNNEL])('an upstream that has said its last and then goes takes along a client that still talks, $name', async (way) => {
  const { front, connect } = await stageOf(made, way);
  const { client, upstream } = await connect();
  const heard = new Listener(client);
  upstream.end('my last');
  await until('the end', () => heard.ended);
  client.write('not mine');
  (upstream as net.Socket).resetAndDestroy();
  await until('the client to be told', () => {
    if (!client.destroyed) client.write('is anybody there?');
    return heard.closed;
  });
  expect(heard.text).toBe('my last');
  await metricBecomes(front, 'windlass_requests_in_flight', (n) => n === 0);
});

test('a client that takes nothing of what waits for it does not hold up the end of the drain', async () => {
  const { front, connect } = await stageOf(made, DIRECT, { drainTimeoutMs: 200 });
  const { client, upstream } = await connect();
  client.pause();
  void pour(upstream, 24 * MIB, 5);
  await metricBecomes(front, 'windlass_buffered_bytes', (n) => n >= 64 * 1024);
  await soon('the end', front.close());
  client.destroy();
});

test('a WebSocket holds a slot as long as it lasts', async () => {
  const { front, connect } = await stageOf(made, TUNNEL);
  const all = [await connect(), await connect(), await connect(), await connect()];
  await metricBecomes(front, 'windlass_agent_slots{state="free"}', (n) => n === 0);
  expect(await metric(front, 'windlass_upgraded_connections')).toBe(4);
  const fifth = await made.rawClient(front);
  expect((await fifth.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status).toBe(503);
  for (const { client, upstream } of all) {
    client.end();
    upstream.end();
  }
  await metricBecomes(front, 'windlass_agent_slots{state="free"}', (n) => n === 4);
});

const GOOD = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];

describe('a handshake of a WebSocket', () => {
  test.each([
    ['without a key', 'GET', GOOD.slice(0, 3), 400],
    ['with a key of the wrong length', 'GET', [...GOOD.slice(0, 3), 'Sec-WebSocket-Key: c2hvcnQ='], 400],
    ['with two keys', 'GET', [...GOOD, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='], 400],
    ['by POST', 'POST', [...GOOD, 'Content-Length: 0'], 400],
    ['of version 8', 'GET', [...GOOD.slice(0, 2), 'Sec-WebSocket-Version: 8', GOOD[3]!], 426],
  ])('%s goes nowhere [threat 54]', async (_, method, fields, status) => {
    const { front, granted } = await stageOf(made, DIRECT);
    const client = await made.rawClient(front);
    const answer = await client.send(`${method} / HTTP/1.1\r\nHost: a\r\n${fields.join('\r\n')}\r\n\r\n`).answer();
    expect([answer.status, granted.length]).toEqual([status, 0]);
    if (status === 426) expect(client.text).toMatch(/\r\nSec-WebSocket-Version: 13\r\n/);
  });

  test('without Connection: Upgrade is an ordinary request [threat 54]', async () => {
    const origin = await made.startOrigin((_, response) => response.end('a page'));
    const front = await made.startDirect({ to: origin });
    const answer = await (await made.rawClient(front)).send(`GET / HTTP/1.1\r\nHost: a\r\n${GOOD.slice(1).join('\r\n')}\r\n\r\n`).answer();
    expect([answer.status, answer.body.toString(), origin.requests[0]!.headers['upgrade']]).toEqual([200, 'a page', undefined]);
  });

  test.each([
    ['a wrong answer to the key', 'Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n'],
    ['no answer to the key', ''],
  ])('that the upstream grants with %s is 502, and nothing of it passes [threat 54]', async (_, accept) => {
    const origin = await made.startScript(async (connection) => {
      await connection.head();
      connection.send(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${accept}\r\nsecret`);
    });
    for (const front of [await made.startDirect({ to: origin }), await hubFor(origin)]) {
      const client = await made.rawClient(front);
      const answer = await client.send(`GET / HTTP/1.1\r\nHost: a\r\n${GOOD.join('\r\n')}\r\n\r\n`).answer();
      expect([answer.status, client.text.includes('secret')]).toEqual([502, false]);
      expect(answer.body.toString()).toContain('upgrade_refused');
    }
  });
});

async function hubFor(origin: { readonly port: number }): ReturnType<typeof made.startHubWith> {
  const hub = await made.startHubWith();
  await made.startAgentFor(hub, origin);
  return hub;
}

test('pieces without end, 100 MB in one message and a flood of pings pass as they are [threat 55]', async () => {
  const { front, connect } = await stageOf(made, TUNNEL);
  const { client, upstream } = await connect();
  const below = new Listener(upstream);
  // 20,000 pings, a message of 2,000 pieces that never ends, then one frame of 100 MB inside of nothing.
  const pings = Buffer.concat(Array.from({ length: 20_000 }, () => Buffer.from([0x89, 0x80, 1, 2, 3, 4])));
  const pieces = Buffer.concat(Array.from({ length: 2_000 }, (_, i) => Buffer.from([i === 0 ? 0x01 : 0x00, 0x81, 1, 2, 3, 4, 5])));
  const frame = Buffer.from([0x02, 0xff, 0, 0, 0, 0, 0x05, 0xf5, 0xe1, 0x00, 0, 0, 0, 0]);
  client.write(Buffer.concat([pings, pieces, frame]));
  const digest = await pour(client, 100_000_000, 9);
  await until('all of it', () => below.bytes === pings.length + pieces.length + frame.length + 100_000_000, 60_000);
  expect(digest).toHaveLength(64);
  expect(await metric(front, 'windlass_buffered_bytes')).toBeLessThan(4 * MIB);
  client.end();
  upstream.end();
  await until('the end', () => below.ended);
}, 90_000);
