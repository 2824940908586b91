import http from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { ask } from '../../test/kit/ask.ts';
import { Registry } from '../observe/metrics.ts';
import { createLoop } from '../std/loop.ts';
import { AdminApi, type Deed } from './api.ts';
import { adminLimits } from './limits.ts';
import { listenForOperators } from './listen.ts';
import type { Proof } from './proof.ts';
import { type AdminRequest, type AdminRoute, Problem } from './route.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const PROOF: Proof = {
  asker: { name: 'ann', role: 'operate', by: 'token' },
  csrf: '',
  standing: { name: 'ann', role: () => 'operate' },
  stands: () => true,
};

async function serve(routes: readonly AdminRoute[]): Promise<{ port: number; done: Deed[]; defects: unknown[] }> {
  const [loop, nothing] = [createLoop(), undefined];
  const done: Deed[] = [];
  const defects: unknown[] = [];
  const prove = (head: AdminRequest['head']): Proof | null => {
    const found = /^Bearer right(?:-(\w+))?$/.exec(head.get('authorization') ?? '');
    return found === null ? null : { ...PROOF, asker: { ...PROOF.asker, name: found[1] ?? PROOF.asker.name } };
  };
  const api = new AdminApi({ loop, routes, prove, done: (deed) => done.push(deed), defect: (error) => defects.push(error) });
  const console = { isOn: () => true, open: (head: AdminRequest['head'], reply: never) => api.open(head, head.path, '', reply) };
  const ready = { ok: true, detail: {} };
  const listener = await listenForOperators(loop, { host: '127.0.0.1', port: 0 }, new Registry(), () => ready, nothing, nothing, nothing, console);
  ends.push(() => listener.close());
  return { port: listener.address.port, done, defects };
}

const route = (method: AdminRoute['method'], path: string, handle: AdminRoute['handle'], more: Partial<AdminRoute> = {}): AdminRoute => ({
  method,
  path,
  role: 'operate',
  summary: 'x',
  handle,
  ...more,
});

const as = (body?: string, more: http.OutgoingHttpHeaders = {}) => ({
  headers: { Authorization: 'Bearer right', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...more },
  ...(body === undefined ? {} : { body }),
});

const codeOf = (text: string): string => (JSON.parse(text) as { code: string }).code;

test('strangers are told nothing of what there is: not which paths, and not which methods', async () => {
  const { port } = await serve([route('GET', '/known', () => ({ json: 1 }))]);
  for (const [method, path] of [
    ['GET', '/known'],
    ['DELETE', '/known'],
    ['GET', '/unknown'],
    ['OPTIONS', '/known'],
  ] as const) {
    const { status, headers, text } = await ask(port, { method, path });
    expect([method, path, status, headers['www-authenticate'], codeOf(text)]).toEqual([method, path, 401, 'Bearer realm="windlass"', 'unauthorized']);
  }
});

