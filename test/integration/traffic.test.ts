import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { LogEntry, Page, TrafficItem, TrafficSettings, TrafficStory } from '../../src/admin/model.ts';
import { LogRing } from '../../src/observe/log-ring.ts';
import { createLog } from '../../src/observe/log.ts';
import { REPLAY_BYTES } from '../../src/proxy/limits.ts';
import { ask } from '../kit/ask.ts';
import { openEvents } from '../kit/event-client.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, portOf } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { until } from '../kit/until.ts';

const on = kit();
const run = promisify(execFile);

function fileTo(port: number, inspector = 100, more = ''): string {
  return `[basic]
admin_addr = "127.0.0.1:0"
auto_restart_check_interval = "0s"
drain_timeout = "1s"
inspector = ${inspector}
[servers.shop]
addr = "127.0.0.1:0"
locations = ["api", "rest"]
access_log = "off"
[locations.api]
path = "/api"
upstream = "one"
proxy_set_headers = ["X-Shop: 1"]
[locations.rest]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${port}"]
${more}`;
}

async function start(inspector?: number, more?: string) {
  const origin = await on.startOrigin((request, response) => {
    if (request.url!.startsWith('/broken')) response.writeHead(500);
    if (request.url!.startsWith('/secret')) response.setHeader('Set-Cookie', 'sid=canary');
    response.end('hello');
  });
  const stateDir = on.folder();
  const gateway = await startGatewayOf(on, fileTo(origin.port, inspector, more), { stateDir });
  return { origin, gateway, stateDir, operator: new Operator(gateway, stateDir), port: gateway.port() };
}

const list = (operator: Operator, query = ''): Promise<Page<TrafficItem>> => operator.get(`/traffic${query}`);

test('the last requests are listed, the latest first, with what became of them', async () => {
  const { operator, port } = await start();
  await ask(port, { path: '/api/one?page=1&token=canary' });
  await ask(port, { path: '/broken', method: 'POST', body: 'four' });
  const { total, items } = await list(operator);
  expect(total).toBe(2);
  expect(items).toMatchObject([
    {
      method: 'POST',
      target: '/broken',
      status: 500,
      server: 'shop',
      location: 'rest',
      upstream: 'one',
      requestBytes: 4,
      replyBytes: 5,
      attempts: 1,
    },
    {
      method: 'GET',
      target: '/api/one?page=1&token=***',
      status: 200,
      location: 'api',
      host: `127.0.0.1:${port}`,
      protocol: 'HTTP/1.1',
      client: '127.0.0.1',
    },
  ]);
  expect(items[0]!.totalMs).toBeGreaterThanOrEqual(items[0]!.firstByteMs);
  expect((await list(operator, `?before=${items[0]!.id}`)).items.map(({ id }) => id)).toEqual([items[1]!.id]);
  expect((await list(operator, '?limit=1')).items).toHaveLength(1);
});

test('filters say which requests, and one that is none is refused', async () => {
  const { operator, port } = await start();
  for (const path of ['/api/a', '/api/b', '/broken', '/other']) await ask(port, { path });
  await ask(port, { path: '/api/a', method: 'HEAD' });
  const seen = async (query: string): Promise<string[]> =>
    (await list(operator, query)).items.map(({ method, target }) => `${method} ${target}`).reverse();
  expect(await seen('?status=5xx')).toEqual(['GET /broken']);
  expect(await seen('?status=%3E%3D500')).toEqual(['GET /broken']);
  expect(await seen('?status=200-299&path=/api')).toEqual(['GET /api/a', 'GET /api/b', 'HEAD /api/a']);
  expect(await seen('?path=/*o*r')).toEqual(['GET /other']);
  expect(await seen('?location=api&method=get')).toEqual(['GET /api/a', 'GET /api/b']);
  expect(await seen('?slow=1h')).toEqual([]);
  expect(await seen('?server=shop&host=127.0.0.1&method=HEAD')).toEqual(['HEAD /api/a']);
  expect(await operator.ask('GET', '/traffic?status=soon')).toMatchObject({ status: 400, json: { code: 'bad_query' } });
  expect(await operator.ask('GET', '/traffic?slow=x')).toMatchObject({ status: 400 });
});

