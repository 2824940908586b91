import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { expect, test } from 'vitest';
import { kit, metric, tokenFor } from '../kit/kit.ts';
import { answerText, chunk, SlimeWorkerPeer, slimeToken } from '../kit/slime-peer.ts';
import { asks, field } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, rawClient } = tools;

const SLIME = { accepts: ['slime'], slimeSecrets: ['old secret'], blockTimeoutMs: 20_000 } as const;
const BLOCK = ['Slime-Block: 1'];
const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
const token = slimeToken('old secret');

async function worker(hub: Parameters<typeof rawClient>[0], id: number | string = 1000, as = token): Promise<SlimeWorkerPeer> {
  return new SlimeWorkerPeer(tools, hub, as, id).connect();
}

test('a worker of slime joins, takes a request as text, and its answer reaches the application with the agent id', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const joined = await peer.join(
    '{"CPUCores":8,"CPUThreads":16,"MemoryPhysicalGB":64,"GPUNames":["A100"],"MacAddresses":[],"PlatformArch":"amd64","PlatformOS":"linux"}',
  );
  expect([joined.status, joined.body.length]).toEqual([200, 0]);
  const client = await asks(tools, hub, '/v1/models?x=1', [...BLOCK, 'X-Of-Mine: yes']);
  const work = await peer.poll().work();
  const [line, ...fields] = work.request.split('\r\n');
  expect(line).toBe('GET /v1/models?x=1 HTTP/1.1');
  expect(fields).toContain('Host: app.example');
  expect(fields).toContain('X-Of-Mine: yes');
  expect(work.request.endsWith('\r\n\r\n')).toBe(true);
  const submitted = await peer.submit(work.connectionId, answerText('hello', ['X-Theirs: 1']));
  expect([submitted.status, submitted.body.length]).toEqual([200, 0]);
  const answer = await client.answer();
  expect([answer.status, answer.body.toString(), field(answer, 'X-Theirs'), field(answer, 'Slime-Agent-Id')]).toEqual([200, 'hello', '1', '1000']);
  const status = (await (await fetch(`http://127.0.0.1:${hub.adminAddress!.port}/status`)).json()) as { agentList: { hardware?: object }[] };
  expect(status.agentList[0]!.hardware).toMatchObject({ cpuCores: 8, memoryBytes: 64 * 1024 ** 3, gpus: ['A100'], platform: 'linux', arch: 'amd64' });
});

test('answers of every framing come through, interim ones too, and a HEAD has no body', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const bodies: string[] = [];
  for (const answer of [
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end',
    'HTTP/1.0 200 OK\r\n\r\nold',
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone',
    'HTTP/1.1 204 No Content\r\n\r\n',
  ]) {
    const client = await asks(tools, hub, '/', BLOCK);
    await peer.serve(answer);
    const { status, body } = await client.answer();
    bodies.push(`${status} ${body.toString()}`);
  }
  expect(bodies).toEqual(['200 abcde', '200 until the end', '200 old', '404 none', '204 ']);
  const client = await rawClient(hub);
  client.send('HEAD / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\n\r\n');
  await peer.serve('HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n');
  expect(field(await client.answer('HEAD'), 'Content-Length')).toBe('500');
});

test('bodies of applications reach the worker as they come, of known length and in chunks', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const known = await rawClient(hub);
  known.send('POST /a HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 5\r\n\r\nhello');
  expect((await peer.serve(answerText('1'))).request).toMatch(/\r\nContent-Length: 5\r\n[^]*\r\n\r\nhello$/);
  expect((await known.answer('POST')).body.toString()).toBe('1');
  const chunked = await rawClient(hub);
  chunked.send('POST /b HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
  peer.poll();
  await peer.client.until(({ text }) => text.includes('3\r\nabc\r\n'), 'the first chunk');
  chunked.send('2\r\nde\r\n0\r\n\r\n');
  const work = await peer.work();
  expect(work.request).toMatch(/\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n$/);
  await peer.submit(work.connectionId, answerText('2'));
  expect((await chunked.answer('POST')).body.toString()).toBe('2');
});

