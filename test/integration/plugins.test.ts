import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, metric, metricBecomes } from '../kit/kit.ts';
import { turns, until } from '../kit/until.ts';

const made = kit();
const { startOrigin, folder, rawClient } = made;

/** A file of one location with the plugins of these modules, in order. */
function fileFor(port: number, modules: Readonly<Record<string, string>>, more = ''): string {
  const where = folder();
  const sections = Object.entries(modules).map(([name, source]) => {
    const path = join(where, `${name}.mjs`);
    writeFileSync(
      path,
      `import { definePlugin, slot, setting, text, Wrong } from '${join(dirname(import.meta.dirname), '..', 'src', 'plugin.ts')}';\n${source}`,
    );
    return `[plugins.${name}]\nmodule = "${path}"\n`;
  });
  return `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
plugins = [${Object.keys(modules)
    .map((name) => `"${name}"`)
    .join(', ')}]
[upstreams.one]
addrs = ["127.0.0.1:${port}"]
${sections.join('')}${more}`;
}

function plugin(body: string): string {
  return `export default definePlugin({ name: 'mine', summary: 'a plugin of a test', settings: {}, create: (_settings, context) => (${body}) });`;
}

async function ask(port: number, init: RequestInit = {}): Promise<{ status: number; text: string; headers: Headers }> {
  const answer = await fetch(`http://127.0.0.1:${port}/a?b=1`, init);
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

const MARK = (name: string): string =>
  plugin(`{
    request(e) { e.request.setHeader('x-order', (e.request.header('x-order') ?? '') + '${name}'); },
    response(e) { e.response.setHeader('x-order', (e.response.header('x-order') ?? '') + '${name}'); },
  }`);

test('the list of a location is an onion: requests pass from the first to the last, answers back', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileFor(origin.port, { a: MARK('a'), b: MARK('b'), c: MARK('c') }));
  const { headers } = await ask(gateway.port());
  expect(origin.requests[0]!.headers['x-order']).toBe('abc');
  expect(headers.get('x-order')).toBe('cba');
});

test('an early answer passes the answer phases of those that came before, and of its giver', async () => {
  const origin = await startOrigin();
  const teapot = plugin(
    `{ request: () => ({ status: 418, headers: ['X-Why', 'tea'], body: 'short and stout' }), response(e) { e.response.setHeader('x-order', 'T'); } }`,
  );
  const gateway = await startGatewayOf(made, fileFor(origin.port, { a: MARK('a'), t: teapot, c: MARK('c') }));
  const { status, text, headers } = await ask(gateway.port());
  expect([status, text, headers.get('x-why'), headers.get('x-order')]).toEqual([418, 'short and stout', 'tea', 'Ta']);
  expect(origin.requests.length).toBe(0);
});

test('a phase may wait for something: the body waits with it, and nothing is lost', async () => {
  const origin = await startOrigin();
  const waits = plugin(`{ async request(e) { await new Promise((resolve) => setTimeout(resolve, 20)); e.request.setHeader('x-waited', 'yes'); } }`);
  const gateway = await startGatewayOf(made, fileFor(origin.port, { waits }));
  const body = 'x'.repeat(200_000);
  expect((await ask(gateway.port(), { method: 'POST', body })).status).toBe(200);
  expect(origin.requests[0]!.headers['x-waited']).toBe('yes');
  expect(origin.requests[0]!.bytes).toBe(body.length);
});

test('an answer that comes when the client has left is given up, with what it holds open, as is one that is no answer', async () => {
  const origin = await startOrigin();
  const told: string[] = [];
  let go = (): void => {};
  const held = new Promise<void>((resolve) => (go = resolve));
  Object.assign(globalThis, { lateAnswer: { held, told } });
  made.later(() => Reflect.deleteProperty(globalThis, 'lateAnswer'));
  const late = plugin(`{
    async request(e) {
      const { held, told } = globalThis.lateAnswer;
      const body = { length: 1, start() {}, drained() {}, abort() { told.push('given up'); } };
      if (e.request.method === 'PUT') return { status: 200, headers: ['no name', ''], body };
      told.push('asked');
      await held;
      return { status: 200, body };
    },
    log() { globalThis.lateAnswer.told.push('over'); },
  }`);
  const gateway = await startGatewayOf(made, fileFor(origin.port, { late }));
  const client = await rawClient({ port: gateway.port() });
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('the plugin to be asked', () => told.includes('asked'));
  client.reset();
  await until('the exchange to be over', () => told.includes('over'));
  go();
  await until('the answer to be given up', () => told.includes('given up'));
  expect((await ask(gateway.port(), { method: 'PUT' })).status).toBe(500);
  await until('what was no answer to be given up', () => told.filter((one) => one === 'given up').length === 2);
});

