import { expect, test } from 'vitest';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';

const made = kit();
const { startOrigin, rawClient } = made;

/** An origin that says what it was asked for: the target, byte for byte, and its name. */
async function echo(name: string): Promise<number> {
  const origin = await startOrigin((request, response) => response.end(`${name} ${request.url}`));
  return origin.port;
}

/** Asks with exactly these bytes as target. */
async function ask(gateway: TestGateway, target: string, lines: readonly string[] = [], method = 'GET'): Promise<string> {
  const client = await rawClient({ port: gateway.port() });
  const host = lines.some((line) => line.startsWith('Host:')) ? [] : ['Host: a.io'];
  client.send([`${method} ${target} HTTP/1.1`, ...host, ...lines, 'Connection: close', '', ''].join('\r\n'));
  const answer = await client.answer();
  return answer.status === 200 ? answer.body.toString('latin1') : String(answer.status);
}

test('[threat 27] [threat 28] every spelling of a path is routed and forwarded as one and the same, or refused', async () => {
  const [admin, rest] = [await echo('admin'), await echo('rest')];
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["rest", "admin", "exact", "regex"]
[locations.admin]
path = "/admin"
upstream = "admin"
[locations.exact]
path = "=/only"
upstream = "admin"
[locations.regex]
path = "~^/v\\\\d+/secret$"
upstream = "admin"
weight = 9
[locations.rest]
path = "/"
upstream = "rest"
[upstreams.admin]
addrs = ["127.0.0.1:${admin}"]
[upstreams.rest]
addrs = ["127.0.0.1:${rest}"]
`,
  );
  const expected: Record<string, string> = {
    '/admin': 'admin /admin',
    '/admin/x': 'admin /admin/x',
    '/x/../admin': 'admin /admin',
    '/x/%2e%2e/admin?q=/../': 'admin /admin?q=/../',
    '/x/.%2E/admin/': 'admin /admin/',
    '/./admin': 'admin /admin',
    '/admin/..;/x': 'admin /admin/..;/x',
    '/admin%2f..%2fx': 'admin /admin%2f..%2fx',
    '/admin/../x': 'rest /x',
    '/admin/%2e%2e/x': 'rest /x',
    '/x%2fadmin': 'rest /x%2fadmin',
    '/x/%2e%2e%2fadmin': 'rest /x/%2e%2e%2fadmin',
    '/Admin': 'rest /Admin',
    '//admin': 'rest //admin',
    '/%252e%252e/admin': 'rest /%252e%252e/admin',
    '/only': 'admin /only',
    '/x/../only?y': 'admin /only?y',
    '/only/': 'rest /only/',
    '/only;x': 'rest /only;x',
    '/v1/secret': 'admin /v1/secret',
    '/v1/./secret': 'admin /v1/secret',
    '/v1/x/%2e./secret': 'admin /v1/secret',
    '/v1/secret/': 'rest /v1/secret/',
    'http://a.io/x/../admin': 'admin /admin',
    'http://a.io': 'rest /',
    '/../admin': '400',
    '/x/../../admin': '400',
    '/%2e%2e/admin': '400',
    '/admin%00': '400',
    '/admin%zz': '400',
    '/x\\..\\admin': '400',
    '/x#/admin': '400',
  };
  const got: Record<string, string> = {};
  for (const target of Object.keys(expected)) got[target] = await ask(gateway, target);
  expect(got).toEqual(expected);
});

test('hosts in every form, methods and conditions choose', async () => {
  const port = await echo('app');
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["exact", "below", "regex", "six", "post", "beta"]
[locations.exact]
host = "Example.com"
rewrite = "^ /exact"
upstream = "app"
[locations.below]
host = "*.example.com"
rewrite = "^ /below"
upstream = "app"
[locations.regex]
host = "~^(?P<tenant>\\\\w+)\\\\.inner$"
rewrite = "^ /tenant-$tenant"
upstream = "app"
[locations.six]
host = "[::1]"
rewrite = "^ /six"
upstream = "app"
[locations.post]
path = "/w"
methods = ["POST"]
upstream = "app"
[locations.beta]
match_headers = ["x-beta:1"]
match_query = ["q"]
match_cookies = ["group:~^[ab]$"]
upstream = "app"
[upstreams.app]
addrs = ["127.0.0.1:${port}"]
`,
  );
  const of = (host: string): Promise<string> => ask(gateway, '/x', [`Host: ${host}`]);
  expect(await of('EXAMPLE.com:99')).toBe('app /exact/x');
  expect(await of('example.com.')).toBe('app /exact/x');
  expect(await of('a.b.example.com')).toBe('app /below/x');
  expect(await of('acme.inner:80')).toBe('app /tenant-acme/x');
  expect(await of('[0:0:0::1]:80')).toBe('app /six/x');
  expect(await of('other.io')).toBe('404');
  expect(await ask(gateway, '/w', ['Content-Length: 0'], 'POST')).toBe('app /w');
  expect(await ask(gateway, '/w')).toBe('404');
  expect(await ask(gateway, '/b?q', ['X-Beta: 1', 'Cookie: x=1; group=b'])).toBe('app /b?q');
  expect(await ask(gateway, '/b?q', ['X-Beta: 1', 'Cookie: x=1; group=c'])).toBe('404');
  expect(await ask(gateway, '/b', ['X-Beta: 1', 'Cookie: group=a'])).toBe('404');
});

test('[threat 58] a path made to keep a pattern busy is refused where its groups are needed, and others are served', async () => {
  const port = await echo('app');
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["busy", "rest"]
[locations.busy]
path = "~(.*)(.*)(.*)(.*)(.*)z$"
rewrite = "^(.*)(.*)z$ /$2"
upstream = "app"
[locations.rest]
upstream = "app"
[upstreams.app]
addrs = ["127.0.0.1:${port}"]
`,
  );
  const long = `/${'a'.repeat(15_000)}`;
  expect(await ask(gateway, `${long}z`)).toBe('414');
  expect(await ask(gateway, long)).toBe(`app ${long}`);
  expect(await ask(gateway, '/abz')).toBe('app /');
});

test('[threat 27] a rewrite does not let a path out of its location', async () => {
  const port = await echo('app');
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["files"]
[locations.files]
path = "/files-"
rewrite = "^/files-(.*)$ /public/$1"
upstream = "app"
[upstreams.app]
addrs = ["127.0.0.1:${port}"]
`,
  );
  expect(await ask(gateway, '/files-a/b?c=../d')).toBe('app /public/a/b?c=../d');
  expect(await ask(gateway, '/files-../secret')).toBe('400');
  expect(await ask(gateway, '/files-%2e%2E/secret')).toBe('400');
});
