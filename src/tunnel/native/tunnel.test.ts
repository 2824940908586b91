import { afterEach, describe, expect, test } from 'vitest';
import { NO_BODY, ResponseHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import { dial, pair, type Pair, Serving, TestHub, until } from '../../../test/kit/tunnel.ts';
import { SlotLedger } from './slots.ts';

let p: Pair;
afterEach(() => p.close());

describe('an exchange through the tunnel', () => {
  test('carries head and body both ways and returns the slot', async () => {
    p = await pair(2);
    expect(p.session.free).toBe(2);
    const { heard, sink, notes } = p.hub.open('POST /v1/x?q=1 HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\nX-A: 1\r\n\r\n');
    expect(notes.began).toBe('no');
    sink.write(Buffer.from('hello'));
    sink.end();
    expect(p.session.free).toBe(1);
    await until(() => p.serving.all.length === 1, 'the agent gets the request');
    const served = p.serving.all[0]!;
    expect(notes.began).toBe('maybe');
    expect(served).toMatchObject({ method: 'POST', target: '/v1/x?q=1', authority: 'app.example', length: 5, ended: 1 });
    expect(served.body.toString()).toBe('hello');
    expect(p.slots.free).toBe(1);
    served.answer(200, ['Content-Type', 'text/plain'], 'world');
    await until(() => heard.settledCount === 1, 'the answer arrives');
    expect(heard).toMatchObject({ status: 200, length: 5, ended: 1, aborts: 0 });
    expect(heard.fields).toEqual(['content-type', 'text/plain', 'content-length', '5']);
    expect(heard.body.toString()).toBe('world');
    expect(notes.began).toBe('yes');
    await until(() => p.session.free === 2, 'the slot is back');
    expect(served.settledCount).toBe(1);
    expect(p.session.inFlight).toBe(0);
    expect(p.agent.inFlight).toBe(0);
    expect(p.session.bufferedBytes).toBe(0);
  });

  test('carries bodies of unknown length, and answers without a body', async () => {
    p = await pair(2);
    const a = p.hub.open('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    a.sink.write(Buffer.from('one'));
    await until(() => p.serving.all[0]?.bytes === 3, 'the first piece');
    expect(p.serving.all[0]!.length).toBe(UNKNOWN_LENGTH);
    a.sink.write(Buffer.from('two'));
    a.sink.end(['X-Sum', '6']);
    await until(() => p.serving.all[0]?.ended === 1, 'the end');
    expect(p.serving.all[0]!.trailers).toEqual(['X-Sum', '6']);
    expect(p.serving.all[0]!.body.toString()).toBe('onetwo');
    p.serving.all[0]!.reply.informational(ResponseHead.make(103, ['Link', '</a>'], NO_BODY));
    p.serving.all[0]!.answer(204, [], null);
    await until(() => a.heard.settledCount === 1, 'the answer');
    expect(a.heard).toMatchObject({ informationals: [103], status: 204, length: NO_BODY, ended: 1 });
  });

  test('carries 10 MiB both ways, byte for byte', async () => {
    p = await pair(2);
    const total = 10 * 1024 * 1024;
    const body = Buffer.alloc(total, 'abcdefghijklmnopqrstuvwxyz0123456789');
    const { heard, sink } = p.hub.open(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`);
    let at = 0;
    const feed = (to: { write(chunk: Uint8Array): boolean; end(): void }): void => {
      while (at < total) {
        const n = Math.min(48_000, total - at);
        at += n;
        if (!to.write(body.subarray(at - n, at))) break;
        if (at === total) break;
      }
      if (at === total) {
        at++;
        to.end();
      }
    };
    sink.writer = { drained: () => feed(sink) };
    feed(sink);
    await until(() => p.serving.all[0]?.ended === 1, 'the request is complete');
    const served = p.serving.all[0]!;
    expect(served.body.equals(body)).toBe(true);
    served.reply.head(ResponseHead.make(200, [], UNKNOWN_LENGTH));
    at = 0;
    served.reply.writer = { drained: () => feed(served.reply) };
    feed(served.reply);
    await until(() => heard.ended === 1, 'the answer is complete');
    served.reply.settled();
    await until(() => heard.settledCount === 1, 'the answer is complete');
    expect(heard.body.equals(body)).toBe(true);
    await until(() => p.session.free === 2, 'the slot is back');
    expect(p.session.bufferedBytes).toBe(0);
    expect(p.agent.bufferedBytes).toBe(0);
  });
});

describe('either end dies in the middle of a body', () => {
  const TOTAL = 400_000;
  const PIECE = Buffer.alloc(10_000, 'y');

  test('[fault 6] two hundred times: no answer looks complete that is not, every slot and stream comes back', async () => {
    const hub = await new TestHub().listen();
    const slots = new SlotLedger(1);
    p = { close: () => hub.close() } as Pair;
    let complete = 0;
    let seed = 1;
    for (let i = 0; i < 200; i++) {
      seed = (seed * 48_271) % 0x7fff_ffff;
      const dieAt = seed % (TOTAL + 100_000);
      const serving = new Serving();
      const agent = dial(hub.port, serving, slots);
      await until(() => hub.sessions.length === i + 1 && agent.state === 'joined', 'joined');
      serving.onOpen = (served) => {
        served.reply.head(ResponseHead.make(200, [], UNKNOWN_LENGTH));
        let sent = 0;
        const go = (): void => {
          if (served.aborts > 0) return;
          while (sent < TOTAL) {
            sent += PIECE.length;
            if (!served.reply.write(PIECE)) return;
            if (sent >= dieAt && sent < dieAt + PIECE.length) {
              // Half of the time our own end dies, half of the time the hub's.
              if (i % 2 === 0) setImmediate(() => agent.destroy());
              else for (const socket of hub.sockets) socket.resetAndDestroy();
            }
          }
          served.reply.end();
        };
        served.reply.writer = { drained: go };
        setImmediate(go);
      };
      const { heard, notes } = hub.open();
      await until(() => heard.settledCount === 1 || heard.ended === 1, 'an outcome');
      if (heard.ended === 1) {
        expect(heard.bytes).toBe(TOTAL);
        complete++;
      } else {
        expect(heard).toMatchObject({ aborts: 1, settledCount: 1 });
        expect(heard.failure!.code).toMatch(/^tunnel_lost/);
        if (heard.heads > 0) expect(notes.began).toBe('yes');
      }
      agent.destroy();
      for (const served of serving.all) served.reply.settled();
      await until(() => hub.sessions[i]!.inFlight === 0 && hub.sessions[i]!.bufferedBytes === 0 && hub.sessions[i]!.free === 0, 'gauges at zero');
      expect(slots.free).toBe(1);
    }
    // Both outcomes were there, or nothing was shown.
    expect(complete).toBeGreaterThan(10);
    expect(complete).toBeLessThan(190);
    expect(hub.log.at('error')).toEqual([]);
  });
});
