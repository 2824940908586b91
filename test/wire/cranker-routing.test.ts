import { describe, expect, test } from 'vitest';
import { valuesOf } from '../kit/answer.ts';
import { CrankerPeer, type Reply, ScriptedConnector, type ScriptedOptions, type Served } from '../kit/cranker-peer.ts';
import { kit, metric, type ServedRouter } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { startRouter, rawClient } = made;

async function connector(router: ServedRouter, version: '1.0' | '3.0', options: ScriptedOptions): Promise<ScriptedConnector> {
  const started = await ScriptedConnector.start(router.registrationAddress.port, version, options);
  made.later(() => started.kill());
  return started;
}

const says =
  (name: string): ((request: Served) => Reply) =>
  () => ({ body: name });

async function ask(
  router: ServedRouter,
  path: string,
  fields: readonly string[] = [],
  method = 'GET',
  host = 'h',
): Promise<{ status: number; body: string }> {
  const client = await rawClient(router);
  client.send(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields.map((one) => `${one}\r\n`).join('')}Connection: close\r\n\r\n`);
  const { status, body } = await client.answer(method);
  return { status, body: body.toString() };
}

async function page(router: ServedRouter, path: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${router.adminAddress!.port}${path}`, init);
  return { status: response.status, text: await response.text() };
}

const VERSIONS = ['1.0', '3.0'] as const;

describe('a request goes to', () => {
  test.each(VERSIONS)('the route that is its first segment, whole and as it is written, in %s', async (version) => {
    const router = await startRouter();
    await connector(router, version, { route: 'a', id: 'a', answer: says('a') });
    await connector(router, version, { route: 'a-b', id: 'ab', answer: says('a-b') });
    for (const [path, name] of [
      ['/a', 'a'],
      ['/a/', 'a'],
      ['/a/b/c?d', 'a'],
      ['/a?x', 'a'],
      ['/a-b/x', 'a-b'],
    ] as const)
      expect(await ask(router, path)).toEqual({ status: 200, body: name });
    for (const path of ['/ab', '/A', '/', '/b/a']) expect((await ask(router, path)).status).toBe(404);
  });

  test('the longest route, where routes may have slashes', async () => {
    const router = await startRouter({ deepRoutes: true });
    for (const route of ['a', 'a/b', 'a/b/c', '.well-known/x'])
      await connector(router, '3.0', { route, id: route.replaceAll('/', '-'), answer: says(route) });
    for (const [path, name] of [
      ['/a', 'a'],
      ['/a/bc', 'a'],
      ['/a/b', 'a/b'],
      ['/a/b/x', 'a/b'],
      ['/a/b/c/d', 'a/b/c'],
      ['/.well-known/x', '.well-known/x'],
    ] as const)
      expect(await ask(router, path)).toEqual({ status: 200, body: name });
    expect((await ask(router, '/.well-known')).status).toBe(404);
  });

  test.each(VERSIONS)('the catch-all when nothing else is registered for it, in %s', async (version) => {
    const router = await startRouter();
    await connector(router, version, { route: '*', id: 'all', answer: says('all') });
    await connector(router, version, { route: 'a', id: 'a', answer: says('a') });
    expect((await ask(router, '/')).body).toBe('all');
    expect((await ask(router, '/b/c')).body).toBe('all');
    expect((await ask(router, '/a/b')).body).toBe('a');
  });

  test('the connectors of its domain before those of no domain', async () => {
    const router = await startRouter();
    await connector(router, '3.0', { route: 'a', id: 'any', answer: says('any') });
    await connector(router, '3.0', { route: '*', domain: 'one.example', id: 'one', answer: says('one') });
    await connector(router, '3.0', { route: 'a', domain: 'two.example', id: 'two', answer: says('two') });
    await connector(router, '1.0', { route: 'b', domain: 'one.example', id: 'old', answer: says('1.0 has no domains') });
    for (const [host, path, body] of [
      ['one.example', '/a', 'one'],
      ['ONE.example:8080', '/x', 'one'],
      ['two.example', '/a', 'two'],
      ['h', '/a', 'any'],
      ['h', '/b', '1.0 has no domains'],
    ] as const)
      expect((await ask(router, path, [], 'GET', host)).body).toBe(body);
    expect((await ask(router, '/z', [], 'GET', 'two.example')).status).toBe(404);
  });
});

