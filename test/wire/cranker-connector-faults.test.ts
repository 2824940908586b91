import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { DATA, HEADER, RST, WINUP } from '../kit/cranker-peer.ts';
import { connectors } from '../kit/cranker-connector.ts';
import { type RouterDialect, type RouterSocket, routers } from '../kit/cranker-router-peer.ts';
import { type Answerer, ok } from '../kit/http-origin.ts';
import { until } from '../kit/until.ts';

const kit = connectors();

const GET = 'GET /shop HTTP/1.1\nhost:h\n\n';

/** A service that answers `/ok` at once, and others when the test says so. */
const held: Answerer = (request, response) => {
  if (request.url === '/ok') response.end('ok');
};

describeBoth('a request body shorter than its length reaches no service as a whole one', async (dialect, version) => {
  const { socket, origin } = await kit.one(dialect, () => {});
  const head = 'POST /p HTTP/1.1\nhost:h\ncontent-length:20\n\n';
  if (version === '3.0') {
    socket.send3(HEADER, 4, 1, head).send3(DATA, 0, 1, 'short').send3(DATA, 1, 1);
    expect((await socket.answer3(1)).head).toMatch(/^HTTP\/1\.1 400 /);
  } else {
    socket.text(`${head}_1`).binary('short').text('_3');
    expect((await socket.answer1()).head).toMatch(/^HTTP\/1\.1 400 /);
  }
  await until('the service was left', () => origin.requests.length === 0 || origin.requests[0]!.complete === false);
});

describeBoth('a request body longer than its length stops at its length', async (dialect, version) => {
  const { socket, origin } = await kit.one(dialect, () => {});
  const head = 'POST /p HTTP/1.1\nhost:h\ncontent-length:4\n\n';
  if (version === '3.0') {
    socket.send3(HEADER, 4, 1, head).send3(DATA, 0, 1, 'long body');
    expect((await socket.answer3(1)).head).toMatch(/^HTTP\/1\.1 400 /);
  } else {
    socket.text(`${head}_1`).binary('long body');
    expect((await socket.answer1()).head).toMatch(/^HTTP\/1\.1 400 /);
  }
  await until('the service was left', () => origin.requests.length === 0 || origin.requests[0]!.complete === false);
});

describeBoth('a router that vanishes in the middle of a request body leaves no whole request behind', async (dialect, version) => {
  const { socket, origin } = await kit.one(dialect, () => {});
  const head = 'POST /p HTTP/1.1\nhost:h\ntransfer-encoding:chunked\n\n';
  if (version === '3.0') socket.send3(HEADER, 4, 1, head).send3(DATA, 0, 1, 'some');
  else socket.text(`${head}_1`).binary('some');
  await until('it came', () => origin.requests.length === 1 && origin.requests[0]!.bytes === 4);
  socket.drop();
  await until('the service was left', () => origin.requests[0]!.complete === false);
});

describeBoth('an answer that the service cuts is told as cut: 1011, never a clean end', async (dialect, version) => {
  const { socket } = await kit.one(dialect, (_, response) => {
    response.writeHead(200, { 'content-length': 10 });
    response.write('half');
    setImmediate(() => response.socket!.resetAndDestroy());
  });
  const answer = version === '3.0' ? await socket.send3(HEADER, 5, 1, GET).answer3(1) : await socket.ask1(GET.slice(0, -1));
  expect(answer.head).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer.body.toString()).toBe('half');
  expect(answer.code).toBe(1011);
  expect(Buffer.byteLength(answer.reason)).toBeLessThanOrEqual(123);
});

describeBoth('a service that cannot be reached is told in the wire’s own words: 1011 before any head', async (dialect, version) => {
  const router = await kit.router(dialect);
  await kit.connect([router], { cranker: { window: 1 } }, { port: 1 });
  const socket = await router.socket();
  const answer = version === '3.0' ? await socket.send3(HEADER, 5, 1, GET).answer3(1) : await socket.ask1(GET.slice(0, -1));
  expect(answer).toMatchObject({ head: '', code: 1011 });
  expect(answer.reason).toContain('refuses connections');
});

