import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { RawClient } from '../kit/client.ts';
import { kit, metric, metricBecomes, type Served } from '../kit/kit.ts';
import { turns, until } from '../kit/until.ts';

const { startOrigin, startScript, startDirect, rawClient, accessLog } = kit();

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const PIECE = Buffer.alloc(64 * 1024, 'x');
/** What proxy and kernel may hold of an answer that nobody reads: above all of it, so that the origin must stop. */
const MORE_THAN_FITS_BYTES = 64 * 1024 * 1024;

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** One chunk of a chunked body. */
function chunk(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

const LAST_CHUNK = '0\r\n\r\n';
const HELD_MAX_BYTES = 48 * 1024;

/**
 * Sends chunks of a body until the proxy holds a little of it, since neither the far end nor the kernel takes more,
 * but not so much that it would stop reading. @returns bytes of body sent
 */
async function sendUntilHeld(sender: RawClient, proxy: Served): Promise<number> {
  const piece = PIECE.subarray(0, 8 * 1024);
  let sent = 0;
  for (;;) {
    sender.send(chunk(piece));
    sent += piece.length;
    await turns(3);
    if (sent < 1024 * 1024 || sent % (2 * piece.length) !== 0) continue;
    const held = await metric(proxy, 'windlass_buffered_bytes');
    if (held >= HELD_MAX_BYTES) throw new Error(`the proxy holds ${held} bytes already`);
    if (held > piece.length) return sent;
    if (sent > MORE_THAN_FITS_BYTES) throw new Error('the proxy never held anything');
  }
}

const CHUNKED_HEAD = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

test('an origin stops sending to a client that does not read, and little is held for it [threat 48, threat 50]', async () => {
  let written = 0;
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Length': MORE_THAN_FITS_BYTES });
    const more = () => {
      while (written < MORE_THAN_FITS_BYTES) {
        written += PIECE.length;
        if (!response.write(PIECE)) {
          response.once('drain', more);
          return;
        }
      }
      response.end();
    };
    more();
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.pause();
  client.send(GET);
  let before = -1;
  await until('the origin to be held up', async () => {
    const still = written > 0 && written === before;
    before = written;
    for (let i = 0; i < 20; i++) await turns(2);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return still && written === before;
  });
  expect(written).toBeLessThan(MORE_THAN_FITS_BYTES);
  expect(await metric(proxy, 'windlass_buffered_bytes')).toBeLessThan(1024 * 1024);
  client.resume();
  const answer = await client.answer();
  expect(answer.complete).toBe(true);
  expect(answer.body.length).toBe(MORE_THAN_FITS_BYTES);
});

test('a connection to the upstream works again after an answer whose end a slow reader held up', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(CHUNKED_HEAD);
    await sendUntilHeld(connection, proxy);
    // In one read: it fills the buffer, so that reading pauses, and is the end.
    connection.send(Buffer.concat([chunk(PIECE.subarray(0, 60 * 1024)), Buffer.from(LAST_CHUNK)]));
    await connection.head(2);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond');
  });
  const proxy = await startDirect({ to: origin, firstByteTimeoutMs: 1_000 });
  const slow = await rawClient(proxy);
  slow.pause();
  slow.send(GET);
  await until('all of the answer at the proxy', async () => (await metric(proxy, 'windlass_buffered_bytes')) > 64 * 1024);
  const next = await rawClient(proxy);
  next.send(GET);
  expect((await next.answer()).body.toString()).toBe('second');
  expect(origin.connections.length).toBe(1);
  slow.resume();
  expect((await slow.answer()).complete).toBe(true);
});

for (const [what, version, framing] of [
  ['Connection: close', '1.1', 'Connection: close\r\n'],
  ['HTTP/1.0', '1.0', ''],
] as const) {
  test(`a slow reader gets all of an answer that ends with its connection (${what})`, async () => {
    let sent = 0;
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send(CHUNKED_HEAD);
      sent = await sendUntilHeld(connection, proxy);
      connection.send(`7\r\nthe end\r\n${LAST_CHUNK}`);
    });
    const proxy = await startDirect({ to: origin, limits: { drainTimeoutMs: 100 } });
    const client = await rawClient(proxy);
    client.pause();
    client.send(`GET / HTTP/${version}\r\nHost: a\r\n${framing}\r\n`);
    await until('the whole answer to be sent', () => sent > 0);
    // Longer than the proxy waits for the FIN of a client that has got everything.
    await new Promise((resolve) => setTimeout(resolve, 400));
    client.resume();
    const answer = await client.answer();
    expect(answer.complete).toBe(true);
    expect(answer.body.length).toBe(sent + 7);
    expect(answer.body.subarray(-7).toString()).toBe('the end');
  });
}

test('a client that never takes the rest of an answer that ends with its connection is cut off in the end [threat 48]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(CHUNKED_HEAD);
    await sendUntilHeld(connection, proxy);
    connection.send(LAST_CHUNK);
  });
  const proxy = await startDirect({ to: origin, limits: { drainTimeoutMs: 100, writeIdleTimeoutMs: 300 } });
  const client = await rawClient(proxy);
  client.pause();
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await metricBecomes(proxy, 'windlass_buffered_bytes', (value) => value > 0);
  await metricBecomes(proxy, 'windlass_connections', (value) => value === 0);
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
});

