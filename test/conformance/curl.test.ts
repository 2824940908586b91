// What curl makes of a hub and its agent: over HTTP/1.0, 1.1 and 2, with and without TLS.
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import type http from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { kit } from '../kit/kit.ts';
import { FIXTURES } from '../kit/tls-client.ts';

const tools = kit();

/** Protocols and features of the curl that there is; '' without one. */
const about = ((): string => {
  try {
    return execFileSync('curl', ['--version'], { encoding: 'latin1' });
  } catch {
    return '';
  }
})();
const hasHttp2 = /\bHTTP2\b/.test(about);
const hasWebSocket = /^Protocols:.*\bws\b/m.test(about);
if (about === '') console.warn('SKIPPED: no curl here (apt-get install curl): nothing was seen of it');
else if (!hasHttp2) console.warn('SKIPPED: this curl has no HTTP/2');
if (about !== '' && !hasWebSocket) console.warn('SKIPPED: this curl has no WebSocket (ws:// in curl --version); its upgrade is made by hand');

interface Ran {
  readonly code: number;
  readonly out: Buffer;
}

/** `input`: what it reads from its standard input. */
async function curl(args: readonly string[], input: Buffer | string = ''): Promise<Ran> {
  const child = spawn('curl', ['-sS', '--max-time', '20', '--noproxy', '*', ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  const exited = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const out = await buffer(child.stdout);
  return { code: await exited, out };
}

const BODY = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) & 0xff));
const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Says what it was asked, or gives out BODY. */
async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const body = await buffer(request);
  if (request.url === '/body') response.writeHead(200, { 'content-length': BODY.length }).end(BODY);
  else if (request.url === '/chunked') for (let at = 0; at < BODY.length; at += 10_000) response.write(BODY.subarray(at, at + 10_000));
  else if (request.url === '/none') response.writeHead(204);
  else response.end(`${request.method} ${request.url} ${body.length} ${sha(body)}`);
  if (!response.writableEnded) response.end();
}

const TLS = ['--cacert', `${FIXTURES}ca.pem`];

/** How curl is told to speak, and what version its answers then have. Only TLS and prior knowledge lead to HTTP/2: `Upgrade: h2c` is ignored. */
const WAYS: [string, { readonly args: readonly string[]; readonly tls: boolean; readonly version: string }][] = [
  ['--http1.0', { args: ['--http1.0'], tls: false, version: '1.1' }],
  ['--http1.1', { args: ['--http1.1'], tls: false, version: '1.1' }],
  ...(hasHttp2
    ? ([
        ['--http2 without TLS (an upgrade to h2c)', { args: ['--http2'], tls: false, version: '1.1' }],
        ['--http2-prior-knowledge', { args: ['--http2-prior-knowledge'], tls: false, version: '2' }],
        ['--http2 with TLS', { args: ['--http2', ...TLS], tls: true, version: '2' }],
      ] as [string, { args: string[]; tls: boolean; version: string }][])
    : []),
  ['--http1.1 with TLS', { args: ['--http1.1', ...TLS], tls: true, version: '1.1' }],
];

async function startBoth(tls: boolean): Promise<string> {
  const origin = await tools.startOrigin((request, response) => void answer(request, response));
  const hub = await tools.startHubWith(tls ? { tls: { certFile: `${FIXTURES}one.pem`, keyFile: `${FIXTURES}one.key` } } : {});
  await startAgent(hub, origin, tls);
  return `${tls ? 'https' : 'http'}://localhost:${hub.address.port}`;
}

async function startAgent(hub: Awaited<ReturnType<typeof tools.startHubWith>>, origin: { readonly port: number }, tls: boolean): Promise<void> {
  const { parseUpstreamUrl } = await import('../../src/schema/upstream-url.ts');
  await tools.startAgentFor(hub, origin, {
    slots: 16,
    ...(tls ? { hubs: [parseUpstreamUrl(`https://localhost:${hub.address.port}`)], caFile: `${FIXTURES}ca.pem` } : {}),
  });
}

