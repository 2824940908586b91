import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import express from 'express';
import { WebSocket, WebSocketServer } from 'ws';
import { expect, test } from 'vitest';
import { agentSettings, agentTable } from '../../src/config/agent.ts';
import { agentDefaults, crankerDefaults } from '../../src/agent/embedded.ts';
import { Failure, type HubEventName, type HubEvents, serve, startAgent, startHub } from '../../src/index.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { sealSlimeToken, slimeKey } from '../../src/tunnel/slime/token.ts';
import { kit, metric } from '../kit/kit.ts';
import { at, Library, LIBRARY_SECRET, textOf } from '../kit/library.ts';
import { soon, until } from '../kit/until.ts';

const tools = kit();
const library = new Library(tools);

function slimeToken(secret: string): string {
  return sealSlimeToken({ id: 7n, name: 'old', expiresMs: 0, scopePaths: [], scopes: [] }, slimeKey(secret));
}

/** A hub that listens nowhere, in a server of node:http that has pages of its own. */
async function mounted(options: Parameters<Library['hub']>[0] = {}) {
  const hub = await library.hub({ listen: null, ...options });
  const server = http.createServer((request, response) => {
    if (request.url === '/own') response.end('own page');
    else hub.handle(request, response);
  });
  server.on('upgrade', hub.upgrade);
  const port = await library.listen(server);
  return { hub, port, url: `http://127.0.0.1:${port}` };
}

/** An agent of a mounted hub. */
async function join({ hub, url }: Awaited<ReturnType<typeof mounted>>, handler: Parameters<typeof serve>[0], options = {}) {
  const agent = await serve(handler, { hub: url, token: hub.issueToken({ name: 'mine' }), reportHardware: false, proxy: null, ...options });
  tools.later(() => agent.destroy());
  await agent.ready;
  return agent;
}

test('a hub mounted in a server of node:http serves its applications and lets agents dial in by the same port', async () => {
  const here = await mounted();
  expect(here.hub.address).toBe(null);
  await join(here, async (request, response) => {
    const body = await textOf(request);
    response.setHeader('X-Forwarded', String(request.headers['x-forwarded-for']));
    response.setHeader('Set-Cookie', ['a=1', 'b=2']);
    response.end(`${request.method} ${request.url} ${body}`);
  });
  expect(await (await fetch(`${here.url}/own`)).text()).toBe('own page');
  const answer = await fetch(`${here.url}/a?b`, { method: 'POST', body: 'hello' });
  expect([answer.status, await answer.text(), answer.headers.get('x-forwarded'), answer.headers.getSetCookie()]).toEqual([
    200,
    'POST /a?b hello',
    '127.0.0.1',
    ['a=1', 'b=2'],
  ]);
  // Bodies without a length, both ways.
  const chunked = http.request(`${here.url}/c`, { method: 'PUT', headers: { 'Transfer-Encoding': 'chunked' } });
  chunked.write('in ');
  chunked.end('pieces');
  const [incoming] = (await soon('an answer', once(chunked, 'response'))) as [http.IncomingMessage];
  expect(await textOf(incoming)).toBe('PUT /c in pieces');
  const body = Buffer.alloc(1 << 20, 'x');
  expect((await (await fetch(here.url, { method: 'POST', body })).text()).length).toBe('POST / '.length + body.length);
});

test('a mounted hub answers what it cannot serve, and WebSockets pass', async () => {
  const here = await mounted();
  const nobody = await fetch(here.url);
  expect([nobody.status, ((await nobody.json()) as { code: string }).code]).toEqual([503, 'no_agent']);
  const server = http.createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.on('message', (message) => socket.send(`echo ${String(message)}`)));
  await join(here, server);
  const socket = new WebSocket(`ws://127.0.0.1:${here.port}/chat`);
  tools.later(() => socket.terminate());
  await soon('the open', once(socket, 'open'));
  socket.send('hi');
  expect(String((await soon('the echo', once(socket, 'message')))[0])).toBe('echo hi');
  // Somebody who is no agent.
  const stranger = await tools.rawClient({ port: here.port });
  stranger.send('GET /windlass/agent HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: windlass/1\r\nWindlass-Token: none\r\n\r\n');
  expect((await stranger.answer()).status).toBe(401);
});

