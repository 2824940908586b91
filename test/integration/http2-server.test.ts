import { once } from 'node:events';
import http2 from 'node:http2';
import type net from 'node:net';
import { describe, expect, test } from 'vitest';
import { type Answered, askH2, connectH2, readStream } from '../kit/h2-client.ts';
import { switched } from '../kit/handshake.ts';
import { kit } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { later, startDirect, startOrigin, startScript } = made;

describe('a client of HTTP/2', () => {
  test('is served like one of HTTP/1.1, and what the upstream hears is HTTP/1.1', async () => {
    const origin = await startOrigin((request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'set-cookie': ['a=1', 'b=2'] });
      response.end(`${request.method} ${request.url} ${request.headers.via}`);
    });
    const { address } = await startDirect({ to: origin });
    const client = connectH2(later, address.port);
    const answer = await askH2(client, { ':path': '/x?y=1', cookie: ['p=1', 'q=2'] });
    expect(answer.status).toBe(200);
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(answer.text).toMatch(/^GET \/x\?y=1 2\.0 /);
    expect(origin.requests[0]!.headers['cookie']).toBe('p=1; q=2');
    expect(origin.requests[0]!.headers['x-forwarded-proto']).toBe('http');
  });

  test('may send its body and trailers, and gets those of the answer', async () => {
    const origin = await startOrigin((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        response.writeHead(200, { trailer: 'x-sum' });
        response.write(`got ${text} `);
        response.addTrailers({ 'x-sum': String(request.trailers['x-last']) });
        response.end('end');
      });
    });
    const { address } = await startDirect({ to: origin });
    const stream = connectH2(later, address.port).request({ ':method': 'POST', ':path': '/' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-last': '42' }));
    stream.write('a');
    stream.end('b');
    const answer = await readStream(stream);
    expect([answer.status, answer.text, answer.trailers['x-sum']]).toEqual([200, 'got ab end', '42']);
  });

  test('gets 103 before its answer, and 100 when its request goes on', async () => {
    const origin = await startOrigin((request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' });
      request.resume();
      request.on('end', () => response.end('done'));
    });
    const { address } = await startDirect({ to: origin });
    const stream = connectH2(later, address.port).request({ ':method': 'POST', ':path': '/', expect: '100-continue' });
    const interim: unknown[] = [];
    stream.on('headers', (fields) => interim.push(fields[':status']));
    stream.on('continue', () => {
      interim.push(100);
      stream.end('body');
    });
    const answer = await readStream(stream);
    expect(answer.text).toBe('done');
    expect(interim).toContain(100);
    expect(interim).toContain(103);
  });

  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ] as const)
    test(`gets no body for ${method} and ${status}`, async () => {
      const origin = await startOrigin((_request, response) => {
        response.writeHead(status, method === 'HEAD' ? { 'content-length': '7' } : {});
        response.end();
      });
      const { address } = await startDirect({ to: origin });
      const answer = await askH2(connectH2(later, address.port), { ':method': method, ':path': '/' });
      expect([answer.status, answer.text, answer.headers['content-length']]).toEqual([status, '', method === 'HEAD' ? '7' : undefined]);
    });

  test('has many requests at once on one connection, and each gets its own answer', async () => {
    const origin = await startOrigin((request, response) => {
      request.resume();
      response.end(`<${request.url}>`);
    });
    const { address } = await startDirect({ to: origin });
    const client = connectH2(later, address.port);
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => askH2(client, { ':path': `/${i}` })));
    expect(answers.map(({ text }) => text)).toEqual(Array.from({ length: 200 }, (_, i) => `</${i}>`));
  });

  test('that does not read holds up the upstream, and nobody else', async () => {
    const chunk = Buffer.alloc(64 * 1024, 'x');
    let sent = 0;
    const origin = await startOrigin((request, response) => {
      if (request.url === '/small') {
        response.end('small');
        return;
      }
      const more = (): void => {
        do sent += chunk.length;
        while (response.write(chunk) && sent < 64 * 1024 * 1024);
      };
      response.on('drain', more);
      more();
    });
    const served = await startDirect({ to: origin });
    const client = connectH2(later, served.address.port);
    const stalled = client.request({ ':path': '/large' });
    await once(stalled, 'response');
    // Nothing is read of it: the client's window is used up, and what follows stays where it is.
    let before = -1;
    await until('the origin to stand still', async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const still = sent === before;
      before = sent;
      return still && sent > 0;
    });
    expect((await askH2(client, { ':path': '/small' })).text).toBe('small');
    expect(sent).toBeLessThan(16 * 1024 * 1024);
    stalled.close(http2.constants.NGHTTP2_CANCEL);
  });

  test('that resets its stream has left: its upstream is told', async () => {
    let aborted!: () => void;
    const gone = new Promise<void>((resolve) => (aborted = resolve));
    const origin = await startOrigin((_request, response) => {
      response.write('first');
      response.on('close', aborted);
    });
    const { address } = await startDirect({ to: origin });
    const client = connectH2(later, address.port);
    const stream = client.request({ ':path': '/' });
    await once(stream, 'data');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await gone;
    expect(client.destroyed).toBe(false);
  });

  test('hears of an answer that breaks off by a reset, never by an end [rule R2]', async () => {
    const origin = await startScript(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
      connection.end();
    });
    const { address } = await startDirect({ to: origin });
    const answer = await readStream(connectH2(later, address.port).request({ ':path': '/' }));
    expect(answer.resetCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
    expect(answer.ended).toBe(false);
  });

  test('gets an early answer while it still sends, and is asked not to send the rest', async () => {
    const { address } = await startDirect({ to: await startOrigin(), limits: { bodyBytes: 1000 } });
    const client = connectH2(later, address.port);
    const stream = client.request({ ':method': 'POST', ':path': '/' });
    stream.on('error', () => {});
    stream.write(Buffer.alloc(5000));
    const answer = await readStream(stream);
    expect([answer.status, answer.resetCode]).toEqual([413, http2.constants.NGHTTP2_NO_ERROR]);
    expect((await askH2(client, { ':path': '/' })).status).toBe(200);
  });
});

