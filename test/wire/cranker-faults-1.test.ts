import { describe, expect, test } from 'vitest';
import { valuesOf } from '../kit/answer.ts';
import { CrankerPeer, type Registering } from '../kit/cranker-peer.ts';
import { kit, metric, type ServedRouter } from '../kit/kit.ts';
import { turns, until } from '../kit/until.ts';

const made = kit();
const { startRouter, rawClient } = made;

async function idle(router: ServedRouter, registering: Registering = {}): Promise<CrankerPeer> {
  const peer = await CrankerPeer.register(router.registrationAddress.port, { route: 'a', id: 'one', ...registering });
  made.later(() => peer.socket.destroy());
  return peer;
}

const GET = 'GET /a/x HTTP/1.1\r\nHost: h\r\n\r\n';
const POST = 'POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello';

test('a request of protocol 1.0 is written as mu-cranker-router writes it', async () => {
  const router = await startRouter();
  const peer = await idle(router);
  const client = await rawClient(router);
  client.send(
    'POST /a/p%20q?x=1 HTTP/1.1\r\nHost: h:81\r\nX-One:  1\r\nConnection: x-hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  );
  const head = (await peer.next()).bytes.toString();
  expect(head).toMatch(/^POST \/a\/p%20q\?x=1 HTTP\/1\.1\nhost:h:81\nX-One:1\n/);
  expect(head.endsWith('\n\n_1')).toBe(true);
  expect(head).not.toMatch(/\r|hop|chunked|content-length|x-forwarded/i);
  expect(head).toMatch(/\nForwarded:by=127\.0\.0\.1;for=127\.0\.0\.1;host="h:81";proto=http\n/);
  expect(head).toMatch(/\nVia:1\.1 muc\n/);
  expect(await peer.next()).toMatchObject({ kind: 'binary', bytes: Buffer.from('hello') });
  expect(await peer.next()).toMatchObject({ kind: 'text', bytes: Buffer.from('_3') });
  peer.text('HTTP/1.1 200 OK\nserver:x\nserver:y\nconnection:close, x-hop\nx-hop:1\n').binary('a').binary('b').close(1000);
  const answer = await client.answer();
  expect(answer).toMatchObject({ status: 200, complete: true });
  expect(answer.body.toString()).toBe('ab');
  expect(JSON.stringify(answer.fields).toLowerCase()).not.toMatch(/server|hop/);
  expect((await peer.nextOf('close')).code).toBe(1000);
});

test('a body goes in messages of at most 16 KiB, which crank4go can read', async () => {
  const router = await startRouter();
  const peer = await idle(router);
  const client = await rawClient(router);
  client.send(`PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`);
  await peer.next();
  let bytes = 0;
  for (let message = await peer.next(); message.kind === 'binary'; message = await peer.next()) {
    expect(message.bytes.length).toBeLessThanOrEqual(16_384);
    bytes += message.bytes.length;
  }
  expect(bytes).toBe(100_000);
});

test('bytes of a field that are no UTF-8 reach the client as they came: connectors in Go send them so', async () => {
  const router = await startRouter();
  const peer = await idle(router);
  const client = await rawClient(router);
  client.send(GET);
  await peer.next();
  peer.text(Buffer.from('HTTP/1.1 200 OK\nx-name:ünï\n', 'latin1')).close(1000);
  const answer = await client.answer();
  expect(answer.status).toBe(200);
  expect(valuesOf(answer.fields, 'x-name').map((value) => Buffer.from(value, 'latin1').toString('latin1'))).toEqual(['ünï']);
});

test.each([
  ['one byte', [0x88, 0x81, 0, 0, 0, 0, 3]],
  ['code 1005', [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed]],
  ['code 2999', [0x88, 0x82, 0, 0, 0, 0, 0x0b, 0xb7]],
])('a close frame with %s, which no RFC knows, is no end of an answer', async (_, bytes) => {
  const router = await startRouter();
  const peer = await idle(router);
  const client = await rawClient(router);
  client.send(GET);
  await peer.next();
  peer.text('HTTP/1.1 200 OK\n').binary('part').socket.write(Buffer.from(bytes));
  await until('the connection is cut', () => client.ending !== 'open');
  expect((await peer.nextOf('close')).code).toBe(1002);
  expect(client.text).not.toMatch(/\r\n0\r\n/);
});

describe('before the head of the answer', () => {
  test.each([
    ['closes with 1000', (peer: CrankerPeer) => peer.close(1000), 502],
    ['closes with 1011', (peer: CrankerPeer) => peer.close(1011, 'target <failed>'), 502],
    ['closes with 1008', (peer: CrankerPeer) => peer.close(1008), 400],
    ['closes with 1001', (peer: CrankerPeer) => peer.close(1001), 502],
    ['closes with 4000', (peer: CrankerPeer) => peer.close(4000), 502],
    ['closes without a code', (peer: CrankerPeer) => peer.close(), 502],
    ['is lost', (peer: CrankerPeer) => peer.drop(), 502],
    ['sends a body', (peer: CrankerPeer) => peer.binary('x'), 502],
    ['sends garbage', (peer: CrankerPeer) => peer.text('garbage\n'), 502],
    ['sends a head with a CR in it', (peer: CrankerPeer) => peer.text('HTTP/1.1 200 OK\nx:a\rb:c\n'), 502],
    ['sends a head with two lengths', (peer: CrankerPeer) => peer.text('HTTP/1.1 200 OK\ncontent-length:1\ncontent-length:2\n'), 502],
    ['sends status 101', (peer: CrankerPeer) => peer.text('HTTP/1.1 101 OK\n'), 502],
    ['sends status 000', (peer: CrankerPeer) => peer.text('HTTP/1.1 000 OK\n'), 502],
    ['sends text that is no UTF-8', (peer: CrankerPeer) => peer.text(Buffer.from([0xff, 0xfe])), 502],
    ['sends a frame that is not masked', (peer: CrankerPeer) => peer.socket.write(Buffer.from([0x81, 1, 0x61])), 502],
    ['sends a message of 100 MB', (peer: CrankerPeer) => peer.socket.write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 6, 0, 0, 0, 1, 2, 3, 4])), 502],
    ['sends a frame of an unknown kind', (peer: CrankerPeer) => peer.socket.write(Buffer.from([0x83, 0x80, 0, 0, 0, 0])), 502],
  ] as const)('a connector that %s costs the request that ran there, and the router goes on [threat 39] [threat 44]', async (_, does, status) => {
    const router = await startRouter({ maxWaitMs: 50 });
    const peer = await idle(router);
    const client = await rawClient(router);
    client.send(POST);
    await peer.nextOf('text');
    does(peer);
    const answer = await client.answer();
    expect(answer.status).toBe(status);
    expect(answer.body.toString()).not.toContain('<failed>');
    const next = await idle(router);
    client.send(GET);
    await next.nextOf('text');
    next.text('HTTP/1.1 204 OK\n').close(1000);
    expect((await client.answer()).status).toBe(204);
  });
});

