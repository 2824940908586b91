import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CrankerPeer, type Registering, ScriptedConnector } from '../kit/cranker-peer.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, SECRET, tokenFor } from '../kit/kit.ts';
import { Program, type RunningProgram } from '../kit/program.ts';
import { soon, until } from '../kit/until.ts';

const made = kit();
const { startRouter, startAgentFor, startOrigin } = made;
const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const file = (name: string): string => join(FIXTURES, name);

/** The address in the log line with this text. */
async function addressIn(program: RunningProgram, line: string): Promise<{ scheme: string; port: number }> {
  const [, scheme, port] = await until(`the log line "${line}"`, () => {
    if (!program.alive) throw new Error(`it ended: ${program.err}`);
    const found = program.err.split('\n').find((one) => one.includes(line));
    return found === undefined ? null : /(https?|wss?):\/\/127\.0\.0\.1:(\d+)/.exec(found);
  });
  return { scheme: scheme!, port: Number(port) };
}

async function secure(port: number, shown: { cert?: string; key?: string } = {}): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    ca: readFileSync(file('ca.pem')),
    servername: 'hub.test',
    ...(shown.cert === undefined ? {} : { cert: readFileSync(file(shown.cert)), key: readFileSync(file(shown.key!)) }),
  });
  made.later(() => socket.destroy());
  socket.on('error', () => {});
  await soon('a handshake', once(socket, 'secureConnect'));
  return socket;
}

describe('windlass cranker-router as it is shipped', () => {
  const program = new Program();
  beforeAll(() => program.build(), 60_000);
  afterAll(() => program.close());
  const here = ['--host', '127.0.0.1', '--admin-addr', '127.0.0.1:0', '--log-format', 'json'];

  test('serves a connector of each protocol, and ends in order', async () => {
    const router = program.run(['cranker-router', '--port', '0', '--registration-port', '0', ...here]);
    const clients = await addressIn(router, 'the router listens for applications');
    const connectors = await addressIn(router, 'connectors register at');
    expect([clients.scheme, connectors.scheme]).toEqual(['http', 'ws']);
    expect(clients.port).not.toBe(connectors.port);
    for (const version of ['1.0', '3.0'] as const) {
      const route = `v${version[0]}`;
      const connector = await ScriptedConnector.start(connectors.port, version, { route, id: route, answer: ({ body }) => ({ body }) });
      made.later(() => connector.kill());
      for (const body of ['', 'hello', 'x'.repeat(200_000)]) {
        const response = await fetch(`http://127.0.0.1:${clients.port}/${route}/x`, { method: 'POST', body });
        expect([response.status, await response.text()]).toEqual([200, body]);
      }
    }
    expect((await fetch(`http://127.0.0.1:${clients.port}/other`)).status).toBe(404);
    const admin = await addressIn(router, 'health and metrics are at');
    expect(Object.keys((await (await fetch(`http://127.0.0.1:${admin.port}/api/registrations`)).json()) as object)).toEqual(['default', 'v1', 'v3']);
    router.child.kill('SIGTERM');
    const [code] = (await soon('its end', once(router.child, 'exit'))) as [number];
    expect(code).toBe(0);
  });

  test('listens with a certificate of its own on each port', async () => {
    const own = ['--port', '0', '--tls-cert', file('one.pem'), '--tls-key', file('one.key')];
    const inside = ['--registration-port', '0', '--registration-tls-cert', file('two.pem'), '--registration-tls-key', file('two.key')];
    const router = program.run(['cranker-router', ...own, ...inside, ...here]);
    const clients = await addressIn(router, 'the router listens for applications');
    const connectors = await addressIn(router, 'connectors register at');
    expect([clients.scheme, connectors.scheme]).toEqual(['https', 'wss']);
    const socket = await secure(connectors.port);
    const first = (name: string): string => new X509Certificate(readFileSync(file(name))).fingerprint256;
    expect(socket.getPeerX509Certificate()!.fingerprint256).toBe(first('two.pem'));
    const peer = await CrankerPeer.askOn(socket, { route: 'a', id: 'one', offers: 'cranker_3.0' });
    expect(peer.status).toBe(101);
    const client = await secure(clients.port);
    expect(client.getPeerX509Certificate()!.fingerprint256).toBe(first('one.pem'));
    client.write('GET /a HTTP/1.1\r\nHost: hub.test\r\n\r\n');
    expect((await peer.next()).bytes.toString('utf8', 6)).toMatch(/proto=https\n/);
  });

  test('says in one line what is wrong with its flags', async () => {
    for (const [flags, words] of [
      [['--registration-auth', 'token'], '--secret-file'],
      [['--registration-auth', 'certificate'], '--tls-client-ca'],
      [['--registration-port', '0', '--registration-tls-cert', file('one.pem')], '--registration-tls-key'],
      [['--registration-tls-cert', file('one.pem'), '--registration-tls-key', file('one.key')], '--registration-port'],
      [['--protocols', '2.0'], '3.0'],
    ] as const) {
      const wrong = program.run(['cranker-router', '--port', '0', ...here, ...flags]);
      const [code] = (await soon('its end', once(wrong.child, 'exit'))) as [number];
      expect(code).toBe(2);
      expect(wrong.err).toContain(words);
    }
  });
});