test('a phase may look at the beginning of the body, which goes on unchanged', async () => {
  const origin = await startOrigin();
  const peeks = plugin(`{ async request(e) { const seen = await e.request.peek(5); e.request.setHeader('x-seen', Buffer.from(seen).toString()); } }`);
  const gateway = await startGatewayOf(made, fileFor(origin.port, { peeks }));
  await ask(gateway.port(), { method: 'POST', body: 'hello world' });
  await ask(gateway.port(), { method: 'POST', body: 'hi' });
  await ask(gateway.port());
  expect(origin.requests.map(({ headers, body }) => [headers['x-seen'], body])).toEqual([
    ['hello', 'hello world'],
    ['hi', 'hi'],
    ['', ''],
  ]);
  // Who waits to be told to send the body is told.
  const client = await rawClient({ port: gateway.port() });
  client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  await client.until(() => client.text.includes('100 Continue'));
  client.send('later');
  await client.until(() => client.text.includes('200 OK'));
  expect(origin.requests[3]!.body).toBe('later');
});

test('a body may be changed as it passes, by several one after the other', async () => {
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Length': '6' });
    response.write('abc');
    response.end('def');
  });
  const change = (from: string, to: string, tail: string): string =>
    plugin(`{ response(e) { e.response.transform({
      write(chunk, out) { out.write(Buffer.from(Buffer.from(chunk).toString().replace('${from}', '${to}'))); },
      end(out) { out.write(Buffer.from('${tail}')); out.end(); },
    }); } }`);
  const gateway = await startGatewayOf(made, fileFor(origin.port, { outer: change('B', '<B>', '!'), inner: change('b', 'B', '?') }));
  const { text, headers } = await ask(gateway.port());
  expect(text).toBe('a<B>cdef?!');
  expect(headers.get('content-length')).toBeNull();
  const head = await fetch(`http://127.0.0.1:${gateway.port()}/`, { method: 'HEAD' });
  expect(head.status).toBe(200);
});

test('a transformer may use its memory again as soon as it has written it, however slow the reader is', async () => {
  const chunk = 64 * 1024;
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Length': String(100 * chunk) });
    for (let i = 0; i < 100; i++) response.write(Buffer.alloc(chunk, i));
    response.end();
  });
  const reuses = plugin(`{ response(e) { const memory = Buffer.alloc(${2 * chunk}); e.response.transform({
    write(chunk, out) { memory.set(chunk); out.write(memory.subarray(0, chunk.length)); memory.fill(255); },
    end(out) { out.end(); },
  }, ${100 * chunk}); } }`);
  const gateway = await startGatewayOf(made, fileFor(origin.port, { reuses }));
  const client = await rawClient({ port: gateway.port() });
  client.pause();
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await origin.decided();
  await turns(100);
  client.resume();
  const { body } = await client.answer();
  expect(body.equals(Buffer.concat(Array.from({ length: 100 }, (_, i) => Buffer.alloc(chunk, i))))).toBe(true);
});

test('[threat 72] a plugin that throws answers 500, lets nothing past, is counted and logged; others are served', async () => {
  const origin = await startOrigin();
  for (const broken of [
    `{ request() { throw new Error('broken on purpose'); } }`,
    `{ async request() { throw new Error('broken on purpose'); } }`,
    `{ upstream() { throw new Error('broken on purpose'); } }`,
    `{ request: () => ({ status: 200, headers: ['bad name', 'x'] }) }`,
  ]) {
    const gateway = await startGatewayOf(made, fileFor(origin.port, { broken: plugin(broken) }));
    expect((await ask(gateway.port())).status).toBe(500);
    expect(origin.requests.length).toBe(0);
    expect(gateway.log.at('error').length).toBe(1);
  }
  const gateway = await startGatewayOf(made, fileFor(origin.port, { broken: plugin(`{ response() { throw new Error('broken on purpose'); } }`) }));
  const { status, text } = await ask(gateway.port());
  expect(status).toBe(500);
  expect(text).not.toContain('on purpose');
  expect(await metric(gateway, 'windlass_plugin_errors_total{plugin="broken"}')).toBe(1);
});