describeBoth('[threat 45] what --allow forbids is answered 403', async (dialect, version) => {
  const { parseAllowRule } = await import('../../src/schema/allow.ts');
  const { socket, origin } = await kit.one(dialect, ok, { allow: [parseAllowRule('/v1/*')] });
  const answer = version === '3.0' ? await socket.send3(HEADER, 5, 1, GET).answer3(1) : await socket.ask1(GET.slice(0, -1));
  expect(answer.head).toMatch(/^HTTP\/1\.1 403 /);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 403, code: 'forbidden_target' });
  expect(origin.requests).toHaveLength(0);
});

describeBoth('a head that no HTTP allows is answered 400, and nothing else suffers', async (dialect, version) => {
  const { router, socket } = await kit.one(dialect, ok);
  const bad = ['GARBAGE\n\n', 'GET / HTTP/1.1\nhost:h\nx:a\rb\n\n', 'GET / HTTP/1.1\nhost:h\ncontent-length:1\ncontent-length:2\n\n'];
  let at: RouterSocket = socket;
  for (const [i, text] of bad.entries()) {
    const answer = version === '3.0' ? await at.send3(HEADER, 5, i + 1, text).answer3(i + 1) : await at.text(`${text}_2`).answer1();
    expect(answer.head).toMatch(/^HTTP\/1\.1 400 /);
    if (version === '1.0') at = await router.socket();
  }
  const answer = version === '3.0' ? await at.send3(HEADER, 5, 9, GET).answer3(9) : await at.ask1(GET.slice(0, -1));
  expect(answer.body.toString()).toBe('ok');
});

describeBoth('a head over 64 KiB is answered 431', async (dialect, version) => {
  const { socket } = await kit.one(dialect, ok);
  const text = `GET / HTTP/1.1\nhost:h\n${Array.from({ length: 10 }, (_, i) => `x${i}:${'x'.repeat(7_000)}\n`).join('')}\n`;
  if (version === '3.0') {
    for (let at = 0; at < text.length; at += 16_000) socket.send3(HEADER, at + 16_000 >= text.length ? 5 : 1, 1, text.slice(at, at + 16_000));
    expect((await socket.answer3(1)).head).toMatch(/^HTTP\/1\.1 431 /);
  } else expect((await socket.text(`${text}_2`).answer1()).head).toMatch(/^HTTP\/1\.1 431 /);
});

test('[threat 39] 3.0: text, short frames, unknown types and frames for nobody harm no request', async () => {
  const { socket, agent } = await kit.one(routers.mu, held);
  socket.frame('text', Buffer.from('hello')).binary('abc').binary('');
  socket.send3(0x42, 0xff, 1, 'what').send3(DATA, 1, 77, 'late').send3(WINUP, 0, 78, Buffer.from('ffffffff', 'hex')).send3(RST, 0, -1);
  socket.send3(HEADER, 5, 0, GET).send3(HEADER, 5, -7, GET);
  const answer = await socket.send3(HEADER, 5, 1, 'GET /ok HTTP/1.1\nhost:h\n\n').answer3(1);
  expect(answer.body.toString()).toBe('ok');
  expect(socket.isOver).toBe(false);
  expect(agent.log.filter(({ level, message }) => level === 'warn' && message.startsWith('cranker: the router sent')).length).toBe(1);
});

test('[threat 42] 3.0: a stream whose body overflows its window is stopped, the one beside it is served', async () => {
  const { socket } = await kit.one(routers.mu, (request, response) => {
    if (request.url === '/ok') response.end('ok');
    else request.pause();
  });
  socket.send3(HEADER, 4, 1, 'POST /slow HTTP/1.1\nhost:h\ntransfer-encoding:chunked\n\n');
  const piece = Buffer.alloc(64 * 1024);
  let over = false;
  const answer = socket.answer3(1).then((whole) => {
    over = true;
    return whole;
  });
  for (let i = 0; i < 2_000 && !over; i++) {
    socket.send3(DATA, 0, 1, piece);
    if (i % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await answer).head).toMatch(/^HTTP\/1\.1 400 /);
  expect((await socket.send3(HEADER, 5, 2, 'GET /ok HTTP/1.1\nhost:h\n\n').answer3(2)).body.toString()).toBe('ok');
});

