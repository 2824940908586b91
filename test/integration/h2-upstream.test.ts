import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { describe, expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { END_STREAM, type H2Answerer, H2Origin, type H2OriginOptions, rawH2Origin } from '../kit/h2-origin.ts';
import { type Kit, kit, metric } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const FIXTURES = new URL('../fixtures/', import.meta.url);
const CA_FILE = new URL('ca.pem', FIXTURES).pathname;
const PAIR = { cert: readFileSync(new URL('one.pem', FIXTURES), 'utf8'), key: readFileSync(new URL('one.key', FIXTURES), 'utf8') };

/** Something in front of an origin: where clients speak HTTP/2 to it, and where its numbers are. */
interface Front {
  readonly port: number;
  readonly adminAddress: { readonly port: number } | null;
}

interface Way {
  readonly name: string;
  readonly origin: H2OriginOptions;
  start(of: Kit, port: number): Promise<Front>;
}

function gatewayFile(addrs: string, upstream: string): string {
  return `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
[upstreams.one]
addrs = [${addrs}]
health_check = "off"
${upstream}`;
}

async function gateway(of: Kit, addrs: string, upstream: string): Promise<Front> {
  const running = await startGatewayOf(of, gatewayFile(addrs, upstream));
  expect(running.warnings).toEqual([]);
  return { port: running.port(), adminAddress: running.adminAddress };
}

async function hubAndAgent(of: Kit, upstream: string, settings: { readonly caFile?: string } = {}): Promise<Front> {
  const hub = await of.startHubWith();
  await of.startAgentFor(hub, { port: 1 }, { upstreams: [parseUpstreamUrl(upstream)], slots: 250, ...settings });
  return { port: hub.address.port, adminAddress: hub.adminAddress };
}

const WAYS: readonly Way[] = [
  {
    name: 'a gateway, h2c',
    origin: {},
    start: (of, port) => gateway(of, `"127.0.0.1:${port}"`, 'alpn = "H2"'),
  },
  {
    name: 'a gateway, as TLS chooses',
    origin: { pair: PAIR },
    start: (of, port) => gateway(of, `"127.0.0.1:${port}"`, `sni = "localhost"\ntls_ca = "${CA_FILE}"\nalpn = "H2H1"`),
  },
  {
    name: 'windlass proxy, h2c://',
    origin: {},
    start: async (of, port) => {
      const proxy = await of.startDirect({ to: [parseUpstreamUrl(`h2c://127.0.0.1:${port}`)] });
      return { port: proxy.address.port, adminAddress: proxy.adminAddress };
    },
  },
  { name: 'hub and agent, h2c://', origin: {}, start: (of, port) => hubAndAgent(of, `h2c://127.0.0.1:${port}`) },
];

async function startH2(answer: H2Answerer | undefined, options: H2OriginOptions = {}): Promise<H2Origin> {
  const origin = await new H2Origin(answer, options).listen();
  tools.later(() => origin.close());
  return origin;
}

async function behind(way: Way, answer?: H2Answerer): Promise<{ origin: H2Origin; front: Front; client: http2.ClientHttp2Session }> {
  const origin = await startH2(answer, way.origin);
  const front = await way.start(tools, origin.port);
  return { origin, front, client: clientOf(front) };
}

function clientOf(front: Front): http2.ClientHttp2Session {
  const client = http2.connect(`http://127.0.0.1:${front.port}`);
  client.on('error', () => {});
  tools.later(() => client.destroy());
  return client;
}

/** What a client of HTTP/2 hears of one request. */
class Heard {
  readonly interim: http2.IncomingHttpHeaders[] = [];
  head: http2.IncomingHttpHeaders | null = null;
  trailers: http2.IncomingHttpHeaders | null = null;
  text = '';
  bytes = 0;
  readonly hash = createHash('sha256');
  code = -1;
  readonly over: Promise<this>;

  constructor(stream: http2.ClientHttp2Stream) {
    stream.on('headers', (head) => this.interim.push(head));
    stream.on('response', (head) => {
      this.head = head;
    });
    stream.on('trailers', (trailers) => {
      this.trailers = trailers;
    });
    stream.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.hash.update(chunk);
      if (this.bytes < 10_000) this.text += chunk.toString('latin1');
    });
    stream.on('error', () => {});
    this.over = new Promise((resolve) => {
      stream.on('close', () => {
        this.code = stream.rstCode;
        resolve(this);
      });
    });
  }
}

