import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'smol-toml';
import { afterAll, expect, test } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { fakeWorld } from './world.ts';

const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const GOOD = `[servers.web]
addr = "127.0.0.1:8080"
locations = ["rest", "api", "tenant"]
[locations.rest]
upstream = "api"
[locations.api]
path = "=/api"
methods = ["GET"]
match_headers = ["X-Beta"]
upstream = "api"
[locations.tenant]
host = "a.example.com,b.example.com"
upstream = "api"
[upstreams.api]
addrs = ["127.0.0.1:3000"]
`;
const path = join(folder, 'good.toml');
writeFileSync(path, GOOD);

test.each([
  ['as its operand', ['check', path], {}],
  ['by -c', ['check', '-c', path], {}],
  ['by --config', ['check', `--config=${path}`], {}],
  ['before the command', ['-c', path, 'check'], {}],
  ['by the environment', ['check'], { WINDLASS_CONFIG: path }],
])('check reads the file that is named %s, and prints the order of locations', async (_, argv, env) => {
  const world = fakeWorld(env as Record<string, string>);
  expect(await run(argv, world)).toBe(0);
  expect(world.err()).toBe('');
  expect(world.out()).toBe(`servers.web on 127.0.0.1:8080: the heaviest location that takes a request answers
  1029  api     any host                     =/api     GET, header X-Beta  -> api
   128  tenant  a.example.com,b.example.com  any path                      -> api
     0  rest    any host                     any path                      -> api

${path} can be used
`);
});

test('check --json prints the order for scripts', async () => {
  const world = fakeWorld();
  expect(await run(['check', path, '--json'], world)).toBe(0);
  expect(JSON.parse(world.out())).toEqual({
    ok: true,
    errors: [],
    warnings: [],
    servers: [
      {
        name: 'web',
        addresses: ['127.0.0.1:8080'],
        tls: false,
        locations: [
          { name: 'api', weight: 1029, host: '', path: '=/api', also: 'GET, header X-Beta', upstream: 'api' },
          { name: 'tenant', weight: 128, host: 'a.example.com,b.example.com', path: '', also: '', upstream: 'api' },
          { name: 'rest', weight: 0, host: '', path: '', also: '', upstream: 'api' },
        ],
      },
    ],
  });
});

test('check shows warnings and still says that the file can be used', async () => {
  const warned = join(folder, 'warned.toml');
  writeFileSync(warned, `threads = 2\n${GOOD}`);
  const world = fakeWorld();
  expect(await run(['check', warned], world)).toBe(0);
  expect(world.err()).toMatch(/^windlass: warning: .*warned\.toml:1:1 basic\.threads is not used: [^\n]*\n$/);
  expect(world.out()).toContain('can be used, with 1 warning\n');
});

test('without a file check says how to name one', async () => {
  const world = fakeWorld();
  expect(await run(['check'], world)).toBe(2);
  expect(world.err()).toBe('windlass: check needs -c FILE (or environment WINDLASS_CONFIG): a TOML file, or a folder of them\n');
});

test('[threat 61] check quotes nothing of a file that a terminal would obey', async () => {
  const hostile = join(folder, 'hostile.toml');
  writeFileSync(hostile, `"\\u001b[31m" = 1\n[servers."\\u001b[2J"]\naddr = "\\u001b]0;x"\n[locations."\\u202e"]\nupstream = "\\u009b1m"\n${GOOD}`);
  const world = fakeWorld();
  expect(await run(['check', hostile], world)).toBe(2);
  // oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
  const obeyed = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;
  expect(world.err()).not.toMatch(obeyed);
  const hub = fakeWorld({}, { 'hub.toml': '[hub]\nsecret = "s"\n"\\u001b[31m" = 1\n' });
  expect(await run(['hub', 'run', '-c', 'hub.toml'], hub)).toBe(2);
  expect(hub.err()).not.toMatch(obeyed);
});

test.each([
  ['example', ['example']],
  ['example --full', ['example', '--full']],
])('what %s prints, check finds nothing wrong with', async (name, argv) => {
  const world = fakeWorld();
  expect(await run(argv, world)).toBe(0);
  const printed = join(folder, `${name}.toml`);
  writeFileSync(printed, world.out());
  const checking = fakeWorld();
  expect(await run(['check', printed], checking)).toBe(0);
  expect(checking.err()).toBe('');
});

test.each(['hub', 'agent', 'proxy'])('check looks at a file that is for %s alone', async (name) => {
  const world = fakeWorld();
  expect(await run(['check', join(here, 'valid', `${name}.toml`)], world)).toBe(0);
  expect(world.out()).toBe(`${join(here, 'valid', `${name}.toml`)} can be used\n`);
});