test('a client that never takes the rest of an answer that broke off is cut off in the end [threat 48]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(CHUNKED_HEAD);
    await sendUntilHeld(connection, proxy);
    connection.reset();
  });
  const proxy = await startDirect({ to: origin, limits: { drainTimeoutMs: 100, writeIdleTimeoutMs: 300 } });
  const client = await rawClient(proxy);
  client.pause();
  client.send(GET);
  await metricBecomes(proxy, 'windlass_buffered_bytes', (value) => value > 0);
  await metricBecomes(proxy, 'windlass_connections', (value) => value === 0);
  client.resume();
  expect((await client.answer()).complete).toBe(false);
});

test('a kept-alive connection is closed when idle, also after an answer that its client took late', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(CHUNKED_HEAD);
    await sendUntilHeld(connection, proxy);
    connection.send(LAST_CHUNK);
  });
  const proxy = await startDirect({ to: origin, limits: { keepAliveTimeoutMs: 500 } });
  const client = await rawClient(proxy);
  client.pause();
  client.send(GET);
  await metricBecomes(proxy, 'windlass_buffered_bytes', (value) => value > 8 * 1024);
  await metricBecomes(proxy, 'windlass_upstream_connections{endpoint="http://127.0.0.1:' + origin.port + '"}', (value) => value === 1);
  client.resume();
  expect((await client.answer()).complete).toBe(true);
  expect(await client.ended(3_000)).toBe('fin');
});

test('a client that takes nothing of its answer is cut off, and its upstream hears of it [threat 48]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(CHUNKED_HEAD);
    await sendUntilHeld(connection, proxy);
    for (let i = 0; i < 4; i++) connection.send(chunk(PIECE));
  });
  const log = accessLog();
  const proxy = await startDirect({ to: origin, accessLog: log.target, limits: { writeIdleTimeoutMs: 300 } });
  const client = await rawClient(proxy);
  client.pause();
  client.send(GET);
  const [line] = await log.lines(1);
  expect(line).toContain('failure=client_stalled');
  expect(await origin.connections[0]!.ended()).toBe('fin');
  client.resume();
  expect((await client.answer()).complete).toBe(false);
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
});

test('a client that sends and reads nothing more while its upload is held up by its own answer is cut off [fault 25]', async () => {
  // The origin reads only as fast as its answer is taken: an echo.
  const origin = await startOrigin((request, response) => void request.pipe(response));
  const log = accessLog();
  const proxy = await startDirect({ to: origin, accessLog: log.target, limits: { writeIdleTimeoutMs: 300, bodyIdleTimeoutMs: 300 } });
  const client = await rawClient(proxy);
  client.pause();
  client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  const piece = chunk(PIECE);
  for (let i = 0; i < 512; i++) client.send(piece);
  const [line] = await log.lines(1);
  expect(line).toMatch(/failure=(client_stalled|request_timeout)/);
  await until('the origin to see its client leave', () => origin.requests[0]!.aborted && origin.requests[0]!.complete === false);
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
});

test('a slow upload arrives whole, and an upstream that reads slowly slows its client down', async () => {
  const body = Buffer.alloc(24 * 1024 * 1024, 'abcdefghijklmnopqrstuvwxyz');
  const origin = await startOrigin((request, response) => {
    let reads = 0;
    request.on('data', () => {
      if (++reads % 32 !== 0) return;
      request.pause();
      setTimeout(() => request.resume(), 1);
    });
    request.on('end', () => response.end('ok'));
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`).send(body);
  let most = 0;
  const watch = setInterval(() => void metric(proxy, 'windlass_buffered_bytes').then((value) => (most = Math.max(most, value))), 20);
  expect((await client.answer()).status).toBe(200);
  clearInterval(watch);
  expect((await origin.decided()).sha256).toBe(sha256(body));
  expect(most).toBeLessThan(1024 * 1024);
});

test('an upstream that stops reading an upload is given up: 504, and nothing hangs [threat 49]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.pause();
  });
  const proxy = await startDirect({ to: origin, idleTimeoutMs: 300, firstByteTimeoutMs: 300 });
  const client = await rawClient(proxy);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${MORE_THAN_FITS_BYTES}\r\n\r\n`);
  const pump = () => {
    while (client.ending === 'open' && !client.socket.destroyed) if (!client.socket.write(PIECE)) break;
  };
  client.socket.on('drain', pump);
  pump();
  expect((await client.answer()).status).toBe(504);
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
});

test('a client that leaves after an upload whose end the upstream took late is noticed while its answer is awaited [fault 28, rule R5]', async () => {
  let whole = false;
  const origin = await startScript(async (connection) => {
    connection.pause();
    await until('the upload to be held up', () => whole);
    connection.resume();
  });
  const proxy = await startDirect({ to: origin, firstByteTimeoutMs: 0, idleTimeoutMs: 0 });
  const client = await rawClient(proxy);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  await sendUntilHeld(client, proxy);
  client.send(Buffer.concat([chunk(PIECE.subarray(0, 60 * 1024)), Buffer.from(LAST_CHUNK)]));
  await metricBecomes(proxy, 'windlass_buffered_bytes', (value) => value > 64 * 1024);
  whole = true;
  await origin.connections[0]!.until((connection) => connection.text.endsWith(LAST_CHUNK), 'the whole upload');
  client.reset();
  expect(await origin.connections[0]!.ended(1_500)).toBe('fin');
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
});
