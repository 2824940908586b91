import { once } from 'node:events';
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createLoop } from '../std/loop.ts';
import type { OnAbort } from '../http/client-h1.ts';
import { Notes, type ReplySink, type RequestSink } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { RequestHead } from '../http/head.ts';
import { httpLimits } from '../http/limits.ts';
import { parseRequest } from '../http/parse.ts';
import { parseUpstreamUrl } from '../schema/upstream-url.ts';
import { Direct } from './direct.ts';

const close: (() => void)[] = [];
afterEach(() => {
  while (close.length > 0) close.pop()!();
});

/** Writes down what it hears. */
class Reply implements ReplySink {
  writer = null;
  readonly calls: string[] = [];
  #settle: () => void = () => {};
  readonly settledOnce = new Promise<void>((resolve) => {
    this.#settle = resolve;
  });

  informational(): void {}

  head(head: { status: number }): void {
    this.calls.push(`head ${head.status}`);
  }

  write(chunk: Uint8Array): boolean {
    this.calls.push(`write ${Buffer.from(chunk).toString('latin1')}`);
    return true;
  }

  end(): void {
    this.calls.push('end');
  }

  abort(failure: Failure): void {
    this.calls.push(`abort ${failure.code}`);
  }

  settled(): void {
    this.calls.push('settled');
    this.#settle();
  }
}

