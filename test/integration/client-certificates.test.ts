import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import type http from 'node:http';
import http2 from 'node:http2';
import { join } from 'node:path';
import type tls from 'node:tls';
import { expect, test } from 'vitest';
import { loadGateway } from '../../src/config/gateway.ts';
import type { HubStatus } from '../../src/hub/status.ts';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { fileTo, startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit, metric, metricBecomes, portOf, SECRET } from '../kit/kit.ts';
import { fixture, FIXTURES, shown, tlsClient, tlsGet } from '../kit/tls-client.ts';
import { until } from '../kit/until.ts';

const made = kit();
const { startOrigin, startHubWith, startAgentFor, dialHub, folder } = made;

const PAIR = `tls_cert = "${FIXTURES}one.pem"\ntls_key = "${FIXTURES}one.key"\n`;
const CLIENTS = `tls_client_ca = "${FIXTURES}client-ca.pem"\n`;
const FORWARD = `proxy_set_headers = [
  "X-Client-DN: $tls_client_subject",
  "X-Cn: $tls_client_cn",
  "X-Names: $tls_client_names",
  "X-Serial: $tls_client_serial",
  "X-Issuer: $tls_client_issuer",
  "X-Fingerprint: $tls_client_fingerprint",
  "Client-Cert: $tls_client_cert",
]
`;

/** What the origin hears of the client. */
async function startTelling(): ReturnType<typeof startOrigin> {
  return startOrigin((request, response) => {
    const { headers } = request;
    const names = ['x-client-dn', 'x-cn', 'x-names', 'x-serial', 'x-issuer', 'x-fingerprint', 'client-cert', 'ssl-client-verify'];
    response.end(JSON.stringify(Object.fromEntries(names.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])))));
  });
}

function refusals(gateway: TestGateway): string[] {
  return gateway.log.lines
    .filter(({ message }) => /turned away for its certificate/.test(message))
    .map(({ fields }) => String((fields as { reason: string }).reason));
}

const TLS13 = 'TLSv1.3';
const TLS12 = 'TLSv1.2';

for (const version of [TLS12, TLS13] as const) {
  test(`a server that requires certificates serves who shows a good one and nobody else, ${version}`, async () => {
    const origin = await startTelling();
    const gateway = await startGatewayOf(made, fileTo(origin.port, { server: `${PAIR}${CLIENTS}`, location: FORWARD }));
    const only = { minVersion: version, maxVersion: version };
    const said = JSON.parse(await tlsGet(made, gateway.port(), { ...shown('alice'), ...only })) as Record<string, string>;
    expect(said).toMatchObject({
      'x-client-dn': 'CN=alice,OU=dev,O=Example',
      'x-cn': 'alice',
      'x-serial': '01',
      'x-issuer': 'CN=Windlass test clients',
    });
    expect(said['x-names']).toContain('URI:spiffe://example/alice');
    expect(said['x-fingerprint']).toMatch(/^[\da-f]{64}$/);
    expect(said['client-cert']).toMatch(/^:[A-Za-z\d+/=]+:$/);
    expect(await tlsGet(made, gateway.port(), only)).toBe('refused');
    expect(await tlsGet(made, gateway.port(), { ...shown('alice-expired'), ...only })).toBe('refused');
    // Signed by the authority of the servers, which is not that of the clients.
    expect(await tlsGet(made, gateway.port(), { ...shown('two'), ...only })).toBe('refused');
    expect(origin.requests).toHaveLength(1);
    await metricBecomes(gateway, 'windlass_tls_handshakes_total{result="bad_certificate"}', (n) => n === 3);
    expect(refusals(gateway)).toEqual([
      'it showed no certificate',
      "the client's certificate has expired (CERT_HAS_EXPIRED)",
      expect.stringMatching(/^the client's certificate comes from an authority that is not believed/),
    ]);
    expect(gateway.log.lines.find(({ message }) => /turned away for its/.test(message))).toMatchObject({
      level: 'warn',
      fields: { server: 'main', peer: '127.0.0.1' },
    });
  });
}

test('who shows no certificate where one is required gets the alert that says so', async () => {
  const origin = await startOrigin();
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: `${PAIR}${CLIENTS}` }));
  const client = await tlsClient(made, gateway.port());
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => client.socket.once('error', resolve));
  expect(error.code).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
});

