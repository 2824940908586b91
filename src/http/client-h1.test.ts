import { expect, test } from 'vitest';
import { createLoop } from '../std/loop.ts';
import type { Wire } from '../std/wire.ts';
import { ClientExchange } from './client-exchange.ts';
import { ClientConnection, type ClientOptions, type ConnectionOwner } from './client-h1.ts';
import { Notes, type ReplySink } from './exchange.ts';
import { RequestHead, ResponseHead } from './head.ts';
import { httpLimits } from './limits.ts';
import { parseRequest } from './parse.ts';

const loop = createLoop();
const options: ClientOptions = {
  loop,
  limits: httpLimits,
  connectTimeoutMs: 0,
  firstByteTimeoutMs: 0,
  idleTimeoutMs: 0,
  onAbort: 'cancel',
  cancelGraceMs: 1_000,
  drainTimeoutMs: 0,
};

/** Takes down what is written, in order; nothing of it ever waits. */
class PaperWire {
  written = '';
  destroyed = false;
  readonly buffered = 0;
  readonly ended = false;

  write(bytes: Uint8Array): boolean {
    this.written += Buffer.from(bytes).toString('latin1');
    return true;
  }

  writeBorrowed(bytes: Uint8Array): boolean {
    return this.write(bytes);
  }

  cork(): void {}
  uncork(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}

  destroy(): void {
    this.destroyed = true;
  }
}

class Pool implements ConnectionOwner {
  readonly returned: ClientExchange[] = [];
  released(): void {}
  gone(): void {}

  again(exchange: ClientExchange): void {
    this.returned.push(exchange);
  }

  graceExpired(): void {}
}

class Reply implements ReplySink {
  writer = null;
  readonly calls: string[] = [];

  informational(head: ResponseHead): void {
    this.calls.push(`informational ${head.status}`);
  }

  head(head: ResponseHead): void {
    this.calls.push(`head ${head.status}`);
  }

  write(chunk: Uint8Array): boolean {
    this.calls.push(`write ${Buffer.from(chunk).toString('latin1')}`);
    return true;
  }

  end(): void {
    this.calls.push('end');
  }

  abort(failure: { code: string }): void {
    this.calls.push(`abort ${failure.code}`);
  }

  settled(): void {
    this.calls.push('settled');
  }
}

function connect(pool: Pool): { connection: ClientConnection; wire: PaperWire } {
  const connection = new ClientConnection(options, pool, new ResponseHead(100));
  const wire = new PaperWire();
  connection.attach(wire as unknown as Wire);
  return { connection, wire };
}

function ask(text: string, reply = new Reply()): { exchange: ClientExchange; reply: Reply } {
  const head = new RequestHead();
  const bytes = Buffer.from(text, 'latin1');
  expect(parseRequest(head, bytes, 0, bytes.length, httpLimits)).toBe(bytes.length);
  return { exchange: new ClientExchange(loop, head, '', reply, new Notes(0)), reply };
}

function hear(connection: ClientConnection, text: string): void {
  const bytes = Buffer.from(text, 'latin1');
  connection.received(bytes, 0, bytes.length);
}

/** A connection that has served one request. */
function used(pool: Pool): ReturnType<typeof connect> {
  const made = connect(pool);
  made.connection.opened();
  const { exchange } = ask('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  made.connection.start(exchange);
  exchange.end();
  hear(made.connection, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  made.wire.written = '';
  return made;
}

for (const [framing, field, first, second, last] of [
  ['Content-Length', 'Content-Length: 11', 'first', 'second', ''],
  ['chunked', 'Transfer-Encoding: chunked', '5\r\nfirst\r\n', '6\r\nsecond\r\n', '0\r\n\r\n'],
] as const) {
  test(`a body that goes on while its request is sent again stays in order behind its head (${framing}) [fault 20]`, async () => {
    const pool = new Pool();
    const { connection, wire } = used(pool);
    const { exchange, reply } = ask(`PUT /a HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`);
    connection.start(exchange);
    exchange.write(Buffer.from('first'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(wire.written).toContain(first);
    connection.finished();
    expect(pool.returned).toEqual([exchange]);
    const fresh = connect(pool);
    fresh.connection.start(exchange);
    exchange.write(Buffer.from('second'));
    exchange.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect(fresh.wire.written).toBe('');
    fresh.connection.opened();
    await new Promise((resolve) => setImmediate(resolve));
    expect(fresh.wire.written).toMatch(/^PUT \/a HTTP\/1\.1\r\n/);
    expect(fresh.wire.written.split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe(first + second + last);
    hear(fresh.connection, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    expect(reply.calls).toEqual(['head 200', 'end', 'settled']);
  });
}

test('a head that has not left yet is not given back to its slab, even when an upstream answers before it was asked', async () => {
  const pool = new Pool();
  const { connection, wire } = used(pool);
  const released: number[] = [];
  const { slabs } = loop;
  const release = slabs.release.bind(slabs);
  slabs.release = (slab, n) => {
    released.push(n);
    release(slab, n);
  };
  try {
    // Repeatable, so that its head may be needed again; its body is still to come, so that the head waits for the end of the turn.
    const { exchange } = ask('PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n');
    connection.start(exchange);
    hear(connection, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
    expect(wire.written).toBe('');
    expect(released).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(wire.written).toContain('PUT /a');
  } finally {
    slabs.release = release;
  }
});
