// What a server owes a client that speaks HTTP/2 badly, section by section (RFC 9113), as h2spec asks it. Frames are written by hand, because no client library sends them.
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, test } from 'vitest';
import {
  ACK,
  COMPRESSION_ERROR,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  FLOW_CONTROL_ERROR,
  frame,
  FrameClient,
  get,
  GOAWAY,
  HEADERS,
  hpack,
  NO_ERROR,
  PING,
  post,
  PREFACE,
  PRIORITY,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  RST_STREAM,
  SETTINGS,
  settings,
  WINDOW_UPDATE,
  word,
} from '../kit/h2-frames.ts';
import { kit } from '../kit/kit.ts';

const tools = kit();

const PUSH_PROMISE = 5;
const PADDED = 0x8;
const STREAM_CLOSED = 5;
const FRAME_SIZE_ERROR = 6;
const NAMES: Record<number, string> = {
  [NO_ERROR]: 'NO_ERROR',
  [PROTOCOL_ERROR]: 'PROTOCOL_ERROR',
  [FLOW_CONTROL_ERROR]: 'FLOW_CONTROL_ERROR',
  [STREAM_CLOSED]: 'STREAM_CLOSED',
  [FRAME_SIZE_ERROR]: 'FRAME_SIZE_ERROR',
  [REFUSED_STREAM]: 'REFUSED_STREAM',
  [COMPRESSION_ERROR]: 'COMPRESSION_ERROR',
};

/** `served`: a request behind it, or it itself, is answered. `goaway`: the connection ends, `reset`: one stream. */
type Outcome = 'served' | `goaway ${string}` | `reset ${string}`;

interface Case {
  readonly title: string;
  readonly send: readonly Buffer[];
  /** What the RFC asks for; the first where it leaves a choice. */
  readonly wants: readonly Outcome[];
  /** What comes instead, and why it is left so. */
  readonly here?: readonly [Outcome, string];
  /** Wait until stream 1 is answered before the rest is sent. */
  readonly first?: readonly Buffer[];
  /** Stream of the request that shows that all is well; 1 unless told. */
  readonly shownBy?: number;
}

const OPEN = frame(HEADERS, END_HEADERS, 1, post('/wait'));
const GET = frame(HEADERS, END_HEADERS | END_STREAM, 1, get());
const AFTER = frame(HEADERS, END_HEADERS | END_STREAM, 3, get());
const headers = (fields: Buffer, stream = 1, flags = END_HEADERS | END_STREAM): Buffer => frame(HEADERS, flags, stream, fields);
const text = (value: string): Buffer => Buffer.from(value);
const request = (...fields: [string, string][]): Buffer => headers(hpack(fields));
const METHOD: [string, string] = [':method', 'GET'];
const SCHEME: [string, string] = [':scheme', 'http'];
const PATH: [string, string] = [':path', '/'];
const AUTHORITY: [string, string] = [':authority', 'example.org'];

const goaway = (...codes: number[]): Outcome[] => codes.map((code) => `goaway ${NAMES[code]!}` as Outcome);
const reset = (...codes: number[]): Outcome[] => codes.map((code) => `reset ${NAMES[code]!}` as Outcome);
/** A fault of one stream may be taken for one of the connection (5.4.2). */
const fault = (code: number): Outcome[] => [...reset(code), ...goaway(code)];

// What node:http2 and the nghttp2 in it do in their own way, and we cannot change.
const LATE = 'nghttp2 ignores late frames of streams that it has forgotten';
const UNASKED = 'Node takes it for a fault';
const DROPPED = 'nghttp2 drops the field and goes on; it never reaches the upstream';