test('a story has the heads as they came, as they were sent and as they were answered, without secrets, and where the time went', async () => {
  const { operator, port } = await start();
  await ask(port, { path: '/secret/api', headers: { Authorization: 'Bearer canary', Cookie: 'a=canary', 'X-Api-Key': 'canary', 'X-Plain': 'yes' } });
  await ask(port, { path: '/api/x' });
  const { items } = await list(operator);
  const story = await operator.get<TrafficStory>(`/traffic/${items[1]!.id}`);
  expect(JSON.stringify(story)).not.toContain('canary');
  expect(Object.fromEntries(story.requestHeaders)).toMatchObject({
    Authorization: '********',
    Cookie: '********',
    'X-Api-Key': '********',
    'X-Plain': 'yes',
  });
  expect(Object.fromEntries(story.sentHeaders)).toMatchObject({ 'X-Forwarded-For': '127.0.0.1', 'X-Plain': 'yes', Authorization: '********' });
  expect(Object.fromEntries(story.replyHeaders)).toMatchObject({ 'Set-Cookie': '********' });
  expect(story.spans.map(({ name }) => name)).toEqual(['hub', 'connect', 'upstream', 'answer']);
  const end = story.spans.at(-1)!;
  expect(end.startMs + end.ms).toBeCloseTo(story.totalMs, 0);
  const edited = await operator.get<TrafficStory>(`/traffic/${items[0]!.id}`);
  expect(Object.fromEntries(edited.requestHeaders)).not.toHaveProperty('X-Shop');
  expect(Object.fromEntries(edited.sentHeaders)).toMatchObject({ 'X-Shop': '1' });
  expect(await operator.ask('GET', '/traffic/nothing')).toMatchObject({ status: 404, json: { code: 'not_kept' } });
});

test('secrets are hidden under whatever name plugins take them, and in addresses anywhere in a head [threat 62]', async () => {
  const origin = await on.startOrigin((_, response) => response.setHeader('X-Next', 'https://u:canary@example.com/?id_token=canary&page=2').end());
  const stateDir = on.folder();
  const plugin =
    '[plugins.door]\ncategory = "key_auth"\nquery = "k"\nkeys = ["canary-1"]\n[plugins.jwt]\ncategory = "jwt"\nheader = "X-Mine"\nsecret = "canary-0123456789012345678901234567890"\n';
  const file = fileTo(origin.port, 100, plugin).replace('path = "/api"', 'path = "/api"\nplugins = ["door"]');
  const gateway = await startGatewayOf(on, file, { stateDir });
  const operator = new Operator(gateway, stateDir);
  await ask(gateway.port(), {
    path: '/api?k=canary-1&page=1&refresh_token=canary',
    headers: { 'X-Mine': 'canary', 'X-Auth-Key': 'canary', 'X-Original-Url': '/y?sig=canary', 'X-Any': 'Bearer canary-canary' },
  });
  const { items } = await list(operator);
  expect(items[0]).toMatchObject({ status: 200, target: '/api?k=***&page=1&refresh_token=***' });
  const story = await operator.get<TrafficStory>(`/traffic/${items[0]!.id}`);
  expect(JSON.stringify([items, story])).not.toContain('canary');
  expect(Object.fromEntries(story.requestHeaders)).toMatchObject({ 'X-Mine': '********', 'X-Original-Url': '/y?sig=***' });
  expect(Object.fromEntries(story.replyHeaders)).toMatchObject({ 'X-Next': 'https://***@example.com/?id_token=***&page=2' });
});

test('the story of a request to an agent tells what the tunnel, the agent and its service took', async () => {
  const origin = await on.startOrigin();
  const stateDir = on.folder();
  const hub = await on.startHubWith({ inspector: 10 }, {}, { stateDir });
  await on.startAgentFor(hub, origin, { agentId: 'gpu-1' });
  await ask(portOf(hub), { path: '/v1' });
  const operator = new Operator(hub, stateDir);
  const [item] = (await list(operator)).items;
  expect(item).toMatchObject({ agent: 'gpu-1', status: 200 });
  const { spans } = await operator.get<TrafficStory>(`/traffic/${item!.id}`);
  expect(spans.map(({ name }) => name)).toEqual(['hub', 'tunnel', 'agent', 'connect', 'upstream', 'answer']);
  const by = Object.fromEntries(spans.map((span) => [span.name, span]));
  const ends = ({ startMs, ms }: { startMs: number; ms: number }): number => startMs + ms;
  // Times are told in tenths.
  expect(by['agent']!.startMs).toBeGreaterThanOrEqual(by['tunnel']!.startMs - 0.2);
  expect(ends(by['agent']!)).toBeLessThanOrEqual(ends(by['tunnel']!) + 0.2);
  expect(ends(by['upstream']!)).toBeLessThanOrEqual(ends(by['agent']!) + 0.2);
});

