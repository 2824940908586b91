import net from 'node:net';
import { expect, test, vi } from 'vitest';
import type { RawClient } from '../kit/client.ts';
import { kit, metricBecomes } from '../kit/kit.ts';
import { turns } from '../kit/until.ts';

const { startScript, startDirect, rawClient, accessLog } = kit();

const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';
/** Every byte there is, twice. */
const ALL_BYTES = Buffer.from(Array.from({ length: 512 }, (_, i) => i & 0xff));

async function switched(client: RawClient): Promise<void> {
  const answer = await client.until(({ text }) => text.includes('\r\n\r\n')).then(() => client.text);
  expect(answer).toMatch(/^HTTP\/1\.1 101 /);
  expect(answer).toMatch(/\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/);
}

test('after 101 all bytes pass untouched, both ways, and each side may half-close', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(SWITCHED);
    await connection.until(({ stream }) => stream.subarray(-ALL_BYTES.length).equals(ALL_BYTES));
    connection.send(ALL_BYTES);
    await connection.ended();
    // The client's half is over; ours still works.
    connection.send('last words');
    connection.end();
  });
  const log = accessLog();
  const proxy = await startDirect({ to: origin, accessLog: log.target });
  const client = await rawClient(proxy);
  client.send(UPGRADE);
  await switched(client);
  expect(origin.text).toContain('\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n');
  expect(origin.text).toContain('Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n');
  client.send(ALL_BYTES);
  await client.until(({ stream }) => stream.subarray(-ALL_BYTES.length).equals(ALL_BYTES));
  client.halfClose();
  expect(await client.ended()).toBe('fin');
  expect(client.text.endsWith('last words')).toBe(true);
  const [line] = await log.lines(1);
  expect(line).toMatch(/" 101 out=522 in=512 .* failure=- /);
  await metricBecomes(proxy, 'windlass_connections', (value) => value === 0);
});

test('the upstream may half-close first, and the client still be heard', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(`${SWITCHED}bye`);
    connection.end();
    await connection.until(({ text }) => text.endsWith('still here'));
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(UPGRADE);
  expect(await client.ended()).toBe('fin');
  expect(client.text.endsWith('\r\n\r\nbye')).toBe(true);
  client.send('still here');
  client.halfClose();
  expect(await origin.connections[0]!.ended()).toBe('fin');
  expect(origin.text.endsWith('still here')).toBe(true);
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
});

test('many bytes both ways at once arrive in order under backpressure', async () => {
  const bytes = 8 * 1024 * 1024;
  const pattern = Buffer.from(Array.from({ length: bytes }, (_, i) => (i ^ (i >> 9)) & 0xff));
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(SWITCHED).send(pattern);
    const from = connection.heardBytes;
    await connection.until(({ heardBytes }) => heardBytes >= from + bytes);
    connection.end();
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(UPGRADE);
  await switched(client);
  client.send(pattern);
  client.halfClose();
  expect(await client.ended()).toBe('fin');
  expect(client.stream.subarray(-bytes).equals(pattern)).toBe(true);
  expect(origin.connections[0]!.stream.subarray(-bytes).equals(pattern)).toBe(true);
});

test('bytes behind an Upgrade request wait for the 101 [threat 10]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    await turns(20);
    expect(connection.text.endsWith('\r\n\r\n')).toBe(true);
    connection.send(SWITCHED);
    await connection.until(({ text }) => text.endsWith('too early'));
    connection.end();
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(`${UPGRADE}too early`);
  await client.until(({ ending }) => ending === 'fin');
  expect(origin.troubles).toEqual([]);
  expect(origin.text.endsWith('\r\n\r\ntoo early')).toBe(true);
});

