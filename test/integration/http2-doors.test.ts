import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { writeProxyV2 } from '../../src/http/proxy-protocol.ts';
import { fileTo, startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { askH2, connectH2, readStream } from '../kit/h2-client.ts';
import { END_HEADERS, END_STREAM, frame, get, HEADERS, PREFACE, SETTINGS } from '../kit/h2-frames.ts';
import { switched } from '../kit/handshake.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { soon } from '../kit/until.ts';

const made = kit();
const { accessLog, later, rawClient, startAgentFor, startDirect, startHubWith, startOrigin } = made;

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const ca = readFileSync(fixture('ca.pem'));
const TLS = `tls_cert = "${fixture('one.pem')}"\ntls_key = "${fixture('one.key')}"\n`;

async function gatewayWith(server: string): Promise<TestGateway> {
  const origin = await startOrigin((request, response) => {
    request.resume();
    response.end([request.headers['x-forwarded-for'], request.headers['x-forwarded-proto'], request.headers.via].join(' '));
  });
  return startGatewayOf(made, fileTo(origin.port, { server }));
}

/** What is agreed on with somebody who offers these. */
async function agreed(port: number, offers: readonly string[] | undefined): Promise<string | false | null> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    ca,
    checkServerIdentity: () => undefined,
    ...(offers === undefined ? {} : { ALPNProtocols: [...offers] }),
  });
  later(() => socket.destroy());
  await soon('the handshake', once(socket, 'secureConnect'));
  return socket.alpnProtocol;
}

function secure(port: number, socket?: net.Socket): http2.ClientHttp2Session {
  const session = http2.connect(`https://127.0.0.1:${port}`, {
    ca,
    checkServerIdentity: () => undefined,
    ...(socket === undefined
      ? {}
      : { createConnection: () => tls.connect({ socket, ca, checkServerIdentity: () => undefined, ALPNProtocols: ['h2'] }) }),
  });
  session.on('error', () => {});
  later(() => session.destroy());
  return session;
}

describe('over TLS', () => {
  test('HTTP/2 is agreed on with who offers it, HTTP/1.1 with the others', async () => {
    const gateway = await gatewayWith(TLS);
    const port = gateway.port();
    expect(await agreed(port, ['h2', 'http/1.1'])).toBe('h2');
    expect(await agreed(port, ['http/1.1', 'h2'])).toBe('h2');
    expect(await agreed(port, ['http/1.1'])).toBe('http/1.1');
    expect(await agreed(port, undefined)).toBe(false);
    await expect(agreed(port, ['spdy/3'])).rejects.toThrow();
  });

  test('requests are served, and the upstream hears that it was https', async () => {
    const gateway = await gatewayWith(TLS);
    expect((await askH2(secure(gateway.port()), { ':path': '/' })).text).toMatch(/^127\.0\.0\.1 https 2\.0 /);
  });

  test('HTTP/2 can be turned off and on while it listens', async () => {
    const { port } = await startOrigin();
    const gateway = await startGatewayOf(made, fileTo(port, { server: `${TLS}enabled_h2 = false\n` }));
    expect(await agreed(gateway.port(), ['h2', 'http/1.1'])).toBe('http/1.1');
    await gateway.change(fileTo(port, { server: TLS }));
    expect(await agreed(gateway.port(), ['h2', 'http/1.1'])).toBe('h2');
  });
});

describe('without TLS', () => {
  test('the preface may come in pieces, with the first request behind it', async () => {
    const { address } = await startDirect({ to: await startOrigin() });
    const client = await rawClient(address);
    const all = Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS | END_STREAM, 1, get())]);
    await client.sendPieces([...all.subarray(0, 30)].map((byte) => Buffer.from([byte])));
    await client.sendPieces([all.subarray(30, 40), all.subarray(40)]);
    await client.until((self) => self.stream.includes('ok'), 'the answer');
  });

  test('it can be turned off: who begins with the preface is told so in HTTP/1.1', async () => {
    const { address } = await startDirect({ to: await startOrigin(), limits: { h2Streams: 0 } });
    expect((await (await rawClient(address)).send(PREFACE).answer()).status).toBe(505);
  });

  test('a connection that has begun with HTTP/1.1 stays with it', async () => {
    const { address } = await startDirect({ to: await startOrigin() });
    const client = await rawClient(address);
    expect((await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status).toBe(200);
    expect((await client.send(PREFACE).answer()).status).toBe(505);
  });
});