test('[threat 39] 3.0: random frames, on streams that run and on others, crash nothing: the agent serves the next request', async () => {
  const { router, socket } = await kit.one(routers.mu, ok);
  // The same at every run.
  let seed = 20_240_607;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (seed >> 8) % below;
  };
  const texts = [GET, 'POST / HTTP/1.1\nhost:h\ntransfer-encoding:chunked\n\n', 'GET / HTTP/1.1', '', '\n\n', 'x'.repeat(17_000)];
  let at = socket;
  for (let i = 0; i < 3_000; i++) {
    if (at.isOver) at = await router.socket();
    const type = [DATA, HEADER, RST, WINUP, random(256)][random(5)]!;
    const payload = random(3) === 0 ? Buffer.from(texts[random(texts.length)]!) : Buffer.alloc(random(40), random(256));
    at.send3(type, random(8), random(40) - 2, payload);
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  if (at.isOver) at = await router.socket();
  expect((await at.send3(HEADER, 5, 1_000, GET).answer3(1_000)).body.toString()).toBe('ok');
});

test('a message of more than a megabyte ends the socket, and another is dialled', async () => {
  const { router, socket } = await kit.one(routers.mu, ok);
  socket.send3(DATA, 0, 1, Buffer.alloc(1024 * 1024 + 1));
  expect((await socket.next()).code).toBe(1009);
  const next = await router.socket();
  expect((await next.send3(HEADER, 5, 1, GET).answer3(1)).body.toString()).toBe('ok');
});

test('1.0: what is no request ends the socket (1002), and another is dialled', async () => {
  const { router, socket } = await kit.one(routers.mu1, ok);
  socket.binary('body first');
  expect((await socket.next()).code).toBe(1002);
  const second = await router.socket();
  second.text('no marker');
  expect((await second.next()).code).toBe(1002);
  expect((await (await router.socket()).ask1(GET.slice(0, -1))).body.toString()).toBe('ok');
});

describeBoth('more requests than slots: those beyond wait in line, and never run at once', async (dialect, version) => {
  const waiting: (() => void)[] = [];
  const { router, socket, origin } = await kit.one(dialect, (_, response) => waiting.push(() => response.end('done')), { slots: 2 });
  const answers: Promise<unknown>[] = [];
  let at = socket;
  for (let i = 1; i <= 5; i++) {
    if (version === '3.0') socket.send3(HEADER, 5, i, GET);
    else {
      answers.push(at.ask1(GET.slice(0, -1)));
      at = await router.socket();
    }
  }
  for (let i = 0; i < 5; i++) {
    await until('the next one runs', () => waiting.length > i);
    waiting[i]!();
  }
  if (version === '3.0') for (let i = 0, ends = 0; ends < 5 && i < 100; i++) ends += (await socket.next3()).flags === 1 ? 1 : 0;
  else for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ code: 1000 });
  expect(origin.requests).toHaveLength(5);
  expect(origin.mostRunning).toBe(2);
});

test('[threat 46] 3.0: a flood of requests is bounded: a line of 1,000, then 503; the line is served when slots are free', async () => {
  const waiting: (() => void)[] = [];
  let open = false;
  const { socket, origin } = await kit.one(routers.mu, (_, response) => (open ? response.end('x') : waiting.push(() => response.end('x'))), {
    slots: 2,
  });
  for (let id = 1; id <= 1_500; id++) socket.send3(HEADER, 5, id, GET);
  for (let refused = 0; refused < 498;) {
    const { type, payload } = await socket.next3();
    expect(type).not.toBe(RST);
    if (type === HEADER && payload.toString().startsWith('HTTP/1.1 503 ')) refused++;
  }
  await until('two run', () => waiting.length === 2);
  expect(origin.requests).toHaveLength(2);
  open = true;
  for (const answer of waiting) answer();
  await until('the line is served', () => origin.requests.length === 1_002);
});

