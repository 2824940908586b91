import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { loadGateway } from '../../src/config/gateway.ts';
import { SettingsError } from '../../src/config/settings-error.ts';
import { systemClock } from '../../src/std/clock.ts';
import { ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { startOrigin, folder, rawClient } = made;

/** Time that a test can push on. */
function pushed(): { clock: typeof systemClock; push(ms: number): void } {
  let more = 0;
  return { clock: { now: () => systemClock.now() + more, wall: () => systemClock.wall() + more }, push: (ms) => (more += ms) };
}

test('so many requests per interval pass, the next is told when to come again, and then it gets in', async () => {
  const origin = await startOrigin();
  const time = pushed();
  const gateway = await startGatewayOf(
    made,
    fileWithPlugins(origin.port, '[plugins.few]\ncategory = "limit"\nmax = 3\ninterval = "1h"\nmessage = "slowly"\n'),
    { clock: time.clock },
  );
  for (let i = 0; i < 3; i++) {
    const passed = await ask(gateway.port());
    expect([passed.status, passed.headers['ratelimit']]).toEqual([200, undefined]);
  }
  const refused = await ask(gateway.port());
  expect([refused.status, refused.text]).toEqual([429, 'slowly\n']);
  const wait = Number(refused.headers['retry-after']);
  expect(wait).toBeGreaterThan(3500);
  expect(refused.headers['ratelimit-policy']).toBe('"few";q=3;w=3600');
  expect(refused.headers['ratelimit']).toBe(`"few";r=0;t=${wait}`);
  expect(origin.requests.length).toBe(3);
  time.push(wait * 1000);
  expect((await ask(gateway.port())).status).toBe(200);
});

test('every answer says what is left, when that is wanted', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    made,
    fileWithPlugins(
      origin.port,
      '[plugins.few]\ncategory = "limit"\nmax = 3\ninterval = "1h"\nalgorithm = "bucket"\nheaders = "all"\n[plugins.once]\ncategory = "limit"\ntype = "inflight"\nmax = 9\nheaders = "all"\n',
    ),
  );
  const { headers } = await ask(gateway.port());
  expect(headers['ratelimit-policy']).toBe('"once";q=9;qu="concurrent-requests", "few";q=3;w=3600');
  expect(headers['ratelimit']).toBe('"once";r=8;t=1, "few";r=2;t=1200');
});

test.each([
  ['tag = "header"\nkey = "X-Key"', { 'X-Key': 'a' }, { 'X-Key': 'b' }],
  ['tag = "cookie"\nkey = "session"', { Cookie: 'x=1; session=a' }, { Cookie: 'session=b' }],
  ['tag = "query"\nkey = "t"', '/?t=%61', '/?t=b'],
  ['tag = "path"', '/a', '/b'],
])('[threat 73] with %j each has a rate of its own, and who has no key is not limited', async (settings, one, other) => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, `[plugins.p]\ncategory = "limit"\nmax = 1\n${settings}\n`));
  const as = (who: string | Record<string, string>) => ask(gateway.port(), typeof who === 'string' ? { path: who } : { headers: who });
  expect((await as(one)).status).toBe(200);
  expect((await as(one)).status).toBe(429);
  expect((await as(other)).status).toBe(200);
  if (settings.includes('path')) {
    // Neither another case nor an escape is another path.
    expect((await as('/A')).status).toBe(429);
    expect((await as('/%61')).status).toBe(429);
    return;
  }
  for (let i = 0; i < 3; i++) expect((await ask(gateway.port())).status).toBe(200);
});

test('[threat 73] a client counts by its address, whatever it says of itself, and behind a trusted proxy by what that says, IPv6 by the first 64 bits', async () => {
  const origin = await startOrigin();
  const section = '[plugins.p]\ncategory = "limit"\nmax = 1\n';
  const basic = (trusted: string): string =>
    `[basic]\nadmin_addr = "off"\ndrain_timeout = "1s"\nauto_restart_check_interval = "0s"\n${trusted}\n${fileWithPlugins(origin.port, section)}`;
  const open = await startGatewayOf(made, basic(''));
  expect((await ask(open.port(), { headers: { 'X-Forwarded-For': '198.51.100.1' } })).status).toBe(200);
  expect((await ask(open.port(), { headers: { 'X-Forwarded-For': '198.51.100.2' } })).status).toBe(429);
  const behind = await startGatewayOf(made, basic('trusted_proxies = ["loopback"]'));
  const from = async (chain: string): Promise<number> => (await ask(behind.port(), { headers: { 'X-Forwarded-For': chain } })).status;
  expect(await from('2001:db8:1:2::7')).toBe(200);
  expect(await from('2001:db8:1:2:ffff:ffff:ffff:ffff')).toBe(429);
  expect(await from('203.0.113.9, 2001:db8:1:2::8')).toBe(429);
  expect(await from('2001:db8:1:3::7')).toBe(200);
});