function send(client: http2.ClientHttp2Session, fields: http2.OutgoingHttpHeaders, body?: Buffer): Heard {
  const stream = client.request({ ':method': body === undefined ? 'GET' : 'POST', ':path': '/', ...fields }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return new Heard(stream);
}

const GRPC = { ':method': 'POST', ':path': '/service/Method', 'content-type': 'application/grpc', te: 'trailers' };

describe.each(WAYS)('HTTP/2 through $name', (way) => {
  test('trailers and interim answers pass unchanged both ways', async () => {
    // Node's servers of both protocols say no trailers that they were not asked for by the older interface.
    const { origin, client } = await behind(way.origin.pair === undefined ? way : WAYS[0]!, (stream, _headers, seen) => {
      stream.additionalHeaders({ ':status': 103, link: '</style.css>; rel=preload' });
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'x-head': ['1', '2'] }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': String(seen.bytes), 'x-list': ['a', 'b'] }));
        stream.end('answer');
      });
    });
    const stream = client.request({ ':method': 'POST', ':path': '/x', te: 'trailers' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-up': 'checked' }));
    const heard = new Heard(stream);
    stream.end('body');
    await heard.over;
    expect([heard.code, heard.head![':status'], heard.text]).toEqual([0, 200, 'answer']);
    expect(heard.interim.map(({ link }) => link)).toEqual(['</style.css>; rel=preload']);
    expect(heard.trailers).toMatchObject({ 'x-sum': '4', 'x-list': 'a, b' });
    expect(origin.requests[0]!.trailers).toMatchObject({ 'x-up': 'checked' });
    expect(origin.requests[0]!.headers.te).toBe('trailers');
  });

  test('both sides talk at once, and every message leaves at once', async () => {
    const { client } = await behind(way, (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.pipe(stream);
    });
    const stream = client.request(GRPC);
    const heard = new Heard(stream);
    await until('the head, before a byte of the body', () => heard.head !== null);
    for (let i = 0; i < 10; i++) {
      stream.write(`message ${i};`);
      await until(`the echo of message ${i}`, () => heard.text.endsWith(`message ${i};`));
    }
    stream.end();
    await heard.over;
    expect([heard.code, heard.text.split(';').length]).toEqual([0, 11]);
  });

  test('an answer of a head alone stays one, and one that is complete before its request has ended arrives whole [fault 25]', async () => {
    const { client } = await behind(way.origin.pair === undefined ? way : WAYS[0]!, (stream, { ':path': path }) => {
      const head = { ':status': 200, 'content-type': 'application/grpc' };
      if (path === '/head') stream.respond({ ...head, 'grpc-status': '5' }, { endStream: true });
      else {
        stream.respond(head, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '9' }));
        stream.on('data', () => stream.end('so far'));
      }
    });
    const alone = client.request({ ...GRPC, ':path': '/head' });
    const ended = new Promise<boolean>((resolve) =>
      alone.on('response', (_head, flags) => resolve((flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0)),
    );
    const whole = new Heard(alone);
    alone.end('message');
    await whole.over;
    expect([await ended, whole.head!['grpc-status'], whole.head!['content-length'], whole.trailers]).toEqual([true, '5', undefined, null]);
    const early = client.request(GRPC);
    const heard = new Heard(early);
    early.write('one of many');
    await until('the trailers', () => heard.trailers);
    expect([heard.text, heard.trailers!['grpc-status']]).toEqual(['so far', '9']);
    early.end();
    await heard.over;
  });

  test('large bodies pass unchanged both ways at the same time', async () => {
    const down = randomBytes(5_000_000);
    const { origin, client } = await behind(way, (stream) => {
      stream.respond({ ':status': 200 });
      stream.end(down);
    });
    const up = randomBytes(4_000_000);
    const stream = client.request({ ':method': 'PUT', ':path': '/', 'content-length': up.length });
    const heard = new Heard(stream);
    stream.end(up);
    await Promise.all([heard.over, until('the end of the request', () => origin.requests[0]?.sha256 !== '' && origin.requests[0] !== undefined)]);
    expect(heard.hash.digest('hex')).toBe(createHash('sha256').update(down).digest('hex'));
    // An answer that is whole before the request may end it (fault row 25); what came is what was sent.
    const seen = origin.requests[0]!;
    if (seen.complete) expect(seen.sha256).toBe(createHash('sha256').update(up).digest('hex'));
    expect(seen.bytes).toBeLessThanOrEqual(up.length);
  });

  test('200 requests at once share a few connections', async () => {
    const waiting: http2.ServerHttp2Stream[] = [];
    const { origin, front } = await behind(way, (stream) => void waiting.push(stream));
    const clients = [clientOf(front), clientOf(front), clientOf(front)];
    const heard = Array.from({ length: 200 }, (_, i) => send(clients[i % 3]!, { ':path': `/${i}` }));
    await until('200 requests at the origin', () => waiting.length === 200, 20_000);
    expect(origin.sessions.length).toBe(2);
    for (const stream of waiting) {
      stream.respond({ ':status': 200 });
      stream.end('done');
    }
    await Promise.all(heard.map(({ over }) => over));
    for (const { code, head, text } of heard) expect([code, head?.[':status'], text]).toEqual([0, 200, 'done']);
  });

  test('an upstream that is killed in the middle of an answer is a cut, and for gRPC UNAVAILABLE, never the end [fault 22] [rule R2]', async () => {
    const { origin, client } = await behind(way, (stream, headers) => {
      const grpc = headers['content-type'] === 'application/grpc';
      stream.respond({ ':status': 200, ...(grpc ? { 'content-type': 'application/grpc' } : {}) });
      stream.write('half');
    });
    const plain = send(client, {});
    const grpc = new Heard(client.request(GRPC));
    await until('both halves', () => plain.text === 'half' && grpc.text === 'half');
    for (const session of origin.sessions) session.destroy();
    await Promise.all([plain.over, grpc.over]);
    expect(plain.code).not.toBe(0);
    expect([grpc.code !== 0, grpc.trailers?.['grpc-status']]).not.toEqual([false, '0']);
    if (grpc.code === 0) expect(grpc.trailers?.['grpc-status']).toBe('14');
  });

  test('a client that leaves reaches the upstream as a cancelled stream [rule R5] [fault 29]', async () => {
    const { origin, client } = await behind(way, (stream) => {
      stream.respond({ ':status': 200 });
      stream.write('some');
    });
    const stream = client.request({ ':path': '/' });
    const heard = new Heard(stream);
    await until('the beginning', () => heard.text === 'some');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    expect((await origin.ended()).rstCode).toBe(http2.constants.NGHTTP2_CANCEL);
    expect(origin.sessions[0]!.destroyed).toBe(false);
  });

  test('clients that read nothing hold little memory, and the others go on [threat 50]', async () => {
    const { front, client } = await behind(way, (stream, { ':path': path }) => {
      stream.respond({ ':status': 200 });
      stream.end(path === '/large' ? Buffer.alloc(6_000_000) : 'quick');
    });
    const slow = Array.from({ length: 5 }, () => {
      const stream = client.request({ ':path': '/large' });
      stream.on('error', () => {});
      stream.on('response', () => stream.pause());
      return stream;
    });
    await until('all of them to be answered', () => slow.every((stream) => stream.readableFlowing === false));
    const other = await send(client, { ':path': '/quick' }).over;
    expect(other.text).toBe('quick');
    const bytes = await metric(front, 'windlass_buffered_bytes');
    expect(bytes).toBeLessThan(5 * 1024 * 1024);
  });
});

