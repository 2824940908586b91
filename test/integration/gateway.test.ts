import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, metric } from '../kit/kit.ts';

const made = kit();
const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const { startOrigin, rawClient, startAgentFor } = made;

/** Asks over a new connection. */
async function ask(port: number, path: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string; headers: Headers }> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

test('a file makes a gateway: locations by host and path, rewrites, headers, timing', async () => {
  const one = await startOrigin((_request, response) => response.end('one'));
  const two = await startOrigin((_request, response) => response.end('two'));
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["api", "rest"]
enable_server_timing = true
[locations.api]
path = "/api"
upstream = "one"
rewrite = "^/api/(?P<what>.*)$ /v2/$what"
proxy_set_headers = ["X-Tenant: $host/$what", "X-To: $upstream_addr"]
set_response_headers = ["X-Served: by windlass"]
[locations.rest]
upstream = "two"
[upstreams.one]
addrs = ["127.0.0.1:${one.port}"]
[upstreams.two]
addrs = ["127.0.0.1:${two.port}"]
`,
  );
  const answer = await ask(gateway.port(), '/api/things?q=%2F&q=2');
  expect(answer.text).toBe('one');
  expect(answer.headers.get('x-served')).toBe('by windlass');
  expect(answer.headers.get('server-timing')).toMatch(/upstream;dur=[\d.]+, total;dur=[\d.]+/);
  const seen = one.requests[0]!;
  expect(seen.url).toBe('/v2/things?q=%2F&q=2');
  expect(seen.headers['x-tenant']).toBe('127.0.0.1/things');
  expect(seen.headers['x-to']).toBe(`127.0.0.1:${one.port}`);
  expect((await ask(gateway.port(), '/')).text).toBe('two');
});

test('what no location takes is 404, or what the server says', async () => {
  const origin = await startOrigin();
  const text = (status: string): string => `[servers.main]
addr = "127.0.0.1:0"
locations = ["api"]
${status}
[locations.api]
path = "/api"
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`;
  const gateway = await startGatewayOf(made, text(''));
  const answer = await ask(gateway.port(), '/else');
  expect(answer.status).toBe(404);
  expect(JSON.parse(answer.text)).toMatchObject({ code: 'no_location' });
  await gateway.change(text('no_match_status = 421'));
  expect((await ask(gateway.port(), '/else')).status).toBe(421);
  expect((await ask(gateway.port(), '/api')).status).toBe(200);
});

test('agents that dial in are an upstream of a location, chosen by label', async () => {
  const red = await startOrigin((_request, response) => response.end('red'));
  const blue = await startOrigin((_request, response) => response.end('blue'));
  const gateway = await startGatewayOf(
    made,
    `[agents]
secret = "a secret that only tests know"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["color"]
[locations.color]
path = "~^/(?P<color>[a-z]+)"
upstream = "boxes"
[upstreams.boxes]
agents = "color=$color"
`,
  );
  await startAgentFor({ port: gateway.port() }, red, { labels: new Map([['color', 'red']]), agentId: 'r' });
  await startAgentFor({ port: gateway.port() }, blue, { labels: new Map([['color', 'blue']]), agentId: 'b' });
  expect((await ask(gateway.port(), '/red')).text).toBe('red');
  expect((await ask(gateway.port(), '/blue')).text).toBe('blue');
  expect((await ask(gateway.port(), '/green')).status).toBe(404);
});

test('the upstream may be a capture; one that does not exist is 404', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["any"]
[locations.any]
path = "~^/to/(?P<where>\\\\w+)"
upstream = "$where"
[upstreams.here]
addrs = ["127.0.0.1:${origin.port}"]
`,
  );
  expect((await ask(gateway.port(), '/to/here')).status).toBe(200);
  expect((await ask(gateway.port(), '/to/nowhere')).status).toBe(404);
  expect((await ask(gateway.port(), '/to/constructor')).status).toBe(404);
});

