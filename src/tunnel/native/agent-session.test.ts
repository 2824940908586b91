import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { dial, frame, MemoryLog, type Scripted, ScriptedHub, Serving, until } from '../../../test/kit/tunnel.ts';
import { Failure } from '../../http/failure.ts';
import { NO_BODY, ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import { tunnelLimits, type TunnelLimits } from '../limits.ts';
import type { HubConnection } from './dial.ts';
import {
  BYE,
  CANCEL,
  CREDIT,
  DATA,
  END,
  F_END,
  F_EXPECT,
  F_NO_BODY,
  F_RELEASED,
  F_UNKNOWN_LENGTH,
  GOAWAY,
  HEAD,
  HELLO,
  INFO,
  OPEN,
  PING,
  PONG,
  readU16,
  readU32,
  REFUSED,
  RESET,
  SLOTS,
  WAITING,
  WELCOME,
  writeU32,
} from './frames.ts';
import { SlotLedger } from './slots.ts';

let hub: ScriptedHub;
let serving: Serving;
let slots: SlotLedger;
let agent: HubConnection;
let log: MemoryLog;
afterEach(() => {
  agent.destroy();
  hub.close();
});

async function start(total = 2, limits: Partial<TunnelLimits> = {}): Promise<Scripted> {
  hub = await new ScriptedHub().listen();
  serving = new Serving();
  slots = new SlotLedger(total);
  log = new MemoryLog();
  agent = dial(hub.port, serving, slots, { log, limits: { ...tunnelLimits, ...limits } });
  await until(() => hub.peers.length > 0, 'the agent dials');
  const peer = hub.peers[0]!;
  await peer.next(HELLO);
  peer.send(frame(WELCOME, 0, 0, '{"version":1,"hub":"h","session":"s"}'));
  await until(() => agent.state === 'joined', 'joined');
  return peer;
}

function openPayload(text: string, body = ''): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, bytes.length >> 8, bytes.length & 255]), bytes, Buffer.from(body)]);
}

const GET = 'GET /x HTTP/1.1\r\nHost: app.example\r\n\r\n';
const get = (id: number): Buffer => frame(OPEN, F_END | F_NO_BODY, id, openPayload(GET));

function u32(...numbers: number[]): Buffer {
  const out = Buffer.alloc(4 * numbers.length);
  numbers.forEach((n, i) => writeU32(out, 4 * i, n));
  return out;
}

function resetOf(payload: Buffer): { began: number; code: string; detail: string } {
  const end = 2 + payload[1]!;
  return { began: payload[0]!, code: payload.toString('latin1', 2, end), detail: payload.toString('utf8', end) };
}

function slotsOf(payload: Buffer): number[] {
  return [readU32(payload, 0), readU32(payload, 4), readU32(payload, 8)];
}

async function bye(peer: Scripted): Promise<string> {
  const { payload } = await peer.next(BYE);
  await until(() => peer.closed, 'the connection is closed');
  return (JSON.parse(payload.toString()) as { reason: string }).reason;
}

describe('the agent’s handshake', () => {
  test('asks for the upgrade and says who it is', async () => {
    const peer = await start(3);
    expect(peer.head).toMatch(
      /^GET \/windlass\/agent HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\nConnection: Upgrade\r\nUpgrade: windlass\/1\r\nWindlass-Token: good\r\n\r\n$/,
    );
    expect(JSON.parse(peer.of(HELLO)[0]!.payload.toString())).toMatchObject({
      versions: [1],
      agent: 'agent-1',
      instance: 'i1',
      slots: { total: 3, free: 3 },
    });
  });
});