test('the story tells what waiting for plugins took, and which, also of a request that they answered', async () => {
  const auth = await on.startOrigin((request, response) => {
    setTimeout(() => response.writeHead(request.headers['x-key'] === 'k' ? 200 : 401).end(), 20);
  });
  const origin = await on.startOrigin();
  const stateDir = on.folder();
  const file = fileTo(origin.port).replace('proxy_set_headers = ["X-Shop: 1"]', 'plugins = ["plain", "ask", "again"]');
  const asks = ['ask', 'again'].map((name) => `[plugins.${name}]\ncategory = "forward_auth"\nauth_url = "http://127.0.0.1:${auth.port}/"\n`);
  const plain = '[plugins.plain]\ncategory = "response_headers"\nset_headers = ["X-A: 1"]\n';
  const gateway = await startGatewayOf(on, `${file}${plain}${asks.join('')}`, { stateDir });
  const operator = new Operator(gateway, stateDir);
  await ask(gateway.port(), { path: '/api/in', headers: { 'X-Key': 'k' } });
  await ask(gateway.port(), { path: '/api/out' });
  await ask(gateway.port(), { path: '/rest' });
  const stories = await Promise.all((await list(operator)).items.map(({ id }) => operator.get<TrafficStory>(`/traffic/${id}`)));
  const [rest, out, taken] = stories.map((story) => ({ ...story, names: story.spans.map(({ name }) => name) }));
  expect(taken!.names).toEqual(['hub', 'plugins', 'connect', 'upstream', 'answer']);
  expect(out!.names).toEqual(['hub', 'plugins']);
  expect(rest!.names).not.toContain('plugins');
  for (const [story, detail, ms] of [
    [out!, 'ask', 15],
    [taken!, 'ask, again', 30],
  ] as const) {
    const [hub, plugins] = story.spans;
    expect(plugins).toMatchObject({ detail });
    expect(plugins!.ms).toBeGreaterThan(ms);
    expect(plugins!.startMs + plugins!.ms).toBeLessThanOrEqual(hub!.ms + 0.2);
  }
});

