import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { expect, test } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { agentSettings, agentTable } from '../../src/config/agent.ts';
import { readConfigFile, sectionOf } from '../../src/config/file.ts';
import { hubSettings, hubTable } from '../../src/config/hub.ts';
import { proxySettings, proxyTable } from '../../src/config/proxy.ts';
import { resolveSettings, type Problem, type Resolved } from '../../src/config/resolve.ts';
import { httpLimits } from '../../src/http/limits.ts';
import { knownKeys } from '../../src/config/file.ts';
import type { Table } from '../../src/schema/setting.ts';
import { fakeWorld } from './world.ts';

const here = dirname(fileURLToPath(import.meta.url));

test.each(readdirSync(join(here, 'invalid')))('an invalid file is refused with file, line, column and the fix: %s', async (name) => {
  const path = join(here, 'invalid', name);
  const text = readFileSync(path, 'utf8');
  const wanted = [...text.matchAll(/^# expect: (.*)$/gm)].map(([, line]) => `windlass: ${line!.replace(/^FILE/, name)}`);
  const world = fakeWorld({}, { [name]: text });
  expect(await run(['hub', 'run', '--config', name], world)).toBe(2);
  const said = world.err().trimEnd().split('\n');
  expect(said.toSorted()).toEqual(wanted.toSorted());
  expect(wanted.length).toBeGreaterThan(0);
  expect(world.err()).not.toContain('canary');
});

async function load<T extends Table>(name: string, section: string, table: T): Promise<Resolved<T>> {
  const path = join(here, 'valid', name);
  const file = await readConfigFile(path, '--config', () => readFileSync(path, 'utf8'));
  const problems: Problem[] = [];
  const readText = (secret: string): string => `read from ${basename(dirname(secret))}/${basename(secret)}`;
  return resolveSettings(table, {
    command: 'test',
    flags: new Map(),
    env: {},
    sectionName: section,
    section: sectionOf(file, section, table, problems),
    readText,
    problems,
  });
}

test('a file can set everything of a hub', async () => {
  const { values, sources } = await load('hub.toml', 'hub', hubTable);
  const { trustedProxies, admins, ...settings } = hubSettings(values, () => 'random');
  expect([...admins.values()]).toEqual([{ name: 'alice', role: 'operate', password: expect.objectContaining({ ln: 15 }) }]);
  expect(values.stateDir).toBe(join(here, 'valid', 'state'));
  expect(settings).toEqual({
    secrets: ['not-very-secret-but-long-enough'],
    slimeSecrets: ['what-the-hub-of-slime-has'],
    accepts: ['native', 'slime'],
    appPassword: 'pass word',
    revokedFile: join(here, 'valid', 'revoked.txt'),
    host: '127.0.0.1',
    port: 9000,
    concurrent: 64,
    queueTimeoutMs: 30_000,
    blockTimeoutMs: 600_000,
    queueSize: 50,
    queueBytes: 1024 * 1024,
    onEmpty: 'https://example.org/start?key=k',
    timeoutMs: 3_723_000,
    upgrades: ['websocket', 'tls/1.0'],
    viaName: 'edge',
    accessLog: { path: join(here, 'valid', 'access.log') },
    limits: {
      ...httpLimits,
      bodyBytes: 10 * 1024 * 1024,
      headBytes: 65_536,
      fieldCount: 200,
      connections: 5000,
      headTimeoutMs: 5000,
      bodyIdleTimeoutMs: 6000,
      writeIdleTimeoutMs: 7000,
      keepAliveTimeoutMs: 8000,
      upgradeIdleTimeoutMs: 9000,
      h2Streams: 50,
      h2StreamWindow: 64_000,
    },
    tls: {
      certFile: join(here, 'valid', 'cert.pem'),
      keyFile: '/etc/ssl/key.pem',
      clients: { caFile: join(here, 'valid', 'clients.pem'), ask: 'optional' },
    },
    requireAgentCertificate: true,
    drainDelayMs: 2000,
    hubId: 'edge-1',
    inspector: 500,
    notification: {
      name: 'notify',
      url: new URL('https://alerts.example.com/windlass?key=k'),
      format: 'dingtalk',
      secret: 'of the robot',
      events: new Set(['agent_lost', 'queue_long']),
      queueThreshold: 20,
      intervalMs: 10_000,
    },
    traces: {
      endpoint: {
        url: 'http://collector:4318/v1/traces',
        authorization: `Basic ${Buffer.from('me:pw').toString('base64')}`,
        timeoutMs: 1000,
        queueSize: 2048,
        delayMs: 5000,
        batchSize: 512,
      },
      service: 'edge',
      sample: 0.05,
    },
    siblings: new Map([['edge-2', parseUpstreamUrl('https://edge-2.example.com')]]),
    adminAddr: null,
    console: false,
    consoleHosts: ['hub.example.com'],
    logLevel: 'debug',
    logFormat: 'json',
    drainTimeoutMs: 60_000,
  });
  expect(['10.1.1.1', '127.0.0.1', '::1', '11.0.0.1'].map((address) => trustedProxies.has(address))).toEqual([true, true, true, false]);
  expect([...sources.values()].filter(({ level }) => level !== 'file')).toEqual([]);
});

test('a file can set everything of an agent', async () => {
  const { values, sources } = await load('agent.toml', 'agent', agentTable);
  const settings = agentSettings(values, null, values.stateDir);
  expect(settings).toMatchObject({
    token: 'wl1.x',
    hubs: [{ shown: 'https://hub.example.com/prefix', authorization: `Basic ${Buffer.from('user:pw').toString('base64')}` }],
    upstreams: [{ shown: 'http://localhost:3000' }, { shown: 'http://[::1]:8000/v1' }],
    slots: 8,
    slotsLock: join(here, 'valid', 'slots'),
    agentId: 'agent-1',
    reportHardware: false,
    stateDir: join(here, 'valid', 'state'),
    labels: new Map([
      ['gpu', 'a100'],
      ['rack', '7'],
    ]),
    allow: [
      { methods: new Set(['GET', 'POST']), path: '/v1/', prefix: true },
      { methods: null, path: '/status', prefix: false },
    ],
    onAbort: 'drain_capped',
    cancelGraceMs: 1000,
    hostHeader: 'keep',
    connectTimeoutMs: 2000,
    firstByteTimeoutMs: 3000,
    idleTimeoutMs: 4000,
    healthCheck: { scheme: 'http', name: 'model', target: '/health', everyMs: 5000 },
    upgrades: [],
    caFile: '/etc/ssl/ca.pem',
    shown: { certFile: join(here, 'valid', 'agent.pem'), keyFile: '/etc/ssl/agent.key' },
    wire: 'cranker',
    cranker: {
      route: 'my-service',
      domain: 'shop.example',
      componentName: 'till',
      window: 5,
      versions: ['1.0', '3.0'],
      fields: ['X-Team', 'blue, red', 'X-Area', '7'],
    },
    transport: 'websocket',
    egress: { http: { shown: 'http://proxy:3128' }, https: { shown: 'http://proxy:3128' }, except: [] },
    adminAddr: { host: '127.0.0.1', port: 9081 },
    traces: { endpoint: { url: 'http://collector:4318/v1/traces', authorization: null }, service: 'gpu', sample: 0.5 },
    logLevel: 'warn',
    logFormat: 'pretty',
    drainTimeoutMs: 5000,
  });
  expect([...sources.values()].filter(({ level }) => level !== 'file')).toEqual([]);
});

test('a file can set everything of a proxy', async () => {
  const { values, sources } = await load('proxy.toml', 'proxy', proxyTable);
  expect(proxySettings(values)).toMatchObject({
    host: '0.0.0.0',
    port: 8080,
    to: [{ shown: 'http://a:1' }, { shown: 'http://b:2' }],
    hostHeader: 'upstream',
    connectTimeoutMs: 2000,
    firstByteTimeoutMs: 0,
    idleTimeoutMs: 0,
    caFile: join(here, 'valid', 'ca.pem'),
    upgrades: [],
    accessLog: 'stdout',
    tls: {
      certFile: join(here, 'valid', 'cert.pem'),
      keyFile: join(here, 'valid', 'key.pem'),
      clients: { caFile: '/etc/ssl/clients.pem', ask: 'required' },
    },
    adminAddr: { host: '127.0.0.1', port: 9082 },
    limits: { headBytes: 16_384, targetBytes: 16_384 },
  });
  expect([...sources.values()].filter(({ level }) => level !== 'file')).toEqual([]);
});

test('keys may be spelled as flags or as slime spells them, and a secret file is found beside the file', async () => {
  const { values, sources } = await load('spellings.toml', 'hub', hubTable);
  expect(values).toMatchObject({ secret: ['read from valid/hub.secret'], appPassword: 'x', queueTimeout: 1000 });
  expect(sources.get('secret')).toEqual({ level: 'file', name: 'hub.secret-file', path: join(here, 'valid', 'hub.secret') });
});

test('without a file the defaults hold', async () => {
  const nothing = { command: 'test', env: {}, sectionName: null, section: null, readText: () => '' };
  const flags = new Map([
    ['secret', ['s']],
    ['token', ['t']],
    ['hub', ['h:1']],
    ['upstream', ['u:1']],
  ]);
  const hub = hubSettings((await resolveSettings(hubTable, { ...nothing, flags })).values, () => 'random');
  expect(hub).toMatchObject({
    host: '0.0.0.0',
    port: 8080,
    appPassword: null,
    concurrent: 0,
    queueTimeoutMs: 0,
    blockTimeoutMs: 300_000,
    upgrades: ['websocket'],
  });
  expect(hub).toMatchObject({ adminAddr: { host: '127.0.0.1', port: 9080 }, accessLog: 'off', hubId: 'random', limits: httpLimits });
  expect(hub.trustedProxies.empty).toBe(true);
  const agent = agentSettings((await resolveSettings(agentTable, { ...nothing, flags })).values, null, null);
  expect(agent).toMatchObject({
    slots: 1,
    reportHardware: true,
    onAbort: 'cancel',
    firstByteTimeoutMs: 0,
    connectTimeoutMs: 5000,
    hostHeader: 'upstream',
    allow: [],
    adminAddr: null,
  });
});

test('a Cranker router needs a route, and a token only where it wants one; a wrong registration is an error', async () => {
  const agent = async (...given: [string, string][]): Promise<unknown> => {
    const flags = new Map([['hub', ['h:1']], ['upstream', ['u:1']], ...given.map(([name, value]): [string, string[]] => [name, [value]])]);
    const { values } = await resolveSettings(agentTable, { command: 'test', env: {}, sectionName: null, section: null, readText: () => '', flags });
    return agentSettings(values, null, null);
  };
  const cranker: [string, string] = ['wire', 'cranker'];
  expect(await agent(cranker, ['route', '/my-service/'])).toMatchObject({
    token: '',
    cranker: { route: 'my-service', domain: '*', window: 2, versions: ['3.0', '1.0'] },
  });
  expect(await agent(cranker, ['route', '*'])).toMatchObject({ cranker: { route: '*' } });
  await expect(agent(cranker)).rejects.toThrow('--wire cranker needs --route');
  await expect(agent(['route', 'a'])).rejects.toThrow('needs --token');
  await expect(agent(['route', 'a'], ['token', 't'])).rejects.toThrow('add --wire cranker');
  await expect(agent(cranker, ['route', 'a b'])).rejects.toThrow('is no route');
  await expect(agent(cranker, ['route', 'a'], ['domain', 'a b'])).rejects.toThrow('is no domain');
  await expect(agent(cranker, ['route', 'a'], ['hubHeader', 'Route: b'])).rejects.toThrow('is a field of the registration itself');
  await expect(agent(cranker, ['route', 'a'], ['hubHeader', 'X-Secret'])).rejects.toThrow("write 'Name: value'");
  await expect(agent(cranker, ['route', 'a'], ['hubHeader', 'X: a\u0001secret'])).rejects.toThrow(
    /^--hub-header "X" has characters that no field has;/,
  );
});

test('half of what a certificate needs is an error that names the other half', async () => {
  const nothing = { command: 'test', env: {}, sectionName: null, section: null, readText: () => '' };
  const hub = async (...given: [string, string][]): Promise<unknown> => {
    const flags = new Map([['secret', ['s']], ...given.map(([name, value]): [string, string[]] => [name, [value]])]);
    return hubSettings((await resolveSettings(hubTable, { ...nothing, flags })).values, () => 'random');
  };
  await expect(hub(['tlsClientCa', 'ca.pem'])).rejects.toThrow('--tls-client-ca needs TLS');
  await expect(hub(['requireAgentCertificate', 'true'])).rejects.toThrow('--require-agent-certificate needs --tls-client-ca');
  const agent = async (at: string, ...given: [string, string][]): Promise<unknown> => {
    const flags = new Map([
      ['token', ['t']],
      ['hub', [at]],
      ['upstream', ['u:1']],
      ...given.map(([name, value]): [string, string[]] => [name, [value]]),
    ]);
    return agentSettings((await resolveSettings(agentTable, { ...nothing, flags })).values, null, null);
  };
  await expect(agent('https://h', ['certFile', 'a.pem'])).rejects.toThrow('--cert-file needs --key-file');
  await expect(agent('https://h', ['keyFile', 'a.key'])).rejects.toThrow('--key-file needs --cert-file');
  await expect(agent('h:1', ['certFile', 'a.pem'], ['keyFile', 'a.key'])).rejects.toThrow('give an https:// hub');
});

test('the files of this folder use every key there is', () => {
  const used = (name: string): Set<string> =>
    new Set([...readFileSync(join(here, 'valid', name), 'utf8').matchAll(/^(?:\[\w+\.)?(\w+)(?: =|\])/gm)].map(([, key]) => key!));
  for (const [name, table] of [
    ['hub.toml', hubTable],
    ['agent.toml', agentTable],
    ['proxy.toml', proxyTable],
  ] as const) {
    const keys = new Set(
      [...knownKeys(table)]
        .filter(([, setting]) => !setting.endsWith('File') || ['caFile', 'certFile', 'keyFile', 'revokedFile'].includes(setting))
        .map(([, setting]) => setting),
    );
    const written = new Set([...used(name)].map((key) => knownKeys(table).get(key)));
    expect(
      [...keys].filter((key) => !written.has(key)),
      name,
    ).toEqual([]);
  }
});

test('a hub at a ws:// address makes the transport a WebSocket', async () => {
  const flags = new Map([
    ['token', ['t']],
    ['hub', ['wss://hub.example.com']],
    ['upstream', ['u:1']],
  ]);
  const { values } = await resolveSettings(agentTable, { command: 'test', env: {}, sectionName: null, section: null, readText: () => '', flags });
  expect(agentSettings(values, null, null)).toMatchObject({ transport: 'websocket', hubs: [{ shown: 'https://hub.example.com' }] });
});
