import type http from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask, type Asked, fileWithPlugins, type Question } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import type { Answerer } from '../kit/http-origin.ts';
import { kit, metric } from '../kit/kit.ts';
import { turns, until } from '../kit/until.ts';

const made = kit();
const { startOrigin, rawClient } = made;

/** A gateway with a cache, whose time a test moves. */
async function cached(answer: Answerer, settings = '', more = '', sections = '', server = '') {
  let passedMs = 0;
  const clock = { now: () => performance.now() + passedMs, wall: () => Date.now() + passedMs };
  const origin = await startOrigin(answer);
  const file = fileWithPlugins(origin.port, `[plugins.kept]\ncategory = "cache"\n${settings}\n${sections}`, more);
  const gateway = await startGatewayOf(made, file.replace('[servers.main]', `[servers.main]\n${server}`), { clock });
  const get = (path = '/', question: Question = {}): Promise<Asked> => ask(gateway.port(), { path, ...question });
  return { origin, gateway, get, pass: (ms: number) => (passedMs += ms) };
}

/** Answers with the number of the request. */
function counting(headers: http.OutgoingHttpHeaders, status = 200): Answerer {
  let n = 0;
  return (_request, response) => {
    const body = `answer ${++n}`;
    response.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': body.length, ...headers });
    response.end(body);
  };
}

const results = async (answers: Promise<Asked>[]): Promise<string[]> =>
  (await Promise.all(answers)).map(({ text, headers }) => `${text} ${String(headers['x-cache-status'])}`);
const said = ({ text, headers }: Asked): string => `${text} ${String(headers['x-cache-status'])}`;

test('an answer is kept as long as it allows, with its age, and then fetched anew', async () => {
  const { get, pass, gateway } = await cached(counting({ 'Cache-Control': 'max-age=10', Link: ['<a>', '<b>'] }));
  const first = await get('/a?b=1');
  expect(said(first)).toBe('answer 1 miss');
  expect(first.headers['cache-status']).toBe('Windlass; fwd=miss; stored');
  const second = await get('/a?b=1');
  expect(said(second)).toBe('answer 1 hit');
  expect(second.headers['age']).toBe('0');
  expect(second.headers['cache-status']).toMatch(/^Windlass; hit; ttl=(9|10)$/);
  expect(second.headers['content-type']).toBe('text/plain');
  expect(second.headers['content-length']).toBe('8');
  expect(second.headers['link']).toBe('<a>, <b>');
  expect(second.headers['date']).toBe(first.headers['date']);
  pass(5000);
  expect((await get('/a?b=1')).headers['age']).toBe('5');
  expect(said(await get('/a?b=2'))).toBe('answer 2 miss');
  pass(20_000);
  expect(said(await get('/a?b=1'))).toBe('answer 3 expired');
  expect(await metric(gateway, 'windlass_cache_requests_total{plugin="kept",result="hit"}')).toBe(2);
  expect(await metric(gateway, 'windlass_cache_bytes{plugin="kept"}')).toBeGreaterThan(2000);
});

test('HEAD is answered from what GET brought, and brings nothing itself', async () => {
  const { get, origin } = await cached(counting({ 'Cache-Control': 'max-age=10' }));
  expect((await get('/', { method: 'HEAD' })).headers['x-cache-status']).toBe('bypass');
  await get();
  const head = await get('/', { method: 'HEAD' });
  expect([head.headers['x-cache-status'], head.headers['content-length'], head.body.length]).toEqual(['hit', '8', 0]);
  expect(origin.requests.length).toBe(2);
});

test.each([
  ['says nothing', {}, {}],
  ['is private', { 'Cache-Control': 'Private, max-age=60' }, {}],
  ['is not to be stored', { 'Cache-Control': 'no-store' }, {}],
  ['sets a cookie', { 'Cache-Control': 'public, max-age=60', 'Set-Cookie': 'a=b' }, {}],
  ['depends on everything', { 'Cache-Control': 'max-age=60', Vary: '*' }, {}],
  ['is for somebody who showed who he is', { 'Cache-Control': 'max-age=60' }, { Authorization: 'Bearer one' }],
  ['was asked for with no-store', { 'Cache-Control': 'max-age=60' }, { 'Cache-Control': 'no-store' }],
])('[threat 74] an answer that %s is given to nobody else', async (_name, headers, asked) => {
  const { get } = await cached(counting(headers));
  await get('/', { headers: asked as http.OutgoingHttpHeaders });
  const second = await get('/');
  expect(second.text).toBe('answer 2');
});

