import { describe, expect, test } from 'vitest';
import { CrankerPeer, DATA, type Frame, frame3, HEADER, i32, readFrame3, type Registering, RST, WINUP } from '../kit/cranker-peer.ts';
import { kit, metric, type ServedRouter } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { startRouter, rawClient } = made;

async function joined(router: ServedRouter, registering: Registering = {}): Promise<CrankerPeer> {
  const peer = await CrankerPeer.register(router.registrationAddress.port, { route: 'a', id: 'one', offers: 'cranker_3.0', ...registering });
  made.later(() => peer.socket.destroy());
  return peer;
}

async function next(peer: CrankerPeer): Promise<Frame> {
  const message = await peer.next();
  expect(message.kind).toBe('binary');
  return readFrame3(message.bytes);
}

/** The next frame of that type; window updates come whenever they come. */
async function nextOf(peer: CrankerPeer, type: number): Promise<Frame> {
  for (;;) {
    const frame = await next(peer);
    if (frame.type === type) return frame;
  }
}

/** A request goes through, so nothing is wedged. */
async function stillWorks(router: ServedRouter, peer: CrankerPeer): Promise<void> {
  const client = await rawClient(router);
  client.send(GET);
  const { id } = await nextOf(peer, HEADER);
  peer.binary(frame3(HEADER, 5, id, 'HTTP/1.1 204 X\n'));
  expect((await client.answer()).status).toBe(204);
}

const GET = 'GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n';