test('a broken file changes nothing, says where, and is counted', async () => {
  const origin = await startOrigin();
  const text = fileTo(origin.port);
  const gateway = await startGatewayOf(made, text);
  await gateway.change(text.replace('upstream = "one"', 'upstraem = "one"\npath = "~("'));
  const errors = gateway.log.at('error').join('\n');
  expect(errors).toContain('windlass.toml:10:1 locations.all.upstraem');
  expect(errors).toContain('did you mean upstream?');
  expect(errors).toContain('windlass.toml:11:1 locations.all.path');
  expect((await ask(gateway.port(), '/')).status).toBe(200);
  expect(await metric(gateway, 'windlass_config_last_reload_success')).toBe(0);
  await gateway.change(text);
  expect(await metric(gateway, 'windlass_config_last_reload_success')).toBe(1);
});

test('[fault 16] a server that cannot listen leaves all as it was', async () => {
  const origin = await startOrigin();
  const text = (more: string): string => fileTo(origin.port, { more });
  const gateway = await startGatewayOf(made, text(''));
  const taken = origin.port;
  await gateway.change(text(`[servers.other]\naddr = ["127.0.0.1:0", "127.0.0.1:${taken}"]\nlocations = ["all"]\n`));
  expect(gateway.log.at('error').join('\n')).toContain(String(taken));
  expect([...gateway.addresses.keys()]).toEqual(['main']);
  expect((await ask(gateway.port(), '/')).status).toBe(200);
});