describe('behind the head of the answer', () => {
  test.each([
    ['closes with 1011', (peer: CrankerPeer) => peer.close(1011)],
    ['closes with 1001', (peer: CrankerPeer) => peer.close(1001)],
    ['closes without a code', (peer: CrankerPeer) => peer.close()],
    ['is lost', (peer: CrankerPeer) => peer.drop()],
    ['sends a second head', (peer: CrankerPeer) => peer.text('HTTP/1.1 200 OK\n')],
  ] as const)('a connector that %s breaks the connection of the client: never a clean end [fault 6]', async (_, does) => {
    const router = await startRouter();
    const peer = await idle(router);
    const client = await rawClient(router);
    client.send(GET);
    await peer.nextOf('text');
    peer.text('HTTP/1.1 200 OK\nx:1\n').binary('part');
    await until('the part is there', () => client.text.includes('part'));
    does(peer);
    await until('the connection is cut', () => client.ending !== 'open');
    expect(client.text).not.toMatch(/\r\n0\r\n/);
  });

  test('a body shorter than its length breaks the connection even with a close of 1000, a longer one too [threat 44]', async () => {
    const router = await startRouter();
    for (const body of ['abc', 'abcdefgh']) {
      const peer = await idle(router);
      const client = await rawClient(router);
      client.send(GET);
      await peer.nextOf('text');
      peer.text('HTTP/1.1 200 OK\ncontent-length:5\n').binary(body).close(1000);
      await until('the connection is cut', () => client.ending !== 'open');
      expect(client.text).not.toContain('fgh');
    }
  });

  test('a body of its announced length is whole, whatever it is closed with', async () => {
    const router = await startRouter();
    const peer = await idle(router);
    const client = await rawClient(router);
    client.send(GET);
    await peer.nextOf('text');
    peer.text('HTTP/1.1 200 OK\ncontent-length:5\n').binary('abcde').close(1011);
    expect(await client.answer()).toMatchObject({ status: 200, complete: true });
  });
});

