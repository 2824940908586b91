import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type GatewaySettings, loadGateway } from './gateway.ts';
import { SettingsError } from './settings-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const fixtures = new URL('../../test/fixtures/', import.meta.url).pathname;
let files = 0;

const BASE =
  '[servers.web]\naddr = "127.0.0.1:8080"\nlocations = ["api"]\n[locations.api]\nupstream = "api"\n[upstreams.api]\naddrs = ["127.0.0.1:3000"]\n';

/** `text` with the least that a file needs beside it; `into` puts keys into an item of that. */
function fileOf(text: string, into: Readonly<Record<string, string>> = {}): string {
  let base = BASE;
  for (const [header, keys] of Object.entries(into)) base = base.replace(`[${header}]`, `[${header}]\n${keys}`);
  const path = join(folder, `${files++}.toml`);
  writeFileSync(path, `${text}\n${base}`);
  return path;
}

async function load(text: string, into: Readonly<Record<string, string>> = {}, env: Record<string, string> = {}): Promise<GatewaySettings> {
  const { settings, warnings } = await loadGateway(fileOf(text, into), env);
  expect(warnings).toEqual([]);
  return settings;
}

/** Messages without file and position. */
async function refused(text: string, into: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const error = await loadGateway(fileOf(text, into), {}).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SettingsError);
  return (error as SettingsError).lines.map((line) => line.replace(/^\S+ /, ''));
}

test('variables of the environment are put into values of every kind', async () => {
  const settings = await load(
    'name = "${NAME}"',
    {
      'servers.web': 'no_match_status = "${STATUS:410}"\nenable_server_timing = "${TIMING}"',
      'locations.api': 'proxy_set_headers = ["X-Key: ${KEY}"]\nweight = "${W:}"',
    },
    { NAME: 'edge', TIMING: 'true', KEY: 'a, b' },
  );
  expect(settings.basic.name).toBe('edge');
  expect(settings.servers.get('web')).toMatchObject({ noMatchStatus: 410, serverTiming: true });
  // A default of nothing means that the key is not set.
  expect(settings.locations.get('api')!.settings).toMatchObject({ proxySetHeaders: [{ name: 'X-Key', value: 'a, b' }], weight: null });
});

test('a value from the environment cannot bring keys of its own', async () => {
  const settings = await load('[storages.s]\nvalue = \'timeout = "${T}"\'', { 'locations.api': 'includes = ["s"]' }, { T: '3s' });
  expect(settings.locations.get('api')!.settings.timeout).toBe(3000);
  const lines = await loadGateway(fileOf('[storages.s]\nvalue = \'timeout = "${T}"\'', { 'locations.api': 'includes = ["s"]' }), {
    T: '3s"\nweight = "5',
  }).catch((error: unknown) => (error as SettingsError).lines);
  expect(lines).toEqual([expect.stringContaining('"${T}" is no duration')]);
});

test('captures of a rewrite stay captures', async () => {
  const { locations } = await load('', { 'locations.api': 'path = "~^/(?P<name>[a-z]+)/"\nrewrite = "^/[a-z]+/(.*)$ /${name}/$1"' });
  expect(locations.get('api')!.settings.rewrite).not.toBeNull();
});

test('included keys fill in what an item does not say, and its own count', async () => {
  const path = fileOf('[storages.s]\nvalue = """\nread_timeout = "1s"\nwrite_timeout = "2s"\n"""', {
    'upstreams.api': 'includes = ["s"]\nwrite_timeout = "9s"',
  });
  const { settings, warnings } = await loadGateway(path, {});
  expect(settings.upstreams.get('api')!.settings).toMatchObject({ readTimeout: 1000, writeTimeout: 9000 });
  expect(warnings).toEqual([expect.stringContaining('upstreams.api.includes does not take in write_timeout of s: the item has its own')]);
});

test('what is wrong in an included piece is told where the piece stands', async () => {
  expect(await refused('[storages.s]\nvalue = \'read_timeout = "1"\'', { 'upstreams.api': 'includes = "s"' })).toEqual([
    'upstreams.api.read_timeout "1" has no unit; write 1s for seconds or 1ms for milliseconds',
  ]);
});