test('where certificates are optional, who shows none comes in as nobody, and a bad one is no better than it would be elsewhere', async () => {
  const origin = await startTelling();
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: `${PAIR}${CLIENTS}tls_client_auth = "optional"\n`, location: FORWARD }));
  expect(await tlsGet(made, gateway.port())).toBe('{}');
  expect(JSON.parse(await tlsGet(made, gateway.port(), shown('alice')))).toMatchObject({ 'x-cn': 'alice' });
  expect(await tlsGet(made, gateway.port(), shown('alice-expired'))).toBe('refused');
  expect(await tlsGet(made, gateway.port(), shown('two'))).toBe('refused');
  expect(refusals(gateway)).toHaveLength(2);
});

test('what a client says of its certificate in header fields is dropped, with and without one; ours stand there after the check alone [threat 75]', async () => {
  const origin = await startTelling();
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: `${PAIR}${CLIENTS}tls_client_auth = "optional"\n`, location: FORWARD }));
  const lies = 'X-Client-DN: CN=root\r\nClient-Cert: :AAAA:\r\nSSL-Client-Verify: SUCCESS\r\nX-Cn: root\r\nX-Fingerprint: 00\r\n';
  const request = `GET / HTTP/1.1\r\nHost: a\r\n${lies}Connection: close\r\n\r\n`;
  expect(await tlsGet(made, gateway.port(), {}, request)).toBe('{}');
  const said = JSON.parse(await tlsGet(made, gateway.port(), shown('alice'), request)) as Record<string, string>;
  expect([said['x-client-dn'], said['x-cn'], said['ssl-client-verify']]).toEqual(['CN=alice,OU=dev,O=Example', 'alice', undefined]);
  expect(said['client-cert']).not.toBe(':AAAA:');
});

test('nothing of a certificate goes on unless the location says so [threat 75]', async () => {
  const origin = await startTelling();
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: `${PAIR}${CLIENTS}` }));
  expect(await tlsGet(made, gateway.port(), shown('alice'))).toBe('{}');
  expect(JSON.stringify(origin.requests)).not.toContain('alice');
});

test('names that could break out of a header field come escaped [threat 75]', async () => {
  const origin = await startTelling();
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: `${PAIR}${CLIENTS}`, location: FORWARD }));
  const said = JSON.parse(await tlsGet(made, gateway.port(), shown('odd'))) as Record<string, string>;
  expect(said['x-cn']).toBe(String.raw`al ice \"q\" \\ \E2\98\83 \+z`);
  expect(said['x-names']).toBe(String.raw`DNS:a.test, URI:spiffe://x/a\,DNS:root.test`);
});

test('over HTTP/2 the certificate counts as well', async () => {
  const origin = await startTelling();
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: `${PAIR}${CLIENTS}`, location: FORWARD }));
  const session = http2.connect(`https://localhost:${gateway.port()}`, { ca: fixture('ca.pem'), ...shown('alice') });
  made.later(() => session.destroy());
  const stream = session.request({ 'x-cn': 'root' });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  expect(session.alpnProtocol).toBe('h2');
  expect(JSON.parse(Buffer.concat(chunks).toString())).toMatchObject({ 'x-cn': 'alice', 'x-client-dn': 'CN=alice,OU=dev,O=Example' });
});

test('a certificate that the list has taken back is refused', async () => {
  const origin = await startTelling();
  const crl = `tls_client_crl = "${FIXTURES}client-crl.pem"\n`;
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: `${PAIR}${CLIENTS}` }));
  expect(await tlsGet(made, gateway.port(), shown('bob'))).toBe('{}');
  await gateway.change(fileTo(origin.port, { server: `${PAIR}${CLIENTS}${crl}` }));
  expect(await tlsGet(made, gateway.port(), shown('bob'))).toBe('refused');
  expect(refusals(gateway)).toEqual(["the client's certificate has been revoked (CERT_REVOKED)"]);
  expect(await tlsGet(made, gateway.port(), shown('alice'))).toBe('{}');
});

