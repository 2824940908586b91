import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import type { Handler } from '../../src/http/exchange.ts';
import { ResponseHead } from '../../src/http/head.ts';
import { httpLimits } from '../../src/http/limits.ts';
import { type ProxyProtocolIn, writeProxyV1, writeProxyV2 } from '../../src/http/proxy-protocol.ts';
import { ServerH1 } from '../../src/http/server-h1.ts';
import { createLoop } from '../../src/std/loop.ts';
import { RawClient } from '../kit/client.ts';
import { until } from '../kit/until.ts';

const FIXTURES = new URL('../fixtures/', import.meta.url);
const pair = { cert: readFileSync(new URL('one.pem', FIXTURES)), key: readFileSync(new URL('one.key', FIXTURES)) };
const ca = readFileSync(new URL('ca.pem', FIXTURES));

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const one of cleanups.splice(0)) one();
});

/** Answers with what is known of the connection. */
const tellPeer: Handler = {
  open: (head, reply) => {
    const { address, port, trusted, connection, requests, tlsVersion, tlsCipher, handshakeMs } = head.peer;
    const body = Buffer.from(JSON.stringify({ address, port, trusted, connection, requests, tlsVersion, tlsCipher, handshook: handshakeMs > 0 }));
    reply.head(ResponseHead.make(200, [], body.length));
    reply.write(body);
    reply.end();
    return { writer: null, write: () => true, end: () => {}, abort: () => {}, settled: () => {} };
  },
};

interface Started {
  readonly server: ServerH1;
  readonly port: number;
  /** What was said of connections that were closed. */
  readonly failures: string[];
}

async function start(kind: 'plain' | 'TLS', of: Partial<ProxyProtocolIn> = {}, trusts: (address: string) => boolean = () => false): Promise<Started> {
  const loop = createLoop();
  const failures: string[] = [];
  const server = new ServerH1({
    loop,
    limits: httpLimits,
    handler: tellPeer,
    refuse: () => {
      throw new Error('nothing of this is to be refused');
    },
    rescue: () => {},
    trusts,
    halfClose: 'depart',
    proxyProtocol: { trusted: () => true, failed: (reason, address) => failures.push(`${address}: ${reason}`), ...of },
    ...(kind === 'TLS' ? { tls: { pair: () => pair, failed: (reason: string) => failures.push(reason) } } : {}),
  });
  const { port } = await server.listen('127.0.0.1', 0);
  cleanups.push(() => server.destroy());
  return { server, port, failures };
}

async function connect(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  return socket.setNoDelay(true);
}

/** Says the header in these pieces, then speaks HTTP, behind TLS if the server wants it. */
async function client(kind: 'plain' | 'TLS', port: number, pieces: readonly Uint8Array[]): Promise<RawClient> {
  const socket = await connect(port);
  const last = pieces.at(-1)!;
  for (const piece of pieces.slice(0, -1)) await new Promise((resolve) => socket.write(piece, resolve));
  if (kind === 'plain') {
    const raw = new RawClient(socket);
    // In one packet with the request: nothing of it may get lost.
    raw.send(Buffer.concat([last, Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')]));
    return raw;
  }
  socket.write(last);
  const secured = tls.connect({ socket, ca, servername: 'localhost' });
  secured.on('error', () => {});
  return new RawClient(secured).send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
}

const SOURCE = { address: '203.0.113.9', port: 4711 };
const US = { address: '192.0.2.1', port: 443 };
const LOCAL = Buffer.from([...Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), 0x20, 0, 0, 0]);

describe.each(['plain', 'TLS'] as const)('a connection with a PROXY header, %s', (kind) => {
  test.each<[string, (a: typeof SOURCE, b: typeof US) => Buffer]>([
    ['version 1', writeProxyV1],
    ['version 2', writeProxyV2],
  ])('%s: the client is whom it names', async (_, write) => {
    const { port, failures } = await start(kind, {}, (address) => address === SOURCE.address);
    const raw = await client(kind, port, [write(SOURCE, US)]);
    const told = JSON.parse((await raw.answer()).body.toString()) as object;
    // Whether its word on further clients is believed goes by the client, too.
    expect(told).toMatchObject({ ...SOURCE, trusted: true, connection: 1, requests: 1, handshook: kind === 'TLS' });
    expect(told).toMatchObject(kind === 'TLS' ? { tlsVersion: 'TLSv1.3', tlsCipher: expect.stringMatching(/^TLS_/) } : { tlsVersion: '' });
    raw.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(JSON.parse((await raw.answer()).body.toString())).toMatchObject({ ...SOURCE, requests: 2 });
    expect(failures).toEqual([]);
  });

  test('byte by byte, it is the same', async () => {
    const { port } = await start(kind);
    const raw = await client(
      kind,
      port,
      [...writeProxyV2(SOURCE, US)].map((byte) => Buffer.from([byte])),
    );
    expect(JSON.parse((await raw.answer()).body.toString())).toMatchObject({ ...SOURCE, trusted: false });
  });

  test('a balancer that speaks for itself is the client', async () => {
    const { port } = await start(kind);
    const raw = await client(kind, port, [LOCAL]);
    expect(JSON.parse((await raw.answer()).body.toString())).toMatchObject({ address: '127.0.0.1' });
  });

  test('from an address that is not trusted it is closed, whatever it says [threat 22]', async () => {
    const { server, port, failures } = await start(kind, { trusted: () => false });
    const socket = await connect(port);
    const raw = new RawClient(socket);
    raw.send(writeProxyV1(SOURCE, US));
    await until('the end', () => raw.ending !== 'open');
    expect(raw.heardBytes).toBe(0);
    expect(failures).toEqual(['127.0.0.1: the peer may not send a PROXY header']);
    expect(server.counts).toMatchObject({ accepted: 0, refusedConnections: 1 });
  });

  test('without a header it is closed, and no byte of it is taken for HTTP', async () => {
    const { port, failures } = await start(kind);
    const raw = new RawClient(await connect(port));
    raw.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until('the end', () => raw.ending !== 'open');
    expect(raw.heardBytes).toBe(0);
    expect(failures).toEqual(['127.0.0.1: the connection does not begin with a PROXY header']);
  });

  test('whose header does not come in time is closed [threat 48]', async () => {
    const { port, failures } = await start(kind, { timeoutMs: 50 });
    const raw = new RawClient(await connect(port));
    raw.send('PROXY TCP4 ');
    await until('the end', () => raw.ending !== 'open');
    expect(failures).toEqual(['127.0.0.1: no PROXY header came in time']);
  });

  test('that comes and goes without a word is nothing to speak of', async () => {
    const { server, port, failures } = await start(kind);
    const socket = await connect(port);
    socket.resume().end();
    await once(socket, 'close');
    await server.drain();
    expect(failures).toEqual([]);
  });

  test('that still owes its header does not hold up a graceful stop', async () => {
    const { server, port } = await start(kind, { timeoutMs: 60_000 });
    const raw = new RawClient(await connect(port));
    raw.send('PROXY ');
    await (await client(kind, port, [LOCAL])).answer();
    await server.drain();
    await until('the end', () => raw.ending !== 'open');
  });
});
