import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { ok } from '../kit/http-origin.ts';
import { DATA, HEADER, RST, WINUP } from '../kit/cranker-peer.ts';
import { connectors } from '../kit/cranker-connector.ts';
import { routers } from '../kit/cranker-router-peer.ts';
import { until } from '../kit/until.ts';

const kit = connectors();

const GET3 = 'GET /shop/a?b=1 HTTP/1.1\nhost:app.example\nvia:HTTP/1.1 muc\n\n';

test('a connector registers as those of the family do: who it is in the query, what it serves in fields, 3.0 preferred', async () => {
  const router = await kit.router(routers.mu);
  await kit.connect([router], { cranker: { route: 'shop', domain: 'shop.example', componentName: 'till 7', window: 1, fields: ['X-Team', 'blue'] } });
  const { asked } = await router.socket();
  expect(asked.path).toBe('/register/');
  expect(asked.query.get('connectorInstanceID')).toMatch(/^[\w.-]+-[0-9a-f]{8}$/);
  expect(asked.query.get('componentName')).toBe('till 7');
  expect(asked.fields.get('route')).toBe('shop');
  expect(asked.fields.get('domain')).toBe('shop.example');
  expect(asked.fields.get('crankerprotocol')).toBe('1.0');
  expect(asked.fields.get('sec-websocket-protocol')).toBe('cranker_3.0, cranker_1.0');
  expect(asked.fields.get('x-team')).toBe('blue');
  expect(asked.fields.has('sec-websocket-extensions')).toBe(false);
});

test('3.0: a request is answered as the facts have it: the head acknowledged, HEADER 04, DATA, and an end', async () => {
  const { socket, origin } = await kit.one(routers.mu, ok);
  socket.send3(HEADER, 5, 1, GET3);
  const { head, body, code, acked } = await socket.answer3(1);
  expect(code).toBe(0);
  expect(acked).toBe(GET3.length);
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\n(?:[^\r\n]+\n)+\n$/);
  expect(body.toString()).toBe('ok');
  expect(origin.requests[0]).toMatchObject({ method: 'GET', url: '/shop/a?b=1' });
});

test('1.0: one request a socket, the next socket is dialled before the answer, and close 1000 is its end', async () => {
  const { router, socket, origin } = await kit.one(routers.mu1, ok);
  const replaced = router.socket();
  const { head, body, code } = await socket.ask1(GET3);
  expect(code).toBe(1000);
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\n/);
  expect(body.toString()).toBe('ok');
  const next = await replaced;
  expect(next.asked.query.get('connectorInstanceID')).toBe(socket.asked.query.get('connectorInstanceID'));
  expect(origin.requests).toHaveLength(1);
});

test('1.0: a body comes in pieces behind _1 and ends with _3', async () => {
  const { socket, origin } = await kit.one(routers.mu1, ok);
  socket.text('POST /shop/p HTTP/1.1\nhost:h\ncontent-length:11\n\n_1').binary('hello').binary('=world').text('_3');
  expect((await socket.answer1()).code).toBe(1000);
  expect(origin.requests[0]!.body).toBe('hello=world');
});

test.each(['c4g', 'c4j'] as const)('a router that returns no subprotocol (%s) is spoken to in 1.0', async (dialect) => {
  const { socket } = await kit.one(routers[dialect], ok);
  expect(socket.asked.fields.get('sec-websocket-protocol')).toBe('cranker_3.0, cranker_1.0');
  expect((await socket.ask1('GET /shop/x HTTP/1.1\nHost:h\n')).head).toMatch(/^HTTP\/1\.1 200 OK\n/);
});

test('a router that takes offence at subprotocols is asked again without any', async () => {
  const { router, socket } = await kit.one(routers.strict, ok);
  expect(router.asked[0]!.fields.has('sec-websocket-protocol')).toBe(true);
  expect(socket.asked.fields.has('sec-websocket-protocol')).toBe(false);
  expect((await socket.ask1('GET /x HTTP/1.1\nHost:h\n')).code).toBe(1000);
});

test('a request without Host, as crank4go passes it on, is served', async () => {
  const { socket, origin } = await kit.one(routers.c4g, ok);
  expect((await socket.ask1('GET /shop/x HTTP/1.1\nX-A:1\n')).head).toMatch(/^HTTP\/1\.1 200 OK\n/);
  expect(origin.requests[0]!.headers['x-a']).toBe('1');
});

