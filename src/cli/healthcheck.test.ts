import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { run } from './run.ts';

const servers: http.Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close().closeAllConnections()));

async function serve(status: number | null, body = 'ok\n'): Promise<number> {
  const server = http.createServer((_, response) => {
    if (status !== null) response.writeHead(status).end(body);
  });
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function check(words: readonly string[], env: Record<string, string> = {}): Promise<[code: number, said: string]> {
  const world = fakeWorld(env);
  const code = await run(['healthcheck', ...words], world);
  return [code, world.out() + world.err()];
}

test('200 is healthy: one line, exit code 0', async () => {
  const url = `http://127.0.0.1:${await serve(200)}/readyz`;
  expect(await check([url])).toEqual([0, `healthy: ${url} answered 200 (ok)\n`]);
  expect((await check(['--url', url]))[0]).toBe(0);
});

test('anything else is not: one line, exit code 1', async () => {
  const url = `http://127.0.0.1:${await serve(503, 'not ready\n\u001b[31m')}/readyz`;
  expect(await check([url])).toEqual([1, `unhealthy: ${url} answered 503 (not ready [31m)\n`]);
  const gone = `http://127.0.0.1:1/readyz`;
  expect(await check([gone])).toEqual([1, `unhealthy: ${gone} does not answer (ECONNREFUSED)\n`]);
});

test('who does not answer in time is unhealthy', async () => {
  const url = `http://127.0.0.1:${await serve(null)}/`;
  expect(await check([url, '--timeout', '50ms'])).toEqual([1, `unhealthy: ${url} does not answer (no answer within 50 ms)\n`]);
});

test('without an address it asks where the program of this environment listens', async () => {
  const port = await serve(200);
  for (const address of [`127.0.0.1:${port}`, `0.0.0.0:${port}`, `:${port}`])
    expect(await check([], { WINDLASS_ADMIN_ADDR: address })).toEqual([0, `healthy: http://127.0.0.1:${port}/readyz answered 200 (ok)\n`]);
});

test.each([['nonsense'], ['ftp://x'], ['http://']])('%s is no address', async (url) => {
  const [code, said] = await check([url]);
  expect([code, said]).toEqual([2, `windlass: --url "${url}" is no URL; write it as http://127.0.0.1:9080/readyz\n`]);
});
