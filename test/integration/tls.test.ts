import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { RawClient } from '../kit/client.ts';
import { kit, metricBecomes, portOf } from '../kit/kit.ts';
import { get } from '../kit/stage.ts';
import { until } from '../kit/until.ts';

const { startOrigin, startScript, startDirect, startHubWith, startAgentFor, dialHub, rawClient, folder, later } = kit();

const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const CA = readFileSync(join(FIXTURES, 'ca.pem'));
const ONE = { certFile: join(FIXTURES, 'one.pem'), keyFile: join(FIXTURES, 'one.key') };
const CA_FILE = join(FIXTURES, 'ca.pem');

async function secureClient(to: Parameters<typeof portOf>[0], options: tls.ConnectionOptions = {}): Promise<RawClient & { socket: tls.TLSSocket }> {
  const socket = tls.connect({ port: portOf(to), host: '127.0.0.1', ca: CA, allowHalfOpen: true, ...options } as tls.ConnectionOptions);
  later(() => socket.destroy());
  await once(socket, 'secureConnect');
  return new RawClient(socket) as RawClient & { socket: tls.TLSSocket };
}

/** Whose certificate a new handshake gets. */
async function subject(to: Parameters<typeof portOf>[0]): Promise<string> {
  const { socket } = await secureClient(to);
  const name = socket.getPeerCertificate().subject.CN;
  socket.destroy();
  return String(name);
}

test('a proxy with a certificate speaks TLS 1.3 and HTTP/1.1, and the upstream hears that the client used https', async () => {
  const origin = await startOrigin((request, response) =>
    response.end(`${String(request.headers['x-forwarded-proto'])} ${request.headers.forwarded}`),
  );
  const proxy = await startDirect({ to: origin, tls: ONE });
  const client = await secureClient(proxy, { ALPNProtocols: ['http/1.1'] });
  expect([client.socket.getProtocol(), client.socket.alpnProtocol]).toEqual(['TLSv1.3', 'http/1.1']);
  for (let i = 0; i < 3; i++) {
    const answer = await client.send(get()).answer();
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toMatch(/^https .*proto=https/);
  }
});

test('a client that speaks plain HTTP to a TLS port is closed, and one line says so however often it happens; others are served on', async () => {
  const origin = await startOrigin();
  const proxy = await startDirect({ to: origin, tls: ONE });
  const plain = await rawClient(proxy);
  plain.send(get());
  await plain.ended();
  expect(plain.text).not.toContain('HTTP/1.1 200');
  const lines = (level: string) =>
    proxy.log.filter((line) => line.level === level && line.fields['reason'] === 'plain HTTP was spoken to a TLS port');
  await until('the line', () => lines('info').length === 1);
  for (let i = 0; i < 3; i++) await (await rawClient(proxy)).send(get()).ended();
  await until('the others', () => lines('debug').length === 3);
  expect(lines('info')[0]!.fields['peer']).toBe('127.0.0.1');
  expect(lines('info')).toHaveLength(1);
  const other = await rawClient(proxy);
  other.send('SSH-2.0-OpenSSH_9.2\r\n');
  await other.ended();
  await until('its line', () =>
    proxy.log.some((line) => line.level === 'info' && line.fields['reason'] === 'what was spoken to a TLS port is no TLS'),
  );
  expect((await (await secureClient(proxy)).send(get()).answer()).status).toBe(200);
});

test('TLS 1.1 is refused, and so is a client that speaks no protocol of ours', async () => {
  const proxy = await startDirect({ to: await startOrigin(), tls: ONE });
  await expect(secureClient(proxy, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })).rejects.toThrow();
  await expect(secureClient(proxy, { ALPNProtocols: ['spdy/3'] })).rejects.toThrow(/application.protocol/i);
  await metricBecomes(proxy, 'windlass_connections_total{result="no_handshake"}', (n) => n === 2);
});

test('renegotiation is refused [threat 52]', async () => {
  const proxy = await startDirect({ to: await startOrigin(), tls: ONE });
  const { socket } = await secureClient(proxy, { maxVersion: 'TLSv1.2' });
  socket.on('error', () => {});
  const outcome = await new Promise((resolve) => {
    socket.once('close', () => resolve('refused'));
    socket.renegotiate({}, () => resolve('done anew'));
    socket.write(get());
  });
  expect(outcome).toBe('refused');
});