test('what a router should have kept to itself (Upgrade, Expect) reaches no service and harms no request', async () => {
  const { socket, origin } = await kit.one(routers.mu, ok);
  socket.send3(HEADER, 4, 1, 'POST /a HTTP/1.1\nhost:h\nconnection:upgrade\nupgrade:websocket\nexpect:100-continue\ncontent-length:2\n\n');
  socket.send3(DATA, 1, 1, 'hi');
  expect((await socket.answer3(1)).head).toMatch(/^HTTP\/1\.1 200 OK\n/);
  expect(origin.requests[0]!.headers).not.toHaveProperty('upgrade');
  expect(origin.requests[0]!.headers).not.toHaveProperty('expect');
  expect(origin.requests[0]!.body).toBe('hi');
});

test('3.0: END_STREAM on the pieces of a head means nothing before END_HEADERS (mu: 01, 01, 05)', async () => {
  const { socket, origin } = await kit.one(routers.mu, ok);
  const text = `GET /long HTTP/1.1\nhost:h\nx-a:${'a'.repeat(4_000)}\nx-b:${'b'.repeat(9_000)}\n\n`;
  socket.send3(HEADER, 1, 1, text.slice(0, 50)).send3(HEADER, 1, 1, text.slice(50, 5_000)).send3(HEADER, 5, 1, text.slice(5_000));
  const { head, acked } = await socket.answer3(1);
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\n/);
  expect(acked).toBe(text.length);
  expect(origin.requests[0]!.headers['x-b']).toHaveLength(9_000);
});

test('3.0: a long head of an answer goes in pieces of 16,000 bytes, END_STREAM on none but the last', async () => {
  const { socket } = await kit.one(routers.mu, (_, response) => {
    response.writeHead(204, { 'x-a': 'a'.repeat(9_000), 'x-b': 'b'.repeat(9_000) });
    response.end();
  });
  socket.send3(HEADER, 5, 1, GET3);
  const flags: number[] = [];
  const sizes: number[] = [];
  while (flags.at(-1) !== 5) {
    const frame = await socket.next3();
    if (frame.type !== HEADER) continue;
    flags.push(frame.flags);
    sizes.push(frame.payload.length);
  }
  expect(flags).toEqual([0, 5]);
  expect(sizes[0]).toBe(16_000);
});

test('no message is larger than 16 KiB, in either protocol, because crank4go reads no more', async () => {
  const body = Buffer.alloc(300_000, 'x');
  const three = await kit.one(routers.mu, (_, response) => void response.end(body));
  three.socket.send3(HEADER, 5, 1, GET3);
  expect((await three.socket.answer3(1)).body.equals(body)).toBe(true);
  expect(three.socket.largest).toBeLessThanOrEqual(16_384);
  const one = await kit.one(routers.mu1, (_, response) => void response.end(body));
  expect((await one.socket.ask1(GET3)).body.equals(body)).toBe(true);
  expect(one.socket.largest).toBeLessThanOrEqual(16_384);
});

test('3.0: an answer stops at its window and goes on below 16 KiB; another stream is not held up by it', async () => {
  const size = 1_000_000;
  const { socket } = await kit.one(routers.mu, (request, response) => void response.end(Buffer.alloc(request.url === '/big' ? size : 3, 'x')));
  socket.send3(HEADER, 5, 1, 'GET /big HTTP/1.1\nhost:h\n\n');
  let sent = 0;
  const read = async (): Promise<void> => {
    const frame = await socket.next3();
    if (frame.id === 1 && (frame.type === DATA || frame.type === HEADER)) sent += frame.payload.length;
  };
  while (sent <= 65_536) await read();
  socket.send3(HEADER, 5, 2, 'GET /small HTTP/1.1\nhost:h\n\n');
  for (let ended = false; !ended;) {
    const frame = await socket.next3();
    if (frame.id === 1 && frame.type === DATA) sent += frame.payload.length;
    ended = frame.id === 2 && frame.type === DATA && (frame.flags & 1) === 1;
  }
  expect(sent).toBeLessThan(65_536 + 16_384);
  // To 16 KiB exactly is not below it.
  const most = sent;
  socket.send3(WINUP, 0, 1, ack(most - 16_384)).send3(HEADER, 5, 3, 'GET /small HTTP/1.1\nhost:h\n\n');
  for (let ended = false; !ended;) {
    const frame = await socket.next3();
    if (frame.id === 1) sent += frame.payload.length;
    ended = frame.id === 3 && frame.type === DATA && (frame.flags & 1) === 1;
  }
  expect(sent).toBe(most);
  socket.send3(WINUP, 0, 1, ack(1));
  while (sent === most) await read();
});

