import { expect, test } from 'vitest';
import type { RawClient } from '../kit/client.ts';
import { kit, metric, metricBecomes, type Served, tokenFor } from '../kit/kit.ts';
import { asks, field, get, startHolding } from '../kit/stage.ts';

const tools = kit();
const { startHubWith, startAgentFor, startOrigin, rawClient } = tools;

const BLOCK = ['Slime-Block: 1'];
/** More than a waiting request is read of, so that its socket is paused. */
const LARGE_BYTES = 300 * 1024;

async function waiting(hub: Served, count: number): Promise<void> {
  await metricBecomes(hub, 'windlass_queue_size', (value) => value === count);
}

/** A client that has sent a POST with a body larger than what is read of it while it waits. */
async function posts(hub: Served, target: string, bytes = LARGE_BYTES): Promise<RawClient> {
  const client = await rawClient(hub);
  client.send(`POST ${target} HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: ${bytes}\r\n\r\n`);
  return client.send(Buffer.alloc(bytes, 'x'));
}

async function held(hub: Served, bytes: number): Promise<void> {
  await metricBecomes(hub, 'windlass_buffered_bytes', (value) => value >= bytes);
}

test('requests that wait are served in order of arrival, as slots become free', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const clients = [await asks(tools, hub, '/0')];
  await arrived(0);
  for (let i = 1; i <= 6; i++) {
    clients.push(await asks(tools, hub, `/${i}`, BLOCK));
    await waiting(hub, i);
  }
  for (let i = 0; i <= 6; i++) {
    (await arrived(i)).response.end(String(i));
    expect((await clients[i]!.answer()).body.toString()).toBe(String(i));
  }
  expect(origin.requests.map(({ url }) => url)).toEqual(['/0', '/1', '/2', '/3', '/4', '/5', '/6']);
  await waiting(hub, 0);
});

test('a request that waits for any agent at all is served when one joins', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith();
  const client = await asks(tools, hub, '/', BLOCK);
  await waiting(hub, 1);
  await startAgentFor(hub, origin);
  expect((await client.answer()).status).toBe(200);
});

test.each([
  ['alone', 'Prefer: wait=1'],
  ['among others, in quotes', 'Prefer: respond-async, wait="1", handling=lenient'],
])('Prefer: wait=N waits N seconds and no longer (%s)', async (_what, prefer) => {
  const hub = await startHubWith();
  const client = await asks(tools, hub, '/', [prefer]);
  await waiting(hub, 1);
  const answer = await client.answer();
  expect(answer.status).toBe(503);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'queue_timeout' });
  expect(field(answer, 'retry-after')).toBeDefined();
  expect(await metric(hub, 'windlass_queue_size')).toBe(0);
});

test.each(['Prefer: wait=0', 'Prefer: nowait=5', 'Prefer: wait=abc', 'Prefer: wait=-1', 'Prefer: return=minimal'])(
  'what asks for no wait is answered at once: %s',
  async (prefer) => {
    const hub = await startHubWith();
    const answer = await (await asks(tools, hub, '/', [prefer])).answer();
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'no_agent' });
  },
);

test('--queue-timeout makes every request wait, --block-timeout bounds those that ask', async () => {
  const hub = await startHubWith({ queueTimeoutMs: 300, blockTimeoutMs: 500 });
  const plain = await asks(tools, hub);
  const asked = await asks(tools, hub, '/', BLOCK);
  const longer = await asks(tools, hub, '/', ['Prefer: wait=100000000']);
  await waiting(hub, 3);
  for (const client of [plain, asked, longer]) expect(JSON.parse((await client.answer()).body.toString())).toMatchObject({ code: 'queue_timeout' });
});

test('a full queue is a 503 at once, also for those who would wait [fault 36]', async () => {
  const hub = await startHubWith({ queueSize: 2 });
  await asks(tools, hub, '/', BLOCK);
  await asks(tools, hub, '/', BLOCK);
  await waiting(hub, 2);
  const answer = await (await asks(tools, hub, '/', BLOCK)).answer();
  expect(answer.status).toBe(503);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'queue_full' });
});