test('a claim of a token is a key, when a plugin before has found it', async () => {
  const origin = await startOrigin();
  const module = join(folder(), 'claims.mjs');
  writeFileSync(
    module,
    `export default { name: 'claims', summary: 'x', settings: {}, create: () => ({
      request(exchange) { exchange.set({ name: 'jwt_claims' }, { sub: exchange.request.header('x-sub') }); } }) };`,
  );
  const gateway = await startGatewayOf(
    made,
    fileWithPlugins(origin.port, `[plugins.claims]\nmodule = "${module}"\n[plugins.p]\ncategory = "limit"\nmax = 1\ntag = "jwt"\nkey = "sub"\n`),
  );
  const as = async (sub: string): Promise<number> => (await ask(gateway.port(), { headers: { 'X-Sub': sub } })).status;
  expect([await as('ann'), await as('bob'), await as('ann')]).toEqual([200, 200, 429]);
});

test('requests at once are bounded, and one that ends, however it ends, makes room exactly once', async () => {
  const held: (() => void)[] = [];
  const origin = await startOrigin((request, response) => {
    request.resume();
    held.push(() => response.end('done'));
  });
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, '[plugins.p]\ncategory = "limit"\ntype = "inflight"\nmax = 2\n'));
  const port = gateway.port();
  const answered = ask(port);
  const leaving = await rawClient({ port });
  leaving.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf');
  await until('both at the origin', () => held.length === 2);
  const refused = await ask(port);
  expect([refused.status, refused.headers['retry-after']]).toEqual([429, '1']);
  expect(refused.headers['ratelimit-policy']).toBe('"p";q=2;qu="concurrent-requests"');
  leaving.reset();
  // Only one has left: one gets in, and no second.
  const next = await until('room', async () => {
    const client = await rawClient({ port });
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('at the origin, or refused', () => held.length === 3 || client.text !== '');
    return client.text === '' ? client : null;
  });
  expect((await ask(port)).status).toBe(429);
  held[0]!();
  expect((await answered).status).toBe(200);
  held[2]!();
  expect((await next.answer()).status).toBe(200);
  const [one, two] = [ask(port), ask(port)];
  await until('both inside', () => held.length === 5);
  expect((await ask(port)).status).toBe(429);
  held[3]!();
  held[4]!();
  expect([(await one).status, (await two).status]).toEqual([200, 200]);
});

test('a request that fails, or that another plugin answers, makes room too', async () => {
  const gateway = await startGatewayOf(
    made,
    fileWithPlugins(1, '[plugins.p]\ncategory = "limit"\ntype = "inflight"\nmax = 1\n[plugins.ping]\ncategory = "ping"\n'),
  );
  for (let i = 0; i < 5; i++) {
    expect((await ask(gateway.port())).status).toBe(502);
    expect((await ask(gateway.port(), { path: '/ping' })).status).toBe(200);
  }
});

test('at the step proxy_upstream, only what goes to the upstream counts', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    made,
    fileWithPlugins(origin.port, '[plugins.p]\ncategory = "limit"\nstep = "proxy_upstream"\nmax = 1\n[plugins.ping]\ncategory = "ping"\n'),
  );
  for (let i = 0; i < 3; i++) expect((await ask(gateway.port(), { path: '/ping' })).status).toBe(200);
  expect([(await ask(gateway.port())).status, (await ask(gateway.port())).status]).toEqual([200, 429]);
});

test('an upgraded connection counts as long as it lasts', async () => {
  const origin = await startOrigin();
  const held: Duplex[] = [];
  origin.server.on('upgrade', (_request, socket) => {
    held.push(socket);
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n',
    );
  });
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, '[plugins.p]\ncategory = "limit"\ntype = "inflight"\nmax = 1\n'));
  const port = gateway.port();
  const socket = await rawClient({ port });
  socket.send(
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  await socket.until(({ text }) => text.startsWith('HTTP/1.1 101'));
  expect((await ask(port)).status).toBe(429);
  socket.reset();
  await until('room', async () => (await ask(port)).status === 200);
  held[0]!.destroy();
});

test('what a cache asks again in the background holds no place for ever', async () => {
  const origin = await startOrigin((_request, response) => {
    response.setHeader('Cache-Control', 'max-age=10, stale-while-revalidate=600');
    response.end('kept');
  });
  const time = pushed();
  const gateway = await startGatewayOf(
    made,
    fileWithPlugins(
      origin.port,
      '[plugins.p]\ncategory = "limit"\nstep = "proxy_upstream"\ntype = "inflight"\nmax = 1\n[plugins.cache]\ncategory = "cache"\n',
    ),
    { clock: time.clock },
  );
  for (let asked = 1; asked <= 4; asked++) {
    expect((await ask(gateway.port())).text).toBe('kept');
    await until(`request ${asked} at the origin`, () => origin.requests.length >= asked);
    // Until what came of it is kept.
    await until('a fresh answer', async () => Number((await ask(gateway.port())).headers['age'] ?? 0) < 10);
    time.push(20_000);
  }
  expect((await ask(gateway.port(), { path: '/other' })).status).toBe(200);
});