test('connections in a handshake count among those that may be open [threat 52]', async () => {
  const origin = await startOrigin();
  const proxy = await startDirect({ to: origin, tls: ONE, limits: { connections: 3 } });
  const idle = await Promise.all([rawClient(proxy), rawClient(proxy), rawClient(proxy)]);
  const fourth = await rawClient(proxy);
  await fourth.ended();
  await metricBecomes(proxy, 'windlass_connections_total{result="refused"}', (n) => n === 1);
  for (const client of idle) client.reset();
  await metricBecomes(proxy, 'windlass_connections_total{result="no_handshake"}', (n) => n === 3);
  expect((await (await secureClient(proxy)).send(get()).answer()).status).toBe(200);
});

test('an upgraded connection over TLS keeps its other half when the client has said its last [fault 30]', async () => {
  const origin = await startScript(async (connection) => {
    await connection.head();
    connection.send(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
    );
    await connection.ended();
    connection.send('heard you out');
    connection.end();
  });
  const proxy = await startDirect({ to: origin, tls: ONE });
  const client = await secureClient(proxy);
  client.send(get('/', ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']));
  await client.until(({ text }) => text.includes(' 101 '), 'the upgrade');
  client.send('last words').halfClose();
  expect(await client.ended()).toBe('fin');
  expect(client.text.endsWith('\r\n\r\nheard you out')).toBe(true);
  expect(origin.connections[0]!.text.endsWith('last words')).toBe(true);
});

test('a stop does not wait for who is in a handshake', async () => {
  const proxy = await startDirect({ to: await startOrigin(), tls: ONE, drainTimeoutMs: 60_000 });
  const idle = await rawClient(proxy);
  await metricBecomes(proxy, 'windlass_connections', (n) => n === 0);
  await proxy.close();
  await idle.ended();
});

test('a large body passes both ways over TLS', async () => {
  const origin = await startOrigin((request, response) => void request.pipe(response));
  const proxy = await startDirect({ to: origin, tls: ONE });
  const client = await secureClient(proxy);
  const body = Buffer.alloc(3_000_000, 'windlass ');
  client.send(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`).send(body);
  const answer = await client.answer('POST');
  expect(answer.body.equals(body)).toBe(true);
});

test('a new certificate is used by new handshakes, and live connections go on [fault 43]', async () => {
  const origin = await startOrigin();
  const files = { certFile: join(folder(), 'cert.pem'), keyFile: join(folder(), 'key.pem') };
  copyFileSync(ONE.certFile, files.certFile);
  copyFileSync(ONE.keyFile, files.keyFile);
  const proxy = await startDirect({ to: origin, tls: files });
  expect(await subject(proxy)).toBe('one.test');
  const old = await secureClient(proxy);
  expect((await old.send(get()).answer()).status).toBe(200);
  copyFileSync(join(FIXTURES, 'two.pem'), files.certFile);
  copyFileSync(join(FIXTURES, 'two.key'), files.keyFile);
  await until('the new certificate', async () => (await subject(proxy)) === 'two.test');
  expect((await old.send(get()).answer()).status).toBe(200);
  expect(old.socket.getPeerCertificate().subject.CN).toBe('one.test');
});

test('a renewal by a swapped link, as Kubernetes and certbot do it, is noticed [fault 43]', async () => {
  const place = folder();
  for (const name of ['one', 'two']) {
    mkdirSync(join(place, name));
    copyFileSync(join(FIXTURES, `${name}.pem`), join(place, name, 'tls.crt'));
    copyFileSync(join(FIXTURES, `${name}.key`), join(place, name, 'tls.key'));
  }
  symlinkSync('one', join(place, 'data'));
  symlinkSync('data/tls.crt', join(place, 'tls.crt'));
  symlinkSync('data/tls.key', join(place, 'tls.key'));
  const proxy = await startDirect({ to: await startOrigin(), tls: { certFile: join(place, 'tls.crt'), keyFile: join(place, 'tls.key') } });
  expect(await subject(proxy)).toBe('one.test');
  symlinkSync('two', join(place, 'next'));
  renameSync(join(place, 'next'), join(place, 'data'));
  await until('the new certificate', async () => (await subject(proxy)) === 'two.test');
});

test('a broken pair keeps the old one and earns one line; a good one after it is taken [fault 43]', async () => {
  const origin = await startOrigin();
  const files = { certFile: join(folder(), 'cert.pem'), keyFile: join(folder(), 'key.pem') };
  copyFileSync(ONE.certFile, files.certFile);
  copyFileSync(ONE.keyFile, files.keyFile);
  const proxy = await startDirect({ to: origin, tls: files });
  const complaints = () => proxy.log.filter((line) => line.level === 'warn').map((line) => String(line.fields['reason']));
  writeFileSync(files.certFile, 'no certificate');
  await until('the line', () => complaints().length === 1);
  expect(complaints()[0]).toMatch(/holds no PEM certificate$/);
  proxy.reload();
  proxy.reload();
  expect(complaints()).toHaveLength(1);
  copyFileSync(join(FIXTURES, 'two.pem'), files.certFile);
  await until('the second line', () => complaints().length === 2);
  expect(complaints()[1]).toMatch(/is not the key of/);
  rmSync(files.keyFile);
  await until('the third line', () => complaints().length === 3);
  expect(complaints()[2]).toMatch(/does not exist/);
  expect(await subject(proxy)).toBe('one.test');
  copyFileSync(join(FIXTURES, 'two.key'), files.keyFile);
  await until('the new certificate', async () => (await subject(proxy)) === 'two.test');
});

test('a pair that cannot be used at the start is an error that names the file', async () => {
  const origin = await startOrigin();
  await expect(startDirect({ to: origin, tls: { ...ONE, keyFile: join(FIXTURES, 'two.key') } })).rejects.toThrow(
    /two\.key is not the key of .*one\.pem/,
  );
  await expect(startDirect({ to: origin, tls: { ...ONE, certFile: '/nowhere.pem' } })).rejects.toThrow('/nowhere.pem does not exist');
  await expect(startDirect({ to: origin, tls: { ...ONE, keyFile: ONE.certFile } })).rejects.toThrow(/holds no PEM key/);
});

test('agents join a hub over TLS with a certificate authority of their own, and applications are served over TLS [threat 47]', async () => {
  const origin = await startOrigin((_, response) => response.end('from the agent'));
  const hub = await startHubWith({ tls: ONE });
  await startAgentFor(hub, origin, { hubs: [parseUpstreamUrl(`https://localhost:${portOf(hub)}`)], caFile: CA_FILE });
  const answer = await (await secureClient(hub)).send(get()).answer();
  expect([answer.status, answer.body.toString()]).toEqual([200, 'from the agent']);
});

test('an agent does not give its token to a hub whose certificate it cannot check [threat 47]', async () => {
  const origin = await startOrigin();
  const hub = await startHubWith({ tls: ONE });
  const agent = await dialHub(hub, origin, { hubs: [parseUpstreamUrl(`https://localhost:${portOf(hub)}`)] });
  await until('the line', () => agent.log.some((line) => line.level === 'warn' && /certificate/.test(line.message)));
  expect(hub.log.some((line) => /turned away/.test(line.message))).toBe(false);
});

test('an agent that is sent to https does not speak to a plain hub [threat 47]', async () => {
  const heard: Buffer[] = [];
  const server = net.createServer((socket) => {
    socket.on('data', (chunk) => {
      heard.push(chunk);
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: windlass/1\r\n\r\n');
    });
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  later(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const agent = await dialHub({ port }, await startOrigin(), { hubs: [parseUpstreamUrl(`https://127.0.0.1:${port}`)], caFile: CA_FILE });
  await until('the line', () => agent.log.some((line) => /cannot be reached/.test(line.message)));
  expect(Buffer.concat(heard).toString('latin1')).not.toContain('Windlass-Token');
});

test.each(['http/1.1', 'h2'])(
  'a record that nobody has sealed ends its connection at once, and the request on it (%s) [threat 52]',
  async (protocol) => {
    const departed: Promise<unknown>[] = [];
    const origin = await startOrigin((request) => departed.push(once(request, 'close')));
    const proxy = await startDirect({ to: origin, tls: ONE });
    const far: net.Socket[] = [];
    const between = net.createServer((near) => {
      const socket = net.connect({ port: portOf(proxy), host: '127.0.0.1' });
      far.push(socket);
      for (const one of [near, socket]) one.on('error', () => {});
      near.pipe(socket).pipe(near);
      later(() => socket.destroy());
    });
    between.listen(0, '127.0.0.1');
    later(() => between.close());
    await once(between, 'listening');
    const { socket } = await secureClient({ port: (between.address() as net.AddressInfo).port }, { ALPNProtocols: [protocol] });
    socket.on('error', () => {});
    expect(socket.alpnProtocol).toBe(protocol);
    if (protocol === 'h2') {
      const session = http2.connect('https://localhost', { createConnection: () => socket });
      session.on('error', () => {});
      session.request({ ':path': '/' }).on('error', () => {});
    } else socket.write(get());
    await until('the request', () => departed.length === 1);
    far[0]!.write(Buffer.concat([Buffer.from([0x17, 3, 3, 0, 32]), Buffer.alloc(32, 7)]));
    await departed[0];
    await metricBecomes(proxy, 'windlass_connections', (n) => n === 0);
  },
);