test('a request of protocol 3.0 is written as mu-cranker-router writes it, and acknowledged bytes are told', async () => {
  const router = await startRouter();
  const peer = await joined(router);
  const client = await rawClient(router);
  client.send('POST /a/p?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello');
  const head = await next(peer);
  expect([head.type, head.flags, head.id]).toEqual([HEADER, 4, 1]);
  expect(head.payload.toString()).toMatch(/^POST \/a\/p\?x=1 HTTP\/1\.1\nhost:h\nContent-Length:5\nForwarded:by=.*\nVia:1\.1 muc\n\n$/s);
  expect(await next(peer)).toMatchObject({ type: DATA, flags: 0, id: 1, payload: Buffer.from('hello') });
  expect(await next(peer)).toMatchObject({ type: DATA, flags: 1, id: 1, payload: Buffer.alloc(0) });
  peer.binary(frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\nx:1\n'));
  const ack = await next(peer);
  expect([ack.type, ack.id, ack.payload.readInt32BE(0)]).toEqual([WINUP, 1, 20]);
  peer.binary(frame3(DATA, 0, 1, 'hello'));
  expect((await next(peer)).payload.readInt32BE(0)).toBe(5);
  peer.binary(frame3(DATA, 1, 1));
  expect((await client.answer()).body.toString()).toBe('hello');
  client.send(GET);
  expect(await next(peer)).toMatchObject({ type: HEADER, flags: 5, id: 2 });
});

test('requests run beside each other in one socket, and their answers find them', async () => {
  const router = await startRouter();
  const peer = await joined(router);
  const clients = await Promise.all(Array.from({ length: 5 }, () => rawClient(router)));
  const ids: number[] = [];
  for (const client of clients) {
    client.send(GET);
    ids.push((await nextOf(peer, HEADER)).id);
  }
  expect(ids).toEqual([1, 2, 3, 4, 5]);
  for (const id of [3, 1, 5, 4, 2]) peer.binary(frame3(HEADER, 4, id, 'HTTP/1.1 200 OK\n')).binary(frame3(DATA, 1, id, `for ${id}`));
  for (const [i, client] of clients.entries()) expect((await client.answer()).body.toString()).toBe(`for ${i + 1}`);
});

test('a long head goes in pieces of at most 16,000 bytes, of which only the last one ends anything', async () => {
  const router = await startRouter();
  const peer = await joined(router);
  const client = await rawClient(router);
  const fields = Array.from({ length: 12 }, (_, i) => `X-${i}: ${'ü'.repeat(1_000)}\r\n`).join('');
  client.send(Buffer.from(`GET /a HTTP/1.1\r\nHost: h\r\n${fields}\r\n`));
  const pieces = [await next(peer)];
  while ((pieces.at(-1)!.flags & 4) === 0) pieces.push(await next(peer));
  expect(pieces.map(({ flags }) => flags)).toEqual([0, 5]);
  for (const { payload } of pieces) {
    expect(payload.length).toBeLessThanOrEqual(16_000);
    expect(Buffer.from(payload.toString()).equals(payload)).toBe(true);
  }
  expect(Buffer.concat(pieces.map(({ payload }) => payload)).toString()).toContain(`X-11:${'ü'.repeat(1_000)}\n`);
});

test('an answer whose head comes in pieces, all of them with END_STREAM as jc sets it, is whole', async () => {
  const router = await startRouter();
  const peer = await joined(router);
  const client = await rawClient(router);
  client.send(GET);
  await next(peer);
  const head = `HTTP/1.1 200 OK\nx-long:${'x'.repeat(20_000)}\ny:1\n`;
  peer.binary(frame3(HEADER, 1, 1, head.slice(0, 16_000))).binary(frame3(HEADER, 5, 1, head.slice(16_000)));
  const answer = await client.answer();
  expect(answer).toMatchObject({ status: 200, complete: true });
  expect(answer.fields.find(([name]) => name === 'x-long')![1].length).toBe(20_000);
});

describe('what is wrong with one stream ends this one alone:', () => {
  test.each([
    ['a body before the head', [frame3(DATA, 0, 1, 'x')]],
    ['an end before the head', [frame3(DATA, 1, 1)]],
    ['garbage for a head', [frame3(HEADER, 4, 1, 'garbage\n')]],
    ['a head with a CR in it', [frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\nx:a\rb:c\n')]],
    ['a head with a NUL in it', [frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\nx:a\0\n')]],
    ['a head with two lengths', [frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\ncontent-length:1\ncontent-length:2\n')]],
    ['status 101', [frame3(HEADER, 4, 1, 'HTTP/1.1 101 OK\n')]],
    ['a head without an end', Array.from({ length: 6 }, () => frame3(HEADER, 0, 1, 'x'.repeat(16_000)))],
    ['a head in thousands of empty pieces', Array.from({ length: 2_000 }, () => frame3(HEADER, 0, 1))],
    ['a body within the head', [frame3(HEADER, 0, 1, 'HTTP/1.1 200 OK\n'), frame3(DATA, 0, 1, 'x')]],
    ['RST_STREAM', [frame3(RST, 0, 1, Buffer.concat([i32(1011), Buffer.from('target request failed: 10.0.0.7')]))]],
    ['RST_STREAM without a payload', [frame3(RST, 0, 1)]],
  ] as const)('%s is 502 [threat 40] [threat 44]', async (_, frames) => {
    const router = await startRouter();
    const peer = await joined(router);
    const [client, other] = [await rawClient(router), await rawClient(router)];
    client.send(GET);
    await next(peer);
    other.send(GET);
    const { id } = await next(peer);
    for (const frame of frames) peer.binary(frame);
    const answer = await client.answer();
    expect(answer.status).toBe(502);
    expect(answer.body.toString()).not.toContain('10.0.0.7');
    peer.binary(frame3(HEADER, 4, id, 'HTTP/1.1 200 OK\n')).binary(frame3(DATA, 1, id, 'ok'));
    expect((await other.answer()).body.toString()).toBe('ok');
    expect(peer.isOver).toBe(false);
    await stillWorks(router, peer);
  });

  test.each([
    ['RST_STREAM', [frame3(RST, 0, 1, i32(1011))]],
    ['a second head', [frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\n')]],
    ['a body longer than its length', [frame3(DATA, 0, 1, 'x'.repeat(100))]],
    ['an end before its length', [frame3(DATA, 1, 1)]],
  ] as const)('%s behind the head breaks the connection of the client [fault 6]', async (_, frames) => {
    const router = await startRouter();
    const peer = await joined(router);
    const client = await rawClient(router);
    client.send(GET);
    await next(peer);
    peer.binary(frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\ncontent-length:50\n')).binary(frame3(DATA, 0, 1, 'part'));
    await until('the part is there', () => client.text.includes('part'));
    for (const frame of frames) peer.binary(frame);
    await until('the connection is cut', () => client.ending !== 'open');
    expect(peer.isOver).toBe(false);
    await stillWorks(router, peer);
  });
});

describe('nothing wedges or closes a socket that may still be understood:', () => {
  test.each([
    ['text', (peer: CrankerPeer) => peer.text('hello')],
    ['a message of five bytes', (peer: CrankerPeer) => peer.binary('xxxxx')],
    ['an empty message', (peer: CrankerPeer) => peer.binary('')],
    ['frames of unknown types', (peer: CrankerPeer) => peer.binary(frame3(7, 0xff, 1, 'x')).binary(frame3(0xff, 0, 1))],
    [
      'frames for streams that never were',
      (peer: CrankerPeer) =>
        peer
          .binary(frame3(DATA, 1, 99, 'x'))
          .binary(frame3(HEADER, 5, -1, 'x'))
          .binary(frame3(RST, 0, 0)),
    ],
    [
      'window updates of nothing, less than nothing, and far too much',
      (peer: CrankerPeer) =>
        peer
          .binary(frame3(WINUP, 0, 1, i32(0)))
          .binary(frame3(WINUP, 0, 1, i32(-1)))
          .binary(frame3(WINUP, 0, 1, i32(0x7fffffff)))
          .binary(frame3(WINUP, 0, 1)),
    ],
    ['a message in fragments', (peer: CrankerPeer) => peer.frame('binary', frame3(WINUP, 0, 1, i32(1)), 3)],
  ] as const)('%s [threat 39]', async (_, does) => {
    const router = await startRouter();
    const peer = await joined(router);
    const client = await rawClient(router);
    client.send(GET);
    await next(peer);
    does(peer);
    peer.binary(frame3(HEADER, 5, 1, 'HTTP/1.1 204 X\n'));
    expect((await client.answer()).status).toBe(204);
    does(peer);
    await stillWorks(router, peer);
  });

  test('a message beyond a megabyte ends this connector alone, with 502 for what ran there', async () => {
    const router = await startRouter({ maxWaitMs: 50 });
    const peer = await joined(router);
    const client = await rawClient(router);
    client.send(GET.replace('GET', 'POST'));
    await next(peer);
    const other = await joined(router, { id: 'two' });
    peer.frame('binary', frame3(DATA, 0, 1, Buffer.alloc(1024 * 1024 + 1)));
    expect((await client.answer()).status).toBe(502);
    expect((await peer.nextOf('close')).code).toBe(1009);
    await stillWorks(router, other);
  });

  test('a flood of messages that carry nothing ends the connector that sends them [threat 41]', async () => {
    const router = await startRouter();
    const peer = await joined(router);
    const other = await joined(router, { route: 'b', id: 'two' });
    const flood = Buffer.alloc(1_000);
    for (let i = 0; i < 300 && !peer.socket.destroyed && !peer.isOver; i++) {
      for (let j = 0; j < 10; j++) peer.binary(flood.subarray(0, 3));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await peer.nextOf('close')).code).toBe(1008);
    const client = await rawClient(router);
    client.send(GET.replace('/a/', '/b/'));
    expect((await nextOf(other, HEADER)).id).toBe(1);
  });
});

describe('the window of a stream', () => {
  test('holds the request back when the connector acknowledges nothing, and opens below 16 KiB', async () => {
    const router = await startRouter();
    const peer = await joined(router);
    const client = await rawClient(router);
    const total = 300_000;
    client.send(`PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: ${total}\r\n\r\n${'x'.repeat(total)}`);
    let out = (await next(peer)).payload.length;
    let body = 0;
    const take = async (): Promise<void> => {
      const { type, payload } = await next(peer);
      expect(type).toBe(DATA);
      expect(payload.length).toBeLessThanOrEqual(16_384 - 6);
      out += payload.length;
      body += payload.length;
    };
    while (out <= 65_536) await take();
    expect(out).toBeLessThan(65_536 + 16_384);
    // Another stream is not held up.
    const other = await rawClient(router);
    other.send(GET);
    const { id } = await nextOf(peer, HEADER);
    peer.binary(frame3(HEADER, 5, id, 'HTTP/1.1 204 X\n'));
    expect((await other.answer()).status).toBe(204);
    expect(peer.waiting).toEqual([]);
    // Not yet below.
    peer.binary(frame3(WINUP, 0, 1, i32(out - 16_384)));
    peer.binary(frame3(WINUP, 0, 1, i32(0)));
    out = 16_384;
    await stillWorks(router, peer);
    peer.binary(frame3(WINUP, 0, 1, i32(1)));
    out--;
    while (body < total) {
      await take();
      if (out > 60_000) {
        peer.binary(frame3(WINUP, 0, 1, i32(out)));
        out = 0;
      }
    }
    expect(await next(peer)).toMatchObject({ type: DATA, flags: 1 });
    peer.binary(frame3(HEADER, 5, 1, 'HTTP/1.1 204 X\n'));
    expect((await client.answer()).status).toBe(204);
  });

  test('is acknowledged as the client reads, so one that does not read costs a window and no more [threat 50]', async () => {
    const router = await startRouter();
    const peer = await joined(router);
    const client = await rawClient(router);
    client.socket.pause();
    client.send(GET);
    await next(peer);
    peer.binary(frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\n'));
    let out = 0;
    let sent = 0;
    let stalled = false;
    peer.heard = ({ kind, bytes }) => {
      if (kind === 'binary') out -= readFrame3(bytes).payload.readInt32BE(0);
    };
    // As connectors do: on, until 64 KiB are out.
    while (!stalled) {
      for (; out <= 65_536; sent += 16_000) {
        peer.binary(frame3(DATA, 0, 1, Buffer.alloc(16_000, 'x')));
        out += 16_000;
      }
      stalled = await until('the window opens', () => out <= 65_536, 300).then(
        () => false,
        () => true,
      );
    }
    expect(await metric(router, 'windlass_buffered_bytes')).toBeLessThan(1024 * 1024);
    // Other streams go on meanwhile.
    peer.heard = null;
    await stillWorks(router, peer);
    client.socket.resume();
    await until('what was held is acknowledged', () => peer.waiting.some(({ bytes }) => bytes.length > 0 && readFrame3(bytes).type === WINUP));
    peer.binary(frame3(DATA, 1, 1));
    expect((await client.answer()).body.length).toBe(sent);
  });

  test('that a connector ignores costs it the stream [threat 42]', async () => {
    const router = await startRouter({}, { crankerLimits: { overshootBytes: 200_000 } });
    const peer = await joined(router);
    const client = await rawClient(router);
    client.socket.pause();
    client.send(GET);
    await next(peer);
    peer.binary(frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\n'));
    let isReset = false;
    peer.heard = ({ kind, bytes }) => {
      if (kind === 'binary' && readFrame3(bytes).type === RST) isReset = true;
    };
    for (let sent = 0; sent < 64 * 1024 * 1024 && !isReset; sent += 64_000) {
      peer.binary(frame3(DATA, 0, 1, Buffer.alloc(64_000)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until('the stream is reset', () => isReset);
    peer.heard = null;
    await stillWorks(router, peer);
  });
});

test('a client that leaves is RST_STREAM with code 1, and late frames of that stream harm nobody [fault 28] [fault 29]', async () => {
  const router = await startRouter();
  const peer = await joined(router);
  const client = await rawClient(router);
  client.send(GET);
  await next(peer);
  client.reset();
  const reset = await nextOf(peer, RST);
  expect([reset.id, reset.payload.readInt32BE(0), reset.payload.toString('utf8', 4)]).toEqual([1, 1, 'Client early closed']);
  peer
    .binary(frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\n'))
    .binary(frame3(DATA, 0, 1, 'late'))
    .binary(frame3(RST, 0, 1, i32(1011)))
    .binary(frame3(RST, 0, 1, i32(1011)));
  await stillWorks(router, peer);
  expect(await metric(router, 'windlass_requests_in_flight')).toBe(0);
});

describe('a connector with requests in it that', () => {
  test.each([
    ['closes with 1000', (peer: CrankerPeer) => peer.close(1000)],
    ['closes with 1011', (peer: CrankerPeer) => peer.close(1011)],
    ['closes without a code', (peer: CrankerPeer) => peer.close()],
    ['is lost', (peer: CrankerPeer) => peer.drop()],
  ] as const)('%s is 502 before the head and a cut behind it [fault 5] [fault 6]', async (_, does) => {
    const router = await startRouter({ maxWaitMs: 50 });
    const peer = await joined(router);
    const [before, behind] = [await rawClient(router), await rawClient(router)];
    before.send(GET.replace('GET', 'POST'));
    await next(peer);
    behind.send(GET);
    const { id } = await next(peer);
    peer.binary(frame3(HEADER, 4, id, 'HTTP/1.1 200 OK\n')).binary(frame3(DATA, 0, id, 'part'));
    await until('the part is there', () => behind.text.includes('part'));
    does(peer);
    expect((await before.answer()).status).toBe(502);
    await until('the connection is cut', () => behind.ending !== 'open');
    expect(behind.text).not.toMatch(/\r\n0\r\n/);
  });

  test('is lost is asked no more, and what may be repeated goes to another', async () => {
    const router = await startRouter();
    const peer = await joined(router);
    const client = await rawClient(router);
    client.send(GET);
    await next(peer);
    const other = await joined(router, { id: 'two' });
    peer.drop();
    const { id } = await nextOf(other, HEADER);
    other.binary(frame3(HEADER, 5, id, 'HTTP/1.1 204 X\n'));
    expect((await client.answer()).status).toBe(204);
  });

  test('has deregistered gets nothing new, and what runs there finishes', async () => {
    const router = await startRouter({ maxWaitMs: 100 }, { crankerLimits: { tickMs: 50, closeTimeoutMs: 200 } });
    const peer = await joined(router);
    const idle = await joined(router);
    const client = await rawClient(router);
    client.send(GET);
    const busy = await until('one of both has it', () => [peer, idle].find(({ waiting }) => waiting.some(({ kind }) => kind === 'binary')));
    await next(busy);
    await CrankerPeer.ask(router.registrationAddress.port, { route: 'a', id: 'one', path: '/deregister/' });
    expect((await (busy === peer ? idle : peer).nextOf('close')).code).toBe(1001);
    const late = await rawClient(router);
    late.send(GET);
    expect((await late.answer()).status).toBe(503);
    busy.binary(frame3(HEADER, 4, 1, 'HTTP/1.1 200 OK\n')).binary(frame3(DATA, 1, 1, 'done'));
    expect((await client.answer()).body.toString()).toBe('done');
    expect((await busy.nextOf('close')).code).toBe(1001);
  });
});

test('max_in_flight bounds what one connector has at once, and the rest waits its turn', async () => {
  const router = await startRouter({ maxInFlight: 2 });
  const peer = await joined(router);
  const clients = await Promise.all(Array.from({ length: 5 }, () => rawClient(router)));
  for (const client of clients) client.send(GET);
  await until('two have come', () => peer.waiting.filter(({ kind }) => kind === 'binary').length === 2);
  expect(await metric(router, 'windlass_queue_size')).toBe(3);
  for (let i = 1; i <= 5; i++) {
    expect((await nextOf(peer, HEADER)).id).toBe(i);
    peer.binary(frame3(HEADER, 5, i, 'HTTP/1.1 204 X\n'));
  }
  for (const client of clients) expect((await client.answer()).status).toBe(204);
});

test('the connector and the socket with the fewest requests get the next one', async () => {
  const router = await startRouter();
  const first = await joined(router);
  const clients = await Promise.all(Array.from({ length: 8 }, () => rawClient(router)));
  for (const client of clients.slice(0, 4)) client.send(GET);
  await until('four have come', () => first.waiting.filter(({ kind }) => kind === 'binary').length === 4);
  const second = await joined(router, { id: 'two' });
  for (const client of clients.slice(4)) {
    client.send(GET);
    await nextOf(second, HEADER);
  }
  expect(first.waiting.filter(({ kind }) => kind === 'binary').length).toBe(4);
});