test.each([
  ['FIN', (client: RawClient) => client.halfClose()],
  ['RST', (client: RawClient) => client.reset()],
])('a client that departs by %s leaves the queue, and its request is never sent [fault 2, fault 28]', async (_how, leave) => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const first = await asks(tools, hub, '/first');
  const running = await arrived(0);
  const leaver = await asks(tools, hub, '/leaver', BLOCK);
  await waiting(hub, 1);
  const stayer = await asks(tools, hub, '/stayer', BLOCK);
  await waiting(hub, 2);
  leave(leaver);
  await waiting(hub, 1);
  running.response.end();
  await first.answer();
  (await arrived(1)).response.end();
  expect((await stayer.answer()).status).toBe(200);
  expect(origin.requests.map(({ url }) => url)).toEqual(['/first', '/stayer']);
});

test.each([
  ['FIN', (client: RawClient) => client.halfClose()],
  ['RST', (client: RawClient) => client.reset()],
])(
  'a client that departs by %s while a body waits whose socket is paused is noticed before a slot is spent on it [fault 27, fault 28]',
  async (_how, leave) => {
    const { origin, arrived } = await startHolding(tools);
    const hub = await startHubWith();
    await startAgentFor(hub, origin);
    const first = await asks(tools, hub, '/first');
    const running = await arrived(0);
    const leaver = await posts(hub, '/leaver', 96 * 1024);
    await waiting(hub, 1);
    await held(hub, 64 * 1024);
    const stayer = await asks(tools, hub, '/stayer', BLOCK);
    await waiting(hub, 2);
    leave(leaver);
    running.response.end();
    await first.answer();
    (await arrived(1)).response.end();
    expect((await stayer.answer()).status).toBe(200);
    expect(origin.requests.map(({ url }) => url)).toEqual(['/first', '/stayer']);
    await waiting(hub, 0);
    await metricBecomes(hub, 'windlass_requests_in_flight', (value) => value === 0);
    expect(await metric(hub, 'windlass_buffered_bytes')).toBe(0);
  },
);

test('a large body that waits keeps its place: nobody behind it is served first', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const clients = [await asks(tools, hub, '/0')];
  await arrived(0);
  clients.push(await posts(hub, '/1'));
  await waiting(hub, 1);
  await held(hub, 64 * 1024);
  for (let i = 2; i <= 4; i++) {
    clients.push(await asks(tools, hub, `/${i}`, BLOCK));
    await waiting(hub, i);
  }
  for (let i = 0; i <= 4; i++) {
    const { response } = await arrived(i);
    await origin.decided(i);
    response.end();
    expect((await clients[i]!.answer()).status).toBe(200);
  }
  expect(origin.requests.map(({ url }) => url)).toEqual(['/0', '/1', '/2', '/3', '/4']);
  expect(origin.requests[1]!.bytes).toBe(LARGE_BYTES);
});

