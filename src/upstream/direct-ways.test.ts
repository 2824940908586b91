import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { Heard, requestHead, until } from '../../test/kit/tunnel.ts';
import { HeldTime } from '../../test/kit/upstream.ts';
import { createLoop, type Loop } from '../std/loop.ts';
import { Notes, type RequestSink } from '../http/exchange.ts';
import { makePeer } from '../http/head.ts';
import { httpLimits } from '../http/limits.ts';
import { parseUpstreamUrl } from '../schema/upstream-url.ts';
import { Direct, type DirectOptions } from './direct.ts';

const FIXTURES = new URL('../../test/fixtures/', import.meta.url);
const pem = (file: string) => readFileSync(new URL(file, FIXTURES));
const ONE = { cert: pem('one.pem'), key: pem('one.key') };
const TWO = { cert: pem('two.pem'), key: pem('two.key') };
const EXPIRED = { cert: pem('expired.pem'), key: pem('expired.key') };
const OURS = tls.createSecureContext({ ca: pem('ca.pem') });

const close: (() => void)[] = [];
afterEach(() => {
  while (close.length > 0) close.pop()!();
});

type Server = net.Server | tls.Server;

async function listening(server: Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.on('secureConnection', (socket: tls.TLSSocket) => socket.on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  close.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as net.AddressInfo).port;
}

/** Answers every head with what connection it came on. */
function answering(socket: net.Socket, text = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'): void {
  let heard = '';
  socket.on('data', (data: Buffer) => {
    heard += data.toString('latin1');
    for (let at = heard.indexOf('\r\n\r\n'); at >= 0; at = heard.indexOf('\r\n\r\n')) {
      heard = heard.slice(at + 4);
      socket.write(text);
    }
  });
}

function base(loop: Loop = createLoop()): DirectOptions {
  return {
    loop,
    limits: httpLimits,
    connectTimeoutMs: 5_000,
    firstByteTimeoutMs: 0,
    idleTimeoutMs: 0,
    onAbort: 'cancel',
    cancelGraceMs: 100,
    drainTimeoutMs: 0,
    hostHeader: 'keep',
  };
}

function directTo(url: string, options: Partial<DirectOptions> = {}, loop: Loop = createLoop()): Direct {
  const direct = new Direct(parseUpstreamUrl(url), { ...base(loop), ...options });
  close.push(() => direct.close());
  return direct;
}

function begin(direct: Direct, text = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', client = '192.0.2.7'): { heard: Heard; sink: RequestSink; notes: Notes } {
  const head = requestHead(text);
  head.peer = makePeer(client, 4711, 8080, 'http', false);
  // A client of IPv6 stands for one behind a tunnel.
  if (!client.includes(':')) head.peer.localAddress = '192.0.2.1';
  const heard = new Heard();
  const notes = new Notes(0);
  const sink = direct.open(head, heard, notes);
  if (head.bodiless) sink.end();
  return { heard, sink, notes };
}

async function ask(direct: Direct, client?: string): Promise<{ heard: Heard; notes: Notes }> {
  const asked = begin(direct, undefined, client);
  await until(() => asked.heard.settledCount === 1, 'the end of the exchange');
  return asked;
}

