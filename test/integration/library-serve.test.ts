import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import express from 'express';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { WebSocket, WebSocketServer } from 'ws';
import { expect, test } from 'vitest';
import { createLog } from '../../src/index.ts';
import { kit } from '../kit/kit.ts';
import { at, Library, textOf } from '../kit/library.ts';
import { soon, until } from '../kit/until.ts';

const tools = kit();
const library = new Library(tools);

test('a (request, response) handler is served with no port open', async () => {
  const hub = await library.hub();
  await library.serve(hub, async (request, response) => {
    const body = await textOf(request);
    response.setHeader('X-Path', request.url!);
    response.setHeader('Set-Cookie', ['a=1', 'b=2']);
    response.statusCode = 201;
    response.end(`${request.method} ${body} for ${request.headers.host}`);
  });
  const answer = await fetch(`${at(hub)}/a/b?c=%20d`, { method: 'PUT', body: 'hello' });
  expect([answer.status, answer.headers.get('x-path'), answer.headers.getSetCookie()]).toEqual([201, '/a/b?c=%20d', ['a=1', 'b=2']]);
  expect(await answer.text()).toBe(`PUT hello for 127.0.0.1:${hub.address!.port}`);
});

test('a fetch handler is served: head, body and URL come as they were sent', async () => {
  const hub = await library.hub();
  await library.serve(hub, async (request: Request) => {
    const { method, url, headers } = request;
    return Response.json(
      { method, path: new URL(url).pathname, type: headers.get('content-type'), body: await request.text() },
      { status: 203, headers: { 'X-Own': 'yes' } },
    );
  });
  const answer = await fetch(`${at(hub)}/x?y=1`, { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } });
  expect([answer.status, answer.headers.get('x-own')]).toEqual([203, 'yes']);
  expect(await answer.json()).toEqual({ method: 'POST', path: '/x', type: 'application/json', body: '{}' });
  const head = await fetch(at(hub), { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([203, '']);
});

test('bodies stream both ways through a fetch handler: each piece is answered before the next is sent', async () => {
  const hub = await library.hub();
  await library.serve(hub, (request: Request) => new Response(request.body!.pipeThrough(new TransformStream<Uint8Array, Uint8Array>())));
  const outgoing = http.request(`${at(hub)}/`, { method: 'POST' });
  tools.later(() => outgoing.destroy());
  outgoing.write('1');
  const [incoming] = (await soon('the head', once(outgoing, 'response'))) as [http.IncomingMessage];
  for (const piece of ['1', '2', '3']) {
    if (piece !== '1') outgoing.write(piece);
    expect(String((await soon('the echo', once(incoming, 'data')))[0])).toBe(piece);
  }
  outgoing.end();
  await soon('the end', once(incoming, 'end'));
});

test('a megabyte goes through both kinds of handlers, and comes back the same', async () => {
  const body = Buffer.alloc(1 << 20, 'windlass ');
  for (const handler of [
    (request: Request) => new Response(request.body),
    (request: http.IncomingMessage, response: http.ServerResponse) => void request.pipe(response),
  ]) {
    const hub = await library.hub();
    await library.serve(hub, handler);
    const answer = await fetch(at(hub), { method: 'POST', body });
    expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
  }
});

test('when the application leaves, the signal of its request is aborted, and the slot is free when the handler is done, not before', async () => {
  const hub = await library.hub();
  let finish!: () => void;
  const work = new Promise<void>((resolve) => (finish = resolve));
  const begun = new Promise<AbortSignal>((resolve) => {
    void library.serve(
      hub,
      async (request: Request) => {
        if (new URL(request.url).pathname === '/fast') return new Response('fast');
        resolve(request.signal);
        await work;
        return new Response('late');
      },
      { slots: 2 },
    );
  });
  await until('an agent', () => hub.connections().length > 0);
  const gone = new AbortController();
  const asked = fetch(`${at(hub)}/slow`, { signal: gone.signal });
  const signal = await soon('the request', begun);
  expect(signal.aborted).toBe(false);
  gone.abort();
  await expect(asked).rejects.toThrow();
  if (!signal.aborted) await soon('the abort', once(signal, 'abort'));
  // What comes later is served by the other slot, and this one is still taken.
  for (let i = 0; i < 10; i++) expect(await (await fetch(`${at(hub)}/fast`)).text()).toBe('fast');
  await until('the other slot', () => hub.connections()[0]!.free > 0);
  expect(hub.connections()[0]).toMatchObject({ slots: 2, free: 1 });
  finish();
  await until('a free slot', () => hub.connections()[0]!.free === 2);
});

test('a stream of a fetch handler is cancelled when the application leaves', async () => {
  const hub = await library.hub();
  let cancelled!: () => void;
  const cancel = new Promise<void>((resolve) => (cancelled = resolve));
  await library.serve(hub, () => new Response(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(1000)), cancel: () => cancelled() })), {
    kind: 'fetch',
  });
  const gone = new AbortController();
  const answer = await fetch(at(hub), { signal: gone.signal });
  await answer.body!.getReader().read();
  gone.abort();
  await soon('the cancel', cancel);
});