test('equal settings have equal fingerprints, wherever and in whichever order they stand', async () => {
  const one = await load('', { 'upstreams.api': 'read_timeout = "3s"\nsni = "a"' });
  const two = await load('# moved\n\n', { 'upstreams.api': 'sni = "a"\nread_timeout = "3s"' });
  const other = await load('', { 'upstreams.api': 'read_timeout = "4s"\nsni = "a"' });
  expect(two.upstreams.get('api')!.fingerprint).toBe(one.upstreams.get('api')!.fingerprint);
  expect(other.upstreams.get('api')!.fingerprint).not.toBe(one.upstreams.get('api')!.fingerprint);
  expect(other.locations.get('api')!.fingerprint).toBe(one.locations.get('api')!.fingerprint);
});

test('the fingerprint of a certificate changes with its file, and its files are watched', async () => {
  const [cert, key] = [join(folder, 'c.pem'), join(folder, 'k.pem')];
  const text = '[certificates.c]\ntls_cert = "c.pem"\ntls_key = "k.pem"';
  const put = (name: string): void => {
    copyFileSync(join(fixtures, `${name}.pem`), cert);
    copyFileSync(join(fixtures, `${name}.key`), key);
  };
  put('one');
  const one = await load(text);
  put('two');
  const two = await load(text);
  expect(two.certificates.get('c')!.fingerprint).not.toBe(one.certificates.get('c')!.fingerprint);
  expect(two.watched).toEqual(expect.arrayContaining([cert, key]));
  expect(two.certificates.get('c')).toMatchObject({ of: 'pair', cert: { text: readFileSync(join(fixtures, 'two.pem'), 'utf8') } });
});

test('a certificate is for the names in it when none are given', async () => {
  const { certificates } = await load(
    `[certificates.own]\ntls_cert = "${fixtures}one.pem"\ntls_key = "${fixtures}one.key"\n[certificates.given]\ntls_cert = "${fixtures}one.pem"\ntls_key = "${fixtures}one.key"\ndomains = "A.example.com., *.Example.org"\nis_default = true`,
  );
  expect(certificates.get('own')!.domains).toContain('localhost');
  expect(certificates.get('given')).toMatchObject({ domains: ['a.example.com', '*.example.org'], isDefault: true });
});

test('a name has one certificate, and there is one default', async () => {
  const pair = (name: string, more: string): string =>
    `[certificates.${name}]\ntls_cert = "${fixtures}one.pem"\ntls_key = "${fixtures}one.key"\n${more}\n`;
  const { warnings } = await loadGateway(fileOf(pair('a', 'domains = "x.example.com"') + pair('b', 'domains = "y.example.com, X.example.com."')), {});
  expect(warnings).toEqual([
    expect.stringContaining('certificates.b.domains "x.example.com" is never asked for here: certificates.a has it and stands first'),
  ]);
  expect(await refused(pair('a', 'domains = "a"\nis_default = true') + pair('b', 'domains = "b"\nis_default = true'))).toEqual([
    'certificates.b.is_default and that of certificates.a are both true; keep one',
  ]);
});

test('what is ordered is what the file says, and a warning tells what stands in the way of it', async () => {
  const text = `[certificates.c]
domains = "B.example.com., a.example.com"
acme = "lets_encrypt_staging"
acme_email = "ops@example.com"
acme_eab_kid = "kid"
acme_eab_hmac_key = "c2VjcmV0"
buffer_days = 10
tls_cert = "${fixtures}one.pem"
tls_key = "${fixtures}one.key"
`;
  const { settings, warnings } = await loadGateway(fileOf(text), {});
  expect(settings.certificates.get('c')).toMatchObject({
    of: 'order',
    domains: ['b.example.com', 'a.example.com'],
    order: {
      directoryUrl: 'https://acme-staging-v02.api.letsencrypt.org/directory',
      ca: null,
      email: 'ops@example.com',
      external: { kid: 'kid', hmacKey: 'c2VjcmV0' },
      keyType: 'ecdsa',
      renewBeforeMs: 864_000_000,
      initial: { cert: readFileSync(join(fixtures, 'one.pem'), 'utf8') },
    },
  });
  expect(warnings).toEqual([
    expect.stringContaining('certificates.c.acme is ordered for nobody; write global_certificates = true'),
    expect.stringContaining('certificates.c.acme is proven at port 80 of its domains, and no server listens there without TLS'),
  ]);
  const served = fileOf(text, { 'servers.web': 'global_certificates = true' });
  const plain = '\n[servers.plain]\naddr = "127.0.0.1:80"\nlocations = ["api"]\n';
  writeFileSync(served, readFileSync(served, 'utf8') + plain);
  expect((await loadGateway(served, {})).warnings).toEqual([]);
  const empty = await loadGateway(fileOf(`[certificates.c]\nacme = ""\ntls_cert = "${fixtures}one.pem"\ntls_key = "${fixtures}one.key"`), {});
  expect(empty.settings.certificates.get('c')).toMatchObject({ of: 'pair' });
});

