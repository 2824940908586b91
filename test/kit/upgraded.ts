// Upgraded connections, whatever carries them: HTTP/1.1 or HTTP/2 on either side, an address or a tunnel between.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type net from 'node:net';
import type { Duplex } from 'node:stream';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import type { HubSettings, ProxySettings } from '../../src/config/settings.ts';
import { connectH2 } from './h2-client.ts';
import { switched } from './handshake.ts';
import type { Kit, Overrides, Served, ServedAgent } from './kit.ts';
import { until } from './until.ts';

export type Protocol = 'HTTP/1.1' | 'HTTP/2';

export interface Way {
  readonly name: string;
  readonly client: Protocol;
  readonly upstream: Protocol;
  readonly tunnel: boolean;
}

export const WAYS: readonly Way[] = [false, true].flatMap((tunnel) =>
  (['HTTP/1.1', 'HTTP/2'] as const).flatMap((client) =>
    (['HTTP/1.1', 'HTTP/2'] as const).map((upstream) => ({
      name: `from a client of ${client} ${tunnel ? 'through hub and agent' : 'directly'} to an upstream of ${upstream}`,
      client,
      upstream,
      tunnel,
    })),
  ),
);

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** Something in front of an upstream that grants every upgrade. */
export interface Stage {
  readonly front: Served;
  readonly agent: ServedAgent | null;
  /** The connections that the upstream has granted, in order. */
  readonly granted: readonly Duplex[];
  /** A new upgraded connection, and the same at the upstream. */
  readonly connect: (token?: string) => Promise<{ readonly client: Duplex; readonly upstream: Duplex }>;
}

export async function stageOf(
  made: Kit,
  { client, upstream, tunnel }: Way,
  settings: Overrides<Omit<ProxySettings, 'to'> & HubSettings> = {},
): Promise<Stage> {
  const granted: Duplex[] = [];
  const port = upstream === 'HTTP/2' ? await startH2(made, granted) : await startH1(made, granted);
  const target = parseUpstreamUrl(`${upstream === 'HTTP/2' ? 'h2c' : 'http'}://127.0.0.1:${port}`);
  const front = tunnel ? await made.startHubWith(settings) : await made.startDirect({ to: [target], ...settings });
  const agent = tunnel
    ? await made.startAgentFor(
        front,
        { port },
        { upstreams: [target], upgrades: ['websocket', 'other'], slots: 4, adminAddr: { host: '127.0.0.1', port: 0 } },
      )
    : null;
  let session: http2.ClientHttp2Session | null = null;
  return {
    front,
    agent,
    granted,
    connect: async (token = 'websocket') => {
      const before = granted.length;
      let stream: Duplex;
      if (client === 'HTTP/2') {
        session ??= connectH2(made.later, front.address.port);
        stream = await extended(session, token);
      } else stream = await asked(made, front.address.port, token);
      stream.on('error', () => {});
      return { client: stream, upstream: await until('the upstream to have granted it', () => granted[before]) };
    },
  };
}

async function startH1(made: Kit, granted: Duplex[]): Promise<number> {
  const server = http.createServer();
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {});
    (socket as net.Socket).allowHalfOpen = true;
    if (head.length > 0) socket.unshift(head);
    socket.write(switched(request).replace('Upgrade: websocket', `Upgrade: ${request.headers.upgrade}`));
    granted.push(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  made.later(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

async function startH2(made: Kit, granted: Duplex[]): Promise<number> {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  const sessions: http2.ServerHttp2Session[] = [];
  server.on('session', (session: http2.ServerHttp2Session) => sessions.push(session));
  server.on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    granted.push(stream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  made.later(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

async function extended(session: http2.ClientHttp2Session, token: string): Promise<Duplex> {
  await until('the settings', () => session.remoteSettings?.enableConnectProtocol === true);
  const stream = session.request(
    { ':method': 'CONNECT', ':protocol': token, ':path': '/', ':scheme': 'http', 'sec-websocket-version': '13' },
    { endStream: false },
  );
  stream.on('error', () => {});
  const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
  if (Number(head[':status']) !== 200) throw new Error(`the upgrade was answered by ${String(head[':status'])}`);
  return stream;
}

async function asked(made: Kit, port: number, token: string): Promise<Duplex> {
  const request = http.request({
    host: '127.0.0.1',
    port,
    headers: { Connection: 'Upgrade', Upgrade: token, 'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': '13' },
  });
  request.end();
  const [, socket, head] = (await once(request, 'upgrade')) as [unknown, net.Socket, Buffer];
  socket.allowHalfOpen = true;
  made.later(() => socket.destroy());
  if (head.length > 0) socket.unshift(head);
  return socket;
}

/** Everything that is heard until the other side ends. */
export class Listener {
  bytes = 0;
  ended = false;
  closed = false;
  readonly #hash = createHash('sha256');
  #tail = Buffer.alloc(0);

  constructor(stream: Duplex) {
    stream.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.#hash.update(chunk);
      this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-4096);
    });
    stream.on('end', () => (this.ended = true));
    stream.on('close', () => (this.closed = true));
  }

  /** The last 4 KiB. */
  get tail(): Buffer {
    return this.#tail;
  }

  get text(): string {
    return this.#tail.toString('latin1');
  }

  /** Once, at the end. */
  digest(): string {
    return this.#hash.digest('hex');
  }
}

const PATTERN_SHIFTS = 4_099;
/** What is poured, at some offset: making each byte anew would take longer than carrying it. */
const PATTERN = Buffer.from(Uint8Array.from({ length: 60_000 + PATTERN_SHIFTS }, (_, i) => (i * 31 + (i >> 8) * 7) & 255));

/** Writes in chunks of random sizes as fast as it is taken. @returns the digest of all of it */
export async function pour(stream: Duplex, bytes: number, seed: number, progress = { bytes: 0 }): Promise<string> {
  const hash = createHash('sha256');
  let state = seed;
  const roll = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32;
  let left = bytes;
  while (left > 0) {
    const n = Math.min(left, roll() < 0.3 ? 1 + Math.floor(roll() * 20) : 1 + Math.floor(roll() * 60_000));
    const from = state % PATTERN_SHIFTS;
    const chunk = PATTERN.subarray(from, from + n);
    left -= n;
    progress.bytes += n;
    hash.update(chunk);
    if (!stream.write(chunk)) await Promise.race([once(stream, 'drain'), once(stream, 'close')]);
  }
  return hash.digest('hex');
}
