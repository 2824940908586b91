import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { createLoop, type Loop } from '../std/loop.ts';
import { parseUpstreamUrl } from '../schema/upstream-url.ts';
import { Notes, type ReplySink, type RequestSink, type Writer } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { type HeaderList, RequestHead, type ResponseHead } from '../http/head.ts';
import { httpLimits } from '../http/limits.ts';
import { parseRequest } from '../http/parse.ts';
import {
  END_STREAM,
  type H2Answerer,
  H2Origin,
  type H2OriginOptions,
  type H2Peer,
  PING,
  rawH2Origin,
  RST_STREAM,
  setting,
} from '../../test/kit/h2-origin.ts';
import { until } from '../../test/kit/until.ts';
import { Direct, type DirectOptions } from './direct.ts';

const FIXTURES = new URL('../../test/fixtures/', import.meta.url);
const PAIR = { cert: readFileSync(new URL('one.pem', FIXTURES), 'utf8'), key: readFileSync(new URL('one.key', FIXTURES), 'utf8') };
const TRUST = tls.createSecureContext({ ca: readFileSync(new URL('ca.pem', FIXTURES)) });
const GONE = new Failure('client_gone', 'the client left');

const open: (() => unknown)[] = [];
afterEach(async () => {
  while (open.length > 0) await open.pop()!();
});

/** Writes down what it hears. */
class Reply implements ReplySink {
  writer: Writer | null = null;
  /** False from write() until it is set true again. */
  takes = true;
  readonly calls: string[] = [];
  fields: string[] = [];
  readonly hash = createHash('sha256');
  bytes = 0;
  text = '';
  trailers: HeaderList | undefined = undefined;
  failure: Failure | null = null;
  #settle: () => void = () => {};
  readonly over = new Promise<void>((resolve) => {
    this.#settle = resolve;
  });

  informational(head: ResponseHead): void {
    this.calls.push(`interim ${head.status} ${head.get('link') ?? ''}`.trim());
  }

  head(head: ResponseHead): void {
    this.calls.push(`head ${head.status}`);
    this.fields = head.list();
  }

  write(chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    this.hash.update(chunk);
    if (this.text.length < 1000) this.text += Buffer.from(chunk).toString('latin1');
    return this.takes;
  }

  end(trailers?: HeaderList): void {
    this.trailers = trailers;
    this.calls.push('end');
  }

  abort(failure: Failure): void {
    this.failure = failure;
    this.calls.push(`abort ${failure.code}`);
  }

  settled(): void {
    this.calls.push('settled');
    this.#settle();
  }
}

function directTo(url: string, options: Partial<DirectOptions> = {}, loop: Loop = createLoop()): Direct {
  const direct = new Direct(parseUpstreamUrl(url), {
    loop,
    limits: httpLimits,
    connectTimeoutMs: 2_000,
    firstByteTimeoutMs: 0,
    idleTimeoutMs: 0,
    onAbort: 'cancel',
    cancelGraceMs: 1_000,
    drainTimeoutMs: 1_000,
    hostHeader: 'keep',
    alpn: 'H2',
    ...options,
  });
  open.push(() => direct.close());
  return direct;
}

async function origin(answer?: H2Answerer, options?: H2OriginOptions): Promise<H2Origin> {
  const made = await new H2Origin(answer, options).listen();
  open.push(() => made.close());
  return made;
}

async function raw(serve: (peer: H2Peer, connection: number) => void, settings?: Buffer) {
  const made = await rawH2Origin(serve, settings);
  open.push(() => made.close());
  return made;
}

function ask(direct: Direct, text = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'): { reply: Reply; sink: RequestSink; notes: Notes } {
  const head = new RequestHead();
  const bytes = Buffer.from(text, 'latin1');
  expect(parseRequest(head, bytes, 0, bytes.length, httpLimits)).toBe(bytes.length);
  const reply = new Reply();
  const notes = new Notes(0);
  const sink = direct.open(head, reply, notes);
  expect(reply.calls).toEqual([]);
  if (head.bodiless && head.upgrade === '') sink.end();
  return { reply, sink, notes };
}

const POST = 'POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const GRPC =
  'POST /s/M HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nConnection: TE\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n';

