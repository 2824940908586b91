import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { failureOf, type GrpcClient, grpcClient, type GrpcOrigin, messagesOf, startGrpcOrigin, statusOf } from '../kit/grpc.ts';
import { rawGrpc } from '../kit/grpc-raw.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { soon, until } from '../kit/until.ts';

const tools = kit();
const { startHubWith, startAgentFor } = tools;

const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const [PEM, KEY, CA] = [join(FIXTURES, 'one.pem'), join(FIXTURES, 'one.key'), join(FIXTURES, 'ca.pem')];
const PAIR = { cert: readFileSync(PEM), key: readFileSync(KEY) };
const TRUST = readFileSync(CA);

/** White space at the ends and inside, a percent sign, and characters of two, three and four bytes. */
const MESSAGE = '\t\n100% größer:\r\n☺ and 😈\t\n';

/** A service, and the way to it. */
interface Reached {
  readonly origin: GrpcOrigin;
  readonly client: GrpcClient;
  readonly port: number;
  /** Signed the certificate of the front; absent where there is no TLS. */
  readonly ca?: Buffer;
}

async function throughGateway(): Promise<Reached> {
  const origin = await startGrpcOrigin(tools);
  const gateway = await startGatewayOf(tools, fileTo(origin.port, { more: 'alpn = "H2"\n' }));
  return { origin, port: gateway.port(), client: grpcClient(tools, gateway.port()) };
}

async function throughTls(): Promise<Reached> {
  const origin = await startGrpcOrigin(tools, PAIR);
  const gateway = await startGatewayOf(
    tools,
    fileTo(origin.port, {
      server: `tls_cert = "${PEM}"\ntls_key = "${KEY}"\n`,
      more: `alpn = "H2H1"\nsni = "hub.test"\ntls_ca = "${CA}"\n`,
    }),
  );
  return {
    origin,
    port: gateway.port(),
    ca: TRUST,
    client: grpcClient(tools, gateway.port(), TRUST, { 'grpc.ssl_target_name_override': 'hub.test' }),
  };
}

/** `tls`: the hub's front speaks it. */
async function throughAgent(tls: boolean, slots = 200): Promise<Reached & { readonly agent: { destroy(): void } }> {
  const origin = await startGrpcOrigin(tools);
  const hub = await startHubWith(tls ? { tls: { certFile: PEM, keyFile: KEY } } : {});
  const agent = await startAgentFor(hub, origin, {
    slots,
    upstreams: [parseUpstreamUrl(`h2c://127.0.0.1:${origin.port}`)],
    ...(tls ? { hubs: [parseUpstreamUrl(`https://127.0.0.1:${hub.address.port}`)], caFile: CA } : {}),
  });
  const { port } = hub.address;
  const client = tls ? grpcClient(tools, port, TRUST, { 'grpc.ssl_target_name_override': 'hub.test' }) : grpcClient(tools, port);
  return { origin, port, client, agent, ...(tls ? { ca: TRUST } : {}) };
}

const WAYS: [string, () => Promise<Reached>][] = [
  ['a gateway', throughGateway],
  ['a hub and an agent', () => throughAgent(false)],
  ['TLS in front and behind', throughTls],
];

