import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { configLimits } from './limits.ts';
import { loadGateway } from './gateway.ts';
import { SettingsError } from './settings-error.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windlass-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const GOOD =
  '[servers.web]\naddr = "127.0.0.1:8080"\nlocations = ["api"]\n[locations.api]\nupstream = "api"\n[upstreams.api]\naddrs = ["127.0.0.1:3000"]\n';

function put(name: string, text: string | Uint8Array = GOOD): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

/** Lines of the refusal, with the folder's name left out. */
async function refusal(source: string): Promise<readonly string[]> {
  const error = await loadGateway(source, {}).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SettingsError);
  return (error as SettingsError).lines.map((line) => line.replaceAll(`${folder}/`, '').replaceAll(folder, 'FOLDER'));
}

test('[threat 77] a byte order mark is passed over, and lines are counted right', async () => {
  const { settings } = await loadGateway(put('a.toml', `\ufeff${GOOD}`), {});
  expect(settings.servers.size).toBe(1);
  expect(await refusal(put('b.toml', `\ufeffnonsense = 1\n${GOOD}`))).toEqual([
    expect.stringMatching(/^b\.toml:1:\d basic\.nonsense is no setting;/),
  ]);
});

test.each([
  ['nothing at all', ''],
  ['spaces', ' \n\t\n'],
  ['a byte order mark', '\ufeff'],
])('[threat 77] a file of %s is refused: it was written only in part', async (_, text) => {
  expect(await refusal(put('a.toml', text))).toEqual(['a.toml is empty; was it written only in part? (a file of comments is fine)']);
});

test('[threat 77] a file that ends in the middle is refused with its place', async () => {
  expect(await refusal(put('a.toml', GOOD.slice(0, 40)))).toEqual([expect.stringMatching(/^a\.toml:\d+:\d+ is no valid TOML: /)]);
});

test('[threat 77] a file that every user may write is refused, and so is one in a folder that every user may write', async () => {
  const path = put('a.toml');
  chmodSync(path, 0o666);
  expect(await refusal(path)).toEqual(['a.toml may be written by every user of this machine; chmod o-w a.toml']);
  chmodSync(path, 0o640);
  await loadGateway(path, {});
  const open = put('open/a.toml');
  chmodSync(dirname(open), 0o777);
  expect(await refusal(open)).toEqual(['open/a.toml lies in a folder that every user of this machine may write; chmod o-w open']);
  // As /tmp is: there nobody replaces the files of others.
  chmodSync(dirname(open), 0o1777);
  await loadGateway(open, {});
});

test('[threat 77] a symbolic link is followed within its folder only', async () => {
  const target = put('elsewhere/a.toml');
  mkdirSync(join(folder, 'conf'));
  const link = join(folder, 'conf/a.toml');
  symlinkSync('../elsewhere/a.toml', link);
  expect(await refusal(link)).toEqual(['conf/a.toml is a symbolic link that leads out of its folder; name elsewhere/a.toml itself']);
  expect(await refusal(join(folder, 'conf'))).toEqual(['conf/a.toml is a symbolic link that leads out of its folder; name elsewhere/a.toml itself']);
  // As Kubernetes mounts a ConfigMap: every file is a link through a link to a folder of that moment.
  rmSync(link);
  mkdirSync(join(folder, 'conf/..2026_01'));
  renameSync(target, join(folder, 'conf/..2026_01/a.toml'));
  symlinkSync('..2026_01', join(folder, 'conf/..data'));
  symlinkSync('..data/a.toml', link);
  expect((await loadGateway(join(folder, 'conf'), {})).settings.servers.size).toBe(1);
  expect((await loadGateway(link, {})).settings.servers.size).toBe(1);
});

test('[threat 77] what is no UTF-8 text is refused', async () => {
  expect(await refusal(put('a.toml', Buffer.from([0x61, 0xff, 0xfe])))).toEqual(['a.toml is no UTF-8 text; give a TOML file, or a folder of them']);
});

test('a file that is not there, a folder without files', async () => {
  expect(await refusal(join(folder, 'no.toml'))).toEqual(['no.toml does not exist; give a TOML file, or a folder of them']);
  expect(await refusal(folder)).toEqual(['FOLDER holds no *.toml file; give a TOML file, or a folder of them']);
});

test('[threat 60] a configuration has a largest size, all files together', async () => {
  const half = `${GOOD}# ${'x'.repeat(configLimits.fileBytes / 2)}\n`;
  put('conf/a.toml', half);
  put('conf/b.toml', `# ${'x'.repeat(configLimits.fileBytes / 2)}\n`);
  expect(await refusal(join(folder, 'conf'))).toEqual([expect.stringMatching(/^conf\/b\.toml is larger than \d+ bytes; /)]);
});