describe('TLS', () => {
  const server = (options: tls.TlsOptions, names: unknown[] = []) =>
    tls.createServer({ ...options, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => {
      names.push(socket.servername, socket.alpnProtocol);
      answering(socket);
    });

  test('an address is reached under a name of its own: that is asked for, and the certificate must be for it', async () => {
    const names: unknown[] = [];
    const port = await listening(server(ONE, names));
    const { heard } = await ask(directTo(`https://127.0.0.1:${port}`, { serverName: 'hub.test', trust: OURS }));
    expect([heard.status, ...names]).toEqual([200, 'hub.test', 'http/1.1']);
  });

  test.each([
    ['is for another name', ONE, { serverName: 'other.test', trust: OURS }],
    ['has expired', EXPIRED, { serverName: 'localhost', trust: tls.createSecureContext({ ca: EXPIRED.cert }) }],
    ['comes without the certificates between it and an authority, or from one that is not known', ONE, { serverName: 'localhost' }],
  ])('a certificate that %s is a failure that says so, and nothing is sent [fault 19]', async (words, pair, options) => {
    let sent = 0;
    const port = await listening(
      tls.createServer(pair, (socket) => {
        socket.on('data', () => sent++);
      }),
    );
    const { heard, notes } = await ask(directTo(`https://127.0.0.1:${port}`, options));
    expect(heard.failure).toMatchObject({ code: 'tls_failed', status: 502, retry: 'always' });
    expect(heard.failure!.detail).toContain(words);
    expect([notes.began, sent]).toEqual(['no', 0]);
  });

  test('verify_cert = false believes any certificate', async () => {
    const port = await listening(server(EXPIRED));
    const { heard } = await ask(directTo(`https://127.0.0.1:${port}`, { serverName: 'other.test', verifyCert: false }));
    expect(heard.status).toBe(200);
  });

  test('a client certificate is shown to who asks for it', async () => {
    const subjects: unknown[] = [];
    const port = await listening(
      tls.createServer({ ...ONE, ca: pem('ca.pem'), requestCert: true, rejectUnauthorized: true }, (socket) => {
        subjects.push(socket.getPeerCertificate().subject.CN);
        answering(socket);
      }),
    );
    const trust = tls.createSecureContext({ ca: pem('ca.pem'), ...TWO });
    expect((await ask(directTo(`https://127.0.0.1:${port}`, { serverName: 'localhost', trust }))).heard.status).toBe(200);
    expect(subjects).toEqual(['two.test']);
    const without = await ask(directTo(`https://127.0.0.1:${port}`, { serverName: 'localhost', trust: OURS }));
    expect(without.heard.failure).not.toBeNull();
  });

  test('a port that does not speak TLS is named as such', async () => {
    const port = await listening(net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const { heard } = await ask(directTo(`https://127.0.0.1:${port}`, { serverName: 'localhost' }));
    expect(heard.failure).toMatchObject({ code: 'tls_failed' });
    expect(heard.failure!.detail).toContain('does this port speak it?');
  });
});

describe('time limits', () => {
  test('a TCP connection that does not come about in time is 504, whatever the method [fault 17]', async () => {
    const port = await listening(net.createServer());
    const time = new HeldTime();
    const direct = directTo(`http://127.0.0.1:${port}`, { connectTimeoutMs: 2_000, totalConnectTimeoutMs: 9_000 }, time.loop);
    const { heard, notes } = begin(direct, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
    time.pass(1_999);
    expect(heard.failure).toBeNull();
    time.pass(1);
    expect(heard.failure).toMatchObject({
      code: 'connect_timeout',
      status: 504,
      retry: 'always',
      detail: 'no connection to the upstream within 2000 ms',
    });
    expect(notes.began).toBe('no');
  });

  test('with TLS the total counts from the moment that TCP is up [fault 17]', async () => {
    const silent = net.createServer();
    const port = await listening(silent);
    const time = new HeldTime();
    const options = { serverName: 'localhost', connectTimeoutMs: 2_000, totalConnectTimeoutMs: 9_000 };
    const { heard } = begin(directTo(`https://127.0.0.1:${port}`, options, time.loop));
    await once(silent, 'connection');
    // The client hears of the connection in a turn of its own.
    for (let i = 0; i < 20; i++) await new Promise((next) => setImmediate(next));
    time.pass(8_999);
    expect(heard.failure).toBeNull();
    time.pass(1);
    expect(heard.failure).toMatchObject({ code: 'connect_timeout', detail: 'no connection to the upstream within 9000 ms' });
  });

  test('an upstream that takes nothing of a request is given up after the write timeout', async () => {
    const server = net.createServer((socket) => socket.pause());
    const port = await listening(server);
    const time = new HeldTime();
    const direct = directTo(`http://127.0.0.1:${port}`, { firstByteTimeoutMs: 60_000, idleTimeoutMs: 60_000, writeTimeoutMs: 3_000 }, time.loop);
    const { heard, sink } = begin(direct, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    await once(server, 'connection');
    const chunk = Buffer.alloc(1024 * 1024);
    let isFull = false;
    let drains = 0;
    sink.writer = { drained: () => void drains++ };
    // As much as the kernel takes, and no more.
    for (let quiet = 0; quiet < 20;) {
      if (!isFull || drains > 0) {
        drains = 0;
        isFull = !sink.write(chunk);
        quiet = 0;
      } else quiet++;
      await new Promise((next) => setTimeout(next, 5));
    }
    time.pass(2_999);
    expect(heard.failure).toBeNull();
    time.pass(1);
    expect(heard.failure).toMatchObject({ code: 'upstream_stalled', status: 504, detail: 'the upstream took no byte of the request for 3000 ms' });
  });
});

describe('the pool', () => {
  const counting = async () => {
    let connections = 0;
    const port = await listening(
      net.createServer((socket) => {
        connections++;
        answering(socket);
      }),
    );
    return { port, connections: () => connections };
  };

  test('idle connections are used again, until their time is over', async () => {
    const { port, connections } = await counting();
    const time = new HeldTime();
    const direct = directTo(`http://127.0.0.1:${port}`, { poolIdleMs: 10_000 }, time.loop);
    await ask(direct);
    time.pass(9_000);
    await ask(direct);
    expect(connections()).toBe(1);
    time.pass(10_000);
    expect(direct.idleConnections).toBe(0);
    await ask(direct);
    expect(connections()).toBe(2);
  });

  test('idle_timeout = 0 gives each request a connection of its own', async () => {
    const { port, connections } = await counting();
    const direct = directTo(`http://127.0.0.1:${port}`, { poolIdleMs: 0 });
    await ask(direct);
    await ask(direct);
    expect([connections(), direct.connections]).toEqual([2, 0]);
  });

  test('a pool keeps no more than its size, and gives up what is over it when that is lowered', async () => {
    const { port } = await counting();
    const options = { poolSize: 3 };
    const direct = directTo(`http://127.0.0.1:${port}`, options);
    await Promise.all(Array.from({ length: 5 }, () => ask(direct)));
    expect(direct.idleConnections).toBe(3);
    direct.reconfigure({ ...base(), poolSize: 1 });
    expect([direct.idleConnections, direct.connections]).toEqual([1, 1]);
  });

  test('other time limits count from the next request on, on connections that are open already', async () => {
    let answers = true;
    const port = await listening(
      net.createServer((socket) => {
        socket.on('data', () => answers && socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
      }),
    );
    const time = new HeldTime();
    const direct = directTo(`http://127.0.0.1:${port}`, { firstByteTimeoutMs: 60_000 }, time.loop);
    await ask(direct);
    direct.reconfigure({ ...base(time.loop), firstByteTimeoutMs: 1_500 });
    answers = false;
    const { heard, notes } = begin(direct);
    expect(notes.reused).toBe(true);
    time.pass(1_000);
    time.pass(500);
    expect(heard.failure).toMatchObject({ code: 'first_byte_timeout', detail: 'no answer from the upstream within 1500 ms' });
  });

  test('what is dialled, what is asked for and what is logged may differ', async () => {
    const hosts: string[] = [];
    const port = await listening(
      net.createServer((socket) => {
        socket.on('data', (data: Buffer) => {
          hosts.push(/Host: (.*)\r/.exec(data.toString('latin1'))![1]!);
          socket.write('HTTP/1.1 204 No Content\r\n\r\n');
        });
      }),
    );
    const direct = directTo(`http://service.test:${port}`, { ip: '127.0.0.1', id: `127.0.0.1:${port}`, hostHeader: 'upstream' });
    const { notes } = await ask(direct);
    expect([hosts, notes.address]).toEqual([[`service.test:${port}`], `127.0.0.1:${port}`]);
  });
});

describe('the PROXY protocol', () => {
  const receiving = async (secure: boolean) => {
    const firsts: Buffer[] = [];
    const server = net.createServer((socket) => {
      socket.once('data', (data: Buffer) => {
        const length = data[0] === 0x50 ? data.indexOf('\r\n') + 2 : 16 + data.readUInt16BE(14);
        firsts.push(data.subarray(0, length));
        const rest = data.subarray(length);
        if (secure) socket.pause();
        if (rest.length > 0) socket.unshift(rest);
        answering(secure ? new tls.TLSSocket(socket, { isServer: true, ...ONE }).on('error', () => {}) : socket);
      });
    });
    return { port: await listening(server), firsts };
  };

  test('version 1 says the client first, and no connection serves a second request', async () => {
    const { port, firsts } = await receiving(false);
    const direct = directTo(`http://127.0.0.1:${port}`, { proxyProtocol: 'v1' });
    for (const client of ['192.0.2.7', '192.0.2.7', '2001:db8::9']) expect((await ask(direct, client)).heard.status).toBe(200);
    expect(firsts.map(String)).toEqual([
      'PROXY TCP4 192.0.2.7 192.0.2.1 4711 8080\r\n',
      'PROXY TCP4 192.0.2.7 192.0.2.1 4711 8080\r\n',
      'PROXY TCP6 2001:db8::9 :: 4711 8080\r\n',
    ]);
    expect(direct.connections).toBe(0);
  });

  test('version 2 says it in bytes, in front of TLS', async () => {
    const { port, firsts } = await receiving(true);
    const direct = directTo(`https://127.0.0.1:${port}`, { proxyProtocol: 'v2', serverName: 'localhost', trust: OURS });
    expect((await ask(direct)).heard.status).toBe(200);
    expect(firsts[0]!.subarray(12).toString('hex')).toBe('2111000cc0000207c000020112671f90');
  });

  test('a refused connection is a failure like any other', async () => {
    const server = net.createServer();
    const port = await listening(server);
    server.close();
    await once(server, 'close');
    const plain = await ask(directTo(`http://127.0.0.1:${port}`, { proxyProtocol: 'v1' }));
    expect(plain.heard.failure).toMatchObject({ code: 'connect_refused' });
    const secure = await ask(directTo(`https://127.0.0.1:${port}`, { proxyProtocol: 'v1', serverName: 'localhost' }));
    expect(secure.heard.failure).toMatchObject({ code: 'connect_refused' });
  });
});
