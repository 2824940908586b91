import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { FIXTURES } from '../kit/tls-client.ts';

const made = kit();

/** Protocols and TLS libraries of the curl that there is; '' without one. */
const curl = ((): string => {
  try {
    return execFileSync('curl', ['--version'], { encoding: 'latin1' });
  } catch {
    return '';
  }
})();
if (curl === '') console.warn('curl is not there: what it makes of client certificates and of the redirect is not tested here');
else if (!/\bHTTP2\b/.test(curl)) console.warn('this curl has no HTTP/2: certificates over it are not tested with curl');

async function ask(...options: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('curl', ['-sS', '--max-time', '10', '--noproxy', '*', '--cacert', `${FIXTURES}ca.pem`, ...options]);
  return stdout;
}

const ALICE = ['--cert', `${FIXTURES}alice.pem`, '--key', `${FIXTURES}alice.key`];

test.runIf(curl !== '')('curl shows its certificate over HTTP/1.1 and HTTP/2, is turned away without, and follows from http to https', async () => {
  const origin = await made.startOrigin((request, response) => response.end(`${request.method} ${String(request.headers['x-cn'])} ${request.url}`));
  const pair = `tls_cert = "${FIXTURES}one.pem"\ntls_key = "${FIXTURES}one.key"\ntls_client_ca = "${FIXTURES}client-ca.pem"\n`;
  const text = (httpsPort: number): string =>
    fileTo(origin.port, {
      server: pair,
      location: 'proxy_set_headers = ["X-Cn: $tls_client_cn"]',
      more: `[servers.plain]\naddr = "127.0.0.1:0"\nredirect_https = ${httpsPort}\n`,
    });
  const gateway = await startGatewayOf(made, text(443));
  const port = gateway.port('main');
  await gateway.change(text(port));
  for (const http of ['--http1.1', ...(/\bHTTP2\b/.test(curl) ? ['--http2'] : [])]) {
    expect(await ask(http, ...ALICE, `https://localhost:${port}/a`)).toBe('GET alice /a');
    await expect(ask(http, `https://localhost:${port}/a`)).rejects.toThrow();
  }
  expect(origin.requests.length).toBe(/\bHTTP2\b/.test(curl) ? 2 : 1);
  const plain = `http://localhost:${gateway.port('plain')}/b?c=d`;
  expect(await ask('-L', ...ALICE, '--data', 'x', plain)).toBe('POST alice /b?c=d');
});