test('an application of a mounted hub that leaves is a departure, and an agent that breaks off is a broken answer', async () => {
  const here = await mounted();
  const outcomes: string[] = [];
  here.hub.on('failed', ({ status, failure }) => outcomes.push(`${status} ${failure.code}`));
  const aborted = new Promise<void>((resolve) => {
    void join(here, (request: Request) => {
      if (request.url.endsWith('/broken'))
        return new Response(
          ReadableStream.from(
            (async function* () {
              yield Buffer.from('half');
              await new Promise((again) => setImmediate(again));
              throw new Error('no more');
            })(),
          ),
        );
      request.signal.addEventListener('abort', () => resolve());
      return new Promise<Response>(() => {});
    });
  });
  await until('an agent', () => here.hub.connections().length === 1);
  const gone = new AbortController();
  const asked = fetch(`${here.url}/slow`, { signal: gone.signal });
  await until('the request', () => here.hub.connections()[0]!.inFlight === 1);
  gone.abort();
  await expect(asked).rejects.toThrow();
  await soon('the abort', aborted);
  await until('the line', () => outcomes.includes('499 client_gone'));
  // The handler that never ends holds its slot: another agent takes the next request.
  await join(
    here,
    () =>
      new Response(
        ReadableStream.from(
          (async function* () {
            yield Buffer.from('half');
            await new Promise((again) => setImmediate(again));
            throw new Error('no more');
          })(),
        ),
      ),
    { kind: 'fetch' },
  );
  await expect(fetch(`${here.url}/broken`).then((one) => one.text())).rejects.toThrow();
  await until('the line', () => outcomes.some((line) => line.includes('upstream_reset') || line.includes('upstream_closed')));
});

test('a hub is mounted under a path of an Express application, beside its other pages', async () => {
  const hub = await library.hub({ listen: null });
  const app = express();
  app.get('/', (_request, response) => response.send('front page'));
  app.use('/models', hub.handle);
  const server = http.createServer(app);
  server.on('upgrade', hub.upgrade);
  const url = `http://127.0.0.1:${await library.listen(server)}`;
  const agent = await serve((_request, response) => response.end(_request.url), {
    hub: url,
    token: hub.issueToken(),
    reportHardware: false,
    proxy: null,
  });
  tools.later(() => agent.destroy());
  await agent.ready;
  expect(await (await fetch(url)).text()).toBe('front page');
  expect(await (await fetch(`${url}/models/v1/list`)).text()).toBe('/v1/list');
});

test('connections() shows who is there', async () => {
  const hub = await library.hub();
  const before = Date.now();
  await library.serve(hub, () => new Response('x'), {
    kind: 'fetch',
    slots: 3,
    agentId: 'box-1',
    labels: { zone: 'eu' },
    token: hub.issueToken({ name: 'mine', scopes: ['a'] }),
  });
  const [one, ...others] = hub.connections();
  expect(others).toEqual([]);
  expect(one).toMatchObject({
    id: 'box-1',
    name: 'mine',
    scopes: ['a'],
    labels: { zone: 'eu' },
    slots: 3,
    free: 3,
    inFlight: 0,
    wire: 'native',
    address: '127.0.0.1',
    hardware: null,
  });
  expect(one!.since.getTime()).toBeGreaterThanOrEqual(before - 50);
  expect(one!.since.getTime()).toBeLessThanOrEqual(Date.now() + 50);
});

