import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { run } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'windlass-route-'));
const file = join(folder, 'windlass.toml');

beforeAll(() => {
  writeFileSync(
    file,
    `
[servers.web]
addr = "127.0.0.1:0"
locations = ["rest", "api", "services", "hook"]

[servers.inner]
addr = "127.0.0.1:1"
locations = ["hook"]

[upstreams.app]
addrs = ["127.0.0.1:3000"]

[upstreams.users]
addrs = ["127.0.0.1:3001"]

[locations.rest]
upstream = "app"
path = "/"

[locations.api]
upstream = "app"
host = "example.com"
path = "/api"
rewrite = "^/api-(.*)$ /$1"

[locations.services]
upstream = "$service"
path = "~^/svc/(?P<service>[a-z]+)/"
rewrite = "^/svc/[a-z]+/ /"

[locations.hook]
upstream = "app"
path = "=/hook"
methods = ["POST"]
`,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function route(...words: string[]) {
  const world = fakeWorld();
  const code = await run(['route', '-c', file, ...words], world);
  return { code, out: world.out(), err: world.err() };
}

test('shows all locations in order, why each wins or not, and what becomes of the request', async () => {
  const { code, out } = await route('--server', 'web', '--host', 'Example.com:80', '--path', '/api-users?x=1');
  expect(code).toBe(0);
  expect(out).toBe(`GET /api-users?x=1 at host Example.com:80

servers.web: location api
    1030  hook      path /api-users is not /hook
->   644  api       host example.com, path /api fit
     283  services  path /api-users does not match ~^/svc/(?P<service>[a-z]+)/
=      0  rest      takes it too, but api is heavier
sent on as /users?x=1 to upstream app
`);
});

test('follows captures to the upstream they name, and says when there is none', async () => {
  const users = await route('--server=web', '--path', '/svc/users/7');
  expect(users.out).toContain('captured: 1=users service=users\nsent on as /7 to upstream users\n');
  const orders = await route('--server=web', '--path', '/svc/orders/7');
  expect(orders.out).toContain('answered here: 404, $service means "orders", and there is no such upstream\n');
});

test('asks every server, and ends with 1 when none has a location for the request', async () => {
  const post = await route('--path', '/hook', '--method', 'POST');
  expect(post.out).toContain('servers.web: location hook');
  expect(post.out).toContain('servers.inner: location hook');
  expect(post.code).toBe(0);
  const get = await route('--path', '/hook', '--server', 'inner');
  expect(get.out).toContain('servers.inner: no location\n    1030  hook  method GET is not POST\nanswered here: 404, no location takes it\n');
  expect(get.code).toBe(1);
});

test('prints the same as JSON', async () => {
  const { out } = await route('--path', '/svc/users/7?a', '--server', 'web', '--header', 'X-A: 1', '--json');
  const page = JSON.parse(out) as { servers: Record<string, unknown>[] };
  expect(page).toMatchObject({ method: 'GET', path: '/svc/users/7?a', headers: ['X-A: 1'] });
  expect(page.servers[0]).toMatchObject({
    server: 'web',
    location: 'services',
    upstream: 'users',
    target: '/7?a',
    status: null,
    captures: { service: 'users' },
  });
  expect((page.servers[0]!['considered'] as unknown[]).length).toBe(4);
});

test('a rewrite that leaves its location is shown as the refusal that it is', async () => {
  const { out } = await route('--server', 'web', '--host', 'example.com', '--path', '/api-../secret');
  expect(out).toContain('answered here: 400, the path leaves its location when it is rewritten');
});

test.each([
  [['--path', '/../x'], /is no request that would be let in: the path .* climbs above \//],
  [['--path', '/a', '--header', 'X-A'], /has no colon; write it as 'X-A: value'/],
  [['--path', '/a', '--header', 'X A: 1'], /is no request that would be let in/],
  [['--server', 'wep'], /--server "wep" is no server of the file; did you mean web\?/],
  [['--paht', '/a'], /did you mean --path\?/],
])('%j is refused, with exit code 2', async (words, message) => {
  const { code, err } = await route(...words);
  expect(err).toMatch(message);
  expect(code).toBe(2);
});

test('a file is needed', async () => {
  const world = fakeWorld();
  expect(await run(['route', '--path', '/a'], world)).toBe(2);
  expect(world.err()).toContain('route needs -c FILE');
});
