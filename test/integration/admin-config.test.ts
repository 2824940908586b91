import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type {
  ConfigConflict,
  ConfigInfo,
  ConfigVerdict,
  ConfigVersion,
  ConfigVersionDetail,
  FormSection,
  ImportVerdict,
  Page,
  RouteTest,
} from '../../src/admin/model.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { Program } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const program = new Program();
beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

/** Somebody who asks the admin API. */
class Asker {
  readonly #base: string;
  readonly #token: string;

  constructor({ adminAddress }: Pick<TestGateway, 'adminAddress'>, token: string) {
    this.#base = `http://127.0.0.1:${adminAddress!.port}/api/v1`;
    this.#token = token;
  }

  async ask<T>(
    method: string,
    path: string,
    body?: unknown,
    ifMatch?: string,
  ): Promise<{ readonly status: number; readonly etag: string; readonly json: T; readonly text: string }> {
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(ifMatch === undefined ? {} : { 'If-Match': `"${ifMatch}"` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = (response.headers.get('content-type') ?? '').includes('json') ? (JSON.parse(text) as T) : (null as T);
    return { status: response.status, etag: (response.headers.get('etag') ?? '').replaceAll('"', ''), json, text };
  }

  info(): Promise<{ readonly etag: string; readonly json: ConfigInfo }> {
    return this.ask('GET', '/config');
  }

  async apply(changes: readonly unknown[], more: { readonly ifMatch?: string; readonly note?: string } = {}) {
    const { ifMatch = (await this.info()).etag, note } = more;
    return this.ask<ConfigVerdict & Partial<ConfigConflict> & { readonly detail?: string }>(
      'POST',
      '/config/apply',
      { changes, ...(note === undefined ? {} : { note }) },
      ifMatch,
    );
  }
}

/** A gateway with one origin, whoever runs it, and somebody who may only look. */
async function start(more = '') {
  const origin = await tools.startOrigin((request, response) => response.end(`${request.url} of one`));
  const stateDir = tools.folder();
  const gateway = await startGatewayOf(
    tools,
    `# The gateway of the test.
[servers.main] # the only one
addr = "127.0.0.1:0"
locations = ["all"]

# Everything goes there.
[locations.all]
upstream = "one"

[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]

[plugins.door]
category = "key_auth"
header = "X-Key"
keys = ["canary-key"]
${more}`,
    { stateDir },
  );
  const token = readFileSync(join(stateDir, `admin-token-${gateway.adminAddress!.port}`), 'latin1').trim();
  const admin = new Asker(gateway, token);
  const reader = async (): Promise<Asker> => {
    const { json } = await admin.ask<{ readonly token: string }>('POST', '/tokens', { name: 'looker', role: 'read', ttlMs: 60_000 });
    return new Asker(gateway, json.token);
  };
  const text = (): string => readFileSync(gateway.file, 'utf8');
  const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${gateway.port()}${path}`)).text();
  return { origin, gateway, admin, reader, text, get, stateDir };
}

test('items are shown as they stand in the file, secrets hidden; a change is checked, shown as a diff, saved and served, and keeps all else', async () => {
  const { admin, text, get } = await start();
  const { json: info, etag } = await admin.info();
  expect(info).toMatchObject({ etag, appliedEtag: etag, ok: true, fixed: '', problems: [] });
  expect(info.sections['locations']).toEqual([
    { name: 'all', file: 'windlass.toml', line: expect.any(Number) as number, values: { upstream: 'one' }, usedBy: ['servers.main'] },
  ]);
  expect(info.sections['upstreams']![0]!.usedBy).toEqual(['locations.all']);
  expect(info.sections['plugins']![0]!.values).toEqual({ category: 'key_auth', header: 'X-Key', keys: ['********'] });
  const before = text();
  const changes = [{ section: 'locations', name: 'all', values: { upstream: 'one', rewrite: '^/a/ /b/' } }];
  const { json: checked } = await admin.ask<ConfigVerdict>('POST', '/config/check', { changes });
  expect(checked).toMatchObject({ ok: true, etag });
  expect(checked.diff).toContain('+rewrite = "^/a/ /b/"\n');
  expect(text()).toBe(before);
  const { status, json: applied, etag: next } = await admin.apply(changes, { note: 'a is b' });
  expect([status, applied.ok]).toEqual([200, true]);
  expect(next).not.toBe(etag);
  expect(text()).toBe(before.replace('upstream = "one"\n', 'upstream = "one"\nrewrite = "^/a/ /b/"\n'));
  // It serves when the answer is there.
  expect(await get('/a/x')).toBe('/b/x of one');
  expect((await admin.info()).json).toMatchObject({ etag: next, appliedEtag: next, ok: true });
});

test('what cannot be used is refused with its places, and nothing is written', async () => {
  const { admin, text, get } = await start();
  const before = text();
  const { status, json } = await admin.apply([{ section: 'locations', name: 'all', values: { upstream: 'two', timeout: 'soon' } }]);
  expect(status).toBe(422);
  expect(json.problems.map(({ subject, file, line }) => [subject, file, line > 0])).toEqual(
    expect.arrayContaining([
      ['locations.all.upstream', 'windlass.toml', true],
      ['locations.all.timeout', 'windlass.toml', true],
    ]),
  );
  expect(json.diff).toContain('+timeout = "soon"');
  // A plugin that can be read and not made is found, too.
  const made = await admin.apply([{ section: 'plugins', name: 'new', values: { category: 'directory', path: '/nowhere/at/all' } }]);
  expect([made.status, made.json.problems.some(({ message }) => message.includes('plugins.new'))]).toEqual([422, true]);
  expect(text()).toBe(before);
  expect(await get('/x')).toBe('/x of one');
});

test('what can be used and not be served, since another program has its port, is taken back', async () => {
  const { admin, text, origin, get } = await start();
  const before = text();
  const { status, json } = await admin.apply([
    { section: 'servers', name: 'second', values: { addr: `127.0.0.1:${origin.port}`, locations: ['all'] } },
  ]);
  expect(status).toBe(422);
  expect(json.problems[0]!.message).toMatch(/EADDRINUSE|in use|taken/i);
  expect(text()).toBe(before);
  expect(await get('/x')).toBe('/x of one');
  expect((await admin.info()).json.ok).toBe(true);
});

test('who changes what somebody else has changed meanwhile gets what stands there now, and nothing is lost', async () => {
  const { admin, text } = await start();
  const { etag } = await admin.info();
  const first = await admin.apply([{ section: 'locations', name: 'all', values: { upstream: 'one', timeout: '1s' } }], { ifMatch: etag });
  expect(first.status).toBe(200);
  const second = await admin.apply([{ section: 'locations', name: 'all', values: { upstream: 'one', timeout: '2s' } }], { ifMatch: etag });
  expect(second.status).toBe(412);
  expect(second.json).toMatchObject({ etag: first.etag, files: [{ name: 'windlass.toml', text: text() }] });
  expect(text()).toContain('timeout = "1s"');
  const both = await Promise.all(
    ['3s', '4s'].map((timeout) =>
      admin.apply([{ section: 'locations', name: 'all', values: { upstream: 'one', timeout } }], { ifMatch: first.etag }),
    ),
  );
  expect(new Set(both.map(({ status }) => status))).toEqual(new Set([200, 412]));
  const without = await admin.ask('POST', '/config/apply', { changes: [] });
  expect(without.status).toBe(428);
});

test('[threat 63] secrets leave to admins alone, as a file; who only looks sees none in texts, items, diffs, history, exports', async () => {
  const { admin, reader, gateway, text } = await start('# a note\n# keys = ["canary-old"]\n');
  const looker = await reader();
  await admin.apply([{ section: 'plugins', name: 'door', values: { category: 'key_auth', header: 'X-Key', keys: ['********', 'canary-two'] } }]);
  expect(text()).toContain('keys = ["canary-key", "canary-two"]');
  const { json: history } = await looker.ask<Page<ConfigVersion>>('GET', '/config/history');
  const seen = [
    await looker.ask('GET', '/config'),
    await looker.ask('GET', '/config/files/windlass.toml'),
    await looker.ask('GET', `/config/history/${history.items[0]!.id}`),
    await admin.ask('POST', '/config/check', { changes: [{ file: 'windlass.toml', text: text().replace('canary-two', 'canary-three') }] }),
    await admin.ask('POST', '/config/check', { changes: [{ file: 'windlass.toml', text: `${text()}\n[broken` }] }),
    await admin.ask('GET', '/config'),
    await admin.ask('GET', '/config/export'),
  ];
  for (const { status, text: said } of seen) {
    expect(status).toBe(200);
    expect(said).not.toContain('canary');
  }
  expect(seen[3]!.text).toContain('(changed)');
  expect((await admin.ask('GET', '/config/files/windlass.toml')).text).toBe(text());
  expect((await looker.ask('POST', '/config/apply', { changes: [] }, 'x')).status).toBe(403);
  expect((await looker.ask('GET', '/config/export')).status).toBe(403);
  // What is tried may name variables and files of the machine, and code that is run.
  expect((await looker.ask('POST', '/config/check', { changes: [] })).status).toBe(403);
  const changes = [{ section: 'locations', name: 'all', values: { upstream: '${HOME}' } }];
  expect((await looker.ask('POST', '/routing/test', { host: 'x', path: '/', changes })).status).toBe(403);
  expect((await looker.ask('POST', '/routing/test', { host: 'x', path: '/' })).status).toBe(200);
  expect((await admin.ask('GET', '/config/files/none.toml')).status).toBe(404);
  expect(JSON.stringify(gateway.log)).not.toContain('canary');
});

test('what was there is in the history, whoever wrote it: with what it changed, to be restored, to be rolled back to', async () => {
  const { admin, gateway, text, get, stateDir } = await start();
  const first = text();
  await admin.apply([{ section: 'locations', name: 'all', values: { upstream: 'one', rewrite: '^/a /b' } }], { note: 'b for a' });
  const second = text();
  // Somebody with an editor breaks it.
  writeFileSync(gateway.file, `${second}\n[locations.broken\n`);
  await admin.ask('POST', '/config/reload');
  const { json: info } = await admin.info();
  expect(info).toMatchObject({ ok: false, problems: [{ level: 'error', file: 'windlass.toml' }] });
  expect(info.etag).not.toBe(info.appliedEtag);
  const { json: page } = await admin.ask<Page<ConfigVersion>>('GET', '/config/history');
  expect(page.items.map(({ by, note, served, current }) => [by, note, served, current])).toEqual([
    ['file', '', false, true],
    ['local', 'b for a', true, false],
    ['file', '', true, false],
  ]);
  const { json: detail } = await admin.ask<ConfigVersionDetail>('GET', `/config/history/${page.items[1]!.id}`);
  expect(detail.diff).toContain('+rewrite = "^/a /b"');
  expect(detail.files).toEqual([{ name: 'windlass.toml', text: second }]);
  // Back to what serves, then to what served before it.
  expect((await admin.ask('POST', '/config/rollback')).status).toBe(200);
  expect(text()).toBe(second);
  expect((await admin.ask('POST', '/config/rollback')).status).toBe(200);
  expect(text()).toBe(first);
  expect(await get('/a')).toBe('/a of one');
  const restored = await admin.ask<ConfigVerdict>('POST', `/config/history/${page.items[1]!.id}/restore`);
  expect([restored.status, text()]).toEqual([200, second]);
  expect((await admin.ask('POST', '/config/history/00000099/restore')).status).toBe(404);
  const [inside] = readdirSync(join(stateDir, 'history'));
  for (const name of readdirSync(join(stateDir, 'history', inside!)))
    expect(statSync(join(stateDir, 'history', inside!, name)).mode & 0o777).toBe(0o600);
});

test('items are renamed with all that name them, and taken away; one that is in use stays', async () => {
  const { admin, text, get } = await start();
  const used = await admin.apply([{ section: 'upstreams', name: 'one', values: null }]);
  expect([used.status, used.json.problems.some(({ subject }) => subject === 'locations.all.upstream')]).toEqual([422, true]);
  const { json: info } = await admin.info();
  const { values } = info.sections['upstreams']![0]!;
  expect((await admin.apply([{ section: 'upstreams', name: 'one', values, rename: 'first' }])).status).toBe(200);
  expect(text()).toContain('[upstreams.first]');
  expect(text()).toContain('upstream = "first"');
  expect(await get('/x')).toBe('/x of one');
  expect((await admin.apply([{ section: 'plugins', name: 'door', values: null }])).status).toBe(200);
  expect(text()).not.toContain('door');
});

test('a read-only file or one of a ConfigMap is not written, and it is said beforehand', async () => {
  const { admin, gateway, text } = await start();
  const folder = join(gateway.file, '..');
  mkdirSync(join(folder, '..data_1'));
  renameSync(gateway.file, join(folder, '..data_1', 'windlass.toml'));
  symlinkSync('..data_1', join(folder, '..data'));
  symlinkSync('..data/windlass.toml', gateway.file);
  const before = text();
  expect((await admin.info()).json.fixed).toMatch(/ConfigMap/);
  const { status, json } = await admin.apply([{ section: 'basic', name: '', values: null }]);
  expect([status, json.detail]).toEqual([409, expect.stringContaining('ConfigMap')]);
  expect(text()).toBe(before);
  chmodSync(folder, 0o755);
});

test('a configuration goes out as one text and comes in again; those of other programs become ours, tried first', async () => {
  const { admin, text } = await start();
  const before = text();
  const { text: exported } = await admin.ask('GET', '/config/export');
  const order = { text: exported, format: 'toml', dryRun: false };
  const { status, json } = await admin.ask<ImportVerdict>('POST', '/config/import', order);
  expect([status, json.ok, json.diff]).toEqual([200, true, '']);
  expect(text()).toBe(before);
  const pingap =
    '[servers.web]\naddr = "127.0.0.1:0"\nlocations = ["x"]\nthreads = 2\n[locations.x]\nupstream = "y"\nproxy_headers = ["A: b"]\n[upstreams.y]\naddrs = ["127.0.0.1:1"]\n';
  const { json: tried } = await admin.ask<ImportVerdict>('POST', '/config/import', { text: pingap, format: 'pingap', dryRun: true });
  expect(tried.ok).toBe(true);
  expect(tried.text).toContain('proxy_set_headers');
  expect(tried.notes.join()).toContain('threads');
  expect(tried.diff).toContain('+[locations.x]');
  const { json: pi } = await admin.ask<ImportVerdict>('POST', '/config/import', {
    text: JSON.stringify({ heartbeat_interval: 5, servers: [{ host: '127.0.0.1', port: 1, priority: 1 }] }),
    format: 'pi',
    dryRun: true,
  });
  expect(pi.text ?? pi).toBeTruthy();
  const { json: slime } = await admin.ask<ImportVerdict>('POST', '/config/import', {
    text: 'hub:\n  port: 8080\n  secret: canary\n',
    format: 'slime',
    dryRun: true,
  });
  expect(slime.diff).toContain('+[hub]');
  expect(slime.text).not.toContain('canary');
  expect((await admin.ask('POST', '/config/import', { text: '{', format: 'pi', dryRun: true })).status).toBe(422);
  expect(text()).toBe(before);
});

test('where a request would go is told without sending it, of what serves and of what would; rewrites and log lines are tried', async () => {
  const { admin } = await start();
  const { json } = await admin.ask<{ readonly tests: readonly RouteTest[] }>('POST', '/routing/test', { host: 'example.com', path: '/a/b?c=1' });
  expect(json.tests).toEqual([
    {
      server: 'main',
      location: 'all',
      upstream: 'one',
      target: '/a/b?c=1',
      status: null,
      refusal: '',
      captures: {},
      plugins: [],
      considered: [{ location: 'all', weight: expect.any(Number) as number, matches: true, reason: 'takes everything' }],
    },
  ]);
  const changes = [{ section: 'locations', name: 'all', values: { upstream: 'one', path: '/only' } }];
  const after = await admin.ask<{ readonly tests: readonly RouteTest[] }>('POST', '/routing/test', { host: '', path: '/a', changes });
  expect(after.json.tests[0]).toMatchObject({
    location: null,
    status: 404,
    considered: [{ matches: false, reason: 'path /a does not begin with /only' }],
  });
  expect((await admin.ask('POST', '/routing/test', { host: 'x', path: '/', server: 'none' })).status).toBe(422);
  const rewrite = await admin.ask('POST', '/routing/rewrite', { rewrite: '^/v1/(?<rest>.*)$ /v2/$rest', path: '/v1/x?y' });
  expect(rewrite.json).toEqual({ matches: true, target: '/v2/x?y', captures: { rest: 'x' }, problem: '' });
  const wrong = await admin.ask<{ readonly problem: string }>('POST', '/routing/rewrite', { rewrite: 'a b c', path: '/' });
  expect(wrong.json.problem).toContain('has 3 parts');
  const line = await admin.ask('POST', '/routing/log-template', { template: '{method} {uri} {status} {$HOME}' });
  expect(line.json).toEqual({ line: 'GET /v1/models?page=2 200 -', problem: '' });
  const bad = await admin.ask<{ readonly problem: string }>('POST', '/routing/log-template', { template: '{metod}' });
  expect(bad.json.problem).toContain('did you mean {method}');
});

test('who moves the console to another address hears that it is done, and finds it there', async () => {
  const { admin, gateway } = await start();
  const before = gateway.adminAddress!.port;
  const free = await tools.startOrigin((_request, response) => response.end());
  const port = free.port;
  await free.close();
  const { json } = await admin.info();
  const { status } = await admin.apply([
    { section: 'basic', name: '', values: { ...json.sections['basic']![0]!.values, admin_addr: `127.0.0.1:${port}` } },
  ]);
  expect(status).toBe(200);
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  await expect(fetch(`http://127.0.0.1:${before}/healthz`)).rejects.toThrow();
});

test('forms and the JSON Schema are there for whoever may look', async () => {
  const { reader } = await start();
  const looker = await reader();
  const { json } = await looker.ask<{ readonly sections: readonly FormSection[] }>('GET', '/config/schema');
  expect(json.sections.map(({ section }) => section)).toEqual(expect.arrayContaining(['basic', 'servers', 'plugins']));
  expect((await looker.ask<{ readonly title: string }>('GET', '/config/json-schema')).json.title).toBe('Windlass');
});

test('a thousand locations are shown, and one of them is changed, without keeping requests waiting', { timeout: 60_000 }, async () => {
  const many = Array.from({ length: 1_000 }, (_, i) => `[locations.l${i}]\nupstream = "one"\npath = "/l${i}"\n`).join('\n');
  const { admin, text } = await start(many);
  const { json } = await admin.info();
  expect(json.sections['locations']).toHaveLength(1_001);
  const { status } = await admin.apply([{ section: 'locations', name: 'l500', values: { upstream: 'one', path: '/changed' } }]);
  expect(status).toBe(200);
  expect(text()).toContain('[locations.l500]\nupstream = "one"\npath = "/changed"\n');
  await until('it serves', async () => ((await admin.info()).json.ok ? true : null));
});

test('in a program that watches its files a change is one version of them, and one of an editor another', { timeout: 60_000 }, async () => {
  const origin = await tools.startOrigin((request, response) => response.end(`${request.url} of one`));
  const [folder, stateDir] = [tools.folder(), tools.folder()];
  const file = join(folder, 'windlass.toml');
  writeFileSync(
    file,
    `[basic]\nadmin_addr = "127.0.0.1:0"\n[servers.main]\naddr = "127.0.0.1:0"\nlocations = ["all"]\n[locations.all]\nupstream = "one"\n[upstreams.one]\naddrs = ["127.0.0.1:${origin.port}"]\n`,
  );
  const running = program.run(['run', '-c', file, '--state-dir', stateDir]);
  const port = await running.port('a server listens');
  const left = await until('the local token', () => readdirSync(stateDir).find((name) => name.startsWith('admin-token-')) ?? null);
  const admin = new Asker(
    { adminAddress: { host: '127.0.0.1', port: Number(left.slice('admin-token-'.length)) } },
    readFileSync(join(stateDir, left), 'latin1').trim(),
  );
  const { status } = await admin.apply([{ section: 'locations', name: 'all', values: { upstream: 'one', rewrite: '^/a /b' } }]);
  expect(status).toBe(200);
  expect(await (await fetch(`http://127.0.0.1:${port}/a`)).text()).toBe('/b of one');
  writeFileSync(`${file}.new`, `${readFileSync(file, 'utf8')}# an editor was here\n`);
  renameSync(`${file}.new`, file);
  const { items } = await until('the version of the editor', async () => {
    const { json } = await admin.ask<Page<ConfigVersion>>('GET', '/config/history');
    return json.items.length === 3 ? json : null;
  });
  expect(items.map(({ by, served }) => [by, served])).toEqual([
    ['file', true],
    ['local', true],
    ['file', true],
  ]);
  running.child.kill('SIGTERM');
});
