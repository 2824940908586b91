import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { httpLimits } from '../../src/http/limits.ts';
import type { HttpOrigin } from '../kit/http-origin.ts';
import { kit, Kit, metricBecomes, type Served } from '../kit/kit.ts';

const shared = new Kit();
const { rawClient, startScript, startDirect } = kit();
let origin: HttpOrigin;
let proxy: Served;

beforeAll(async () => {
  origin = await shared.startOrigin();
  proxy = await shared.startDirect({ to: origin });
});
afterAll(() => shared.close());

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const TAIL = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

interface Row {
  readonly name: string;
  readonly body: string;
}

const BAD: readonly Row[] = [
  { name: 'a size of nine digits', body: '000000003\r\nabc\r\n0\r\n\r\n' },
  { name: 'a size of 16 digits', body: 'ffffffffffffffff\r\nabc\r\n0\r\n\r\n' },
  { name: 'a size that overflows 64 bits', body: '10000000000000003\r\nabc\r\n0\r\n\r\n' },
  { name: 'a size with 0x', body: '0x3\r\nabc\r\n0\r\n\r\n' },
  { name: 'a size with an underscore', body: '1_0\r\n0123456789abcdef\r\n0\r\n\r\n' },
  { name: 'a size with a plus', body: '+3\r\nabc\r\n0\r\n\r\n' },
  { name: 'a size with a minus', body: '-3\r\nabc\r\n0\r\n\r\n' },
  { name: 'a size with a leading space', body: ' 3\r\nabc\r\n0\r\n\r\n' },
  { name: 'a size with a trailing space', body: '3 \r\nabc\r\n0\r\n\r\n' },
  { name: 'a size with a tab', body: '3\t\r\nabc\r\n0\r\n\r\n' },
  { name: 'an empty size', body: '\r\nabc\r\n0\r\n\r\n' },
  { name: 'a size that is a word', body: 'xyz\r\nabc\r\n0\r\n\r\n' },
  { name: 'only an extension', body: ';a=b\r\nabc\r\n0\r\n\r\n' },
  { name: 'a size line that ends with LF', body: '3\nabc\r\n0\r\n\r\n' },
  { name: 'a size line that ends with CR', body: '3\rabc\r\n0\r\n\r\n' },
  { name: 'a size line that ends with CR CR LF', body: '3\r\r\nabc\r\n0\r\n\r\n' },
  { name: 'data without CRLF', body: '3\r\nabc0\r\n\r\n' },
  { name: 'data that is followed by LF', body: '3\r\nabc\n0\r\n\r\n' },
  { name: 'data that is followed by CR', body: '3\r\nabc\r0\r\n\r\n' },
  { name: 'data longer than its size', body: '3\r\nabcd\r\n0\r\n\r\n' },
  { name: 'data shorter than its size', body: '4\r\nabc\r\n0\r\n\r\n' },
  { name: 'an extension with a bare CR', body: '3;a\rb\r\nabc\r\n0\r\n\r\n' },
  { name: 'an extension with a bare LF', body: '3;a\nb\r\nabc\r\n0\r\n\r\n' },
  { name: 'an extension with NUL', body: '3;a\0b\r\nabc\r\n0\r\n\r\n' },
  { name: 'a last chunk that ends with LF', body: '3\r\nabc\r\n0\n\r\n' },
  { name: 'a trailer section that ends with LF', body: '3\r\nabc\r\n0\r\n\n' },
  { name: 'a trailer section that ends with a bare CR', body: '3\r\nabc\r\n0\r\n\rX' },
  { name: 'a trailer without a colon', body: '3\r\nabc\r\n0\r\nX\r\n\r\n' },
  { name: 'a trailer without a name', body: '3\r\nabc\r\n0\r\n: x\r\n\r\n' },
  { name: 'a trailer with a space before its colon', body: '3\r\nabc\r\n0\r\nX : y\r\n\r\n' },
  { name: 'a folded trailer', body: '3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n' },
  { name: 'a trailer with NUL', body: '3\r\nabc\r\n0\r\nX: a\0b\r\n\r\n' },
  { name: 'a trailer with a bare CR', body: '3\r\nabc\r\n0\r\nX: a\rb\r\n\r\n' },
  { name: 'a trailer with a bare LF', body: '3\r\nabc\r\n0\r\nX: a\nY: b\r\n\r\n' },
];