test('[threat 74] scheme, host, target, configured headers and Vary are in the key; what is not cannot poison it', async () => {
  const { get } = await cached((request, response) => {
    const { host, 'x-tenant': tenant, 'accept-language': language, 'x-forwarded-host': by } = request.headers;
    const body = [host, request.url, String(tenant), String(language), String(by)].join(' ');
    response.writeHead(200, { 'Cache-Control': 'max-age=60', Vary: 'Accept-Language', 'Content-Length': body.length });
    response.end(body);
  }, 'headers = ["X-Tenant"]');
  const with_ = (headers: http.OutgoingHttpHeaders) => get('/x', { headers });
  // A stranger who says which host he forwards for is not believed.
  const evil = await with_({ Host: 'a.example', 'X-Forwarded-Host': 'evil.example' });
  expect(evil.text).toBe('a.example /x undefined undefined a.example');
  expect((await with_({ Host: 'A.EXAMPLE:80' })).headers['x-cache-status']).toBe('hit');
  expect((await with_({ Host: 'a.example.' })).headers['x-cache-status']).toBe('hit');
  expect((await with_({ Host: 'b.example' })).text).toBe('b.example /x undefined undefined b.example');
  expect((await with_({ Host: 'a.example:8080' })).headers['x-cache-status']).toBe('miss');
  expect((await with_({ Host: 'a.example', 'X-Tenant': '' })).headers['x-cache-status']).toBe('miss');
  expect((await with_({ Host: 'a.example', 'X-Tenant': 't' })).text).toBe('a.example /x t undefined a.example');
  expect((await with_({ Host: 'a.example', 'Accept-Language': 'de' })).text).toBe('a.example /x undefined de a.example');
  expect((await with_({ Host: 'a.example', 'Accept-Language': 'de' })).headers['x-cache-status']).toBe('hit');
  expect((await with_({ Host: 'a.example' })).headers['x-cache-status']).toBe('hit');
});

test('[threat 74] what the upstream is told of the client is in the key, whatever Host it gets', async () => {
  const answer: Answerer = (request, response) => {
    const { 'x-forwarded-proto': scheme, 'x-forwarded-host': host } = request.headers;
    response.writeHead(200, { 'Cache-Control': 'max-age=60' });
    response.end(`${String(scheme)}://${String(host)}/ at ${request.headers.host}`);
  };
  // A location for all hosts that sends one of its own.
  const one = await cached(answer, '', 'proxy_set_headers = ["Host: inside"]');
  for (const host of ['evil.example', 'good.example', 'evil.example'])
    expect((await one.get('/', { headers: { Host: host } })).text).toBe(`http://${host}/ at inside`);
  expect(one.origin.requests.length).toBe(2);
  // A proxy in front, which ends TLS for some of its clients.
  const origin = await startOrigin(answer);
  const gateway = await startGatewayOf(
    made,
    fileWithPlugins(origin.port, '[plugins.kept]\ncategory = "cache"\npurge_ip_list = ["127.0.0.1"]\n').replace(
      '[servers.main]',
      '[servers.main]\ntrusted_proxies = ["127.0.0.1"]',
    ),
  );
  const get = (scheme: string, method = 'GET') => ask(gateway.port(), { method, headers: { Host: 'a', 'X-Forwarded-Proto': scheme } });
  for (const scheme of ['http', 'https', 'http', 'https']) expect((await get(scheme)).text).toBe(`${scheme}://a/ at a`);
  expect(origin.requests.length).toBe(2);
  expect((await get('http', 'PURGE')).status).toBe(204);
  for (const scheme of ['http', 'https']) expect((await get(scheme)).headers['x-cache-status']).toBe('miss');
});

