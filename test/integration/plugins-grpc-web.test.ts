import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { type GrpcOrigin, startGrpcOrigin } from '../kit/grpc.ts';
import { framed } from '../kit/grpc-raw.ts';
import { askH2, connectH2 } from '../kit/h2-client.ts';
import { kit, SECRET } from '../kit/kit.ts';
import { soon } from '../kit/until.ts';

const tools = kit();

const SITES =
  '[plugins.sites]\ncategory = "cors"\nallow_origin = ["https://app.example"]\nallow_headers = ["X-Grpc-Web", "Content-Type"]\nexpose_headers = ["x-echo"]\n';
const WEB = '[plugins.web]\ncategory = "grpc_web"\n';

interface Reached {
  readonly origin: GrpcOrigin;
  readonly port: number;
}

/** A gateway with these plugins; `upstream`: how it reaches the service. */
async function startFront(upstream: string, plugins: string, keys = ''): Promise<number> {
  const names = [...plugins.matchAll(/^\[plugins\.(\w+)\]/gm)].map(([, name]) => `"${name}"`);
  const text = `[agents]
secret = "${SECRET}"
hub_id = "gate"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["all"]
[locations.all]
upstream = "one"
plugins = [${names.join(', ')}]
${keys}
[upstreams.one]
${upstream}
${plugins}`;
  return (await startGatewayOf(tools, text)).port();
}

async function direct(plugins = SITES + WEB): Promise<Reached> {
  const origin = await startGrpcOrigin(tools);
  return { origin, port: await startFront(`addrs = ["127.0.0.1:${origin.port}"]\nalpn = "H2"`, plugins) };
}

async function tunnelled(plugins = SITES + WEB): Promise<Reached> {
  const origin = await startGrpcOrigin(tools);
  const port = await startFront('agents = "route=calls"', plugins);
  await tools.startAgentFor({ port }, origin, {
    labels: new Map([['route', 'calls']]),
    upstreams: [parseUpstreamUrl(`h2c://127.0.0.1:${origin.port}`)],
  });
  return { origin, port };
}

/** What a call came to, as the library of a page sees it. */
interface Called {
  readonly status: number;
  readonly type: string | null;
  readonly headers: Headers;
  readonly messages: Buffer[];
  readonly trailers: Record<string, string>;
}

type Form = 'binary' | 'text';

/** Base64 with padding at every flush, or none of it. */
function unpacked(body: Buffer, isText: boolean): Buffer {
  if (!isText) return body;
  const groups = body.toString('latin1').match(/[^=]{1,}={0,2}/g) ?? [];
  return Buffer.concat(groups.map((group) => Buffer.from(group, 'base64')));
}

function framesOf(body: Buffer): Pick<Called, 'messages' | 'trailers'> {
  const messages: Buffer[] = [];
  const trailers: Record<string, string> = {};
  let isOver = false;
  for (let at = 0; at < body.length;) {
    expect(isOver).toBe(false);
    const end = at + 5 + body.readUInt32BE(at + 1);
    expect(end).toBeLessThanOrEqual(body.length);
    const bytes = body.subarray(at + 5, end);
    if (body[at] === 0x80) {
      isOver = true;
      for (const line of bytes.toString('latin1').split('\r\n').filter(Boolean))
        trailers[line.slice(0, line.indexOf(':'))] = line.slice(line.indexOf(':') + 2);
    } else messages.push(bytes);
    at = end;
  }
  return { messages, trailers };
}

/** `pieces`: the body as it is sent, one after the other. */
async function call(
  port: number,
  method: string,
  form: Form,
  message: Buffer | string,
  headers: Record<string, string> = {},
  pieces?: string[],
): Promise<Called> {
  const isText = form === 'text';
  const type = `application/grpc-web${isText ? '-text' : ''}+proto`;
  const body = isText ? framed(message).toString('base64') : framed(message);
  const answer = await fetch(`http://127.0.0.1:${port}/test.Service/${method}`, {
    method: 'POST',
    headers: { 'content-type': type, accept: type, 'x-grpc-web': '1', origin: 'https://app.example', ...headers },
    ...(pieces === undefined ? { body } : { body: streamOf(pieces), duplex: 'half' }),
  } as RequestInit);
  const { status } = answer;
  const read = Buffer.from(await answer.arrayBuffer());
  return { status, type: answer.headers.get('content-type'), headers: answer.headers, ...framesOf(unpacked(read, isText)) };
}