const SECTIONS: Record<string, readonly Case[]> = {
  '4.1 frame format': [
    { title: 'a frame of an unknown type is ignored', send: [frame(0x16, 0, 0, Buffer.alloc(8)), GET], wants: ['served'] },
    { title: 'flags without a meaning are ignored', send: [frame(PING, 0x16, 0, Buffer.alloc(8)), GET], wants: ['served'] },
    { title: 'the reserved bit before the stream is ignored', send: [frame(PING, 0, 0x80000000, Buffer.alloc(8)), GET], wants: ['served'] },
  ],
  '4.2 frame size': [
    {
      title: 'a frame of 2^14 bytes is taken',
      send: [frame(HEADERS, END_HEADERS, 1, post()), frame(DATA, END_STREAM, 1, Buffer.alloc(16_384))],
      wants: ['served'],
    },
    { title: 'a larger DATA frame', send: [OPEN, frame(DATA, END_STREAM, 1, Buffer.alloc(16_385))], wants: fault(FRAME_SIZE_ERROR) },
    {
      title: 'a larger HEADERS frame',
      send: [headers(get('/', ['x-long', 'a'.repeat(16_500)]))],
      wants: goaway(FRAME_SIZE_ERROR),
    },
  ],
  '4.3 field sections': [
    { title: 'a block that is no HPACK', send: [headers(Buffer.from([0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))], wants: goaway(COMPRESSION_ERROR) },
    {
      title: 'PRIORITY inside of a block',
      send: [headers(get(), 1, END_STREAM), frame(PRIORITY, 0, 1, Buffer.alloc(5))],
      wants: goaway(PROTOCOL_ERROR),
    },
    { title: 'HEADERS of another stream inside of a block', send: [headers(get(), 1, END_STREAM), AFTER], wants: goaway(PROTOCOL_ERROR) },
  ],
  '5.1 stream states': [
    { title: 'DATA on an idle stream', send: [frame(DATA, END_STREAM, 1, text('a'))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'RST_STREAM on an idle stream', send: [frame(RST_STREAM, 0, 1, word(8))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'WINDOW_UPDATE on an idle stream', send: [frame(WINDOW_UPDATE, 0, 1, word(100))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'CONTINUATION on an idle stream', send: [frame(CONTINUATION, END_HEADERS, 1, get())], wants: goaway(PROTOCOL_ERROR) },
    {
      title: 'DATA behind END_STREAM',
      send: [headers(get('/wait')), frame(DATA, END_STREAM, 1, text('a'))],
      wants: fault(STREAM_CLOSED),
    },
    {
      title: 'HEADERS behind END_STREAM',
      send: [headers(get('/wait')), headers(get('/wait'))],
      wants: fault(STREAM_CLOSED),
    },
    {
      title: 'CONTINUATION behind END_HEADERS',
      send: [headers(get('/wait')), frame(CONTINUATION, END_HEADERS, 1, get())],
      wants: goaway(PROTOCOL_ERROR, STREAM_CLOSED),
    },
    {
      title: 'DATA behind RST_STREAM of its sender',
      send: [OPEN, frame(RST_STREAM, 0, 1, word(8)), frame(DATA, END_STREAM, 1, text('a')), AFTER],
      wants: fault(STREAM_CLOSED),
      shownBy: 3,
      here: ['served', LATE],
    },
    {
      title: 'HEADERS behind RST_STREAM of its sender',
      send: [OPEN, frame(RST_STREAM, 0, 1, word(8)), headers(get()), AFTER],
      wants: fault(STREAM_CLOSED),
      shownBy: 3,
      here: ['served', LATE],
    },
    {
      title: 'HEADERS on a stream that has ended on both sides',
      first: [GET],
      send: [headers(get()), AFTER],
      wants: goaway(STREAM_CLOSED),
      shownBy: 3,
      here: ['served', LATE],
    },
  ],
  '5.1.1 stream identifiers': [
    { title: 'an even number from a client', send: [headers(get(), 2)], wants: goaway(PROTOCOL_ERROR) },
    {
      title: 'a number that is smaller than the last',
      send: [headers(get('/wait'), 5), headers(get(), 3), headers(get(), 7)],
      wants: goaway(PROTOCOL_ERROR, STREAM_CLOSED),
      shownBy: 7,
      here: ['served', LATE],
    },
  ],
  '5.4.1 and 5.5': [
    {
      title: 'an unknown frame inside of a block',
      send: [headers(get(), 1, END_STREAM), frame(0x16, 0, 0, Buffer.alloc(8))],
      wants: goaway(PROTOCOL_ERROR),
    },
  ],
  '6.1 DATA': [
    { title: 'on stream 0', send: [frame(DATA, END_STREAM, 0, text('a'))], wants: goaway(PROTOCOL_ERROR) },
    {
      title: 'with more padding than frame',
      send: [OPEN, frame(DATA, END_STREAM | PADDED, 1, Buffer.from([6, 1, 2, 3]))],
      wants: goaway(PROTOCOL_ERROR),
    },
  ],
  '6.2 HEADERS': [
    { title: 'on stream 0', send: [headers(get(), 0)], wants: goaway(PROTOCOL_ERROR) },
    {
      title: 'with more padding than frame',
      send: [headers(Buffer.concat([Buffer.from([200]), get()]), 1, END_HEADERS | END_STREAM | PADDED)],
      wants: goaway(PROTOCOL_ERROR),
    },
  ],
  '6.3 PRIORITY': [
    { title: 'on stream 0', send: [frame(PRIORITY, 0, 0, Buffer.alloc(5))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'of another length than 5', send: [OPEN, frame(PRIORITY, 0, 1, Buffer.alloc(4))], wants: fault(FRAME_SIZE_ERROR) },
  ],
  '6.4 RST_STREAM': [
    { title: 'on stream 0', send: [frame(RST_STREAM, 0, 0, word(8))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'of another length than 4', send: [OPEN, frame(RST_STREAM, 0, 1, Buffer.alloc(3))], wants: goaway(FRAME_SIZE_ERROR) },
  ],
  '6.5 SETTINGS': [
    { title: 'an acknowledgement with a payload', send: [frame(SETTINGS, ACK, 0, settings([3, 1]))], wants: goaway(FRAME_SIZE_ERROR) },
    { title: 'on a stream', send: [frame(SETTINGS, 0, 1, settings([3, 1]))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'of a length that is no multiple of 6', send: [frame(SETTINGS, 0, 0, Buffer.alloc(3))], wants: goaway(FRAME_SIZE_ERROR) },
    { title: 'ENABLE_PUSH neither 0 nor 1', send: [frame(SETTINGS, 0, 0, settings([2, 2]))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'INITIAL_WINDOW_SIZE above 2^31 - 1', send: [frame(SETTINGS, 0, 0, settings([4, 0x80000000]))], wants: goaway(FLOW_CONTROL_ERROR) },
    { title: 'MAX_FRAME_SIZE below 2^14', send: [frame(SETTINGS, 0, 0, settings([5, 16_383]))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'MAX_FRAME_SIZE above 2^24 - 1', send: [frame(SETTINGS, 0, 0, settings([5, 2 ** 24]))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'a setting that nobody knows is ignored', send: [frame(SETTINGS, 0, 0, settings([0xff, 1])), GET], wants: ['served'] },
  ],
  '6.6 PUSH_PROMISE': [
    {
      title: 'from a client',
      send: [headers(get('/wait')), frame(PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([word(2), get()]))],
      wants: goaway(PROTOCOL_ERROR),
    },
  ],
  '6.7 PING': [
    {
      title: 'an acknowledgement that nobody waits for is ignored',
      send: [frame(PING, ACK, 0, text('whatever')), GET],
      wants: ['served'],
      here: ['goaway PROTOCOL_ERROR', UNASKED],
    },
    { title: 'on a stream', send: [frame(PING, 0, 1, Buffer.alloc(8))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'of another length than 8', send: [frame(PING, 0, 0, Buffer.alloc(6))], wants: goaway(FRAME_SIZE_ERROR) },
  ],
  '6.8 GOAWAY': [{ title: 'on a stream', send: [frame(GOAWAY, 0, 1, Buffer.alloc(8))], wants: goaway(PROTOCOL_ERROR) }],
  '6.9 WINDOW_UPDATE': [
    { title: 'of 0, for the connection', send: [frame(WINDOW_UPDATE, 0, 0, word(0))], wants: goaway(PROTOCOL_ERROR) },
    { title: 'of 0, for a stream', send: [OPEN, frame(WINDOW_UPDATE, 0, 1, word(0))], wants: fault(PROTOCOL_ERROR) },
    { title: 'of another length than 4', send: [frame(WINDOW_UPDATE, 0, 0, Buffer.alloc(3))], wants: goaway(FRAME_SIZE_ERROR) },
    {
      title: 'beyond 2^31 - 1, for the connection',
      send: [frame(WINDOW_UPDATE, 0, 0, word(0x7fffffff)), frame(WINDOW_UPDATE, 0, 0, word(0x7fffffff))],
      wants: goaway(FLOW_CONTROL_ERROR),
    },
    {
      title: 'beyond 2^31 - 1, for a stream',
      send: [OPEN, frame(WINDOW_UPDATE, 0, 1, word(0x7fffffff)), frame(WINDOW_UPDATE, 0, 1, word(0x7fffffff))],
      wants: fault(FLOW_CONTROL_ERROR),
    },
  ],
  '6.10 CONTINUATION': [
    {
      title: 'several of them are one head',
      send: [
        headers(get(), 1, END_STREAM),
        frame(CONTINUATION, 0, 1, hpack([['x-a', '1']])),
        frame(CONTINUATION, END_HEADERS, 1, hpack([['x-b', '2']])),
      ],
      wants: ['served'],
    },
    {
      title: 'followed by another frame before END_HEADERS',
      send: [headers(get(), 1, END_STREAM), frame(CONTINUATION, 0, 1, hpack([['x-a', '1']])), frame(DATA, END_STREAM, 1, text('a'))],
      wants: goaway(PROTOCOL_ERROR),
    },
    {
      title: 'on stream 0',
      send: [headers(get(), 1, END_STREAM), frame(CONTINUATION, END_HEADERS, 0, hpack([['x-a', '1']]))],
      wants: goaway(PROTOCOL_ERROR),
    },
    {
      title: 'behind DATA',
      send: [OPEN, frame(DATA, 0, 1, text('a')), frame(CONTINUATION, END_HEADERS, 1, hpack([['x-a', '1']]))],
      wants: goaway(PROTOCOL_ERROR),
    },
  ],
  '8.1 messages': [
    {
      title: 'a second HEADERS without END_STREAM',
      send: [OPEN, frame(HEADERS, END_HEADERS, 1, hpack([['x-test', 'ok']]))],
      wants: fault(PROTOCOL_ERROR),
    },
    {
      title: 'a body that is shorter than its Content-Length',
      send: [frame(HEADERS, END_HEADERS, 1, post('/', ['content-length', '2'])), frame(DATA, END_STREAM, 1, text('a'))],
      wants: fault(PROTOCOL_ERROR),
    },
    {
      title: 'a body of several frames that is longer than its Content-Length',
      send: [frame(HEADERS, END_HEADERS, 1, post('/', ['content-length', '1'])), frame(DATA, 0, 1, text('a')), frame(DATA, END_STREAM, 1, text('b'))],
      wants: fault(PROTOCOL_ERROR),
    },
  ],
  '8.2 fields': [
    { title: 'a name with a capital letter', send: [request(METHOD, SCHEME, PATH, AUTHORITY, ['X-TEST', 'ok'])], wants: fault(PROTOCOL_ERROR) },
    {
      title: 'a name with a space',
      send: [request(METHOD, SCHEME, PATH, AUTHORITY, ['x test', 'ok'])],
      wants: fault(PROTOCOL_ERROR),
      here: ['served', DROPPED],
    },
    {
      title: 'a value with a line break',
      send: [request(METHOD, SCHEME, PATH, AUTHORITY, ['x-test', 'a\r\nb'])],
      wants: fault(PROTOCOL_ERROR),
      here: ['served', DROPPED],
    },
    {
      title: 'a value with a NUL',
      send: [request(METHOD, SCHEME, PATH, AUTHORITY, ['x-test', 'a\0b'])],
      wants: fault(PROTOCOL_ERROR),
      here: ['served', DROPPED],
    },
    { title: 'Connection', send: [request(METHOD, SCHEME, PATH, AUTHORITY, ['connection', 'keep-alive'])], wants: fault(PROTOCOL_ERROR) },
    { title: 'TE with anything but trailers', send: [request(METHOD, SCHEME, PATH, AUTHORITY, ['te', 'gzip'])], wants: fault(PROTOCOL_ERROR) },
    { title: 'TE: trailers', send: [request(METHOD, SCHEME, PATH, AUTHORITY, ['te', 'trailers'])], wants: ['served'] },
  ],
  '8.3 pseudo-header fields': [
    { title: 'an unknown one', send: [request(METHOD, SCHEME, PATH, AUTHORITY, [':test', 'ok'])], wants: fault(PROTOCOL_ERROR) },
    { title: 'one of answers', send: [request(METHOD, SCHEME, PATH, AUTHORITY, [':status', '200'])], wants: fault(PROTOCOL_ERROR) },
    {
      title: 'one among trailers',
      send: [frame(HEADERS, END_HEADERS, 1, post('/')), headers(hpack([[':method', 'POST']]))],
      wants: fault(PROTOCOL_ERROR),
    },
    { title: 'one behind a field', send: [request(METHOD, SCHEME, PATH, ['x-test', 'ok'], AUTHORITY)], wants: fault(PROTOCOL_ERROR) },
    { title: 'an empty :path', send: [request(METHOD, SCHEME, [':path', ''], AUTHORITY)], wants: fault(PROTOCOL_ERROR) },
    { title: 'no :method', send: [request(SCHEME, PATH, AUTHORITY)], wants: fault(PROTOCOL_ERROR) },
    { title: 'no :scheme', send: [request(METHOD, PATH, AUTHORITY)], wants: fault(PROTOCOL_ERROR) },
    { title: 'no :path', send: [request(METHOD, SCHEME, AUTHORITY)], wants: fault(PROTOCOL_ERROR) },
    { title: ':method twice', send: [request(METHOD, METHOD, SCHEME, PATH, AUTHORITY)], wants: fault(PROTOCOL_ERROR) },
    { title: ':scheme twice', send: [request(METHOD, SCHEME, SCHEME, PATH, AUTHORITY)], wants: fault(PROTOCOL_ERROR) },
    { title: ':path twice', send: [request(METHOD, SCHEME, PATH, PATH, AUTHORITY)], wants: fault(PROTOCOL_ERROR) },
  ],
};

/** A proxy in front of an origin that never answers /wait. */
async function startServer(): Promise<number> {
  const origin = await tools.startOrigin((asked, response) => {
    asked.resume();
    if (asked.url !== '/wait') asked.on('end', () => response.end('ok'));
  });
  return (await tools.startDirect({ to: origin })).address.port;
}

/** The first thing that becomes of it. */
function outcomeOf(client: FrameClient, shownBy: number): Outcome | null {
  if (client.goaway >= 0) return `goaway ${NAMES[client.goaway] ?? client.goaway}`;
  for (const stream of [1, 3, 5]) if (client.resetOf(stream) >= 0) return `reset ${NAMES[client.resetOf(stream)] ?? client.resetOf(stream)}`;
  return client.answered(shownBy) ? 'served' : null;
}

describe.each(Object.entries(SECTIONS))('RFC 9113 %s', (_, cases) => {
  test.each(cases.map((one): [string, Case] => [one.here === undefined ? one.title : `${one.title} (${one.here[1]})`, one]))(
    '%s',
    async (_title, { send, wants, here, first, shownBy = 1 }) => {
      const client = await FrameClient.connect(tools.later, await startServer());
      if (first !== undefined) {
        client.send(...first);
        await client.until('the answer before', () => client.answered(1));
        client.frames.length = 0;
      }
      client.send(...send);
      await client.until('something to become of it', () => outcomeOf(client, shownBy) !== null);
      const outcome = outcomeOf(client, shownBy)!;
      if (here === undefined) expect(wants).toContain(outcome);
      else expect([outcome, wants.includes(outcome)]).toEqual([here[0], false]);
    },
  );
});

test('RFC 9113 3.4: a connection preface that goes wrong after its first line ends the connection', async () => {
  const socket = net.connect(await startServer(), '127.0.0.1');
  tools.later(() => socket.destroy());
  const client = new FrameClient(socket);
  await once(socket, 'connect');
  client.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'), Buffer.alloc(64));
  expect(await client.closing()).not.toBe(NO_ERROR);
});

test('RFC 9113 3.4: a preface without SETTINGS behind it ends the connection', async () => {
  const socket = net.connect(await startServer(), '127.0.0.1');
  tools.later(() => socket.destroy());
  const client = new FrameClient(socket);
  await once(socket, 'connect');
  client.send(Buffer.from(PREFACE), GET);
  expect(await client.closing()).toBe(PROTOCOL_ERROR);
  expect(client.answered(1)).toBe(false);
});

test('RFC 9113 5.1.2: a stream above the limit that SETTINGS told is not served', async () => {
  const client = await FrameClient.connect(tools.later, await startServer());
  await client.until('the acknowledgement of our SETTINGS', () => client.frames.some(({ type, flags }) => type === SETTINGS && flags === ACK));
  const told = client.frames.find(({ type, flags }) => type === SETTINGS && flags === 0)!.payload;
  const limit = told.readUInt32BE([...Array(told.length / 6).keys()].find((i) => told.readUInt16BE(6 * i) === 3)! * 6 + 2);
  expect(limit).toBe(100);
  for (let i = 0; i <= limit; i++) client.send(headers(get('/wait'), 2 * i + 1));
  await client.until('a refusal', () => client.goaway >= 0 || client.resetOf(2 * limit + 1) >= 0);
  expect([client.goaway, client.resetOf(2 * limit + 1)]).toContain(client.goaway >= 0 ? PROTOCOL_ERROR : REFUSED_STREAM);
});

test('RFC 9113 5.4.1: a fault of the connection is told in a GOAWAY, and the connection is closed', async () => {
  const client = await FrameClient.connect(tools.later, await startServer());
  client.send(frame(PING, 0, 0, Buffer.alloc(3)));
  expect(await client.closing()).toBe(FRAME_SIZE_ERROR);
});

test('RFC 9113 6.5.3: SETTINGS are acknowledged, each', async () => {
  const client = await FrameClient.connect(tools.later, await startServer());
  client.send(frame(SETTINGS, 0, 0, settings([3, 10])), frame(SETTINGS, 0, 0));
  await client.until('three acknowledgements', () => client.frames.filter(({ type, flags }) => type === SETTINGS && flags === ACK).length === 3);
});

test('RFC 9113 6.7: a PING is answered with what it said', async () => {
  const client = await FrameClient.connect(tools.later, await startServer());
  client.send(frame(PING, 0, 0, text('8 bytes!')));
  await client.until('the answer', () => client.frames.some(({ type, flags }) => type === PING && flags === ACK));
  expect(client.frames.find(({ type, flags }) => type === PING && flags === ACK)!.payload.toString()).toBe('8 bytes!');
});

test('RFC 9113 6.8: a GOAWAY of the client leaves its requests alone', async () => {
  const client = await FrameClient.connect(tools.later, await startServer());
  client.send(GET, frame(GOAWAY, 0, 0, Buffer.concat([word(0), word(NO_ERROR)])));
  await client.until('the answer', () => client.answered(1));
});

test('RFC 9113 6.9: no more is sent than the window of a stream lets through, whatever becomes of it', async () => {
  const { origin, client } = await startBody([[4, 1]]);
  client.send(GET);
  await client.until('the first byte', () => client.received === 1);
  // 6.9.2: the change counts for streams that are open, also below nothing.
  client.send(frame(SETTINGS, 0, 0, settings([4, 0])), frame(WINDOW_UPDATE, 0, 1, word(2)), frame(PING, 0, 0, text('are they')));
  await client.until('the PING behind it', () => client.frames.some(({ type, flags }) => type === PING && flags === ACK));
  await client.until('one more byte', () => client.received === 2);
  client.send(frame(WINDOW_UPDATE, 0, 1, word(1000)));
  await client.until('the end', () => client.frames.some(({ type, flags }) => type === DATA && (flags & END_STREAM) !== 0));
  expect(client.received).toBe(100);
  expect(origin.requests).toHaveLength(1);
});

test('RFC 9113 8.1: an answer may come before the request has ended', async () => {
  const origin = await tools.startOrigin((_asked, response) => void response.writeHead(403).end('no'));
  const client = await FrameClient.connect(tools.later, (await tools.startDirect({ to: origin })).address.port);
  client.send(frame(HEADERS, END_HEADERS, 1, post('/')));
  await client.until('the answer', () => client.answered(1));
});

/** Behind an origin that answers 100 bytes. `own`: settings of the client. */
async function startBody(own: readonly (readonly [number, number])[]) {
  const origin = await tools.startOrigin((_asked, response) => void response.end('a'.repeat(100)));
  const client = await FrameClient.connect(tools.later, (await tools.startDirect({ to: origin })).address.port, own);
  return { origin, client };
}
