import net from 'node:net';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kit, metric } from '../kit/kit.ts';
import { Program } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const { startOrigin, rawClient, later } = kit();
const program = new Program();

beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const CROWD = 150;

test.runIf(existsSync('/proc/self/stat'))(
  'a proxy that runs out of file descriptors stays alive, serves who is there, does not spin, and recovers [fault 38]',
  async () => {
    const origin = await startOrigin((request, response) => {
      request.on('end', () => setTimeout(() => response.end('ok'), request.url === '/slow' ? 300 : 0));
    });
    const argv = ['proxy', '--from', '127.0.0.1:0', '--to', `127.0.0.1:${origin.port}`, '--admin-addr', '127.0.0.1:0', '--log-format', 'json'];
    // Without the bound that is kept by itself, so that they do run out.
    argv.push('--max-connections', '10000');
    const proxy = program.run(argv, 80);
    const port = await proxy.port('the proxy listens');
    const admin = { adminAddress: { port: await proxy.port('/metrics') } };
    const steady = await rawClient({ port });
    steady.send(GET);
    expect((await steady.answer()).status).toBe(200);
    const early = await Promise.all(Array.from({ length: 8 }, () => rawClient({ port })));

    const crowd = Array.from({ length: CROWD }, () => net.connect(port, '127.0.0.1'));
    later(() => crowd.forEach((socket) => socket.destroy()));
    let ended = 0;
    for (const socket of crowd) {
      socket.on('error', () => {});
      socket.on('close', () => ended++);
      socket.resume();
    }
    await until('descriptors to run out', () => ended > 0);

    // Those who are connected: kept-alive upstream connections serve them, new ones cannot be opened.
    for (let i = 0; i < 5; i++) {
      steady.send(GET);
      expect((await steady.answer()).status).toBe(200);
    }
    for (const client of early) client.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    const statuses = await Promise.all(early.map(async (client) => (await client.answer()).status));
    expect(statuses.every((status) => status === 200 || status === 503)).toBe(true);
    expect(statuses).toContain(503);

    const before = proxy.cpuMs;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(proxy.cpuMs - before).toBeLessThan(500);
    expect(proxy.alive).toBe(true);

    for (const socket of crowd) socket.destroy();
    await until('a new client to be served', async () => {
      const client = await rawClient({ port });
      client.send(GET);
      const answer = await client.answer().catch(() => null);
      client.socket.destroy();
      return answer?.status === 200;
    });
    for (const client of early) {
      client.send(GET);
      expect((await client.answer()).status).toBe(200);
    }
    await until('all to be over', async () => (await metric(admin, 'windlass_requests_in_flight')) === 0);
    expect(proxy.alive).toBe(true);
    expect(proxy.err).not.toMatch(/Error:|at .*\.js:\d+|uncaught/i);
  },
  30_000,
);