describe('a stream at the agent', () => {
  test('is answered in one frame when the answer is small, and returns its slot with it', async () => {
    const peer = await start();
    serving.onOpen = (served) => setImmediate(() => served.answer(200, ['X-A', '1'], 'hello'));
    peer.send(frame(OPEN, F_END, 1, openPayload('POST /y HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n', 'abc')));
    const head = await peer.next(HEAD);
    expect(head.flags).toBe(F_END | F_RELEASED);
    const length = readU16(head.payload, 2);
    expect(head.payload.toString('latin1', 4, 4 + length)).toBe('HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n');
    expect(head.payload.toString('latin1', 4 + length)).toBe('hello');
    expect(serving.all[0]).toMatchObject({ method: 'POST', target: '/y', ended: 1, settledCount: 1 });
    expect(serving.all[0]!.body.toString()).toBe('abc');
    peer.send(get(2));
    await peer.next(HEAD, 2);
    expect(peer.of(SLOTS)).toHaveLength(0);
    expect(slots.taken).toBe(0);
  });

  test('says SLOTS only when the hub would reckon wrong: a slot that comes back late', async () => {
    const peer = await start(2);
    peer.send(get(1));
    await until(() => serving.all.length === 1, 'the request');
    const { reply } = serving.all[0]!;
    reply.head(ResponseHead.make(200, [], NO_BODY));
    reply.end();
    const head = await peer.next(HEAD);
    expect(head.flags).toBe(F_NO_BODY | F_END);
    expect(peer.of(SLOTS)).toHaveLength(0);
    expect(slots.free).toBe(1);
    reply.settled();
    expect(slotsOf((await peer.next(SLOTS)).payload)).toEqual([2, 2, 1]);
  });

  test('tells a changed number of slots at once', async () => {
    const peer = await start(2);
    slots.resize(5);
    expect(slotsOf((await peer.next(SLOTS)).payload)).toEqual([5, 5, 0]);
    peer.send(get(1));
    await until(() => serving.all.length === 1, 'the request');
    slots.resize(1);
    expect(slotsOf((await peer.next(SLOTS, 2)).payload)).toEqual([1, 0, 1]);
  });

  test('over its slots is REFUSED and reaches nobody, and the true level follows', async () => {
    const peer = await start(1);
    peer.send(get(1), get(2), get(3));
    await peer.next(REFUSED, 2);
    expect(peer.of(REFUSED).map((f) => f.stream)).toEqual([2, 3]);
    expect(slotsOf((await peer.next(SLOTS)).payload)).toEqual([1, 0, 3]);
    expect(serving.all).toHaveLength(1);
    serving.all[0]!.answer(200, [], 'x');
    const head = await peer.next(HEAD);
    expect(head.flags & F_RELEASED).toBe(F_RELEASED);
    expect(peer.of(SLOTS)).toHaveLength(1);
  });

  test('carries the typed flags: expectation, unknown length', async () => {
    const peer = await start();
    peer.send(frame(OPEN, F_EXPECT | F_UNKNOWN_LENGTH, 1, openPayload('POST / HTTP/1.1\r\nHost: a\r\n\r\n')));
    await until(() => serving.all.length === 1, 'the request');
    expect(serving.all[0]).toMatchObject({ expectContinue: true, length: UNKNOWN_LENGTH });
    serving.all[0]!.reply.informational(ResponseHead.make(100, [], NO_BODY));
    const info = await peer.next(INFO);
    expect(info.payload.toString('latin1', 4)).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    peer.send(frame(DATA, 0, 1, 'abc'), frame(END, F_END, 1, Buffer.concat([Buffer.from([5, 0, 8]), Buffer.from('X-A: 1\r\n')])));
    await until(() => serving.all[0]!.ended === 1, 'the end');
    expect(serving.all[0]!.trailers).toEqual(['X-A', '1']);
  });

  test('CANCEL aborts the request; the slot comes back when the upstream has settled', async () => {
    const peer = await start(1);
    peer.send(get(1), frame(CANCEL, 0, 1, 'client_gone'), frame(CANCEL, 0, 1, 'client_gone'));
    await until(() => serving.all[0]?.aborts === 1, 'the abort');
    expect(serving.all[0]!.failure!.code).toBe('client_gone');
    expect(slots.free).toBe(0);
    serving.all[0]!.reply.write(Buffer.from('ignored'));
    serving.all[0]!.reply.settled();
    const reset = await peer.next(RESET);
    expect(reset.flags).toBe(F_RELEASED);
    expect(resetOf(reset.payload).code).toBe('client_gone');
    expect(slots.free).toBe(1);
    expect(serving.all[0]!.settledCount).toBe(1);
    expect(agent.inFlight).toBe(0);
  });

  test('an abort before the head is a RESET with the reason and what began', async () => {
    const peer = await start();
    peer.send(get(1));
    await until(() => serving.all.length === 1, 'the request');
    serving.all[0]!.reply.abort(new Failure('connect_refused', 'nobody listens at 127.0.0.1:9'));
    serving.all[0]!.reply.settled();
    const reset = await peer.next(RESET);
    expect(reset.flags).toBe(F_RELEASED);
    expect(resetOf(reset.payload)).toEqual({ began: 0, code: 'connect_refused', detail: 'nobody listens at 127.0.0.1:9' });
    peer.send(get(2));
    await until(() => serving.all.length === 2, 'the second request');
    serving.all[1]!.notes.began = 'maybe';
    serving.all[1]!.reply.abort(new Failure('upstream_reset', 'x'));
    expect(resetOf((await peer.next(RESET, 2)).payload).began).toBe(1);
  });

  test('an abort after the head is a RESET; an answer that ends without an end too', async () => {
    const peer = await start();
    peer.send(get(1), get(2));
    await until(() => serving.all.length === 2, 'the requests');
    for (const served of serving.all) served.reply.head(ResponseHead.make(200, [], 10));
    await peer.next(HEAD, 2);
    serving.all[0]!.reply.abort(new Failure('upstream_reset', 'gone'));
    serving.all[0]!.reply.settled();
    serving.all[1]!.reply.settled();
    await peer.next(RESET, 2);
    expect(peer.of(RESET).map((f) => [f.stream, resetOf(f.payload).began, resetOf(f.payload).code])).toEqual([
      [1, 2, 'upstream_reset'],
      [2, 2, 'internal'],
    ]);
    expect(slots.free).toBe(2);
  });

  test('an answer longer or shorter than announced is a RESET, and the upstream hears an abort', async () => {
    const peer = await start();
    peer.send(get(1), get(2));
    await until(() => serving.all.length === 2, 'the requests');
    for (const served of serving.all) served.reply.head(ResponseHead.make(200, [], 3));
    serving.all[0]!.reply.write(Buffer.from('abcd'));
    serving.all[1]!.reply.write(Buffer.from('ab'));
    serving.all[1]!.reply.end();
    await peer.next(RESET, 2);
    expect(peer.of(RESET).map((f) => resetOf(f.payload).code)).toEqual(['bad_response', 'bad_response']);
    expect(serving.all.map((served) => served.aborts)).toEqual([1, 1]);
  });

  test('the end of an answer that nobody reads does not hold its slot', async () => {
    const peer = await start(1);
    peer.send(get(1));
    await until(() => serving.all.length === 1, 'the request');
    const { reply } = serving.all[0]!;
    reply.head(ResponseHead.make(200, [], 100_000));
    expect(reply.write(Buffer.alloc(60_000))).toBe(true);
    expect(reply.write(Buffer.alloc(40_000))).toBe(false);
    reply.end();
    reply.settled();
    expect(slotsOf((await peer.next(SLOTS)).payload)).toEqual([1, 1, 1]);
    const bytes = (): number => peer.of(DATA).reduce((sum, { payload }) => sum + payload.length, 0);
    const first = peer.of(HEAD)[0]!.payload;
    const inline = first.length - 4 - readU16(first, 2);
    await until(() => bytes() + inline === 65_536, 'exactly the window');
    expect(agent.inFlight).toBe(1);
    peer.send(frame(CREDIT, 0, 1, u32(34_464)));
    await until(() => bytes() + inline === 100_000, 'the rest');
    expect(peer.of(DATA).at(-1)!.flags).toBe(F_END);
    await until(() => agent.inFlight === 0, 'the stream is over');
    expect(serving.all[0]!.settledCount).toBe(1);
    expect(agent.bufferedBytes).toBe(0);
  });

  test('an answer that ends before its request tells that no more is wanted', async () => {
    const peer = await start(1);
    peer.send(frame(OPEN, 0, 1, openPayload('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n', 'abc')));
    await until(() => serving.all[0]?.bytes === 3, 'the request');
    serving.all[0]!.reply.head(ResponseHead.make(403, [], NO_BODY));
    serving.all[0]!.reply.end();
    await peer.next(HEAD);
    peer.send(frame(DATA, 0, 1, 'def'));
    await until(() => serving.all[0]!.bytes === 6, 'more of the request');
    serving.all[0]!.reply.settled();
    expect(resetOf((await peer.next(RESET)).payload).code).toBe('settled');
    peer.send(frame(DATA, 0, 1, 'late'), get(2));
    await until(() => serving.all.length === 2, 'the next request');
    expect(serving.all[0]!.bytes).toBe(6);
  });

  test('an upgrade carries raw bytes both ways', async () => {
    const peer = await start();
    peer.send(frame(OPEN, F_NO_BODY, 1, openPayload('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')));
    await until(() => serving.all.length === 1, 'the request');
    expect(serving.all[0]!.upgrade).toBe('websocket');
    const head = ResponseHead.make(101, [], NO_BODY);
    head.upgrade = 'websocket';
    serving.all[0]!.reply.head(head);
    serving.all[0]!.reply.write(Buffer.from('hi'));
    const frameHead = await peer.next(HEAD);
    expect(frameHead.flags).toBe(0);
    expect(frameHead.payload.toString('latin1', 4)).toBe('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi');
    peer.send(frame(DATA, 0, 1, 'ping'));
    await until(() => serving.all[0]!.bytes === 4, 'bytes from the client');
    serving.all[0]!.reply.end();
    await peer.next(END);
    peer.send(frame(DATA, F_END, 1, 'more'));
    await until(() => serving.all[0]!.ended === 1, 'the other half');
    serving.all[0]!.reply.settled();
    await until(() => agent.inFlight === 0, 'the end');
    expect(slots.free).toBe(2);
  });

  test('a handler that answers from inside open() is served', async () => {
    const peer = await start();
    serving.onOpen = (served) => served.answer(403, [], 'no');
    peer.send(get(1));
    const head = await peer.next(HEAD);
    expect(head.flags).toBe(F_END | F_RELEASED);
    expect(serving.all[0]!.settledCount).toBe(1);
    expect(slots.free).toBe(2);
  });

  test('a handler that throws costs a RESET, and its slot comes back', async () => {
    const peer = await start();
    serving.onOpen = () => {
      throw new Error('boom');
    };
    peer.send(get(1));
    const reset = await peer.next(RESET);
    expect(resetOf(reset.payload).code).toBe('internal');
    expect(slots.free).toBe(2);
    expect(agent.state).toBe('joined');
    expect(log.at('error')).toEqual(['tunnel: a handler threw']);
  });
});