test('[threat 60] tables and lists within each other have a bound', async () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  expect(await refusal(put('a.toml', `name = ${deep}`))).toEqual([
    expect.stringContaining('is no valid TOML: document contains excessively nested structures'),
  ]);
  const inline = `${'{ a = '.repeat(200)}1${' }'.repeat(200)}`;
  expect(await refusal(put('b.toml', `name = ${inline}`))).toEqual([expect.stringContaining('is no valid TOML')]);
});

test('[threat 60] keys that stand twice are refused, in a file and across files', async () => {
  expect(await refusal(put('a.toml', `${GOOD}[upstreams.api]\naddrs = ["127.0.0.1:1"]\n`))).toEqual([
    expect.stringMatching(/^a\.toml:8:\d+ is no valid TOML: /),
  ]);
  put('conf/a.toml', `name = "a"\n${GOOD}`);
  put('conf/b.toml', '[basic]\nname = "b"\n[upstreams.api]\naddrs = ["127.0.0.1:1"]\n');
  expect(await refusal(join(folder, 'conf'))).toEqual([
    'conf/b.toml:2:1 basic.name is the same setting as name at conf/a.toml:1:1; keep one',
    'conf/b.toml:3:2 upstreams.api is there twice, also at conf/a.toml:7:2; keep one, or give it another name',
  ]);
});

test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype'])(
  '[threat 59] %s is refused as name of an item, as key and in a table, and changes nothing',
  async (name) => {
    const lines = await refusal(
      put(
        'a.toml',
        `${GOOD}[servers.${name}]\naddr = ":1"\n[locations.${name}]\nupstream = "api"\n[upstreams.b]\n${name} = 1\n[basic]\nerror_templates = { ${name} = "x" }\n[${name}]\nx = 1\n[agents]\nsecret = "s"\n${name}.x = 1\n`,
      ),
    );
    for (const place of ['servers', 'locations', 'upstreams.b', 'basic.error_templates', 'agents'])
      expect(lines).toContainEqual(expect.stringContaining(` ${place}.${name} has a name that is not allowed; choose another`));
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^a\\.toml:\\d+:\\d+ ${name} has a name that is not allowed`)));
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  },
);

test('the files of a folder are read as one, in the order of their names, hidden ones and others left out', async () => {
  put('conf/10-servers.toml', '[servers.web]\naddr = "127.0.0.1:8080"\nlocations = ["b", "a"]\n');
  put('conf/20-locations/b.toml', '[locations.b]\nupstream = "api"\npath = "/b"\n');
  put('conf/20-locations/a.toml', '[locations.a]\nupstream = "api"\npath = "/a"\n');
  put('conf/upstreams.toml', '[upstreams.api]\naddrs = ["127.0.0.1:3000"]\n');
  put('conf/basic.toml', '[basic]\nname = "x"\n');
  put('conf/more-basic.toml', '[basic]\nlog_level = "warn"\n');
  put('conf/.hidden.toml', 'broken');
  put('conf/notes.txt', 'broken');
  put('conf/old.toml.bak', 'broken');
  const { settings, warnings } = await loadGateway(join(folder, 'conf'), {});
  expect(warnings).toEqual([]);
  expect([...settings.locations.keys()]).toEqual(['a', 'b']);
  expect(settings.basic).toMatchObject({ name: 'x', logLevel: 'warn' });
  expect(settings.watched).toEqual(expect.arrayContaining([join(folder, 'conf'), join(folder, 'conf/20-locations')]));
});

test('errors of several files are told together, file by file', async () => {
  put('conf/a.toml', GOOD.replace('"api"]', '"api", "nowhere"]'));
  put('conf/b.toml', '[locations.b]\nupstraem = "api"\n');
  const lines = await refusal(join(folder, 'conf'));
  expect(lines.map((line) => line.split(' ')[0])).toEqual(['conf/a.toml:3:1', 'conf/b.toml:1:2', 'conf/b.toml:2:1']);
});

test('while a file cannot be read nothing is called missing: it may stand in there', async () => {
  put('conf/a.toml', GOOD.replace('"api"]', '"api", "other"]'));
  put('conf/b.toml', '[locations.other]\nupstream = \n[upstreams.x]\n');
  put('conf/c.toml', '[upstreams.y]\naddrs = ["127.0.0.1:1"]\nx = 1\n');
  const lines = await refusal(join(folder, 'conf'));
  expect(lines.map((line) => line.split(' ').slice(0, 4).join(' '))).toEqual(['conf/b.toml:2:12 is no valid', 'conf/c.toml:3:1 upstreams.y.x is no']);
});

test('relative paths start at the folder of the file that names them', async () => {
  put('conf/sub/a.toml', GOOD.replace('locations = ["api"]', 'locations = ["api"]\ntls_cert = "cert.pem"\ntls_key = "cert.pem"'));
  expect(await refusal(join(folder, 'conf'))).toEqual([
    'conf/sub/a.toml:4:1 servers.web.tls_cert "cert.pem" does not exist; give the path of a PEM file',
    'conf/sub/a.toml:5:1 servers.web.tls_key "cert.pem" does not exist; give the path of a PEM file',
  ]);
});
