import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { expect, test } from 'vitest';
import { CHALLENGE_PATH } from '../../src/certs/acme/http-01.ts';
import { makeCertificate } from '../../src/certs/certificate.ts';
import { makeKey } from '../../src/certs/signing.ts';
import { run } from '../../src/cli/run.ts';
import { readText } from '../../src/config/read-text.ts';
import { SettingsError } from '../../src/config/settings-error.ts';
import { fakeWorld } from '../config/world.ts';
import { AcmeServer } from '../kit/acme-server.ts';
import { ask } from '../kit/ask.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { until } from '../kit/until.ts';

const tools = kit();

const QUICK = { pollMs: 1, pollMaxMs: 5, retryMs: 5, retryMaxMs: 50, lookMs: 5 };

/** The certificate that a client sees. `ca`: it must be believed, and be for the name; else a handshake fails. */
async function shown(port: number, of: tls.ConnectionOptions): Promise<X509Certificate> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: of.ca !== undefined, ...of });
  tools.later(() => socket.destroy());
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerX509Certificate()!;
  socket.destroy();
  return certificate;
}

async function status(
  gateway: TestGateway,
): Promise<{ certificate: string; notAfter: string; order?: { state: string; failures: number; lastError: string } }[]> {
  const page = (await (await fetch(`http://127.0.0.1:${gateway.adminAddress!.port}/status`)).json()) as { certificates: never };
  return page.certificates;
}

const all = (server: string): string => `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
${server}
[locations.all]
path = "/"
plugins = ["here"]
[plugins.here]
category = "mock"
path = "/"
data = "here"
`;

test('with self_signed any name gets a certificate that who trusts our authority believes, also after a restart', async () => {
  const stateDir = tools.folder();
  const gateway = await startGatewayOf(tools, all('self_signed = true'), { stateDir });
  const path = gateway.developmentCa!;
  expect(path).toBe(join(stateDir, 'development-ca', 'ca.pem'));
  const ca = readFileSync(path);
  for (const servername of ['localhost', 'app.test', 'a.b.c.example.com']) {
    expect((await shown(gateway.port(), { servername, ca })).subjectAltName).toBe(`DNS:${servername}`);
  }
  // Who dials an address names nobody.
  const unnamed = await shown(gateway.port(), { ca });
  expect(unnamed.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(unnamed.subjectAltName).toContain(`DNS:${hostname().toLowerCase()}`);
  const line = gateway.log.lines.find(({ message }) => message.startsWith('an authority for development was made'))!;
  expect(line.fields).toMatchObject({ ca: path, sha256: new X509Certificate(ca).fingerprint256 });
  expect(await status(gateway)).toMatchObject([{ certificate: 'self_signed' }]);
  gateway.destroy();
  const again = await startGatewayOf(tools, all('self_signed = true'), { stateDir });
  expect((await shown(again.port(), { servername: 'app.test', ca })).ca).toBe(false);
});

test('who starts it by hand is told the line to type', async () => {
  const folder = tools.folder();
  const file = join(folder, 'windlass.toml');
  writeFileSync(file, `[basic]\nadmin_addr = "off"\nlog_format = "pretty"\n${all('self_signed = true')}`);
  const world = { ...fakeWorld(), readText };
  const code = run(['run', file, '--state-dir', join(folder, 'state')], world);
  tools.later(() => code);
  tools.later(() => world.signal('SIGTERM'));
  const line = await until('the line', () => /^curl .*$/m.exec(world.err())?.[0]);
  expect(line).toMatch(new RegExp(`^curl --cacert '${folder}/state/development-ca/ca\\.pem' https://127\\.0\\.0\\.1:\\d+/$`));
});

test('without a folder nothing is made or ordered, and the start says why', async () => {
  await expect(startGatewayOf(tools, all('self_signed = true'))).rejects.toEqual(
    new SettingsError(['self_signed needs a folder for what must outlive the process; give one with --state-dir']),
  );
  const ordered = all('global_certificates = true') + '[certificates.site]\ndomains = "a.test"\nacme = "lets_encrypt"\n';
  await expect(startGatewayOf(tools, ordered)).rejects.toEqual(
    new SettingsError(['certificates.site.acme needs a folder for what must outlive the process; give one with --state-dir']),
  );
  const folder = tools.folder();
  writeFileSync(join(folder, 'file'), '');
  await expect(startGatewayOf(tools, ordered, { stateDir: join(folder, 'file') })).rejects.toThrow('--state-dir');
  await expect(startGatewayOf(tools, all('self_signed = true'), { stateDir: join(folder, 'file') })).rejects.toThrow('--state-dir');
});

test('with is_ca the names of that certificate are served with leaves of it, others are not', async () => {
  const folder = tools.folder();
  const [key, times] = [await makeKey('rsa'), { notBeforeMs: Date.now() - 1000, notAfterMs: Date.now() + 1e9 }];
  const ca = makeCertificate({ names: ['House CA'], isAuthority: true, key, ...times, issuer: null });
  writeFileSync(join(folder, 'ca.pem'), ca);
  writeFileSync(join(folder, 'ca.key'), key.export({ type: 'pkcs8', format: 'pem' }));
  const text = `${all('global_certificates = true')}[certificates.house]\ndomains = ["*.house", "house"]\nis_ca = true\ntls_cert = "${folder}/ca.pem"\ntls_key = "${folder}/ca.key"\n`;
  const gateway = await startGatewayOf(tools, text);
  expect((await shown(gateway.port(), { servername: 'wiki.house', ca })).subject).toBe('CN=wiki.house');
  expect((await shown(gateway.port(), { servername: 'house', ca })).subject).toBe('CN=house');
  for (const servername of ['a.wiki.house', 'example.com']) await expect(shown(gateway.port(), { servername, ca })).rejects.toThrow();
  // The same authority, and the same leaves, as long as it says the same.
  const before = await shown(gateway.port(), { servername: 'wiki.house', ca });
  await gateway.change(`${text}# more\n`);
  expect((await shown(gateway.port(), { servername: 'wiki.house', ca })).serialNumber).toBe(before.serialNumber);
});

/** Who comes for a proof waits until it is open. */
class Gate {
  open = (): void => {};
  passed: Promise<void> = this.#shut();

  #shut(): Promise<void> {
    return new Promise((resolve) => (this.open = resolve));
  }

  shut(): void {
    this.passed = this.#shut();
  }
}