test('two locations that ask for the same path share nothing', async () => {
  const one = await startOrigin(counting({ 'Cache-Control': 'max-age=60', 'X-From': 'one' }));
  const two = await startOrigin(counting({ 'Cache-Control': 'max-age=60', 'X-From': 'two' }));
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["one", "two"]
[locations.one]
path = "/one"
rewrite = "^/one/ /"
upstream = "one"
plugins = ["kept"]
[locations.two]
path = "/two"
rewrite = "^/two/ /"
upstream = "two"
plugins = ["kept"]
[upstreams.one]
addrs = ["127.0.0.1:${one.port}"]
[upstreams.two]
addrs = ["127.0.0.1:${two.port}"]
[plugins.kept]
category = "cache"
`,
  );
  for (const from of ['one', 'two', 'one', 'two']) expect((await ask(gateway.port(), { path: `/${from}/x` })).headers['x-from']).toBe(from);
  expect([one.requests.length, two.requests.length]).toEqual([1, 1]);
});

test('conditions and ranges are answered from what is kept', async () => {
  const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
  const { get, origin } = await cached((_request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=60', ETag: '"v1"', 'Last-Modified': date, 'Content-Length': 10, 'X-More': 'x' });
    response.end('0123456789');
  });
  await get();
  const with_ = (headers: http.OutgoingHttpHeaders) => get('/', { headers });
  const same = await with_({ 'If-None-Match': 'W/"v1"' });
  expect([same.status, same.headers['etag'], same.headers['x-more'], same.headers['x-cache-status'], same.text]).toEqual([
    304,
    '"v1"',
    undefined,
    'hit',
    '',
  ]);
  expect((await with_({ 'If-Modified-Since': date })).status).toBe(304);
  expect((await with_({ 'If-None-Match': '"v0"' })).status).toBe(200);
  const part = await with_({ Range: 'bytes=2-4' });
  expect([part.status, part.text, part.headers['content-range'], part.headers['content-length']]).toEqual([206, '234', 'bytes 2-4/10', '3']);
  expect((await with_({ Range: 'bytes=-2' })).text).toBe('89');
  expect((await with_({ Range: 'bytes=0-1', 'If-Range': '"v0"' })).text).toBe('0123456789');
  expect((await with_({ Range: 'bytes=0-1,4-5' })).text).toBe('0123456789');
  const outside = await with_({ Range: 'bytes=10-' });
  expect([outside.status, outside.headers['content-range'], outside.text]).toEqual([416, 'bytes */10', '']);
  const head = await get('/', { method: 'HEAD', headers: { Range: 'bytes=2-4' } });
  expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '10', 0]);
  expect(origin.requests.length).toBe(1);
  // What changes things only under a condition is for the upstream.
  expect((await with_({ 'If-Match': '"v1"' })).headers['x-cache-status']).toBe('bypass');
});

test('a part or a "not modified" that the upstream gave is not kept as the whole', async () => {
  const { get } = await cached((request, response) => {
    if (request.headers['if-none-match'] !== undefined) response.writeHead(304, { 'Cache-Control': 'max-age=60', ETag: '"v1"' }).end();
    else if (request.headers.range !== undefined)
      response.writeHead(206, { 'Cache-Control': 'max-age=60', 'Content-Range': 'bytes 0-1/4', 'Content-Length': 2 }).end('ab');
    else response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Length': 4 }).end('abcd');
  });
  expect((await get('/', { headers: { Range: 'bytes=0-1' } })).text).toBe('ab');
  expect((await get('/', { headers: { 'If-None-Match': '"v1"' } })).status).toBe(304);
  expect((await get()).text).toBe('abcd');
});

test('what is old is asked about: a 304 makes it new again, with its fields', async () => {
  let version = 1;
  const { get, pass, origin } = await cached((request, response) => {
    if (request.headers['if-none-match'] === `"v${version}"`) {
      response
        .writeHead(304, {
          ETag: `"v${version}"`,
          'Cache-Control': 'max-age=20',
          'X-Round': String(origin.requests.length),
          'Content-Type': 'text/odd',
        })
        .end();
      return;
    }
    response.writeHead(200, { 'Cache-Control': 'max-age=10', ETag: `"v${version}"`, 'Content-Length': 9, 'Content-Type': 'text/plain' });
    response.end(`version ${version}`);
  });
  await get();
  pass(15_000);
  // The range is made here: the upstream is asked about the whole.
  const part = await get('/', { headers: { Range: 'bytes=0-6' } });
  expect([part.status, said(part), part.headers['x-round']]).toEqual([206, 'version revalidated', '2']);
  expect([origin.requests[1]!.headers['if-none-match'], origin.requests[1]!.headers.range]).toEqual(['"v1"', undefined]);
  pass(15_000);
  const again = await get();
  expect([said(again), again.headers['content-type'], again.headers['cache-control']]).toEqual(['version 1 hit', 'text/plain', 'max-age=20']);
  pass(15_000);
  expect((await get('/', { headers: { 'If-None-Match': '"v1"' } })).status).toBe(304);
  version = 2;
  pass(30_000);
  expect(said(await get())).toBe('version 2 expired');
  expect(said(await get())).toBe('version 2 hit');
});

test('requests may say how old an answer may be', async () => {
  const { get, pass } = await cached(counting({ 'Cache-Control': 'max-age=60' }));
  const with_ = (control: string) => get('/', { headers: { 'Cache-Control': control } });
  const none = await with_('only-if-cached');
  expect([none.status, none.text]).toEqual([504, 'not cached\n']);
  await get();
  pass(10_000);
  expect(said(await with_('max-age=20'))).toBe('answer 1 hit');
  expect(said(await with_('only-if-cached'))).toBe('answer 1 hit');
  expect(said(await with_('min-fresh=55'))).toBe('answer 2 expired');
  expect(said(await with_('no-cache'))).toBe('answer 3 expired');
  expect(said(await get('/', { headers: { Pragma: 'no-cache' } }))).toBe('answer 4 expired');
  expect(said(await get())).toBe('answer 4 hit');
});

test('what is old is given out while a new one is fetched in the background, once', async () => {
  let hold: (() => void) | null = null;
  let n = 0;
  const { get, pass, origin } = await cached((_request, response) => {
    const answer = (): void => {
      response.writeHead(200, { 'Cache-Control': 'max-age=10, stale-while-revalidate=30' });
      response.end(`answer ${++n}`);
    };
    if (origin.requests.length === 2) hold = answer;
    else answer();
  });
  await get();
  pass(15_000);
  expect(said(await get())).toBe('answer 1 stale');
  expect(said(await get())).toBe('answer 1 stale');
  await until('the request in the background', () => hold);
  expect(origin.requests.length).toBe(2);
  hold!();
  await until('the new answer', async () => (await get()).text === 'answer 2');
  expect(said(await get())).toBe('answer 2 hit');
  expect(origin.requests.length).toBe(2);
});

test('the request in the background passes the plugins behind the cache, and no other', async () => {
  const sections = `[plugins.inner]\ncategory = "response_headers"\nadd_headers = ["X-Inner: yes"]\n[plugins.small]\ncategory = "compression"\nmin_length = 1\n`;
  const { get, pass, origin } = await cached(counting({ 'Cache-Control': 'max-age=10, stale-while-revalidate=30' }), '', '', sections);
  const gzip = { headers: { 'Accept-Encoding': 'gzip' } };
  await get('/', gzip);
  pass(15_000);
  const old = await get('/', gzip);
  expect([old.headers['x-cache-status'], old.headers['x-inner'], old.headers['content-encoding']]).toEqual(['stale', 'yes', 'gzip']);
  await until('the new answer', async () => (await get('/', gzip)).headers['x-cache-status'] === 'hit');
  const fresh = await get('/', gzip);
  expect([fresh.headers['x-inner'], fresh.headers['content-encoding'], fresh.headers['vary']]).toEqual(['yes', 'gzip', 'Accept-Encoding']);
  expect(origin.requests.length).toBe(2);
  expect((await get()).text).toBe('answer 3');
});

test('what is old stands in for an upstream that fails, as long as that is allowed', async () => {
  let status = 200;
  const { get, pass, origin } = await cached((_request, response) => {
    if (status === 0) response.destroy();
    else response.writeHead(status, { 'Cache-Control': 'max-age=10, stale-if-error=60, stale-while-revalidate=0' }).end(`status ${status}`);
  });
  await get();
  pass(15_000);
  status = 503;
  const stale = await get();
  // It is no hit (RFC 9211 2.1): the upstream was asked.
  expect([said(stale), stale.headers['cache-status']]).toEqual(['status 200 stale', 'Windlass; fwd=stale; detail=stale-if-error']);
  status = 0;
  expect(said(await get())).toBe('status 200 stale');
  await origin.close();
  const gone = await get();
  expect([gone.status, said(gone)]).toEqual([200, 'status 200 stale']);
  pass(70_000);
  expect((await get()).status).toBe(502);
});

test('requests for the same wait for the first of them, and are told how long', async () => {
  const log = join(made.folder(), 'access.log');
  let finish = (): void => {};
  const { get, origin } = await cached(
    (_request, response) => {
      response.writeHead(200, { 'Cache-Control': 'max-age=60' });
      response.write('to');
      finish = () => response.end('gether');
    },
    'lock = "10s"',
    '',
    '',
    `access_log = '${log} {<x-cache-status} {cache_lock_time}'`,
  );
  const all = Array.from({ length: 10 }, () => get());
  await until('the first', () => origin.requests.length === 1);
  await turns(20);
  finish();
  const answers = await results(all);
  expect(answers.filter((one) => one === 'together hit').length).toBe(9);
  expect(answers.filter((one) => one === 'together miss').length).toBe(1);
  expect(origin.requests.length).toBe(1);
  const locks = (await Promise.all(all)).map(({ headers }) => headers['x-cache-lock']).filter((lock) => lock !== undefined);
  expect(locks.length).toBe(9);
  for (const lock of locks) expect(lock).toMatch(/^\d+(?:\.\d)?ms$/);
  const lines = await until('ten lines', () => {
    const text = existsSync(log) ? readFileSync(log, 'latin1').trim().split('\n') : [];
    return text.length === 10 ? text : null;
  });
  expect(lines.toSorted().at(-1)).toBe('miss -');
  expect(lines.filter((line) => /^hit \d+(?:\.\d)?$/.test(line)).length).toBe(9);
});

test('the others go on alone when the first takes long, or brings what is not for them', async () => {
  const held: (() => void)[] = [];
  const { get, origin } = await cached((_request, response) => {
    held.push(() => response.writeHead(200, { 'Cache-Control': 'private' }).end('mine'));
  }, 'lock = "20ms"');
  const slow = [get(), get()];
  await until('both', () => held.length === 2);
  for (const finish of held.splice(0)) finish();
  await Promise.all(slow);
  // It is known now that nobody can have the answer of another.
  const more = [get(), get(), get()];
  await until('all at once', () => held.length === 3);
  for (const finish of held) finish();
  await Promise.all(more);
  expect(origin.requests.length).toBe(5);
});

test('a client that leaves does not take with it what others wait for', async () => {
  let finish = (): void => {};
  const { get, origin, gateway } = await cached((_request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=60' });
    response.write('half ');
    finish = () => response.end('whole');
  }, 'lock = "10s"');
  const leader = await rawClient({ port: gateway.port() });
  leader.send('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  await leader.until(() => leader.text.includes('half'));
  const port = gateway.port();
  const follower = get('/', { headers: { Host: '127.0.0.1' } });
  await until('the follower', async () => (await metric(gateway, 'windlass_requests_in_flight')) === 2);
  leader.reset();
  await turns(20);
  expect(origin.only.aborted).toBe(false);
  finish();
  expect(said(await follower)).toBe('half whole hit');
  expect(origin.requests.length).toBe(1);
  // Without anybody who waits, it is cancelled as ever.
  const alone = await rawClient({ port });
  alone.send('GET /alone HTTP/1.1\r\nHost: a\r\n\r\n');
  await alone.until(() => alone.text.includes('half'));
  alone.reset();
  await until('the cancel', () => origin.requests[1]!.aborted);
  await until('the end of all', async () => (await metric(gateway, 'windlass_requests_in_flight')) === 0);
});

test('what breaks off, or is too large, is not kept', async () => {
  const { get, gateway } = await cached((request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=60', ...(request.url === '/told' ? { 'Content-Length': 3000 } : {}) });
    response.write('x'.repeat(request.url === '/cut' ? 500 : 3000));
    if (request.url === '/cut') setImmediate(() => response.destroy());
    else response.end();
  }, 'max_file_size = 1000');
  expect((await get('/cut')).complete).toBe(false);
  expect((await get('/cut')).headers['x-cache-status']).toBe('miss');
  for (const path of ['/told', '/untold']) for (let i = 0; i < 2; i++) expect((await get(path)).body.length).toBe(3000);
  expect(await metric(gateway, 'windlass_cache_bytes{plugin="kept"}')).toBe(0);
});

test('PURGE forgets an address, or all, for those who may', async () => {
  const { get, gateway } = await cached(counting({ 'Cache-Control': 'max-age=60', Vary: 'Accept' }), 'purge_ip_list = ["127.0.0.1"]');
  await get('/a');
  await get('/a', { headers: { Accept: 'text/html' } });
  await get('/b');
  expect((await get('/a', { method: 'PURGE' })).status).toBe(204);
  expect((await get('/a')).headers['x-cache-status']).toBe('miss');
  expect((await get('/b')).headers['x-cache-status']).toBe('hit');
  for (const path of ['/news/1', '/news/2?x', '/newspaper']) await get(path);
  await get('/news/3', { headers: { Host: 'b.example' } });
  expect((await get('/news/*', { method: 'PURGE', headers: { Host: 'B.example:80' } })).text).toBe('purged: 1, fail: 0\n');
  expect((await get('/news/*', { method: 'PURGE' })).text).toBe('purged: 2, fail: 0\n');
  expect([
    said(await get('/newspaper'))
      .split(' ')
      .at(-1),
    said(await get('/news/1'))
      .split(' ')
      .at(-1),
  ]).toEqual(['hit', 'miss']);
  expect((await get('/*', { method: 'PURGE' })).text).toBe('purged: 4, fail: 0\n');
  expect(await metric(gateway, 'windlass_cache_bytes{plugin="kept"}')).toBe(0);
  const other = await cached(counting({ 'Cache-Control': 'max-age=60' }), 'purge_ip_list = ["10.0.0.0/8"]');
  await other.get('/a');
  expect((await other.get('/a', { method: 'PURGE' })).status).toBe(403);
  expect((await other.get('/a')).headers['x-cache-status']).toBe('hit');
  expect(other.origin.requests.length).toBe(1);
});

test('a change at an address forgets what is kept of it, unless it fails', async () => {
  let status = 500;
  const { get } = await cached((request, response) => {
    response.writeHead(request.method === 'POST' ? status : 200, { 'Cache-Control': 'max-age=60' });
    response.end('x');
  });
  await get();
  await get('/', { method: 'POST', body: 'a' });
  expect((await get()).headers['x-cache-status']).toBe('hit');
  status = 201;
  await get('/', { method: 'POST', body: 'a' });
  expect((await get()).headers['x-cache-status']).toBe('miss');
});

test('some addresses are skipped; answers that do not say are kept on request, but not for those with cookies', async () => {
  const { get, pass } = await cached(counting({}), 'skip = "^/api/"\ndefault_ttl = "5s"\nstale_while_revalidate = "0s"');
  expect(await results([get('/api/x')])).toEqual(['answer 1 bypass']);
  expect(said(await get('/x', { headers: { Cookie: 'a=b' } }))).toBe('answer 2 miss');
  expect(said(await get('/x'))).toBe('answer 3 miss');
  expect(said(await get('/x'))).toBe('answer 3 hit');
  pass(6000);
  expect(said(await get('/x'))).toBe('answer 4 expired');
});

test('memory is bounded: what nobody asks for goes first', async () => {
  const { get, gateway } = await cached((_request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=60' });
    response.end('x'.repeat(10_000));
  }, 'directory = "memory://cache?max_size=100kb"\neviction = true');
  await get('/wanted');
  for (let i = 0; i < 40; i++) {
    await get(`/${i}`);
    expect((await get('/wanted')).headers['x-cache-status']).toBe('hit');
  }
  expect((await get('/39')).headers['x-cache-status']).toBe('hit');
  expect((await get('/1')).headers['x-cache-status']).toBe('miss');
  expect(await metric(gateway, 'windlass_cache_bytes{plugin="kept"}')).toBeLessThanOrEqual(100_000);
});

test('what is kept survives a reload that leaves the cache alone', async () => {
  const { get, gateway, origin } = await cached(counting({ 'Cache-Control': 'max-age=60' }));
  await get();
  await gateway.change(`${fileWithPlugins(origin.port, '[plugins.kept]\ncategory = "cache"\n\n')}\n# a remark\n`);
  expect(said(await get())).toBe('answer 1 hit');
  await gateway.change(fileWithPlugins(origin.port, '[plugins.kept]\ncategory = "cache"\nmax_size = "1MB"\n'));
  expect(said(await get())).toBe('answer 2 miss');
});