describe('behind a balancer that speaks the PROXY protocol the client is whom it names', () => {
  const header = writeProxyV2({ address: '192.0.2.7', port: 4711 }, { address: '192.0.2.1', port: 80 });
  const PROXIED = 'proxy_protocol = "on"\nproxy_protocol_from = ["loopback"]\n';

  test('without TLS', async () => {
    const gateway = await gatewayWith(PROXIED);
    const socket = net.connect(gateway.port(), '127.0.0.1');
    later(() => socket.destroy());
    socket.write(header);
    const session = http2.connect('http://example.org', { createConnection: () => socket });
    later(() => session.destroy());
    expect((await askH2(session, { ':path': '/' })).text).toMatch(/^192\.0\.2\.7 http 2\.0 /);
  });

  test('with TLS', async () => {
    const gateway = await gatewayWith(PROXIED + TLS);
    const socket = net.connect(gateway.port(), '127.0.0.1');
    later(() => socket.destroy());
    socket.write(header);
    expect((await askH2(secure(gateway.port(), socket), { ':path': '/' })).text).toMatch(/^192\.0\.2\.7 https 2\.0 /);
  });
});

describe('through a hub and its agent', () => {
  test('bodies, trailers and the end of a client cross the tunnel', async () => {
    const log = accessLog();
    let gone!: () => void;
    const left = new Promise<void>((resolve) => (gone = resolve));
    const origin = await startOrigin((request, response) => {
      if (request.url === '/endless') {
        response.write('first');
        response.on('close', gone);
        return;
      }
      response.writeHead(200, { trailer: 'x-sum' });
      let bytes = 0;
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        response.write(chunk);
      });
      request.on('end', () => {
        response.addTrailers({ 'x-sum': String(bytes) });
        response.end();
      });
    });
    const hub = await startHubWith({ accessLog: log.target });
    await startAgentFor(hub, origin, { slots: 4 });
    const client = connectH2(later, hub.address.port);
    const body = Buffer.alloc(1_000_000, 'b');
    const answer = await askH2(client, { ':method': 'POST', ':path': '/' }, body);
    expect([answer.status, answer.text.length, answer.trailers['x-sum']]).toEqual([200, 1_000_000, '1000000']);
    expect((await log.lines(1))[0]).toContain('"POST / HTTP/2.0" 200');
    const endless = client.request({ ':path': '/endless' });
    await once(endless, 'data');
    endless.close(http2.constants.NGHTTP2_CANCEL);
    await left;
    expect(await metric(hub, 'windlass_http2_connections')).toBe(1);
    client.close();
    await metricBecomes(hub, 'windlass_http2_connections', (count) => count === 0);
  });

  test('WebSockets of HTTP/2 reach an origin of HTTP/1.1', async () => {
    const origin = await startOrigin();
    origin.server.on('upgrade', (request, socket: net.Socket) => {
      socket.write(switched(request));
      socket.on('data', (chunk: Buffer) => socket.end(chunk));
    });
    const hub = await startHubWith();
    await startAgentFor(hub, origin, { slots: 1 });
    const client = connectH2(later, hub.address.port);
    await once(client, 'remoteSettings');
    const stream = client.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/', ':scheme': 'http' }, { endStream: false });
    const reading = readStream(stream);
    await once(stream, 'response');
    stream.end('echo');
    expect((await reading).text).toBe('echo');
  });
});

const has = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0;
const run = promisify(execFile);

describe('other people’s clients', () => {
  test.runIf(has('curl'))('curl, by prior knowledge and by ALPN', async () => {
    const plain = await gatewayWith('');
    const safe = await gatewayWith(TLS);
    const write = ['-s', '-o', '/dev/null', '-w', '%{http_version} %{http_code}', '--max-time', '10'];
    expect((await run('curl', [...write, '--http2-prior-knowledge', `http://127.0.0.1:${plain.port()}/`])).stdout).toBe('2 200');
    expect((await run('curl', [...write, '-k', '--http2', `https://127.0.0.1:${safe.port()}/`])).stdout).toBe('2 200');
    expect((await run('curl', [...write, '-k', '--http1.1', `https://127.0.0.1:${safe.port()}/`])).stdout).toBe('1.1 200');
    expect((await run('curl', [...write, '-k', '--http2', '--data-binary', 'x'.repeat(100_000), `https://127.0.0.1:${safe.port()}/`])).stdout).toBe(
      '2 200',
    );
  });

  test.runIf(has('h2load'))('h2load, with as many streams as there may be', async () => {
    const gateway = await gatewayWith('');
    const { stdout } = await run('h2load', ['-n', '3000', '-c', '3', '-m', '100', `http://127.0.0.1:${gateway.port()}/`]);
    expect(stdout).toContain('3000 succeeded, 0 failed, 0 errored');
    const safe = await gatewayWith(TLS);
    expect((await run('h2load', ['-n', '300', '-c', '3', '-m', '10', `https://127.0.0.1:${safe.port()}/`])).stdout).toContain(
      '300 succeeded, 0 failed',
    );
  });
});
