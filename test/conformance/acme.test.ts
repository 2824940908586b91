import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { freePort, hasPebble, Pebble } from '../kit/pebble.ts';
import { Program, type RunningProgram } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const isHere = hasPebble();
if (!isHere) console.warn("the tests against Let's Encrypt's test server are skipped: install pebble (Debian: apt install pebble)");

const NAMES = ['app.example.com', 'www.example.com'];

interface Place {
  readonly port: number;
  readonly plainPort: number;
}

function configOf({ directory, caPath }: Pebble, { port, plainPort }: Place, more = ''): string {
  return `[basic]
admin_addr = "off"
drain_timeout = "1s"
[servers.main]
addr = "127.0.0.1:${port}"
global_certificates = true
locations = ["all"]
[servers.plain]
addr = "127.0.0.1:${plainPort}"
locations = ["all"]
[locations.all]
path = "/"
plugins = ["here"]
[plugins.here]
category = "mock"
path = "/"
data = "here"
[certificates.site]
domains = ${JSON.stringify(NAMES)}
acme = "lets_encrypt"
acme_directory = "${directory}"
acme_ca = "${caPath}"
acme_email = "ops@example.com"
${more}`;
}

/** What a client sees that believes this authority; null: it believes nothing that it sees. */
async function believed(port: number, ca: string, servername = NAMES[0]!): Promise<X509Certificate | null> {
  const socket = tls.connect({ port, host: '127.0.0.1', servername, ca });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate() ?? null;
  } catch {
    return null;
  } finally {
    socket.destroy();
  }
}

async function place(): Promise<Place> {
  return { port: await freePort(), plainPort: await freePort() };
}

function times(text: string, what: string): number {
  return text.split(what).length - 1;
}

describe.skipIf(!isHere)("against Let's Encrypt's test server", () => {
  const program = new Program();
  beforeAll(() => program.build(), 60_000);
  afterAll(() => program.close());

  async function ends(running: RunningProgram): Promise<void> {
    running.child.kill('SIGTERM');
    await once(running.child, 'exit');
  }

  test('windlass run orders a certificate, renews it without a restart, and keeps its account', { timeout: 60_000 }, async () => {
    const at = await place();
    // A third of all nonces is refused; certificates are renewed when they are some seven seconds old.
    const pebble = await Pebble.start(tools, { lifeS: 10, nonceReject: 33, httpPort: at.plainPort }, NAMES);
    const root = await pebble.root();
    const folder = tools.folder();
    const file = join(folder, 'windlass.toml');
    writeFileSync(file, configOf(pebble, at));
    const running = program.run(['run', '-c', file, '--state-dir', join(folder, 'state')]);
    tools.later(() => running.child.kill('SIGKILL'));
    const seen = async (what: string, of: () => Promise<X509Certificate | null>): Promise<X509Certificate> =>
      until(
        what,
        () => {
          if (!running.alive) throw new Error(`it ended: ${running.err}`);
          return of();
        },
        20_000,
      );
    const first = await seen('the first certificate', () => believed(at.port, root));
    expect(first.subjectAltName).toBe('DNS:app.example.com, DNS:www.example.com');
    expect(first.checkHost(NAMES[1]!)).toBe(NAMES[1]);
    await seen('another certificate', async () => {
      const now = await believed(at.port, root, NAMES[1]);
      return now === null || now.serialNumber === first.serialNumber ? null : now;
    });
    expect(times(running.err, 'an account for ordering certificates is ours')).toBe(1);
    expect(running.err).toContain(`"account":"https://127.0.0.1:`);
    for (const name of ['accounts.json', 'certificates.json']) expect(statSync(join(folder, 'state', 'acme', name)).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(folder, 'state', 'acme', 'accounts.json'), 'utf8')).toContain(`${pebble.directory} ops@example.com`);
    await ends(running);
  });

  test('neither SIGHUP nor a restart orders again; the certificate is there from the first handshake on', { timeout: 60_000 }, async () => {
    const at = await place();
    const pebble = await Pebble.start(tools, { httpPort: at.plainPort }, NAMES);
    const root = await pebble.root();
    const folder = tools.folder();
    const file = join(folder, 'windlass.toml');
    writeFileSync(file, configOf(pebble, at, 'acme_key_type = "rsa"\n'));
    const argv = ['run', '-c', file, '--state-dir', join(folder, 'state')];
    const running = program.run(argv);
    tools.later(() => running.child.kill('SIGKILL'));
    const first = await until('the certificate', () => believed(at.port, root), 20_000);
    expect(first.publicKey.asymmetricKeyType).toBe('rsa');
    running.child.kill('SIGHUP');
    await until('the reload', () => running.err.includes('the new configuration serves'));
    expect((await believed(at.port, root))!.serialNumber).toBe(first.serialNumber);
    expect(times(running.err, 'a certificate is ordered')).toBe(1);
    await ends(running);
    const again = program.run(argv);
    tools.later(() => again.child.kill('SIGKILL'));
    await until('a server', () => again.err.includes('a server listens'), 20_000);
    expect((await believed(at.port, root))!.serialNumber).toBe(first.serialNumber);
    expect(again.err).not.toContain('a certificate is ordered');
    await ends(again);
  });

  test('an account that the server asks for elsewhere is bound; without it the log says what to give', { timeout: 60_000 }, async () => {
    const at = await place();
    const hmacKey = Buffer.from('a key that only this test knows!').toString('base64url');
    const pebble = await Pebble.start(tools, { external: { 'kid-1': hmacKey }, httpPort: at.plainPort }, NAMES);
    const stateDir = tools.folder();
    const text = configOf(pebble, at).replace('admin_addr = "off"', 'admin_addr = "off"\nauto_restart_check_interval = "0s"');
    const gateway = await startGatewayOf(tools, text, { stateDir });
    const line = await until('the failure', () => gateway.log.lines.find(({ message }) => message.startsWith('no certificate could be ordered')));
    expect(line.fields).toMatchObject({ reason: expect.stringContaining('externalAccountRequired') as string });
    expect(line.fields).toMatchObject({ reason: expect.stringContaining('give acme_eab_kid and acme_eab_hmac_key') as string });
    await gateway.change(`${text}acme_eab_kid = "kid-1"\nacme_eab_hmac_key = "${hmacKey}"\n`);
    const root = await pebble.root();
    await until('the certificate', () => believed(at.port, root), 20_000);
  });

  test('a name that leads elsewhere is not proven, and the log says which and why', { timeout: 60_000 }, async () => {
    const at = await place();
    const pebble = await Pebble.start(tools, { httpPort: await freePort() }, NAMES);
    const gateway = await startGatewayOf(tools, configOf(pebble, at), { stateDir: tools.folder() });
    const line = await until(
      'the failure',
      () => gateway.log.lines.find(({ message }) => message.startsWith('no certificate could be ordered')),
      20_000,
    );
    const reason = String((line.fields as Record<string, unknown>)['reason']);
    expect(reason).toMatch(
      /^the proof of (?:app|www)\.example\.com is invalid: (?:connection|unauthorized|dns), .*; each name must lead to this gateway/,
    );
    expect(reason).not.toContain('\n');
  });
});
