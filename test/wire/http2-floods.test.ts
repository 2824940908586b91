import { afterEach, expect, test } from 'vitest';
import { askH2, connectH2 } from '../kit/h2-client.ts';
import {
  CANCEL,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  frame,
  FrameClient,
  get,
  HEADERS,
  hpack,
  NO_ERROR,
  PING,
  post,
  PRIORITY,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  RST_STREAM,
  SETTINGS,
  settings,
  WINDOW_UPDATE,
  word,
} from '../kit/h2-frames.ts';
import type { HttpOrigin } from '../kit/http-origin.ts';
import { kit, metricBecomes, type Served } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { later, startDirect, startOrigin } = made;

let rssBefore = 0;
afterEach(() => {
  // A flood of a few thousand frames that is kept would be more than that.
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(300 * 1024 * 1024);
});

async function start(limits = {}, answer?: Parameters<typeof startOrigin>[0]): Promise<{ served: Served; origin: HttpOrigin; client: FrameClient }> {
  const origin = await startOrigin(answer);
  const served = await startDirect({ to: origin, limits });
  rssBefore = process.memoryUsage().rss;
  return { served, origin, client: await FrameClient.connect(later, served.address.port) };
}

/** An origin that answers nobody but the others. */
const holding: Parameters<typeof startOrigin>[0] = (request, response) => {
  request.resume();
  if (request.url === '/other') response.end('ok');
};

function requests(from: number, count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => frame(HEADERS, END_STREAM | END_HEADERS, 2 * (from + i) + 1, get()));
}

/** Somebody else is served as if nothing had happened. */
async function othersAreServed(served: Served): Promise<void> {
  expect((await askH2(connectH2(later, served.address.port), { ':path': '/other' })).status).toBe(200);
  expect(process.memoryUsage().rss - rssBefore).toBeLessThan(150 * 1024 * 1024);
}

test('HEADERS and RST_STREAM in a row: few of them reach the upstream, and the connection is told to calm down [threat 53]', async () => {
  const { served, origin, client } = await start({}, holding);
  await client.flood(5_000, (i) =>
    Buffer.concat([frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, get()), frame(RST_STREAM, 0, 2 * i + 1, word(CANCEL))]),
  );
  expect(await client.closing()).toBe(ENHANCE_YOUR_CALM);
  expect(origin.requests.length).toBeLessThanOrEqual(200);
  await othersAreServed(served);
  await metricBecomes(served, 'windlass_http2_floods_total', (count) => count === 1);
});

test('requests for whose faults streams are reset: the connection is closed after a hundred or two [threat 53]', async () => {
  const { served, origin, client } = await start();
  const sent = await client.flood(3_000, (i) => frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, get('/', ['transfer-encoding', 'chunked'])), 10);
  await client.closing();
  expect(sent).toBeLessThan(1_000);
  expect(client.frames.filter(({ type }) => type === RST_STREAM).length).toBeLessThanOrEqual(200);
  expect(origin.requests).toHaveLength(0);
  await othersAreServed(served);
});

test('window overflows on streams of one connection are resets as well [threat 53]', async () => {
  const { served, client } = await start({}, holding);
  await client.flood(
    3_000,
    (i) => Buffer.concat([frame(HEADERS, END_HEADERS, 2 * i + 1, post()), frame(WINDOW_UPDATE, 0, 2 * i + 1, word(0x7fffffff))]),
    10,
  );
  await client.closing();
  expect(client.frames.filter(({ type }) => type === RST_STREAM).length).toBeLessThanOrEqual(250);
  await othersAreServed(served);
});

test('a head in CONTINUATION frames without end [threat 53]', async () => {
  const { served, origin, client } = await start();
  const piece = hpack([['x-fill', 'y'.repeat(4000)]]);
  client.send(frame(HEADERS, END_STREAM, 1, get()));
  const sent = await client.flood(1_000, () => frame(CONTINUATION, 0, 1, piece), 1);
  expect(await client.closing()).toBe(ENHANCE_YOUR_CALM);
  expect(sent * piece.length).toBeLessThan(400 * 1024);
  expect(origin.requests).toHaveLength(0);
  await othersAreServed(served);
});

test('empty CONTINUATION frames [threat 53]', async () => {
  const { served, client } = await start();
  client.send(frame(HEADERS, END_STREAM, 1, get()));
  await client.flood(1_000, () => frame(CONTINUATION, 0, 1));
  expect(await client.closing()).toBe(ENHANCE_YOUR_CALM);
  await othersAreServed(served);
});

test('SETTINGS again and again [threat 53]', async () => {
  const { served, client } = await start();
  await client.flood(2_000, (i) => frame(SETTINGS, 0, 0, settings([4, 65_535 + (i % 2)])));
  expect(await client.closing()).toBe(ENHANCE_YOUR_CALM);
  await othersAreServed(served);
});