describe('without a connector', () => {
  test('a route that nobody has registered is 404 at once, with the failure and not the path on its page', async () => {
    const router = await startRouter();
    await connector(router, '1.0', { route: 'a', id: 'a' });
    const { status, body } = await ask(router, '/%3Cscript%3E/x', ['Accept: text/html']);
    expect(status).toBe(404);
    expect(body).toContain('<!doctype html>');
    expect(body).not.toContain('<script');
  });

  test.each(VERSIONS)('a known route waits as long as it may, then is 503 with Retry-After, in %s [fault 2]', async (version) => {
    const router = await startRouter({ maxWaitMs: 300 });
    const gone = await connector(router, version, { route: 'a', id: 'a', answer: says('a') });
    await gone.deregister();
    const client = await rawClient(router);
    client.send('GET /a HTTP/1.1\r\nHost: h\r\n\r\n');
    const answer = await client.answer();
    expect(answer.status).toBe(503);
    expect(valuesOf(answer.fields, 'retry-after')).toHaveLength(1);
  });

  test.each(VERSIONS)('a request that waits is served by the first connector that comes, in %s', async (version) => {
    const router = await startRouter();
    const gone = await connector(router, version, { route: 'a', id: 'a' });
    await gone.deregister();
    const first = ask(router, '/a/1');
    await until('it waits', async () => (await metric(router, 'windlass_queue_size')) === 1);
    const second = ask(router, '/a/2');
    await until('both wait', async () => (await metric(router, 'windlass_queue_size')) === 2);
    const come = await connector(router, version, { route: 'a', id: 'b', window: 1, answer: says('b') });
    expect([(await first).body, (await second).body]).toEqual(['b', 'b']);
    expect(come.served.map(({ line }) => line)).toEqual(['GET /a/1 HTTP/1.1', 'GET /a/2 HTTP/1.1']);
  });

  test('a route is forgotten after its time', async () => {
    const router = await startRouter({ keepRoutesMs: 100, maxWaitMs: 0 });
    await connector(router, '3.0', { route: 'b', id: 'b' });
    const gone = await connector(router, '3.0', { route: 'a', id: 'a' });
    await gone.deregister();
    await until('it is forgotten', async () => (await ask(router, '/a')).status === 404);
  });
});

test.each(VERSIONS)('a rolling restart of a service shows its clients neither 404 nor 503 nor 502, in %s', async (version) => {
  const router = await startRouter();
  let generation = await connector(router, version, { route: 'a', id: 'g0', answer: says('g0') });
  const seen = new Map<number, number>();
  let isOver = false;
  const clients = Array.from({ length: 4 }, async () => {
    while (!isOver) {
      const { status } = await ask(router, '/a/x');
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }
  });
  for (let i = 1; i <= 6; i++) {
    // The old one is gone before the new one is there.
    await generation.deregister();
    await until('some more have come', () => true);
    generation = await connector(router, version, { route: 'a', id: `g${i}`, answer: says(`g${i}`) });
    const before = seen.get(200) ?? 0;
    await until('some are served', () => (seen.get(200) ?? 0) > before + 5);
  }
  isOver = true;
  await Promise.all(clients);
  expect([...seen.keys()]).toEqual([200]);
});

test('protocol 1.0 costs one WebSocket per request and no more, and its sockets are slots', async () => {
  const router = await startRouter();
  const running: (() => void)[] = [];
  const behind = await connector(router, '1.0', {
    route: 'a',
    id: 'a',
    window: 2,
    answer: () => new Promise((resolve) => running.push(() => resolve({ body: 'x' }))),
  });
  const answers = Array.from({ length: 5 }, () => ask(router, '/a'));
  await until('all run: the window is kept full', () => running.length === 5);
  for (const done of running) done();
  for (const answer of answers) expect((await answer).status).toBe(200);
  await until('replacements have come', () => behind.peers.size === 2);
  expect(behind.dialled).toBe(7);
});

test('the sockets of a connector of 3.0 share what runs, within 16 requests', async () => {
  const router = await startRouter();
  const running: (() => void)[] = [];
  const behind = await connector(router, '3.0', {
    route: 'a',
    id: 'a',
    window: 2,
    answer: () => new Promise((resolve) => running.push(() => resolve({ body: 'x' }))),
  });
  const answers = Array.from({ length: 48 }, () => ask(router, '/a', ['Content-Length: 0'], 'POST'));
  await until('all run', () => running.length === 48);
  [...behind.peers][0]!.drop();
  const isLost = ({ status }: { status: number }): boolean => status === 502;
  await until('the others may end', async () => (await metric(router, 'windlass_requests_in_flight')) < 48);
  for (const done of running) done();
  const lost = (await Promise.all(answers)).filter(isLost).length;
  expect(lost).toBeGreaterThanOrEqual(16);
  expect(lost).toBeLessThanOrEqual(32);
});