test.each([
  ['3.0', routers.mu],
  ['1.0', routers.mu1],
] as const)('[threat 46] %s: a router that never reads holds up services, and costs little memory', async (version, dialect) => {
  const size = 30_000_000;
  const body = Buffer.alloc(size, 'x');
  const { router, socket, origin, agent } = await kit.one(dialect, (_, response) => void response.end(body), {
    adminAddr: { host: '127.0.0.1', port: 0 },
  });
  let at = socket;
  for (let id = 1; id <= 10; id++) {
    at.socket.pause();
    if (version === '3.0') at.send3(HEADER, 5, id, GET);
    else {
      at.text(`${GET}_2`);
      at = await router.socket();
    }
  }
  await until('all run', () => origin.requests.length === 10);
  const { host, port } = agent.adminAddress!;
  const buffered = async (): Promise<number> => {
    const page = await (await fetch(`http://${host}:${port}/metrics`)).text();
    return Number(/^windlass_buffered_bytes (\d+)/m.exec(page)![1]);
  };
  // What the system takes is taken; then nothing moves.
  let before = -1;
  await until('it stands still', async () => {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const now = await buffered();
    const stands = now === before;
    before = now;
    return stands;
  });
  expect(before).toBeLessThan(10 * 512 * 1024);
  expect(origin.running).toBe(10);
});

test('a ping goes out every 5 s, also while an answer is sent; a router that is silent for 20 s is given up, and asked anew', async () => {
  let ahead = 0;
  const clock = { now: () => performance.now() + ahead, wall: () => Date.now() };
  const origin = await kit.kit.startOrigin((_, response) => void response.write('begun'));
  const router = await kit.router(routers.mu);
  await (
    await kit.connect([router], { cranker: { window: 1 } }, origin, { clock })
  ).ready;
  const socket = await router.socket();
  socket.send3(HEADER, 5, 1, GET);
  await until('it runs', () => origin.running === 1);
  for (let pings = 1; pings <= 3; pings++) {
    ahead += 5_000;
    await until('a ping', () => socket.pings === pings);
  }
  socket.answersPings = false;
  ahead += 15_000;
  await until('a ping that nobody answers', () => socket.pings === 4);
  expect(socket.isOver).toBe(false);
  ahead += 6_000;
  await until('it is given up, and the service left', () => socket.isOver && origin.running === 0);
  await router.socket();
});

test('a router that closes its sockets at once is asked again less and less often', async () => {
  const router = await kit.router(routers.mu);
  await kit.connect([router], { cranker: { window: 2 } });
  for (let i = 0; i < 6; i++) (await router.socket()).close(1001, 'Going away');
  // Without any pause it would have been hundreds by now.
  expect(router.asked.length).toBeLessThan(12);
});

test('a router that is not there, then is, is found; the same complaint is told once', async () => {
  const first = await kit.router(routers.mu);
  const { port } = first;
  first.close();
  const agent = await kit.connect([{ port }], { cranker: { window: 1 } });
  await until('it was missed', () => agent.log.some(({ message }) => message.startsWith('the router cannot be reached')));
  const second = await kit.router(routers.mu, undefined, port);
  await second.socket();
  expect(agent.log.filter(({ level, message }) => level === 'warn' && message.startsWith('the router cannot be reached'))).toHaveLength(1);
});