test('a SETTINGS frame with more settings than there are [threat 53]', async () => {
  const { served, client } = await start({ keepAliveTimeoutMs: 1_500, firstByteTimeoutMs: 1_500 });
  client.send(frame(SETTINGS, 0, 0, settings(...Array.from({ length: 1_000 }, (_, i) => [0xf000 + i, i] as const))));
  expect(await client.closing()).toBe(ENHANCE_YOUR_CALM);
  await othersAreServed(served);
});

test('PING again and again [threat 53]', async () => {
  const { served, client } = await start();
  await client.flood(2_000, () => frame(PING, 0, 0, Buffer.alloc(8)));
  expect(await client.closing()).toBe(ENHANCE_YOUR_CALM);
  await othersAreServed(served);
});

test('PING by somebody who does not read the answers [threat 53]', async () => {
  const { served, client } = await start();
  client.socket.pause();
  await client.flood(100_000, () => frame(PING, 0, 0, Buffer.alloc(8)), 500);
  await metricBecomes(served, 'windlass_connections', (count) => count === 0);
  await othersAreServed(served);
});

test('a bomb of HPACK: one entry of the table, named thousands of times [threat 53]', async () => {
  const { served, origin, client } = await start();
  // With incremental indexing: 3,900 bytes that from then on are one byte (index 62).
  const name = Buffer.from('x-bomb', 'latin1');
  const value = Buffer.alloc(3_900, 'b');
  const entry = Buffer.concat([Buffer.from([0x40, name.length]), name, Buffer.from([0x7f, ...varint(value.length - 127)]), value]);
  client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, Buffer.concat([get(), entry, Buffer.alloc(12_000, 0x80 | 62)])));
  await client.until('the stream to be reset', () => client.resetOf(1) >= 0 || client.goaway > NO_ERROR);
  expect(origin.requests).toHaveLength(0);
  await othersAreServed(served);
});

test('empty DATA again and again [threat 53]', async () => {
  const { served, client } = await start({}, holding);
  client.send(frame(HEADERS, END_HEADERS, 1, post()));
  await client.flood(5_000, () => frame(DATA, 0, 1));
  expect(await client.closing()).toBe(ENHANCE_YOUR_CALM);
  await othersAreServed(served);
});

test('PRIORITY again and again [threat 53]', async () => {
  const { served, client } = await start();
  await client.flood(5_000, (i) => frame(PRIORITY, 0, 2 * i + 1, Buffer.from([0, 0, 0, 0, 16])));
  expect(await client.closing()).toBe(ENHANCE_YOUR_CALM);
  await othersAreServed(served);
});

test('WINDOW_UPDATE again and again, on a connection on which nothing is sent [threat 53]', async () => {
  const { served, client } = await start({}, holding);
  client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, get()));
  await client.flood(6_000, () => frame(WINDOW_UPDATE, 0, 0, word(1)), 1_000);
  expect(await client.closing()).toBe(ENHANCE_YOUR_CALM);
  await othersAreServed(served);
});

test('more requests at once than there may be: a hundred run, the others are refused, so that they may be sent again [threat 53]', async () => {
  const { served, origin } = await start({}, holding);
  const client = await FrameClient.connect(later, served.address.port, [], false);
  client.send(...requests(0, 150));
  await client.until('the rest to be refused', () => client.frames.filter(({ type }) => type === RST_STREAM).length === 50);
  await until('a hundred at the origin', () => origin.requests.length === 100);
  expect(new Set(client.frames.filter(({ type }) => type === RST_STREAM).map(({ payload }) => payload.readUInt32BE(0)))).toEqual(
    new Set([REFUSED_STREAM]),
  );
  // Whoever goes on in spite of that has had his hundred.
  await client.flood(1_850, (i) => requests(150 + i, 1)[0]!, 10);
  await client.closing();
  expect(origin.requests.length).toBe(100);
  await othersAreServed(served);
});

test('more requests at once than there may be, by somebody who has acknowledged how many: the connection is closed [threat 53]', async () => {
  const { served, origin, client } = await start({}, holding);
  client.send(...requests(0, 2_000));
  expect(await client.closing()).toBe(PROTOCOL_ERROR);
  expect(origin.requests.length).toBeLessThanOrEqual(100);
  await othersAreServed(served);
});

test('a hundred downloads without a window cost little, and end after the idle limit [threat 53]', async () => {
  const origin = await startOrigin((request, response) => {
    if (request.url === '/other') response.end('ok');
    else response.end(Buffer.alloc(1024 * 1024));
  });
  const served = await startDirect({ to: origin, limits: { writeIdleTimeoutMs: 1_000 } });
  rssBefore = process.memoryUsage().rss;
  const client = await FrameClient.connect(later, served.address.port, [[4, 0]]);
  for (let i = 0; i < 100; i++) client.send(frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, get(`/${i}`)));
  await client.until('all heads', () => client.frames.filter(({ type }) => type === HEADERS).length === 100);
  await client.until('all resets', () => client.frames.filter(({ type }) => type === RST_STREAM).length === 100);
  expect(client.ended).toBe(false);
  expect(client.resetOf(1)).toBe(CANCEL);
  await othersAreServed(served);
});

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest >>= 7) out.push((rest & 127) | 128);
  out.push(rest);
  return out;
}