test('who is known is told what is wrong: path, method, role, body, in problem+json', async () => {
  const { port, done } = await serve([
    route('GET', '/x', () => ({ json: 1 })),
    route('POST', '/x', () => ({ json: 1 }), { body: { type: 'object', required: ['a'], properties: { a: { type: 'number' } } } }),
    route('DELETE', '/x/{id}', () => ({ json: 1 }), { role: 'admin' }),
    route('PUT', '/text', ({ body }) => ({ json: body }), { body: 'text' }),
  ]);
  const told = async (method: string, path: string, of: ReturnType<typeof as>): Promise<string> => {
    const { status, headers, text } = await ask(port, { method, path, ...of });
    expect(status < 400 || headers['content-type'] === 'application/problem+json').toBe(true);
    return `${status} ${status < 400 ? text.trim() : `${codeOf(text)} ${headers.allow ?? ''}`.trim()}`;
  };
  expect(await told('GET', '/y', as())).toBe('404 not_found');
  expect(await told('PUT', '/x', as())).toBe('405 method_not_allowed GET, HEAD, POST');
  expect(await told('DELETE', '/x/7', as())).toBe('403 forbidden');
  expect(await told('POST', '/x', as())).toBe('422 invalid');
  expect(await told('POST', '/x', as('{'))).toBe('400 bad_body');
  expect(await told('POST', '/x', as('{"a":1,"a":2}'))).toBe('400 bad_body');
  expect(await told('POST', '/x', as('{"a":"1"}'))).toBe('422 invalid');
  expect(await told('POST', '/x', as('{"a":1}', { 'Content-Type': 'text/plain' }))).toBe('415 unsupported');
  expect(await told('POST', '/x', as('{"a":1}', { 'Content-Encoding': 'gzip' }))).toBe('415 unsupported');
  expect(await told('POST', '/x', as('{"a":1}', { 'Content-Type': 'application/json; charset=utf-8' }))).toBe('200 1');
  expect(await told('GET', '/x', as('{}', { 'Content-Length': '2' }))).toBe('422 invalid');
  expect(await told('PUT', '/text', as('a = 1', { 'Content-Type': 'application/toml' }))).toBe('200 "a = 1"');
  expect(await told('PUT', '/text', as('a=1', { 'Content-Type': 'application/x-www-form-urlencoded' }))).toBe('415 unsupported');
  const { text } = await ask(port, { method: 'POST', path: '/x', ...as('{"a":"1","b":2}') });
  expect(JSON.parse(text)).toMatchObject({
    status: 422,
    detail: 'a must be a number.',
    problems: [
      { at: '/a', message: 'must be a number' },
      { at: '/b', message: 'is not known here; there is a' },
    ],
  });
  // What was refused at the door is in the audit log only when it was known who did it, and it was to change something.
  expect(done.filter(({ action }) => action.startsWith('DELETE'))).toEqual([
    { asker: PROOF.asker, address: '127.0.0.1', action: 'DELETE /x/{id}', subject: '7', status: 403, detail: '(forbidden)' },
  ]);
  expect(done.some(({ action }) => action.startsWith('GET'))).toBe(false);
});

test('a body beyond the bound is refused, whether its length is said or not [threat 60]', async () => {
  const { port } = await serve([route('POST', '/x', ({ body }) => ({ json: (body as { a: string }).a.length }), { body: { type: 'object' } })]);
  const most = JSON.stringify({ a: 'x'.repeat(adminLimits.bodyBytes - 8) });
  expect((await ask(port, { method: 'POST', path: '/x', ...as(most) })).text).toBe(`${adminLimits.bodyBytes - 8}\n`);
  const more = `${most} `;
  for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
    const { status } = await ask(port, { method: 'POST', path: '/x', ...as(more, headers) });
    expect(status).toBe(413);
  }
});

test('who has not shown who it is may send no more than a name and a password take [threat 60]', async () => {
  const { port } = await serve([route('POST', '/in', () => ({ json: 'heard' }), { body: { type: 'object' }, role: 'anybody' })]);
  const send = async (bytes: number, headers: http.OutgoingHttpHeaders = {}): Promise<number> => {
    const body = JSON.stringify({ a: 'x'.repeat(bytes - 8) });
    return (await ask(port, { method: 'POST', path: '/in', body, headers: { 'Content-Type': 'application/json', ...headers } })).status;
  };
  expect(await send(adminLimits.strangerBodyBytes)).toBe(200);
  expect(await send(adminLimits.strangerBodyBytes + 1)).toBe(413);
  expect(await send(adminLimits.strangerBodyBytes + 1, { 'Transfer-Encoding': 'chunked' })).toBe(413);
});