test('3.0: what a service does not read is not acknowledged', async () => {
  const { socket, origin } = await kit.one(routers.mu, (request) => {
    request.pause();
    origin.later = () => request.resume();
  });
  const head = 'POST /slow HTTP/1.1\nhost:h\ncontent-length:16777216\n\n';
  socket.send3(HEADER, 4, 1, head);
  let sent = head.length;
  let acked = 0;
  // A router stops at 64 KiB: what system buffers swallow is consumed, then nothing is.
  const size = 16_000;
  for (let stands = 0; stands < 200;) {
    while (sent - acked < 65_536) {
      socket.send3(DATA, 0, 1, Buffer.alloc(size));
      sent += size;
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
    stands = socket.waiting.length > 0 ? 0 : stands + 1;
    for (let i = socket.waiting.length; i > 0; i--) {
      const frame = await socket.next3();
      if (frame.type === WINUP) acked += frame.payload.readInt32BE(0);
    }
  }
  expect(sent - acked).toBeGreaterThanOrEqual(65_536);
  expect(sent).toBeLessThan(16_777_216);
  origin.later!();
  while (sent - acked > 0) {
    const frame = await socket.next3();
    if (frame.type === WINUP) acked += frame.payload.readInt32BE(0);
  }
  expect(acked).toBe(sent);
});

test('3.0: RST of the router cancels at the service; without a payload too', async () => {
  const { socket, origin } = await kit.one(routers.mu, (request, response) => {
    response.on('close', () => origin.closed++);
    if (request.url === '/ok') response.end('ok');
    else response.write('a');
  });
  socket.send3(HEADER, 5, 1, GET3).send3(HEADER, 5, 2, GET3);
  await until('both run', () => origin.requests.length === 2);
  socket.send3(RST, 0, 1, Buffer.from('00000001436c69656e74', 'hex')).send3(RST, 0, 2);
  await until('both are cancelled', () => origin.closed === 2);
  socket.send3(HEADER, 5, 3, 'GET /ok HTTP/1.1\nhost:h\n\n');
  expect((await socket.answer3(3)).body.toString()).toBe('ok');
});

test('1.0: close 1001 of the router cancels at the service', async () => {
  const { socket, origin } = await kit.one(routers.mu1, (_, response) => {
    response.on('close', () => origin.closed++);
    response.write('a');
  });
  socket.text(`${GET3}_2`);
  await socket.next();
  socket.close(1001, 'Going away');
  await until('it is cancelled', () => origin.closed === 1);
});

test('1.0: an answer may come before the request has ended; what follows of the request is of no use', async () => {
  const { router, socket, origin } = await kit.one(routers.mu1, (_, response) => {
    response.statusCode = 413;
    response.end('too much');
  });
  socket.text('POST /shop/p HTTP/1.1\nhost:h\ntransfer-encoding:chunked\n\n_1').binary('some');
  expect(await socket.answer1()).toMatchObject({ code: 1000, head: expect.stringMatching(/^HTTP\/1\.1 413 /) as string });
  socket.binary('more').text('_3');
  expect((await (await router.socket()).ask1('GET /shop HTTP/1.1\nhost:h\n')).head).toMatch(/^HTTP\/1\.1 413 /);
  expect(origin.running).toBe(0);
});

test('1.0: a service that does not read holds up its router', async () => {
  const size = 60_000_000;
  const { socket, origin } = await kit.one(routers.mu1, (request, response) => {
    request.pause();
    origin.later = () => request.resume();
    request.on('end', () => response.end('all'));
  });
  socket.text(`POST /shop/p HTTP/1.1\nhost:h\ncontent-length:${size}\n\n_1`);
  for (let at = 0; at < size; at += 15_000) socket.binary(Buffer.alloc(15_000));
  socket.text('_3');
  await until('it runs', () => origin.later !== undefined);
  let before = -1;
  await until('nothing moves', async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const moved = socket.socket.writableLength !== before;
    before = socket.socket.writableLength;
    return !moved;
  });
  // What system buffers swallow on the way is some megabytes.
  expect(before).toBeGreaterThan(size / 2);
  origin.later!();
  expect((await socket.answer1()).body.toString()).toBe('all');
  expect(origin.requests[0]!.bytes).toBe(size);
});