describe('a hub that misbehaves', () => {
  test.each([
    ['Content-Length and Transfer-Encoding', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['a bare line feed', 'GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n'],
    ['two requests', 'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['nothing', ''],
  ])('[threat 46] a head with %s reaches nobody', async (_what, text) => {
    const peer = await start();
    peer.send(frame(OPEN, F_END | F_NO_BODY, 1, openPayload(text)), get(2));
    const reset = await peer.next(RESET);
    expect(reset.flags).toBe(F_RELEASED);
    expect(resetOf(reset.payload).began).toBe(0);
    await until(() => serving.all.length === 1, 'the good request');
    expect(slots.free).toBe(1);
    expect(peer.of(SLOTS)).toHaveLength(0);
  });

  const errors: [string, () => Buffer[], RegExp][] = [
    ['skips a stream id', () => [get(2)], /OPEN/],
    ['uses a stream id again', () => [get(1), get(1)], /OPEN/],
    ['opens stream 0', () => [get(0)], /OPEN/],
    ['sends DATA for a stream that never was', () => [frame(DATA, 0, 5, 'x')], /never opened/],
    ['sends DATA after END', () => [get(1), frame(DATA, 0, 1, 'x')], /END/],
    ['sends HEAD', () => [get(1), frame(HEAD, 0, 1, Buffer.alloc(4))], /HEAD/],
    ['sends RESET', () => [get(1), frame(RESET, 0, 1, Buffer.from([0, 0]))], /RESET/],
    ['sends SLOTS', () => [frame(SLOTS, 0, 0, u32(1, 1, 0))], /SLOTS/],
    ['sends a second WELCOME', () => [frame(WELCOME, 0, 0, '{}')], /WELCOME/],
    ['sends OPEN whose lengths do not fit', () => [frame(OPEN, 0, 1, Buffer.from([0, 0, 0, 0, 0, 0, 9, 9]))], /fit/],
    ['sends junk', () => [Buffer.from('HTTP/1.1 200 OK\r\n\r\n')], /frame/],
  ];
  test.each(errors)('[threat 40] a hub that %s loses its session', async (_what, frames, reason) => {
    const peer = await start();
    peer.send(...frames());
    expect(await bye(peer)).toMatch(reason);
    for (const served of serving.all) expect(served.aborts).toBe(1);
    for (const served of serving.all) served.reply.settled();
    expect(slots.free).toBe(2);
    expect(agent.inFlight).toBe(0);
    expect(log.at('error')).toEqual([]);
  });

  test('[threat 46] a hub that goes on opening streams without a slot loses its session', async () => {
    const peer = await start(1);
    peer.send(...Array.from({ length: 40 }, (_, i) => get(i + 1)));
    expect(await bye(peer)).toContain('without a slot');
    expect(serving.all).toHaveLength(1);
  });

  test('[threat 46] streams are limited whatever the slots', async () => {
    const peer = await start(100, { streams: 3 });
    peer.send(...Array.from({ length: 5 }, (_, i) => get(i + 1)));
    await peer.next(REFUSED, 2);
    expect(serving.all).toHaveLength(3);
  });

  test('[threat 46] a hub that never reads costs no more than the windows of its streams', async () => {
    const peer = await start(50);
    peer.socket.pause();
    serving.onOpen = (served) => {
      let given = 0;
      const fill = (): void => {
        let more = true;
        while (more && given < 10_000_000) {
          more = served.reply.write(Buffer.alloc(16_384));
          given += 16_384;
        }
      };
      setImmediate(() => {
        served.reply.head(ResponseHead.make(200, [], UNKNOWN_LENGTH));
        served.reply.writer = { drained: fill };
        fill();
      });
    };
    peer.send(...Array.from({ length: 50 }, (_, i) => get(i + 1)));
    await until(() => serving.all.length === 50, 'the requests');
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    expect(agent.bufferedBytes).toBeLessThanOrEqual(50 * (65_536 + 32_768));
    // Pings without reading are answered once, not a thousand times.
    const before = agent.bufferedBytes;
    for (let i = 0; i < 100; i++) peer.send(frame(PING, 0, 0, Buffer.alloc(8)));
    await until(() => agent.inFlight === 50, 'still there');
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    expect(agent.bufferedBytes - before).toBeLessThanOrEqual(100 * 17);
  });

  test('[threat 42] a hub that ignores its window loses its session', async () => {
    const peer = await start();
    serving.onOpen = (served) => {
      served.open = false;
    };
    peer.send(frame(OPEN, F_UNKNOWN_LENGTH, 1, openPayload('POST / HTTP/1.1\r\nHost: a\r\n\r\n')), frame(DATA, 0, 1, Buffer.alloc(65_536)));
    await until(() => serving.all[0]?.bytes === 65_536, 'one window is fine');
    peer.send(frame(DATA, 0, 1, 'x'));
    expect(await bye(peer)).toContain('window');
    expect(serving.all[0]!.aborts).toBe(1);
  });

  test('the body that a hub had begun to send before it heard REFUSED or RESET costs nothing, up to its first window', async () => {
    const peer = await start(1);
    const post = (id: number, text: string): Buffer => frame(OPEN, F_UNKNOWN_LENGTH, id, openPayload(text));
    peer.send(get(1), post(2, 'POST / HTTP/1.1\r\nHost: a\r\n\r\n'), frame(DATA, 0, 2, Buffer.alloc(65_536)), frame(END, 0, 2));
    await peer.next(REFUSED);
    serving.all[0]!.answer(200, [], 'x');
    await peer.next(HEAD);
    peer.send(post(3, 'POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'), frame(DATA, 0, 3, Buffer.alloc(65_536)), frame(DATA, F_END, 3, ''));
    await peer.next(RESET);
    peer.send(get(4));
    await until(() => serving.all.length === 2, 'the session goes on');
    expect(log.lines.filter(({ level }) => level === 'warn')).toEqual([]);
    peer.send(frame(DATA, 0, 3, 'x'));
    expect(await bye(peer)).toContain('has ended');
  });

  test('a body that is not what was announced is aborted, not ended', async () => {
    const peer = await start();
    peer.send(
      frame(OPEN, 0, 1, openPayload('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n', 'abcd')),
      frame(OPEN, F_END, 2, openPayload('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n', 'ab')),
    );
    await peer.next(RESET, 2);
    expect(serving.all.map((served) => [served.aborts, served.ended])).toEqual([
      [1, 0],
      [1, 0],
    ]);
  });

  test('WAITING is understood', async () => {
    const peer = await start();
    peer.send(frame(WAITING, 0, 0, u32(5, 100)), frame(PING, 0, 0, 'abcdefgh'));
    expect((await peer.next(PONG)).payload.toString()).toBe('abcdefgh');
  });

  test('[threat 39] mutated sessions never throw out of the agent, and every slot comes back', async () => {
    const peer0 = await start(4);
    const unhandled: unknown[] = [];
    const note = (error: unknown): number => unhandled.push(error);
    process.on('uncaughtException', note);
    const valid = Buffer.concat([
      get(1),
      frame(OPEN, F_UNKNOWN_LENGTH, 2, openPayload('POST / HTTP/1.1\r\nHost: a\r\n\r\n', 'abc')),
      frame(DATA, 0, 2, 'x'.repeat(100)),
      frame(CREDIT, 0, 1, u32(1000)),
      frame(END, F_END, 2, Buffer.concat([Buffer.from([5, 0, 8]), Buffer.from('X-A: 1\r\n')])),
      frame(PING, 0, 0, 'abcdefgh'),
      frame(WAITING, 0, 0, u32(1, 1)),
      frame(CANCEL, 0, 1, 'client_gone'),
      frame(OPEN, F_END, 3, openPayload('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n', 'ab')),
      frame(GOAWAY, 0, 0, '{}'),
      frame(BYE, 0, 0, '{}'),
    ]);
    peer0.socket.destroy();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), async (flips) => {
        const bytes = Buffer.from(valid);
        for (const [at, value] of flips) bytes[at] = value;
        const before = hub.peers.length;
        serving.all.length = 0;
        const mine = dial(hub.port, serving, slots, { log });
        await until(() => hub.peers.slice(before).some((peer) => peer.of(HELLO).length > 0), 'HELLO');
        const peer = hub.peers.slice(before).find((each) => each.of(HELLO).length > 0)!;
        peer.send(frame(WELCOME, 0, 0, '{"version":1,"hub":"h","session":"s"}'), bytes);
        peer.socket.end();
        await until(() => peer.closed, 'the end');
        await until(() => mine.inFlight === 0, 'no stream is left');
        mine.destroy();
        for (const served of serving.all) {
          served.reply.settled();
          served.reply.settled();
          expect(served.aborts).toBeLessThanOrEqual(1);
          expect(served.settledCount).toBe(1);
        }
        expect(slots.taken).toBe(0);
      }),
      { numRuns: 100 },
    );
    process.off('uncaughtException', note);
    expect(unhandled).toEqual([]);
    expect(log.at('error')).toEqual([]);
  });
});