test('a wrong token is told as such, and the token goes in Windlass-Token', async () => {
  const router = await kit.router(() => 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
  const agent = await kit.connect([router], { token: 'wl1.secret' });
  await until('it is told', () => agent.log.some(({ message }) => message.startsWith('the router did not take this connector')));
  expect(router.asked[0]!.fields.get('windlass-token')).toBe('wl1.secret');
  expect(JSON.stringify(agent.log)).not.toContain('wl1.secret');
});

test('when only 3.0 may be spoken, a router without it is left', async () => {
  const router = await kit.router(routers.c4g);
  const agent = await kit.connect([router], { cranker: { versions: ['3.0'] } });
  await until('it is told', () => agent.log.some(({ message }) => message.includes('speaks protocol 1.0 only')));
  await until('no socket stays', () => router.open.length === 0);
});

test('on stop the registration ends first, idle sockets go, what runs is finished, then 3.0 sockets close with 1000', async () => {
  let answer!: () => void;
  const { router, socket, agent } = await kit.one(
    routers.mu,
    (_, response) => {
      answer = () => response.end('late');
    },
    { cranker: { window: 2 }, drainTimeoutMs: 20_000 },
  );
  const idle = await router.socket();
  socket.send3(HEADER, 5, 1, GET);
  await until('it runs', () => answer !== undefined);
  const closed = agent.close();
  expect((await idle.next()).code).not.toBe(1006);
  const farewell = router.asked.at(-1)!;
  expect(farewell.path).toBe('/deregister/');
  expect(farewell.query.get('connectorInstanceID')).toBe(socket.asked.query.get('connectorInstanceID'));
  expect(farewell.fields.get('route')).toBe('shop');
  answer();
  expect((await socket.answer3(1)).body.toString()).toBe('late');
  await closed;
  expect(socket.closeCode).toBe(1000);
  expect(router.asked.filter(({ path }) => path === '/register/')).toHaveLength(2);
});

test.each(['c4g', 'c4j'] as const)('on stop a router without an end of registrations (%s) is left all the same', async (dialect) => {
  const { router, socket, agent } = await kit.one(routers[dialect], ok, { drainTimeoutMs: 20_000 });
  await agent.close();
  expect(router.asked.at(-1)!.path).toBe('/deregister/');
  expect(socket.closeCode).toBe(1000);
});

test('a router that never ends a connection (c4g) keeps none of ours: neither after a request, nor at the stop', async () => {
  const { router, socket, agent } = await kit.one(routers.c4g, ok, { drainTimeoutMs: 20_000 }, (peer) => {
    peer.hangsUp = false;
  });
  const next = router.socket();
  expect((await socket.ask1(GET.slice(0, -1))).body.toString()).toBe('ok');
  const last = await next;
  await vanished(socket);
  await agent.close();
  expect(last.closeCode).toBe(1000);
});

test('1.0: bytes of a field that are no UTF-8 reach the service as they came: crank4go’s router sends them so', async () => {
  const { socket, origin } = await kit.one(routers.c4g, ok);
  socket.frame('text', Buffer.from('GET /shop HTTP/1.1\nhost:h\nx-name:ünï\n\n_2', 'latin1'));
  expect((await socket.answer1()).body.toString()).toBe('ok');
  expect(origin.requests[0]!.headers['x-name']).toBe('ünï');
});

test('while the service fails its health check the registration ends; it comes back with it', async () => {
  const { parseHealthCheck } = await import('../../src/schema/health-check.ts');
  let well = true;
  const origin = await kit.kit.startOrigin((_, response) => {
    response.statusCode = well ? 200 : 500;
    response.end();
  });
  const router = await kit.router(routers.mu);
  const check = parseHealthCheck(`http://127.0.0.1:${(origin.server.address() as { port: number }).port}/?check_frequency=1s&success=1&failure=1`);
  await kit.connect([router], { healthCheck: check, cranker: { window: 1 } }, { port: (origin.server.address() as { port: number }).port });
  const socket = await router.socket();
  well = false;
  await until('it has left', () => socket.isOver && router.asked.some(({ path }) => path === '/deregister/'));
  well = true;
  await router.socket();
});

test('[threat 47] TLS: a router whose certificate nobody vouches for is not talked to; with its authority it is', async () => {
  const fixture = (name: string): Buffer => readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)));
  const server = tls.createServer({ cert: fixture('one.pem'), key: fixture('one.key') });
  const router = await kit.router(routers.mu, server);
  const { parseHubUrl } = await import('../../src/schema/upstream-url.ts');
  const hubs = [parseHubUrl(`wss://127.0.0.1:${router.port}`)];
  const agent = await kit.connect([router], { hubs });
  await until('it is refused', () => agent.log.some(({ message }) => message.startsWith('the router cannot be reached')));
  expect(router.asked).toHaveLength(0);
  const origin = await kit.kit.startOrigin(ok);
  await kit.connect([router], { hubs, caFile: fileURLToPath(new URL('../fixtures/ca.pem', import.meta.url)) }, origin);
  expect((await (await router.socket()).send3(HEADER, 5, 1, GET).answer3(1)).body.toString()).toBe('ok');
});

function describeBoth(title: string, body: (dialect: RouterDialect, version: '3.0' | '1.0') => Promise<void>): void {
  test.each([
    ['3.0', routers.mu],
    ['1.0', routers.mu1],
  ] as const)(`%s: ${title}`, (version, dialect) => body(dialect, version));
}

/** Is the other end closed, and not only its sending half? Whoever writes there is told so by a reset. */
async function vanished(socket: RouterSocket): Promise<void> {
  await until('the connection is gone', () => {
    if (!socket.socket.destroyed) socket.socket.write('x');
    return socket.socket.destroyed;
  });
}
