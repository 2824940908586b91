import { Buffer } from 'node:buffer';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { startGrpcOrigin } from '../kit/grpc.ts';
import { kit } from '../kit/kit.ts';
import { soon } from '../kit/until.ts';

const tools = kit();

const SCRIPT = fileURLToPath(new URL('grpc_client.py', import.meta.url));
const FIXTURES = fileURLToPath(new URL('../fixtures/', import.meta.url));
const [PEM, KEY, CA] = [join(FIXTURES, 'one.pem'), join(FIXTURES, 'one.key'), join(FIXTURES, 'ca.pem')];

/** Whichever Python has gRPC: that of Debian's packages, as a rule. */
const python = ['/usr/bin/python3', 'python3'].find((one) => spawnSync(one, ['-c', 'import grpc']).status === 0);
if (python === undefined) console.warn('the gRPC tests with grpcio are skipped: install python3-grpcio');

/** What the cases come to. */
async function casesAt(port: number, ...more: string[]): Promise<Record<string, unknown>> {
  // A proxy of the environment is none for loopback.
  const child = spawn(python!, [SCRIPT, String(port), ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], no_proxy: '*' },
  });
  tools.later(() => child.kill('SIGKILL'));
  let said = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const [code] = (await soon('the client to end', once(child, 'close'), 90_000)) as [number];
  expect([code, code === 0 ? '' : complaint]).toEqual([0, '']);
  return JSON.parse(said) as Record<string, unknown>;
}

const BINARY = Buffer.from([0, 1, 127, 128, 255]).toString('base64');
const ERROR = { code: 9, details: '100% größer', trailers: [['grpc-status-details-bin', BINARY]] };
const WANTED = {
  unary: {
    message: 'hello',
    head: expect.arrayContaining([
      ['x-echo-raw-bin', BINARY],
      ['x-echo-raw-bin', Buffer.from('three').toString('base64')],
    ]),
    trailers: [
      ['x-trail-raw-bin', BINARY],
      ['x-trail-text', 'a b'],
    ],
    code: 0,
  },
  streams: { collected: '100 messages, 4950 bytes', emitted: Array.from({ length: 50 }, () => 1000) },
  conversation: Array.from({ length: 20 }, (_, i) => `message ${i}`),
  error: [ERROR, ERROR],
  large: { same: true, bytes: 4 * 1024 * 1024 },
  gzip: true,
  parallel: 100,
  deadline: 4,
  cancel: ['a', 1],
  early: { code: 11, details: 'enough' },
};

describe.skipIf(python === undefined)('grpcio, from Python', () => {
  test('through a gateway with TLS, all cases come out as without one', { timeout: 100_000 }, async () => {
    const origin = await startGrpcOrigin(tools);
    const file = fileTo(origin.port, { server: `tls_cert = "${PEM}"\ntls_key = "${KEY}"\n`, more: 'alpn = "H2"\n' });
    const gateway = await startGatewayOf(tools, file);
    expect(await casesAt(gateway.port(), CA)).toEqual(WANTED);
    const hung = origin.calls.filter(({ metadata }) => metadata.get('x-hang').length > 0);
    expect(hung.length).toBe(2);
    await soon('both to be cancelled', Promise.all(hung.map(({ cancelled }) => cancelled)));
  });

  test('through a hub and an agent, all cases come out as without one', { timeout: 100_000 }, async () => {
    const origin = await startGrpcOrigin(tools);
    const hub = await tools.startHubWith();
    await tools.startAgentFor(hub, origin, { slots: 200, upstreams: [parseUpstreamUrl(`h2c://127.0.0.1:${origin.port}`)] });
    expect(await casesAt(hub.address.port)).toEqual(WANTED);
    const hung = origin.calls.filter(({ metadata }) => metadata.get('x-hang').length > 0);
    await soon('both to be cancelled', Promise.all(hung.map(({ cancelled }) => cancelled)));
  });

  test('[rule R3] without an agent each call is UNAVAILABLE, with the reason', { timeout: 100_000 }, async () => {
    const hub = await tools.startHubWith();
    const results = await casesAt(hub.address.port);
    const unavailable = { unexpected: { code: 14, details: 'No available agent: none is connected' } };
    expect(results).toMatchObject({ unary: unavailable, streams: unavailable, gzip: unavailable, conversation: unavailable, deadline: 14 });
  });
});