test('events reach the application one by one', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const client = await asks(tools, hub, '/', BLOCK);
  const { connectionId } = await peer.poll().work();
  peer.beginSubmit(connectionId);
  peer.client.send(chunk('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n'));
  for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
    peer.client.send(chunk(event));
    await client.until(({ text }) => text.includes(event), event);
  }
  peer.client.send('0\r\n\r\n');
  expect((await client.answer()).complete).toBe(true);
});

test('without a poll there is no slot: 503 at once, or a wait with Slime-Block', async () => {
  const hub = await startHubWith(SLIME);
  expect((await (await asks(tools, hub)).answer()).status).toBe(503);
  const peer = await worker(hub);
  const client = await asks(tools, hub, '/', BLOCK);
  await until('a waiter', async () => (await metric(hub, 'windlass_queue_size')) === 1);
  await peer.serve(answerText('now'));
  expect((await client.answer()).body.toString()).toBe('now');
  // Its poll is used up: nobody is free again.
  expect((await (await asks(tools, hub)).answer()).status).toBe(503);
  expect(await metric(hub, 'windlass_agent_slots{state="free"}')).toBe(0);
});

test('neither password nor hop-by-hop fields nor what is between agent and hub reach the worker, and app passwords are not for agents', async () => {
  const hub = await startHubWith({ ...SLIME, appPassword: 'open sesame' });
  const peer = await worker(hub);
  expect((await (await asks(tools, hub)).answer()).status).toBe(401);
  await asks(tools, hub, '/', [
    ...BLOCK,
    'Slime-App-Password: open sesame',
    'Slime-Connection-Id: 1',
    'Slime-Agent-Id: 2',
    'Connection: X-Hop',
    'X-Hop: 1',
    'Proxy-Authorization: x',
    'Keep-Alive: 5',
  ]);
  const { request } = await peer.poll().work();
  expect(request).not.toMatch(/password|connection|agent-id|x-hop|proxy-authorization|keep-alive/i);
});

test('scopes and paths of a token decide what a worker gets', async () => {
  const hub = await startHubWith({ ...SLIME, queueTimeoutMs: 0 });
  const scoped = await worker(hub, 1, slimeToken('old secret', { id: 1, scopes: ['gpu'], scopePaths: ['/draw'] }));
  scoped.poll();
  await until('the worker', async () => (await metric(hub, 'windlass_agents_connected')) === 1);
  expect((await (await asks(tools, hub, '/draw', ['Slime-Scope: cpu'])).answer()).status).toBe(503);
  expect((await (await asks(tools, hub, '/other', ['Slime-Scope: gpu'])).answer()).status).toBe(503);
  const client = await asks(tools, hub, '/draw', ['Slime-Scope: gpu']);
  const { connectionId } = await scoped.work();
  await scoped.submit(connectionId, answerText('drawn'));
  expect((await client.answer()).body.toString()).toBe('drawn');
});

test('[threat 33] forged, altered, cut, foreign and huge tokens are 401, after a while 429, and a good one still passes', async () => {
  const hub = await startHubWith(SLIME);
  const last = token.at(-1) === 'A' ? 'B' : 'A';
  const bad = [
    slimeToken('another secret'),
    token.slice(0, -1) + last,
    token.slice(0, 40),
    token.toLowerCase(),
    `${token}A`,
    'A'.repeat(5_000),
    tokenFor({}, 'a secret that is not ours'),
  ];
  for (const one of bad) expect((await (await worker(hub, 1, one)).join()).status).toBe(401);
  for (let i = 0; i < 5; i++) await (await worker(hub, 1, 'nonsense')).join();
  expect((await (await worker(hub, 1, 'nonsense')).join()).status).toBe(429);
  expect((await (await worker(hub)).join()).status).toBe(200);
});

test('tokens of slime are taken only where its secret is given, and those of the hub always', async () => {
  const hub = await startHubWith({ accepts: ['slime'] });
  const refused = await (await worker(hub)).join();
  expect([refused.status, refused.body.toString()]).toEqual([401, expect.stringContaining('--slime-secret-file')]);
  expect((await (await worker(hub, 1, tokenFor())).join()).status).toBe(200);
});