describe.each(WAYS)('through %s', (_, reach) => {
  test('unary: the message, metadata of both kinds in both directions, and trailers', async () => {
    const { origin, client } = await reach();
    const bytes = Buffer.from([0, 1, 0x7f, 0x80, 0xff]);
    const { message, head, trailers } = await client.unary('hello', {
      'x-echo-text': ['one', 'two'],
      'x-echo-raw-bin': [bytes, Buffer.alloc(0), Buffer.from('three')],
      'x-trail-text': 'a b',
      'x-trail-raw-bin': bytes,
      authorization: 'Bearer token',
    });
    expect(message.toString()).toBe('hello');
    expect(head.get('x-echo-text').join(', ')).toBe('one, two');
    expect(head.get('x-echo-raw-bin')).toEqual([bytes, Buffer.alloc(0), Buffer.from('three')]);
    expect([trailers.get('x-trail-text'), trailers.get('x-trail-raw-bin')]).toEqual([['a b'], [bytes]]);
    const [call] = origin.calls;
    expect(call!.metadata.get('authorization')).toEqual(['Bearer token']);
    expect(call!.leftMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('all kinds of streams', async () => {
    const { client } = await reach();
    const collected = await client.collect(Array.from({ length: 100 }, (__, i) => Buffer.alloc(i)));
    expect(collected.message.toString()).toBe('100 messages, 4950 bytes');
    const emitted = client.emit(100, 1000, { 'x-trail-a': 'b' });
    const status = statusOf(emitted);
    expect((await messagesOf(emitted)).map((message) => [message.length, message[0]])).toEqual(Array.from({ length: 100 }, (__, i) => [1000, i + 1]));
    expect(await status).toMatchObject({ code: 0, metadata: expect.objectContaining({}) });
    expect((await status).metadata.get('x-trail-a')).toEqual(['b']);
  });

  test('a conversation: each message is answered before the next is sent, and the end of one side is told', async () => {
    const { client } = await reach();
    const talk = client.talk();
    const status = statusOf(talk);
    const answers = talk[Symbol.asyncIterator]();
    for (let i = 0; i < 20; i++) {
      talk.write(Buffer.from(`message ${i}`));
      expect(String((await answers.next()).value)).toBe(`message ${i}`);
    }
    talk.end();
    expect((await answers.next()).done).toBe(true);
    expect((await status).code).toBe(0);
  });

  test('a conversation without a word ends well, and a method that the service does not have is UNIMPLEMENTED by its own word', async () => {
    const { client, port, ca } = await reach();
    const talk = client.talk();
    const status = statusOf(talk);
    talk.end();
    expect([await messagesOf(talk), (await status).code]).toEqual([[], 0]);
    const { head, headOnly } = await rawGrpc(tools, port, ca)({ ':path': '/test.Service/None' }).answer;
    expect([head['grpc-status'], headOnly, head['proxy-status']]).toEqual(['12', true, undefined]);
  });

  test('an error is its status, its message and its details, without a body or behind one', async () => {
    const { client } = await reach();
    const details = Buffer.from([8, 9, 0, 255]);
    const wanted = { 'x-fail': '9', 'x-message': encodeURIComponent(MESSAGE), 'x-details-bin': details };
    const failure = await failureOf(client.unary('x', wanted));
    expect([failure.code, failure.details]).toEqual([9, MESSAGE]);
    expect(failure.metadata.get('grpc-status-details-bin')).toEqual([details]);
    const emitted = client.emit(3, 10, wanted);
    const status = statusOf(emitted);
    let messages = 0;
    emitted.on('data', () => messages++);
    expect(await status).toMatchObject({ code: 9, details: MESSAGE });
    expect([messages, (await status).metadata.get('grpc-status-details-bin')]).toEqual([3, [details]]);
  });

  test('a message of 4 MiB there and back, byte for byte', async () => {
    const { client } = await reach();
    const large = Buffer.alloc(4 * 1024 * 1024, 'abcdefghijk');
    expect((await client.unary(large)).message.equals(large)).toBe(true);
  });

  test('a hundred calls at once, of all kinds, get their own answers', async () => {
    const { client } = await reach();
    const size = (i: number): number => i * 700;
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (__, i) => {
        if (i % 4 === 0) return (await client.unary(Buffer.alloc(size(i)))).message.length;
        if (i % 4 === 1) return (await client.collect([Buffer.alloc(size(i))])).message.toString();
        if (i % 4 === 2) return (await messagesOf(client.emit(3, size(i)))).map(({ length }) => length).join();
        const talk = client.talk();
        talk.end(Buffer.alloc(size(i)));
        return (await messagesOf(talk)).map(({ length }) => length).join();
      }),
    );
    const wanted = answers.map((__, i) => [size(i), `1 messages, ${size(i)} bytes`, `${size(i)},${size(i)},${size(i)}`, String(size(i))][i % 4]);
    expect(answers).toEqual(wanted);
  });

  test('a client that does not read holds the service up, and loses nothing', async () => {
    const { origin, port, ca } = await reach();
    const [count, size] = [256, 256 * 1024];
    // grpc-js reads on when it is paused, so this client is another one.
    const { stream, answer } = rawGrpc(tools, port, ca)({ ':path': '/test.Service/Emit' }, `${count} ${size}`);
    stream.pause();
    const call = await origin.arrived(0);
    let before = -1;
    await until('the service to stop', async () => {
      const { bytes } = call;
      await new Promise((resolve) => setTimeout(resolve, 300));
      const same = bytes === before && bytes > 0;
      before = bytes;
      return same;
    });
    expect(call.bytes).toBeLessThan((count * size) / 2);
    stream.resume();
    const { body, trailers } = await answer;
    expect([body.length, trailers?.['grpc-status']]).toEqual([count * (size + 5), '0']);
  });

  test('a deadline reaches the service, and ends the call for both sides', async () => {
    const { origin, client } = await reach();
    await client.unary('x', {}, { deadline: Date.now() + 60_000 });
    expect(origin.calls[0]!.leftMs).toBeLessThanOrEqual(60_000);
    expect(origin.calls[0]!.leftMs).toBeGreaterThan(30_000);
    const failure = await failureOf(client.unary('x', { 'x-hang': '1' }, { deadline: Date.now() + 300 }));
    expect(failure.code).toBe(4);
    await soon('the cancellation', (await origin.arrived(1)).cancelled);
  });

  test('a deadline that the client leaves to us ends a call before its head, and a stream behind it, with a status', async () => {
    const { origin, port, ca } = await reach();
    const call = rawGrpc(tools, port, ca);
    const early = await call({ 'grpc-timeout': '300m', 'x-hang': '1' }).answer;
    expect(early.head).toMatchObject({ ':status': 200, 'grpc-status': '4' });
    expect([early.headOnly, early.reset]).toEqual([true, 0]);
    await soon('the cancellation', (await origin.arrived(0)).cancelled);
    const late = await call({ ':path': '/test.Service/Talk', 'grpc-timeout': '500m', 'x-hang': '1', 'x-echo-a': 'b' }).answer;
    expect(late.head).toMatchObject({ ':status': 200, 'x-echo-a': 'b' });
    expect(late.head['grpc-status']).toBeUndefined();
    expect([late.body.length, late.trailers?.['grpc-status'], late.reset]).toEqual([14, '4', 0]);
    await soon('the cancellation', (await origin.arrived(1)).cancelled);
    expect(origin.calls[1]!.leftMs).toBeLessThanOrEqual(500);
  });

  test('who cancels is heard by the service: before an answer, and in the middle of a conversation', async () => {
    const { origin, client } = await reach();
    const ended = new Promise((resolve) => {
      const call = client.beginUnary('x', { 'x-hang': '1' }, {}, resolve, resolve);
      void origin.arrived(0).then(() => call.cancel());
    });
    await soon('the cancellation', (await origin.arrived(0)).cancelled);
    expect(await ended).toMatchObject({ code: 1 });
    const talk = client.talk();
    talk.write(Buffer.from('a'));
    await once(talk, 'data');
    const status = statusOf(talk);
    talk.cancel();
    await soon('the cancellation', (await origin.arrived(1)).cancelled);
    expect((await status).code).toBe(1);
  });

  test('a service that has had enough ends a conversation whose client goes on talking', async () => {
    const { client } = await reach();
    const talk = client.talk({ 'x-early': '1', 'x-fail': '11', 'x-message': 'enough' });
    const status = statusOf(talk);
    talk.write(Buffer.from('a'));
    expect(await soon('its status', status)).toMatchObject({ code: 11, details: 'enough' });
  });

  test('[rule R2] [fault 22] a service that is killed in the middle of a stream is UNAVAILABLE, and never OK', async () => {
    const { origin, client } = await reach();
    const talk = client.talk();
    talk.write(Buffer.from('a'));
    await once(talk, 'data');
    const unary = failureOf(client.unary('x', { 'x-hang': '1' }));
    await origin.arrived(1);
    const status = statusOf(talk);
    origin.kill();
    expect((await soon('its status', status)).code).toBe(14);
    expect((await soon('its failure', unary)).code).toBe(14);
  });
});

test('[fault 24] a stream may be silent for longer than bodies may: pings show who is alive, and deadlines end what is too long', async () => {
  const origin = await startGrpcOrigin(tools);
  const gateway = await startGatewayOf(
    tools,
    fileTo(origin.port, { server: 'body_idle_timeout = "200ms"', more: 'alpn = "H2"\nread_timeout = "200ms"\n' }),
  );
  const talk = grpcClient(tools, gateway.port()).talk();
  const answers = talk[Symbol.asyncIterator]();
  for (const message of ['before', 'after']) {
    talk.write(Buffer.from(message));
    expect(String((await answers.next()).value)).toBe(message);
    // Nothing happens, for three times as long as would end another exchange.
    if (message === 'before') await new Promise((resolve) => setTimeout(resolve, 600));
  }
  talk.end();
  expect((await answers.next()).done).toBe(true);
});

test('a stream holds its slot until it ends, and who waits is next: after the end, and after a cancellation', async () => {
  const { origin, client } = await throughAgent(false, 1);
  const first = client.talk();
  first.write(Buffer.from('a'));
  await once(first, 'data');
  expect((await failureOf(client.unary('b'))).code).toBe(14);
  const waiting = client.unary('c', { prefer: 'wait=60' }, { deadline: Date.now() + 60_000 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  first.end();
  expect((await waiting).message.toString()).toBe('c');
  // What it waited is gone from its deadline, which is told in whole milliseconds, rounded up more than once.
  expect(origin.calls[1]!.leftMs).toBeLessThanOrEqual(59_750);
  const second = client.beginUnary(
    'd',
    { 'x-hang': '1' },
    {},
    () => {},
    () => {},
  );
  await origin.arrived(2);
  const next = client.unary('e', { prefer: 'wait=60' });
  second.cancel();
  expect((await next).message.toString()).toBe('e');
  expect(origin.calls.map(({ method }) => method)).toEqual(['Talk', 'Unary', 'Unary', 'Unary']);
});

test('a service that dies and comes back is served by the same channel and gateway', async () => {
  const origin = await startGrpcOrigin(tools);
  const { port } = origin;
  const gateway = await startGatewayOf(tools, fileTo(port, { more: 'alpn = "H2"\neject_failures = 0\nhealth_check = "off"\n' }));
  const client = grpcClient(tools, gateway.port());
  expect((await client.unary('a')).message.toString()).toBe('a');
  origin.kill();
  expect((await failureOf(client.unary('b'))).code).toBe(14);
  await startGrpcOrigin(tools, undefined, undefined, port);
  await until('it to be served again', () =>
    client.unary('c').then(
      () => true,
      () => false,
    ),
  );
});

test('calls that their deadlines end are no flood of resets, however many', async () => {
  const hub = await startHubWith({ queueTimeoutMs: 60_000, limits: { h2ResetBurst: 3, h2ResetsPerSecond: 0.001 } });
  const client = grpcClient(tools, hub.address.port);
  // The client resets them itself, as its clock began before ours.
  const calls = Array.from({ length: 20 }, () => failureOf(client.unary('x', {}, { deadline: Date.now() + 1200 })));
  expect((await Promise.all(calls)).map(({ code }) => code)).toEqual(Array.from({ length: 20 }, () => 4));
  expect(await metric(hub, 'windlass_http2_floods_total')).toBe(0);
  expect((await failureOf(client.unary('x', {}, { deadline: Date.now() + 100 }))).code).toBe(4);
});

test('hundreds of calls that end in every way at once leave nothing behind', async () => {
  const origin = await startGrpcOrigin(tools);
  const hub = await startHubWith({ queueTimeoutMs: 60_000, limits: { h2ResetBurst: 10_000 } });
  await startAgentFor(hub, origin, { slots: 10, upstreams: [parseUpstreamUrl(`h2c://127.0.0.1:${origin.port}`)] });
  const client = grpcClient(tools, hub.address.port);
  const ways: [number, () => Promise<number>][] = [
    [0, () => client.unary('x').then(() => 0)],
    [7, async () => (await failureOf(client.unary('x', { 'x-fail': '7' }))).code],
    [4, async () => (await failureOf(client.unary('x', { 'x-hang': '1' }, { deadline: Date.now() + 100 }))).code],
    [1, () => leave(client.talk())],
    [0, async () => (await messagesOf(client.emit(5, 3000))).length - 5],
  ];
  const one = async (i: number): Promise<void> => {
    for (let n = 0; n < 15; n++) {
      const [code, call] = ways[(i + n) % ways.length]!;
      expect(await call()).toBe(code);
    }
  };
  await Promise.all(Array.from({ length: 25 }, (_, i) => one(i)));
  await metricBecomes(hub, 'windlass_requests_in_flight', (running) => running === 0);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 10);
  expect([await metric(hub, 'windlass_queue_size'), await metric(hub, 'windlass_buffered_bytes')]).toEqual([0, 0]);
});

/** Cancels a conversation when it has begun. @returns its status */
async function leave(talk: ReturnType<GrpcClient['talk']>): Promise<number> {
  const status = statusOf(talk);
  talk.once('data', () => talk.cancel());
  talk.write(Buffer.from('a'));
  return (await status).code;
}

test('an agent behind TLS carries calls too', async () => {
  const { client } = await throughAgent(true);
  expect((await client.unary('hello')).message.toString()).toBe('hello');
});

test('[rule R2] an agent that is gone in the middle of a stream is UNAVAILABLE, and never OK', async () => {
  const { client, agent } = await throughAgent(false);
  const talk = client.talk();
  talk.write(Buffer.from('a'));
  await once(talk, 'data');
  const status = statusOf(talk);
  agent.destroy();
  expect((await soon('its status', status)).code).toBe(14);
});