describe.skipIf(about === '').each(WAYS)('curl %s', (_, { args, tls, version }) => {
  test('gets bodies whole, of known and unknown length', async () => {
    const base = await startBoth(tls);
    for (const path of ['/body', '/chunked']) {
      const { code, out } = await curl([...args, '-w', '%{stderr}', `${base}${path}`]);
      expect([code, out.length, sha(out)]).toEqual([0, BODY.length, sha(BODY)]);
    }
  });

  test('speaks the version that it should', async () => {
    const base = await startBoth(tls);
    const { out } = await curl([...args, '-o', '/dev/null', '-w', '%{http_version} %{http_code}', `${base}/`]);
    expect(out.toString()).toBe(`${version} 200`);
  });

  test('sends bodies, from a file with 100-continue and from a pipe', async () => {
    const base = await startBoth(tls);
    const file = join(tools.folder(), 'body');
    writeFileSync(file, BODY);
    const whole = `300000 ${sha(BODY)}`;
    expect((await curl([...args, '-H', 'Expect: 100-continue', '--data-binary', `@${file}`, `${base}/post`])).out.toString()).toBe(
      `POST /post ${whole}`,
    );
    expect((await curl([...args, '-T', file, `${base}/put`])).out.toString()).toBe(`PUT /put ${whole}`);
    // A client of HTTP/1.0 cannot say where a piped body ends.
    if (args[0] !== '--http1.0') expect((await curl([...args, '-T', '-', `${base}/piped`], BODY)).out.toString()).toBe(`PUT /piped ${whole}`);
  });

  test('HEAD and 204 end at once', async () => {
    const base = await startBoth(tls);
    const head = await curl([...args, '-I', `${base}/body`]);
    expect([head.code, /^content-length: 300000\r$/im.test(head.out.toString())]).toEqual([0, true]);
    const none = await curl([...args, '-o', '/dev/null', '-w', '%{http_code} %{size_download}', `${base}/none`]);
    expect([none.code, none.out.toString()]).toEqual([0, '204 0']);
  });

  test('makes several requests on one connection', async () => {
    const base = await startBoth(tls);
    const { code, out } = await curl([...args, '-w', ' %{num_connects}\n', `${base}/1`, `${base}/2`, `${base}/3`]);
    const lines = out.toString().trim().split('\n');
    // curl 7.88 breaks its own second request by prior knowledge, with every server: 16 is a fault in HTTP/2's framing.
    if (args[0] === '--http2-prior-knowledge' && about.startsWith('curl 7.88.')) {
      expect(code).toBe(16);
      return;
    }
    expect([code, lines.length]).toEqual([0, 3]);
    expect(lines.map((line) => Number(line.at(-1)))).toEqual(args[0] === '--http1.0' ? [1, 1, 1] : [1, 0, 0]);
  });
});

test.runIf(hasHttp2)('curl has twenty requests at once over HTTP/2', async () => {
  const base = await startBoth(true);
  const { code, out } = await curl([
    '--http2',
    ...TLS,
    '-Z',
    '--parallel-max',
    '20',
    '-w',
    '%{num_connects}\n',
    '-o',
    '/dev/null',
    `${base}/body?[1-20]`,
  ]);
  expect([code, out.toString().trim().split('\n').length]).toEqual([0, 20]);
});

test.skipIf(about === '')('curl that upgrades by hand gets 101 and the bytes behind it', async () => {
  const origin = await tools.startOrigin();
  origin.server.on('upgrade', (_request, socket) => {
    socket.end(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello`,
    );
  });
  const served = await tools.startDirect({ to: origin });
  const fields = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
  const { out } = await curl(['--http1.1', '-i', ...fields.flatMap((one) => ['-H', one]), `http://127.0.0.1:${served.address.port}/`]);
  expect(out.toString()).toMatch(/^HTTP\/1\.1 101 [^]*\r\n\r\nhello$/);
});