test('where slime is not accepted its requests are those of any application', async () => {
  const hub = await startHubWith({ slimeSecrets: ['old secret'] });
  expect((await (await worker(hub)).join()).status).toBe(503);
});

test('an agent id that is none is 401, and a path that is none 500', async () => {
  const hub = await startHubWith(SLIME);
  for (const id of ['', 'x', '1.5', '99999999999999999999', '9223372036854775808']) expect((await (await worker(hub, id)).join()).status).toBe(401);
  const peer = await worker(hub);
  peer.client.send(`${peer.head('/v1/agent/other')}Content-Length: 0\r\n\r\n`);
  expect((await peer.client.answer('POST')).status).toBe(500);
});

test('[threat 35] a token that has ended is 401 at once', async () => {
  const hub = await startHubWith(SLIME);
  const ended = slimeToken('old secret', { expireAt: Math.floor(Date.now() / 1000) - 120 });
  expect((await (await worker(hub, 1, ended)).join()).status).toBe(401);
});

test('[threat 36] the same id of another token neither ends nor replaces anything', async () => {
  const hub = await startHubWith(SLIME);
  const first = await worker(hub, 1000, slimeToken('old secret', { id: 1, name: 'first' }));
  const running = await asks(tools, hub, '/', BLOCK);
  const work = await first.poll().work();
  const second = await worker(hub, 1000, slimeToken('old secret', { id: 2, name: 'second' }));
  second.poll();
  await until('both', async () => (await metric(hub, 'windlass_agent_sessions')) === 2);
  await first.submit(work.connectionId, answerText('of the first'));
  expect((await running.answer()).body.toString()).toBe('of the first');
  expect(hub.log.some(({ message }) => message.includes('another process has the same id'))).toBe(true);
  const next = await asks(tools, hub, '/', BLOCK);
  await second.submit((await second.work()).connectionId, answerText('of the second'));
  expect((await next.answer()).body.toString()).toBe('of the second');
});

test('[threat 36] the same id of the same token replaces the older poll, but not what runs', async () => {
  const hub = await startHubWith(SLIME);
  const first = await worker(hub);
  const running = await asks(tools, hub, '/', BLOCK);
  const work = await first.poll().work();
  const second = (await worker(hub)).poll();
  const third = await worker(hub);
  await until('the second poll', async () => (await metric(hub, 'windlass_agent_slots{state="free"}')) === 1);
  third.poll();
  await second.client.ended();
  await first.submit(work.connectionId, answerText('still mine'));
  expect((await running.answer()).body.toString()).toBe('still mine');
  const next = await asks(tools, hub, '/', BLOCK);
  await third.submit((await third.work()).connectionId, answerText('the newest'));
  expect((await next.answer()).body.toString()).toBe('the newest');
});

test('[threat 38] only the token that took a request may answer it, and only once', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const client = await asks(tools, hub, '/', BLOCK);
  const { connectionId } = await peer.poll().work();
  const thief = await worker(hub, 1000, slimeToken('old secret', { id: 8 }));
  expect((await thief.submit(connectionId, answerText('stolen'))).status).toBe(404);
  for (const id of ['', '0', 'x', '-1', `${connectionId}9`, '9'.repeat(400)])
    expect((await (await worker(hub, 1000)).submit(id, answerText('guessed'))).status).toBe(404);
  peer.beginSubmit(connectionId);
  peer.client.send(chunk('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n'));
  await client.until(({ text }) => text.includes('\r\n\r\n'), 'the head');
  expect((await (await worker(hub)).submit(connectionId, answerText('twice'))).status).toBe(400);
  peer.client.send(`${chunk('mine')}0\r\n\r\n`);
  expect((await client.answer()).body.toString()).toBe('mine');
});

test('a client that leaves while its answer comes cuts the submission, so that the agent stops', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const client = await asks(tools, hub, '/', BLOCK);
  const { connectionId } = await peer.poll().work();
  peer.beginSubmit(connectionId);
  peer.client.send(chunk('HTTP/1.1 200 OK\r\n\r\n') + chunk('data'));
  await client.until(({ text }) => text.includes('data'), 'data');
  client.reset();
  expect(await peer.client.ended()).toBe('reset');
});