test('events tell the whole way of a request: who came, what went, what came back, how long and how much', async () => {
  const hub = await library.hub();
  const told: { name: HubEventName; event: HubEvents[HubEventName] }[] = [];
  for (const name of ['joined', 'left', 'sending', 'sent', 'head', 'chunk', 'attempted', 'done', 'failed'] as const)
    hub.on(name, (event) =>
      told.push({
        name,
        event: name === 'chunk' ? { ...(event as HubEvents['chunk']), bytes: Buffer.from((event as HubEvents['chunk']).bytes) } : event,
      }),
    );
  const agent = await library.serve(
    hub,
    async (request: Request) => new Response(`${await request.text()}!`, { status: 201, headers: { 'X-A': 'b' } }),
    {
      agentId: 'box',
    },
  );
  expect(await (await fetch(`${at(hub)}/p?q`, { method: 'POST', body: 'hello' })).text()).toBe('hello!');
  await until('its end', () => told.some(({ name }) => name === 'done'));
  expect(told.map(({ name }) => name)).toEqual(['joined', 'sending', 'chunk', 'sent', 'head', 'chunk', 'attempted', 'done']);
  const of = <K extends HubEventName>(name: K): HubEvents[K] => told.find((one) => one.name === name)!.event as HubEvents[K];
  const { attempt } = of('sending');
  expect(attempt.exchange).toMatchObject({ id: 1, method: 'POST', target: '/p?q', client: '127.0.0.1' });
  expect([attempt.agent.id, attempt.number]).toEqual(['box', 1]);
  expect(of('sent')).toMatchObject({ bytes: 5 });
  expect(of('sent').attempt).toBe(attempt);
  expect(of('head')).toMatchObject({ status: 201 });
  expect(of('head').headers).toEqual(expect.arrayContaining(['x-a', 'b']));
  expect(
    told.filter(({ name }) => name === 'chunk').map(({ event }) => [(event as HubEvents['chunk']).of, String((event as HubEvents['chunk']).bytes)]),
  ).toEqual([
    ['request', 'hello'],
    ['reply', 'hello!'],
  ]);
  expect(of('attempted')).toMatchObject({ failure: null, requestBytes: 5, replyBytes: 6 });
  expect(of('done')).toMatchObject({ exchange: attempt.exchange, status: 201, agent: 'box', attempts: 1 });
  expect(of('done').durationMs).toBeGreaterThanOrEqual(of('attempted').durationMs);
  await agent.close();
  await until('its leaving', () => told.at(-1)!.name === 'left');
  expect((told.at(-1)!.event as HubEvents['left']).agent.id).toBe('box');
  // Nobody is there any more: no attempt, but an end.
  expect((await fetch(at(hub))).status).toBe(503);
  await until('its end', () => told.at(-1)!.name === 'failed');
  expect(told.at(-1)!.event).toMatchObject({ status: 503, agent: '', attempts: 0, failure: { code: 'no_agent' } });
});

test('who listens to `sending` alters what an agent gets, refuses it, or fails it; who stops listening hears no more', async () => {
  const hub = await library.hub();
  await library.serve(hub, (request: Request) => Response.json({ path: new URL(request.url).pathname, ...Object.fromEntries(request.headers) }));
  const off = hub.on('sending', (sending) => {
    if (sending.header('x-forbid') !== undefined) return sending.refuse(new Failure('forbidden', 'not for you'));
    if (sending.header('x-break') !== undefined) throw new Error('oh no');
    sending.setHeader('X-Agent', sending.attempt.agent.name);
    sending.removeHeader('x-secret');
    sending.setTarget('/other');
  });
  const get = async (headers: Record<string, string> = {}): Promise<Record<string, string>> =>
    (await (await fetch(`${at(hub)}/this`, { headers })).json()) as Record<string, string>;
  const altered = await get({ 'X-Secret': 's' });
  expect([altered['path'], altered['x-agent'], altered['x-secret']]).toEqual(['/other', 'agent', undefined]);
  const refused = await fetch(at(hub), { headers: { 'X-Forbid': '1' } });
  expect([refused.status, ((await refused.json()) as { detail: string }).detail]).toEqual([403, 'not for you']);
  expect((await fetch(at(hub), { headers: { 'X-Break': '1' } })).status).toBe(500);
  off();
  expect((await get({ 'X-Secret': 's' }))['x-secret']).toBe('s');
  const stop = new AbortController();
  hub.on('sending', (sending) => sending.removeHeader('x-secret'), { signal: stop.signal });
  expect((await get({ 'X-Secret': 's' }))['x-secret']).toBe(undefined);
  stop.abort();
  expect((await get({ 'X-Secret': 's' }))['x-secret']).toBe('s');
  hub.on('sending', (sending) => sending.removeHeader('x-secret'), { signal: stop.signal });
  expect((await get({ 'X-Secret': 's' }))['x-secret']).toBe('s');
});