/** A port of loopback at which nobody listens. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('a server that goes makes room for another at its port: from one address of this machine to all of them, and back', async () => {
  const origin = await startOrigin();
  const port = await freePort();
  const text = (host: string): string => `[servers.main]
addr = "${host}:${port}"
locations = ["all"]
[locations.all]
upstream = "one"
set_response_headers = ["X-Host: ${host}"]
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`;
  const gateway = await startGatewayOf(made, text('127.0.0.1'));
  for (const host of ['0.0.0.0', '127.0.0.1']) {
    await gateway.change(text(host));
    expect(gateway.log.at('error')).toEqual([]);
    const client = await rawClient({ port });
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(() => client.text.includes(`X-Host: ${host}\r\n`));
  }
});

test('[fault 16] a socket that was to speak TLS speaks as before when another one cannot be opened, and its connections go with the next file', async () => {
  const origin = await startOrigin();
  const port = await freePort();
  const text = (value: string, more = '', also = ''): string => `[servers.main]
addr = ["127.0.0.1:${port}"${also}]
locations = ["all"]
${more}
[locations.all]
upstream = "one"
set_response_headers = ["X-Value: ${value}"]
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`;
  const gateway = await startGatewayOf(made, text('first'));
  const client = await rawClient({ port });
  const askOn = async (value: string): Promise<void> => {
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(() => client.text.includes(`X-Value: ${value}\r\n`));
  };
  await askOn('first');
  const tls = `tls_cert = "${FIXTURES}one.pem"\ntls_key = "${FIXTURES}one.key"`;
  await gateway.change(text('second', tls, `, "127.0.0.1:${origin.port}"`));
  expect(gateway.log.at('error').join('\n')).toContain(String(origin.port));
  expect((await ask(port, '/')).headers.get('x-value')).toBe('first');
  await gateway.change(text('third'));
  await askOn('third');
});

test('[fault 16] operators are served at another address after a reload; when that is taken, all stays as it was', async () => {
  const origin = await startOrigin();
  const text = (value: string, admin: string): string => `[basic]
admin_addr = "${admin}"
[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
set_response_headers = ["X-Value: ${value}"]
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`;
  const [first, second] = [await freePort(), await freePort()];
  const gateway = await startGatewayOf(made, text('first', `127.0.0.1:${first}`));
  await gateway.change(text('second', `127.0.0.1:${origin.port}`));
  expect((await ask(gateway.port(), '/')).headers.get('x-value')).toBe('first');
  expect((await ask(first, '/healthz')).status).toBe(200);
  await gateway.change(text('third', `127.0.0.1:${second}`));
  expect((await ask(gateway.port(), '/')).headers.get('x-value')).toBe('third');
  expect((await ask(second, '/healthz')).status).toBe(200);
  await expect(fetch(`http://127.0.0.1:${first}/healthz`)).rejects.toThrow();
  await gateway.change(text('fourth', 'off'));
  await expect(fetch(`http://127.0.0.1:${second}/healthz`)).rejects.toThrow();
  expect(gateway.adminAddress).toBeNull();
});

test('who is no trusted proxy any more is not believed, on connections that it has open either; and the other way round', async () => {
  const origin = await startOrigin();
  const text = (trusted: string): string => `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
trusted_proxies = "${trusted}"
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`;
  const gateway = await startGatewayOf(made, text('loopback'));
  const client = await rawClient({ port: gateway.port() });
  for (const [i, [trusted, seen]] of [
    ['loopback', '192.0.2.6, 127.0.0.1'],
    ['10.0.0.0/8', '127.0.0.1'],
    ['loopback', '192.0.2.6, 127.0.0.1'],
  ].entries()) {
    await gateway.change(text(trusted!));
    client.send('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.6\r\n\r\n');
    await client.until(() => client.text.split('HTTP/1.1 200').length === i + 2);
    expect(origin.requests[i]!.headers['x-forwarded-for']).toBe(seen);
  }
});

test('a configuration that is ready when the gateway is stopping opens nothing', async () => {
  const origin = await startOrigin();
  const port = await freePort();
  const text = (more: string): string => `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
${more}`;
  const gateway = await startGatewayOf(made, text(''));
  const changing = gateway.change(text(`[servers.late]\naddr = "127.0.0.1:${port}"\nlocations = ["all"]\n`));
  await Promise.all([gateway.close(), changing]);
  expect(gateway.log.at('error')).toContain('a configuration came too late: the process is stopping');
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
});

test('servers come and go without a restart; what runs on one that goes is finished', async () => {
  let finish = (): void => {};
  const origin = await startOrigin((_request, response) => {
    response.write('half, ');
    finish = () => response.end('whole');
  });
  const text = (more: string): string => fileTo(origin.port, { more });
  const gateway = await startGatewayOf(made, text('[servers.second]\naddr = "127.0.0.1:0"\nlocations = ["all"]\n'));
  const port = gateway.port('second');
  const client = await rawClient({ port });
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until(() => client.text.includes('half'));
  await gateway.change(text(''));
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  finish();
  await client.until(() => client.text.includes('whole'));
});

test("[threat 32] a redirect to somewhere inside is the client's to follow, never ours", async () => {
  const inside = await startOrigin();
  const origin = await startOrigin((_request, response) => {
    response.writeHead(302, { Location: `http://127.0.0.1:${inside.port}/secret` });
    response.end();
  });
  const gateway = await startGatewayOf(made, fileTo(origin.port));
  const answer = await fetch(`http://127.0.0.1:${gateway.port()}/`, { redirect: 'manual' });
  expect([answer.status, answer.headers.get('location')]).toEqual([302, `http://127.0.0.1:${inside.port}/secret`]);
  expect(inside.requests.length).toBe(0);
});

test('[threat 76] the address of operators only reads, and tells no requests and no secrets; metrics on a server are asked for by its file', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    made,
    `[agents]
secret = "planted-canary-of-the-secret"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
prometheus_metrics = "/numbers"
locations = ["all"]
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
`,
  );
  await ask(gateway.port(), '/planted-path?token=planted-token');
  const admin = gateway.adminAddress!;
  expect(admin.host).toBe('127.0.0.1');
  const pages = await Promise.all(['/metrics', '/status', '/readyz?verbose'].map(async (path) => (await ask(admin.port, path)).text));
  pages.push((await ask(gateway.port(), '/numbers')).text);
  expect(pages.join('\n')).toContain('windlass_requests_total');
  expect(pages.join('\n')).not.toMatch(/planted/);
  for (const method of ['POST', 'PUT', 'DELETE']) {
    expect((await fetch(`http://127.0.0.1:${admin.port}/metrics`, { method })).status).toBe(405);
    expect((await fetch(`http://127.0.0.1:${gateway.port()}/numbers`, { method })).status).toBe(405);
  }
});