describe('a request over HTTP/2', () => {
  it('and its answer are what they are over HTTP/1.1', async () => {
    const { port, requests } = await origin((stream) => {
      stream.respond({ ':status': 201, 'x-thing': ['a', 'b'] });
      stream.end('hello');
    });
    const direct = directTo(`http://127.0.0.1:${port}/base`, { hostHeader: 'upstream' });
    const { reply, notes } = ask(direct, 'GET /a?b=1 HTTP/1.1\r\nHost: client.test\r\nAccept: x\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n');
    await reply.over;
    expect(reply.calls).toEqual(['head 201', 'end', 'settled']);
    expect(reply.fields.slice(0, 4)).toEqual(['x-thing', 'a', 'x-thing', 'b']);
    expect(reply.text).toBe('hello');
    expect(Object.entries(requests[0]!.headers)).toEqual([
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', `127.0.0.1:${port}`],
      [':path', '/base/a?b=1'],
      ['accept', 'x'],
    ]);
    expect([notes.began, notes.reused, notes.connectMs > 0]).toEqual(['yes', false, true]);
    const second = ask(direct);
    await second.reply.over;
    expect([second.notes.reused, second.notes.connectMs]).toEqual([true, 0]);
    expect(direct.counts).toMatchObject({ connects: 1, reuses: 1 });
  });

  it('carries trailers both ways, and interim answers', async () => {
    const { port, requests } = await origin((stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</a>' });
      stream.on('end', () => {
        stream.respond({ ':status': 200 }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42', location: '/' }));
        stream.end('body');
      });
    });
    const { reply, sink } = ask(directTo(`http://127.0.0.1:${port}`), POST);
    sink.write(Buffer.from('part'));
    sink.end(['X-Check', 'abc']);
    await reply.over;
    expect(reply.calls).toEqual(['interim 103 </a>', 'head 200', 'end', 'settled']);
    expect(reply.trailers).toEqual(['x-sum', '42']);
    expect(requests[0]!.body).toBe('part');
    expect(Object.entries(requests[0]!.trailers!)).toEqual([['x-check', 'abc']]);
  });

  it('without a body of its answer ends with its head', async () => {
    const { port } = await origin((stream, { ':method': method, ':path': path }) => {
      if (method === 'HEAD') stream.respond({ ':status': 200, 'content-length': 1234 }, { endStream: true });
      else stream.respond({ ':status': Number(path!.slice(1)) }, { endStream: true });
    });
    const direct = directTo(`http://127.0.0.1:${port}`);
    for (const line of ['HEAD /', 'GET /204', 'GET /304', 'GET /200']) {
      const { reply } = ask(direct, `${line} HTTP/1.1\r\nHost: a\r\n\r\n`);
      await reply.over;
      expect(reply.calls.slice(1)).toEqual(['end', 'settled']);
      expect(reply.bytes).toBe(0);
    }
  });

  it('talks in both directions at once: the echo comes before the request has ended', async () => {
    const { port } = await origin((stream) => {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    });
    const { reply, sink } = ask(directTo(`http://127.0.0.1:${port}`), GRPC);
    for (const word of ['one', 'two', 'three']) {
      const before = reply.text;
      sink.write(Buffer.from(word));
      await until(`the echo of ${word}`, () => reply.text === before + word);
    }
    expect(reply.calls).toEqual(['head 200']);
    sink.end();
    await reply.over;
    expect(reply.calls).toEqual(['head 200', 'end', 'settled']);
  });

  it('carries large bodies both ways unchanged, however slowly they are taken', async () => {
    const answer = randomBytes(3_000_000);
    const { port, requests } = await origin((stream) => {
      stream.on('end', () => {
        stream.respond({ ':status': 200 });
        stream.end(answer);
      });
    });
    const body = randomBytes(2_000_000);
    const { reply, sink } = ask(directTo(`http://127.0.0.1:${port}`), POST);
    let at = 0;
    let asked = 0;
    const fill = (): void => {
      while (at < body.length) {
        const chunk = body.subarray(at, (at += 50_000));
        if (!sink.write(chunk)) {
          asked++;
          return;
        }
      }
      sink.end();
    };
    sink.writer = { drained: fill };
    fill();
    reply.takes = false;
    const slow = setInterval(() => reply.writer!.drained(), 1);
    await reply.over;
    clearInterval(slow);
    expect(asked).toBeGreaterThan(5);
    expect([reply.bytes, reply.hash.digest('hex')]).toEqual([answer.length, createHash('sha256').update(answer).digest('hex')]);
    expect(requests[0]!.sha256).toBe(createHash('sha256').update(body).digest('hex'));
  });

  it('holds no more of an answer that nobody takes than its window [threat 50]', async () => {
    const { port } = await origin((stream) => {
      stream.respond({ ':status': 200 });
      stream.end(Buffer.alloc(8_000_000));
    });
    const direct = directTo(`http://127.0.0.1:${port}`);
    const { reply, sink } = ask(direct);
    reply.takes = false;
    await until('a full window', () => direct.bufferedBytes > 200_000);
    const other = ask(direct);
    await other.reply.over;
    expect(other.reply.bytes).toBe(8_000_000);
    expect(reply.bytes + direct.bufferedBytes).toBeLessThanOrEqual(400_000);
    sink.abort(GONE);
    await reply.over;
    expect(direct.bufferedBytes).toBe(0);
  });

  it('whose body does not match its length is an abort, not a request', async () => {
    const made = await origin();
    const direct = directTo(`http://127.0.0.1:${made.port}`);
    await ask(direct).reply.over;
    for (const [n, body, ends] of [
      [1, 'too much', false],
      [2, '2', true],
    ] as const) {
      const { reply, sink } = ask(direct, 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n');
      sink.write(Buffer.from(body));
      if (ends) sink.end();
      await reply.over;
      expect(reply.calls).toEqual(['abort bad_request', 'settled']);
      expect((await made.ended(n)).complete).toBe(false);
    }
  });

  it('whose client leaves is cancelled, and settles when its stream is no more [fault 29]', async () => {
    const made = await origin((stream) => stream.respond({ ':status': 200 }));
    const { reply, sink } = ask(directTo(`http://127.0.0.1:${made.port}`));
    await until('the head', () => reply.calls.length === 1);
    sink.abort(GONE);
    await reply.over;
    expect((await made.ended()).rstCode).toBe(8);
    expect(reply.calls).toEqual(['head 200', 'settled']);
  });

  it('is read to its end when its client leaves and the upstream may finish', async () => {
    let stream!: http2.ServerHttp2Stream;
    const made = await origin((one) => {
      stream = one;
      one.respond({ ':status': 200 });
      one.write('some');
    });
    const { reply, sink } = ask(directTo(`http://127.0.0.1:${made.port}`, { onAbort: 'drain' }));
    await until('the first bytes', () => reply.text === 'some');
    sink.abort(GONE);
    stream.write(Buffer.alloc(500_000));
    stream.end();
    await reply.over;
    expect((await made.ended()).rstCode).toBe(0);
    expect([reply.calls, reply.text]).toEqual([['head 200', 'settled'], 'some']);
  });

  it('is cancelled when the upstream has had its time to finish', async () => {
    const made = await origin((stream) => stream.respond({ ':status': 200 }));
    const { reply, sink } = ask(directTo(`http://127.0.0.1:${made.port}`, { onAbort: 'drain_capped', drainTimeoutMs: 50 }));
    await until('the head', () => reply.calls.length === 1);
    sink.abort(GONE);
    await reply.over;
    expect((await made.ended()).rstCode).toBe(8);
  });

  it('that is given up before there is a session is never sent', async () => {
    const made = await origin();
    const direct = directTo(`http://127.0.0.1:${made.port}`);
    const { reply, sink } = ask(direct);
    sink.abort(GONE);
    expect(reply.calls).toEqual(['settled']);
    await ask(direct).reply.over;
    expect(made.requests.length).toBe(1);
  });

  it('that is answered before its body has come is stopped, and the answer is whole [fault 25]', async () => {
    const made = await origin((stream) => {
      stream.respond({ ':status': 413 });
      stream.end('too large');
    });
    const { reply, sink } = ask(directTo(`http://127.0.0.1:${made.port}`), POST);
    sink.write(Buffer.alloc(1000));
    await reply.over;
    expect(reply.calls).toEqual(['head 413', 'end', 'settled']);
    expect(sink.write(Buffer.alloc(1000))).toBe(true);
    sink.end();
  });
});

describe('time-outs over HTTP/2', () => {
  it('bound the wait for the head, and the silence within a body; the stream ends, the session stays [fault 23] [fault 24]', async () => {
    const made = await origin((stream, { ':path': path }) => {
      if (path === '/half') {
        stream.respond({ ':status': 200 });
        stream.write('half');
      } else if (path === '/ok') stream.respond({ ':status': 204 }, { endStream: true });
    });
    const direct = directTo(`http://127.0.0.1:${made.port}`, { firstByteTimeoutMs: 150, idleTimeoutMs: 150 });
    const silent = ask(direct);
    const half = ask(direct, 'GET /half HTTP/1.1\r\nHost: a\r\n\r\n');
    await Promise.all([silent.reply.over, half.reply.over]);
    expect(silent.reply.calls).toEqual(['abort first_byte_timeout', 'settled']);
    expect(half.reply.calls).toEqual(['head 200', 'abort upstream_stalled', 'settled']);
    expect((await made.ended()).rstCode).toBe(8);
    await ask(direct, 'GET /ok HTTP/1.1\r\nHost: a\r\n\r\n').reply.over;
    expect(made.sessions.length).toBe(1);
  });

  it('bound how long an upstream may take nothing of a request [threat 49]', async () => {
    const { port, peers } = await raw(() => {});
    const direct = directTo(`http://127.0.0.1:${port}`, { writeTimeoutMs: 150, firstByteTimeoutMs: 60_000 });
    const { reply, sink } = ask(direct, POST);
    for (let i = 0; i < 4; i++) sink.write(Buffer.alloc(60_000));
    const later = ask(direct, POST);
    await until('both streams', () => peers[0]?.frames.filter(({ type }) => type === 1).length === 2);
    for (let i = 0; i < 4; i++) later.sink.write(Buffer.alloc(60_000));
    await Promise.all([reply.over, later.reply.over]);
    for (const { calls } of [reply, later.reply]) expect(calls).toEqual(['abort upstream_stalled', 'settled']);
  });

  it('bound connecting, the greeting of HTTP/2 included [fault 17]', async () => {
    const mute = net.createServer().listen(0, '127.0.0.1');
    await until('a port', () => mute.address() !== null);
    open.push(() => mute.close());
    const direct = directTo(`http://127.0.0.1:${(mute.address() as { port: number }).port}`, { connectTimeoutMs: 150 });
    const { reply, notes } = ask(direct);
    await reply.over;
    expect([reply.calls, notes.began]).toEqual([['abort connect_timeout', 'settled'], 'no']);
  });
});

describe('an upstream that fails over HTTP/2', () => {
  it('that refuses a stream never began with it', async () => {
    const { port } = await raw((peer) => void peer.request().then(({ stream }) => peer.reset(stream, 7)));
    const { reply, sink, notes } = ask(directTo(`http://127.0.0.1:${port}`), POST);
    sink.write(Buffer.from('kept'));
    sink.end();
    await reply.over;
    expect([reply.calls, notes.began, reply.failure!.retry]).toEqual([['abort upstream_refused', 'settled'], 'no', 'always']);
    expect((sink as RequestSink & { reclaim(): unknown }).reclaim()).toEqual({ head: null, body: [Buffer.from('kept')], complete: true });
  });

  it('that says goodbye is asked again for what it did not begin with, on a new connection, whatever the method', async () => {
    const made = await raw((peer, connection) => {
      if (connection === 0) void peer.request(1).then(() => peer.goaway(1));
      else void peer.request().then(({ stream }) => peer.headers(stream, [[':status', '200']], END_STREAM));
    });
    const direct = directTo(`http://127.0.0.1:${made.port}`);
    const first = ask(direct);
    await until('the first request', () => made.peers[0]?.frames.some(({ type }) => type === 1) ?? false);
    const second = ask(direct, POST);
    second.sink.write(Buffer.from('body'));
    second.sink.end();
    await second.reply.over;
    expect(second.reply.calls).toEqual(['head 200', 'end', 'settled']);
    expect(made.peers.length).toBe(2);
    expect(Buffer.concat(made.peers[1]!.frames.filter(({ type }) => type === 0).map(({ payload }) => payload)).toString()).toBe('body');
    // The one that it has begun with is answered where it is.
    made.peers[0]!.headers(1, [[':status', '204']], END_STREAM);
    await first.reply.over;
    expect(first.reply.calls).toEqual(['head 204', 'end', 'settled']);
    expect(direct.counts.repeats).toBe(1);
  });

  it('that says goodbye with an error fails what it has begun with, and is asked again for the rest', async () => {
    const made = await raw((peer, connection) => {
      if (connection === 0) void peer.request(1).then(() => peer.goaway(1, 2));
      else void peer.request().then(({ stream }) => peer.headers(stream, [[':status', '200']], END_STREAM));
    });
    const direct = directTo(`http://127.0.0.1:${made.port}`);
    const first = ask(direct, POST);
    await until('the first request', () => made.peers[0]?.frames.some(({ type }) => type === 1) ?? false);
    const second = ask(direct, POST);
    second.sink.end();
    await Promise.all([first.reply.over, second.reply.over]);
    expect(first.reply.calls).toEqual(['abort upstream_reset', 'settled']);
    expect(first.reply.failure!.detail).toContain('INTERNAL_ERROR');
    expect(second.reply.calls).toEqual(['head 200', 'end', 'settled']);
  });

  it('that goes on saying goodbye is given up after one more try', async () => {
    const made = await raw((peer) => void peer.request().then(() => peer.goaway(0)));
    const { reply, notes } = ask(directTo(`http://127.0.0.1:${made.port}`));
    await reply.over;
    expect([reply.calls, notes.began, made.peers.length]).toEqual([['abort upstream_refused', 'settled'], 'no', 2]);
  });

  it('that loses a used connection is asked once more for what may be sent twice, and for nothing else [rule R1] [fault 20]', async () => {
    const made = await raw((peer, connection) => {
      if (connection > 0) {
        void peer.request().then(({ stream }) => peer.headers(stream, [[':status', '200']], END_STREAM));
        return;
      }
      void peer.request().then(({ stream }) => peer.headers(stream, [[':status', '200']], END_STREAM));
      void peer.request(2).then(() => peer.socket.destroy());
    });
    const direct = directTo(`http://127.0.0.1:${made.port}`);
    await ask(direct).reply.over;
    const get = ask(direct);
    const post = ask(direct, POST);
    await Promise.all([get.reply.over, post.reply.over]);
    expect(get.reply.calls).toEqual(['head 200', 'end', 'settled']);
    expect(post.reply.calls.length).toBe(2);
    expect(post.reply.calls[0]).toMatch(/^abort upstream_(closed|reset)$/);
    expect(post.notes.began).toBe('maybe');
  });

  it('in the middle of a body is a cut, never an end, whatever the code of its reset [fault 22] [rule R2]', async () => {
    for (const code of [0, 2, 8]) {
      const { port } = await raw(
        (peer) =>
          void peer.request().then(({ stream }) => {
            peer.headers(stream, [[':status', '200']]);
            peer.send(0, 0, stream, Buffer.from('half'));
            peer.reset(stream, code);
          }),
      );
      const { reply } = ask(directTo(`http://127.0.0.1:${port}`));
      await reply.over;
      expect(reply.calls.filter((call) => call !== 'head 200')).toEqual([code === 0 ? 'abort upstream_closed' : 'abort upstream_reset', 'settled']);
    }
  });

  it('whose connection is lost in the middle of a body is a cut', async () => {
    const { port } = await raw(
      (peer) =>
        void peer.request().then(({ stream }) => {
          peer.headers(stream, [[':status', '200']]);
          peer.socket.end();
        }),
    );
    const { reply } = ask(directTo(`http://127.0.0.1:${port}`));
    await reply.over;
    expect(reply.calls).toEqual(['head 200', 'abort upstream_closed', 'settled']);
  });

  const heads: readonly (readonly [string, readonly (readonly [string, string])[], number?])[] = [
    ['a status that is none', [[':status', '99']]],
    [
      'two lengths',
      [
        [':status', '200'],
        ['content-length', '1'],
        ['content-length', '2'],
      ],
    ],
    [
      'a length that is none',
      [
        [':status', '200'],
        ['content-length', '-1'],
      ],
    ],
    [
      'a field of the connection',
      [
        [':status', '200'],
        ['transfer-encoding', 'chunked'],
      ],
    ],
    ['a head that is too large', [[':status', '200'], ...Array.from({ length: 40 }, () => ['x', 'y'.repeat(1000)] as const)]],
    ['more fields than we take', [[':status', '200'], ...Array.from({ length: 150 }, (_, i) => [`x${i}`, 'y'] as const)]],
    ['101', [[':status', '101']]],
    [
      'a length without a body',
      [
        [':status', '200'],
        ['content-length', '5'],
      ],
      END_STREAM,
    ],
  ];
  for (const [what, fields, flags = 0] of heads)
    it(`that answers with ${what} gives no answer [fault 26]`, async () => {
      const { port } = await raw((peer) => void peer.request().then(({ stream }) => peer.headers(stream, fields, flags)));
      const { reply } = ask(directTo(`http://127.0.0.1:${port}`));
      await reply.over;
      expect(reply.calls).toEqual(['abort bad_response', 'settled']);
    });

  it('that answers with a head beyond all limits is cut off by Node', async () => {
    const { port } = await raw(
      (peer) =>
        void peer.request().then(({ stream }) =>
          peer.headers(
            stream,
            Array.from({ length: 2_000 }, (_, i) => (i === 0 ? [':status', '200'] : [`x${i}`, 'y'.repeat(500)])),
          ),
        ),
    );
    const { reply } = ask(directTo(`http://127.0.0.1:${port}`));
    await reply.over;
    expect(reply.calls.length).toBe(2);
    expect(reply.calls[0]).toMatch(/^abort upstream_(reset|closed)$/);
  });

  it('that sends another body than it has announced is cut', async () => {
    for (const [length, body] of [
      ['2', 'longer'],
      ['20', 'short'],
    ] as const) {
      const { port } = await raw(
        (peer) =>
          void peer.request().then(({ stream }) => {
            peer.headers(stream, [
              [':status', '200'],
              ['content-length', length],
            ]);
            peer.send(0, END_STREAM, stream, Buffer.from(body));
          }),
      );
      const { reply } = ask(directTo(`http://127.0.0.1:${port}`));
      await reply.over;
      expect(reply.calls.filter((call) => call !== 'head 200')).toEqual(['abort bad_response', 'settled']);
    }
  });

  it('that sends interim answers without end is left', async () => {
    const made = await raw(
      (peer) =>
        void peer.request().then(({ stream }) => {
          for (let i = 0; i < 500; i++) peer.headers(stream, [[':status', '103']]);
        }),
    );
    const { reply } = ask(directTo(`http://127.0.0.1:${made.port}`));
    await reply.over;
    expect(reply.calls.filter((call) => call === 'interim 103').length).toBe(httpLimits.informationalCount);
    expect(reply.calls.slice(-2)).toEqual(['abort bad_response', 'settled']);
    expect((await made.peers[0]!.frame(RST_STREAM)).payload.readUInt32BE()).toBe(8);
  });

  it('that floods us with PING or SETTINGS is hung up on [threat 53]', async () => {
    for (const type of [PING, 4]) {
      const made = await raw((peer) => {
        void peer.request().then(() => {
          // Not enough for nghttp2, which counts answers that were not taken.
          for (let i = 0; i < 700; i++) peer.send(type, 0, 0, type === PING ? Buffer.alloc(8) : Buffer.alloc(0));
        });
      });
      const { reply } = ask(directTo(`http://127.0.0.1:${made.port}`), POST);
      await reply.over;
      expect(reply.calls[0]).toMatch(/^abort upstream_/);
      await until('the hang-up', () => made.peers[0]!.socket.destroyed || made.peers[0]!.socket.readableEnded);
    }
  });

  it('that speaks HTTP/1.1 is never shown a request', async () => {
    const seen: string[] = [];
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (data: Buffer) => {
        seen.push(data.toString('latin1'));
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push(() => server.close());
    const { reply, notes } = ask(directTo(`http://127.0.0.1:${(server.address() as { port: number }).port}`), POST);
    await reply.over;
    expect([reply.calls, notes.began]).toEqual([['abort no_http2', 'settled'], 'no']);
    expect(seen.join('')).not.toContain('/up');
  });

  it('that closes a connection as soon as it is open cannot be reached', async () => {
    const server = net.createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push(() => server.close());
    const { reply, notes } = ask(directTo(`http://127.0.0.1:${(server.address() as { port: number }).port}`), POST);
    await reply.over;
    expect([reply.calls, notes.began]).toEqual([['abort connect_failed', 'settled'], 'no']);
  });

  it('that does not answer a PING is taken to be gone', async () => {
    const time = { ms: 1_000_000 };
    const loop = createLoop({ now: () => time.ms, wall: () => time.ms });
    const made = await raw((peer) => {
      peer.polite = false;
    });
    const direct = directTo(`http://127.0.0.1:${made.port}`, { connectTimeoutMs: 0 }, loop);
    const { reply } = ask(direct, POST);
    await until('the request', () => made.peers[0]?.frames.some(({ type }) => type === 1) ?? false);
    time.ms += 16_000;
    loop.sweeper.sweep();
    await made.peers[0]!.frame(PING);
    time.ms += 11_000;
    loop.sweeper.sweep();
    await reply.over;
    expect(reply.calls).toEqual(['abort upstream_reset', 'settled']);
    expect(reply.failure!.detail).toContain('no answer to a PING');
  });
});

describe('sessions', () => {
  it('are as few as carry the requests: 200 at once over two', async () => {
    const waiting: http2.ServerHttp2Stream[] = [];
    const made = await origin((stream) => void waiting.push(stream));
    const direct = directTo(`http://127.0.0.1:${made.port}`);
    const asked = Array.from({ length: 200 }, () => ask(direct));
    await until('all requests', () => waiting.length === 200);
    expect([made.sessions.length, direct.connections]).toEqual([2, 2]);
    for (const stream of waiting) stream.respond({ ':status': 204 }, { endStream: true });
    await Promise.all(asked.map(({ reply }) => reply.over));
    for (const { reply } of asked) expect(reply.calls).toEqual(['head 204', 'end', 'settled']);
    expect(direct.idleConnections).toBe(2);
  });

  it('have no more streams than the upstream allows, nor than we are told', async () => {
    for (const [theirs, ours] of [
      [3, 100],
      [100, 3],
    ]) {
      const waiting: http2.ServerHttp2Stream[] = [];
      const made = await origin((stream) => void waiting.push(stream), { settings: { maxConcurrentStreams: theirs! } });
      const direct = directTo(`http://127.0.0.1:${made.port}`, { maxH2Streams: ours! });
      const asked = Array.from({ length: 9 }, () => ask(direct));
      await until('all requests', () => waiting.length === 9);
      expect(made.sessions.length).toBe(3);
      for (const stream of waiting) stream.respond({ ':status': 204 }, { endStream: true });
      await Promise.all(asked.map(({ reply }) => reply.over));
    }
  });

  it('are not opened again and again for an upstream that allows no stream', async () => {
    const made = await raw(() => {}, setting(3, 0));
    const { reply } = ask(directTo(`http://127.0.0.1:${made.port}`));
    await reply.over;
    expect(reply.calls).toEqual(['abort upstream_refused', 'settled']);
    expect(made.peers.length).toBe(1);
  });

  it('are closed when they have been idle, and when their endpoint is closed, but never under a request', async () => {
    const waiting: http2.ServerHttp2Stream[] = [];
    const made = await origin((stream) => void waiting.push(stream));
    const idle = directTo(`http://127.0.0.1:${made.port}`, { poolIdleMs: 0 });
    const first = ask(idle);
    await until('the request', () => waiting.length === 1);
    waiting[0]!.respond({ ':status': 204 }, { endStream: true });
    await first.reply.over;
    await until('no session', () => idle.connections === 0);
    const kept = directTo(`http://127.0.0.1:${made.port}`);
    const second = ask(kept);
    await until('the request', () => waiting.length === 2);
    kept.close();
    expect(kept.connections).toBe(1);
    waiting[1]!.respond({ ':status': 200 });
    waiting[1]!.end('late');
    await second.reply.over;
    expect([second.reply.calls, second.reply.text]).toEqual([['head 200', 'end', 'settled'], 'late']);
    await until('no session', () => kept.connections === 0);
  });

  it('that cannot be opened fail all that wait for them, with the reason', async () => {
    const made = await origin();
    const { port } = made;
    await made.close();
    open.pop();
    const asked = Array.from({ length: 3 }, () => ask(directTo(`http://127.0.0.1:${port}`)));
    for (const { reply, notes } of asked) {
      await reply.over;
      expect([reply.calls, notes.began]).toEqual([['abort connect_refused', 'settled'], 'no']);
    }
  });
});

describe('an upgrade over HTTP/2', () => {
  const WEBSOCKET =
    'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

  it('is an extended CONNECT; its bytes go both ways, and each side ends by itself', async () => {
    const made = await origin(
      (stream) => {
        stream.respond({ ':status': 200, 'sec-websocket-protocol': 'p' });
        stream.pipe(stream);
      },
      { settings: { enableConnectProtocol: true } },
    );
    const { reply, sink } = ask(directTo(`http://127.0.0.1:${made.port}`), WEBSOCKET);
    await until('the switch', () => reply.calls.length === 1);
    expect(reply.calls).toEqual(['head 101']);
    expect(reply.fields.filter((_, i) => i % 2 === 0)).toContain('sec-websocket-accept');
    expect(reply.fields[reply.fields.indexOf('sec-websocket-accept') + 1]).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    expect(made.requests[0]!.headers).toMatchObject({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat' });
    sink.write(Buffer.from('ping'));
    await until('the echo', () => reply.text === 'ping');
    sink.end();
    await reply.over;
    expect(reply.calls).toEqual(['head 101', 'end', 'settled']);
  });

  it('that the upstream declines is an answer like any other', async () => {
    const made = await origin(
      (stream) => {
        stream.respond({ ':status': 403 });
        stream.end('no');
      },
      { settings: { enableConnectProtocol: true } },
    );
    const { reply } = ask(directTo(`http://127.0.0.1:${made.port}`), WEBSOCKET);
    await reply.over;
    expect([reply.calls, reply.text]).toEqual([['head 403', 'end', 'settled'], 'no']);
  });

  it('is refused where the settings of the upstream do not allow it, before and after they are known', async () => {
    const made = await origin();
    const direct = directTo(`http://127.0.0.1:${made.port}`);
    for (let i = 0; i < 2; i++) {
      const { reply } = ask(direct, WEBSOCKET);
      await reply.over;
      expect(reply.calls).toEqual(['abort upgrade_refused', 'settled']);
    }
    expect(made.requests.length).toBe(0);
  });

  it('goes over HTTP/1.1 where TLS lets us choose and HTTP/2 does not take it', async () => {
    const made = await origin(undefined, { pair: PAIR });
    made.server.on('upgrade', (_request, socket) =>
      socket.end(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nraw',
      ),
    );
    const direct = directTo(`https://localhost:${made.port}`, { alpn: 'H2H1', trust: TRUST });
    await ask(direct).reply.over;
    const { reply, sink } = ask(direct, WEBSOCKET);
    await until('the bytes', () => reply.text === 'raw');
    sink.end();
    await reply.over;
    expect([reply.calls[0], reply.calls.at(-1)]).toEqual(['head 101', 'settled']);
    expect(made.requests.length).toBe(1);
  });
});

describe('TLS chooses the protocol', () => {
  it('HTTP/2 where the upstream has it: a burst before the first handshake opens one connection', async () => {
    const made = await origin(undefined, { pair: PAIR });
    const direct = directTo(`https://localhost:${made.port}`, { alpn: 'H2H1', trust: TRUST });
    const asked = Array.from({ length: 50 }, (_, i) => ask(direct, i % 2 === 0 ? undefined : POST));
    for (const [i, { sink }] of asked.entries()) {
      if (i % 2 === 0) continue;
      sink.write(Buffer.from(`body ${i}`));
      sink.end();
    }
    await Promise.all(asked.map(({ reply }) => reply.over));
    for (const { reply } of asked) expect([reply.calls, reply.text]).toEqual([['head 200', 'end', 'settled'], 'ok']);
    expect([made.sessions.length, direct.connections, made.h1Requests]).toEqual([1, 1, 0]);
    expect(made.requests.filter(({ body }) => body.startsWith('body')).length).toBe(25);
  });

  it('HTTP/1.1 where it has not: nobody waits for another, the handshake is not wasted, and it is remembered', async () => {
    let connections = 0;
    const server = https.createServer(PAIR, (request, response) => {
      request.resume();
      request.on('end', () => response.end('one'));
    });
    server.on('secureConnection', () => connections++);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const direct = directTo(`https://localhost:${(server.address() as { port: number }).port}`, { alpn: 'H2H1', trust: TRUST });
    const first = ask(direct);
    await first.reply.over;
    expect([first.reply.text, connections]).toEqual(['one', 1]);
    const more = Array.from({ length: 5 }, () => ask(direct));
    await Promise.all(more.map(({ reply }) => reply.over));
    for (const { reply } of more) expect([reply.calls, reply.text]).toEqual([['head 200', 'end', 'settled'], 'one']);
    expect(connections).toBe(5);
    const grpc = ask(direct, GRPC);
    await grpc.reply.over;
    expect(grpc.reply.calls).toEqual(['abort grpc_needs_http2', 'settled']);
  });

  it('must be HTTP/2 when nothing else is wanted', async () => {
    const server = https.createServer({ ...PAIR, ALPNProtocols: undefined }, () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push(() => server.close());
    const { reply, notes } = ask(directTo(`https://localhost:${(server.address() as { port: number }).port}`, { trust: TRUST }));
    await reply.over;
    expect(reply.calls.at(-1)).toBe('settled');
    expect(['no_http2', 'tls_failed']).toContain(reply.failure!.code);
    expect(notes.began).toBe('no');
  });

  it('and a certificate that is not believed is named [fault 19]', async () => {
    const made = await origin(undefined, { pair: PAIR });
    for (const alpn of ['H2', 'H2H1'] as const) {
      const { reply } = ask(directTo(`https://localhost:${made.port}`, { alpn }));
      await reply.over;
      expect(reply.calls).toEqual(['abort tls_failed', 'settled']);
      expect(reply.failure!.detail).toMatch(/certificate/);
    }
  });

  it('while requests wait with what has come of them; those that are given up meanwhile are never sent', async () => {
    const made = await origin(undefined, { pair: PAIR });
    const direct = directTo(`https://localhost:${made.port}`, { alpn: 'H2H1', trust: TRUST });
    const gone = ask(direct);
    gone.sink.abort(GONE);
    expect(gone.reply.calls).toEqual(['settled']);
    const { reply, sink } = ask(direct, POST);
    const body = randomBytes(100_000);
    let drained = 0;
    sink.writer = { drained: () => void drained++ };
    expect(sink.write(body.subarray(0, 20_000))).toBe(true);
    expect(sink.write(body.subarray(20_000, 40_000))).toBe(false);
    expect((sink as RequestSink & { reclaim(): { body: Uint8Array[] } }).reclaim().body.length).toBe(2);
    await until('to be asked for more', () => drained > 0);
    sink.write(body.subarray(40_000));
    sink.end(['x-sum', '1']);
    await reply.over;
    expect([reply.calls, made.requests.length]).toEqual([['head 200', 'end', 'settled'], 1]);
    expect(made.requests[0]!.sha256).toBe(createHash('sha256').update(body).digest('hex'));
  });

  it('only gRPC goes over HTTP/2 where nothing else needs it', async () => {
    const made = await origin(undefined, { pair: PAIR });
    const direct = directTo(`https://localhost:${made.port}`, { alpn: 'H2H1', trust: TRUST, h2ForGrpcOnly: true });
    const plain = ask(direct);
    const grpc = ask(direct, GRPC);
    grpc.sink.end();
    await Promise.all([plain.reply.over, grpc.reply.over]);
    expect([plain.reply.text, grpc.reply.text]).toEqual(['ok over 1.1', 'ok']);
    expect([made.h1Requests, made.requests.length]).toEqual([1, 1]);
  });
});

it('gRPC for an upstream that is spoken to in HTTP/1.1 is not implemented there; gRPC-Web is a request like any other', async () => {
  const made = await raw(() => {});
  const direct = directTo(`http://127.0.0.1:${made.port}`, { alpn: 'H1' });
  const { reply } = ask(direct, GRPC);
  await reply.over;
  expect(reply.calls).toEqual(['abort grpc_needs_http2', 'settled']);
  expect([reply.failure!.status, reply.failure!.grpcStatus]).toEqual([501, 12]);
  expect(made.peers.length).toBe(0);
  ask(direct, GRPC.replace('application/grpc', 'application/grpc-web'));
  await until('a connection', () => made.peers.length === 1);
});
