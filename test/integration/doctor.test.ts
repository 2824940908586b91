import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { expect, test } from 'vitest';
import { readText } from '../../src/config/read-text.ts';
import { run } from '../../src/cli/run.ts';
import type { Finding } from '../../src/cli/finding.ts';
import { descriptorsFinding, nodeFinding } from '../../src/cli/diagnose-machine.ts';
import { fakeWorld } from '../config/world.ts';
import { ConnectProxy } from '../kit/connect-proxy.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit, portOf, tokenFor } from '../kit/kit.ts';
import { fixture, FIXTURES } from '../kit/tls-client.ts';

const tools = kit();
const { startHubWith, startOrigin, folder, later } = tools;

interface Said {
  readonly code: number;
  readonly findings: readonly Finding[];
  /** `LEVEL about: says` of those about it. */
  about(part: string): string[];
}

async function doctor(words: readonly string[], env: Record<string, string> = {}): Promise<Said> {
  const world = fakeWorld({ WINDLASS_ADMIN_ADDR: '127.0.0.1:1', ...env });
  const code = await run(['doctor', '--json', '--timeout', '8s', ...words], { ...world, readText });
  expect(world.err()).toBe('');
  const page = JSON.parse(world.out()) as { ok: boolean; findings: readonly Finding[] };
  expect(page.ok).toBe(code === 0);
  expect(page.findings.filter(({ level, fix }) => level === 'FAIL' && fix === '')).toEqual([]);
  expect(world.out()).not.toContain('canary');
  return {
    code,
    findings: page.findings,
    about: (part) => page.findings.filter(({ about }) => about.includes(part)).map(({ level, says }) => `${level} ${says}`),
  };
}

/** A file with a token in it that only its owner may read. */
function tokenFile(text: string): string {
  const path = join(folder(), 'agent.token');
  writeFileSync(path, `${text}\n`);
  chmodSync(path, 0o600);
  return path;
}