test('a plugin that cannot be made stops the load, and a running gateway goes on with what it has', async () => {
  const origin = await startOrigin();
  const good = fileFor(origin.port, { a: MARK('a') });
  const gateway = await startGatewayOf(made, good);
  const bad = `export default definePlugin({ name: 'bad', summary: 'b', settings: {}, create() { throw new Wrong('does not like this', 'leave it out'); } });`;
  await gateway.change(fileFor(origin.port, { bad }));
  expect(gateway.log.at('error')[0]).toContain('plugins.bad cannot be made: does not like this; leave it out');
  expect((await ask(gateway.port())).headers.get('x-order')).toBe('a');
});

test('one whose settings stay is the same after a reload; one that goes is closed when its last request has ended', async () => {
  let finish = (): void => {};
  const origin = await startOrigin((_request, response) => {
    finish = () => response.end('done');
    if (origin.requests.length !== 2) finish();
  });
  const counts = plugin(
    `(() => { let n = 0; return { response(e) { e.response.setHeader('x-count', String(++n)); }, close() { context.log.info({}, 'closed'); } }; })()`,
  );
  const text = fileFor(origin.port, { counts });
  const gateway = await startGatewayOf(made, text);
  expect((await ask(gateway.port())).headers.get('x-count')).toBe('1');
  await gateway.change(`${text}\n# nothing else\n`);
  const second = ask(gateway.port());
  while (origin.requests.length < 2) await new Promise((resolve) => setImmediate(resolve));
  await gateway.change(fileFor(origin.port, {}));
  expect(gateway.log.at('info')).not.toContain('closed');
  finish();
  expect((await second).headers.get('x-count')).toBe('2');
  while (!gateway.log.at('info').includes('closed')) await new Promise((resolve) => setImmediate(resolve));
});

test('upgrades pass all request phases, and their bytes no transformer', async () => {
  const origin = await made.startScript(async (connection) => {
    await connection.head();
    connection.send(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nraw',
    );
  });
  const guard = plugin(`{ request(e) { if (e.request.header('x-key') !== 'k') return { status: 401 }; },
    response(e) { e.response.transform({ write(chunk, out) { out.write(Buffer.from('CHANGED')); }, end(out) { out.end(); } }); } }`);
  const gateway = await startGatewayOf(made, fileFor(origin.port, { guard }));
  const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  const stranger = await rawClient({ port: gateway.port() });
  stranger.send(`${upgrade}\r\n`);
  await stranger.until(() => stranger.text.includes('401'));
  const friend = await rawClient({ port: gateway.port() });
  friend.send(`${upgrade}X-Key: k\r\n\r\n`);
  await friend.until(() => friend.text.endsWith('raw'));
  expect(friend.text).not.toContain('CHANGED');
});

test('request_id: upstream, client and other plugins see one id; one that is there is kept, one that could do harm is not', async () => {
  const origin = await startOrigin();
  const text = fileFor(origin.port, {}, '[plugins.id]\ncategory = "request_id"\n').replace('plugins = []', 'plugins = ["id"]');
  const gateway = await startGatewayOf(made, text);
  const first = await ask(gateway.port());
  const id = first.headers.get('x-request-id')!;
  expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  expect(origin.requests[0]!.headers['x-request-id']).toBe(id);
  expect((await ask(gateway.port(), { headers: { 'X-Request-Id': 'mine-1' } })).headers.get('x-request-id')).toBe('mine-1');
  expect((await ask(gateway.port(), { headers: { 'X-Request-Id': 'a b"c' } })).headers.get('x-request-id')).not.toBe('a b"c');
});

test('slots of one name are one place, whoever made them', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(
    made,
    fileFor(origin.port, {
      one: plugin(`{ request(e) { e.set(slot('found'), 'by one'); } }`),
      two: plugin(`{ request(e) { e.request.setHeader('x-found', String(e.get(slot('found'))) + ' ' + String(e.get(slot('other')))); } }`),
    }),
  );
  await ask(gateway.port());
  expect(origin.requests[0]!.headers['x-found']).toBe('by one undefined');
});

test('what plugins note stands in the access log, also what is known only at the end; what they capture is there for those behind them', async () => {
  const origin = await startOrigin();
  const log = join(folder(), 'access.log');
  const text = fileFor(origin.port, {
    one: plugin(`{ request(e) { e.setCapture('model', 'llama'); e.note('odd', 'a "b"\\n'); }, log(e) { e.note('bytes', e.notes.replyBytes); } }`),
    two: plugin(`{ request(e) { e.request.setHeader('x-captured', e.capture('model')); } }`),
  }).replace('[servers.main]', `[servers.main]\naccess_log = '${log} {"status":{status},"odd":{+odd},"bytes":{+bytes},"none":{+none}}'`);
  const gateway = await startGatewayOf(made, text);
  const { text: body } = await ask(gateway.port());
  expect(origin.requests[0]!.headers['x-captured']).toBe('llama');
  const lines = await until('a line', () => (existsSync(log) && readFileSync(log, 'latin1')) || null);
  expect(JSON.parse(lines)).toEqual({ status: 200, odd: 'a "b"\n', bytes: body.length, none: null });
});

