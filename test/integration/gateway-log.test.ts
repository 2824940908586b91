import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeProxyV2 } from '../../src/http/proxy-protocol.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { startOrigin, rawClient, folder } = made;

/** A gateway in front of one origin, with these lines in its server. */
async function start(
  serverLines: string,
  more = '',
): Promise<{ gateway: Awaited<ReturnType<typeof startGatewayOf>>; origin: Awaited<ReturnType<typeof startOrigin>> }> {
  const origin = await startOrigin((request, response) => {
    response.setHeader('X-Cache', 'MISS');
    response.end(request.url);
  });
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["api"]
${serverLines}
[locations.api]
path = "/api"
rewrite = "^/api/(.*)$ /v2/$1"
upstream = "things"
[upstreams.things]
addrs = ["127.0.0.1:${origin.port}"]
${more}`,
  );
  return { gateway, origin };
}

async function linesOf(path: string, count: number): Promise<string[]> {
  return until(`${count} lines`, () => {
    const lines = existsSync(path) ? readFileSync(path, 'latin1').split('\n').slice(0, -1) : [];
    return lines.length >= count ? lines : null;
  });
}

test('the log says what came and what went on, of whom, through which location, and how it ended', async () => {
  const path = join(folder(), 'access.log');
  const { gateway, origin } = await start(
    `access_log = '${path}?rolling=daily {"ip":{client_ip},"peer":{remote},"was":{original_uri},"uri":{uri},"status":{status},"of":[{location},{upstream},{upstream_addr}],"upstream":{upstream_status},"id":{request_id},"cache":{<x-cache},"failure":{failure},"on":{connection_reused}}'
trusted_proxies = ["loopback"]`,
  );
  const client = await rawClient({ port: gateway.port() });
  client.send('GET /api/a%20b?x=1&token=t HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 203.0.113.9\r\nX-Request-Id: r1\r\n\r\n');
  expect((await client.answer()).body.toString()).toBe('/v2/a%20b?x=1&token=t');
  client.send('GET /else HTTP/1.1\r\nHost: a\r\n\r\n');
  expect((await client.answer()).status).toBe(404);
  const [first, second] = (await linesOf(path, 2)).map((line) => JSON.parse(line) as object);
  expect(first).toEqual({
    ip: '203.0.113.9',
    peer: '127.0.0.1',
    was: '/api/a%20b?x=1&token=***',
    uri: '/v2/a%20b?x=1&token=***',
    status: 200,
    of: ['api', 'things', `127.0.0.1:${origin.port}`],
    upstream: 200,
    id: 'r1',
    cache: 'MISS',
    failure: null,
    on: false,
  });
  expect(second).toMatchObject({
    ip: '127.0.0.1',
    uri: '/else',
    status: 404,
    of: ['', null, null].map(() => null),
    upstream: null,
    failure: 'no_location',
    on: true,
  });
  expect(origin.requests[0]!.headers['x-forwarded-for']).toBe('1.1.1.1, 203.0.113.9, 127.0.0.1');
});

test('what cannot even be read is logged, too', async () => {
  const path = join(folder(), 'access.log');
  const { gateway } = await start(`access_log = "${path} {client_ip} {method} {uri} {status} {failure} {<content-type}"`);
  const client = await rawClient({ port: gateway.port() });
  client.send('GET / HTTP/1.1\r\nbad header\r\n\r\n');
  expect((await client.answer()).status).toBe(400);
  expect(await linesOf(path, 1)).toEqual(['127.0.0.1 - - 400 bad_request application/problem+json']);
});

test('lines that wait are written before the end', async () => {
  const path = join(folder(), 'access.log');
  const { gateway } = await start(`access_log = "${path}?flush_timeout=1h {status}"`);
  const client = await rawClient({ port: gateway.port() });
  for (let i = 0; i < 5; i++) {
    client.send('GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.answer();
  }
  client.socket.end();
  await gateway.close();
  expect(readFileSync(path, 'latin1')).toBe('200\n'.repeat(5));
});

test('a reload changes the form of the lines, and the lines go on in the same file', async () => {
  const path = join(folder(), 'access.log');
  const text = (form: string): string => `[servers.main]
addr = "127.0.0.1:0"
access_log = "${path} ${form}"
`;
  const gateway = await startGatewayOf(made, text('one {status}'));
  const client = await rawClient({ port: gateway.port() });
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.answer();
  await linesOf(path, 1);
  await gateway.change(text('two {status}'));
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.answer();
  expect(await linesOf(path, 2)).toEqual(['one 404', 'two 404']);
});

test('errors look as the file says', async () => {
  const { gateway } = await start(
    `error_template = '<p id="{{request_id}}">{{status}} {{content}}</p>'
error_templates = { 404 = '{"oops":"{{code}}"}' }`,
  );
  const client = await rawClient({ port: gateway.port() });
  client.send('GET /else HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n');
  const missing = await client.answer();
  expect([missing.status, missing.body.toString()]).toEqual([404, '{"oops":"no_location"}']);
  client.send('GET /else HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nX-Request-Id: "><script>\r\n\r\n');
  expect((await client.answer()).body.toString()).toMatch(/^<p id="&#34;&#62;&#60;script&#62;">404 /);
});

test('behind a balancer that speaks the PROXY protocol the client is whom it names', async () => {
  const path = join(folder(), 'access.log');
  const { gateway, origin } = await start(`access_log = "${path} {remote} {remote_port}"
proxy_protocol = "on"
proxy_protocol_from = ["loopback"]`);
  const client = await rawClient({ port: gateway.port() });
  client.send(writeProxyV2({ address: '2001:db8::7', port: 4711 }, { address: '::1', port: 80 }));
  client.send('GET /api/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n');
  await client.answer();
  expect(await linesOf(path, 1)).toEqual(['2001:db8::7 4711']);
  expect(origin.requests[0]!.headers).toMatchObject({ 'x-forwarded-for': '2001:db8::7', forwarded: expect.stringContaining('for="[2001:db8::7]"') });
});

test('an answer of ours tells how long it took, as any other', async () => {
  const gateway = await startGatewayOf(
    made,
    `[servers.main]
addr = "127.0.0.1:0"
locations = ["api"]
enable_server_timing = true
[locations.api]
upstream = "gone"
[upstreams.gone]
addrs = ["127.0.0.1:1"]
health_check = "tcp://gone?check_frequency=1h"
`,
  );
  const client = await rawClient({ port: gateway.port() });
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const answer = await client.answer();
  expect(answer.status).toBeGreaterThanOrEqual(502);
  expect(client.text).toMatch(/\r\nServer-Timing: (?:[a-z]+;dur=[\d.]+, )*total;dur=[\d.]+\r\n/);
});

test('a balancer that is not believed is warned of once', async () => {
  const { gateway } = await start(`proxy_protocol = "on"
proxy_protocol_from = ["10.0.0.0/8"]`);
  for (let i = 0; i < 3; i++) {
    const client = await rawClient({ port: gateway.port() });
    client.send(writeProxyV2({ address: '192.0.2.7', port: 4711 }, { address: '192.0.2.1', port: 80 }));
    await until('the end', () => client.ending !== 'open');
  }
  const text = 'a connection without a PROXY header that can be believed was closed';
  expect(gateway.log.lines.filter(({ message }) => message === text).map(({ level }) => level)).toEqual(['warn', 'debug', 'debug']);
});