test('a client that left before its answer began costs the worker nothing when that is short, and cuts it when it is long', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  for (const size of [100, 300_000]) {
    const client = await asks(tools, hub, '/', BLOCK);
    const { connectionId } = await peer.poll().work();
    client.reset();
    await until('the departure', async () => (await metric(hub, 'windlass_requests_in_flight')) === 0);
    if (size === 100) expect((await peer.submit(connectionId, answerText('x'.repeat(size)))).status).toBe(200);
    else {
      peer.beginSubmit(connectionId);
      peer.client.send(chunk(answerText('x'.repeat(size))));
      expect(await peer.client.ended()).toBe('reset');
    }
  }
});

test('[rule R1] a request whose poll went before it left is given to another worker, whatever its method', async () => {
  const hub = await startHubWith(SLIME);
  const first = (await worker(hub, 1)).poll();
  await until('the poll', async () => (await metric(hub, 'windlass_agent_slots{state="free"}')) === 1);
  first.client.reset();
  const client = await rawClient(hub);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 2\r\n\r\nhi');
  const second = await worker(hub, 2);
  expect((await second.serve(answerText('served'))).request).toMatch(/hi$/);
  expect((await client.answer('POST')).body.toString()).toBe('served');
});

test('[rule R1] an agent that dies with a request: a GET goes to another, a POST is told 502', async () => {
  const hub = await startHubWith(SLIME);
  for (const [method, status] of [
    ['GET', 200],
    ['POST', 502],
  ] as const) {
    const first = await worker(hub, 1);
    const client = await rawClient(hub);
    client.send(`${method} / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 0\r\n\r\n`);
    await first.poll().work();
    first.client.reset();
    const second = await worker(hub, 2);
    second.poll();
    if (status === 200) await second.submit((await second.work()).connectionId, answerText('of the second'));
    expect((await client.answer(method)).status).toBe(status);
    second.client.reset();
  }
});

test('[rule R2] a submission that breaks off breaks the answer off: never does half of it look like all', async () => {
  const hub = await startHubWith(SLIME);
  for (const begin of [
    'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
    'HTTP/1.1 200 OK\r\n\r\nhalf',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
  ]) {
    const peer = await worker(hub);
    const client = await asks(tools, hub, '/', BLOCK);
    const { connectionId } = await peer.poll().work();
    peer.beginSubmit(connectionId);
    peer.client.send(chunk(begin));
    await client.until(({ text }) => text.includes('half'), 'half');
    peer.client.reset();
    expect((await client.answer()).complete).toBe(false);
  }
});

test('[rule R2] one that ends too soon is no answer either', async () => {
  const hub = await startHubWith(SLIME);
  for (const text of ['', 'HTTP/1.1 200 OK\r\nContent-Len', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf']) {
    const peer = await worker(hub);
    const client = await rawClient(hub);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 0\r\n\r\n');
    const { connectionId } = await peer.poll().work();
    expect((await (text === '' ? peer.submit(connectionId) : peer.submit(connectionId, text))).status).toBe(400);
    const answer = await client.answer();
    expect(text.includes('half') ? answer.complete : answer.status === 502).toBe(!text.includes('half'));
    peer.client.reset();
  }
});

test('[threat 44] bad statuses, injected lines, two lengths, upgrades and heads without end are 502, and only that request is hurt', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  for (const answer of [
    'garbage\r\n\r\n',
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n',
    'HTTP/1.1 200 OK\nX: a\n\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
    'HTTP/1.1 200 OK\r\nX: 1\r\n'.padEnd(1_000_000, 'X: 1\r\n'),
    'HTTP/1.1 100 Continue\r\n\r\n'.repeat(200),
  ]) {
    const client = await rawClient(hub);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 0\r\n\r\n');
    const own = await worker(hub, 77);
    const { connectionId } = await own.poll().work();
    own.beginSubmit(connectionId);
    own.client.send(chunk(answer)).send('0\r\n\r\n');
    expect((await client.answer()).status).toBe(502);
    own.client.reset();
  }
  const client = await asks(tools, hub, '/', BLOCK);
  await peer.serve(answerText('fine', ['Connection: X-Hop', 'X-Hop: 1', 'Proxy-Authenticate: x', 'Slime-Agent-Id: 9']));
  const answer = await client.answer();
  expect([field(answer, 'X-Hop'), field(answer, 'Proxy-Authenticate'), field(answer, 'Slime-Agent-Id')]).toEqual([undefined, undefined, '1000']);
});

