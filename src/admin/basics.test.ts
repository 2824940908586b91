import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { type Handler, Notes, type ReplySink } from '../http/exchange.ts';
import { RequestHead, type ResponseHead } from '../http/head.ts';
import { Registry } from '../observe/metrics.ts';
import { basics, type Readiness } from './basics.ts';

/** Takes an answer apart, and insists on the order of calls. */
class Caught implements ReplySink {
  writer = null;
  status = 0;
  length = 0;
  body = '';
  calls: string[] = [];
  #head: ResponseHead | null = null;

  informational(): void {
    this.calls.push('informational');
  }

  head(head: ResponseHead): void {
    this.calls.push('head');
    this.status = head.status;
    this.length = head.length;
    this.#head = head;
  }

  write(chunk: Uint8Array): boolean {
    this.calls.push('write');
    this.body += Buffer.from(chunk).toString('utf8');
    return true;
  }

  end(): void {
    this.calls.push('end');
  }

  abort(): void {
    this.calls.push('abort');
  }

  settled(): void {
    this.calls.push('settled');
  }

  field(name: string): string | undefined {
    return this.#head?.get(name);
  }
}

/** gRPC's health service, which nothing here asks. */
const nobody: Handler = {
  open() {
    throw new Error('nobody asked for it');
  },
};

function ask(method: string, target: string, readiness: Readiness = { ok: true, detail: { agents: 2 } }): Caught {
  const metrics = new Registry();
  metrics.counter('windlass_things_total', 'Things.').value = 5;
  const request = new RequestHead();
  request.method = method;
  request.newTarget = target;
  const reply = new Caught();
  const body = basics({ ready: () => readiness, metrics, health: nobody }).open(request, reply, new Notes(0));
  expect(body.write(Buffer.from('a body nobody asked for'))).toBe(true);
  body.end();
  body.settled();
  return reply;
}

test.each(['/healthz', '/livez', '/readyz'])('%s says ok', (path) => {
  const reply = ask('GET', path);
  expect([reply.status, reply.body, reply.length]).toEqual([200, 'ok\n', 3]);
  expect(reply.calls).toEqual(['head', 'write', 'end', 'settled']);
  expect(reply.field('cache-control')).toBe('no-store');
});

test('/readyz is 503 while there is no work to be taken; /healthz stays 200', () => {
  const not = { ok: false, detail: { draining: true } };
  expect(ask('GET', '/readyz', not).status).toBe(503);
  expect(ask('GET', '/healthz', not).status).toBe(200);
});

test('/readyz?verbose says why, as JSON', () => {
  const reply = ask('GET', '/readyz?verbose', { ok: false, detail: { draining: true } });
  expect(reply.status).toBe(503);
  expect(reply.field('content-type')).toBe('application/json');
  expect(JSON.parse(reply.body)).toEqual({ ready: false, draining: true });
});

test('/metrics is Prometheus text', () => {
  const reply = ask('GET', '/metrics');
  expect(reply.field('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(reply.body).toContain('windlass_things_total 5\n');
});

test('/status is JSON in printable ASCII, whatever names say, and only where there is something to tell [threat 61]', () => {
  const metrics = new Registry();
  const request = new RequestHead();
  request.method = 'GET';
  request.newTarget = '/status';
  const told = { name: '</script>\u001b[2J\u202e\u2028\u0085é', __proto__: { hidden: 1 } };
  const reply = new Caught();
  basics({ ready: () => ({ ok: true, detail: {} }), metrics, status: () => told, health: nobody }).open(request, reply, new Notes(0));
  expect(reply.status).toBe(200);
  expect(reply.field('content-type')).toBe('application/json');
  expect(reply.body).toMatch(/^[\x20-\x7e]+\n$/);
  expect(reply.body).not.toMatch(/[<>]/);
  expect(JSON.parse(reply.body)).toEqual({ name: told.name });
  expect(ask('GET', '/status').status).toBe(404);
});

test('HEAD gets the length and no body', () => {
  const reply = ask('HEAD', '/healthz');
  expect([reply.status, reply.length]).toEqual([200, 3]);
  expect(reply.calls).toEqual(['head', 'end', 'settled']);
});

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is 405 with Allow: nothing here takes writes', (method) => {
  const reply = ask(method, '/metrics');
  expect(reply.status).toBe(405);
  expect(reply.field('allow')).toBe('GET, HEAD');
  expect(JSON.parse(reply.body)).toMatchObject({ status: 405, title: 'Method Not Allowed', code: 'method_not_allowed' });
});

test.each(['/', '/nothing', '/healthz/', '//healthz', '/__proto__', '/constructor', '*'])('%s is 404 as problem+json [threat 59]', (target) => {
  const reply = ask('GET', target);
  expect(reply.status).toBe(404);
  expect(reply.field('content-type')).toBe('application/problem+json');
  expect(JSON.parse(reply.body)).toMatchObject({ type: 'about:blank', title: 'Not Found', status: 404, code: 'not_found' });
});