test("a place on disk, Pingap's, is memory here, and that is said; a bad pattern is refused", async () => {
  const { get, gateway } = await cached(counting({ 'Cache-Control': 'max-age=60' }), 'directory = "/var/cache?levels=1:2&max_size=1mb"');
  expect(gateway.log.at('warn')).toEqual([expect.stringContaining('answers are kept in memory')]);
  await get();
  expect(said(await get())).toBe('answer 1 hit');
  const origin = await startOrigin();
  const file = fileWithPlugins(origin.port, '[plugins.kept]\ncategory = "cache"\nskip = "(a"\n');
  await expect(startGatewayOf(made, file)).rejects.toThrow('is no pattern');
});

test('[threat 57] [threat 74] credentials that a plugin takes out of the request count all the same', async () => {
  const origin = await startOrigin(counting({ 'Cache-Control': 'max-age=60', 'X-Long': 'x' }));
  const people = '[plugins.people]\ncategory = "basic_auth"\nhide_credentials = true\nauthorizations = ["dTpw"]\n';
  const sections = `${people}[plugins.kept]\ncategory = "cache"\nstale_while_revalidate = "1h"\n[plugins.small]\ncategory = "compression"\nmin_length = 1\n`;
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, sections));
  const headers = { Authorization: 'Basic dTpw', 'Accept-Encoding': 'gzip' };
  for (const text of ['answer 1', 'answer 2']) {
    const answer = await ask(gateway.port(), { headers });
    expect([answer.text, answer.headers['x-cache-status'], answer.headers['content-encoding']]).toEqual([text, 'miss', undefined]);
  }
  expect(origin.requests[0]!.headers.authorization).toBeUndefined();
});