describe('what these protocols cannot carry', () => {
  test.each(VERSIONS)('is 501 for an upgrade and UNIMPLEMENTED for gRPC, and never mangled, in %s', async (version) => {
    const router = await startRouter();
    const behind = await connector(router, version, { route: 'a', id: 'a' });
    const client = await rawClient(router);
    client.send(
      'GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    );
    expect((await client.answer()).status).toBe(501);
    const other = await rawClient(router);
    other.send('POST /a/m HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 0\r\n\r\n');
    const answer = await other.answer();
    expect(valuesOf(answer.fields, 'grpc-status')).toEqual(['12']);
    expect(behind.served).toEqual([]);
  });

  test('TRACE is 405', async () => {
    const router = await startRouter();
    expect((await ask(router, '/a', [], 'TRACE')).status).toBe(405);
  });
});

describe('the head that a service sees', () => {
  test('has neither expectations nor what is about one connection, and keeps its repeated fields', async () => {
    const router = await startRouter();
    const behind = await connector(router, '3.0', { route: 'a', id: 'a' });
    await ask(router, '/a', ['X-A: 1', 'X-A: 2', 'Keep-Alive: x', 'Proxy-Authorization: x', 'TE: trailers', 'X-Hop: 1']);
    const { fields } = behind.served[0]!;
    for (const name of ['connection', 'keep-alive', 'proxy-authorization', 'te', 'expect', 'upgrade', 'x-forwarded-for', 'x-forwarded-host'])
      expect(fields.has(name)).toBe(false);
    expect(fields.get('via')).toBe('1.1 muc');
  });

  test('believes what clients say of theirs unless told not to, as mu-cranker-router does', async () => {
    const said = ['Forwarded: for=192.0.2.1;proto=https', 'X-Forwarded-For: 192.0.2.1', 'X-Forwarded-Proto: https'];
    const router = await startRouter({ legacyForwarded: true });
    const behind = await connector(router, '3.0', { route: 'a', id: 'a' });
    await ask(router, '/a', said);
    expect(behind.served[0]!.fields.get('forwarded')).toBe('for=192.0.2.1;proto=https, by=127.0.0.1;for=127.0.0.1;host="h";proto=http');
    expect(behind.served[0]!.fields.get('x-forwarded-for')).toBe('192.0.2.1, 127.0.0.1');
    const { Cidrs } = await import('../../src/schema/cidrs.ts');
    const strict = await startRouter({ trustedProxies: new Cidrs() });
    const other = await connector(strict, '3.0', { route: 'a', id: 'a' });
    await ask(strict, '/a', said);
    expect(other.served[0]!.fields.get('forwarded')).toBe('by=127.0.0.1;for=127.0.0.1;host="h";proto=http');
    expect(other.served[0]!.fields.has('x-forwarded-for')).toBe(false);
  });

  test('has no Host when that is switched off', async () => {
    const router = await startRouter({ keepsHost: false });
    const behind = await connector(router, '1.0', { route: 'a', id: 'a' });
    await ask(router, '/a');
    expect(behind.served[0]!.fields.has('host')).toBe(false);
  });
});

describe('dark mode', () => {
  test.each(VERSIONS)('keeps a host connected without requests until it is over, in %s', async (version) => {
    const router = await startRouter({ maxWaitMs: 50 });
    await connector(router, version, { route: 'a', id: 'a', answer: says('a') });
    expect((await page(router, '/api/dark-launch/ip')).text).toBe('DarkMode IPs = []\n');
    expect((await page(router, '/api/dark-launch/ip/127.0.0.1', { method: 'PUT' })).status).toBe(200);
    expect((await page(router, '/api/dark-launch/ip')).text).toBe('DarkMode IPs = [127.0.0.1]\n');
    expect((await ask(router, '/a')).status).toBe(503);
    expect((await page(router, '/health/connectors')).text).toContain('"darkMode":true');
    await page(router, '/api/dark-launch/ip/127.0.0.1', { method: 'DELETE' });
    expect((await ask(router, '/a')).body).toBe('a');
  });

  test('of a service is tried with gray testing, which alone reaches it then', async () => {
    const router = await startRouter({ maxWaitMs: 50 });
    await connector(router, '3.0', { route: 'a', id: 'a', answer: says('a') });
    await connector(router, '1.0', { route: 'b', id: 'b', answer: says('b') });
    expect((await page(router, '/api/dark-launch/gray/on', { method: 'PUT' })).status).toBe(403);
    await page(router, '/api/dark-launch/service/b', { method: 'PUT' });
    expect([(await ask(router, '/a')).status, (await ask(router, '/b')).status]).toEqual([200, 503]);
    expect((await page(router, '/api/dark-launch/gray')).text).toBe('GrayTesting is off\n');
    expect((await page(router, '/api/dark-launch/gray/on', { method: 'PUT' })).status).toBe(200);
    expect([(await ask(router, '/a')).status, (await ask(router, '/b')).status]).toEqual([503, 200]);
    await page(router, '/api/dark-launch/service/b', { method: 'DELETE' });
    expect([(await ask(router, '/a')).status, (await ask(router, '/b')).status]).toEqual([200, 200]);
  });

  test('lets those who wait go on when it ends', async () => {
    const router = await startRouter();
    await connector(router, '1.0', { route: 'a', id: 'a', answer: says('a') });
    await page(router, '/api/dark-launch/ip/127.0.0.1', { method: 'PUT' });
    const waiting = ask(router, '/a');
    await until('it waits', async () => (await metric(router, 'windlass_queue_size')) === 1);
    await page(router, '/api/dark-launch/ip/127.0.0.1', { method: 'DELETE' });
    expect((await waiting).body).toBe('a');
  });

  test('refuses what is no address or service, and pages of other sites [threat 67]', async () => {
    const router = await startRouter();
    for (const path of ['ip/nonsense', 'ip/1.2.3', 'ip/', 'service/a%20b', 'service/a..b']) {
      const { status, text } = await page(router, `/api/dark-launch/${path}`, { method: 'PUT' });
      expect(status).toBe(400);
      expect(text).toMatch(/error id \w+/);
    }
    expect((await page(router, '/api/dark-launch/ip/10.0.0.1', { method: 'PUT', headers: { Origin: 'https://evil.example' } })).status).toBe(403);
    expect((await page(router, '/api/dark-launch/ip/10.0.0.1', { method: 'POST' })).status).toBe(405);
    expect((await page(router, '/api/dark-launch/other/x')).status).toBe(404);
  });
});

describe('the pages', () => {
  test('show who is there, in the words of mu-cranker-router and of crank4go', async () => {
    const router = await startRouter();
    await connector(router, '3.0', { route: 'my-service', id: 'three', component: 'comp', domain: 'd.example' });
    await connector(router, '1.0', { route: '*', id: 'all' });
    const at = async (port: number, path: string): Promise<unknown> => (await fetch(`http://127.0.0.1:${port}${path}`)).json();
    for (const port of [router.adminAddress!.port, router.registrationAddress.port]) {
      expect(await at(port, '/api/registrations')).toEqual({ default: { '127.0.0.1': {} }, 'my-service': { '127.0.0.1': {} } });
      const health = (await at(port, '/health')) as { dependencies: { router: Record<string, unknown> }[] };
      expect(health).toMatchObject({ component: 'windlass-cranker-router', isAvailable: true });
      expect(health.dependencies[0]!.router).toMatchObject({
        CrankerProtocol: '1.0',
        activeConnections: 0,
        'Services Register Map': { 'my-service': { '127.0.0.1': 2 }, '*': { '127.0.0.1': 2 } },
        services: '/health/connectors',
        darkMode: false,
        isAvailable: true,
      });
      const { services } = (await at(port, '/health/connectors')) as { services: Record<string, { connectors: Record<string, unknown>[] }> };
      expect(services['my-service']).toMatchObject({ name: 'my-service', componentName: 'comp', isCatchAll: false });
      expect(services['*']).toMatchObject({ isCatchAll: true });
      const [one, ...others] = services['my-service']!.connectors;
      expect(others).toEqual([]);
      expect(one).toMatchObject({
        connectorInstanceID: 'three',
        ip: '127.0.0.1',
        route: 'my-service',
        component: 'comp',
        componentName: 'comp',
        darkMode: false,
        connectionCount: 2,
      });
      expect((one!['connections'] as unknown[])[0]).toMatchObject({ protocol: '3.0', domain: 'd.example', inflight: 0 });
    }
  });

  test('change nothing on the registration port unless they may, and hold no markup [threat 68] [threat 76]', async () => {
    const router = await startRouter();
    await CrankerPeer.register(router.registrationAddress.port, { route: 'a', id: '%3Cscript%3E', component: '%3Cb%3E%0Ax' }).then((peer) =>
      made.later(() => peer.socket.destroy()),
    );
    const put = (one: ServedRouter): Promise<Response> =>
      fetch(`http://127.0.0.1:${one.registrationAddress.port}/api/dark-launch/ip/10.0.0.1`, { method: 'PUT' });
    expect((await put(router)).status).toBe(403);
    expect((await put(await startRouter({ registrationApi: true }))).status).toBe(200);
    const { text } = await page(router, '/health/connectors');
    expect(text).not.toMatch(/[<>]/);
    expect(text).toContain('_script_');
  });
});