test('a server with a pair of its own, or with those of the file, speaks TLS', async () => {
  const pair = `tls_cert = "${fixtures}one.pem"\ntls_key = "${fixtures}one.key"\n`;
  const own = await load('', { 'servers.web': `${pair}tls_min_version = "tlsv1.3"\ntls_ciphersuites = "TLS_AES_128_GCM_SHA256"` });
  expect(own.servers.get('web')!.tls).toMatchObject({
    own: { cert: { path: `${fixtures}one.pem` } },
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256',
  });
  const shared = await load(`[certificates.c]\n${pair}`, { 'servers.web': 'global_certificates = true' });
  expect(shared.servers.get('web')!.tls).toMatchObject({ own: null, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', ciphers: null });
  expect((await load('')).servers.get('web')!.tls).toBeNull();
});

test('a server has what [basic] says where it says nothing', async () => {
  const text =
    '[basic]\ntrusted_proxies = ["10.0.0.0/8"]\nerror_template = ["<p>all</p>", \'{"all": true}\']\nerror_templates = { 404 = "<p>none</p>", 5xx = "<p>broken</p>" }';
  const { servers } = await load(text);
  expect(servers.get('web')!.trustedProxies.has('10.1.1.1')).toBe(true);
  expect(servers.get('web')!.errorTemplates.general).toHaveLength(2);
  const own = (
    await load(text, { 'servers.web': 'trusted_proxies = ["11.0.0.0/8"]\nerror_template = "<p>web</p>"\nerror_templates = { 404 = "<p>own</p>" }' })
  ).servers.get('web')!;
  expect(own.trustedProxies.has('10.1.1.1')).toBe(false);
  expect(own.proxyProtocolFrom.has('11.1.1.1')).toBe(true);
  expect(own.errorTemplates.general).toEqual(['<p>web</p>']);
  expect([...own.errorTemplates.byStatus]).toEqual([
    ['404', ['<p>own</p>']],
    ['5xx', ['<p>broken</p>']],
  ]);
});

test('times of Pingap stand for ours where ours are not given', async () => {
  const { servers, basic } = await load('grace_period = "10s"', {
    'servers.web': 'downstream_read_timeout = "3s"\nbody_idle_timeout = "9s"\ndownstream_write_timeout = "4s"',
  });
  expect(servers.get('web')!.limits).toMatchObject({ headTimeoutMs: 3000, bodyIdleTimeoutMs: 9000, writeIdleTimeoutMs: 4000 });
  expect(basic.drainTimeoutMs).toBe(10_000);
  expect((await load('')).basic).toMatchObject({ drainTimeoutMs: 30_000, watchIntervalMs: 90_000, upstreamPoolSize: 128 });
});

test('agents dial in where a server accepts them', async () => {
  const settings = await load(
    '[agents]\nsecret = ["one secret", "another"]\nrevoked = "calm-otter, wild-fox"\nsiblings = "b=https://b.example.com"\n[upstreams.gpu]\nagents = "scope=gpu"\nqueue = 5',
    {
      'servers.web': 'accepts = ["native"]',
    },
  );
  expect(settings.agents).toMatchObject({ secret: ['one secret', 'another'], revoked: ['calm-otter', 'wild-fox'] });
  expect([...settings.agents!.sibling.keys()]).toEqual(['b']);
  expect(settings.upstreams.get('gpu')).toMatchObject({ of: 'agents', settings: { queue: 5, name: 'gpu' } });
  expect(settings.servers.get('web')!.accepts).toEqual(['native']);
});

const HASH = '$scrypt$ln=15,r=8,p=1$K5GKMeUMfMV/51ZyuGLo3g$6BUOVPbzPZSQNJGKzO+bHsUnWjvPUqsA5G7GKcFY2PM';

test.each([
  ['admin_addr = "0.0.0.0:9080"', '', true],
  ['admin_addr = "[::]:9080"', '', true],
  ['admin_addr = "192.0.2.1:9080"', '', true],
  ['admin_addr = "127.0.0.1:9080"', '', false],
  ['admin_addr = "0.0.0.0:9080"\nconsole = false', '', false],
  ['admin_addr = "off"', '', false],
  ['admin_addr = "0.0.0.0:9080"', `[admins.alice]\nrole = "read"\npassword = "${HASH}"`, false],
])('a console that other machines could reach and nobody has a password for is refused: %s %s: %s', async (basic, more, isRefused) => {
  const error = await loadGateway(fileOf(`[basic]\n${basic}\n${more}`), {}).catch((reason: unknown) => reason);
  expect(error instanceof SettingsError).toBe(isRefused);
  if (isRefused) expect((error as SettingsError).lines).toEqual([expect.stringMatching(/:2:1 basic\.admin_addr .*console = false/)]);
});

test('who may log in stands in [admins], each with a role and the hash of a password', async () => {
  const settings = await load(`[admins.alice]\nrole = "operate"\npassword = "${HASH}"`);
  expect([...settings.admins.values()]).toEqual([{ name: 'alice', role: 'operate', password: expect.objectContaining({ ln: 15, r: 8, p: 1 }) }]);
  const lines = await loadGateway(fileOf('[admins.bob]\npassword = "canary"'), {}).then(
    () => [],
    (reason: unknown) => (reason as SettingsError).lines,
  );
  expect(lines.map((line) => line.replace(/^\S+ /, ''))).toEqual([
    'admins.bob needs role; write role = "read", "operate" or "admin"',
    'admins.bob.password has no password hash; make one with windlass hash-password: $scrypt$ln=15,r=8,p=1$SALT$HASH',
  ]);
});

test.each([
  ['127.0.0.1:9080', '127.0.0.1:9080', true],
  ['0.0.0.0:9080', 'localhost:9080', true],
  ['127.0.0.1:9080', '[::1]:9080', true],
  ['127.0.0.1:9080', '127.0.0.1:9081', false],
  ['127.0.0.1:9080', '10.0.0.1:9080', false],
  ['off', '127.0.0.1:9080', false],
])('[threat 31] with admin_addr = %s an upstream may be %s: refused %s', async (admin, address, isRefused) => {
  const error = await loadGateway(
    fileOf(`[basic]\nadmin_addr = "${admin}"\nconsole = false\n[upstreams.b]\naddrs = ["127.0.0.1:1", "${address}"]`),
    {},
  ).catch((reason: unknown) => reason);
  expect(error instanceof SettingsError).toBe(isRefused);
  if (isRefused)
    expect((error as SettingsError).lines).toEqual([expect.stringContaining('is admin_addr of this gateway, which is for operators alone')]);
});

test('secrets are never in a message', async () => {
  const lines = await refused(
    '[agents]\nsecret = "canary"\nsecret_file = "canary-file"\n[certificates.c]\ntls_key = "-----BEGIN PRIVATE KEY-----canary"\ndns_service_url = ["canary"]',
  );
  expect(lines.length).toBeGreaterThan(2);
  expect(lines.join('\n').replace(/"canary-file"/g, '')).not.toContain('canary');
});

test.each([
  ['127.0.0.1:80', '127.0.0.1:80', true],
  ['0.0.0.0:80', ':80', true],
  ['0.0.0.0:80', '127.0.0.1:80', true],
  ['127.0.0.1:80', '[::]:80', true],
  ['0.0.0.0:80', '[::1]:80', false],
  ['127.0.0.1:80', '127.0.0.2:80', false],
  ['127.0.0.1:80', '127.0.0.1:81', false],
  ['127.0.0.1:0', '127.0.0.1:0', false],
  ['LOCALHOST:80', 'localhost:80', true],
])('%s and %s claim the same socket: %s', async (one, two, isSame) => {
  const path = fileOf(`[servers.b]\naddr = "${two}"\nlocations = ["api"]`, {});
  writeFileSync(path, readFileSync(path, 'utf8').replace('127.0.0.1:8080', one));
  const error = await loadGateway(path, {}).catch((reason: unknown) => reason);
  expect(error instanceof SettingsError).toBe(isSame);
});

test('a limit that the limit of the server comes before is told of', async () => {
  const { warnings } = await loadGateway(fileOf('', { 'servers.web': 'max_body = "1MiB"', 'locations.api': 'client_max_body_size = "2MiB"' }), {});
  expect(warnings).toEqual([
    expect.stringContaining('locations.api.client_max_body_size is never reached in servers.web: its max_body is 1MiB; raise that'),
  ]);
  await load('', { 'servers.web': 'max_body = "2MiB"', 'locations.api': 'client_max_body_size = "2MiB"' });
});

test('a location that others hide wherever it is used is told of', async () => {
  const path = fileOf('[locations.more]\npath = "/a/b"\nupstream = "api"\nweight = 1\n[locations.all]\npath = "/a"\nupstream = "api"');
  writeFileSync(path, readFileSync(path, 'utf8').replace('["api"]', '["api", "more", "all"]'));
  const { warnings } = await loadGateway(path, {});
  expect(warnings).toEqual([
    expect.stringContaining(
      'locations.more never answers in servers.web: all takes all of its requests first; give it a larger weight, or take it out',
    ),
  ]);
});

test('a file of thousands of locations is read in slices, and its order stays', async () => {
  const n = 3000;
  const names = Array.from({ length: n }, (_, i) => `l${i}`);
  const path = join(folder, 'large.toml');
  const items = names.map((name, i) => `[locations.${name}]\nupstream = "api"\npath = "/p${i}/"\nremark = """\n[not.a.header]\n"""\n`).join('');
  writeFileSync(path, BASE.replace('["api"]', JSON.stringify(['api', ...names])) + items);
  let turns = 0;
  let going = true;
  const count = (): void => {
    turns++;
    if (going) setImmediate(count);
  };
  setImmediate(count);
  const { settings } = await loadGateway(path, {});
  going = false;
  expect([...settings.locations.keys()]).toEqual(['api', ...names]);
  expect(turns).toBeGreaterThan(5);
});

test('in a large file errors have their lines, and tables that stand twice are found', async () => {
  const filler = Array.from({ length: 1500 }, (_, i) => `[locations.l${i}]\nupstream = "api"\npath = "/p${i}/"\n`).join('');
  const path = join(folder, 'large-broken.toml');
  const lines = async (tail: string): Promise<readonly string[]> => {
    writeFileSync(path, BASE + filler + tail);
    return loadGateway(path, {}).then(
      () => [],
      (error: unknown) => (error as SettingsError).lines.map((line) => line.replace(path, 'FILE')),
    );
  };
  const at = 7 + 3 * 1500;
  expect(await lines('[locations.x]\nupstream = api\n')).toEqual([`FILE:${at + 2}:12 is no valid TOML: invalid value; text stands in quotes`]);
  expect(await lines('[locations.l0]\nupstream = "api"\n')).toContainEqual(`FILE:${at + 1}:1 locations.l0 is there twice; keep one`);
  expect(await lines('[locations]\nl1.upstream = "api"\n')).toEqual([expect.stringContaining('locations.l1.upstream is there twice; keep one')]);
  expect(await lines('[locations.x]\nupstraem = "api"\n')).toContainEqual(
    expect.stringContaining(`FILE:${at + 2}:1 locations.x.upstraem is no setting; did you mean upstream?`),
  );
});