test('who may not pass a plugin before it gets nothing from the cache, and an upgrade goes past it', async () => {
  const origin = await startOrigin(counting({ 'Cache-Control': 'max-age=60' }));
  origin.server.on('upgrade', (_request, socket) =>
    socket.end(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello',
    ),
  );
  const sections = '[plugins.key]\ncategory = "key_auth"\nheader = "X-Key"\nkeys = ["k"]\n[plugins.kept]\ncategory = "cache"\n';
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, sections));
  const get = (headers: http.OutgoingHttpHeaders) => ask(gateway.port(), { headers });
  await get({ 'X-Key': 'k' });
  expect(said(await get({ 'X-Key': 'k' }))).toBe('answer 1 hit');
  expect((await get({})).status).toBe(401);
  await gateway.change(`${fileWithPlugins(origin.port, sections)}\n# again\n`);
  expect((await get({ 'X-Key': 'wrong' })).status).toBe(401);
  expect(said(await get({ 'X-Key': 'k' }))).toBe('answer 1 hit');
  const client = await rawClient({ port: gateway.port() });
  client.send(
    'GET / HTTP/1.1\r\nHost: a\r\nX-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await client.until(() => client.text.endsWith('hello'));
});

test('the example of its page runs', async () => {
  const page = readFileSync(new URL('../../docs/plugins/cache.md', import.meta.url), 'utf8');
  const [, example] = /^```toml\n([^]*?)^```$/m.exec(page)!;
  const origin = await startOrigin(counting({ 'Cache-Control': 'max-age=60' }));
  const gateway = await startGatewayOf(made, example!.replace('127.0.0.1:3000', `127.0.0.1:${origin.port}`).replace('0.0.0.0:8080', '127.0.0.1:0'));
  await ask(gateway.port());
  expect(said(await ask(gateway.port()))).toBe('answer 1 hit');
});
