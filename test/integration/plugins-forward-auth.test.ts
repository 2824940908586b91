import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { handshake, startSocketOrigin } from '../kit/handshake.ts';
import type { Answerer, HttpOrigin } from '../kit/http-origin.ts';
import { kit } from '../kit/kit.ts';
import { valuesOf } from '../kit/answer.ts';
import { PLUGIN_MS } from '../../src/proxy/limits.ts';
import { until } from '../kit/until.ts';

const made = kit();

async function behind(settings: string, answer: Answerer) {
  const origin = await startSocketOrigin(made);
  const service = await made.startOrigin(answer);
  const file = fileFor(origin, service, settings);
  const gateway = await startGatewayOf(made, file);
  return { origin, service, gateway, file, port: gateway.port() };
}

function fileFor(origin: HttpOrigin, service: { readonly port: number }, settings: string, more = ''): string {
  const url = `http://127.0.0.1:${service.port}/verify?from=windlass`;
  return fileWithPlugins(origin.port, `[plugins.auth]\ncategory = "forward_auth"\nauth_url = "${url}"\n${settings}\n`, more);
}

/** Says yes to who has the right key. */
const byKey: Answerer = (request, response) => {
  if (request.headers['x-key'] === 'k') response.writeHead(200, { 'X-User': 'ann', 'X-Role': 'reader' });
  else response.writeHead(302, { Location: 'https://login.example/?back=1', 'Set-Cookie': ['a=1', 'b=2'], 'X-Hop': 'h', Connection: 'X-Hop' });
  response.end(request.headers['x-key'] === 'k' ? '' : '<a href="/login">log in</a>');
};

test('forward_auth asks with GET and says what is asked for; a yes goes on with what it adds', async () => {
  const { origin, service, port } = await behind('add_headers = ["X-User", "X-Group"]', byKey);
  const headers = {
    'X-Key': 'k',
    'X-User': 'root',
    'X-Group': 'wheel',
    Cookie: 'c=1',
    'X-Forwarded-Method': 'GET',
    'X-Forwarded-Uri': '/harmless',
    'X-Forwarded-For': '6.6.6.6',
    'If-None-Match': '*',
    Range: 'bytes=0-1',
    'Content-Type': 'text/plain',
  };
  const answer = await ask(port, { method: 'PUT', path: '/a%2Fb?c=%20', headers, body: 'the body' });
  expect([answer.status, answer.text]).toEqual([200, 'ok']);
  const asked = service.only;
  expect([asked.method, asked.url, asked.body]).toEqual(['GET', '/verify?from=windlass', '']);
  expect(asked.headers).toMatchObject({
    host: `127.0.0.1:${service.port}`,
    'x-forwarded-method': 'PUT',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': `127.0.0.1:${port}`,
    'x-forwarded-uri': '/a%2Fb?c=%20',
    'x-forwarded-for': '127.0.0.1',
    cookie: 'c=1',
  });
  expect(['content-length', 'transfer-encoding', 'if-none-match', 'range', 'x-user'].map((name) => asked.headers[name])).toEqual(
    Array(5).fill(undefined),
  );
  expect([origin.only.headers['x-user'], origin.only.headers['x-group'], origin.only.headers['x-role']]).toEqual(['ann', undefined, undefined]);
  expect([origin.only.body, origin.only.headers['if-none-match']]).toEqual(['the body', '*']);
});

test('forward_auth gives the client what the service says when it is no yes, and the upstream hears nothing', async () => {
  const { origin, port } = await behind('', byKey);
  const client = await made.rawClient({ port });
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const { status, fields, body } = await client.answer();
  expect([status, body.toString()]).toEqual([302, '<a href="/login">log in</a>']);
  expect(valuesOf(fields, 'location')).toEqual(['https://login.example/?back=1']);
  expect(valuesOf(fields, 'set-cookie')).toEqual(['a=1', 'b=2']);
  expect(valuesOf(fields, 'x-hop')).toEqual([]);
  expect(valuesOf(fields, 'date').length).toBe(1);
  expect(await handshake(made, port)).toBe(302);
  expect(await handshake(made, port, { 'X-Key': 'k' })).toBe(101);
  expect(origin.requests.length).toBe(0);
});

test.each([401, 403, 404, 429, 500, 503, 304])('a %i of the service reaches the client', async (status) => {
  const { origin, port } = await behind('', (_request, response) =>
    response.writeHead(status, { 'X-Why': 'because' }).end(status === 304 ? '' : 'no'),
  );
  const answer = await ask(port);
  expect([answer.status, answer.headers['x-why'], answer.text]).toEqual([status, 'because', status === 304 ? '' : 'no']);
  expect(origin.requests.length).toBe(0);
});

test('forward_auth shows the service no more than it is told to', async () => {
  const { service, port } = await behind('request_headers = ["X-Key", "Cookie"]', byKey);
  await ask(port, { headers: { 'X-Key': 'k', Cookie: 'a=1', Authorization: 'Bearer canary', 'User-Agent': 'canary' } });
  expect(service.only.headers).toMatchObject({ 'x-key': 'k', cookie: 'a=1' });
  expect(JSON.stringify(service.only.rawHeaders)).not.toContain('canary');
});