test('of a plugin that makes a request wait until its client has left, the story tells that it waited until then', async () => {
  const auth = await on.startOrigin(() => {});
  const origin = await on.startOrigin();
  const stateDir = on.folder();
  const file = fileTo(origin.port).replace('proxy_set_headers = ["X-Shop: 1"]', 'plugins = ["ask"]');
  const gateway = await startGatewayOf(on, `${file}[plugins.ask]\ncategory = "forward_auth"\nauth_url = "http://127.0.0.1:${auth.port}/"\n`, {
    stateDir,
  });
  const operator = new Operator(gateway, stateDir);
  const client = await on.rawClient({ port: gateway.port() });
  client.send('GET /api HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('the question', () => auth.requests.length === 1);
  const [running] = (await list(operator)).items;
  expect((await operator.get<TrafficStory>(`/traffic/${running!.id}`)).spans.map(({ name }) => name)).toEqual(['hub', 'plugins']);
  client.socket.destroy();
  const story = await until('its end', async () => {
    const now = await operator.get<TrafficStory>(`/traffic/${running!.id}`);
    return now.status === 0 ? null : now;
  });
  expect(story.status).toBe(499);
  const [hub, plugins] = story.spans;
  expect(plugins!.startMs + plugins!.ms).toBeCloseTo(hub!.ms, 0);
});

test('a request that runs is listed without a status, and one that failed says why', async () => {
  let release!: () => void;
  const origin = await on.startOrigin((_, response) => {
    release = () => response.end();
  });
  const stateDir = on.folder();
  const gateway = await startGatewayOf(
    on,
    `${fileTo(origin.port)}\n[upstreams.gone]\naddrs = ["127.0.0.1:1"]\n`.replace(
      'path = "/api"\nupstream = "one"',
      'path = "/api"\nupstream = "gone"',
    ),
    {
      stateDir,
    },
  );
  const operator = new Operator(gateway, stateDir);
  const running = ask(gateway.port(), { path: '/slow' });
  const [item] = (
    await until('a request', async () => ((await list(operator)).items.length > 0 && origin.requests.length > 0 ? list(operator) : null))
  ).items;
  expect(item).toMatchObject({ target: '/slow', status: 0, failure: '' });
  expect((await operator.get<TrafficStory>(`/traffic/${item!.id}`)).replay).toEqual({ possible: false, why: 'it has not ended yet' });
  release();
  await running;
  expect((await ask(gateway.port(), { path: '/api' })).status).toBe(502);
  const [failed] = (await list(operator)).items;
  expect(failed).toMatchObject({ status: 502, failure: 'connect_refused', location: 'api' });
  expect((await operator.get<TrafficStory>(`/traffic/${failed!.id}`)).failureDetail).not.toBe('');
});

test('only as many are kept as are wanted, and what is switched on and off takes effect at once', async () => {
  const { operator, port, gateway, origin } = await start(0);
  await ask(port);
  expect(await list(operator)).toEqual({ total: 0, items: [] });
  expect(await operator.get<TrafficSettings>('/traffic/settings')).toEqual({ enabled: false, size: 1_000 });
  expect((await operator.ask('PUT', '/traffic/settings', { enabled: true, size: 3 })).json).toEqual({ enabled: true, size: 3 });
  for (let i = 0; i < 5; i++) await ask(port, { path: `/${i}` });
  expect((await list(operator)).items.map(({ target }) => target)).toEqual(['/4', '/3', '/2']);
  await operator.ask('PUT', '/traffic/settings', { enabled: true, size: 2 });
  expect((await list(operator)).items.map(({ target }) => target)).toEqual(['/4', '/3']);
  await operator.ask('PUT', '/traffic/settings', { enabled: true, size: 10 });
  await ask(port, { path: '/5' });
  expect((await list(operator)).items.map(({ target }) => target)).toEqual(['/5', '/4', '/3']);
  // A reload leaves what an operator has switched, unless the file says something else about it.
  await gateway.change(fileTo(origin.port, 0, '# changed\n'));
  expect((await operator.get<TrafficSettings>('/traffic/settings')).enabled).toBe(true);
  await gateway.change(fileTo(origin.port, 7));
  expect(await operator.get<TrafficSettings>('/traffic/settings')).toEqual({ enabled: true, size: 7 });
  expect((await operator.ask('DELETE', '/traffic')).status).toBe(204);
  expect((await list(operator)).total).toBe(0);
  await operator.ask('PUT', '/traffic/settings', { enabled: false, size: 7 });
  await ask(port);
  expect((await list(operator)).total).toBe(0);
  for (const body of [{ enabled: true, size: 0 }, { enabled: true, size: 1e9 }, { size: 3 }, { enabled: 'yes', size: 3 }])
    expect((await operator.ask('PUT', '/traffic/settings', body)).status).toBe(422);
});

test('pages that listen hear of requests as they end, those that they want', async () => {
  const { operator, gateway, stateDir, port } = await start();
  const all = await openEvents(on, gateway, stateDir, '/traffic/events');
  const bad = await openEvents(on, gateway, stateDir, '/traffic/events?status=%3E%3D500');
  await ask(port, { path: '/fine' });
  await ask(port, { path: '/broken' });
  const [fine, broken] = await all.seen<TrafficItem>('exchange', 2);
  expect([fine!.target, broken!.target]).toEqual(['/fine', '/broken']);
  expect((await bad.seen<TrafficItem>('exchange', 1)).map(({ target }) => target)).toEqual(['/broken']);
  expect((await list(operator)).items.map(({ id }) => id)).toEqual([broken!.id, fine!.id]);
});

test('a request without a body is sent again, with its secrets, and is marked as such', async () => {
  const { origin, operator, port } = await start();
  await ask(port, { path: '/api/x?token=canary', headers: { Authorization: 'Bearer canary' } });
  const [first] = (await list(operator)).items;
  const { status, json } = await operator.ask<{ id: string }>('POST', `/traffic/${first!.id}/replay`);
  expect(status).toBe(202);
  const again = await until('the second', async () => {
    const story = await operator.get<TrafficStory>(`/traffic/${json.id}`);
    return story.status === 0 ? null : story;
  });
  expect(again).toMatchObject({ replayOf: first!.id, status: 200, target: '/api/x?token=***', location: 'api', client: '127.0.0.1', replyBytes: 5 });
  expect(origin.requests).toHaveLength(2);
  expect(origin.requests[1]).toMatchObject({ url: '/api/x?token=canary', headers: { authorization: 'Bearer canary', 'x-shop': '1' } });
  expect(first!.replayOf).toBe('');
});

test('a request of HTTP/2 is shown and sent again like others', async () => {
  const { origin, operator, port } = await start();
  const session = http2.connect(`http://127.0.0.1:${port}`);
  on.later(() => session.destroy());
  const stream = session.request({ ':path': '/api/two?x=1', 'x-plain': 'yes', cookie: ['a=canary', 'b=canary'] });
  stream.resume();
  await once(stream, 'close');
  const [item] = (await list(operator)).items;
  expect(item).toMatchObject({ protocol: 'HTTP/2', method: 'GET', target: '/api/two?x=1', host: `127.0.0.1:${port}`, status: 200 });
  const story = await operator.get<TrafficStory>(`/traffic/${item!.id}`);
  expect(Object.fromEntries(story.requestHeaders)).toMatchObject({ 'x-plain': 'yes', cookie: '********' });
  const { json } = await operator.ask<{ id: string }>('POST', `/traffic/${item!.id}/replay`);
  await until('the second', async () => ((await operator.get<TrafficStory>(`/traffic/${json.id}`)).status === 0 ? null : true));
  expect(await operator.get<TrafficStory>(`/traffic/${json.id}`)).toMatchObject({ protocol: 'HTTP/2', status: 200, replayOf: item!.id });
  expect(origin.requests.map(({ url }) => url)).toEqual(['/api/two?x=1', '/api/two?x=1']);
});

test('what may change something, or had a body, is not sent again, and the answer says why', async () => {
  const { operator, port, origin } = await start();
  await ask(port, { path: '/x', method: 'DELETE' });
  await ask(port, { path: '/x', method: 'GET', headers: { 'Content-Length': '3' }, body: 'abc' });
  const { items } = await list(operator);
  for (const [item, why] of [
    [items[0]!, 'bodies are not kept'],
    [items[1]!, 'DELETE may change something'],
  ] as const) {
    const { replay } = await operator.get<TrafficStory>(`/traffic/${item.id}`);
    expect(replay.possible).toBe(false);
    expect(replay.why).toContain(why);
    expect(await operator.ask('POST', `/traffic/${item.id}/replay`)).toMatchObject({
      status: 409,
      json: { code: 'no_replay', detail: expect.stringContaining(why) },
    });
  }
  expect(await operator.ask('POST', '/traffic/nothing/replay')).toMatchObject({ status: 404 });
  expect(origin.requests).toHaveLength(2);
});

test('the curl line sends the same request again, whatever is in it', async () => {
  const { origin, operator, port } = await start();
  const client = await on.rawClient({ port });
  const path = '/api/it\'s/{a,b}[1-3]/$HOME/`id`?q=%20"';
  client.send(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Odd: $(id) 'quoted' "more" \\ !\r\nX-Wide: caf\xe9\r\nX-Empty:\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: canary\r\n\r\n`,
  );
  await client.until((self) => self.text.includes('hello'), 'the answer');
  const [item] = (await list(operator)).items;
  const { curl } = await operator.get<TrafficStory>(`/traffic/${item!.id}`);
  expect(curl).not.toContain('canary');
  expect(curl).toContain('********');
  await run('bash', ['-c', `${curl} -sS -o /dev/null --max-time 5`]);
  const [first, again] = origin.requests;
  expect(again!.url).toBe(first!.url);
  for (const name of ['x-odd', 'x-wide', 'x-empty', 'user-agent', 'accept'])
    expect([name, again!.headers[name]]).toEqual([name, first!.headers[name]]);
});

test('control characters and markup in a request come out as plain JSON, and a head that cannot be read is an entry all the same', async () => {
  const { gateway, operator, port, stateDir } = await start();
  const client = await on.rawClient({ port });
  client.send('GET /<script>alert(1)</script> HTTP/1.1\r\nHost: a\r\nX-Evil: \x1b[31mred\r\n\r\n');
  await client.until((self) => self.text.includes('HTTP/1.1 4'), 'the refusal');
  const other = await on.rawClient({ port });
  other.send('GET /<b>/\x9b31m HTTP/1.1\r\nHost: a\r\nX-Mark: \x9b31m<img src=x>\r\n\r\n');
  await other.until((self) => self.text.includes('HTTP/1.1 '), 'an answer');
  const { items } = await list(operator);
  expect(items).toHaveLength(2);
  const token = readFileSync(join(stateDir, `admin-token-${gateway.adminAddress!.port}`), 'latin1').trim();
  for (const path of ['', ...items.map(({ id }) => `/${id}`)]) {
    const { status, body } = await ask(gateway.adminAddress!.port, { path: `/api/v1/traffic${path}`, headers: { authorization: `Bearer ${token}` } });
    expect(status).toBe(200);
    // oxlint-disable-next-line no-control-regex -- control characters are the subject
    expect(body.toString('latin1')).toMatch(/^[^<>\x00-\x09\x0b-\x1f\x7f-\xff]*$/);
  }
});

test('the last lines of the log are shown, by level and text, and as they come', async () => {
  const origin = await on.startOrigin();
  const stateDir = on.folder();
  const lines = new LogRing();
  const written: string[] = [];
  const log = lines.beside(createLog({ format: 'json', stream: { write: (text) => written.push(text) } }));
  const gateway = await startGatewayOf(on, fileTo(origin.port), { stateDir, log, lines });
  const operator = new Operator(gateway, stateDir);
  const events = await openEvents(on, gateway, stateDir, '/logs/events?level=warn');
  log.info({ port: 1 }, 'first');
  log.child({ agent: 'gpu' }).warn({ token: 'canary', hub: 'http://user:canary@hub' }, 'second http://a:canary@b/?token=canary');
  log.debug({}, 'not wanted');
  log.error({ error: new Error('broken') }, 'third');
  const page = await operator.get<Page<LogEntry>>('/logs?limit=2');
  expect(page.items.map(({ message }) => message)).toEqual(['third', 'second http://***@b/?token=***']);
  expect(page.items[1]).toMatchObject({ level: 'warn', fields: { agent: 'gpu', token: '***', hub: 'http://***@hub' } });
  expect((await operator.get<Page<LogEntry>>('/logs?level=error')).items.map(({ message }) => message)).toEqual(['third']);
  expect((await operator.get<Page<LogEntry>>('/logs?query=GPU')).items).toHaveLength(1);
  expect(JSON.stringify(await operator.get('/logs'))).not.toContain('canary');
  expect(JSON.stringify(await operator.get('/logs'))).not.toContain('not wanted');
  expect((await events.seen<LogEntry>('line', 2)).map(({ level }) => level)).toEqual(['warn', 'error']);
  expect((await operator.ask('GET', '/logs?level=loud')).status).toBe(400);
  expect(written.join('')).toContain('first');
});

test('the answer to what is sent again is read for nobody, up to a bound', async () => {
  let bytes = 5;
  const origin = await on.startOrigin((_request, response) => {
    response.end(Buffer.alloc(bytes));
  });
  const stateDir = on.folder();
  const gateway = await startGatewayOf(on, fileTo(origin.port), { stateDir });
  const operator = new Operator(gateway, stateDir);
  await ask(gateway.port(), { path: '/much' });
  const [first] = (await list(operator)).items;
  const again = async (size: number): Promise<TrafficStory> => {
    bytes = size;
    const { json } = await operator.ask<{ id: string }>('POST', `/traffic/${first!.id}/replay`);
    return until('its end', async () => {
      const story = await operator.get<TrafficStory>(`/traffic/${json.id}`);
      return story.status === 0 ? null : story;
    });
  };
  expect(await again(REPLAY_BYTES)).toMatchObject({ status: 200, failure: '', replyBytes: REPLAY_BYTES });
  const cut = await again(REPLAY_BYTES + 1);
  expect(cut.failureDetail).toContain('is too large');
});
