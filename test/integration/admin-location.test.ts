import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SessionInfo } from '../../src/admin/model.ts';
import { ask } from '../kit/ask.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { cheapHash } from '../kit/password.ts';
import { Visitor } from '../kit/visitor.ts';

const tools = kit();

const PASSWORD = 'open sesame';
const HASH = cheapHash(PASSWORD);
const alice = { user: 'alice', password: PASSWORD };

const FILE = `[admins.alice]
role = "admin"
password = "${HASH}"
[servers.main]
addr = "127.0.0.1:0"
locations = ["ops", "all"]
[locations.ops]
path = "/ops"
plugins = ["console"]
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:9"]
[plugins.console]
category = "admin"
`;

function start(text = FILE): Promise<TestGateway> {
  return startGatewayOf(tools, text, { stateDir: join(tools.folder(), 'state') });
}

test('plugin admin puts the console at a location: a browser logs in under its path, works there, and its cookie goes nowhere else', async () => {
  const port = (await start()).port();
  const bare = await ask(port, { path: '/ops' });
  expect([bare.status, bare.headers.location]).toEqual([308, '/ops/']);
  const page = new Visitor(port, '/ops');
  const first = await page.ask('GET', '/');
  expect([first.status, first.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  expect((await page.ask('GET', '/api/v1/session')).status).toBe(401);
  expect(await page.enter('/session', alice)).toBe(200);
  expect(page.cookies.get('windlass_session')!.flags).toBe('Path=/ops/; HttpOnly; SameSite=Strict');
  expect(JSON.parse((await page.ask('GET', '/api/v1/session')).text) as SessionInfo).toMatchObject({ user: 'alice', role: 'admin', by: 'session' });
  const made = await page.ask('POST', '/api/v1/tokens', { name: 'x'.repeat(100), role: 'read' });
  expect(made.status).toBe(201);
  const { token } = JSON.parse(made.text) as { token: string };
  const asked = { path: '/ops/api/v1/info', headers: { Authorization: `Bearer ${token}` } };
  expect((await ask(port, asked)).status).toBe(200);
  const link = JSON.parse((await page.ask('POST', '/api/v1/session/tickets')).text) as { url: string };
  expect(link.url).toMatch(`http://127.0.0.1:${port}/ops/#ticket=`);
  const openapi = JSON.parse((await ask(port, { path: '/ops/api/v1/openapi.json' })).text) as { servers: { url: string }[] };
  expect(openapi.servers).toEqual([{ url: '/ops/api/v1' }]);
  // What merely begins like it is not it.
  expect((await ask(port, { path: '/opsx/api/v1/openapi.json' })).status).toBe(404);
  expect((await page.ask('DELETE', '/api/v1/session')).status).toBe(204);
  expect(page.cookies.size).toBe(0);
});

test('at a location, too, changes need the header and the page must be ours [threat 67]', async () => {
  const port = (await start()).port();
  const page = new Visitor(port, '/ops');
  await page.enter('/session', alice);
  for (const more of [{ 'Windlass-CSRF': '' }, { Origin: 'http://evil.example' }])
    expect((await page.ask('POST', '/api/v1/tokens', { name: 'x', role: 'read' }, more)).status).toBe(403);
  const rebound = new Visitor(port, '/ops', 'evil.example');
  expect(await rebound.enter('/session', alice)).toBe(421);
});

test('a location that names its hosts answers under them; the plugin and console_hosts name more for others', async () => {
  const named = (await start(FILE.replace('path = "/ops"', 'path = "/ops"\nhost = "ops.example.com"'))).port();
  expect(await new Visitor(named, '/ops', 'ops.example.com').enter('/session', alice)).toBe(200);
  const listed = (await start(FILE.replace('category = "admin"', 'category = "admin"\nhosts = ["ops.example.com"]'))).port();
  expect(await new Visitor(listed, '/ops', 'ops.example.com').enter('/session', alice)).toBe(200);
  expect(await new Visitor(listed, '/ops', 'other.example.com').enter('/session', alice)).toBe(421);
});

test('what stands before it in the list is asked first: who has not the password of the location sees no console', async () => {
  const before = FILE.replace('plugins = ["console"]', 'plugins = ["gate", "console"]');
  const port = (await start(`${before}[plugins.gate]\ncategory = "basic_auth"\nusers = ["door:${HASH}"]\n`)).port();
  expect((await ask(port, { path: '/ops/' })).status).toBe(401);
  const page = new Visitor(port, '/ops');
  const basic = { Authorization: `Basic ${Buffer.from(`door:${PASSWORD}`).toString('base64')}` };
  expect((await page.ask('GET', '/', undefined, basic)).status).toBe(200);
  expect((await page.ask('POST', '/api/v1/session', alice, basic)).status).toBe(200);
  expect((await page.ask('GET', '/api/v1/session', undefined, basic)).status).toBe(200);
});

test("users in the clear, as Pingap's plugin has them, are refused with what to do instead", async () => {
  const clear = FILE.replace('category = "admin"', 'category = "admin"\nauthorizations = ["Y2FuYXJ5OmNhbmFyeQ=="]');
  const error: unknown = await start(clear).catch((reason: unknown) => reason);
  expect((error as { lines: readonly string[] }).lines).toEqual([expect.stringMatching(/authorizations.*write \[admins\.NAME\]/)]);
  expect(String((error as { lines: readonly string[] }).lines)).not.toContain('Y2Fu');
});

test('over TLS the cookie never goes without it [threat 66]', async () => {
  const gateway = await start(FILE.replace('locations = ["ops", "all"]', 'locations = ["ops", "all"]\nself_signed = true'));
  const body = JSON.stringify(alice);
  const options = {
    host: '127.0.0.1',
    port: gateway.port(),
    method: 'POST',
    path: '/ops/api/v1/session',
    headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
    ca: readFileSync(gateway.developmentCa!),
    servername: 'localhost',
    agent: false,
  };
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => https.request(options, resolve).on('error', reject).end(body));
  response.resume();
  expect(response.statusCode).toBe(200);
  expect(response.headers['set-cookie']).toEqual([
    expect.stringMatching(/^windlass_session=[\w-]{43}; Path=\/ops\/; HttpOnly; SameSite=Strict; Secure$/),
  ]);
});

test('an event stream passes through a location, and ends when its session does', async () => {
  const port = (await start()).port();
  const page = new Visitor(port, '/ops');
  await page.enter('/session', alice);
  const cookie = `windlass_session=${page.cookies.get('windlass_session')!.value}`;
  const request = http.get({ host: '127.0.0.1', port, path: '/ops/api/v1/events', headers: { Cookie: cookie }, agent: false });
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => request.on('response', resolve).on('error', reject));
  expect([response.statusCode, response.headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8']);
  let text = '';
  let tick = (): void => {};
  const ticked = new Promise<void>((resolve) => (tick = resolve));
  response.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    if (text.includes('event: tick\n')) tick();
  });
  const ended = new Promise<void>((resolve) => response.on('close', resolve));
  await ticked;
  expect((await page.ask('DELETE', '/api/v1/session')).status).toBe(204);
  await ended;
  expect(response.complete).toBe(true);
});

test('a large body is taken, and one that is too large is not [threat 60]', async () => {
  const port = (await start()).port();
  const page = new Visitor(port, '/ops');
  await page.enter('/session', alice);
  const large = await page.ask('POST', '/api/v1/tokens', { name: 'x'.repeat(1024 * 1024), role: 'read' });
  expect([large.status, JSON.parse(large.text).detail]).toEqual([422, 'name is longer than 128 characters.']);
  const expected = await page.ask('POST', '/api/v1/tokens', { name: 'waits', role: 'read' }, { Expect: '100-continue' });
  expect(expected.status).toBe(201);
  const most = { name: 'x'.repeat(3 * 1024 * 1024), role: 'read' };
  for (const more of [{}, { 'Transfer-Encoding': 'chunked' }]) expect((await page.ask('POST', '/api/v1/tokens', most, more)).status).toBe(413);
});
