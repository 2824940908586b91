import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { kit } from '../../../test/kit/kit.ts';
import { soon, until } from '../../../test/kit/until.ts';
import { parseHealthCheck } from '../../schema/health-check.ts';
import { usualProbe } from './checks.ts';
import { GRPC_ANSWER_BYTES } from './limits.ts';
import type { HealthTls, Probe, Verdict } from './probe.ts';

const { startOrigin, startScript, later } = kit();

const fixture = (name: string): string => readFileSync(new URL(`../../../test/fixtures/${name}`, import.meta.url), 'utf8');
const CERTIFICATE = { cert: fixture('one.pem'), key: fixture('one.key') };
const TRUST: HealthTls = { verify: true, context: tls.createSecureContext({ ca: fixture('ca.pem') }) };
const STRANGER: HealthTls = { verify: true };
const CARELESS: HealthTls = { verify: false };

const probes: Probe[] = [];
afterEach(() => {
  while (probes.length > 0) probes.pop()!.close();
});

function probeOf(url: string, port: number, usual: HealthTls = TRUST, host = '127.0.0.1'): Probe {
  const probe = usualProbe({ check: parseHealthCheck(url), address: { host, port }, tls: usual });
  probes.push(probe);
  return probe;
}

function look(probe: Probe): Promise<Verdict> {
  return soon('a verdict', new Promise((resolve) => probe.start(resolve)));
}

function lookAt(url: string, port: number, usual?: HealthTls): Promise<Verdict> {
  return look(probeOf(url, port, usual));
}