test('what an upstream refuses goes to another of its addresses, whatever the method [rule R1]', async () => {
  const refusing = await rawH2Origin((peer) => void peer.request().then(({ stream }) => peer.reset(stream, 7)));
  tools.later(() => refusing.close());
  const origin = await startH2(undefined);
  const front = await gateway(tools, `"127.0.0.1:${refusing.port}", "127.0.0.1:${origin.port}"`, 'alpn = "H2"');
  const client = clientOf(front);
  for (let i = 0; i < 2; i++) {
    const heard = await send(client, { ':path': '/' }, Buffer.from('kept')).over;
    expect([heard.head![':status'], heard.text]).toEqual([200, 'ok']);
  }
  expect(origin.requests.map(({ body }) => body)).toEqual(['kept', 'kept']);
});

test('an upstream that says goodbye gets what it has not begun with on its next connection, through hub and agent as well', async () => {
  const raw = await rawH2Origin((peer, connection) => {
    if (connection === 0) void peer.request(1).then(() => peer.goaway(1));
    else void peer.request().then(({ stream }) => peer.headers(stream, [[':status', '200']], END_STREAM));
  });
  tools.later(() => raw.close());
  const client = clientOf(await hubAndAgent(tools, `h2c://127.0.0.1:${raw.port}`));
  const first = new Heard(client.request({ ':method': 'POST', ':path': '/first' }));
  await until('the first request', () => raw.peers[0]?.frames.some(({ type }) => type === 1) ?? false);
  const second = send(client, { ':path': '/second' }, Buffer.from('body'));
  await second.over;
  expect([second.head![':status'], raw.peers.length]).toEqual([200, 2]);
  raw.peers[0]!.headers(1, [[':status', '204']], END_STREAM);
  await first.over;
  expect(first.head![':status']).toBe(204);
});

