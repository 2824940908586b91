import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { Authority } from '../../src/certs/authority.ts';
import { makeCertificate } from '../../src/certs/certificate.ts';
import { makeKey } from '../../src/certs/signing.ts';
import type { Kit } from './kit.ts';
import { NameServer } from './name-server.ts';
import { until } from './until.ts';

/** Is Let's Encrypt's test server here? Debian's package is called pebble. */
export function hasPebble(): boolean {
  return spawnSync('pebble', ['-h']).error === undefined;
}

export interface PebbleOptions {
  /** What certificates are good for, seconds. */
  readonly lifeS?: number;
  /** Of a hundred good nonces so many are refused. */
  readonly nonceReject?: number;
  /** Accounts need one of these elsewhere: key by its name. */
  readonly external?: Readonly<Record<string, string>>;
  /** Where proofs are looked for: the port of a server under test. */
  readonly httpPort: number;
}

/** Let's Encrypt's test server on loopback, as a process. All names lead to this machine. */
export class Pebble {
  readonly directory: string;
  /** Path of the certificate of the authority that vouches for the server itself. */
  readonly caPath: string;
  readonly #managementPort: number;
  readonly #child: ChildProcess;
  readonly #names: NameServer;
  out = '';

  private constructor(port: number, managementPort: number, caPath: string, child: ChildProcess, names: NameServer) {
    this.directory = `https://127.0.0.1:${port}/dir`;
    this.caPath = caPath;
    this.#managementPort = managementPort;
    this.#child = child;
    this.#names = names;
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (data: Buffer) => (this.out += data.toString()));
  }

  static async start(
    tools: Kit,
    { lifeS = 7_776_000, nonceReject = 0, external, httpPort }: PebbleOptions,
    names: readonly string[],
  ): Promise<Pebble> {
    const folder = tools.folder();
    const dns = await NameServer.start();
    for (const name of names) dns.zone.set(name, { a: ['127.0.0.1'] });
    const key = await makeKey('ecdsa');
    const [notBeforeMs, notAfterMs] = [Date.now() - 60_000, Date.now() + 86_400_000];
    const ca = makeCertificate({ names: ['Test CA of pebble'], isAuthority: true, key, notBeforeMs, notAfterMs, issuer: null });
    const leaf = new Authority(ca, key, () => Date.now()).leafFor(['127.0.0.1'])!;
    const path = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const [port, managementPort] = [await freePort(), await freePort()];
    const config = {
      listenAddress: `127.0.0.1:${port}`,
      managementListenAddress: `127.0.0.1:${managementPort}`,
      certificate: path('server.pem', leaf.cert),
      privateKey: path('server.key', leaf.key),
      httpPort,
      tlsPort: 1,
      ocspResponderURL: '',
      externalAccountBindingRequired: external !== undefined,
      externalAccountMACKeys: external ?? {},
      certificateValidityPeriod: lifeS,
    };
    const env = { PATH: process.env['PATH'], PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: String(nonceReject) };
    const child = spawn('pebble', ['-strict', '-config', path('config.json', JSON.stringify({ pebble: config })), '-dnsserver', dns.address], {
      env,
    });
    const pebble = new Pebble(port, managementPort, path('ca.pem', ca), child, dns);
    tools.later(() => pebble.#close());
    await until('pebble', async () => (await pebble.root().catch(() => '')) !== '');
    return pebble;
  }

  /** The authority of the certificates that it gives, PEM. */
  root(): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { port: this.#managementPort, host: '127.0.0.1', path: '/roots/0', rejectUnauthorized: false, agent: false };
      https
        .get(options, (response) => {
          let text = '';
          response.on('data', (data: Buffer) => (text += data.toString()));
          response.on('end', () => resolve(text));
        })
        .on('error', reject);
    });
  }

  #close(): void {
    this.#child.kill('SIGKILL');
    this.#names.close();
  }
}

/** A port of loopback that is free now. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