/** Starts a server of any kind on loopback. */
async function listening<S extends net.Server>(server: S): Promise<{ server: S; port: number; sockets: Set<net.Socket>; connections: () => number }> {
  const sockets = new Set<net.Socket>();
  let connections = 0;
  server.on('connection', (socket: net.Socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return { server, port: (server.address() as net.AddressInfo).port, sockets, connections: () => connections };
}

/** A port where nobody listens. */
async function deadPort(): Promise<number> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

// --- any scheme

test.each(['tcp://app', 'http://app/ping', 'https://app/ping', 'grpc://app', 'grpc://app?tls'])('who refuses connections fails: %s', async (url) => {
  expect(await lookAt(url, await deadPort())).toEqual({ ok: false, reason: 'the connection is refused' });
});

test.each(['http://app/ping?read_timeout=30ms', 'grpc://app?read_timeout=30ms'])(
  'who takes the connection and says nothing fails: %s',
  async (url) => {
    const { port, sockets } = await listening(net.createServer((socket) => void socket.resume()));
    expect(await lookAt(url, port)).toEqual({ ok: false, reason: 'the answer takes too long' });
    await until('no connection is left', () => sockets.size === 0);
  },
);

test.each(['https://app/ping?connection_timeout=30ms', 'grpc://app?tls&connection_timeout=30ms'])(
  'a TLS handshake that stands still counts as connecting: %s',
  async (url) => {
    const { port, sockets } = await listening(net.createServer((socket) => void socket.resume()));
    expect(await lookAt(url, port)).toEqual({ ok: false, reason: 'connecting takes too long' });
    await until('no connection is left', () => sockets.size === 0);
  },
);

test.each(['http://app/ping', 'https://app/ping', 'grpc://app', 'grpc://app?tls'])('who resets the connection fails: %s', async (url) => {
  const { port } = await listening(net.createServer((socket) => void socket.once('data', () => socket.resetAndDestroy())));
  const { ok, reason } = await lookAt(url, port);
  expect(ok).toBe(false);
  expect(reason).toMatch(/^the connection (?:is reset|ends without an answer)$|disconnected before secure TLS/);
});

test.each(['http://app/ping', 'grpc://app'])('who hangs up without an answer fails: %s', async (url) => {
  const { port } = await listening(net.createServer((socket) => void socket.once('data', () => socket.end())));
  const { ok, reason } = await lookAt(url, port);
  expect(ok).toBe(false);
  expect(reason).not.toBe('');
});

test.each(['tcp://app', 'http://app', 'https://app', 'grpc://app', 'grpc://app?tls'])(
  'a name that has no address fails, and does not throw: %s',
  async (url) => {
    // Too long for a name: nobody is asked.
    const probe = probeOf(url, 80, TRUST, `${'x'.repeat(64)}.invalid`);
    expect((await look(probe)).ok).toBe(false);
  },
);

test.each(['tcp://app', 'http://app?reuse', 'https://app', 'grpc://app?reuse', 'grpc://app?tls'])(
  'closed in the middle of a look nothing is said, and no connection stays: %s',
  async (url) => {
    const server = net.createServer((socket) => void socket.resume());
    const { port, sockets } = await listening(server);
    const probe = probeOf(url, port);
    const said: Verdict[] = [];
    probe.start((verdict) => said.push(verdict));
    if (url !== 'tcp://app') await once(server, 'connection');
    probe.close();
    await until('no connection is left', () => sockets.size === 0);
    expect(said).toEqual([]);
  },
);

// --- tcp

test('tcp: who takes connections is well, and no connection stays', async () => {
  const { port, sockets } = await listening(net.createServer((socket) => void socket.resume()));
  expect(await lookAt('tcp://app', port)).toEqual({ ok: true, reason: 'takes connections' });
  await until('no connection is left', () => sockets.size === 0);
});

// --- http

test('http: the request is for the path of the URL, to the address of the endpoint, with the name of the URL', async () => {
  const origin = await startOrigin();
  expect(await lookAt('http://App.example:8080/ping?a=%20b&failure=3&c', origin.port)).toEqual({ ok: true, reason: 'answers 200' });
  expect(origin.only).toMatchObject({ method: 'GET', url: '/ping?a=%20b&c', headers: { host: 'app.example:8080', connection: 'close' } });
  expect(origin.only.headers['user-agent']).toMatch(/^windlass\/\d.* \(health check\)$/);
});

test.each([
  ['http://app', 200, true],
  ['http://app', 204, false],
  ['http://app', 302, false],
  ['http://app', 500, false],
  ['http://app?status=200,204,300-399', 204, true],
  ['http://app?status=200,204,300-399', 300, true],
  ['http://app?status=200,204,300-399', 399, true],
  ['http://app?status=200,204,300-399', 299, false],
  ['http://app?status=503', 200, false],
])('http: %s with answer %s: %s', async (url, status, ok) => {
  const origin = await startOrigin((request, response) => void response.writeHead(status).end(request.resume() && undefined));
  expect(await lookAt(url, origin.port)).toEqual({ ok, reason: `answers ${status}` });
});

test.each(['HEAD', 'OPTIONS', 'POST'])('http: the method may be %s', async (method) => {
  const origin = await startOrigin((request, response) => void response.end(request.resume() && 'x'));
  expect((await lookAt(`http://app?method=${method}`, origin.port)).ok).toBe(true);
  expect(origin.only.method).toBe(method);
});

test('http: a redirect is not followed', async () => {
  const elsewhere = await startOrigin();
  const origin = await startOrigin((_, response) => void response.writeHead(302, { Location: `http://127.0.0.1:${elsewhere.port}/` }).end());
  expect((await lookAt('http://app?status=200,302', origin.port)).ok).toBe(true);
  expect(elsewhere.connections).toBe(0);
});

test('http: a head that trickles in is not waited for longer than the time limit', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\n');
    for (let i = 0; connection.ending === 'open'; i++) {
      connection.send(`X-${i}: y\r\n`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  expect(await lookAt('http://app?read_timeout=60ms', origin.port)).toEqual({ ok: false, reason: 'the answer takes too long' });
});

test.each([
  ['no HTTP at all', 'hello\r\n\r\n'],
  ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`],
  ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
])('http: %s fails', async (_what, answer) => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(answer);
  });
  const { ok, reason } = await lookAt('http://app?status=200-599', origin.port);
  expect(ok).toBe(false);
  expect(reason.length).toBeLessThanOrEqual(200);
});

test('http: interim answers are passed over', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  });
  expect(await lookAt('http://app', origin.port)).toEqual({ ok: true, reason: 'answers 200' });
});

test('http: a body without end does not hold up the verdict, and is cut', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\n\r\n');
    while (connection.ending === 'open') {
      connection.send('x'.repeat(8192));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  });
  const probe = probeOf('http://app?read_timeout=1m', origin.port);
  expect((await look(probe)).ok).toBe(true);
  await until('the connection is cut', () => origin.endings[0] !== 'open');
  expect((await look(probe)).ok).toBe(true);
});

test('http: reuse keeps one connection; without it each look has one of its own', async () => {
  const kept = await startOrigin();
  const keeping = probeOf('http://app?reuse', kept.port);
  const fresh = await startOrigin();
  const hasty = probeOf('http://app', fresh.port);
  for (let i = 0; i < 3; i++) {
    expect([(await look(keeping)).ok, (await look(hasty)).ok]).toEqual([true, true]);
    await until('the connection is free or gone', () => fresh.open === 0 && kept.running === 0);
  }
  expect([kept.connections, fresh.connections]).toEqual([1, 3]);
  expect(kept.requests[0]!.headers.connection).toBe('keep-alive');
  keeping.close();
  await until('no connection is left', () => kept.open === 0);
});

test('http: a kept connection that the origin closes as it is used says nothing: a fresh one does', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    await connection.head(2);
    connection.socket.destroy();
  });
  const probe = probeOf('http://app?reuse', origin.port);
  expect((await look(probe)).ok).toBe(true);
  await until('the connection is free', () => origin.connections[0]!.ending === 'open');
  expect(await look(probe)).toEqual({ ok: true, reason: 'answers 200' });
  expect(origin.connections.length).toBe(2);
});

// --- https

/** Notes the names that clients ask for. */
async function secureOrigin(): Promise<{ port: number; names: (string | false)[]; hosts: (string | undefined)[] }> {
  const names: (string | false)[] = [];
  const hosts: (string | undefined)[] = [];
  const server = https.createServer(CERTIFICATE, (request, response) => {
    hosts.push(request.headers.host);
    response.end('ok');
  });
  server.on('secureConnection', (socket: tls.TLSSocket) => names.push((socket as { servername?: string | false }).servername ?? ''));
  const { port } = await listening(server);
  return { port, names, hosts };
}

test('https: the name in the URL is the one that the certificate must be for, and is asked for', async () => {
  const { port, names, hosts } = await secureOrigin();
  expect(await lookAt('https://hub.test/ping', port)).toEqual({ ok: true, reason: 'answers 200' });
  expect([names, hosts]).toEqual([['hub.test'], ['hub.test']]);
});

test('https: a name that is an address is checked and not asked for', async () => {
  const { port, names } = await secureOrigin();
  expect(await lookAt('https://127.0.0.1/ping', port)).toEqual({ ok: true, reason: 'answers 200' });
  expect(await lookAt('https://10.9.9.9/ping', port)).toEqual({ ok: false, reason: 'its certificate is for another name' });
  expect(names[0]).toBe(false);
});

test.each(['https://other.test/ping', 'grpc://other.test?tls'])('a certificate for another name fails: %s', async (url) => {
  const { port } = url.startsWith('https') ? await secureOrigin() : await health(1, true);
  expect(await lookAt(url, port)).toEqual({ ok: false, reason: 'its certificate is for another name' });
  expect((await lookAt(`${url}${url.includes('?') ? '&' : '?'}verify_cert=false`, port)).ok).toBe(true);
});

test('https: who signed it must be believed, unless neither the check nor the upstream wants that', async () => {
  const { port } = await secureOrigin();
  const url = 'https://hub.test/ping';
  expect(await lookAt(url, port, STRANGER)).toEqual({ ok: false, reason: 'its certificate is signed by nobody who is believed' });
  expect((await lookAt(url, port, CARELESS)).ok).toBe(true);
  expect((await lookAt(`${url}?verify_cert=false`, port, STRANGER)).ok).toBe(true);
  expect((await lookAt(`${url}?verify_cert=true`, port, CARELESS)).ok).toBe(false);
});

test('https: who speaks no TLS fails', async () => {
  const origin = await startOrigin();
  expect((await lookAt('https://hub.test/ping', origin.port)).ok).toBe(false);
});

// --- grpc

interface Asked {
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: string;
}

type Health = Awaited<ReturnType<typeof listening<http2.Http2Server>>> & { readonly asked: Asked[] };

/** A health service that says this state; or does what it is told with each stream. */
async function health(says: number | ((stream: http2.ServerHttp2Stream) => void), secure = false): Promise<Health> {
  const asked: Asked[] = [];
  const server = secure ? http2.createSecureServer(CERTIFICATE) : http2.createServer();
  server.on('sessionError', () => {});
  server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      asked.push({ headers, body: Buffer.concat(chunks).toString('hex') });
      if (typeof says === 'function') says(stream);
      else answer(stream, Buffer.from([0, 0, 0, 0, 2, 8, says]));
    });
  });
  return { ...(await listening(server as http2.Http2Server)), asked };
}

function answer(stream: http2.ServerHttp2Stream, body: Buffer, trailers: http2.OutgoingHttpHeaders = { 'grpc-status': '0' }): void {
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.end(body);
}

function only(fields: http2.OutgoingHttpHeaders): (stream: http2.ServerHttp2Stream) => void {
  return (stream) => stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...fields }, { endStream: true });
}

test.each([false, true])('grpc: the health service is asked after the service of the URL (TLS: %s)', async (secure) => {
  const { port, asked } = await health(1, secure);
  expect(await lookAt(`grpc://hub.test?service=a.B${secure ? '&tls' : ''}&read_timeout=2s`, port)).toEqual({ ok: true, reason: 'says SERVING' });
  expect(asked[0]!.body).toBe('00000000050a03612e42');
  expect(asked[0]!.headers).toMatchObject({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    ':scheme': secure ? 'https' : 'http',
    ':authority': 'hub.test',
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-timeout': '2000m',
  });
});

test.each([
  ['NOT_SERVING', 2, 'says NOT_SERVING'],
  ['UNKNOWN', 0, 'says UNKNOWN'],
  ['SERVICE_UNKNOWN', 3, 'says SERVICE_UNKNOWN'],
  ['a state of a later version', 9, 'says 9'],
  ['NOT_FOUND', only({ 'grpc-status': '5' }), 'its health service does not know a.B'],
  ['UNIMPLEMENTED', only({ 'grpc-status': '12' }), 'it has no health service (grpc.health.v1)'],
  ['another status', only({ 'grpc-status': '14', 'grpc-message': 'shutting down' }), 'its health service fails: status 14 shutting down'],
  ['no status', only({}), 'its answer is not gRPC'],
  [
    'another HTTP status',
    (stream: http2.ServerHttp2Stream) => stream.respond({ ':status': 503 }, { endStream: true }),
    'answers 503 instead of gRPC',
  ],
  [
    'SERVING and then a failure',
    (stream: http2.ServerHttp2Stream) => answer(stream, Buffer.from('00000000020801', 'hex'), { 'grpc-status': '13' }),
    'its health service fails: status 13',
  ],
  [
    'bytes that are no message',
    (stream: http2.ServerHttp2Stream) => answer(stream, Buffer.from('hello')),
    'the answer of its health service cannot be read',
  ],
  [
    'too many bytes',
    (stream: http2.ServerHttp2Stream) => answer(stream, Buffer.alloc(GRPC_ANSWER_BYTES + 1)),
    'the answer of its health service is too long',
  ],
])('grpc: %s fails', async (_what, says, reason) => {
  const { port, sockets } = await health(says);
  expect(await lookAt('grpc://app?service=a.B', port)).toEqual({ ok: false, reason });
  await until('no connection is left', () => sockets.size === 0);
});

test('grpc: a stream that is reset fails', async () => {
  const { port } = await health((stream) => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
  expect((await lookAt('grpc://app', port)).ok).toBe(false);
});

test('grpc: an answer that stops in the middle is not waited for longer than the time limit', async () => {
  const { port } = await health((stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.write(Buffer.from([0, 0]));
  });
  expect(await lookAt('grpc://app?read_timeout=60ms', port)).toEqual({ ok: false, reason: 'the answer takes too long' });
});

test.each(['grpc://hub.test', 'grpc://hub.test?tls'])('grpc: who speaks only HTTP/1 fails: %s', async (url) => {
  const port = url.endsWith('tls') ? (await secureOrigin()).port : (await startOrigin()).port;
  const { ok, reason } = await lookAt(url, port);
  expect([ok, reason]).toEqual([false, expect.stringMatching(/HTTP\/2|connection|ALPN|alert/i)]);
});

test('grpc: who speaks TLS and does not say that it speaks HTTP/2 fails at once', async () => {
  const { port } = await listening(tls.createServer(CERTIFICATE, (socket) => void socket.resume()));
  expect(await lookAt('grpc://hub.test?tls&read_timeout=1m', port)).toEqual({ ok: false, reason: 'it does not speak HTTP/2' });
});

test.each(['', '&tls'])('grpc: reuse keeps one connection; without it each look has one of its own (%s)', async (more) => {
  const kept = await health(1, more !== '');
  const keeping = probeOf(`grpc://hub.test?reuse${more}`, kept.port);
  const fresh = await health(1, more !== '');
  const hasty = probeOf(`grpc://hub.test?failure=2${more}`, fresh.port);
  for (let i = 0; i < 3; i++) expect([(await look(keeping)).ok, (await look(hasty)).ok]).toEqual([true, true]);
  expect([kept.connections(), fresh.connections()]).toEqual([1, 3]);
  await until('only the kept connection is left', () => fresh.sockets.size === 0);
  expect(kept.sockets.size).toBe(1);
  keeping.close();
  await until('no connection is left', () => kept.sockets.size === 0);
});

test('grpc: a kept connection that is gone is replaced', async () => {
  const service = await health(1);
  const probe = probeOf('grpc://app?reuse', service.port);
  expect((await look(probe)).ok).toBe(true);
  for (const socket of service.sockets) socket.destroy();
  await until('it is gone', () => service.sockets.size === 0);
  expect(await look(probe)).toEqual({ ok: true, reason: 'says SERVING' });
  expect(service.connections()).toBe(2);
});

test('grpc: a kept connection that the endpoint closes as it is used says nothing: a fresh one does', async () => {
  let questions = 0;
  const service = await health((stream) => {
    if (++questions === 2) stream.session!.destroy();
    else answer(stream, Buffer.from('00000000020801', 'hex'));
  });
  const probe = probeOf('grpc://app?reuse', service.port);
  expect((await look(probe)).ok).toBe(true);
  expect(await look(probe)).toEqual({ ok: true, reason: 'says SERVING' });
  expect(service.connections()).toBe(2);
});
