// WebSockets whose both ends are other people's code (`ws`), through us.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { kit } from '../kit/kit.ts';
import { until } from '../kit/until.ts';
import { connectPeer, Mailbox, type Peer, type PeerOrigin, startPeers } from '../kit/ws-peers.ts';

const made = kit();

function dice(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32;
}

function echo(peer: Peer): void {
  peer.on('message', (data: Buffer, isBinary: boolean) => peer.send(data, { binary: isBinary }));
}

interface Way {
  readonly name: string;
  readonly start: (origin: PeerOrigin) => Promise<number>;
}

const WAYS: readonly Way[] = [
  { name: 'directly', start: async (origin) => (await made.startDirect({ to: origin })).address.port },
  {
    name: 'through hub and agent',
    start: async (origin) => {
      const hub = await made.startHubWith();
      await made.startAgentFor(hub, origin, { slots: 64 });
      return hub.address.port;
    },
  },
];

describe.each(WAYS)('$name', ({ start }) => {
  const connect = async (serve: (peer: Peer) => void, deflate = false): Promise<{ client: Peer; origin: PeerOrigin }> => {
    const origin = await startPeers(made, serve);
    return { client: await connectPeer(made, `ws://127.0.0.1:${await start(origin)}/chat`, { deflate }), origin };
  };

  test.each([false, true])(
    'messages of any size, in any pieces, come back as they were (compressed: %s)',
    async (deflate) => {
      const { client } = await connect(echo, deflate);
      expect(client.extensions !== '').toBe(deflate);
      const box = new Mailbox(client);
      const roll = dice(deflate ? 11 : 12);
      const sent: { data: Buffer; isBinary: boolean }[] = [];
      for (let i = 0; i < 300; i++) {
        const isBinary = roll() < 0.5;
        const size = Math.floor(roll() < 0.7 ? roll() * 200 : roll() * 100_000);
        const data = isBinary
          ? Buffer.from(Array.from({ length: size }, () => Math.floor(roll() * 256)))
          : Buffer.from('äb€'.repeat(Math.ceil(size / 6)));
        sent.push({ data, isBinary });
        // In pieces, with pings between some of them.
        let at = 0;
        if (isBinary) {
          while (at < data.length && roll() < 0.6) {
            const n = Math.floor(roll() * (data.length - at));
            client.send(data.subarray(at, at + n), { binary: true, fin: false });
            at += n;
            if (roll() < 0.2) client.ping(Buffer.from('between'));
          }
        }
        client.send(data.subarray(at), { binary: isBinary, fin: true });
      }
      await until('all of them', () => box.messages.length === sent.length, 30_000);
      for (const [i, { data, isBinary }] of box.messages.entries()) {
        expect(isBinary).toBe(sent[i]!.isBinary);
        if (!data.equals(sent[i]!.data)) throw new Error(`message ${i} of ${sent[i]!.data.length} bytes came back as another of ${data.length}`);
      }
    },
    40_000,
  );

  test('messages of 1 MiB pass both ways at once, in order', async () => {
    const { client, origin } = await connect(() => {});
    const [above, below] = [new Mailbox(client), new Mailbox(origin.peers[0]!)];
    const messages = Array.from({ length: 16 }, (_, i) => Buffer.alloc(1024 * 1024, i + 1));
    for (const message of messages) {
      client.send(message);
      origin.peers[0]!.send(message);
    }
    await until('all of them', () => above.messages.length === 16 && below.messages.length === 16, 30_000);
    const digest = (all: readonly Buffer[]): string => createHash('sha256').update(Buffer.concat(all)).digest('hex');
    const wanted = digest(messages);
    expect([digest(above.messages.map(({ data }) => data)), digest(below.messages.map(({ data }) => data))]).toEqual([wanted, wanted]);
  }, 40_000);

  test('pings are answered by the other end, with what they carry', async () => {
    const { client, origin } = await connect(() => {});
    for (const [from, data] of [
      [client, Buffer.from('from the client')],
      [origin.peers[0]!, Buffer.alloc(125, 7)],
      [client, Buffer.alloc(0)],
    ] as const) {
      const pong = once(from, 'pong');
      from.ping(data);
      expect(((await pong) as [Buffer])[0].equals(data)).toBe(true);
    }
  });

  test.each([
    ['client', 1000, 'done'],
    ['upstream', 1000, ''],
    ['client', 3000, 'x'.repeat(123)],
    ['upstream', 4999, 'ours'],
    ['upstream', 1011, 'it broke'],
  ])('a Close of the %s with code %i says the same at the other end', async (who, code, reason) => {
    const { client, origin } = await connect(() => {});
    const [first, second] = who === 'client' ? [client, origin.peers[0]!] : [origin.peers[0]!, client];
    const [heardFirst, heardSecond] = [new Mailbox(first), new Mailbox(second)];
    first.close(code, reason);
    await until('both ends', () => heardFirst.closed !== null && heardSecond.closed !== null);
    expect([heardSecond.closed, heardFirst.closed!.code]).toEqual([{ code, reason }, code]);
  });

  test('an end that is gone without Close is gone without Close at the other end', async () => {
    const { client, origin } = await connect(() => {});
    const box = new Mailbox(client);
    origin.peers[0]!.terminate();
    await until('the end', () => box.closed !== null);
    expect(box.closed!.code).toBe(1006);
  });

  test('subprotocols and many at once', async () => {
    const origin = await startPeers(made, echo);
    const port = await start(origin);
    const clients = await Promise.all(Array.from({ length: 40 }, () => connectPeer(made, `ws://127.0.0.1:${port}/`)));
    const boxes = clients.map((client) => new Mailbox(client));
    for (let round = 0; round < 20; round++) for (const [i, client] of clients.entries()) client.send(`${i}:${round}`);
    await until('all of them', () => boxes.every(({ messages }) => messages.length === 20));
    for (const [i, { messages }] of boxes.entries())
      expect(messages.map(({ data }) => data.toString())).toEqual(Array.from({ length: 20 }, (_, round) => `${i}:${round}`));
    expect(new Set(clients.map(({ protocol }) => protocol))).toEqual(new Set(['second']));
  });
});

test('a proxy that goes away says 1001 to both ends, and they close in order', async () => {
  const origin = await startPeers(made, () => {});
  const proxy = await made.startDirect({ to: origin, drainTimeoutMs: 200 });
  const client = await connectPeer(made, `ws://127.0.0.1:${proxy.address.port}/`);
  const [above, below] = [new Mailbox(client), new Mailbox(origin.peers[0]!)];
  await proxy.close();
  await until('both ends', () => above.closed !== null && below.closed !== null);
  expect([above.closed, below.closed]).toEqual([
    { code: 1001, reason: 'going away' },
    { code: 1001, reason: 'going away' },
  ]);
});