test('1.0: a router that reads slowly gets all of an answer, and then its end', async () => {
  const size = 3_000_000;
  const { socket } = await kit.one(routers.mu1, (_, response) => void response.end(Buffer.alloc(size, 'x')));
  socket.socket.pause();
  socket.text('GET /shop HTTP/1.1\nhost:h\n\n_2');
  const slowly = setInterval(() => {
    socket.socket.resume();
    setImmediate(() => socket.socket.pause());
  }, 2);
  const { body, code } = await socket.answer1();
  clearInterval(slowly);
  expect([body.length, code]).toEqual([size, 1000]);
});

test('a request whose client leaves while it waits for a slot reaches no service', async () => {
  const { socket, origin } = await kit.one(
    routers.mu,
    (_, response) => {
      origin.later = () => response.end('first');
    },
    { slots: 1 },
  );
  const ask = (id: number): void => void socket.send3(HEADER, 5, id, `GET /shop/${id} HTTP/1.1\nhost:h\n\n`);
  ask(1);
  ask(2);
  ask(3);
  await until('one runs', () => origin.later !== undefined);
  socket.send3(RST, 0, 2);
  origin.later!();
  await socket.answer3(1);
  await until('the third runs', () => origin.requests.length === 2);
  expect(origin.requests.map(({ url }) => url)).toEqual(['/shop/1', '/shop/3']);
});

test('what mu-cranker-router was seen to send is answered as cranker-connector answered it: 1.0', async () => {
  const { socket, origin } = await kit.one(routers.mu1, recorded);
  const lines = transcript('mu-1.txt');
  for (const { who, kind, said } of lines) if (who === 'R') socket[kind === 'TEXT' ? 'text' : 'binary'](said);
  const [head, body, end] = lines.filter(({ who }) => who === 'C');
  const answer = await socket.answer1();
  expect(essence(answer.head)).toEqual(essence(head!.said));
  expect(answer.body.toString()).toBe(body!.said);
  expect(answer.code).toBe(Number(end!.said));
  expect(origin.requests[0]).toMatchObject({ method: 'POST', url: '/my-service/p', body: 'hello=world' });
});

test('what mu-cranker-router was seen to send is answered as cranker-connector answered it: 3.0', async () => {
  const { socket } = await kit.one(routers.mu, recorded);
  const lines = transcript('mu-3.txt').map(({ who, kind, said }) => {
    const [, id, payload] = /^(\d+) (.*)$/s.exec(said)!;
    return {
      who,
      type: Number(`0x${kind.slice(0, 2)}`),
      flags: Number(`0x${kind.slice(2)}`),
      id: Number(id),
      payload: JSON.parse(payload!) as string | number,
    };
  });
  for (const id of [1, 2]) {
    const ours = lines.filter((line) => line.id === id);
    for (const { who, type, flags, payload } of ours) if (who === 'R') socket.send3(type, flags, id, payload as string);
    const { head, body, code, acked } = await socket.answer3(id);
    const theirs = ours.filter(({ who }) => who === 'C');
    expect(essence(head)).toEqual(essence(theirs.find(({ type }) => type === HEADER)!.payload as string));
    expect(body.toString()).toBe(theirs.find(({ type }) => type === DATA)!.payload);
    expect(code).toBe(0);
    expect(acked).toBe(theirs.filter(({ type }) => type === WINUP).reduce((sum, { payload }) => sum + (payload as number), 0));
  }
});

interface Said {
  readonly who: string;
  readonly kind: string;
  readonly said: string;
}

function transcript(name: string): Said[] {
  const lines = readFileSync(new URL(`../fixtures/cranker/${name}`, import.meta.url), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => {
    const [, who, kind, rest] = /^(\w) (\w+) (.*)$/.exec(line)!;
    return { who: who!, kind: kind!, said: rest!.startsWith('"') ? (JSON.parse(rest!) as string) : rest! };
  });
}

/** What the transcripts' service answers. */
function recorded(request: IncomingMessage, response: ServerResponse): void {
  request.on('end', () => {
    response.sendDate = false;
    response.writeHead(200, { 'content-length': 5, 'set-cookie': ['a=1', 'b=2'] });
    response.end('hello');
  });
  request.resume();
}

/** Status and fields of a head: reasons differ, and services add what they like about connections. */
function essence(head: string): string[] {
  const [first, ...fields] = head.trim().split('\n');
  return [first!.split(' ')[1]!, ...fields.map((line) => line.toLowerCase()).filter((line) => !/^(connection|keep-alive):/.test(line))].toSorted();
}

function ack(bytes: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeInt32BE(bytes);
  return out;
}