test('bytes behind an answer reach nobody', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const client = await asks(tools, hub, '/', BLOCK);
  const { connectionId } = await peer.poll().work();
  const submitted = await peer.submit(connectionId, `${answerText('one')}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo`);
  expect(submitted.status).toBe(400);
  expect((await client.answer()).body.toString()).toBe('one');
  expect(client.rest).toBe('');
});

test('[threat 39] reports that are no JSON or too large are refused, and leave nothing behind', async () => {
  const hub = await startHubWith(SLIME);
  expect((await (await worker(hub)).join('{')).status).toBe(400);
  expect((await (await worker(hub)).join('[1]')).status).toBe(400);
  expect((await (await worker(hub)).join(`"${'x'.repeat(70_000)}"`)).status).toBe(413);
  expect((await (await worker(hub)).join('{"CPUCores":"many","GPUNames":[1,{}]}')).status).toBe(200);
  expect(await metric(hub, 'windlass_agent_sessions')).toBe(0);
});

test('a worker that asks for other work on the same connection has given up: its application is told, and does not wait for ever', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const client = await rawClient(hub);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nSlime-Block: 1\r\nContent-Length: 0\r\n\r\n');
  await peer.poll().work();
  peer.poll();
  expect((await client.answer('POST')).status).toBe(502);
});

test('a deadline ends the wait for a worker that says nothing, and its late answer is not taken for another', async () => {
  const hub = await startHubWith({ ...SLIME, timeoutMs: 300 });
  const peer = await worker(hub);
  const client = await asks(tools, hub, '/', BLOCK);
  const { connectionId } = await peer.poll().work();
  expect((await client.answer()).status).toBe(504);
  expect((await peer.submit(connectionId, answerText('late'))).status).toBe(200);
  expect(client.rest).toBe('');
});