test('an upstream that answers 200 instead gets not a byte of what followed [threat 10]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno');
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(`${UPGRADE}\x81\x05hello GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
  expect((await client.answer()).body.toString()).toBe('no');
  // The rest is no request.
  expect((await client.answer()).status).toBe(400);
  await client.ended();
  expect(origin.connections.length).toBe(1);
  expect(origin.text.endsWith('\r\n\r\n')).toBe(true);
});

for (const [what, fields, gone] of [
  ['h2c', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n', /upgrade|http2-settings/i],
  ['h2c without Connection', 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n', /upgrade|http2-settings/i],
  ['a list with h2c', 'Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n', /upgrade/i],
  ['an unlisted token', 'Connection: Upgrade\r\nUpgrade: irc/6.9\r\n', /upgrade/i],
  ['websocket without Connection', 'Upgrade: websocket\r\n', /upgrade/i],
  [
    'websocket with a body',
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 0\r\nX: y\r\n',
    null,
  ],
] as const) {
  test(`an upgrade to ${what} is an ordinary request [threat 11]`, async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
    expect((await client.answer()).status).toBe(200);
    if (gone !== null) expect(origin.text).not.toMatch(gone);
  });
}

for (const [what, answer] of [
  ['101 that nobody asked for', SWITCHED],
  ['101 that does not say to what', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
] as const) {
  test(`a ${what} is 502`, async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send(answer);
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send(answer === SWITCHED ? 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' : UPGRADE);
    expect((await client.answer()).status).toBe(502);
    expect(await origin.connections[0]!.ended()).not.toBe('open');
  });
}

test('a 101 to another protocol than was asked for is 502', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(UPGRADE);
  expect((await client.answer()).status).toBe(502);
});

for (const [who, how] of [
  ['client', 'reset'],
  ['client', 'leave'],
  ['upstream', 'reset'],
] as const) {
  test(`a ${who} that goes (${how}) in the middle takes the other side along`, async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send(SWITCHED);
      await connection.until(({ text }) => text.endsWith('go'));
      if (who === 'upstream') connection.reset();
    });
    const proxy = await startDirect({ to: origin });
    const client = await rawClient(proxy);
    client.send(UPGRADE);
    await switched(client);
    client.send('go');
    if (who === 'client') {
      await origin.connections[0]!.until(({ text }) => text.endsWith('go'));
      if (how === 'reset') client.reset();
      else client.socket.destroy();
      expect(await origin.connections[0]!.ended()).not.toBe('open');
    } else expect(await client.ended()).toBe('reset');
    origin.connections[0]!.socket.destroy();
    await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
    await metricBecomes(proxy, 'windlass_connections', (value) => value === 0);
  });
}

test('a client that is reset after the upstream had said its last word takes the upstream connection along', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(SWITCHED);
    connection.end();
  });
  const proxy = await startDirect({ to: origin });
  const client = await rawClient(proxy);
  client.send(UPGRADE);
  expect(await client.ended()).toBe('fin');
  client.reset();
  expect(await origin.connections[0]!.ended()).not.toBe('open');
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
});

test('the system is told to ask whether an upstream is still there that may be silent for long', async () => {
  const asked: string[] = [];
  const spy = vi.spyOn(net.Socket.prototype, 'setKeepAlive').mockImplementation(function (this: net.Socket, on, ms) {
    asked.push(`${this.remotePort} ${on} ${ms}`);
    return this;
  });
  const origin = await startScript(async (connection) => {
    const head = await connection.head();
    if (head.includes('/chat')) connection.send(SWITCHED);
    else
      connection.send(
        `HTTP/1.1 200 OK\r\nContent-Type: ${head.includes('/events') ? 'text/event-stream' : 'text/plain'}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok`,
      );
  });
  const isAsked = (): boolean => asked.includes(`${origin.port} true 30000`);
  const proxy = await startDirect({ to: origin });
  for (const [path, wanted] of [
    ['/page', false],
    ['/events', true],
  ] as const) {
    const client = await rawClient(proxy);
    await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`).answer();
    expect([path, isAsked()]).toEqual([path, wanted]);
  }
  asked.length = 0;
  const other = await startDirect({ to: origin });
  const client = await rawClient(other);
  client.send(UPGRADE);
  await switched(client);
  expect(isAsked()).toBe(true);
  spy.mockRestore();
});