/** A gateway with a server in plain HTTP, which sends everybody to TLS, and one with TLS; and an ACME server that looks at the first. */
async function ordering(more = '', deps: Partial<Parameters<typeof startGatewayOf>[2]> = {}) {
  const server = new AcmeServer();
  await server.listen();
  tools.later(() => server.close());
  const stateDir = tools.folder();
  const text = `${all('global_certificates = true')}
[servers.plain]
addr = "127.0.0.1:0"
locations = ["away"]
[locations.away]
path = "/"
plugins = ["away"]
[plugins.away]
category = "redirect"
http_to_https = true
[certificates.site]
domains = ["a.example.com", "b.example.com"]
acme_directory = "${server.directory}"
is_default = true
${more}`;
  const held = { gateway: null as TestGateway | null };
  const proofs: { name: string; status: number; text: string }[] = [];
  server.validate = async (name, token, proof) => {
    const answer = await ask(held.gateway!.port('plain'), { path: `${CHALLENGE_PATH}${token}`, headers: { host: name } });
    proofs.push({ name, status: answer.status, text: answer.text });
    // What nobody is expected to ask for belongs to the locations, also now.
    const other = await ask(held.gateway!.port('plain'), { path: `${CHALLENGE_PATH}${token}x`, headers: { host: name } });
    if (other.status !== 307) throw new Error(`a path of somebody else was answered with ${other.status}`);
    return answer.text === proof;
  };
  // Nobody is let in before the test has looked around.
  const gate = new Gate();
  const look = server.validate;
  server.validate = async (...of) => {
    await gate.passed;
    return look(...of);
  };
  const gateway = await startGatewayOf(tools, text, { stateDir, acmeLimits: QUICK, random: () => 0.5, ...deps });
  held.gateway = gateway;
  return { server, gateway, text, stateDir, proofs, gate };
}

test('a certificate is ordered while a placeholder serves, proven past every redirect, and shown to new connections', async () => {
  const { server, gateway, proofs, gate } = await ordering();
  const placeholder = await shown(gateway.port('main'), { servername: 'a.example.com' });
  expect(placeholder.issuer).toBe(placeholder.subject);
  await expect(shown(gateway.port('main'), { servername: 'a.example.com', ca: server.ca })).rejects.toThrow();
  expect(await status(gateway)).toMatchObject([{ certificate: 'certificates.site', order: { state: 'placeholder', failures: 0 } }]);
  gate.open();
  await until('the certificate', async () => (await status(gateway))[0]!.order!.state === 'serving');
  const certificate = await shown(gateway.port('main'), { servername: 'b.example.com', ca: server.ca });
  // Who names nobody gets it, too.
  expect((await shown(gateway.port('main'), {})).serialNumber).toBe(certificate.serialNumber);
  expect(proofs.map(({ name, status: code }) => [name, code])).toEqual([
    ['a.example.com', 200],
    ['b.example.com', 200],
  ]);
  // Nor is anybody expected any more.
  expect((await ask(gateway.port('plain'), { path: `${CHALLENGE_PATH}${proofs[0]!.text.split('.')[0]}` })).status).toBe(307);
  const page = await (await fetch(`http://127.0.0.1:${gateway.adminAddress!.port}/metrics`)).text();
  expect(page).toContain('windlass_certificate_orders_total{certificate="site",result="issued"} 1');
  expect(page).toContain(`windlass_certificate_expiry_seconds{certificate="certificates.site"} ${Date.parse(certificate.validTo) / 1000}`);
});