describe('with --registration-auth certificate', () => {
  const tlsFiles = { certFile: file('one.pem'), keyFile: file('one.key'), clients: { caFile: file('client-ca.pem'), ask: 'optional' as const } };

  async function ask(port: number, who: 'alice' | 'bob' | null, registering: Registering): Promise<number> {
    const socket = await secure(port, who === null ? {} : { cert: `${who}.pem`, key: `${who}.key` });
    return (await CrankerPeer.askOn(socket, registering)).status;
  }

  test('a connector may register the routes of its certificate, and no others', async () => {
    const router = await startRouter({
      auth: 'certificate',
      certificateRoutes: new Map([['alice', ['a', 'b']]]),
      registration: { host: '127.0.0.1', port: 0, tls: tlsFiles },
    });
    const { port } = router.registrationAddress;
    expect(await ask(port, null, { route: 'a' })).toBe(403);
    expect(await ask(port, 'alice', { route: 'a' })).toBe(101);
    expect(await ask(port, 'alice', { route: 'b', offers: 'cranker_3.0' })).toBe(101);
    expect(await ask(port, 'alice', { route: 'c' })).toBe(403);
    expect(await ask(port, 'alice', { route: '*' })).toBe(403);
    expect(await ask(port, 'alice', { route: 'a', domain: 'x.example', offers: 'cranker_3.0' })).toBe(403);
    // Who is not listed has the names of his certificate.
    expect(await ask(port, 'bob', { route: 'bob' })).toBe(101);
    expect(await ask(port, 'bob', { route: 'a' })).toBe(403);
  });

  test('one that is allowed everything is', async () => {
    const router = await startRouter({
      auth: 'certificate',
      certificateRoutes: new Map([['alice', ['*']]]),
      registration: { host: '127.0.0.1', port: 0, tls: tlsFiles },
    });
    for (const route of ['*', 'x']) expect(await ask(router.registrationAddress.port, 'alice', { route })).toBe(101);
  });
});

describe('a gateway with accepts = ["native", "cranker"]', () => {
  const config = (more = ''): string => `[agents]
secret = "${SECRET}"
${more}
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native", "cranker"]
locations = ["all", "gpu"]
[locations.all]
upstream = "announced"
[locations.gpu]
path = "/by-label"
upstream = "labelled"
[upstreams.announced]
agents = "@announced"
queue_timeout = "5s"
[upstreams.labelled]
agents = "cranker=3.0"
`;

  test('has connectors and agents side by side, with tokens, selectors and one queue', async () => {
    const gateway = await startGatewayOf(made, config());
    const { log } = gateway;
    const port = gateway.port();
    const origin = await startOrigin((_request, response) => response.end('native'));
    await startAgentFor({ port }, origin, { labels: new Map([['route', 'n']]), agentId: 'n' });
    const fields = [`Windlass-Token: ${tokenFor()}`];
    for (const version of ['1.0', '3.0'] as const) {
      const connector = await ScriptedConnector.start(port, version, {
        route: `v${version[0]}`,
        id: version,
        fields,
        answer: () => ({ body: version }),
      });
      made.later(() => connector.kill());
    }
    const ask = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
    expect([await ask('/n/x'), await ask('/v1/x'), await ask('/v3/x')]).toEqual(['native', '1.0', '3.0']);
    expect(await ask('/by-label')).toBe('3.0');
    expect((await fetch(`http://127.0.0.1:${port}/other`)).status).toBe(404);
    expect((await CrankerPeer.ask(port, { route: 'a' })).status).toBe(401);
    expect(log.lines.filter(({ message }) => message === 'agent joined')).toHaveLength(3);
    const page = (await (await fetch(`http://127.0.0.1:${gateway.adminAddress!.port}/health/connectors`)).json()) as { services: object };
    expect(Object.keys(page.services)).toEqual(['v1', 'v3']);
  });

  test('lets anybody register when it says so, and cuts those whose token is revoked', async () => {
    const gateway = await startGatewayOf(made, config('cranker_auth = "none"'));
    expect((await CrankerPeer.ask(gateway.port(), { route: 'a' })).status).toBe(101);
    const strict = await startGatewayOf(made, config());
    const peer = await CrankerPeer.register(strict.port(), {
      route: 'a',
      offers: 'cranker_3.0',
      fields: [`Windlass-Token: ${tokenFor({ id: 'bad' })}`],
    });
    await strict.change(config('revoked = ["bad"]'));
    expect((await peer.nextOf('close')).code).toBe(1001);
  });
});

test('a gateway whose file does not name connectors accepts none, whatever they show', async () => {
  const gateway = await startGatewayOf(
    made,
    `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["all"]
[locations.all]
upstream = "announced"
[upstreams.announced]
agents = "@announced"
`,
  );
  const peer = await CrankerPeer.ask(gateway.port(), { route: 'a', fields: [`Windlass-Token: ${tokenFor()}`] });
  expect(peer.status).not.toBe(101);
});
