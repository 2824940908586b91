import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, metric } from '../kit/kit.ts';
import { fixture, FIXTURES, tlsClient, tlsGet } from '../kit/tls-client.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { startOrigin, folder } = made;

const ANY_NAME = { checkServerIdentity: () => undefined };

/** Whose certificate a client gets that asks for this name; `none` when there is no handshake. */
async function subjectFor(port: number, servername: string): Promise<string> {
  try {
    const { socket } = await tlsClient(made, port, { servername, ...ANY_NAME });
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  } catch {
    return 'none';
  }
}

function certificate(name: string, pair: string, more: string): string {
  return `[certificates.${name}]\ntls_cert = "${pair}.pem"\ntls_key = "${pair}.key"\n${more}\n`;
}

test('the certificate is the one of the name that is asked for, of all names directly below another, or the default', async () => {
  const origin = await startOrigin();
  const text = (more: string): string =>
    fileTo(origin.port, {
      server: 'global_certificates = true',
      more:
        certificate('wild', `${FIXTURES}one`, 'domains = ["*.example.com"]') +
        certificate('exact', `${FIXTURES}two`, `domains = ["a.example.com"]\n${more}`),
    });
  const gateway = await startGatewayOf(made, text(''));
  const subjects = async (): Promise<string[]> =>
    Promise.all(['A.example.com', 'b.example.com', 'x.b.example.com', 'example.com', ''].map((name) => subjectFor(gateway.port(), name)));
  expect(await subjects()).toEqual(['two.test', 'one.test', 'none', 'none', 'none']);
  await gateway.change(text('is_default = true'));
  expect(await subjects()).toEqual(['two.test', 'one.test', 'two.test', 'two.test', 'two.test']);
});

test('a renewed file is used by new handshakes although the path is the same, nothing is watched, and the configuration beside it is broken [fault 43]', async () => {
  const origin = await startOrigin();
  const pair = join(folder(), 'pair');
  const renew = (name: string): void => {
    copyFileSync(join(FIXTURES, `${name}.key`), `${pair}.key`);
    copyFileSync(join(FIXTURES, `${name}.pem`), `${pair}.pem`);
  };
  renew('one');
  const own = `[servers.own]\naddr = "127.0.0.1:0"\nlocations = ["all"]\ntls_cert = "${pair}.pem"\ntls_key = "${pair}.key"\n`;
  const gateway = await startGatewayOf(
    made,
    fileTo(origin.port, { server: 'global_certificates = true', more: certificate('named', pair, 'domains = ["a.test"]') + own }),
  );
  const [port, ownPort] = [gateway.port('main'), gateway.port('own')];
  expect([await subjectFor(port, 'a.test'), await subjectFor(ownPort, 'localhost')]).toEqual(['one.test', 'one.test']);
  await gateway.change('broken = [');
  renew('two');
  await until('the new certificate by name', async () => (await subjectFor(port, 'a.test')) === 'two.test');
  expect(await subjectFor(ownPort, 'localhost')).toBe('two.test');
  writeFileSync(`${pair}.pem`, 'half a certif');
  await until('the line', () => gateway.log.at('warn').includes('the new TLS certificate cannot be used: the old one is kept'));
  expect([await subjectFor(port, 'a.test'), await subjectFor(ownPort, 'localhost')]).toEqual(['two.test', 'two.test']);
});

test('a renewed certificate is for the names that it has, when the file names none', async () => {
  const origin = await startOrigin();
  const pair = join(folder(), 'pair');
  copyFileSync(join(FIXTURES, 'alice.key'), `${pair}.key`);
  copyFileSync(join(FIXTURES, 'alice.pem'), `${pair}.pem`);
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: 'global_certificates = true', more: certificate('one', pair, '') }));
  const trust = { ca: fixture('client-ca.pem'), rejectUnauthorized: false, ...ANY_NAME };
  expect(await tlsGet(made, gateway.port(), { servername: 'alice.test', ...trust })).not.toBe('refused');
  expect(await tlsGet(made, gateway.port(), { servername: 'a.test', ...trust })).toBe('refused');
  copyFileSync(join(FIXTURES, 'odd.pem'), `${pair}.pem`);
  await until('the new name', async () => (await tlsGet(made, gateway.port(), { servername: 'a.test', ...trust })) !== 'refused');
  expect(await tlsGet(made, gateway.port(), { servername: 'alice.test', ...trust })).toBe('refused');
});

test('certificates that stand in the file itself serve as well; when each expires is a metric, and one that has is warned of', async () => {
  const origin = await startOrigin();
  const inline = (name: string): string => `tls_cert = '''\n${fixture(`${name}.pem`)}'''\ntls_key = '''\n${fixture(`${name}.key`)}'''\n`;
  const server = `global_certificates = true\n`;
  const more = `[certificates.good]\ndomains = ["good.test"]\n${inline('one')}[certificates.old]\ndomains = ["old.test"]\n${inline('expired')}
[servers.own]\naddr = "127.0.0.1:0"\nlocations = ["all"]\n${inline('two')}`;
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server, more }));
  expect([await subjectFor(gateway.port('main'), 'good.test'), await subjectFor(gateway.port('own'), 'localhost')]).toEqual(['one.test', 'two.test']);
  const left = async (name: string): Promise<number> =>
    (await metric(gateway, `windlass_certificate_expiry_seconds{certificate="${name}"}`)) - Date.now() / 1000;
  expect(await left('certificates.good')).toBeGreaterThan(50 * 365 * 86_400);
  expect(await left('servers.own')).toBeGreaterThan(50 * 365 * 86_400);
  expect(await left('certificates.old')).toBeLessThan(0);
  expect(gateway.log.lines.filter(({ message }) => message === 'the TLS certificate has expired').map(({ fields }) => fields)).toEqual([
    { certificate: 'certificates.old' },
  ]);
});

test('versions and ciphers are those that the server allows', async () => {
  const origin = await startOrigin();
  const pair = `tls_cert = "${FIXTURES}one.pem"\ntls_key = "${FIXTURES}one.key"\n`;
  const gateway = await startGatewayOf(
    made,
    fileTo(origin.port, { server: `${pair}tls_min_version = "tlsv1.3"\ntls_ciphersuites = "TLS_AES_128_GCM_SHA256"` }),
  );
  const of = async (options: Parameters<typeof tlsClient>[2]): Promise<string> => {
    try {
      const { socket } = await tlsClient(made, gateway.port(), options);
      const text = `${socket.getProtocol()} ${socket.getCipher().standardName}`;
      socket.destroy();
      return text;
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code);
    }
  };
  expect(await of({})).toBe('TLSv1.3 TLS_AES_128_GCM_SHA256');
  expect(await of({ maxVersion: 'TLSv1.2' })).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
  await gateway.change(
    fileTo(origin.port, {
      server: `${pair}tls_max_version = "tlsv1.2"\ntls_cipher_list = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"`,
    }),
  );
  expect(await of({})).toBe('TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384');
  expect(await of({ ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })).toBe('ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE');
  expect(await of({ minVersion: 'TLSv1.3' })).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
});