test('of a large body that waits little is read', async () => {
  const hub = await startHubWith();
  const client = await rawClient(hub);
  const bytes = 32 * 1024 * 1024;
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: ${bytes}\r\n\r\n`).send(Buffer.alloc(bytes, 'x'));
  await held(hub, 64 * 1024);
  expect(await metric(hub, 'windlass_buffered_bytes')).toBeLessThanOrEqual(2 * 64 * 1024);
  const origin = await startOrigin();
  await startAgentFor(hub, origin);
  expect((await client.answer()).status).toBe(200);
  expect(origin.only.bytes).toBe(bytes);
});

test('a large body whose time in the queue is over gets its 503', async () => {
  const hub = await startHubWith({ blockTimeoutMs: 200 });
  const client = await posts(hub, '/');
  const answer = await client.answer();
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'queue_timeout' });
  await metricBecomes(hub, 'windlass_buffered_bytes', (value) => value === 0);
});

test('a small body that came while its request waited is sent whole, with its trailers', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const first = await asks(tools, hub, '/first');
  const running = await arrived(0);
  const client = await rawClient(hub);
  client.send(
    'POST /w HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n,\r\n5\r\nworld\r\n0\r\nX-Sum: 42\r\n\r\n',
  );
  await waiting(hub, 1);
  await held(hub, 11);
  running.response.end();
  await first.answer();
  const second = await arrived(1);
  await origin.decided(1);
  second.response.end();
  expect((await client.answer()).status).toBe(200);
  expect(origin.requests[1]).toMatchObject({ body: 'hello,world', trailers: { 'x-sum': '42' } });
});

test('a request that no free slot may serve does not hold up another', async () => {
  const a = await startHolding(tools);
  const b = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, a.origin, { token: tokenFor({ scopes: ['a'] }) });
  await startAgentFor(hub, b.origin, { token: tokenFor({ scopes: ['b'] }) });
  const firstA = await asks(tools, hub, '/a0', ['Slime-Scope: a']);
  const runsA = await a.arrived(0);
  const firstB = await asks(tools, hub, '/b0', ['Slime-Scope: b']);
  const runsB = await b.arrived(0);
  const waitsA = await asks(tools, hub, '/a1', ['Slime-Scope: a', ...BLOCK]);
  await waiting(hub, 1);
  const waitsB = await asks(tools, hub, '/b1', ['Slime-Scope: b', ...BLOCK]);
  await waiting(hub, 2);
  const waitsAny = await asks(tools, hub, '/any', BLOCK);
  await waiting(hub, 3);
  runsB.response.end();
  await firstB.answer();
  (await b.arrived(1)).response.end();
  expect((await waitsB.answer()).status).toBe(200);
  (await b.arrived(2)).response.end();
  expect((await waitsAny.answer()).status).toBe(200);
  expect(b.origin.requests.map(({ url }) => url)).toEqual(['/b0', '/b1', '/any']);
  runsA.response.end();
  await firstA.answer();
  (await a.arrived(1)).response.end();
  expect((await waitsA.answer()).status).toBe(200);
});

test('Expect: 100-continue gets its 100 only when its request has a slot, and no body is read before', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const first = await asks(tools, hub, '/first');
  const running = await arrived(0);
  const client = await rawClient(hub);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
  await waiting(hub, 1);
  expect(client.heardBytes).toBe(0);
  running.response.end();
  await first.answer();
  await client.until((one) => one.text.includes('100 Continue'), 'the 100');
  client.send('body');
  (await arrived(1)).response.end();
  expect(await client.answer('POST')).toMatchObject({ status: 200, interim: [100] });
  expect(origin.requests[1]!.body).toBe('body');
});

test('a request with Expect that gets no slot gets no 100, and its connection closes', async () => {
  const hub = await startHubWith();
  const client = await rawClient(hub);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
  expect(await client.answer('POST')).toMatchObject({ status: 503, interim: [] });
  expect(await client.ended()).toBe('fin');
});

test('pipelined requests wait one behind the other, and departure of their client clears them all', async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await startHubWith();
  await startAgentFor(hub, origin);
  const first = await asks(tools, hub, '/first');
  const running = await arrived(0);
  const client = await rawClient(hub);
  client.send(get('/p1', BLOCK) + get('/p2', BLOCK));
  await waiting(hub, 1);
  client.reset();
  await waiting(hub, 0);
  running.response.end();
  await first.answer();
  const last = await asks(tools, hub, '/last');
  (await arrived(1)).response.end();
  await last.answer();
  expect(origin.requests.map(({ url }) => url)).toEqual(['/first', '/last']);
});

test('the total time limit counts the wait: 504, not a longer wait', async () => {
  const hub = await startHubWith({ timeoutMs: 300 });
  const client = await asks(tools, hub, '/', BLOCK);
  expect(JSON.parse((await client.answer()).body.toString())).toMatchObject({ status: 504, code: 'deadline' });
});
