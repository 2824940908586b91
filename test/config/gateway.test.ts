import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { type GatewaySettings, loadGateway } from '../../src/config/gateway.ts';
import { importPingap } from '../../src/config/import/pingap.ts';
import { pingapKeys } from '../../src/config/pingap-keys.ts';
import { httpLimits } from '../../src/http/limits.ts';
import { fakeWorld } from './world.ts';

const here = join(dirname(fileURLToPath(import.meta.url)), 'gateway');
const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the remarks in a file say that is to be said of it. */
function wanted(path: string): { errors: string[]; warnings: string[] } {
  const text = readFileSync(path, 'utf8');
  const lines = (mark: string): string[] =>
    [...text.matchAll(new RegExp(`^# ${mark}: (.*)$`, 'gm'))].map(([, line]) => line!.replaceAll('FILE', path));
  return { errors: lines('expect'), warnings: lines('warns') };
}

test.each(readdirSync(join(here, 'invalid')))('all that is wrong with a file is told at once, with its place and the fix: %s', async (name) => {
  const path = join(here, 'invalid', name);
  const { errors, warnings } = wanted(path);
  const world = fakeWorld({ CHECK_EMPTY: '', CHECK_SECRET: 'canary' });
  expect(await run(['check', path], world)).toBe(2);
  expect(world.err().trimEnd().split('\n')).toEqual([
    ...warnings.map((line) => `windlass: warning: ${line}`),
    ...errors.map((line) => `windlass: ${line}`),
  ]);
  expect(errors.length).toBeGreaterThan(0);
  expect(world.err()).not.toContain('canary');
  expect(world.out()).toBe('');
});

test.each(readdirSync(join(here, 'invalid')))('scripts get the same as JSON: %s', async (name) => {
  const path = join(here, 'invalid', name);
  const world = fakeWorld({ CHECK_EMPTY: '', CHECK_SECRET: 'canary' });
  expect(await run(['check', '-c', path, '--json'], world)).toBe(2);
  expect(JSON.parse(world.out())).toEqual({ ok: false, ...wanted(path), servers: [] });
  expect(world.err()).toBe('');
});

const VALID = ['april-2024.toml', 'today.toml'];

test.each(VALID)('a file of Pingap loads unchanged, with a warning for each key that does nothing: %s', async (name) => {
  const path = join(here, 'valid', name);
  const { warnings } = await loadGateway(path, {});
  expect(warnings).toEqual(wanted(path).warnings);
});

test("the two files use every key that Pingap has or had, but for plugins' and certificates'", () => {
  const text = VALID.map((name) => readFileSync(join(here, 'valid', name), 'utf8')).join('\n');
  const used = new Set([...text.matchAll(/^(\w+) = /gm)].map(([, key]) => key));
  for (const [section, keys] of pingapKeys) {
    if (section === 'plugins' || section === 'certificates') continue;
    for (const [key, { old, gone }] of keys) {
      if (gone !== true || old === undefined) expect(used, `${section}.${key}`).toContain(key);
      if (old !== undefined) expect(used, `${section}.${old}`).toContain(old);
    }
  }
});

test('a file of April 2024 means what it meant', async () => {
  const { settings } = await loadGateway(join(here, 'valid', 'april-2024.toml'), {});
  expect(settings.basic).toMatchObject({ name: 'edge', drainTimeoutMs: 190_000, upstreamPoolSize: 64, logLevel: 'info' });
  expect(settings.servers.get('web')).toMatchObject({
    addresses: [{ host: '127.0.0.1', port: 6188 }],
    locations: ['charts', 'diving', 'numbered'],
    tls: null,
    errorTemplates: { general: ['<html><body>{{content}} ({{version}})</body></html>'] },
  });
  expect(settings.locations.get('charts')!.settings).toMatchObject({
    upstream: 'charts',
    host: null,
    weight: 1024,
    proxySetHeaders: [
      { name: 'name', value: 'value' },
      { name: 'X-Forwarded-Host', value: 'charts.example.com' },
    ],
    setResponseHeaders: [{ name: 'X-Served-By', value: 'edge' }],
    plugins: [],
  });
  expect(settings.locations.get('diving')!.settings).toMatchObject({ rewrite: null });
  // Today's rule: / weighs nothing, so that a regular expression comes first.
  expect(settings.locations.get('diving')!.rule.weight).toBeLessThan(settings.locations.get('numbered')!.rule.weight);
  expect(settings.upstreams.get('charts')).toMatchObject({
    of: 'addresses',
    settings: { algo: { by: 'hash', key: { of: 'header', name: 'x-user' } }, sni: null, connectionTimeout: 10_000, idleTimeout: 30_000 },
  });
});

test('a file of today means what it means there', async () => {
  const { settings } = await loadGateway(join(here, 'valid', 'today.toml'), {});
  expect(settings.basic).toMatchObject({ logLevel: 'info', logFormat: 'json', watchIntervalMs: 30_000, drainTimeoutMs: 305_000 });
  expect(settings.basic.trustedProxies.has('10.1.2.3')).toBe(true);
  const web = settings.servers.get('web')!;
  expect(web).toMatchObject({
    addresses: [
      { host: '127.0.0.1', port: 6188 },
      { host: '127.0.0.1', port: 6189 },
    ],
    serverTiming: true,
    metricsPath: '/metrics',
    grpcHealth: false,
    limits: { ...httpLimits, h2Streams: 0, headTimeoutMs: 15_000, bodyIdleTimeoutMs: 15_000, writeIdleTimeoutMs: 30_000 },
  });
  expect(web.trustedProxies.has('192.168.1.7')).toBe(true);
  expect(settings.servers.get('pushed')!.metricsPath).toBeNull();
  expect(settings.locations.get('api')!.settings).toMatchObject({
    weight: 2048,
    clientMaxBodySize: 10_000_000,
    maxProcessing: 1000,
    enableReverseProxyHeaders: true,
    maxRetries: 2,
    maxRetryWindow: 10_000,
  });
  expect(settings.upstreams.get('api')!.settings).toMatchObject({
    connectionTimeout: 3000,
    totalConnectionTimeout: 5000,
    idleTimeout: 60_000,
    circuitBreakMaxConsecutiveFailures: 5,
  });
});

/** Without what depends on where it was read from. */
function meaning(settings: GatewaySettings): unknown {
  const plain = (items: ReadonlyMap<string, { readonly fingerprint: string }>): unknown =>
    new Map([...items].map(([name, item]) => [name, { ...item, fingerprint: '' }]));
  const servers = new Map(
    [...settings.servers].map(([name, server]) => [
      name,
      { ...server, fingerprint: '', accessLog: server.accessLog && { ...server.accessLog, text: '' } },
    ]),
  );
  return { ...settings, watched: [], servers, locations: plain(settings.locations), upstreams: plain(settings.upstreams) };
}

test.each(VALID)("what import pingap prints means the same, in today's names and without warnings for what does nothing: %s", async (name) => {
  const source = join(here, 'valid', name);
  const { toml, notes, usable } = await importPingap(source);
  expect(usable).toBe(true);
  expect(notes.length).toBeGreaterThan(0);
  const path = join(folder, name);
  writeFileSync(path, toml);
  const before = await loadGateway(source, {});
  const after = await loadGateway(path, {});
  expect(meaning(after.settings)).toEqual(meaning(before.settings));
  expect(after.warnings.filter((line) => line.includes('is not used'))).toEqual([]);
  expect(toml).not.toMatch(/^(?:proxy_headers|proxy_plugins|headers) =|\{[a-z]+-[a-z-]+\}/m);
});