test('who is on an open connection when the rules for certificates change comes in anew, after the answer that is on its way', async () => {
  const held: http.ServerResponse[] = [];
  const origin = await startOrigin((request, response) => {
    if (request.url === '/held') held.push(response);
    else response.end('served');
  });
  const text = (more: string): string => fileTo(origin.port, { server: `${PAIR}${CLIENTS}${more}` });
  const gateway = await startGatewayOf(made, text(''));
  const idle = await tlsClient(made, gateway.port(), shown('bob'));
  expect((await idle.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status).toBe(200);
  const busy = await tlsClient(made, gateway.port(), shown('bob'));
  busy.send('GET /held HTTP/1.1\r\nHost: a\r\n\r\n');
  const session = http2.connect(`https://localhost:${gateway.port()}`, { ca: fixture('ca.pem'), ...shown('bob') });
  made.later(() => session.destroy());
  await once(session, 'remoteSettings');
  const response = await until('the request', () => held[0]);
  await gateway.change(text('max_body = "1MiB"\n'));
  expect([idle.ending, session.closed]).toEqual(['open', false]);
  const goaway = once(session, 'close');
  await gateway.change(text(`max_body = "1MiB"\ntls_client_crl = "${FIXTURES}client-crl.pem"\n`));
  expect(await idle.ended()).toBe('fin');
  await goaway;
  response.end('late');
  expect((await busy.answer()).body.toString()).toBe('late');
  expect(await busy.ended()).toBe('fin');
});

test('other authorities take effect with the configuration, and a session of before does not get past them [threat 75]', async () => {
  const origin = await startTelling();
  const file = (server: string): string => fileTo(origin.port, { server, location: FORWARD });
  const gateway = await startGatewayOf(made, file(`${PAIR}${CLIENTS}tls_client_auth = "optional"\n`));
  for (const version of [TLS12, TLS13] as const) {
    const only = { minVersion: version, maxVersion: version } as const;
    await gateway.change(file(`${PAIR}${CLIENTS}tls_client_auth = "optional"\n`));
    const asAlice = await sessionOf(gateway.port(), { ...shown('alice'), ...only });
    const asNobody = await sessionOf(gateway.port(), only);
    // While the rules stay, sessions are taken up again with the certificate that they began with.
    expect(JSON.parse(await tlsGet(made, gateway.port(), { ...only, session: asAlice }))).toMatchObject({ 'x-cn': 'alice' });
    await gateway.change(file(`${PAIR}${CLIENTS}`));
    expect(await tlsGet(made, gateway.port(), { ...only, session: asNobody })).toBe('refused');
    await gateway.change(file(`${PAIR}tls_client_ca = "${FIXTURES}ca.pem"\n`));
    expect(await tlsGet(made, gateway.port(), { ...shown('alice'), ...only, session: asAlice })).toBe('refused');
    expect(JSON.parse(await tlsGet(made, gateway.port(), { ...shown('two'), ...only }))).toMatchObject({ 'x-cn': 'two.test' });
  }
});

/** A session as a client keeps it, after one request. */
async function sessionOf(port: number, options: tls.ConnectionOptions): Promise<Buffer> {
  const client = await tlsClient(made, port, options);
  await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  const session = client.socket.getSession()!;
  client.socket.destroy();
  return session;
}

test('a session does not outlive the certificate that it began with', async () => {
  const origin = await startTelling();
  let aheadMs = 0;
  const clock = { now: () => performance.now(), wall: () => Date.now() + aheadMs };
  const gateway = await startGatewayOf(made, fileTo(origin.port, { server: `${PAIR}${CLIENTS}` }), { clock });
  const session = await sessionOf(gateway.port(), shown('alice'));
  expect(await tlsGet(made, gateway.port(), { session })).toBe('{}');
  aheadMs = 200 * 365 * 86_400_000;
  expect(await tlsGet(made, gateway.port(), { session })).toBe('refused');
  expect(refusals(gateway)).toEqual(["the client's certificate has expired (CERT_HAS_EXPIRED)"]);
});

test('certificates by name are asked of clients all the same', async () => {
  const origin = await startTelling();
  const certificates = ['one', 'two'].map(
    (name) => `[certificates.${name}]\ndomains = ["${name}.test"]\ntls_cert = "${FIXTURES}${name}.pem"\ntls_key = "${FIXTURES}${name}.key"\n`,
  );
  const gateway = await startGatewayOf(
    made,
    fileTo(origin.port, { server: `global_certificates = true\n${CLIENTS}`, location: FORWARD, more: certificates.join('') }),
  );
  for (const name of ['one.test', 'two.test']) {
    const as = { servername: name, checkServerIdentity: () => undefined };
    expect(JSON.parse(await tlsGet(made, gateway.port(), { ...as, ...shown('alice') }))).toMatchObject({ 'x-cn': 'alice' });
    expect(await tlsGet(made, gateway.port(), as)).toBe('refused');
  }
});

test('the access log and plugins know whose certificate it was', async () => {
  const origin = await startTelling();
  const log = join(folder(), 'access.log');
  const plugin = `[plugins.who]\nmodule = "${new URL('../kit/certificate-plugin.mjs', import.meta.url).pathname}"\n`;
  const format = '{tls_client_cn} {tls_client_serial} {tls_client_issuer} {tls_client_names} {tls_client_fingerprint}';
  const gateway = await startGatewayOf(
    made,
    fileTo(origin.port, {
      server: `${PAIR}${CLIENTS}tls_client_auth = "optional"\naccess_log = '${log} ${format} "{tls_client_subject}"'\n`,
      location: 'plugins = ["who"]',
      more: plugin,
    }),
  );
  const client = await tlsClient(made, gateway.port(), shown('alice'));
  const answer = await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  expect(answer.fields.find(([name]) => name === 'X-Plugin-Saw')?.[1]).toBe('CN=alice,OU=dev,O=Example');
  expect(await tlsGet(made, gateway.port())).toBe('{}');
  const lines = await until('two lines', () => {
    const text = readFileSync(log, 'latin1').trimEnd().split('\n');
    return text.length === 2 ? text : null;
  });
  expect(lines[0]).toMatch(/^alice 01 CN=Windlass\\x20test\\x20clients DNS:alice\.test,\\x20URI:\S+ [\da-f]{64} "CN=alice,OU=dev,O=Example"$/);
  expect(lines[1]).toBe('- - - - - "-"');
});

test.each([
  ['without TLS', CLIENTS, 'asks for certificates, but without TLS nobody can show one'],
  ['rules without authorities', `${PAIR}tls_client_auth = "required"\n`, 'stands alone; give tls_client_ca'],
  ['a list without authorities', `${PAIR}tls_client_crl = "${FIXTURES}client-crl.pem"\n`, 'stands alone; give tls_client_ca'],
  ['no list', `${PAIR}${CLIENTS}tls_client_crl = "${FIXTURES}one.pem"\n`, 'holds no PEM list of revoked certificates'],
])('%s is no configuration', async (_what, server, says) => {
  const file = join(folder(), 'windlass.toml');
  writeFileSync(file, fileTo(1, { server }));
  await expect(loadGateway(file, {})).rejects.toThrow(says);
});

const HUB_TLS = { certFile: join(FIXTURES, 'one.pem'), keyFile: join(FIXTURES, 'one.key') };
const ASKS = { ...HUB_TLS, clients: { caFile: join(FIXTURES, 'client-ca.pem'), ask: 'optional' as const } };
const AS_ALICE = { certFile: join(FIXTURES, 'alice.pem'), keyFile: join(FIXTURES, 'alice.key') };

test('a hub that requires certificates of its agents takes those that show one, tells who they are, and turns the others away with the reason', async () => {
  const origin = await startOrigin((_, response) => response.end('from the agent'));
  const hub = await startHubWith({ tls: ASKS, requireAgentCertificate: true });
  const there = { hubs: [parseUpstreamUrl(`https://localhost:${portOf(hub)}`)], caFile: join(FIXTURES, 'ca.pem') };
  const without = await dialHub(hub, origin, there);
  await until('the line', () => without.log.some(({ message }) => /must show a client certificate here: give --cert-file/.test(message)));
  expect(hub.log.some(({ message, fields }) => /turned away/.test(message) && fields['code'] === 'forbidden')).toBe(true);
  without.destroy();
  await startAgentFor(hub, origin, { ...there, shown: AS_ALICE, agentId: 'box' });
  const status = (await (await fetch(`http://127.0.0.1:${hub.adminAddress!.port}/status`)).json()) as HubStatus;
  expect(status.agentList[0]).toMatchObject({
    id: 'box',
    certificate: { subject: 'CN=alice,OU=dev,O=Example', fingerprint: expect.stringMatching(/^[\da-f]{64}$/) },
  });
  expect(hub.log.find(({ message }) => message === 'agent joined')!.fields['certificate']).toBe('CN=alice,OU=dev,O=Example');
  // Applications need none.
  expect(await tlsGet(made, portOf(hub))).toBe('from the agent');
  expect(await metric(hub, 'windlass_tls_handshakes_total{result="bad_certificate"}')).toBe(0);
});

test('where all who come must show a certificate, an agent without one says what is wanted', async () => {
  const hub = await startHubWith({ tls: { ...ASKS, clients: { ...ASKS.clients, ask: 'required' } } });
  const there = { hubs: [parseUpstreamUrl(`https://localhost:${portOf(hub)}`)], caFile: join(FIXTURES, 'ca.pem') };
  const agent = await dialHub(hub, await startOrigin(), there);
  await until('the line', () => agent.log.some(({ message }) => /it wants a client certificate .*--cert-file/.test(message)));
});

test("an agent's certificate that is renewed on disk is shown at the next try [fault 43]", async () => {
  const origin = await startOrigin();
  const hub = await startHubWith({ tls: ASKS, requireAgentCertificate: true });
  const pair = { certFile: join(folder(), 'agent.pem'), keyFile: join(folder(), 'agent.key') };
  copyFileSync(join(FIXTURES, 'alice-expired.pem'), pair.certFile);
  copyFileSync(join(FIXTURES, 'alice.key'), pair.keyFile);
  const there = { hubs: [parseUpstreamUrl(`https://localhost:${portOf(hub)}`)], caFile: join(FIXTURES, 'ca.pem') };
  const agent = await dialHub(hub, origin, { ...there, shown: pair });
  await until('the refusal', () => hub.log.some(({ fields }) => fields['reason'] === "the client's certificate has expired (CERT_HAS_EXPIRED)"));
  copyFileSync(join(FIXTURES, 'bob.key'), pair.keyFile);
  copyFileSync(join(FIXTURES, 'bob.pem'), pair.certFile);
  await until('the new pair', () => agent.log.some(({ message }) => message === 'TLS certificate read anew'));
  agent.reload();
  await agent.ready;
  await until('the agent', () => hub.log.some(({ message, fields }) => message === 'agent joined' && fields['certificate'] === 'CN=bob,O=Example'));
});

test('agents of a gateway must show a certificate when [agents] says so, and a server that asks for none is no configuration then', async () => {
  const origin = await startOrigin();
  const text = (server: string, required = true): string =>
    fileTo(origin.port, {
      server: `accepts = ["native"]\n${server}`,
      more: `[agents]\nsecret = ["${SECRET}"]\nrequire_certificate = ${required}\n`,
    });
  const file = join(folder(), 'windlass.toml');
  writeFileSync(file, text(PAIR));
  await expect(loadGateway(file, {})).rejects.toThrow('is true, but servers.main, which accepts agents, asks for none');
  const server = `${PAIR}${CLIENTS}tls_client_auth = "optional"\n`;
  const gateway = await startGatewayOf(made, text(server, false));
  const agent = await startAgentFor({ port: gateway.port() }, origin, {
    hubs: [parseUpstreamUrl(`https://localhost:${gateway.port()}`)],
    caFile: join(FIXTURES, 'ca.pem'),
  });
  // Whoever came in before must show one, too.
  await gateway.change(text(server));
  await until('the line', () => agent.log.some(({ message }) => /must show a client certificate here from now on/.test(message)));
  agent.destroy();
  await startAgentFor({ port: gateway.port() }, origin, {
    hubs: [parseUpstreamUrl(`https://localhost:${gateway.port()}`)],
    caFile: join(FIXTURES, 'ca.pem'),
    shown: AS_ALICE,
  });
  const { agentList } = (await (await fetch(`http://127.0.0.1:${gateway.adminAddress!.port}/status`)).json()) as HubStatus;
  expect(agentList).toEqual([expect.objectContaining({ certificate: expect.objectContaining({ subject: 'CN=alice,OU=dev,O=Example' }) })]);
});

test('authorities that are changed on disk are taken on SIGHUP; those that cannot be read leave the old ones', async () => {
  const origin = await startOrigin();
  const caFile = join(folder(), 'clients.pem');
  copyFileSync(join(FIXTURES, 'client-ca.pem'), caFile);
  const proxy = await made.startDirect({ to: origin, tls: { ...HUB_TLS, clients: { caFile, ask: 'required' } } });
  expect(await tlsGet(made, portOf(proxy), shown('alice'))).not.toBe('refused');
  writeFileSync(caFile, 'nothing');
  proxy.reload();
  expect(proxy.log.at(-1)!.message).toBe('the authorities of clients stay as they were');
  expect(await tlsGet(made, portOf(proxy), shown('alice'))).not.toBe('refused');
  writeFileSync(caFile, fixture('ca.pem'));
  proxy.reload();
  expect(await tlsGet(made, portOf(proxy), shown('alice'))).toBe('refused');
  expect(await tlsGet(made, portOf(proxy), shown('two'))).not.toBe('refused');
});