test('schema prints JSON Schema', async () => {
  const world = fakeWorld();
  expect(await run(['schema'], world)).toBe(0);
  expect(JSON.parse(world.out())).toMatchObject({ $schema: 'http://json-schema.org/draft-07/schema#', type: 'object' });
});

test('import pingap prints a file on standard output and what it has to say on standard error', async () => {
  const world = fakeWorld();
  expect(await run(['import', 'pingap', join(here, 'gateway/valid/april-2024.toml')], world)).toBe(0);
  expect(parse(world.out())).toMatchObject({
    basic: { name: 'edge' },
    locations: { charts: { proxy_set_headers: ['name:value', 'X-Forwarded-Host: charts.example.com'], set_response_headers: ['X-Served-By: edge'] } },
    upstreams: { charts: { algo: 'hash:header:X-User' } },
  });
  expect(world.out()).not.toContain('pid_file');
  expect(world.err()).toMatch(/^windlass: note: .*april-2024\.toml:4:1 basic\.pid_file is not used: /m);
  expect(world.err()).toMatch(/^windlass: note: path = "\/" is the lightest rule now;/m);
});

test('import pingap of what cannot be obeyed prints it, says what is to be mended, and fails', async () => {
  const acme = join(folder, 'acme.toml');
  writeFileSync(acme, GOOD.replace('[servers.web]', '[servers.web]\nlets_encrypt = "example.com"'));
  const world = fakeWorld();
  expect(await run(['import', 'pingap', acme], world)).toBe(1);
  expect(world.out()).toContain('lets_encrypt = "example.com"');
  expect(world.err()).toMatch(/^windlass: note: to be mended: .*acme\.toml:2:1 servers\.web\.lets_encrypt cannot be obeyed/m);
});

test('import slime prints sections for hub run and agent run', async () => {
  const world = fakeWorld({}, { [resolve('/slime.yaml')]: 'appPassword: x\nnumWorker: 3\nunheard: of\n' });
  expect(await run(['import', 'slime', '/slime.yaml'], world)).toBe(1);
  expect(parse(world.out())).toEqual({ hub: { app_password: 'x' }, agent: { num_worker: 3 } });
  expect(world.err()).toBe('windlass: note: unheard is not known and was left out\n');
});

test.each([
  ['import', 'pingap'],
  ['import', 'slime'],
])('%s %s without a path says what it needs', async (...words) => {
  const world = fakeWorld();
  expect(await run(words, world)).toBe(2);
  expect(world.err()).toContain('needs --path');
});

/** What a module loads at once, with all that its imports do. */
function loadedBy(file: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, from] of readFileSync(file, 'utf8').matchAll(/^(?:import|export)\s+(?!type\s)(?:[\w*{][^;'"]*?\sfrom\s+)?'([^']+)'/gm)) {
    if (from!.startsWith('.')) loadedBy(resolve(dirname(file), from!), seen);
    else seen.add(from!);
  }
  return seen;
}

test.each(['cli/main.ts', 'cli/hub-run.ts', 'cli/agent-run.ts', 'cli/proxy.ts', 'cli/hub-register.ts'])(
  'who needs no gateway file does not load what reads one: %s',
  (name) => {
    const src = join(here, '../../src');
    const loaded = [...loadedBy(join(src, name))].map((file) => (file.startsWith('/') ? relative(src, file) : file));
    expect(loaded.length).toBeGreaterThan(5);
    for (const heavy of ['config/gateway.ts', 'config/section-pages.ts', 'config/json-schema.ts', 'smol-toml', 'yaml', 're2js'])
      expect(loaded).not.toContain(heavy);
  },
);

test('check makes the plugins, and tells of options that do not fit together', async () => {
  const file = join(folder, 'plugins.toml');
  writeFileSync(
    file,
    `${GOOD}[plugins.one]\ncategory = "limit"\nmax = 1\ntag = "header"\n[plugins.two]\ncategory = "limit"\nmax = 1\nweight = 50\n[plugins.three]\ncategory = "directory"\npath = "nowhere"\n`,
  );
  const world = fakeWorld();
  expect(await run(['check', file, '--json'], world)).toBe(2);
  const { errors, warnings } = JSON.parse(world.out()) as { errors: string[]; warnings: string[] };
  expect(errors).toEqual([
    `${file}:16:2 plugins.one has tag = "header" and no key; name the header, as in key = "X-Api-Key"`,
    expect.stringMatching(/:24:2 plugins\.three has no folder at .*nowhere; make it/),
  ]);
  expect(warnings).toContainEqual(`${file}:20:2 plugins.two weight is not used: rates are counted, not estimated; leave it out`);
});
