import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { loadGateway, readGateway } from '../../src/config/gateway.ts';
import { importPingap } from '../../src/config/import/pingap.ts';
import { SettingsError } from '../../src/config/settings-error.ts';

const valid = fileURLToPath(new URL('gateway/valid/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const APRIL = join(valid, 'april-2024-plugins.toml');
const TODAY = join(valid, 'today-plugins.toml');

function warned(path: string): readonly string[] {
  return [...readFileSync(path, 'utf8').matchAll(/^# warns: (.*)$/gm)].map(([, line]) => line!.replace('FILE', path));
}

/** What the plugins of a file are, by name. */
async function pluginsOf(path: string): Promise<Record<string, unknown>> {
  const { settings } = await loadGateway(path, {});
  return Object.fromEntries(
    [...settings.plugins].map(([name, { definition, step, values }]) => [name, { category: definition.name, step, ...(values as object) }]),
  );
}

test.each([APRIL, TODAY])('every plugin of a file of Pingap loads: %s', async (path) => {
  const { settings, warnings } = await loadGateway(path, {});
  expect(warnings).toEqual(warned(path));
  expect(settings.plugins.size).toBe(settings.locations.get('all')!.settings.plugins.length);
});

test.each([APRIL, TODAY])('every plugin of a file of Pingap can be made: %s', async (path) => {
  const { report } = await readGateway(path, {}, path, true);
  expect(report.errors().filter((line) => !line.includes('has no folder at'))).toEqual([]);
});

test('the texts of April 2024 mean what they meant', async () => {
  const plugins = await pluginsOf(APRIL);
  expect(plugins).toMatchObject({
    stats: { category: 'stats', path: '/stats', step: null },
    byCookie: { category: 'limit', type: 'inflight', tag: 'cookie', key: 'session', max: 10, step: 'proxy_upstream' },
    byHeader: { type: 'inflight', tag: 'header', key: 'X-Token', max: 20, step: 'request' },
    byQuery: { type: 'inflight', tag: 'query', key: 'app', max: 30 },
    byIp: { type: 'inflight', tag: 'ip', key: null, max: 5 },
    small: { category: 'compression', gzipLevel: 6, brLevel: 5, zstdLevel: 0 },
    files: {
      category: 'directory',
      path: join(homedir(), 'dl'),
      chunkSize: 4096,
      maxAge: 3_600_000,
      private: true,
      index: 'home.html',
      charset: 'utf-8',
    },
    canned: { category: 'mock', path: '/mock', status: 201, headers: [['Content-Type', 'application/json']], data: '{"a": 1}' },
    longId: { category: 'request_id', algorithm: 'uuid' },
    shortId: { algorithm: 'nanoid', size: 12 },
    inside: { category: 'ip_restriction', type: 'allow' },
    outside: { type: 'deny', step: null },
    appKey: { category: 'key_auth', query: 'app', header: null, keys: ['one', 'two'] },
    headerKey: { query: null, header: 'X-App', keys: ['three'] },
    admins: { category: 'basic_auth', authorizations: ['admin:123123', 'test:123123'] },
    kept: { category: 'cache', lock: 2000, maxFileSize: 100_000, namespace: 'edge', headers: ['X-Tenant', 'Accept'] },
    https: { category: 'redirect', httpToHttps: true, prefix: null },
  });
  const inside = plugins['inside'] as { ipList: { has(address: string): boolean } };
  expect(['10.1.2.3', '127.0.0.1', '192.0.2.7'].map((address) => inside.ipList.has(address))).toEqual([true, true, false]);
});

test.each([APRIL, TODAY])("import pingap writes plugins in today's names, and they mean the same: %s", async (source) => {
  const { toml, usable } = await importPingap(source);
  expect(usable).toBe(true);
  expect(toml).not.toMatch(/proxy_plugins|^category = \d|^value = /m);
  const path = join(folder, 'imported.toml');
  writeFileSync(path, toml);
  expect((await loadGateway(path, {})).warnings).toEqual([]);
  // As text: compiled patterns are never equal.
  expect(JSON.stringify(await pluginsOf(path))).toBe(JSON.stringify(await pluginsOf(source)));
});

test.each([
  [0, '', 'is missing or empty; put the path'],
  [1, 'ip', 'is no limit; write "ip 10"'],
  [1, 'user 10', 'is no limit'],
  [1, '~session ten', 'is no limit'],
  [2, 'high', 'has no levels; write those of gzip'],
  [2, '10 0 0', 'is out of range'],
  [3, '', 'is missing or no path; write path = "/pingap", and who may log in as [admins.NAME]'],
  [4, '?index=a', 'is missing or empty; put the folder'],
  [4, '/dl?levels=2', 'has a parameter "levels"'],
  [5, '{"path":', 'is no JSON'],
  [5, '[]', 'is no JSON object'],
  [5, '{"path":"/x","delay":1}', 'has a key "delay"'],
  [5, '{"path":"/x","headers":"A: b"}', 'has headers that are no list'],
  [6, 'ulid', 'is neither; write "uuid"'],
  [7, '', 'is no list of addresses'],
  [7, '10.0.0.0/40 0', '"10.0.0.0/40"'],
  [8, 'X-App', 'is no key; write'],
  [9, '', 'is missing or empty; put user:password in base64'],
  [10, '/var/cache/pingap', 'keeps answers in files'],
  [10, 'memory://?levels=2', 'has a parameter "levels"'],
])('a value of category %i that cannot be understood is an error at its place: %j', async (category, value, said) => {
  const path = join(folder, 'wrong.toml');
  writeFileSync(path, `${readFileSync(APRIL, 'utf8')}\n[proxy_plugins.wrong]\ncategory = ${category}\nvalue = '${value}'\n`);
  const error = (await loadGateway(path, {}).catch((problem: unknown) => problem)) as SettingsError;
  expect(error).toBeInstanceOf(SettingsError);
  expect(error.lines.length).toBe(1);
  expect(error.lines[0]).toContain(said);
  expect(error.lines[0]).toMatch(/wrong\.toml:9\d:[12] (?:proxy_)?plugins\.wrong/);
});

test('the console of April 2024 keeps its path; whose passwords stand in the file is told where they belong, and not repeated', async () => {
  const path = join(folder, 'admin.toml');
  const file = (value: string): string => `[upstreams.u]
addrs = ["127.0.0.1:3000"]
[locations.l]
upstream = "u"
[locations.console]
path = "/pingap"
proxy_plugins = ["admin"]
[servers.s]
addr = "127.0.0.1:0"
locations = ["l", "console"]
[proxy_plugins.admin]
category = 3
value = "${value}"
[admins.alice]
role = "admin"
password = "$scrypt$ln=15,r=8,p=1$K5GKMeUMfMV/51ZyuGLo3g$6BUOVPbzPZSQNJGKzO+bHsUnWjvPUqsA5G7GKcFY2PM"
`;
  writeFileSync(path, file('/pingap'));
  expect((await pluginsOf(path))['admin']).toMatchObject({ category: 'admin', path: '/pingap' });
  writeFileSync(path, file('/pingap YWRtaW46MTIzMTIz'));
  const { report } = await readGateway(path, {}, path, true);
  expect(report.errors()).toEqual([expect.stringMatching(/admin\.toml:11:\d proxy_plugins\.admin .*write \[admins\.NAME\] with role/)]);
  expect(report.errors().join()).not.toMatch(/YWRtaW|123123/);
});

test('what holds secrets is not repeated', async () => {
  const path = join(folder, 'secret.toml');
  writeFileSync(
    path,
    `${readFileSync(APRIL, 'utf8')}\n[proxy_plugins.wrong]\ncategory = 8\nvalue = 'canary'\n[proxy_plugins.other]\ncategory = 9\nvalue = 'canary'\n`,
  );
  const error = (await loadGateway(path, {}).catch((problem: unknown) => problem)) as SettingsError;
  expect(error.lines.length).toBe(2);
  expect(error.lines.join()).not.toContain('canary');
});
