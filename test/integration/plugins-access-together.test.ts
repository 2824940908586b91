import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { scryptSync } from 'node:crypto';
import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { handshake, startSocketOrigin } from '../kit/handshake.ts';
import { kit, metric } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();

const SECRET = 'a secret of thirty-two bytes canary';
const TOKEN = await new SignJWT({ sub: 'ann' }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET));

/** As slow as a real one. */
function hashed(user: string, password: string): string {
  const plain = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');
  const salt = Buffer.from('salt salt salt');
  const hash = scryptSync(password, salt, 32, { N: 2 ** 14, r: 8, p: 1, maxmem: 2 ** 26 });
  return `${user}:$scrypt$ln=14,r=8,p=1$${plain(salt)}$${plain(hash)}`;
}

const basic = (user: string, password: string) => ({ Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` });
const BASIC = `[plugins.people]\ncategory = "basic_auth"\nhide_credentials = true\nusers = ["${hashed('ann', 'right-canary')}"]\n`;
const KEY = '[plugins.programs]\ncategory = "key_auth"\nheader = "X-Key"\nhide_credentials = true\nkeys = ["one-canary", "two-canary"]\n';
const JWT = `[plugins.tokens]\ncategory = "jwt"\ncookie = "jwt"\nclaim_headers = "sub: X-User"\nsecret = "${SECRET}"\n`;
const CORS = '[plugins.sites]\ncategory = "cors"\nallow_origin = "https://app.example"\nallow_credentials = true\n';

test('several guards in a row: each is asked, those behind one that says no are not, and the answer passes those before it', async () => {
  const origin = await made.startOrigin();
  const sections = `${CORS}[plugins.id]\ncategory = "request_id"\n${BASIC}${KEY}${JWT}`;
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, sections));
  const port = gateway.port();
  const all = { Origin: 'https://app.example', ...basic('ann', 'right-canary'), 'X-Key': 'two-canary', Cookie: `jwt=${TOKEN}` };
  const right = await ask(port, { method: 'POST', headers: all, body: 'x'.repeat(300_000) });
  expect([right.status, right.headers['access-control-allow-origin']]).toEqual([200, 'https://app.example']);
  const seen = origin.only;
  expect([seen.bytes, seen.headers['x-user'], seen.headers.authorization, seen.headers['x-key']]).toEqual([300_000, 'ann', undefined, undefined]);
  expect(seen.headers['x-request-id']).toBe(right.headers['x-request-id']);
  const said: string[] = [];
  for (const without of ['Authorization', 'X-Key', 'Cookie']) {
    const headers = Object.fromEntries(Object.entries(all).filter(([name]) => name !== without));
    const answer = await ask(port, { method: 'POST', headers, body: 'x'.repeat(300_000) });
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([401, 'https://app.example']);
    expect(answer.headers['x-request-id']).toBeDefined();
    said.push(answer.text.trim());
  }
  expect(said).toEqual(['Authorization is missing', 'Key missing', 'Token is missing']);
  const preflight = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST' };
  expect((await ask(port, { method: 'OPTIONS', headers: preflight })).status).toBe(204);
  expect(origin.requests.length).toBe(1);
});

test('a WebSocket that is open stays open when its key is taken back; nobody opens another with it', async () => {
  const sockets: Socket[] = [];
  const origin = await made.startOrigin();
  origin.server.on('upgrade', (_request, socket: Socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n',
    );
    socket.on('data', (chunk: Buffer) => socket.write(chunk));
  });
  const file = fileWithPlugins(origin.port, CORS + KEY + JWT);
  const gateway = await startGatewayOf(made, file);
  const port = gateway.port();
  const fields = { 'X-Key': 'one-canary', Cookie: `jwt=${TOKEN}`, Origin: 'https://app.example' };
  const client = await made.rawClient({ port });
  const lines = Object.entries({ Host: 'a', Connection: 'Upgrade', Upgrade: 'websocket', ...fields }).map(([name, value]) => `${name}: ${value}\r\n`);
  client.send(`GET / HTTP/1.1\r\n${lines.join('')}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);
  await client.until(() => client.text.includes('\r\n\r\n'));
  expect(client.text).toMatch(/^HTTP\/1\.1 101 /);
  await gateway.change(file.replace('"one-canary", ', ''));
  client.send('still here');
  await client.until(() => client.text.endsWith('still here'));
  expect(await handshake(made, port, fields)).toBe(401);
  expect(await handshake(made, port, { ...fields, 'X-Key': 'two-canary' })).toBe(101);
  for (const missing of ['X-Key', 'Cookie'])
    expect(
      await handshake(made, port, Object.fromEntries(Object.entries({ ...fields, 'X-Key': 'two-canary' }).filter(([name]) => name !== missing))),
    ).toBe(401);
  expect(sockets.length).toBe(2);
});

test('a file that cannot be used leaves every guard as it was', async () => {
  const origin = await startSocketOrigin(made);
  const file = fileWithPlugins(origin.port, KEY + JWT);
  const gateway = await startGatewayOf(made, file);
  const port = gateway.port();
  for (const broken of [
    file.replace(`secret = "${SECRET}"`, ''),
    file.replace('header = "X-Key"', ''),
    file.replace('category = "jwt"', 'category = "jtw"'),
  ]) {
    await gateway.change(broken);
    expect((await ask(port)).status).toBe(401);
    expect((await ask(port, { headers: { 'X-Key': 'one-canary' } })).text).toBe('Token is missing\n');
    expect((await ask(port, { headers: { 'X-Key': 'one-canary', Cookie: `jwt=${TOKEN}` } })).status).toBe(200);
    expect(await handshake(made, port)).toBe(401);
  }
  expect(gateway.log.at('error').filter((line) => line.includes('the old one serves on')).length).toBe(3);
});