describe('the end of a session', () => {
  test('[fault 10] a lost hub cancels what runs at once, and the agent dials again', async () => {
    const peer = await start();
    peer.send(get(1));
    await until(() => serving.all.length === 1, 'the request');
    serving.all[0]!.reply.head(ResponseHead.make(200, [], 100));
    peer.socket.resetAndDestroy();
    await until(() => serving.all[0]!.aborts === 1, 'the abort');
    expect(serving.all[0]!.failure!.code).toBe('client_gone');
    expect(slots.free).toBe(1);
    serving.all[0]!.reply.write(Buffer.from('ignored'));
    serving.all[0]!.reply.settled();
    expect(slots.free).toBe(2);
    expect(serving.all[0]!.settledCount).toBe(1);
    await until(() => hub.peers.length === 2, 'dialled again');
  });

  test('[fault 9] close() lets what runs finish, says so, and leaves', async () => {
    const peer = await start();
    peer.send(get(1));
    await until(() => serving.all.length === 1, 'the request');
    const closed = agent.close();
    await peer.next(GOAWAY);
    expect(slotsOf((await peer.next(SLOTS)).payload)).toEqual([2, 0, 1]);
    peer.send(get(2));
    await peer.next(REFUSED);
    expect(peer.of(BYE)).toHaveLength(0);
    serving.all[0]!.answer(200, [], 'done');
    await closed;
    await peer.next(BYE);
    expect(peer.frames.map((f) => f.type).filter((type) => type === HEAD || type === BYE)).toEqual([HEAD, BYE]);
    expect(agent.state).toBe('closed');
  });

  test('GOAWAY of the hub ends the session when what runs is done, and the agent comes back', async () => {
    const peer = await start();
    peer.send(get(1), frame(GOAWAY, 0, 0, '{"code":"draining","reason":"","retryAfterMs":0}'));
    await until(() => serving.all.length === 1, 'the request');
    serving.all[0]!.answer(200, [], 'done');
    await peer.next(BYE);
    await peer.next(HEAD);
    await until(() => hub.peers.length === 2, 'dialled again');
  });

  test('[fault 7] a silent hub is given up', async () => {
    const peer = await start(2, { tickMs: 50, pingAfterMs: 200, deadAfterMs: 800 });
    peer.send(get(1));
    await until(() => serving.all.length === 1, 'the request');
    await peer.next(PING, 2);
    expect(await bye(peer)).toContain('nothing heard');
    expect(serving.all[0]!.aborts).toBe(1);
  });
});
