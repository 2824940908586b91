import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type tls from 'node:tls';
import { expect, test } from 'vitest';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, metric, metricBecomes, portOf } from '../kit/kit.ts';
import { FIXTURES, tlsClient } from '../kit/tls-client.ts';
import { soon, until } from '../kit/until.ts';

const made = kit();
const { startOrigin, startDirect, folder } = made;

const ONE = { certFile: join(FIXTURES, 'one.pem'), keyFile: join(FIXTURES, 'one.key') };
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

interface Visit {
  readonly session: Buffer;
  readonly reused: boolean;
  readonly subject: string;
}

/** One request, with a session from before or without. */
async function visit(port: number, options: tls.ConnectionOptions): Promise<Visit> {
  const client = await tlsClient(made, port, options);
  const { socket } = client;
  expect((await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status).toBe(200);
  // With TLS 1.3 it comes behind the handshake, but before the answer.
  const kept = socket.getSession()!;
  const reused = socket.isSessionReused();
  const subject = reused ? '' : String(socket.getPeerCertificate().subject.CN);
  socket.destroy();
  return { session: kept, reused, subject };
}

test.each(VERSIONS)('%s: a client takes up its session again, also after a new certificate and a new configuration', async (version) => {
  const origin = await startOrigin();
  const files = { cert: join(folder(), 'cert.pem'), key: join(folder(), 'key.pem') };
  copyFileSync(ONE.certFile, files.cert);
  copyFileSync(ONE.keyFile, files.key);
  const server = `tls_cert = "${files.cert}"\ntls_key = "${files.key}"\n`;
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server }));
  const only = { minVersion: version, maxVersion: version };
  const first = await visit(gateway.port(), only);
  expect([first.reused, first.subject]).toEqual([false, 'one.test']);
  const second = await visit(gateway.port(), { ...only, session: first.session });
  expect(second.reused).toBe(true);
  await gateway.change(fileTo(origin.port, { server: `${server}max_body = "1MiB"\n` }));
  const third = await visit(gateway.port(), { ...only, session: second.session });
  expect(third.reused).toBe(true);
  copyFileSync(join(FIXTURES, 'two.pem'), files.cert);
  copyFileSync(join(FIXTURES, 'two.key'), files.key);
  await until('the new certificate', async () => (await visit(gateway.port(), only)).subject === 'two.test');
  expect((await visit(gateway.port(), { ...only, session: third.session })).reused).toBe(true);
  expect(await metric(gateway, 'windlass_tls_handshakes_total{result="resumed"}')).toBe(3);
  expect(await metric(gateway, 'windlass_tls_handshakes_total{result="full"}')).toBeGreaterThanOrEqual(2);
});

test('a session that began under one certificate name is taken up under all of them, by every listener of the process', async () => {
  const origin = await startOrigin();
  const certificate = (name: string): string =>
    `[certificates.${name}]\ndomains = ["${name}.test"]\ntls_cert = "${FIXTURES}${name}.pem"\ntls_key = "${FIXTURES}${name}.key"\n`;
  const gateway = await startGatewayOf(
    made,
    fileTo(origin.port, { server: 'global_certificates = true', more: certificate('one') + certificate('two') }),
  );
  const as = { servername: 'two.test', checkServerIdentity: () => undefined };
  const first = await visit(gateway.port(), as);
  expect([first.reused, first.subject]).toEqual([false, 'two.test']);
  expect((await visit(gateway.port(), { ...as, session: first.session })).reused).toBe(true);
});

test('a day later another key seals: a session of before begins anew, and who comes is served all the same', async () => {
  let aheadMs = 0;
  const clock = { now: () => performance.now() + aheadMs, wall: () => Date.now() + aheadMs };
  const proxy = await startDirect({ to: await startOrigin(), tls: ONE }, { clock });
  const { session } = await visit(portOf(proxy), {});
  expect((await visit(portOf(proxy), { session })).reused).toBe(true);
  aheadMs = 86_400_000;
  const later = await visit(portOf(proxy), { session });
  expect(later.reused).toBe(false);
  expect((await visit(portOf(proxy), { session: later.session })).reused).toBe(true);
});

const openssl = ((): boolean => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
if (!openssl) console.warn('openssl is not there: what it says of sessions and of early data is not tested here');

/** What `openssl s_client` prints. */
async function sClient(port: number, input: string, ...options: string[]): Promise<string> {
  const child = spawn('openssl', [
    's_client',
    '-connect',
    `127.0.0.1:${port}`,
    '-servername',
    'localhost',
    '-CAfile',
    join(FIXTURES, 'ca.pem'),
    ...options,
  ]);
  made.later(() => child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  child.stdin.on('error', () => {});
  child.stdin.write(input);
  await soon('the end of s_client', new Promise((resolve) => child.on('close', resolve)));
  return text;
}

test.runIf(openssl)('openssl takes sessions up again, and is offered no early data; what it sends as such is not served [threat 52]', async () => {
  const origin = await startOrigin();
  const proxy = await startDirect({ to: origin, tls: ONE });
  const port = portOf(proxy);
  const request = 'GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  const file = join(folder(), 'session');
  const first = await sClient(port, request, '-tls1_3', '-ign_eof', '-sess_out', file);
  expect(first).toContain('Verify return code: 0 (ok)');
  expect(first).toContain('HTTP/1.1 200');
  expect(readFileSync(file, 'latin1')).toContain('BEGIN SSL SESSION');
  expect(first).toMatch(/Max Early Data: 0/);
  expect(first).toMatch(/lifetime hint: 3600 \(seconds\)/);
  const early = join(folder(), 'early');
  writeFileSync(early, 'GET /early HTTP/1.1\r\nHost: a\r\n\r\n');
  const second = await sClient(port, request, '-tls1_3', '-ign_eof', '-sess_in', file, '-early_data', early);
  expect(second).toMatch(/^Reused, TLSv1\.3/m);
  expect(second).toMatch(/Early data was not sent|Early data was rejected/);
  expect(origin.requests.map(({ url }) => url)).toEqual(['/late', '/late']);
  const reconnects = await sClient(port, 'Q\n', '-tls1_2', '-reconnect');
  expect(reconnects.match(/^Reused, TLSv1\.2/gm)).toHaveLength(5);
  await metricBecomes(proxy, 'windlass_tls_handshakes_total{result="resumed"}', (n) => n === 6);
});

test.runIf(openssl)('openssl cannot renegotiate [threat 52]', async () => {
  const proxy = await startDirect({ to: await startOrigin(), tls: ONE });
  const said = await sClient(portOf(proxy), 'R\n', '-tls1_2');
  expect(said).toMatch(/RENEGOTIATING[^]*no renegotiation/);
  expect(said).not.toContain('HTTP/1.1 200');
});