test('ETags: what has not changed is not sent again, and If-Match comes to the route as it was given', async () => {
  const { port } = await serve([
    route('GET', '/x', () => ({ json: 1, etag: 'v1' })),
    route('POST', '/x', ({ ifMatch }) => {
      if (ifMatch !== 'v1') throw new Problem(412, 'changed', 'Somebody else was quicker.', { etag: 'v1' });
      return { json: ifMatch };
    }),
  ]);
  const first = await ask(port, { path: '/x', ...as() });
  expect(first.headers.etag).toBe('"v1"');
  expect(await ask(port, { path: '/x', ...as(undefined, { 'If-None-Match': '"v1"' }) })).toMatchObject({ status: 304, text: '' });
  expect((await ask(port, { path: '/x', ...as(undefined, { 'If-None-Match': '"v0"' }) })).status).toBe(200);
  expect((await ask(port, { method: 'POST', path: '/x', ...as(undefined, { 'If-Match': '"v1"' }) })).status).toBe(200);
  const stale = await ask(port, { method: 'POST', path: '/x', ...as(undefined, { 'If-Match': '"v0"' }) });
  expect(JSON.parse(stale.text)).toMatchObject({ status: 412, code: 'changed', etag: 'v1' });
});

test('HEAD is GET without its body; what waits says how long; a defect of ours is told apart and tells nothing [threat 63]', async () => {
  const { port, defects } = await serve([
    route('GET', '/x', () => ({ json: { name: '</script>\u2028é' } })),
    route('GET', '/wait', () => {
      throw new Problem(429, 'slow_down', 'Not now.', { retryAfterS: 1.2 });
    }),
    route('GET', '/defect', () => Promise.reject(new Error('canary'))),
  ]);
  const head = await ask(port, { method: 'HEAD', path: '/x', ...as() });
  const get = await ask(port, { path: '/x', ...as() });
  expect([head.status, head.headers['content-length'], head.text]).toEqual([200, String(get.body.length), '']);
  expect(get.text).toBe('{"name":"\\u003c/script\\u003e\\u2028\\u00e9"}\n');
  expect((await ask(port, { path: '/wait', ...as() })).headers['retry-after']).toBe('2');
  const defect = await ask(port, { path: '/defect', ...as() });
  expect([defect.status, defect.text.includes('canary'), (defects[0] as Error).message]).toEqual([500, false, 'canary']);
});

test('a client that leaves while a route works harms nobody, and event streams are counted', async () => {
  let go = (): void => {};
  let asked = (): void => {};
  const waiting = new Promise<void>((resolve) => (asked = resolve));
  let left = 0;
  let gone = (): void => {};
  const { port } = await serve([
    route('GET', '/slow', async () => {
      asked();
      await new Promise<void>((resolve) => (go = resolve));
      return { json: 1 };
    }),
    route('GET', '/events', () => ({
      events: (out) => {
        out.send('hello', {});
        return () => {
          left++;
          gone();
        };
      },
    })),
  ]);
  const slow = http.get({ port, host: '127.0.0.1', path: '/slow', ...as(), agent: false }).on('error', () => {});
  await waiting;
  slow.destroy();
  go();
  const open = (name: string): Promise<http.IncomingMessage> =>
    new Promise((resolve, reject) => {
      const { headers } = as(undefined, { Authorization: `Bearer right-${name}` });
      http.get({ port, host: '127.0.0.1', path: '/events', headers, agent: false }, resolve).on('error', reject);
    });
  const { eventStreams, eventStreamsOfOne } = adminLimits;
  const streams: http.IncomingMessage[] = [];
  // Nobody takes them all.
  for (let i = 0; i < eventStreamsOfOne; i++) streams.push(await open('greedy'));
  const more = await open('greedy');
  expect(more.statusCode).toBe(503);
  more.resume();
  while (streams.length < eventStreams) streams.push(await open(`n${streams.length}`));
  expect(streams.every(({ statusCode }) => statusCode === 200)).toBe(true);
  const one = await open('late');
  expect(one.statusCode).toBe(503);
  one.resume();
  const away = new Promise<void>((resolve) => (gone = resolve));
  // Who only says that nothing more comes from there may still read; this one is gone.
  streams[0]!.socket.resetAndDestroy();
  await away;
  expect(left).toBe(1);
  const again = await open('greedy');
  expect(again.statusCode).toBe(200);
  for (const stream of [again, ...streams]) stream.destroy();
});
