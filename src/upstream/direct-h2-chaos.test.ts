import http2 from 'node:http2';
import { afterEach, expect, it } from 'vitest';
import { createLoop } from '../std/loop.ts';
import { parseUpstreamUrl } from '../schema/upstream-url.ts';
import { Notes, type ReplySink, type Writer } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { RequestHead, type ResponseHead } from '../http/head.ts';
import { httpLimits } from '../http/limits.ts';
import { parseRequest } from '../http/parse.ts';
import { END_STREAM, H2Origin, rawH2Origin } from '../../test/kit/h2-origin.ts';
import { until } from '../../test/kit/until.ts';
import { Direct } from './direct.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  while (open.length > 0) await open.pop()!();
});

/** A frame type (RFC 9113 6.1). */
const DATA = 0;

/** Numbers that look like dice and are the same in every run. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % sides;
  };
}

/** Complains of what a reply must never hear. */
class Watched implements ReplySink {
  writer: Writer | null = null;
  state: 'head' | 'body' | 'over' = 'head';
  settles = 0;
  readonly wrong: string[] = [];
  ended = false;
  aborted = false;
  bytes = 0;
  takes = true;

  informational(): void {
    if (this.state !== 'head') this.wrong.push('an interim answer late');
  }

  head(_head: ResponseHead): void {
    if (this.state !== 'head' || this.aborted) this.wrong.push(`a head in ${this.state}`);
    this.state = 'body';
  }

  write(chunk: Uint8Array): boolean {
    if (this.state !== 'body') this.wrong.push(`bytes in ${this.state}`);
    this.bytes += chunk.length;
    return this.takes;
  }

  end(): void {
    if (this.state !== 'body') this.wrong.push(`an end in ${this.state}`);
    this.state = 'over';
    this.ended = true;
  }

  abort(): void {
    if (this.state === 'over') this.wrong.push('an abort after the end');
    this.state = 'over';
  }

  settled(): void {
    this.settles++;
  }
}

it('every request settles once, in whatever way its upstream, its connection and its client fail', async () => {
  const roll = dice(20_261_121);
  const whole = Buffer.alloc(30_000);
  const origin = await new H2Origin(
    (stream, _headers, seen) => {
      const session = stream.session as http2.ServerHttp2Session;
      switch (roll(12)) {
        case 0:
          stream.close([0, 2, 7, 8, 11][roll(5)]);
          break;
        case 1:
          stream.respond({ ':status': 200 });
          stream.write(whole.subarray(0, 5_000), () => stream.close([0, 2, 8][roll(3)]));
          break;
        case 2:
          if (roll(6) === 0) session.close();
          stream.respond({ ':status': 204 }, { endStream: true });
          break;
        case 3:
          if (roll(8) === 0) session.goaway(2, Math.max(0, stream.id! - 4));
          break;
        case 4:
          if (roll(8) === 0) session.destroy();
          break;
        default:
          stream.on('end', () => {
            if (stream.destroyed || !seen.complete) return;
            stream.respond({ ':status': 200 });
            stream.end(whole);
          });
      }
    },
    { settings: { maxConcurrentStreams: 7 } },
  ).listen();
  open.push(() => origin.close());
  const loop = createLoop();
  const direct = new Direct(parseUpstreamUrl(`h2c://127.0.0.1:${origin.port}`), {
    loop,
    limits: httpLimits,
    connectTimeoutMs: 2_000,
    firstByteTimeoutMs: 200,
    idleTimeoutMs: 200,
    onAbort: 'drain_capped',
    cancelGraceMs: 100,
    drainTimeoutMs: 100,
    hostHeader: 'keep',
    alpn: 'H2',
  });
  open.push(() => direct.close());
  const replies: Watched[] = [];
  const head = new RequestHead();
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 10; i++) {
      const reply = new Watched();
      replies.push(reply);
      const framing = roll(2) === 0 ? 'Transfer-Encoding: chunked\r\n' : '';
      const text = Buffer.from(`${roll(2) === 0 ? 'PUT' : 'POST'} / HTTP/1.1\r\nHost: a\r\n${framing}\r\n`);
      expect(parseRequest(head, text, 0, text.length, httpLimits)).toBe(text.length);
      const sink = direct.open(head, reply, new Notes(0));
      loop.reads.private = true;
      if (framing !== '' && roll(4) > 0) sink.write(whole.subarray(0, roll(20_000)));
      const leaves = roll(5) === 0;
      if (!leaves || roll(2) === 0) sink.end();
      if (leaves) {
        const leave = (): void => {
          reply.aborted = true;
          if (reply.settles === 0) sink.abort(new Failure('client_gone', 'the client left'));
          sink.settled();
        };
        if (roll(3) === 0) leave();
        else setTimeout(leave, roll(30));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, roll(12)));
  }
  await until('all of them to settle', () => replies.every(({ settles }) => settles > 0));
  expect(replies.flatMap(({ wrong }) => wrong)).toEqual([]);
  expect(replies.filter(({ settles }) => settles !== 1)).toEqual([]);
  expect(replies.filter(({ ended }) => ended).length).toBeGreaterThan(100);
  expect(replies.filter(({ ended }) => !ended).length).toBeGreaterThan(50);
  await until('memory to be given back', () => direct.bufferedBytes === 0);
  direct.close();
  await until('no session', () => direct.connections === 0);
  expect(loop.sweeper.size).toBe(0);
});

it('an upload that is answered early and reset with NO_ERROR settles, though the rest of it cannot be written', async () => {
  const origin = await rawH2Origin((peer) => {
    // All of the answer and the reset are read at once.
    void peer.frame(DATA).then(() => {
      peer.socket.cork();
      peer.headers(1, [[':status', '413']]);
      peer.send(DATA, 0, 1, Buffer.from('too'));
      peer.send(DATA, END_STREAM, 1, Buffer.from('large'));
      peer.reset(1, http2.constants.NGHTTP2_NO_ERROR);
      peer.socket.uncork();
    });
  });
  open.push(() => origin.close());
  const direct = new Direct(parseUpstreamUrl(`http://127.0.0.1:${origin.port}`), {
    loop: createLoop(),
    limits: httpLimits,
    connectTimeoutMs: 2_000,
    firstByteTimeoutMs: 0,
    idleTimeoutMs: 0,
    onAbort: 'cancel',
    cancelGraceMs: 1_000,
    drainTimeoutMs: 1_000,
    hostHeader: 'keep',
    alpn: 'H2',
  });
  open.push(() => direct.close());
  const head = new RequestHead();
  const bytes = Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', 'latin1');
  parseRequest(head, bytes, 0, bytes.length, httpLimits);
  const reply = new Watched();
  const sink = direct.open(head, reply, new Notes(0));
  // More than the window that the upstream gives.
  for (let i = 0; i < 10; i++) sink.write(Buffer.alloc(30_000));
  // It takes the answer only when all of it and the reset have come: Node has not told of its end then.
  reply.takes = false;
  await until('the answer', () => reply.state === 'body' && reply.bytes > 0);
  await new Promise((resolve) => setImmediate(resolve));
  reply.takes = true;
  reply.writer!.drained();
  await until('it to settle', () => reply.settles > 0);
  expect([reply.wrong, reply.ended, reply.settles, direct.bufferedBytes]).toEqual([[], true, 1, 0]);
});