test('[threat 43] a client that takes nothing of its answer stops the agent: nothing is heaped up', async () => {
  const hub = await startHubWith(SLIME);
  const peer = await worker(hub);
  const client = await asks(tools, hub, '/', BLOCK);
  client.pause();
  const { connectionId } = await peer.poll().work();
  peer.beginSubmit(connectionId);
  peer.client.send(chunk('HTTP/1.1 200 OK\r\n\r\n'));
  const piece = chunk('x'.repeat(65_536));
  let written = 0;
  while (written < 64 && peer.client.socket.writableLength < 1_000_000) {
    peer.client.send(piece);
    written++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (let i = 0; i < 1_000 && peer.client.socket.writableLength < 1_000_000; i++) peer.client.send(piece);
  expect(peer.client.socket.writableLength).toBeGreaterThan(500_000);
  expect(await metric(hub, 'windlass_buffered_bytes')).toBeLessThan(4_000_000);
  client.resume();
  await until('the rest', () => peer.client.socket.writableLength === 0);
  peer.client.send('0\r\n\r\n');
  expect((await peer.client.answer('POST')).status).toBe(200);
});

test('a hub that stops answers polls, takes the answers that are due, and lets workers move on', async () => {
  const hub = await startHubWith({ ...SLIME, drainTimeoutMs: 8_000 });
  const busy = await worker(hub, 1);
  const client = await asks(tools, hub, '/', BLOCK);
  const { connectionId } = await busy.poll().work();
  const idle = (await worker(hub, 2)).poll();
  await until('the poll', async () => (await metric(hub, 'windlass_agent_slots{state="free"}')) === 1);
  const closed = hub.close();
  await until('no new requests', async () => (await (await asks(tools, hub)).answer()).status === 503);
  // Over a connection that did not exist before, as an agent may.
  const fresh = await worker(hub, 1);
  expect((await fresh.submit(connectionId, answerText('just in time'))).status).toBe(200);
  expect((await client.answer()).body.toString()).toBe('just in time');
  expect((await idle.client.answer('POST')).status).toBe(503);
  await closed;
});

test('requests that need what the wire lacks are told so: an upgrade is 501, not a mangled request', async () => {
  const hub = await startHubWith(SLIME);
  const peer = (await worker(hub)).poll();
  await until('the poll', async () => (await metric(hub, 'windlass_agent_slots{state="free"}')) === 1);
  const client = await asks(tools, hub, '/', UPGRADE);
  expect((await client.answer()).status).toBe(501);
  expect(peer.client.text).toBe('');
});

test('workers of slime and native agents serve side by side', async () => {
  const hub = await startHubWith({ ...SLIME, accepts: ['native', 'slime'] });
  const origin = await tools.startOrigin((_request, response) => response.end('native'));
  await tools.startAgentFor(hub, origin, { slots: 1 });
  const peer = (await worker(hub)).poll();
  await until('both', async () => (await metric(hub, 'windlass_agent_slots{state="free"}')) === 2);
  const upgraded = await asks(tools, hub, '/', UPGRADE);
  expect((await upgraded.answer()).status).toBe(200);
  const bodies = await Promise.all([
    (async () => (await (await asks(tools, hub, '/', BLOCK)).answer()).body.toString())(),
    (async () => (await (await asks(tools, hub, '/', BLOCK)).answer()).body.toString())(),
    (async () => {
      await until('work or none', () => peer.client.text !== '' || origin.requests.length >= 3);
      if (peer.client.text !== '') await peer.submit((await peer.work()).connectionId, answerText('slime'));
      return '';
    })(),
  ]);
  expect(bodies.slice(0, 2).every((body) => body === 'native' || body === 'slime')).toBe(true);
});

test('an agent of slime may come over TLS and HTTP/2, as Go does by itself', async () => {
  const fixtures = new URL('../fixtures/', import.meta.url).pathname;
  const hub = await startHubWith({ ...SLIME, tls: { certFile: `${fixtures}one.pem`, keyFile: `${fixtures}one.key` } });
  const ca = readFileSync(`${fixtures}ca.pem`);
  const session = http2.connect(`https://127.0.0.1:${hub.address.port}`, { ca, servername: 'hub.test' });
  tools.later(() => session.destroy());
  const post = (path: string, fields: http2.OutgoingHttpHeaders = {}): http2.ClientHttp2Stream =>
    session.request({ ':method': 'POST', ':path': path, 'slime-agent-token': token, 'slime-agent-id': '3', ...fields });
  const poll = post('/v1/agent/accept').end();
  const client = https.get({
    port: hub.address.port,
    host: '127.0.0.1',
    ca,
    servername: 'hub.test',
    path: '/x',
    headers: { 'slime-block': '1' },
    agent: false,
  });
  const [head] = (await once(poll, 'response')) as [http2.IncomingHttpHeaders];
  const submission = post('/v1/agent/submit', { 'slime-connection-id': head['slime-connection-id'] });
  submission.write('HTTP/1.1 200 OK\r\n\r\n');
  submission.write('over ');
  const [response] = (await once(client, 'response')) as [IncomingMessage];
  submission.end('h2');
  expect(response.headers['slime-agent-id']).toBe('3');
  expect((await response.toArray()).join('')).toBe('over h2');
  const [answered] = (await once(submission, 'response')) as [http2.IncomingHttpHeaders];
  expect(answered[':status']).toBe(200);
  // A client that leaves resets the stream of the submission, and no other.
  const next = post('/v1/agent/accept').end();
  const leaver = https.get({ port: hub.address.port, host: '127.0.0.1', ca, servername: 'hub.test', headers: { 'slime-block': '1' }, agent: false });
  leaver.on('error', () => {});
  const [work] = (await once(next, 'response')) as [http2.IncomingHttpHeaders];
  const cut = post('/v1/agent/submit', { 'slime-connection-id': work['slime-connection-id'] });
  cut.on('error', () => {});
  const closed = new Promise((resolve) => cut.once('close', resolve));
  cut.write('HTTP/1.1 200 OK\r\n\r\npart');
  await once(leaver, 'response');
  leaver.destroy();
  await closed;
  expect(session.destroyed).toBe(false);
});