test('nobody passes while the service is down, or says what is no answer', async () => {
  let how = 'cut';
  const { origin, service, gateway, port } = await behind('', (request, response) => {
    if (how === 'cut') request.socket.destroy();
    else if (how === 'half') {
      response.writeHead(200, { 'Content-Length': '10' });
      response.write('x', () => request.socket.destroy());
    } else if (how === 'switch') response.writeHead(101).end();
    else if (how === 'upgrade') request.socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    else response.writeHead(403).end('x'.repeat(300_000));
  });
  for (how of ['cut', 'half', 'upgrade', 'switch', 'giant']) expect([how, (await ask(port)).status]).toEqual([how, 502]);
  await service.close();
  expect((await ask(port)).status).toBe(502);
  expect(origin.requests.length).toBe(0);
  // Once each time that it breaks.
  const told = gateway.log.lines.filter(({ message }) => message.includes('auth_url')).map(({ fields }) => fields);
  expect(told).toEqual([{ reason: 'socket hang up' }, { reason: 'it answered more than 262144 bytes' }]);
  expect(gateway.log.at('error')).toEqual([]);
});

test('nobody passes while the service takes too long', async () => {
  const { origin, service, port } = await behind('timeout = "100ms"', () => {});
  expect((await ask(port)).status).toBe(504);
  expect([service.requests.length, origin.requests.length]).toEqual([1, 0]);
});

test('forward_auth keeps its connection, and asks once more when the service has closed it at that moment', async () => {
  const { service, port } = await behind('', byKey);
  const headers = { 'X-Key': 'k' };
  for (let i = 0; i < 3; i++) await ask(port, { headers });
  expect(service.connections).toBe(1);
  const before = service.requests.length;
  let cut = true;
  service.server.removeAllListeners('request');
  service.server.on('request', (request, response) => {
    if (cut) {
      cut = false;
      (request.socket as Socket).resetAndDestroy();
    } else byKey(request, response, undefined as never);
  });
  expect((await ask(port, { headers })).status).toBe(200);
  expect([cut, before, service.connections]).toEqual([false, 3, 2]);
});

test('a service that is reached through the location that asks it ends as a loop', async () => {
  const { origin, gateway, port } = await behind('', byKey);
  await gateway.change(fileFor(origin, { port }, 'request_headers = ["Cookie"]'));
  expect((await ask(port)).status).toBe(508);
  expect(origin.requests.length).toBe(0);
});

test('a header that the service adds twice goes on as one, in the place of those of the client', async () => {
  const { origin, port } = await behind('add_headers = ["X-User"]', (_request, response) => {
    response.writeHead(204, { 'X-User': ['ann', 'bob'] });
    response.end();
  });
  await ask(port, { headers: { 'X-User': ['root', 'root'] } });
  expect(origin.only.headers['x-user']).toBe('ann, bob');
  expect(origin.only.rawHeaders.filter((name) => name.toLowerCase() === 'x-user').length).toBe(1);
});

test('a reload that leaves forward_auth alone keeps its connection; one that removes it closes it', async () => {
  const { origin, service, gateway, port } = await behind('', byKey);
  const headers = { 'X-Key': 'k' };
  await ask(port, { headers });
  await gateway.change(fileFor(origin, service, '', 'timeout = "9s"'));
  await ask(port, { headers });
  expect(service.connections).toBe(1);
  await gateway.change(fileWithPlugins(origin.port, ''));
  await until('the connection to be closed', () => (service.open === 0 ? true : null));
  expect((await ask(port)).status).toBe(200);
});

test.each([
  ['', 'needs auth_url'],
  ['auth_url = "127.0.0.1:9000"', 'is no address'],
  ['auth_url = "http://u:canary@a/"', 'leave the user out'],
  ['auth_url = "http://a/"\nadd_headers = ["Host"]', 'a meaning of its own'],
  ['auth_url = "http://a/"\ntimeout = "1h"', 'is too long'],
])('forward_auth with %j is refused', async (settings, said) => {
  const file = fileWithPlugins(1, `[plugins.auth]\ncategory = "forward_auth"\n${settings}\n`);
  const error = await startGatewayOf(made, file).catch((wrong: unknown) => wrong);
  expect((error as { lines: string[] }).lines.join('\n')).toContain(said);
  expect((error as { lines: string[] }).lines.join('\n')).not.toContain('canary');
});

test('the example on the page of forward_auth runs', async () => {
  const page = readFileSync(new URL('../../docs/plugins/forward-auth.md', import.meta.url), 'utf8');
  const service = await made.startOrigin((_request, response) => response.writeHead(403).end('no'));
  const example = /^```toml\n([^]*?)^```$/m
    .exec(page)![1]!
    .replace('0.0.0.0:8080', '127.0.0.1:0')
    .replace('127.0.0.1:9000', `127.0.0.1:${service.port}`);
  const gateway = await startGatewayOf(made, example);
  expect(gateway.warnings).toEqual([]);
  expect((await ask(gateway.port())).text).toBe('no');
});

test('no plugin makes a request wait longer than half a minute, whoever it asks', { timeout: 30_000 }, async () => {
  const clock = { aheadMs: 0, now: () => performance.now() + clock.aheadMs, wall: () => Date.now() };
  const origin = await startSocketOrigin(made);
  const service = await made.startOrigin(() => {});
  const gateway = await startGatewayOf(made, fileFor(origin, service, 'timeout = "25s"'), { clock });
  let isOver = false;
  const answer = ask(gateway.port()).finally(() => (isOver = true));
  await until('the question', () => service.requests.length === 1);
  // What is less than that by more than a slow machine takes is no reason to give up.
  clock.aheadMs = PLUGIN_MS - 10_000;
  await ask(gateway.adminAddress!.port, { path: '/healthz' });
  expect(isOver).toBe(false);
  clock.aheadMs = PLUGIN_MS;
  const { status, text } = await answer;
  expect([status, text]).toEqual([500, expect.stringContaining('a plugin took too long')]);
  expect(origin.requests).toHaveLength(0);
});