test('a request that a listener refuses leaves the slot to the next one that waits', async () => {
  const hub = await library.hub({ queueTimeoutMs: 5_000, admin: { host: '127.0.0.1', port: 0 } });
  let finish!: () => void;
  const work = new Promise<void>((resolve) => (finish = resolve));
  await library.serve(
    hub,
    async () => {
      await work;
      return new Response('ok');
    },
    { kind: 'fetch' },
  );
  const first = fetch(at(hub));
  await until('it runs', () => hub.connections()[0]!.inFlight === 1);
  hub.on('sending', (sending) => {
    if (sending.header('x-forbid') !== undefined) sending.refuse(new Failure('forbidden', 'no'));
  });
  const refused = Array.from({ length: 6 }, () => fetch(at(hub), { headers: { 'X-Forbid': '1' } }));
  await until('they wait', async () => (await metric(hub, 'windlass_queue_size')) === 6);
  const last = fetch(at(hub));
  await until('all wait', async () => (await metric(hub, 'windlass_queue_size')) === 7);
  finish();
  expect((await soon('all', Promise.all([first, ...refused, last]))).map(({ status }) => status)).toEqual([200, ...refused.map(() => 403), 200]);
});

test('plugins of windlass/plugin work in the hub of another program, from the first to the last', async () => {
  const ended: number[] = [];
  const hub = await library.hub({
    plugins: [
      { name: 'key', plugin: { request: ({ request }) => (request.header('x-key') === 'good' ? undefined : { status: 401, body: 'no key\n' }) } },
      {
        name: 'mark',
        plugin: { response: ({ response }) => response!.setHeader('X-Mark', 'seen'), log: ({ notes }) => void ended.push(notes.status) },
      },
    ],
  });
  await library.serve(hub, () => new Response('ok'), { kind: 'fetch' });
  const without = await fetch(at(hub));
  expect([without.status, await without.text()]).toEqual([401, 'no key\n']);
  const answer = await fetch(at(hub), { headers: { 'X-Key': 'good' } });
  expect([answer.status, answer.headers.get('x-mark')]).toEqual([200, 'seen']);
  await until('both logged', () => ended.length > 0 && ended.at(-1) === 200);
});