/** Sends a body that must be refused, and sees to it that the origin never took it for complete. */
async function refused(send: (client: Awaited<ReturnType<typeof rawClient>>) => Promise<void> | void): Promise<void> {
  const before = origin.requests.length;
  const client = await rawClient(proxy);
  await send(client);
  const answer = await client.answer();
  expect(answer.status).toBe(400);
  await client.ended();
  expect(client.rest).toBe('');
  await metricBecomes(proxy, 'windlass_requests_in_flight', (value) => value === 0);
  if (origin.requests.length > before) expect((await origin.decided(before)).complete).toBe(false);
  expect(origin.requests.length - before).toBeLessThanOrEqual(1);
}

describe('a bad chunk is 400, and its upstream sees an abort, never a clean end [threat 6]', () => {
  test.each(BAD)('$name, all at once', ({ body }) => refused((client) => void client.send(HEAD + body + TAIL)));
  test.each(BAD)('$name, when the request is on its way already', ({ body }) =>
    refused(async (client) => {
      const before = origin.requests.length;
      client.send(`${HEAD}5\r\nfirst\r\n`);
      while (origin.requests.length === before) await client.sendPieces(['']);
      client.send(body + TAIL);
    }),
  );
});

describe('extensions and trailers have a limit [threat 7]', () => {
  test('an extension of 4 KiB passes', async () => {
    const client = await rawClient(proxy);
    client.send(`${HEAD}3;${'e'.repeat(httpLimits.chunkLineBytes)}\r\nabc\r\n0\r\n\r\n`);
    expect((await client.answer()).status).toBe(200);
    expect(origin.requests.at(-1)!.body).toBe('abc');
  });

  test('one byte more does not', () =>
    refused((client) => void client.send(`${HEAD}3;${'e'.repeat(httpLimits.chunkLineBytes + 1)}\r\nabc\r\n0\r\n\r\n`)));

  test('an extension of 1 MiB does not', () => refused((client) => void client.send(`${HEAD}3;${'e'.repeat(1024 * 1024)}`)));

  test('trailers beyond 16 KiB do not pass', () => refused((client) => void client.send(`${HEAD}0\r\nX: ${'t'.repeat(17 * 1024)}`)));

  test('trailers beyond 16 KiB that are complete and come in one piece do not pass either', () =>
    refused((client) => void client.send(`${HEAD}0\r\nX: ${'t'.repeat(17 * 1024)}\r\n\r\n`)));

  test('trailers of 1 MiB in many fields do not pass', () =>
    refused((client) => void client.send(`${HEAD}0\r\n${`X: ${'t'.repeat(1000)}\r\n`.repeat(1024)}\r\n`)));

  test('trailers of less than 16 KiB pass, also in pieces', async () => {
    const client = await rawClient(proxy);
    const value = 't'.repeat(15 * 1024);
    const text = `${HEAD}0\r\nX-Long: ${value}\r\n\r\n`;
    await client.sendPieces([text.slice(0, 200), text.slice(200, 5000), text.slice(5000)]);
    expect((await client.answer()).status).toBe(200);
    expect(origin.requests.at(-1)!.trailers['x-long']).toBe(value);
  });
});

test('chunks in all right spellings arrive as one body, extensions left out', async () => {
  for (const body of [
    '3\r\nabc\r\n0\r\n\r\n',
    '03\r\nabc\r\n00000000\r\n\r\n',
    '1;x=y\r\na\r\n2;z="q;\xe4"\r\nbc\r\n0;last\r\n\r\n',
    '1\r\na\r\n1\r\nb\r\n1\r\nc\r\n000\r\n\r\n',
  ]) {
    const client = await rawClient(proxy);
    client.send(HEAD + body);
    expect((await client.answer()).status).toBe(200);
    expect(origin.requests.at(-1)).toMatchObject({ body: 'abc', complete: true, method: 'POST' });
  }
  const client = await rawClient(proxy);
  client.send(`${HEAD}A\r\n0123456789\r\nb\r\nabcdefghijk\r\n0\r\n\r\n`);
  expect((await client.answer()).status).toBe(200);
  expect(origin.requests.at(-1)!.body).toBe('0123456789abcdefghijk');
});