test('an answer that comes before the request is read to its end is the answer, and the rest of the request is not sent', async () => {
  const router = await startRouter();
  const peer = await idle(router);
  const client = await rawClient(router);
  client.send('POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nxxxxx');
  await peer.nextOf('text');
  peer.text('HTTP/1.1 413 X\ncontent-length:0\n').close(1000);
  expect((await client.answer()).status).toBe(413);
});

test('a client that leaves closes the socket with 1001 [fault 28] [fault 29]', async () => {
  const router = await startRouter();
  for (const begin of [false, true]) {
    const peer = await idle(router);
    const client = await rawClient(router);
    client.send(GET);
    await peer.nextOf('text');
    if (begin) {
      peer.text('HTTP/1.1 200 OK\n').binary('part');
      await until('the part is there', () => client.text.includes('part'));
    }
    client.reset();
    const { code, bytes } = await peer.nextOf('close');
    expect([code, bytes.toString('utf8', 2)]).toEqual([1001, 'Going away']);
  }
  await until('nothing runs any more', async () => (await metric(router, 'windlass_requests_in_flight')) === 0);
});

test('a connector that speaks before it is asked is closed, and others are not', async () => {
  const router = await startRouter();
  const rude = await idle(router);
  const good = await idle(router);
  rude.text('HTTP/1.1 200 OK\n');
  expect((await rude.nextOf('close')).code).toBe(1002);
  const client = await rawClient(router);
  client.send(GET);
  await good.nextOf('text');
  good.text('HTTP/1.1 204 X\n').close(1000);
  expect((await client.answer()).status).toBe(204);
});

test('a head in pieces, a body in pieces, and a body before a slow client are whole', async () => {
  const router = await startRouter();
  const peer = await idle(router);
  const client = await rawClient(router);
  client.send(GET);
  await peer.nextOf('text');
  peer.frame('text', Buffer.from('HTTP/1.1 200 OK\nx:1\n'), 5).frame('binary', Buffer.alloc(300_000, 'y'), 70_000);
  peer.close(1000);
  expect((await client.answer()).body.length).toBe(300_000);
});

test('a client that does not read holds its connector up, and nobody is cut [threat 50]', async () => {
  const router = await startRouter({ pingAfterMs: 50 });
  const peer = await idle(router);
  const client = await rawClient(router);
  client.socket.pause();
  client.send(GET);
  await peer.nextOf('text');
  peer.text('HTTP/1.1 200 OK\n');
  const chunk = Buffer.alloc(64 * 1024, 'z');
  let sent = 0;
  for (; sent < 16 * 1024 * 1024; sent += chunk.length) {
    peer.binary(chunk);
    await turns(1);
  }
  const buffered = await metric(router, 'windlass_buffered_bytes');
  expect(buffered).toBeLessThan(4 * 1024 * 1024);
  expect(peer.socket.writableLength).toBeGreaterThan(1024 * 1024);
  client.socket.resume();
  peer.close(1000);
  expect((await client.answer()).body.length).toBe(sent);
});

test('who is silent gets pings, then no new work, then is given up with 504 for what waits there [fault 7] [fault 8]', async () => {
  const router = await startRouter({ maxWaitMs: 50, pingAfterMs: 100, idleTimeoutMs: 1_500 }, { crankerLimits: { overdueMs: 600, tickMs: 50 } });
  const busy = await idle(router);
  const client = await rawClient(router);
  client.send(GET);
  await busy.nextOf('text');
  busy.answersPings = false;
  const silent = await idle(router);
  silent.answersPings = false;
  await silent.nextOf('ping');
  const lively = await idle(router, { id: 'two' });
  await until('a request goes past the silent one', async () => {
    const other = await rawClient(router);
    other.send(GET);
    return lively.waiting.some(({ kind }) => kind === 'text');
  });
  expect(silent.waiting.some(({ kind }) => kind === 'text')).toBe(false);
  const answer = await client.answer();
  expect(answer.status).toBe(504);
  expect(answer.body.toString()).toContain('The a service did not respond in time.');
  expect((await silent.nextOf('close')).code).toBe(1001);
});
