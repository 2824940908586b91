import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { kit, metric, metricBecomes, type Served } from '../kit/kit.ts';
import { asks, field, get, startHolding } from '../kit/stage.ts';
import { turns, until } from '../kit/until.ts';

const tools = kit();
const { startOrigin, startScript, startHubWith, startAgentFor, rawClient } = tools;

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function hubWithOrigin(origin: { readonly port: number }, slots = 4): Promise<Served> {
  const hub = await startHubWith();
  await startAgentFor(hub, origin, { slots });
  return hub;
}

test('an event stream arrives event by event, each as soon as it was written', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await hubWithOrigin(origin);
  const client = await asks(tools, hub, '/events');
  const { response } = await arrived(0);
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.flushHeaders();
  await client.until((one) => one.text.includes('\r\n\r\n'), 'the head, before any event');
  for (let i = 0; i < 20; i++) {
    response.write(`data: ${i}\n\n`);
    await client.until((one) => one.text.includes(`data: ${i}\n\n`), `event ${i}`);
    expect(client.text).not.toContain(`data: ${i + 1}\n`);
  }
  response.end();
  expect((await client.answer()).complete).toBe(true);
});

test('trailers go through, both ways', async () => {
  const origin = await startOrigin((request, response) => {
    request.on('end', () => {
      response.writeHead(200, { Trailer: 'X-Sum' });
      response.write('body');
      response.addTrailers({ 'X-Sum': request.trailers['x-up'] ?? 'none' });
      response.end();
    });
  });
  const hub = await hubWithOrigin(origin);
  const client = await rawClient(hub);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Up\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Up: 42\r\n\r\n');
  const answer = await client.answer('POST');
  expect(answer.trailers).toEqual([['X-Sum', '42']]);
  expect(answer.body.toString()).toBe('body');
});

test.each([
  ['HEAD', 200, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', '5'],
  ['HEAD', 200, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', undefined],
  ['GET', 204, 'HTTP/1.1 204 No Content\r\n\r\n', undefined],
  ['GET', 304, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "x"\r\n\r\n', '5'],
])('%s with %i has no body, and the connection serves the next request', async (method, status, text, length) => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(text);
    await connection.head(2);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext');
  });
  const hub = await hubWithOrigin(origin, 1);
  const client = await rawClient(hub);
  client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
  const answer = await client.answer(method);
  expect(answer).toMatchObject({ status, framing: 'none' });
  expect(field(answer, 'content-length')).toBe(length);
  client.send(get('/next', ['Slime-Block: 1']));
  expect((await client.answer()).body.toString()).toBe('next');
});

test('interim answers go through: 103 before the answer', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
    await client.until((one) => one.text.includes('103'), 'the hint');
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
  const hub = await hubWithOrigin(origin);
  const client = await rawClient(hub);
  client.send(get());
  expect(await client.answer()).toMatchObject({ status: 200, interim: [103] });
  expect(client.text).toContain('Link: </a.css>');
});

test('Expect: 100-continue is answered when the request has a slot', async () => {
  const origin = await startOrigin();
  const hub = await hubWithOrigin(origin);
  const client = await rawClient(hub);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
  await client.until((one) => one.text.includes('100 Continue'), 'the 100');
  client.send('body');
  expect(await client.answer('POST')).toMatchObject({ status: 200, interim: [100] });
  expect(origin.only.body).toBe('body');
});

