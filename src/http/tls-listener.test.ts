import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { TlsListener } from './tls-listener.ts';

const FIXTURES = new URL('../../test/fixtures/', import.meta.url);
const pair = { cert: readFileSync(new URL('one.pem', FIXTURES)), key: readFileSync(new URL('one.key', FIXTURES)) };

let listener: TlsListener | null = null;
afterEach(() => {
  listener?.destroy();
  listener?.listener.close();
});

async function start(handshakeTimeoutMs?: number): Promise<{ connect: () => Promise<net.Socket>; failure: Promise<string> }> {
  let fail!: (reason: string) => void;
  const failure = new Promise<string>((resolve) => {
    fail = resolve;
  });
  const of = { pair: () => pair, failed: fail, ...(handshakeTimeoutMs === undefined ? {} : { handshakeTimeoutMs }) };
  listener = new TlsListener(
    of,
    { allowHalfOpen: true },
    {
      hasRoom: () => true,
      refused: () => {},
      accepted: () => {},
      now: () => performance.now(),
      http2: () => false,
      wall: () => Date.now(),
      proxyProtocol: null,
    },
  );
  listener.listener.listen(0, '127.0.0.1');
  await once(listener.listener, 'listening');
  const { port } = listener.listener.address() as net.AddressInfo;
  const connect = async (): Promise<net.Socket> => {
    const socket = net.connect(port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    return socket.resume();
  };
  return { connect, failure };
}

test('a handshake that does not end in time is closed [threat 52]', async () => {
  const { connect, failure } = await start(50);
  const socket = await connect();
  const closed = once(socket, 'close');
  expect(await failure).toBe('the handshake took too long');
  await closed;
});

test('a peer that leaves during the handshake is no more than that', async () => {
  const { connect, failure } = await start();
  (await connect()).resetAndDestroy();
  expect(await failure).toBe('the peer left during the handshake');
});

test.each([
  ['nothing', ''],
  ['half a hello', '\x16\x03\x01\x02\x00\x01\x00'],
])('a peer that has said %s and then that it will say no more is closed at once [threat 51, threat 52]', async (_what, said) => {
  const { connect, failure } = await start(600_000);
  const socket = await connect();
  socket.end(said, 'latin1');
  const closed = once(socket, 'close');
  expect(await failure).toBe('the peer left during the handshake');
  await closed;
});

test('destroy() cuts who is in a handshake', async () => {
  const { connect } = await start();
  const accepted = once(listener!.listener, 'connection');
  const socket = await connect();
  await accepted;
  const closed = once(socket, 'close');
  listener!.destroy();
  await closed;
});