/** Each piece in a turn of its own, so that it is one chunk on the wire. */
function streamOf(pieces: string[]): ReadableStream<Uint8Array> {
  const rest = [...pieces];
  return new ReadableStream({
    async pull(controller) {
      const piece = rest.shift();
      if (piece === undefined) controller.close();
      else {
        await new Promise((resolve) => setImmediate(resolve));
        controller.enqueue(Buffer.from(piece));
      }
    },
  });
}

const FORMS: Form[] = ['binary', 'text'];

describe.each([
  ['a gateway', direct],
  ['a gateway and an agent', tunnelled],
])('gRPC-Web through %s', (_, reach) => {
  test.each(FORMS)('unary, %s: the message, metadata, and the trailers as a frame', async (form) => {
    const { origin, port } = await reach();
    const bytes = Buffer.from([0, 1, 0x7f, 0x80, 0xff]);
    const { status, type, headers, messages, trailers } = await call(port, 'Unary', form, bytes, { 'x-echo': 'head', 'x-trail': 'tail' });
    expect([status, type]).toEqual([200, `application/grpc-web${form === 'text' ? '-text' : ''}+proto`]);
    expect(messages).toEqual([bytes]);
    expect(trailers).toMatchObject({ 'grpc-status': '0', 'x-trail': 'tail' });
    expect(headers.get('x-echo')).toBe('head');
    expect(headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect(headers.get('access-control-expose-headers')).toContain('x-echo');
    expect(origin.calls[0]!.metadata.get('x-grpc-web')).toEqual([]);
  });

  test.each(FORMS)('many messages come one by one, %s', async (form) => {
    const { port } = await reach();
    const { messages, trailers } = await call(port, 'Emit', form, '40 5000');
    expect(messages.map((message) => [message.length, message[0]])).toEqual(Array.from({ length: 40 }, (_, i) => [5000, i + 1]));
    expect(trailers['grpc-status']).toBe('0');
  });

  test.each(FORMS)('a failure of the service is in the body, also when it has no message, %s', async (form) => {
    const { port } = await reach();
    const { status, headers, messages, trailers } = await call(port, 'Unary', form, 'a', { 'x-fail': '7', 'x-message': 'not%20you' });
    expect([status, messages, headers.get('grpc-status')]).toEqual([200, [], null]);
    expect(trailers).toMatchObject({ 'grpc-status': '7' });
    expect(decodeURIComponent(trailers['grpc-message']!)).toBe('not you');
  });

  test('base64 that is cut anywhere and padded in the middle arrives whole', async () => {
    const { port } = await reach();
    const message = Buffer.from(Array.from({ length: 200 }, (_, i) => i));
    const body = framed(message);
    const text = [body.subarray(0, 5), body.subarray(5, 6), body.subarray(6)].map((part) => part.toString('base64')).join('');
    const pieces = text.match(/.{1,7}/g)!;
    expect((await call(port, 'Unary', 'text', '', {}, pieces)).messages).toEqual([message]);
  });
});

test('a time-out of the client ends the call with DEADLINE_EXCEEDED', async () => {
  const { origin, port } = await direct();
  const { trailers } = await call(port, 'Unary', 'text', 'a', { 'x-hang': '1', 'grpc-timeout': '300m' });
  expect(trailers['grpc-status']).toBe('4');
  expect(origin.calls).toHaveLength(1);
});

test.each(FORMS)("[rule R3] the hub's own failures are told in the body, too, %s", async (form) => {
  const port = await startFront('agents = "route=calls"\nqueue_timeout = "50ms"', WEB);
  const { status, type, messages, trailers } = await call(port, 'Unary', form, 'a');
  expect([status, type, messages]).toEqual([200, `application/grpc-web${form === 'text' ? '-text' : ''}+proto`, []]);
  expect(trailers).toMatchObject({ 'grpc-status': '14', 'grpc-message': expect.stringContaining('no slot') });
});

test('what another plugin answers behind it is a status, too', async () => {
  const { origin, port } = await direct(`${WEB}[plugins.keys]\ncategory = "key_auth"\nheader = "X-Key"\nkeys = ["k"]\n`);
  expect((await call(port, 'Unary', 'binary', 'a')).trailers['grpc-status']).toBe('16');
  expect((await call(port, 'Unary', 'binary', 'a', { 'x-key': 'k' })).trailers['grpc-status']).toBe('0');
  expect(origin.calls).toHaveLength(1);
});

test('a body that was held while another plugin waited is read as well', async () => {
  const auth = await tools.startOrigin();
  const { port } = await direct(`[plugins.auth]\ncategory = "forward_auth"\nauth_url = "http://127.0.0.1:${auth.port}/"\n${WEB}`);
  const message = Buffer.alloc(300_000, 7);
  const { messages, trailers } = await call(port, 'Unary', 'text', message);
  expect(trailers['grpc-status']).toBe('0');
  expect(messages.map((one) => one.equals(message))).toEqual([true]);
  expect(auth.requests).toHaveLength(1);
});

test('a body that is no base64 is refused, and the service sees no whole request', async () => {
  const { port } = await direct();
  const { messages, trailers } = await call(port, 'Unary', 'text', '', {}, ['AAAAAAE', '*%%%']);
  expect(messages).toEqual([]);
  expect(trailers).toMatchObject({ 'grpc-status': '3', 'grpc-message': expect.stringContaining('base64') });
});

test('a service that dies between messages is told as a status, never as a whole answer', async () => {
  const { origin, port } = await direct();
  const pending = call(port, 'Talk', 'text', 'a', { 'x-hang': '1' });
  await soon('the call', origin.arrived(0));
  origin.kill();
  const { trailers } = await pending;
  expect(trailers['grpc-status']).toBe('14');
});

test('over HTTP/2 the trailers are in the body as well, and nowhere else', async () => {
  const { port } = await direct();
  const session = connectH2(tools.later, port);
  const answer = await askH2(
    session,
    { ':method': 'POST', ':path': '/test.Service/Unary', 'content-type': 'application/grpc-web-text', accept: 'application/grpc-web-text' },
    framed('hello').toString('base64'),
  );
  expect(framesOf(unpacked(Buffer.from(answer.text), true))).toEqual({
    messages: [Buffer.from('hello')],
    trailers: expect.objectContaining({ 'grpc-status': '0' }),
  });
});

test('gRPC itself, and everything else, passes as it is', async () => {
  const origin = await tools.startOrigin((request, response, seen) => {
    request.resume();
    request.on('end', () => response.end(JSON.stringify([request.headers['content-type'] ?? null, seen.url])));
  });
  const port = await startFront(`addrs = ["127.0.0.1:${origin.port}"]`, WEB);
  const answer = await fetch(`http://127.0.0.1:${port}/page`, { headers: { 'content-type': 'application/grpc-web' } });
  expect(await answer.json()).toEqual(['application/grpc-web', '/page']);
  // A service that speaks HTTP/1.1 alone cannot be called.
  expect((await call(port, 'Unary', 'binary', 'a')).trailers['grpc-status']).toBe('12');
});

test.each(FORMS)("grpc_web = true of a location, Pingap's word, does the same before all plugins, %s", async (form) => {
  const origin = await startGrpcOrigin(tools);
  const DOOR = '[plugins.door]\ncategory = "key_auth"\nheader = "x-key"\nkeys = ["right"]\n';
  const port = await startFront(`addrs = ["127.0.0.1:${origin.port}"]\nalpn = "H2"`, SITES + DOOR, 'grpc_web = true');
  const passed = await call(port, 'Unary', form, 'hello', { 'x-key': 'right', 'x-trail': 'tail' });
  expect(passed.messages.map(String)).toEqual(['hello']);
  expect(passed.trailers).toMatchObject({ 'grpc-status': '0', 'x-trail': 'tail' });
  expect(passed.headers.get('access-control-allow-origin')).toBe('https://app.example');
  const refused = await call(port, 'Unary', form, 'hello', { 'x-key': 'wrong' });
  expect([refused.status, refused.messages, refused.trailers['grpc-status']]).toEqual([200, [], '16']);
  expect(refused.headers.get('access-control-allow-origin')).toBe('https://app.example');
});

test('a preflight is answered before the call', async () => {
  const { origin, port } = await direct();
  const answer = await fetch(`http://127.0.0.1:${port}/test.Service/Unary`, {
    method: 'OPTIONS',
    headers: { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,x-grpc-web' },
  });
  expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([204, 'https://app.example']);
  expect(origin.calls).toEqual([]);
});
