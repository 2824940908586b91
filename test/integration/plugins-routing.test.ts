import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { placeOf } from '../../src/plugins/traffic-splitting.ts';
import { loadGateway } from '../../src/config/gateway.ts';
import { SettingsError } from '../../src/config/settings-error.ts';
import { ask, fileWithPlugins } from '../kit/ask.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';

const made = kit();
const { startOrigin, folder, rawClient } = made;

/** A gateway that splits between two origins which say their names. */
async function splitting(settings: string): Promise<(headers?: Record<string, string>) => Promise<string>> {
  const [stable, next] = await Promise.all(['stable', 'next'].map((name) => startOrigin((_request, response) => void response.end(name))));
  const gateway = await startGatewayOf(
    made,
    `${fileWithPlugins(stable!.port, `[plugins.split]\ncategory = "traffic_splitting"\nupstream = "next"\n${settings}\n`)}
[upstreams.next]
addrs = ["127.0.0.1:${next!.port}"]\n`,
  );
  return async (headers = {}) => (await ask(gateway.port(), { headers })).text;
}

test.each([
  ['weight = 0', 'stable'],
  ['weight = 100', 'next'],
])('with %s every request goes to %s', async (settings, to) => {
  const send = await splitting(settings);
  for (let i = 0; i < 10; i++) expect(await send()).toBe(to);
});

test('a share goes each way, by chance', async () => {
  const send = await splitting('weight = 50');
  const seen = new Set<string>();
  // That all of them go one way happens once in 10^30 runs.
  for (let i = 0; i < 100 && seen.size < 2; i++) seen.add(await send());
  expect(seen.size).toBe(2);
});

test('the same cookie goes the same way every time, and who has none is never sent away', async () => {
  const send = await splitting('weight = 50\nstickiness = true\nsticky_cookie = "user"');
  for (let i = 0; i < 12; i++) {
    const to = placeOf(`u${i}`) < 50 ? 'next' : 'stable';
    expect([await send({ Cookie: `a=b; user=u${i}` }), await send({ Cookie: `user=u${i}; c=d` })]).toEqual([to, to]);
  }
  expect([await send(), await send({ Cookie: 'user=' }), await send({ Cookie: `other=${'x'.repeat(9000)}` })]).toEqual([
    'stable',
    'stable',
    'stable',
  ]);
});

test('a place is the CRC-32 of the bytes modulo 100: the check value of the algorithm is 3,421,780,262', () => {
  expect(placeOf('123456789')).toBe(62);
});

test('a matcher chooses by value, and a weight among those', async () => {
  const send = await splitting('stickiness = true\nsticky_header = "X-Group"\nmatcher = "^beta-"');
  expect([await send({ 'X-Group': 'beta-1' }), await send({ 'X-Group': 'xbeta-1' }), await send()]).toEqual(['next', 'stable', 'stable']);
  const some = await splitting('stickiness = true\nsticky_header = "X-Group"\nmatcher = "^beta-"\nweight = 50');
  for (let i = 0; i < 8; i++) expect(await some({ 'X-Group': `beta-${i}` })).toBe(placeOf(`beta-${i}`) < 50 ? 'next' : 'stable');
});

test.each([
  ['^/v1/(.*)$ /api/$1', '/v1/x?q=%2F', 200, '/api/x?q=%2F'],
  ['^/v1/(?P<rest>.*)$ /api/${rest}', '/v1/a/b', 200, '/api/a/b'],
  ['^/v1/ /', '/other', 200, '/other'],
  // A capture is a piece of a path, and stays one.
  ['^/go/(.*)$ /$1', '/go//evil.example/x', 200, '//evil.example/x'],
  ['^/x(.*)$ /.$1', '/x./secret', 400, null],
  ['^/x(.*)$ /a$1', '/x%0d%0aSet-Cookie:%20a=b', 200, '/a%0d%0aSet-Cookie:%20a=b'],
])('[threat 19] rewrite %j makes of %s: %i %s', async (rewrite, path, status, target) => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, `[plugins.p]\ncategory = "rewrite"\nrewrite = '${rewrite}'\n`));
  const client = await rawClient({ port: gateway.port() });
  client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  expect((await client.answer()).status).toBe(status);
  expect(origin.requests[0]?.url ?? null).toBe(target);
});