test('[threat 72] a plugin that fails while its answer is under way cuts it, and its place among those that run is free again', async () => {
  const origin = await startOrigin((request, response) => response.end(request.url));
  const sink = (body: string): string =>
    `{ request(e) { if (e.request.path === '/fail') return { status: 200, body: { length: null, ${body} } }; } }`;
  const transformer = (body: string): string =>
    `{ response(e) { if (e.request.path === '/fail') e.response.transform({ write: (chunk, out) => out.write(chunk), end: (out) => out.end(), ${body} }); } }`;
  const broken = `{ throw new Error('broken on purpose'); }`;
  for (const [source, ends] of [
    [sink(`start() ${broken}, drained() {}, abort() {}`), 'cut'],
    [sink(`start(out) { out.write(Buffer.from('x')); out.abort(new Error('given up')); }, drained() {}, abort() ${broken}`), 'cut'],
    [transformer(`close() ${broken}`), 'whole'],
    [`{ request: (e) => e.request.path === '/fail' ? { then: (resolve) => resolve({ status: 99999 }) } : undefined }`, 'whole'],
  ] as const) {
    const text = fileFor(origin.port, { broken: plugin(source) }).replace('upstream = "one"', 'upstream = "one"\nmax_processing = 1');
    const gateway = await startGatewayOf(made, text);
    const client = await rawClient({ port: gateway.port() });
    client.send('GET /fail HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await client.until(({ ending }) => ending !== 'open', 'the end of the connection');
    expect([client.text.includes('\r\n0\r\n\r\n') || client.text.includes('Content-Length'), source]).toEqual([ends === 'whole', source]);
    expect((await ask(gateway.port())).status).toBe(200);
  }
});

test('when the answer is replaced because a plugin failed on it, the upstream need not finish its own', async () => {
  let left = (): void => {};
  const gone = new Promise<void>((resolve) => (left = resolve));
  const origin = await startOrigin((_request, response) => {
    response.on('close', left);
    response.write('there is no end to this');
  });
  const gateway = await startGatewayOf(made, fileFor(origin.port, { broken: plugin(`{ response() { throw new Error('broken on purpose'); } }`) }));
  expect((await ask(gateway.port())).status).toBe(500);
  await gone;
});

test('those who were to change the body of an answer on which a plugin failed are told that it is over', async () => {
  const origin = await startOrigin();
  const closed: string[] = [];
  Object.assign(globalThis, { closedTransformers: closed });
  made.later(() => Reflect.deleteProperty(globalThis, 'closedTransformers'));
  const changes = plugin(
    `{ response(e) { e.response.transform({ write() {}, end(out) { out.end(); }, close() { globalThis.closedTransformers.push('closed'); } }); } }`,
  );
  const broken = plugin(`{ response() { throw new Error('broken on purpose'); } }`);
  const gateway = await startGatewayOf(made, fileFor(origin.port, { broken, changes }));
  expect((await ask(gateway.port())).status).toBe(500);
  expect(closed).toEqual(['closed']);
});

test('an answer may be given in the place of one that comes: the client waits for no more of that', async () => {
  const origin = await startOrigin((request, response) => {
    response.writeHead(503, { 'X-Theirs': 'yes' });
    if (request.url === '/endless') response.write('there is no end to this');
    else response.end('small');
  });
  const replaces = plugin(`{ response(e) { e.response.replace({ status: 200, headers: ['X-Ours', 'yes'], body: 'instead' }); } }`);
  const gateway = await startGatewayOf(
    made,
    fileFor(origin.port, {
      outer: MARK('o'),
      replaces,
      inner: plugin(
        `{ response(e) { e.response.transform({ write() {}, end(out) { out.end(); }, close() { context.log.info({}, 'closed'); } }); } }`,
      ),
    }),
  );
  for (let i = 0; i < 3; i++) {
    const { status, text, headers } = await ask(gateway.port());
    expect([status, text, headers.get('x-ours'), headers.get('x-theirs'), headers.get('x-order')]).toEqual([200, 'instead', 'yes', null, 'o']);
    expect(headers.get('content-length')).toBe('7');
  }
  // What was small has been read, and its connection is used again. (The upstream's health check has one of its own.)
  expect(new Set(origin.requests.map(({ connection }) => connection)).size).toBe(1);
  expect(gateway.log.at('info').filter((line) => line === 'closed').length).toBe(3);
  const client = await rawClient({ port: gateway.port() });
  for (let i = 0; i < 2; i++) {
    client.send('GET /endless HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await client.answer()).body.toString()).toBe('instead');
  }
  await until('the upstream to be left', () => origin.requests.length === 5 && origin.running === 0);
  // Also where there is no answer at all.
  await origin.close();
  expect((await ask(gateway.port())).text).toBe('instead');
  await metricBecomes(gateway, 'windlass_requests_in_flight', (value) => value === 0);
});

test('a request may be made once more in the background, from behind the plugin that asks for it', async () => {
  const origin = await startOrigin();
  const repeats = plugin(`(() => { const mine = slot('mine'); return {
    request(e) { if (e.request.header('x-again') === undefined) e.repeat((again) => { again.request.setHeader('x-again', 'yes'); again.set(mine, true); }); },
    response(e) { if (e.get(mine)) context.log.info({}, 'again ' + e.response.header('x-order')); else e.response.setHeader('x-mine', 'no'); },
    log(e) { if (e.get(mine)) context.log.info({}, 'over ' + e.response.status); },
  }; })()`);
  const gateway = await startGatewayOf(made, fileFor(origin.port, { outer: MARK('o'), repeats, inner: MARK('i') }));
  const { headers } = await ask(gateway.port());
  expect([headers.get('x-mine'), headers.get('x-order')]).toEqual(['no', 'io']);
  await until('the end in the background', () => gateway.log.at('info').includes('over 200'));
  // What the plugin before it did with the request is in it; what that does with answers is not.
  expect(gateway.log.at('info')).toContain('again i');
  expect(origin.requests.map((seen) => seen.headers['x-order'])).toEqual(['oi', 'oi']);
  await metricBecomes(gateway, 'windlass_requests_in_flight', (value) => value === 0);
});

test('an answer that a plugin wants is read to its end when the client has left, before its head or behind it', async () => {
  for (const when of ['before', 'behind']) {
    let finish = (): void => {};
    const origin = await startOrigin((_request, response) => {
      response.setHeader('Content-Length', '400000');
      const early = when === 'behind' ? 100_000 : 0;
      if (early > 0) response.write('y'.repeat(early));
      finish = () => response.end('z'.repeat(400_000 - early));
    });
    const wants = plugin(`{
      request(e) { e.outliveClient(() => true); },
      response(e) { let n = 0; e.response.transform({ write(chunk, out) { n += chunk.length; out.write(chunk); }, end(out) { context.log.info({}, 'read ' + n); out.end(); } }, 400000); },
      log() { context.log.info({}, 'logged'); },
    }`);
    const gateway = await startGatewayOf(made, fileFor(origin.port, { wants }));
    const client = await rawClient({ port: gateway.port() });
    client.pause();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the request', () => origin.requests.length === 1);
    await turns(20);
    client.reset();
    await turns(20);
    expect([when, origin.only.aborted, gateway.log.at('info').includes('logged')]).toEqual([when, false, false]);
    finish();
    await until('the end', () => gateway.log.at('info').includes('logged'));
    expect(gateway.log.at('info')).toContain('read 400000');
    await metricBecomes(gateway, 'windlass_requests_in_flight', (value) => value === 0);
  }
});

test('a request with a body ends with its client, whatever a plugin wants', async () => {
  const origin = await startOrigin((_request, response) => void response.write('begun'));
  const gateway = await startGatewayOf(made, fileFor(origin.port, { wants: plugin(`{ request(e) { e.outliveClient(() => true); } }`) }));
  const client = await rawClient({ port: gateway.port() });
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf');
  await client.until(() => client.text.includes('begun'));
  client.reset();
  await until('the end of it', async () => origin.only.aborted && (await metric(gateway, 'windlass_requests_in_flight')) === 0);
});

test('what a plugin has said of a header no trailer says otherwise', async () => {
  const origin = await startOrigin();
  const says = plugin(`{ request(e) { e.request.setHeader('X-User', 'alice'); e.request.removeHeader('X-Role'); } }`);
  const gateway = await startGatewayOf(made, fileFor(origin.port, { says }));
  const client = await rawClient({ port: gateway.port() });
  client.send(
    'POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-User, X-Role, X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-user: mallory\r\nX-Role: admin\r\nX-Sum: 1\r\n\r\n',
  );
  await client.until(() => client.text.includes('200 OK'));
  expect(origin.requests[0]!.headers['x-user']).toBe('alice');
  expect(origin.requests[0]!.trailers).toEqual({ 'x-sum': '1' });
});