test.each([
  [0, 'length'],
  [1, 'length'],
  [65_536, 'length'],
  [65_537, 'chunked'],
  [1_000_003, 'chunked'],
  [10 * 1024 * 1024, 'length'],
  [10 * 1024 * 1024, 'chunked'],
] as const)('%i bytes go up and down unharmed (%s)', async (bytes, framing) => {
  const origin = await startOrigin((request, response) => {
    if (framing === 'length') response.setHeader('Content-Length', bytes);
    request.pipe(response);
  });
  const hub = await hubWithOrigin(origin);
  const body = randomBytes(bytes);
  const client = await rawClient(hub);
  if (framing === 'length') client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`).send(body);
  else {
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let at = 0; at < bytes;) {
      const n = Math.min(1 + ((at * 7 + 13) % 99_991), bytes - at);
      client
        .send(`${n.toString(16)}\r\n`)
        .send(body.subarray(at, at + n))
        .send('\r\n');
      at += n;
    }
    client.send('0\r\n\r\n');
  }
  const answer = await client.answer('POST');
  expect(answer).toMatchObject({ status: 200, complete: true });
  expect(answer.framing === 'chunked').toBe(framing === 'chunked');
  expect(sha256(answer.body)).toBe(sha256(body));
  expect(origin.only.sha256).toBe(sha256(body));
  await metricBecomes(hub, 'windlass_agent_slots{state="busy"}', (value) => value === 0);
  expect(await metric(hub, 'windlass_buffered_bytes')).toBe(0);
});

test('an HTTP/1.0 client gets its answer delimited by the end of the connection', async () => {
  const origin = await startOrigin((_request, response) => {
    response.write('first ');
    response.end('second');
  });
  const hub = await hubWithOrigin(origin);
  const client = await rawClient(hub);
  client.send('GET / HTTP/1.0\r\n\r\n');
  const answer = await client.answer();
  expect(answer).toMatchObject({ status: 200, framing: 'close', complete: true });
  expect(answer.body.toString()).toBe('first second');
});

test('50 pipelined requests, slow and fast mixed, are answered in order [threat 13]', async () => {
  const origin = await startOrigin((request, response) => {
    const n = Number(request.url!.slice(1));
    if (n % 3 === 0) setTimeout(() => response.end(`<${n}>`), n % 7);
    else response.end(`<${n}>`);
  });
  const hub = await hubWithOrigin(origin, 2);
  const client = await rawClient(hub);
  client.send(Array.from({ length: 50 }, (_, i) => get(`/${i}`, ['Slime-Block: 1'])).join(''));
  for (let i = 0; i < 50; i++) expect((await client.answer()).body.toString()).toBe(`<${i}>`);
  expect(origin.mostRunning).toBe(1);
});

const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'];
const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

test('an upgraded connection carries bytes both ways untouched, and closes half by half', async () => {
  const up = randomBytes(3 * 1024 * 1024);
  const down = randomBytes(2 * 1024 * 1024);
  const origin = await startScript(async (connection) => {
    const head = await connection.head();
    expect(head).toMatch(/upgrade: websocket/i);
    connection.send(SWITCH).send(down);
    const from = head.indexOf('\r\n\r\n') + 4;
    await connection.until((one) => one.heardBytes >= from + up.length && one.ending === 'open', 'all that goes up');
    expect(sha256(connection.stream.subarray(from))).toBe(sha256(up));
    await connection.ended();
    expect(connection.ending).toBe('fin');
    connection.send('after your end');
    connection.end();
  });
  const hub = await hubWithOrigin(origin);
  const client = await asks(tools, hub, '/socket', UPGRADE);
  await client.until((one) => one.text.includes('\r\n\r\n'), 'the 101');
  const from = client.text.indexOf('\r\n\r\n') + 4;
  expect(client.text).toMatch(/^HTTP\/1\.1 101 /);
  client.send(up);
  await client.until((one) => one.heardBytes >= from + down.length, 'all that comes down');
  expect(sha256(client.stream.subarray(from, from + down.length))).toBe(sha256(down));
  client.halfClose();
  await client.ended();
  expect(client.stream.toString('latin1', from + down.length)).toBe('after your end');
  expect(client.ending).toBe('fin');
  expect(origin.troubles).toEqual([]);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 4);
  await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
});

test('an upstream that ends first leaves the client its half of an upgraded connection', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(`${SWITCH}bye`);
    connection.end();
    await connection.until((one) => one.text.endsWith('last words'), 'the rest');
  });
  const hub = await hubWithOrigin(origin);
  const client = await asks(tools, hub, '/socket', UPGRADE);
  expect(await client.ended()).toBe('fin');
  expect(client.text).toMatch(/bye$/);
  client.send('last words');
  await until('the rest at the origin', () => origin.text.endsWith('last words'));
  client.halfClose();
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 4);
  expect(origin.troubles).toEqual([]);
});

test('an upgrade that the upstream declines is an ordinary answer', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno');
  });
  const hub = await hubWithOrigin(origin);
  const client = await asks(tools, hub, '/socket', UPGRADE);
  expect((await client.answer()).status).toBe(426);
});

test('no byte behind an upgrade reaches the upstream before its 101 [threat 10]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    await turns(20);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
  const hub = await hubWithOrigin(origin);
  const client = await rawClient(hub);
  client.send(`${get('/socket', UPGRADE)}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
  expect((await client.answer()).status).toBe(200);
  const first = origin.connections[0]!.text;
  expect(first.indexOf('/smuggled')).toBe(-1);
});

test('h2c is never passed, and what is asked to be forgotten is [threat 11]', async () => {
  const origin = await startOrigin();
  const hub = await hubWithOrigin(origin);
  const client = await asks(tools, hub, '/', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']);
  expect((await client.answer()).status).toBe(200);
  expect(origin.only.headers).not.toHaveProperty('upgrade');
  expect(origin.only.headers).not.toHaveProperty('http2-settings');
});

test('an upstream that answers before the upload is complete is heard at once [fault 25]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig');
    connection.end();
  });
  const hub = await hubWithOrigin(origin, 1);
  const client = await rawClient(hub);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${64 * 1024 * 1024}\r\n\r\n`).send(Buffer.alloc(1024 * 1024));
  const answer = await client.answer('POST');
  expect(answer.status).toBe(413);
  expect(answer.body.toString()).toBe('big');
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 1);
  await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
  await metricBecomes(hub, 'windlass_buffered_bytes', (value) => value === 0);
});

test('a POST that the origin answers early, again and again, leaves no slot behind [fault 25]', async () => {
  const origin = await startOrigin((_request, response) => response.writeHead(403, { Connection: 'close' }).end('no'));
  const hub = await hubWithOrigin(origin, 1);
  for (let i = 0; i < 20; i++) {
    const client = await rawClient(hub);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let n = 0; n < 10; n++) client.send(`10000\r\n${'x'.repeat(65536)}\r\n`);
    expect((await client.answer('POST')).status).toBe(403);
    client.reset();
  }
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (value) => value === 1);
  await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
});