async function listening<T extends net.Server>(server: T, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  later(() => {
    server.close();
    if (server instanceof http.Server) server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

test('a hub that takes the token is well, and no agent comes or goes there', async () => {
  const hub = await startHubWith();
  const origin = await startOrigin();
  const token = tokenFor();
  const said = await doctor(['--hub', `127.0.0.1:${portOf(hub)}`, '--token-file', tokenFile(token), '--upstream', `127.0.0.1:${origin.port}`]);
  expect(said.code).toBe(0);
  expect(said.about('hub')).toEqual([
    expect.stringMatching(/^ok connected to 127\.0\.0\.1:\d+ in \d+ ms$/),
    expect.stringMatching(/^ok takes the token \(hub .+\)$/),
  ]);
  expect(said.about('token')).toEqual([expect.stringMatching(/^ok has the form of one, read from /)]);
  expect(said.about('clock')).toEqual(['ok goes as the hub goes']);
  expect(said.about('upstream')).toHaveLength(1);
  expect(JSON.stringify(said.findings)).not.toContain(token);
  expect(origin.requests).toHaveLength(0);
  expect(hub.log.filter(({ message }) => message.includes('agent'))).toEqual([]);
});

test('a token that the hub refuses is told of with the reason, whatever it is', async () => {
  const hub = await startHubWith();
  const at = `127.0.0.1:${portOf(hub)}`;
  const refused = async (token: string): Promise<string | undefined> =>
    (await doctor(['--hub', at, '--token-file', tokenFile(token)])).about('hub').at(-1);
  expect(await refused(tokenFor({ expiresMs: Date.now() - 3_600_000 }))).toMatch(/^FAIL refuses the token: the agent token has expired/);
  expect(await refused(tokenFor({}, 'another-secret-canary'))).toMatch(/^FAIL refuses the token: .*not issued with this hub's secret/);
  expect((await doctor(['--hub', at])).about('hub').at(-1)).toBe('ok a hub answers; no token was given to show it');
});

test.each([
  ['eyJhbGciOiJIUzI1NiJ9.canary', 'FAIL is a JSON web token'],
  ['wlt_canary', 'FAIL is a token of the admin API'],
  ['canary canary', 'FAIL has not the form of a token'],
])('what is no token of an agent is told of without being shown: %s', async (text, said) => {
  expect((await doctor(['--token-file', tokenFile(text)])).about('token')[0]).toContain(said);
});

test('a token that everybody may read is worth a warning', async () => {
  const path = tokenFile(tokenFor());
  chmodSync(path, 0o644);
  const said = await doctor(['--token-file', path]);
  expect(said.code).toBe(0);
  expect(said.about('token')[1]).toBe(`warn ${path} may be read by everybody on this machine`);
});

test('a certificate is judged before it is refused: from whom, for whom, how long', async () => {
  const hub = await startHubWith({ tls: { certFile: `${FIXTURES}one.pem`, keyFile: `${FIXTURES}one.key` } });
  const port = portOf(hub);
  const token = tokenFile(tokenFor());
  const unknown = await doctor(['--hub', `https://localhost:${port}`, '--token-file', token]);
  expect(unknown.about('hub').at(-1)).toMatch(/^FAIL the certificate of localhost comes from .+, which this machine does not believe/);
  expect(unknown.findings.at(-1)!.fix).toContain('--ca-file');
  const known = await doctor(['--hub', `https://localhost:${port}`, '--token-file', token, '--ca-file', `${FIXTURES}ca.pem`]);
  expect(known.about('hub').slice(-2)).toEqual([
    expect.stringMatching(/^ok TLSv1\.\d, certificate of localhost from .+, good for /),
    expect.stringMatching(/^ok takes the token/),
  ]);
  const plain = await doctor(['--hub', `http://localhost:${port}`, '--token-file', token]);
  expect(plain.about('hub').at(-1)).toMatch(/^FAIL/);
  const expired = tls.createServer({ cert: fixture('expired.pem'), key: fixture('expired.key') }).on('tlsClientError', () => {});
  const old = await doctor(['--hub', `https://localhost:${await listening(expired)}`, '--ca-file', `${FIXTURES}ca.pem`]);
  expect(old.about('hub').at(-1)).toMatch(/^FAIL the certificate of localhost \(from .+\) has expired on /);
  const other = tls.createServer({ cert: fixture('two.pem'), key: fixture('two.key') }).on('tlsClientError', () => {});
  const misnamed = await doctor(['--hub', `https://127.0.0.2:${await listening(other, '127.0.0.2')}`, '--ca-file', `${FIXTURES}ca.pem`]);
  expect(misnamed.about('hub').at(-1)).toMatch(/^FAIL the certificate there is for .+, not for 127\.0\.0\.2$/);
});

test('a hub that is asked without TLS and wants it is told of as that', async () => {
  const port = await listening(tls.createServer({ cert: fixture('one.pem'), key: fixture('one.key') }));
  const { findings } = await doctor(['--hub', `http://127.0.0.1:${port}`, '--token-file', tokenFile(tokenFor())]);
  expect(findings.at(-1)).toMatchObject({
    level: 'FAIL',
    says: expect.stringContaining('speaks TLS there') as string,
    fix: `write https://127.0.0.1:${port}`,
  });
});

test('the way goes through the proxy that the environment names, and not through it where NO_PROXY says so', async () => {
  const hub = await startHubWith();
  const proxy = await new ConnectProxy().listen();
  later(() => proxy.close());
  const token = tokenFile(tokenFor());
  const words = ['--hub', `hub.example.com:${portOf(hub)}`, '--token-file', token];
  const env = { HTTP_PROXY: `http://user:canary@127.0.0.1:${proxy.port}` };
  const through = await doctor(words, env);
  expect(through.about('hub').filter((line) => line.startsWith('ok'))).toEqual([
    `ok is asked through the proxy http://127.0.0.1:${proxy.port} (HTTP_PROXY)`,
    expect.stringMatching(/^ok connected to hub\.example\.com:\d+ through the proxy .+ in \d+ ms$/),
    expect.stringMatching(/^ok takes the token/),
  ]);
  proxy.status = 403;
  const refused = await doctor(words, env);
  expect(refused.about('hub').at(-1)).toMatch(/^FAIL the proxy http:\/\/127\.0\.0\.1:\d+ \(HTTP_PROXY\) opens no way to hub\.example\.com:\d+/);
  const { findings } = await doctor(words, { http_proxy: 'http://127.0.0.1:1', HTTP_PROXY: 'http://127.0.0.1:2' });
  expect(findings.at(-1)).toMatchObject({
    says: expect.stringMatching(/^the proxy http:\/\/127.0.0.1:1 \(http_proxy\) cannot be reached: [^()]*$/) as string,
    fix: 'http_proxy seems to be wrong: mend it, or go past the proxy with NO_PROXY=hub.example.com or --proxy off',
  });
  const past = await doctor(['--hub', `127.0.0.1:${portOf(hub)}`, '--token-file', token], { ...env, NO_PROXY: '127.0.0.1' });
  expect(past.about('hub')[0]).toBe('ok NO_PROXY has it reached directly');
  const wrong = await doctor(words, { HTTP_PROXY: 'canary://x' });
  expect(wrong.about('proxy')[0]).toMatch(/^FAIL environment HTTP_PROXY /);
});

/** A proxy in front of a hub that knows no Upgrade but that of WebSockets, as some do. */
async function middlebox(hub: number, passes: 'websocket' | 'nothing'): Promise<number> {
  const server = http.createServer((_, response) => void response.writeHead(426, { 'Content-Type': 'text/html' }).end('<h1>no</h1>'));
  server.on('upgrade', (request, socket: net.Socket, head) => {
    if (passes === 'nothing' || request.headers.upgrade?.toLowerCase() !== 'websocket') {
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    const onward = net.connect(hub, '127.0.0.1', () => {
      const lines = request.rawHeaders.flatMap((name, i, all) => (i % 2 === 0 ? [`${name}: ${all[i + 1]}`] : []));
      onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    for (const one of [socket, onward]) one.on('error', () => {});
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
  });
  return listening(server);
}

test('a middlebox that does not let the upgrade pass is found, and so is the way around it', async () => {
  const hub = await startHubWith();
  const token = tokenFile(tokenFor());
  const some = await doctor(['--hub', `127.0.0.1:${await middlebox(portOf(hub), 'websocket')}`, '--token-file', token]);
  expect(some.about('hub').slice(-2)).toEqual([
    expect.stringMatching(/^warn something on the way does not let Upgrade: windlass\/1 pass .+, but WebSockets pass$/),
    expect.stringMatching(/^ok takes the token/),
  ]);
  expect(some.findings.some(({ fix }) => fix.includes('--transport websocket'))).toBe(true);
  const none = await doctor(['--hub', `127.0.0.1:${await middlebox(portOf(hub), 'nothing')}`, '--token-file', token]);
  expect(none.code).toBe(1);
  expect(none.about('hub').at(-1)).toMatch(/^FAIL the upgrade is refused: it answered 400/);
});

test('a clock that is wrong is found by that of the hub', async () => {
  const server = http.createServer();
  server.on('upgrade', (_, socket: net.Socket) => {
    const body = JSON.stringify({ status: 401, code: 'unauthorized', detail: 'the agent token has expired' });
    const date = new Date(Date.now() + 2 * 3_600_000).toUTCString();
    socket.end(
      `HTTP/1.1 401 Unauthorized\r\nDate: ${date}\r\nContent-Type: application/problem+json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  });
  const said = await doctor(['--hub', `127.0.0.1:${await listening(server)}`, '--token-file', tokenFile(tokenFor())]);
  expect(said.about('clock')).toEqual([expect.stringMatching(/^warn is (?:2h|1h 59m) behind that of the hub$/)]);
});

test('what keeps an agent from its upstream is named: nobody there, a health check that fails', async () => {
  const closed = net.createServer();
  closed.listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, 'close');
  expect((await doctor(['--upstream', `127.0.0.1:${port}`])).about('upstream')).toEqual([`FAIL no connection to 127.0.0.1:${port} (ECONNREFUSED)`]);
  const origin = await startOrigin((_, response) => void response.writeHead(503).end());
  const said = await doctor(['--upstream', `127.0.0.1:${origin.port}`, '--health-check', 'http://x/health']);
  expect(said.about('upstream').at(-1)).toMatch(/^FAIL its health check says: .*503/);
});

test('a file is checked, and whether its ports are to be had', async () => {
  const origin = await startOrigin();
  const taken = net.createServer();
  const port = await listening(taken);
  const file = join(folder(), 'windlass.toml');
  const write = (basic: string, text: string): void => writeFileSync(file, `[basic]\n${basic}\n${text}`);
  write('admin_addr = "off"', fileTo(origin.port).replace('127.0.0.1:0', `127.0.0.1:${port}`));
  const used = await doctor(['-c', file]);
  expect(used.about('configuration')).toEqual([`ok ${file} can be used`]);
  expect(used.about('servers.main')).toEqual([`FAIL 127.0.0.1:${port} is in use by another program`]);
  // Where one of ours answers operators, it is that one.
  const stateDir = folder();
  const gateway = await startGatewayOf(tools, fileTo(origin.port), { stateDir });
  const admin = `admin_addr = "127.0.0.1:${gateway.adminAddress!.port}"`;
  write(admin, fileTo(origin.port).replace('127.0.0.1:0', `127.0.0.1:${gateway.port()}`));
  const ours = await doctor(['-c', file], { WINDLASS_STATE_DIR: stateDir });
  expect([ours.code, ...ours.about('servers.main'), ...ours.about('admin_addr')]).toEqual([
    0,
    `ok 127.0.0.1:${gateway.port()} is in use by a running Windlass`,
    `ok 127.0.0.1:${gateway.adminAddress!.port} is in use by a running Windlass`,
  ]);
  const unasked = await doctor(['-c', file], { WINDLASS_STATE_DIR: folder() });
  expect([unasked.code, ...unasked.about('servers.main')]).toEqual([
    0,
    `warn 127.0.0.1:${gateway.port()} is in use, perhaps by the Windlass that runs here`,
  ]);
  // That one of ours runs here does not make the port of another program its own.
  write(admin, fileTo(origin.port).replace('127.0.0.1:0', `127.0.0.1:${port}`));
  const theirs = await doctor(['-c', file], { WINDLASS_STATE_DIR: stateDir });
  expect([theirs.code, ...theirs.about('servers.main')]).toEqual([1, `FAIL 127.0.0.1:${port} is in use by another program`]);
  write('admin_addr = "off"', `${fileTo(origin.port, { location: 'pluginz = []\n' })}[agents]\nsecret = "canary-secret"\nsecrit = "x"\n`);
  const broken = await doctor(['-c', file]);
  expect(broken.code).toBe(1);
  expect(broken.about('configuration')).toEqual([
    expect.stringMatching(/^FAIL .*pluginz is no setting/),
    expect.stringMatching(/^FAIL .*secrit is no setting/),
    expect.stringMatching(/^warn .*agents cannot dial in/),
  ]);
});

test('section [agent] of a file is an agent whose way is looked at; a mistake elsewhere in it does not hide that', async () => {
  const hub = await startHubWith();
  const origin = await startOrigin();
  const file = join(folder(), 'agent.toml');
  writeFileSync(
    file,
    `[agent]\nhub = "127.0.0.1:${portOf(hub)}"\ntoken_file = "${tokenFile(tokenFor())}"\nupstream = "127.0.0.1:${origin.port}"\nnum_workr = 3\n`,
  );
  const said = await doctor(['-c', file]);
  expect(said.about('configuration')).toEqual([expect.stringContaining('agent.num_workr is no setting; did you mean num_worker?')]);
  expect(said.about('hub').at(-1)).toMatch(/^ok takes the token/);
  expect(said.about('upstream')[0]).toMatch(/^ok connected/);
});

test('a program of this machine that answers its operators is named', async () => {
  const hub = await startHubWith();
  const here = await doctor([], { WINDLASS_ADMIN_ADDR: `127.0.0.1:${hub.adminAddress!.port}` });
  expect(here.about('this machine')).toEqual([`ok what runs at http://127.0.0.1:${hub.adminAddress!.port} is ready; windlass status says more`]);
  expect(here.code).toBe(0);
  const other = http.createServer((_, response) => void response.end('hello'));
  expect((await doctor([], { WINDLASS_ADMIN_ADDR: `127.0.0.1:${await listening(other)}` })).about('this machine')).toEqual([]);
});

test('for people each line begins with what it is, a line below says what to do, and the last one counts', async () => {
  const world = fakeWorld({ WINDLASS_ADMIN_ADDR: '127.0.0.1:1' });
  expect(await run(['doctor', '--upstream', '127.0.0.1:1'], world)).toBe(1);
  expect(world.out()).toMatch(/^ok {4}node: v\d/);
  expect(world.out()).toMatch(/\nFAIL {2}upstream http:\/\/127\.0\.0\.1:1: no connection .+\n {6}→ nobody listens there.+\n1 thing to mend\n$/);
});

test('Node and the number of open files are judged', () => {
  expect(['v18.20.0', 'v20.10.0', 'v20.19.0', 'v23.1.0', 'v24.0.0'].map((version) => nodeFinding(version).level)).toEqual([
    'FAIL',
    'FAIL',
    'ok',
    'warn',
    'ok',
  ]);
  const limits = (soft: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${soft}               1048576              files\n`;
  expect([limits('1024'), limits('65536'), limits('unlimited'), null].map((text) => descriptorsFinding(text).level)).toEqual([
    'warn',
    'ok',
    'ok',
    'ok',
  ]);
});