test('while a password is looked at, the body waits, 100 Continue is not said, and a client that leaves costs nobody anything', async () => {
  const origin = await made.startOrigin();
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, BASIC));
  const port = gateway.port();
  const head = (password: string) =>
    `POST / HTTP/1.1\r\nHost: a\r\nAuthorization: ${basic('ann', password).Authorization}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
  const stranger = await made.rawClient({ port });
  stranger.send(head('wrong'));
  expect((await stranger.answer()).status).toBe(401);
  expect(stranger.text).not.toContain('100 Continue');
  const gone = await made.rawClient({ port });
  gone.send(head('right-canary'));
  await until('the request to be inside', async () => ((await metric(gateway, 'windlass_requests_in_flight')) > 0 ? true : null));
  gone.reset();
  await until('it to be over', async () => ((await metric(gateway, 'windlass_requests_in_flight')) === 0 ? true : null));
  const friend = await made.rawClient({ port });
  friend.send(head('right-canary'));
  await friend.until(() => friend.text.includes('100 Continue'));
  friend.send('hello');
  await friend.until(() => friend.text.includes('200 OK'));
  expect(origin.requests.at(-1)!.body).toBe('hello');
});

test('a guard stands before a cache: what is kept is only for those whom it lets in', async () => {
  const origin = await made.startOrigin((_request, response) => {
    response.setHeader('Cache-Control', 'public, max-age=60');
    response.end('kept');
  });
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, `${KEY}[plugins.kept]\ncategory = "cache"\n`));
  const port = gateway.port();
  for (let i = 0; i < 3; i++) expect((await ask(port, { headers: { 'X-Key': 'one-canary' } })).text).toBe('kept');
  expect((await ask(port)).status).toBe(401);
  expect((await ask(port, { headers: { 'X-Key': 'none' } })).status).toBe(401);
  expect(origin.requests.length).toBe(1);
});

test.each([
  ['max-age=60', 2],
  ['public, max-age=60', 1],
])(
  '[threat 74] an answer to one whom a guard names to the upstream is not kept for others, unless it says that it may be: %s',
  async (control, asked) => {
    const origin = await made.startOrigin((request, response) => {
      response.setHeader('Cache-Control', control);
      response.end(`for ${request.headers['x-user'] as string}`);
    });
    const service = await made.startOrigin((request, response) => response.writeHead(204, { 'X-User': request.headers['x-name'] }).end());
    const other = await new SignJWT({ sub: 'bob' }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET));
    const FORWARD = `[plugins.service]\ncategory = "forward_auth"\nadd_headers = ["X-User"]\nauth_url = "http://127.0.0.1:${service.port}/"\n`;
    for (const [guard, ann, bob] of [
      [JWT, { Cookie: `jwt=${TOKEN}` }, { Cookie: `jwt=${other}` }],
      [FORWARD, { 'X-Name': 'ann' }, { 'X-Name': 'bob' }],
    ] as const) {
      origin.requests.length = 0;
      const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, `${guard}[plugins.kept]\ncategory = "cache"\n`));
      expect((await ask(gateway.port(), { headers: ann })).text).toBe('for ann');
      expect((await ask(gateway.port(), { headers: bob })).text).toBe(asked === 2 ? 'for bob' : 'for ann');
      expect(origin.requests.length).toBe(asked);
    }
  },
);

test('[threat 62] no guard leaves a secret in a log, whatever comes', async () => {
  const path = join(made.folder(), 'access.log');
  const origin = await made.startOrigin();
  const service = await made.startOrigin((_request, response) => response.writeHead(403).end());
  const sections = `[plugins.people]\ncategory = "basic_auth"\nusers = ["${hashed('ann', 'right-canary')}"]
[plugins.programs]\ncategory = "key_auth"\nquery = "api_key"\nkeys = ["one-canary"]
${JWT}[plugins.service]\ncategory = "forward_auth"\nauth_url = "http://127.0.0.1:${service.port}/?canary"\n`;
  const log = `access_log = "${path} {remote} {method} {uri} {status} {>authorization} {>cookie} {referer}"`;
  const file = fileWithPlugins(origin.port, sections).replace('[servers.main]', `[servers.main]\n${log}`);
  const gateway = await startGatewayOf(made, file);
  const port = gateway.port();
  const people = basic('ann', 'right-canary');
  const cookie = { Cookie: `jwt=${TOKEN}` };
  const broken = { Cookie: `jwt=${TOKEN.slice(0, -4)}AAAA` };
  const questions = [
    { headers: basic('ann', 'wrong-canary') },
    { headers: people, path: '/?api_key=wrong-canary' },
    { headers: { ...people, ...broken }, path: '/?api_key=one-canary' },
    { headers: { ...people, ...cookie }, path: '/?api_key=one-canary' },
    { headers: { Authorization: 'Basic canary canary' } },
  ];
  const statuses: number[] = [];
  for (const question of questions) statuses.push((await ask(port, question)).status);
  expect(statuses).toEqual([401, 401, 401, 403, 401]);
  await service.close();
  expect((await ask(port, questions[3])).status).toBe(502);
  await gateway.change(file.replace(`secret = "${SECRET}"`, 'public_key = "canary.pem"'));
  await gateway.close();
  const lines = readFileSync(path, 'utf8');
  expect(lines.split('\n').length).toBe(questions.length + 2);
  const secrets = ['right-canary', 'wrong-canary', 'one-canary', SECRET, TOKEN, TOKEN.slice(-20), Buffer.from('ann:right-canary').toString('base64')];
  const told = lines + JSON.stringify(gateway.log.lines, (_key, value: unknown) => (value instanceof Error ? value.stack : value));
  for (const secret of secrets) expect(told).not.toContain(secret);
});