describe('extended CONNECT', () => {
  test('carries bytes both ways, with half-close', async () => {
    const origin = await startOrigin();
    let key: string | undefined;
    origin.server.on('upgrade', (request, socket: net.Socket) => {
      key = request.headers['sec-websocket-key'];
      socket.write(switched(request, 'Sec-WebSocket-Protocol: p\r\n'));
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        socket.write(`<${chunk.toString()}>`);
      });
      socket.on('end', () => socket.end(`bye ${text}`));
    });
    const { address } = await startDirect({ to: origin });
    const client = connectH2(later, address.port);
    if (client.remoteSettings.enableConnectProtocol === undefined) await once(client, 'remoteSettings');
    expect(client.remoteSettings.enableConnectProtocol).toBe(true);
    const stream = client.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat', ':scheme': 'http' }, { endStream: false });
    const reading = readStream(stream);
    const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    expect([head[':status'], head['sec-websocket-accept'], head['sec-websocket-protocol']]).toEqual([200, undefined, 'p']);
    stream.write('ping');
    await once(stream, 'data');
    stream.end('pong');
    expect((await reading).text).toMatch(/^<ping>(<pong>)bye pingpong$/);
    expect(Buffer.from(key!, 'base64')).toHaveLength(16);
  });

  test('that the upstream does not grant is no 200', async () => {
    const { address } = await startDirect({ to: await startOrigin() });
    const client = connectH2(later, address.port);
    if (client.remoteSettings.enableConnectProtocol === undefined) await once(client, 'remoteSettings');
    const stream = client.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/', ':scheme': 'http' }, { endStream: false });
    expect((await readStream(stream)).status).toBe(502);
  });

  test('without a protocol is refused', async () => {
    const { address } = await startDirect({ to: await startOrigin() });
    const stream = connectH2(later, address.port).request({ ':method': 'CONNECT', ':authority': 'example.org:443' });
    expect((await readStream(stream)).status).toBe(405);
  });
});

describe('time', () => {
  test('a request body that does not go on is 408', async () => {
    const { address } = await startDirect({ to: await startOrigin(), limits: { bodyIdleTimeoutMs: 300 } });
    const stream = connectH2(later, address.port).request({ ':method': 'POST', ':path': '/' });
    stream.on('error', () => {});
    stream.write('a');
    expect((await readStream(stream)).status).toBe(408);
  });

  test('a client that gives no window loses its stream after a while, and keeps its connection', async () => {
    const origin = await startOrigin((request, response) => {
      if (request.url === '/small') response.end('small');
      else response.end(Buffer.alloc(1024 * 1024));
    });
    const served = await startDirect({ to: origin, limits: { writeIdleTimeoutMs: 300 } });
    const client = connectH2(later, served.address.port, { settings: { initialWindowSize: 0 } });
    const stream = client.request({ ':path': '/' });
    const answer: Answered = await readStream(stream);
    expect(answer.resetCode).toBe(http2.constants.NGHTTP2_CANCEL);
    expect(client.closed || client.destroyed).toBe(false);
  });

  test('a connection without requests is closed, with GOAWAY', async () => {
    const { address } = await startDirect({ to: await startOrigin(), limits: { keepAliveTimeoutMs: 300 } });
    const client = connectH2(later, address.port);
    const goaway = once(client, 'goaway') as Promise<[number]>;
    await askH2(client, { ':path': '/' });
    expect((await goaway)[0]).toBe(http2.constants.NGHTTP2_NO_ERROR);
    await once(client, 'close');
  });

  test('a connection serves as many requests as it may, then says goodbye', async () => {
    const { address } = await startDirect({ to: await startOrigin(), limits: { requestsPerConnection: 3 } });
    const client = connectH2(later, address.port);
    const closed = once(client, 'close');
    for (let i = 0; i < 3; i++) expect((await askH2(client, { ':path': '/' })).status).toBe(200);
    await closed;
  });
});

test('drain: what runs ends, the client is told twice, and then the connection closes', async () => {
  let answer!: () => void;
  const origin = await startOrigin((_request, response) => {
    response.write('first');
    answer = () => response.end('last');
  });
  const served = await startDirect({ to: origin });
  const client = connectH2(later, served.address.port);
  const goaways: [number, number][] = [];
  client.on('goaway', (code: number, last: number) => goaways.push([code, last]));
  const stream = client.request({ ':path': '/' });
  const reading = readStream(stream);
  await once(stream, 'data');
  const closing = served.close();
  await until('a GOAWAY', () => goaways.length >= 1);
  answer();
  expect((await reading).text).toBe('firstlast');
  await closing;
  expect(goaways[0]).toEqual([http2.constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1]);
});