test('a request cut anywhere in its chunked body arrives the same [threat 6]', async () => {
  const text = `${HEAD}3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX-End: yes\r\nX-More: too\r\n\r\n`;
  for (let cut = 1; cut < text.length; cut++) {
    const client = await rawClient(proxy);
    await client.sendPieces([text.slice(0, cut), text.slice(cut)]);
    expect((await client.answer()).status).toBe(200);
    expect(origin.requests.at(-1)).toMatchObject({ body: 'abc0123456789abcdef', complete: true, trailers: { 'x-end': 'yes', 'x-more': 'too' } });
    client.socket.destroy();
  }
  const client = await rawClient(proxy);
  await client.sendPieces(text.split(''));
  expect((await client.answer()).status).toBe(200);
  expect(origin.requests.at(-1)).toMatchObject({ body: 'abc0123456789abcdef', complete: true, trailers: { 'x-end': 'yes', 'x-more': 'too' } });
});

test('framing, routing and credentials in trailers are dropped, both ways [threat 8]', async () => {
  const forbidden = [
    'Content-Length',
    'Transfer-Encoding',
    'Host',
    'Connection',
    'Authorization',
    'Cookie',
    'X-Forwarded-For',
    'Forwarded',
    'Via',
    'Expect',
    'Slime-App-Password',
    'X_Real_IP',
    '__proto__',
  ];
  const trailers = forbidden.map((name) => `${name}: 6\r\n`).join('');
  const script = await startScript(async (connection) => {
    await connection.until(({ text }) => text.endsWith('\r\n\r\n') && text.includes('\r\n0\r\n'));
    connection.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${trailers}Set-Cookie: x\r\nX-Fine: yes\r\n\r\n`);
  });
  const direct = await startDirect({ to: script });
  const client = await rawClient(direct);
  client.send(`${HEAD}3\r\nabc\r\n0\r\n${trailers}X-Fine: \t \xc3\xa0 \r\n\r\n`);
  const answer = await client.answer();
  expect(answer.trailers).toEqual([['X-Fine', 'yes']]);
  expect(script.text.slice(script.text.indexOf('abc'))).toBe('abc\r\n0\r\nX-Fine: \xc3\xa0\r\n\r\n');
  const fields = answer.fields.map(([name]) => name.toLowerCase());
  for (const name of ['set-cookie', 'authorization']) expect(fields).not.toContain(name);
  expect(fields).not.toContain('content-length');
});

test('a client of HTTP/1.0 gets chunked answers without chunks and trailers', async () => {
  const script = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\n, 2\r\n0\r\nX-Fine: yes\r\n\r\n');
  });
  const direct = await startDirect({ to: script });
  const client = await rawClient(direct);
  client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
  const answer = await client.answer();
  expect(answer).toMatchObject({ framing: 'close', complete: true });
  expect(answer.body.toString()).toBe('ok, 2');
});

test('a chunked body that is complete before there is a connection to the upstream arrives whole', async () => {
  const whole = [
    ['0\r\n\r\n', '', {}],
    ['0\r\nX-End: yes\r\n\r\n', '', { 'x-end': 'yes' }],
    ['3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n', 'abc', { 'x-end': 'yes' }],
  ] as const;
  for (const method of ['POST', 'PUT']) {
    for (const [chunks, body, trailers] of whole) {
      const direct = await startDirect({ to: origin });
      const client = await rawClient(direct);
      client.send(`${method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
      expect((await client.answer()).status).toBe(200);
      expect(origin.requests.at(-1)).toMatchObject({ method, body, trailers, complete: true });
    }
  }
});
