import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { loadGateway } from '../../src/config/gateway.ts';
import { SettingsError } from '../../src/config/settings-error.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const made = kit();
const { startOrigin, folder } = made;

function fileFor(port: number, section: string, basic = ''): string {
  return `[basic]
admin_addr = "off"
drain_timeout = "1s"
auto_restart_check_interval = "0s"
${basic}
[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
plugins = ["p"]
[upstreams.one]
addrs = ["127.0.0.1:${port}"]
[plugins.p]
${section}
`;
}

async function ask(
  gateway: TestGateway,
  path = '/',
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string; headers: Headers }> {
  const answer = await fetch(`http://127.0.0.1:${gateway.port()}${path}`, { headers, redirect: 'manual' });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

test.each([
  ['ip_list = ["127.0.0.0/8"]', '', {}, 200],
  ['ip_list = ["10.0.0.0/8"]', '', {}, 403],
  ['ip_list = ["127.0.0.1"]\ntype = "deny"', '', {}, 403],
  ['ip_list = ["10.0.0.0/8"]\ntype = "deny"', '', {}, 200],
  // What a client says of itself counts only behind a proxy that is trusted, and then from the right.
  ['ip_list = ["10.0.0.0/8"]', '', { 'X-Forwarded-For': '10.1.2.3' }, 403],
  ['ip_list = ["10.0.0.0/8"]', 'trusted_proxies = ["loopback"]', { 'X-Forwarded-For': '10.1.2.3' }, 200],
  ['ip_list = ["10.0.0.0/8"]', 'trusted_proxies = ["loopback"]', { 'X-Forwarded-For': '10.1.2.3, 1.2.3.4' }, 403],
])('[threat 26] ip_restriction with %j, %j and %j is %i', async (settings, basic, headers, status) => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileFor(origin.port, `category = "ip_restriction"\n${settings}\nmessage = "not you"`, basic));
  const answer = await ask(gateway, '/', headers as Record<string, string>);
  expect(answer.status).toBe(status);
  if (status === 403) {
    expect(answer.text).toBe('not you\n');
    expect(origin.requests.length).toBe(0);
  }
});

test('response_headers adds, removes, sets and renames, and speaks of the request', async () => {
  const origin = await startOrigin((_request, response) => {
    response.setHeader('X-Old', 'kept');
    response.setHeader('Server', 'secret/1.0');
    response.setHeader('X-There', 'already');
    response.end('ok');
  });
  const gateway = await startGatewayOf(
    made,
    fileFor(
      origin.port,
      `category = "response_headers"
add_headers = ["X-Seen: by $host at $http_host for $http_user_agent", "X-Machine: $hostname"]
remove_headers = ["server"]
set_headers = ["Cache-Control: no-store"]
set_headers_not_exists = ["X-There: mine", "X-New: mine"]
rename_headers = ["X-Old: X-Renamed"]`,
    ),
  );
  const { headers } = await ask(gateway, '/', { 'User-Agent': 'tester' });
  expect(headers.get('x-seen')).toBe(`by 127.0.0.1 at 127.0.0.1:${gateway.port()} for tester`);
  expect(headers.get('x-machine')).toBe(hostname());
  expect(headers.get('server')).toBeNull();
  expect(headers.get('cache-control')).toBe('no-store');
  expect([headers.get('x-there'), headers.get('x-new')]).toEqual(['already', 'mine']);
  expect([headers.get('x-old'), headers.get('x-renamed')]).toEqual([null, 'kept']);
});

test('mock answers in place of the upstream, at its path alone', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    made,
    fileFor(
      origin.port,
      `category = "mock"\npath = "/mock"\nstatus = 201\nheaders = ["Content-Type: application/json"]\ndata = '{"a":1}'\ndelay = "10ms"`,
    ),
  );
  const answer = await ask(gateway, '/mock');
  expect([answer.status, answer.text, answer.headers.get('content-type')]).toEqual([201, '{"a":1}', 'application/json']);
  expect((await ask(gateway, '/other')).text).toBe('ok');
});

test('ping answers pong, and pingap:ping needs no section', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    made,
    fileFor(origin.port, 'category = "ping"\npath = "/alive"').replace('plugins = ["p"]', 'plugins = ["p", "pingap:ping"]'),
  );
  expect((await ask(gateway, '/alive')).text).toBe('pong');
  expect((await ask(gateway, '/ping')).text).toBe('pong');
  expect((await ask(gateway, '/else')).text).toBe('ok');
});

test.each([
  ['http_to_https = true', '/a?b=%20c', 307, 'https://127.0.0.1/a?b=%20c'],
  ['http_to_https = true\nport = 8443\nstatus = 301', '/', 301, 'https://127.0.0.1:8443/'],
  ['prefix = "/v2"\nstatus = 308', '/a', 308, 'http://127.0.0.1:PORT/v2/a'],
  ['prefix = "/v2"', '/v2/a', 200, null],
  ['prefix = "/v2"', '/v2x', 307, 'http://127.0.0.1:PORT/v2/v2x'],
  ['prefix = "/v2"', '//evil.example/', 307, 'http://127.0.0.1:PORT/v2//evil.example/'],
])('redirect with %j sends %s to %i %s', async (settings, path, status, location) => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileFor(origin.port, `category = "redirect"\n${settings}`));
  const client = await made.rawClient({ port: gateway.port() });
  client.send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port()}\r\n\r\n`);
  const answer = await client.answer();
  expect(answer.status).toBe(status);
  expect(/^location: (.*)$/im.exec(client.text)?.[1] ?? null).toBe(location === null ? null : location.replace('PORT', String(gateway.port())));
});

test.each([
  // Whoever is no trusted proxy is not believed.
  ['', 'https', 307],
  ['trusted_proxies = ["loopback"]', 'https', 200],
  ['trusted_proxies = ["loopback"]', 'HTTPS, http', 200],
  ['trusted_proxies = ["loopback"]', 'http', 307],
  ['trusted_proxies = ["loopback"]', 'gopher', 307],
])('behind a proxy that takes the TLS off, with %j, redirect goes by what it says: %s is %i', async (basic, proto, status) => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileFor(origin.port, 'category = "redirect"\nhttp_to_https = true', basic));
  expect((await ask(gateway, '/', { 'X-Forwarded-Proto': proto })).status).toBe(status);
});

test.each([
  ['category = "ip_restriction"', 'plugins.p needs ip_list'],
  ['category = "ip_restriction"\nip_list = ["10.0.0.0/33"]', '"10.0.0.0/33"'],
  ['category = "response_headers"\nset_headers = ["Content-Length: 5"]', 'frames the message'],
  ['category = "response_headers"\nset_headers = ["no colon"]', 'has no colon'],
  ['category = "redirect"\nstatus = 200', 'is no status of a redirect'],
  ['category = "mock"\nstatus = 700', 'is out of range'],
  ['category = "pong"', '"pong" is no plugin; did you mean ping?'],
  ['category = "ping"\nstep = "response"', '"response" is no place for ping; write request, or leave it out'],
  ['category = "ping"\npaht = "/x"', 'did you mean path?'],
])('a wrong option is refused at load with its place: %s', async (section, said) => {
  const file = join(folder(), 'windlass.toml');
  writeFileSync(file, fileFor(1, section));
  const error = (await loadGateway(file, {}).catch((problem: unknown) => problem)) as SettingsError;
  expect(error).toBeInstanceOf(SettingsError);
  expect(error.lines.join('\n')).toContain(said);
  expect(error.lines[0]).toMatch(/windlass\.toml:\d+:\d+ plugins\.p/);
});