test('a reload orders nothing for a certificate whose settings are the same, and calls off what is not wanted any more', async () => {
  const { server, gateway, text, gate } = await ordering();
  await until('an order', () => server.orders.length === 1);
  await gateway.change(`${text}# the same\n`);
  gate.open();
  await until('the certificate', async () => (await status(gateway))[0]!.order!.state === 'serving');
  await gateway.change(`${text}# the same again\n`);
  expect((await status(gateway))[0]!.order).toMatchObject({ state: 'serving', failures: 0 });
  expect(server.orders).toHaveLength(1);
  expect(server.enrolments).toHaveLength(1);
  // Another name is another certificate; the old one serves until it comes.
  const before = await shown(gateway.port('main'), { servername: 'a.example.com', ca: server.ca });
  gate.shut();
  await gateway.change(text.replace('"b.example.com"', '"c.example.com"'));
  expect((await shown(gateway.port('main'), {})).serialNumber).toBe(before.serialNumber);
  gate.open();
  await until('the other', async () => (await shown(gateway.port('main'), {})).subjectAltName === 'DNS:a.example.com, DNS:c.example.com');
  expect(server.orders).toHaveLength(2);
  gate.shut();
  await gateway.change(text.replace('"b.example.com"', '"d.example.com"'));
  await until('a third order', () => server.orders.length === 3);
  await until('its proof', () => server.asked.at(-1)!.path.startsWith('/challenge'));
  await gateway.change(text.slice(0, text.indexOf('[certificates.site]')).replace('global_certificates = true', ''));
  expect(await status(gateway)).toEqual([]);
  await until('nobody asks any more', async () => (await server.connections()) === 0);
});

test('a certificate is renewed while connections live on, and a restart has the account and the certificate', async () => {
  const { server, gateway, stateDir, text, gate } = await ordering();
  // Due after four seconds.
  server.lifeMs = 6_000;
  gate.open();
  await until('the certificate', async () => (await status(gateway))[0]!.order!.state === 'serving');
  const socket = tls.connect({ port: gateway.port('main'), host: '127.0.0.1', servername: 'a.example.com', ca: server.ca });
  tools.later(() => socket.destroy());
  await once(socket, 'secureConnect');
  const first = socket.getPeerX509Certificate()!.serialNumber;
  server.lifeMs = 90 * 86_400_000;
  await until(
    'another certificate',
    async () => (await shown(gateway.port('main'), { servername: 'a.example.com', ca: server.ca })).serialNumber !== first,
  );
  socket.write('GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n');
  const [data] = (await once(socket, 'data')) as [Buffer];
  expect(data.toString()).toMatch(/^HTTP\/1\.1 200 /);
  expect(server.orders).toHaveLength(2);
  const second = await shown(gateway.port('main'), {});
  gateway.destroy();
  const again = await startGatewayOf(tools, text, { stateDir, acmeLimits: QUICK });
  expect((await shown(again.port('main'), {})).serialNumber).toBe(second.serialNumber);
  expect((await status(again))[0]!.order).toMatchObject({ state: 'serving', failures: 0 });
  expect(server.orders).toHaveLength(2);
  expect(server.enrolments).toHaveLength(1);
});

test('what the server refuses is seen at /status, in the metrics and in the log, and requests are served all the while', async () => {
  const { server, gateway, gate } = await ordering();
  server.validate = () => Promise.resolve(false);
  gate.open();
  const failed = await until('a failure', async () => {
    const { order } = (await status(gateway))[0]!;
    return order!.failures > 0 ? order! : null;
  });
  expect(failed).toMatchObject({ state: 'placeholder' });
  expect(failed.lastError).toContain('the proof of a.example.com is invalid: unauthorized');
  const line = gateway.log.lines.find(({ message }) => message.startsWith('no certificate could be ordered'))!;
  expect(line.fields).toMatchObject({ certificate: 'site', domains: 'a.example.com,b.example.com', failures: 1 });
  expect((await ask(gateway.port('plain'), { path: '/' })).status).toBe(307);
});