test('close() of a hub finishes what runs, answers 503 to what comes, and sends its agents away; so does its signal', async () => {
  for (const way of ['close', 'signal']) {
    const stop = new AbortController();
    const here = await mounted({ signal: stop.signal });
    let finish!: () => void;
    const work = new Promise<void>((resolve) => (finish = resolve));
    const agent = await join(
      here,
      async () => {
        await work;
        return new Response('whole');
      },
      { kind: 'fetch' },
    );
    const asked = fetch(here.url);
    await until('it runs', () => here.hub.connections()[0]!.inFlight === 1);
    if (way === 'signal') stop.abort();
    const closed = here.hub.close();
    expect((await fetch(here.url)).status).toBe(503);
    finish();
    expect(await (await asked).text()).toBe('whole');
    await soon('the close', closed);
    await until('the agent has left', () => agent.hubs === 0);
    expect(here.hub.connections()).toEqual([]);
    expect((await fetch(`${here.url}/own`)).status).toBe(200);
  }
  await expect(startHub({ secret: 'x', signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
});

test('an agent of the library offers an address as well, to hubs of any kind', async () => {
  const hub = await library.hub();
  const origin = await tools.startOrigin();
  const agent = await startAgent({
    hub: at(hub),
    token: hub.issueToken(),
    upstream: `127.0.0.1:${origin.port}`,
    allow: ['GET /open/*'],
    reportHardware: false,
    proxy: null,
  });
  tools.later(() => agent.destroy());
  await agent.ready;
  expect(await (await fetch(`${at(hub)}/open/x`)).text()).toBe('ok');
  expect((await fetch(`${at(hub)}/closed`)).status).toBe(403);
  expect(origin.requests.length).toBe(1);
});

test('a handler is served over the wires of others, by an explicit word', async () => {
  const router = await tools.startRouter();
  const registered = await startAgent({
    wire: 'cranker',
    route: 'shop',
    hub: `ws://127.0.0.1:${router.registrationAddress.port}`,
    handler: (request: Request) => new Response(`shop ${new URL(request.url).pathname}`),
    proxy: null,
  });
  tools.later(() => registered.destroy());
  await soon('the registration', registered.ready);
  expect(await (await fetch(`http://127.0.0.1:${router.address.port}/shop/window`)).text()).toBe('shop /shop/window');

  const hub = await library.hub({ accepts: ['slime'], slimeSecrets: ['old secret'] });
  const agent = await serve(() => new Response('slow'), { wire: 'slime', kind: 'fetch', hub: at(hub), token: slimeToken('old secret'), proxy: null });
  tools.later(() => agent.destroy());
  await soon('the poll', agent.ready);
  await until('a slot', () => hub.connections().some(({ free }) => free > 0));
  expect(hub.connections()[0]).toMatchObject({ wire: 'slime', slots: 1 });
  expect(await (await fetch(at(hub))).text()).toBe('slow');
});

test('options that cannot be used are refused by name, with what to write instead', async () => {
  const good = { hub: 'localhost:1', token: 'x', upstream: 'localhost:2' };
  await expect(startAgent({ ...good, slotz: 3 } as never)).rejects.toMatchObject({
    code: 'bad_option',
    option: 'slotz',
    message: 'slotz is no option; did you mean slots?',
  });
  await expect(startAgent({ ...good, slots: 0 })).rejects.toMatchObject({ option: 'slots' });
  await expect(startAgent({ ...good, hub: 'ftp://x' })).rejects.toMatchObject({ option: 'hub' });
  await expect(startAgent({ ...good, token: undefined } as never)).rejects.toMatchObject({ option: 'token' });
  await expect(startAgent({ ...good, cert: 'x' })).rejects.toMatchObject({ option: 'cert' });
  await expect(startAgent({ ...good, ca: 'x' })).rejects.toMatchObject({ option: 'ca' });
  await expect(startAgent({ ...good, allow: ['what is this'] })).rejects.toMatchObject({ option: 'allow' });
  await expect(startAgent({ ...good, labels: { '1': 'x' } })).rejects.toMatchObject({ option: 'labels' });
  await expect(startAgent({ ...good, wire: 'cranker' })).rejects.toMatchObject({ option: 'route' });
  await expect(startAgent({ ...good, wire: 'cranker', route: '../x' })).rejects.toMatchObject({ option: 'route' });
  await expect(serve(7 as never, { hub: 'localhost:1', token: 'x' })).rejects.toMatchObject({ option: 'handler' });
  await expect(serve(http.createServer(), { hub: 'localhost:1', token: 'x', upgrade: () => {} })).rejects.toMatchObject({ option: 'upgrade' });
  await expect(startHub({ secret: '' })).rejects.toMatchObject({ option: 'secret' });
  await expect(startHub({ secret: 'x', prot: 1 } as never)).rejects.toMatchObject({ option: 'prot' });
  await expect(startHub({ secret: 'x', trustedProxies: ['everybody'] })).rejects.toMatchObject({ option: 'trustedProxies' });
  await expect(startHub({ secret: 'x', traces: {} as never })).rejects.toMatchObject({
    option: 'traces',
    message: expect.stringContaining('endpoint'),
  });
  await expect(startHub({ secret: 'x', traces: { endpoint: 'ftp://x' } })).rejects.toMatchObject({ option: 'traces' });
  await expect(startHub({ secret: 'x', traces: { endpoint: 'localhost:4318', sample: 2 } })).rejects.toMatchObject({ option: 'traces' });
  await expect(startHub({ secret: 'x', notification: null } as never)).rejects.toMatchObject({ option: 'notification' });
  const taken = net.createServer();
  const port = await library.listen(taken);
  await expect(startHub({ secret: LIBRARY_SECRET, listen: { host: '127.0.0.1', port } })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('what is not said is as on the command line', () => {
  const values = Object.fromEntries(Object.entries(agentTable).map(([name, { fallback }]) => [name, fallback])) as Parameters<
    typeof agentSettings
  >[0];
  const one = [parseUpstreamUrl('localhost:1')];
  const settings = agentSettings({ ...values, token: 'x', hub: one, upstream: one }, null, null);
  expect(settings).toMatchObject(agentDefaults);
  const { cranker } = agentSettings({ ...values, token: 'x', hub: one, upstream: one, wire: 'cranker', route: '' }, null, null);
  expect(cranker).toMatchObject(crankerDefaults);
});