test('rewrite takes what the location captured, after what the location rewrote, and its place among plugins counts', async () => {
  const origin = await startOrigin();
  const text = fileWithPlugins(
    origin.port,
    '[plugins.ping]\ncategory = "ping"\npath = "/t/acme/x"\n[plugins.p]\ncategory = "rewrite"\nrewrite = \'^/t/[a-z]+/ /$tenant-\'\n[plugins.late]\ncategory = "ping"\npath = "/acme-y"\n',
  ).replace('[locations.all]', '[locations.all]\npath = "~^/t/(?P<tenant>[a-z]+)/"');
  const gateway = await startGatewayOf(made, text);
  expect((await ask(gateway.port(), { path: '/t/acme/x' })).text).toBe('pong');
  expect((await ask(gateway.port(), { path: '/t/acme/y' })).text).toBe('pong');
  await ask(gateway.port(), { path: '/t/acme/z?q' });
  expect(origin.requests.map(({ url }) => url)).toEqual(['/acme-z?q']);
});

test('[threat 58] a path too long for a pattern that could be busy with it is 414', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    made,
    fileWithPlugins(origin.port, '[plugins.p]\ncategory = "rewrite"\nrewrite = \'^/(.*)/(.*)/x(.*)$ /$2\'\n'),
  );
  expect((await ask(gateway.port(), { path: `/${'a/'.repeat(2000)}x` })).status).toBe(414);
});

test('stats tells how the process fares, at its path alone', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, '[plugins.p]\ncategory = "stats"\npath = "/fares"\n'));
  for (let i = 0; i < 3; i++) expect((await ask(gateway.port())).text).toBe('ok');
  const answer = await ask(gateway.port(), { path: '/fares' });
  expect([answer.status, answer.headers['content-type'], answer.headers['cache-control']]).toEqual([200, 'application/json', 'no-store']);
  const stats = JSON.parse(answer.text) as Record<string, number | string>;
  expect(stats).toMatchObject({ processing: 1, accepted: 4, failures: 0, hostname: hostname(), pid: process.pid });
  expect(stats['memory']).toBeGreaterThan(1_000_000);
  expect(Math.abs(Date.parse(String(stats['start_time'])) - (Date.now() - process.uptime() * 1000))).toBeLessThan(60_000);
});

test('pingap:stats needs no section', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileWithPlugins(origin.port, '').replace('plugins = []', 'plugins = ["pingap:stats"]'));
  expect(JSON.parse((await ask(gateway.port(), { path: '/stats' })).text)).toMatchObject({ processing: 1 });
});

test.each([
  ['category = "traffic_splitting"\nweight = 1', 'plugins.p needs upstream'],
  ['category = "traffic_splitting"\nupstream = "onee"\nweight = 1', 'plugins.p.upstream "onee" is no upstream; did you mean one?'],
  ['category = "traffic_splitting"\nupstream = "one"\nweight = 101', 'is out of range'],
  ['category = "traffic_splitting"\nupstream = "one"\nmatcher = "(?=x)"', 'look-around'],
  ['category = "rewrite"', 'plugins.p needs rewrite'],
  ['category = "rewrite"\nrewrite = \'^/a /$1\'', 'uses $1'],
  ['category = "stats"\npath = "stats"', 'begin it with /'],
])('a wrong option is refused at load with its place: %j', async (section, said) => {
  const file = join(folder(), 'windlass.toml');
  writeFileSync(file, fileWithPlugins(1, `[plugins.p]\n${section}\n`));
  const error = (await loadGateway(file, {}).catch((problem: unknown) => problem)) as SettingsError;
  expect(error).toBeInstanceOf(SettingsError);
  expect(error.lines.join('\n')).toContain(said);
  expect(error.lines[0]).toMatch(/windlass\.toml:\d+:\d+ plugins\.p/);
});

test.each([
  ['upstream = "one"', 'has no weight'],
  ['upstream = "one"\nweight = 1\nstickiness = true', 'has stickiness and nothing to go by'],
  ['upstream = "one"\nweight = 1\nsticky_cookie = "a"', 'names a cookie or header that is not used'],
  ['upstream = "one"\nweight = 1\nmatcher = "a"', 'has a matcher and nothing to match'],
])('options that do not fit together are refused: %j', async (settings, said) => {
  await expect(startGatewayOf(made, fileWithPlugins(1, `[plugins.p]\ncategory = "traffic_splitting"\n${settings}\n`))).rejects.toThrow(said);
});

test.each(['traffic-splitting', 'rewrite', 'stats'])('the example of the page of %s runs', async (name) => {
  const page = readFileSync(new URL(`../../docs/plugins/${name}.md`, import.meta.url), 'utf8');
  const example = /```toml\n([^]*?)```/.exec(page)![1]!.replace(/(?:0\.0\.0\.0|127\.0\.0\.1):8080/, '127.0.0.1:0');
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, example.replaceAll(/127\.0\.0\.1:300\d/g, `127.0.0.1:${origin.port}`));
  expect((await ask(gateway.port(), { path: '/v1/x' })).status).toBe(200);
  if (name === 'stats') expect((await ask(gateway.port(), { path: '/stats' })).headers['content-type']).toBe('application/json');
});