test('a handler that fails is a 500, one that fails in the middle of a body an answer that breaks off', async () => {
  const hub = await library.hub();
  const lines: string[] = [];
  const log = createLog({ stream: { write: (line) => lines.push(line) }, format: 'json' });
  const halves = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('half');
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error('no more');
  };
  await library.serve(
    hub,
    (request: Request) => {
      if (request.url.endsWith('/broken')) return new Response(ReadableStream.from(halves()));
      throw new Error('the handler is ill');
    },
    { log },
  );
  const answer = await fetch(at(hub));
  expect([answer.status, await answer.text()]).toEqual([500, 'the service failed\n']);
  expect(lines.join('')).toContain('the handler is ill');
  await expect(fetch(`${at(hub)}/broken`).then((one) => one.text())).rejects.toThrow();
  // A handler of the other kind that rejects.
  const other = await library.hub();
  await library.serve(other, (_request, _response) => Promise.reject(new Error('ill')));
  expect((await fetch(at(other))).status).toBe(500);
});

test('Express, Hono, and a server of node:http with WebSockets are served as they are', async () => {
  const app = express();
  app.use(express.json());
  app.post('/items/:id', (request, response) =>
    response.json({ id: request.params['id'], name: (request.body as { name: string }).name, ip: request.ip }),
  );
  const one = await library.hub();
  await library.serve(one, app);
  const answer = await fetch(`${at(one)}/items/7`, { method: 'POST', body: '{"name":"x"}', headers: { 'Content-Type': 'application/json' } });
  expect(await answer.json()).toMatchObject({ id: '7', name: 'x' });
  expect((await fetch(`${at(one)}/nothing`)).status).toBe(404);

  const hono = new Hono();
  hono.get('/hello/:name', (context) => context.text(`Hello ${context.req.param('name')}`));
  hono.get('/events', (context) => streamSSE(context, async (stream) => stream.writeSSE({ data: 'one' })));
  const two = await library.hub();
  await library.serve(two, hono);
  expect(await (await fetch(`${at(two)}/hello/you`)).text()).toBe('Hello you');
  expect(await (await fetch(`${at(two)}/events`)).text()).toBe('data: one\n\n');

  const server = http.createServer((_request, response) => response.end('plain'));
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.on('message', (message) => socket.send(`echo ${String(message)}`)));
  const three = await library.hub();
  await library.serve(three, server);
  expect(server.listening).toBe(false);
  expect(await (await fetch(at(three))).text()).toBe('plain');
  const socket = new WebSocket(`ws://127.0.0.1:${three.address!.port}/chat`);
  tools.later(() => socket.terminate());
  await soon('the open', once(socket, 'open'));
  socket.send('hi');
  expect(String((await soon('the echo', once(socket, 'message')))[0])).toBe('echo hi');
  socket.close();
  await soon('the close', once(socket, 'close'));
});

test('a function with `upgrade` answers WebSockets, too', async () => {
  const hub = await library.hub();
  const sockets = new WebSocketServer({ noServer: true });
  await library.serve(hub, (_request, response) => void response.end('page'), {
    upgrade: (request, socket, head) => sockets.handleUpgrade(request, socket, head, (one) => one.send(request.url!)),
  });
  const socket = new WebSocket(`ws://127.0.0.1:${hub.address!.port}/here`);
  tools.later(() => socket.terminate());
  expect(String((await soon('a message', once(socket, 'message')))[0])).toBe('/here');
});

test('close() of an agent finishes what runs and takes nothing new; its signal does the same', async () => {
  const hub = await library.hub();
  for (const way of ['close', 'signal']) {
    const stop = new AbortController();
    let answer!: () => void;
    const begun = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let finish!: () => void;
    const work = new Promise<void>((resolve) => (finish = resolve));
    const agent = await library.serve(
      hub,
      async () => {
        answer();
        await work;
        return new Response('whole');
      },
      { kind: 'fetch', signal: stop.signal },
    );
    const asked = fetch(at(hub));
    await soon('the request', begun);
    const closed = way === 'close' ? agent.close() : (stop.abort(), agent.close());
    await until('no free slot', () => hub.connections().every(({ free }) => free === 0));
    expect((await fetch(at(hub))).status).toBe(503);
    finish();
    expect(await (await asked).text()).toBe('whole');
    await soon('the close', closed);
    await until('nobody there', () => hub.connections().length === 0);
  }
});

test('an agent that is closed before a hub has let it in says so, and one whose signal is aborted never starts', async () => {
  const deaf = net.createServer((socket) => socket.resume());
  const port = await library.listen(deaf);
  const { serve } = await import('../../src/index.ts');
  const agent = await serve(() => new Response(), {
    hub: `127.0.0.1:${port}`,
    token: 'x',
    kind: 'fetch',
    reportHardware: false,
    proxy: null,
    drainTimeoutMs: 100,
  });
  const ready = agent.ready;
  await agent.close();
  await expect(ready).rejects.toMatchObject({ code: 'agent_closed' });
  await expect(serve(() => new Response(), { hub: 'x', token: 'x', signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
});

test('the number of slots is the number of requests at once, and can change', async () => {
  const hub = await library.hub({ queueTimeoutMs: 5_000 });
  let running = 0;
  let most = 0;
  const agent = await library.serve(
    hub,
    async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 10));
      running--;
      return new Response('ok');
    },
    { kind: 'fetch', slots: 2 },
  );
  const ask = async (): Promise<string> => (await fetch(at(hub))).text();
  expect(new Set(await Promise.all(Array.from({ length: 10 }, ask)))).toEqual(new Set(['ok']));
  expect(most).toBe(2);
  agent.resize(5);
  await until('more slots', () => hub.connections()[0]!.slots === 5);
  await Promise.all(Array.from({ length: 20 }, ask));
  expect(most).toBe(5);
});