/** An upstream whose connections the test holds, and an endpoint to it. */
async function upstream(onAbort: OnAbort, cancelGraceMs = 5_000, drainTimeoutMs = 5_000) {
  const sockets: net.Socket[] = [];
  const heard: string[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    heard.push('');
    const n = sockets.length - 1;
    socket.on('data', (data: Buffer) => {
      heard[n] += data.toString('latin1');
      server.emit('heard');
    });
    socket.on('end', () => {
      heard[n] += '<FIN>';
      server.emit('heard');
    });
    socket.on('error', () => {
      heard[n] += '<RST>';
      server.emit('heard');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const direct = new Direct(parseUpstreamUrl(`127.0.0.1:${(server.address() as net.AddressInfo).port}`), {
    loop: createLoop(),
    limits: httpLimits,
    connectTimeoutMs: 1_000,
    firstByteTimeoutMs: 0,
    idleTimeoutMs: 0,
    onAbort,
    cancelGraceMs,
    drainTimeoutMs,
    hostHeader: 'keep',
  });
  close.push(() => {
    direct.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    direct,
    sockets,
    heard,
    until: async (done: () => boolean) => {
      while (!done()) await once(server, 'heard');
    },
  };
}

function ask(direct: Direct, text = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'): { reply: Reply; sink: RequestSink } {
  const head = new RequestHead();
  const bytes = Buffer.from(text);
  expect(parseRequest(head, bytes, 0, bytes.length, httpLimits)).toBe(bytes.length);
  const reply = new Reply();
  const sink = direct.open(head, reply, new Notes(0));
  if (head.bodiless) sink.end();
  return { reply, sink };
}

const GONE = new Failure('client_gone', 'the client left');

test('cancel: the upstream gets FIN, what it still says is thrown away, and the exchange is over when it closes', async () => {
  const { direct, sockets, heard, until } = await upstream('cancel');
  const { reply, sink } = ask(direct);
  await until(() => heard[0]?.endsWith('\r\n\r\n') === true);
  sink.abort(GONE);
  await until(() => heard[0]!.endsWith('<FIN>'));
  sockets[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  await new Promise((resolve) => setTimeout(resolve, 20));
  // The slot of an agent must not be given to the next request while this one may still be running.
  expect(reply.calls).toEqual([]);
  sockets[0]!.end();
  await reply.settledOnce;
  expect(reply.calls).toEqual(['settled']);
  expect(direct.connections).toBe(0);
  expect(direct.counts.cancelsExpired).toBe(0);
});

test('cancel: an upstream that does not close in time is reset, and counted', async () => {
  const { direct, sockets, heard, until } = await upstream('cancel', 100);
  const { reply, sink } = ask(direct);
  await until(() => heard[0]?.endsWith('\r\n\r\n') === true);
  sink.abort(GONE);
  await reply.settledOnce;
  // Node looks at a half-closed socket again only when it is written to.
  sockets[0]!.write('late');
  await until(() => heard[0]!.endsWith('<FIN><RST>'));
  expect(direct.counts.cancelsExpired).toBe(1);
  expect(direct.connections).toBe(0);
});

test('cancel in the middle of a body: the upstream never sees a complete request', async () => {
  for (const onAbort of ['cancel', 'drain', 'drain_capped'] as const) {
    const { direct, sockets, heard, until } = await upstream(onAbort);
    const { reply, sink } = ask(direct, 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    sink.write(Buffer.from('half'));
    await until(() => heard[0]?.endsWith('4\r\nhalf\r\n') === true);
    sink.abort(GONE);
    await until(() => heard[0]!.endsWith('<FIN>'));
    expect(heard[0]!.endsWith('4\r\nhalf\r\n<FIN>')).toBe(true);
    sockets[0]!.end();
    await reply.settledOnce;
  }
});

test('drain: the answer is read to its end, and the connection is used again', async () => {
  const { direct, sockets, heard, until } = await upstream('drain');
  const { reply, sink } = ask(direct);
  await until(() => heard[0]?.endsWith('\r\n\r\n') === true);
  sockets[0]!.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n');
  while (!reply.calls.includes('write ok')) await new Promise((resolve) => setImmediate(resolve));
  sink.abort(GONE);
  sockets[0]!.write('4\r\nmore\r\n');
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(reply.calls).toEqual(['head 200', 'write ok']);
  sockets[0]!.write('0\r\n\r\n');
  await reply.settledOnce;
  expect(reply.calls).toEqual(['head 200', 'write ok', 'settled']);
  expect(direct.idleConnections).toBe(1);
  const next = ask(direct);
  await until(() => heard[0]!.split('GET / ').length === 3);
  sockets[0]!.write('HTTP/1.1 204 No Content\r\n\r\n');
  await next.reply.settledOnce;
  expect(next.reply.calls).toEqual(['head 204', 'end', 'settled']);
  expect(sockets.length).toBe(1);
});

test('drain_capped: after its time it is a cancel', async () => {
  const { direct, sockets, heard, until } = await upstream('drain_capped', 5_000, 100);
  const { reply, sink } = ask(direct);
  await until(() => heard[0]?.endsWith('\r\n\r\n') === true);
  sink.abort(GONE);
  sockets[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n');
  const flow = setInterval(() => sockets[0]!.writable && sockets[0]!.write('x'), 10);
  await until(() => heard[0]!.endsWith('<FIN>'));
  clearInterval(flow);
  sockets[0]!.end();
  await reply.settledOnce;
  expect(reply.calls).toEqual(['settled']);
});

test('a request that is given up while its connection is being opened is never sent', async () => {
  const { direct, heard } = await upstream('drain');
  const { reply, sink } = ask(direct);
  sink.abort(GONE);
  await reply.settledOnce;
  expect(reply.calls).toEqual(['settled']);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(heard.join('').replaceAll(/<\w+>/g, '')).toBe('');
  expect(direct.connections).toBe(0);
});

test('a body that does not match its length is an abort, not a request', async () => {
  for (const [body, ends] of [
    ['too much', false],
    ['2', true],
  ] as const) {
    const { direct, sockets, heard, until } = await upstream('cancel');
    const { reply, sink } = ask(direct, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n');
    await until(() => heard[0]?.endsWith('\r\n\r\n') === true);
    sink.write(Buffer.from(body));
    if (ends) sink.end();
    await until(() => heard[0]!.endsWith('<FIN>'));
    sockets[0]!.end();
    await reply.settledOnce;
    expect(reply.calls).toEqual(['abort bad_request', 'settled']);
    expect(heard[0]).not.toContain('too much');
  }
});

test('close() ends idle connections at once, and busy ones after their answer', async () => {
  const { direct, sockets, heard, until } = await upstream('cancel');
  const idle = ask(direct);
  const busy = ask(direct);
  await until(() => heard.length === 2 && heard.every((text) => text.endsWith('\r\n\r\n')));
  sockets[0]!.write('HTTP/1.1 204 No Content\r\n\r\n');
  await Promise.race([idle.reply.settledOnce, busy.reply.settledOnce]);
  direct.close();
  expect(direct.idleConnections).toBe(0);
  expect(direct.connections).toBe(1);
  sockets[1]!.write('HTTP/1.1 204 No Content\r\n\r\n');
  await Promise.all([idle.reply.settledOnce, busy.reply.settledOnce]);
  expect(direct.connections).toBe(0);
});