test('a reload from HTTP/1.1 to HTTP/2 and back: each request goes as the configuration says that it began with', async () => {
  const waiting: http2.ServerHttp2Stream[] = [];
  const origin = await startH2((stream) => void waiting.push(stream), { pair: PAIR });
  const file = (alpn: string): string => gatewayFile(`"127.0.0.1:${origin.port}"`, `sni = "localhost"\ntls_ca = "${CA_FILE}"\nalpn = "${alpn}"`);
  const running = await startGatewayOf(tools, file('H1'));
  const client = clientOf({ port: running.port(), adminAddress: null });
  expect((await send(client, {}).over).text).toBe('ok over 1.1');
  await running.change(file('H2'));
  const held = send(client, {});
  await until('the request over HTTP/2', () => waiting.length === 1);
  await running.change(file('H1'));
  expect((await send(client, {}).over).text).toBe('ok over 1.1');
  waiting[0]!.respond({ ':status': 200 });
  waiting[0]!.end('from before');
  expect((await held.over).text).toBe('from before');
  await until('the session to be closed', () => origin.sessions.every(({ destroyed }) => destroyed));
});

test('trailers that are larger than a tunnel carries end their own exchange, in either direction, and no other [threat 7]', async () => {
  const large = 'y'.repeat(20_000);
  const origin = await startH2((stream, { ':path': path }) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: path === '/large' });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-large': large }));
    if (path === '/held') stream.write('held');
    else stream.on('end', () => stream.end('answer'));
  });
  const client = clientOf(await hubAndAgent(tools, `h2c://127.0.0.1:${origin.port}`));
  const held = new Heard(client.request({ ':method': 'POST', ':path': '/held' }));
  await until('the other exchange', () => held.text === 'held');
  const down = await send(client, { ':path': '/large' }).over;
  expect([down.head![':status'], down.code !== 0, down.trailers]).toEqual([200, true, null]);
  const stream = client.request({ ':method': 'POST', ':path': '/up' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-large': large }));
  const up = new Heard(stream);
  stream.end('body');
  await up.over;
  expect(up.code !== 0 || String(up.head![':status']) === '400').toBe(true);
  expect((await send(client, { ':path': '/small' }).over).text).toBe('answer');
  expect([held.code, held.text]).toEqual([-1, 'held']);
});

test('an agent speaks HTTP/2 to an https upstream for gRPC, and HTTP/1.1 for the rest', async () => {
  const origin = await startH2(undefined, { pair: PAIR });
  const client = clientOf(await hubAndAgent(tools, `https://localhost:${origin.port}`, { caFile: CA_FILE }));
  const [plain, grpc] = await Promise.all([send(client, {}).over, send(client, GRPC, Buffer.alloc(5)).over]);
  expect([plain.text, grpc.text]).toEqual(['ok over 1.1', 'ok']);
  expect([origin.h1Requests, origin.requests.length]).toEqual([1, 1]);
});

test('gRPC for an agent whose upstream speaks only HTTP/1.1 is UNIMPLEMENTED', async () => {
  const origin = await tools.startOrigin();
  const client = clientOf(await hubAndAgent(tools, `http://127.0.0.1:${origin.port}`));
  const heard = await send(client, GRPC, Buffer.alloc(5)).over;
  const status = heard.trailers?.['grpc-status'] ?? heard.head!['grpc-status'];
  expect([heard.head![':status'], status]).toEqual([200, '12']);
  expect(origin.requests.length).toBe(0);
});

test('a WebSocket of HTTP/2 reaches an upstream of HTTP/2 as one, and one of HTTP/1.1 does as well', async () => {
  const origin = await startH2(
    (stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    },
    { settings: { enableConnectProtocol: true } },
  );
  const front = await gateway(tools, `"127.0.0.1:${origin.port}"`, 'alpn = "H2"');
  const client = clientOf(front);
  await until('the settings', () => client.remoteSettings.enableConnectProtocol === true);
  const stream = client.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat', ':scheme': 'http', ':authority': 'a' });
  const heard = new Heard(stream);
  stream.write('frames');
  await until('the echo', () => heard.text === 'frames');
  stream.end();
  expect((await heard.over).code).toBe(0);
  expect(origin.requests[0]!.headers).toMatchObject({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat' });
  const raw = await tools.rawClient(front);
  raw.send(
    'GET /h1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  await raw.until(({ text }) => text.includes('\r\n\r\n'));
  expect(raw.text).toMatch(/^HTTP\/1\.1 101 /);
  expect(raw.text.toLowerCase()).toContain('sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=');
  raw.send('bytes');
  await raw.until(({ text }) => text.endsWith('bytes'));
});