test('around a cache every exchange is counted once and given back once: kept, asked about, waiting for another, refreshed behind, left', async () => {
  const held = new Map<string, () => void>();
  const origin = await startOrigin((request, response) => {
    const isKnown = request.headers['if-none-match'] !== undefined;
    response.writeHead(isKnown ? 304 : 200, { 'Cache-Control': 'max-age=10, stale-while-revalidate=10', ETag: '"1"' });
    const end = (): void => void response.end(isKnown ? undefined : 'kept');
    if (request.url!.startsWith('/slow')) held.set(request.url!, end);
    else end();
  });
  const time = pushed();
  const sections =
    '[plugins.p]\ncategory = "limit"\ntype = "inflight"\nmax = 6\nheaders = "all"\n[plugins.cache]\ncategory = "cache"\nlock = "10s"\n';
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, sections), { clock: time.clock });
  const get = async (path = '/'): Promise<string> => {
    const { headers } = await ask(gateway.port(), { path });
    return `${String(headers['x-cache-status'])} ${String(/r=\d+/.exec(String(headers['ratelimit'])))}`;
  };
  // One that lasts, so that what is given back twice would be missed.
  const lasts = get('/slow/lasts');
  await until('it at the origin', () => held.size === 1);
  expect([await get(), await get()]).toEqual(['miss r=4', 'hit r=4']);
  time.push(15_000);
  expect(await get()).toBe('stale r=4');
  await until('a fresh one', async () => (await get()) === 'hit r=4');
  time.push(30_000);
  expect([await get(), await get()]).toEqual(['revalidated r=4', 'hit r=4']);
  // One leads and leaves, and three wait for what it brings; another leaves alone.
  const leavers = await Promise.all(
    ['/slow/shared', '/slow/alone'].map(async (path) => {
      const client = await rawClient({ port: gateway.port() });
      return client.send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port()}\r\n\r\n`);
    }),
  );
  await until('both at the origin', () => held.size === 3);
  const followers = Array.from({ length: 3 }, () => get('/slow/shared'));
  await until('no more to get in', async () => (await ask(gateway.port())).status === 429);
  for (const client of leavers) client.reset();
  await until('the one that is alone to be gone', () => origin.requests.some(({ url, aborted }) => url === '/slow/alone' && aborted));
  held.get('/slow/shared')!();
  expect((await Promise.all(followers)).map((one) => one.split(' ')[0])).toEqual(['hit', 'hit', 'hit']);
  await until('all but the first to be given back', async () => (await get('/last')) === 'hit r=4');
  held.get('/slow/lasts')!();
  await lasts;
  await until('all to be given back', async () => (await get('/last')) === 'hit r=5');
});

test('counts outlive a reload that leaves the plugin alone, and a giant key is a key', async () => {
  const origin = await startOrigin();
  const text = fileWithPlugins(origin.port, '[plugins.p]\ncategory = "limit"\nmax = 1\ntag = "header"\nkey = "X-Key"\n');
  const gateway = await startGatewayOf(made, text);
  const as = async (key: string): Promise<number> => (await ask(gateway.port(), { headers: { 'X-Key': key } })).status;
  const giant = 'k'.repeat(10_000);
  expect([await as(giant), await as(`${giant}x`)]).toEqual([200, 200]);
  await gateway.change(`${text}# changed\n`);
  expect([await as(giant), await as(`${giant}x`), await as(`${giant}y`)]).toEqual([429, 429, 200]);
});

test.each([
  ['', 'plugins.p needs max'],
  ['max = 0', 'is out of range'],
  ['max = 1\ninterval = "0s"', 'is no interval'],
  ['max = 1\ntag = "geo"', 'is not one of the choices'],
])('a wrong option is refused at load: %j', async (settings, said) => {
  const file = join(folder(), 'windlass.toml');
  writeFileSync(file, fileWithPlugins(1, `[plugins.p]\ncategory = "limit"\n${settings}\n`));
  const error = (await loadGateway(file, {}).catch((problem: unknown) => problem)) as SettingsError;
  expect(error).toBeInstanceOf(SettingsError);
  expect(error.lines.join('\n')).toContain(said);
});

test('a header that is not named is refused before anything is served', async () => {
  const file = fileWithPlugins(1, '[plugins.p]\ncategory = "limit"\nmax = 1\ntag = "header"\n');
  await expect(startGatewayOf(made, file)).rejects.toThrow('plugins.p cannot be made: has tag = "header" and no key; name the header');
});

test('the example of its page runs', async () => {
  const page = readFileSync(new URL('../../docs/plugins/limit.md', import.meta.url), 'utf8');
  const example = /```toml\n([^]*?)```/.exec(page)![1]!.replace('0.0.0.0:8080', '127.0.0.1:0');
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, example.replace('127.0.0.1:3000', `127.0.0.1:${origin.port}`));
  expect((await ask(gateway.port())).status).toBe(200);
});
