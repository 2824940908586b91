import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kit } from '../kit/kit.ts';
import { Program, type RunningProgram } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const program = new Program();
beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

const root = new URL('../../', import.meta.url).pathname;
const hello = join(root, 'examples', 'plugin-hello');

function fileFor(port: number, plugin: string): string {
  return `[basic]
admin_addr = "off"
[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
plugins = ["hello"]
[upstreams.one]
addrs = ["127.0.0.1:${port}"]
[plugins.hello]
${plugin}
`;
}

/** A folder with a configuration and the example installed, and this windlass as npm would link it. */
function installed(): string {
  const folder = tools.folder();
  cpSync(hello, join(folder, 'node_modules', 'plugin-hello'), { recursive: true });
  const windlass = join(folder, 'node_modules', 'windlass');
  mkdirSync(windlass);
  cpSync(join(root, 'package.json'), join(windlass, 'package.json'));
  symlinkSync(join(program.main, '..', '..'), join(windlass, 'dist'));
  return folder;
}

/** As editors do: a new file in the place of the old one. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.tmp`, text);
  renameSync(`${file}.tmp`, file);
}

function start(file: string): RunningProgram {
  return program.run(['run', '-c', file, '--state-dir', join(file, '..', 'state')]);
}

async function says(running: RunningProgram, text: string): Promise<void> {
  await until(`the log says "${text}"`, () => {
    if (!running.alive) throw new Error(`it ended: ${running.err}`);
    return running.err.includes(text) ? true : null;
  });
}

const get = async (port: number, path: string): Promise<string> => (await fetch(`http://127.0.0.1:${port}${path}`)).text();

test('an outside package installs and runs: its settings are checked, its phases work, its warnings are logged', { timeout: 60_000 }, async () => {
  const folder = installed();
  const origin = await tools.startOrigin();
  const file = join(folder, 'windlass.toml');
  writeFileSync(file, fileFor(origin.port, 'module = "plugin-hello"\ngreeting = "Ahoy"\nslow = "0s"'));
  const gateway = start(file);
  const port = await gateway.port('a server listens');
  expect(await get(port, '/hello?name=you')).toBe('Ahoy, you\n');
  const answer = await fetch(`http://127.0.0.1:${port}/x`);
  expect([await answer.text(), answer.headers.get('x-hello')]).toEqual(['ok', 'hello']);
  expect(origin.requests[0]!.headers['x-hello']).toBe('hello');
  await says(gateway, 'a slow request');
  // A new text of the file, the configuration itself untouched.
  const module = join(folder, 'node_modules', 'plugin-hello', 'index.js');
  replace(module, readFileSync(module, 'utf8').replace("?? 'world'", "?? 'everybody'"));
  await until('the new greeting', async () => ((await get(port, '/hello')) === 'Ahoy, everybody\n' ? true : null), 20_000);
  // One with a mistake changes nothing.
  replace(module, 'export default {');
  await says(gateway, 'cannot be loaded');
  expect(await get(port, '/hello')).toBe('Ahoy, everybody\n');
});

test('a file beside the configuration needs no package, and nothing installed', { timeout: 60_000 }, async () => {
  const folder = tools.folder();
  mkdirSync(join(folder, 'plugins'));
  cpSync(join(hello, 'index.js'), join(folder, 'plugins', 'hello.mjs'));
  const origin = await tools.startOrigin();
  const file = join(folder, 'windlass.toml');
  writeFileSync(file, fileFor(origin.port, 'module = "./plugins/hello.mjs"'));
  const gateway = start(file);
  expect(await get(await gateway.port('a server listens'), '/hello')).toBe('Hello, world\n');
});

test('a plugin of somebody else fails a request as we do, with a code', { timeout: 60_000 }, async () => {
  const folder = tools.folder();
  writeFileSync(
    join(folder, 'sunday.mjs'),
    `import { definePlugin, Failure } from 'windlass/plugin';
export default definePlugin({ name: 'sunday', summary: 'x', settings: {}, create: () => ({ request: () => new Failure('forbidden', 'not on Sundays') }) });`,
  );
  const file = join(folder, 'windlass.toml');
  writeFileSync(file, fileFor(1, 'module = "./sunday.mjs"'));
  const answer = await fetch(`http://127.0.0.1:${await start(file).port('a server listens')}/`);
  expect(answer.status).toBe(403);
  expect(await answer.json()).toMatchObject({ status: 403, code: 'forbidden', detail: 'not on Sundays' });
});

test.each([
  ['module = "plugin-hello"\ngreting = "x"', 'did you mean greeting?'],
  ['module = "plugin-hello"\nslow = "soon"', 'plugins.hello.slow'],
  ['module = "plugin-none"', 'cannot be loaded'],
  ['module = "./none.js"', 'does not exist'],
  ['module = "./broken.mjs"', 'cannot be loaded'],
  ['module = "./none.mjs"', 'its default export is no plugin'],
  ['module = "./kindless.mjs"', 'its setting a has no kind'],
  ['module = "./reserved.mjs"', 'its setting step has a name that every plugin has'],
  ['module = "./throws.mjs"\na = "x"', 'cannot be read by its plugin: oh no'],
])('check says what is wrong with %j, at its place', { timeout: 60_000 }, async (plugin, said) => {
  const folder = installed();
  writeFileSync(join(folder, 'broken.mjs'), 'export default {');
  writeFileSync(join(folder, 'none.mjs'), 'export default { name: "x" }');
  writeFileSync(join(folder, 'kindless.mjs'), 'export default { name: "x", settings: { a: {} }, create() {} }');
  const kind = '{ fromToml() { throw new Error("oh no"); }, json: {}, format: String, says: "", choices: [] }';
  writeFileSync(join(folder, 'throws.mjs'), `export default { name: "x", settings: { a: { kind: ${kind}, group: "", help: "" } }, create() {} }`);
  writeFileSync(join(folder, 'reserved.mjs'), `export default { name: "x", settings: { step: { kind: ${kind} } }, create() {} }`);
  const file = join(folder, 'windlass.toml');
  writeFileSync(file, fileFor(1, plugin));
  const running = program.run(['check', file]);
  await until('its end', () => (running.alive ? null : true), 20_000);
  expect([running.child.exitCode, running.err]).toEqual([2, expect.stringContaining(said)]);
  expect(running.err).toMatch(/windlass\.toml:\d+:\d+ plugins\.hello/);
});

test('windlass/plugin is what the package exports, with types', () => {
  const folder = installed();
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, { types: string }> };
  const windlass = join(folder, 'node_modules', 'windlass');
  expect(readFileSync(join(windlass, exports['./plugin']!.types), 'utf8')).toContain('definePlugin');
  const script = "import('windlass/plugin').then((door) => console.log(Object.keys(door).sort().join()))";
  const names = execFileSync(process.execPath, ['-e', script], { cwd: folder, encoding: 'utf8' }).trim().split(',');
  expect(names).toEqual(expect.arrayContaining(['Wrong', 'definePlugin', 'duration', 'setting', 'slot', 'text']));
});

test('the plugins of the guide run as they stand there', { timeout: 60_000 }, async () => {
  const folder = tools.folder();
  const guide = readFileSync(join(root, 'docs', 'writing-a-plugin.md'), 'utf8');
  const blocks = [...guide.matchAll(/```js\n([^]*?)```/g)].map(([, block]) => block!);
  expect(blocks.length).toBe(3);
  blocks.forEach((block, i) => writeFileSync(join(folder, `plugin${i}.mjs`), block));
  const origin = await tools.startOrigin((_request, response) => {
    response.setHeader('Content-Type', 'text/plain');
    response.end('quiet');
  });
  const toml = /```toml\n([^]*?)```/.exec(guide)![1]!;
  const file = join(folder, 'windlass.toml');
  const text = toml
    .replace('127.0.0.1:8080', '127.0.0.1:0')
    .replace('127.0.0.1:3000', `127.0.0.1:${origin.port}`)
    .replace('./needs-header.mjs', './plugin0.mjs')
    .replace('["partners"]', '["partners", "took", "shout"]');
  writeFileSync(file, `[basic]\nadmin_addr = "off"\n${text}[plugins.took]\nmodule = "./plugin1.mjs"\n[plugins.shout]\nmodule = "./plugin2.mjs"\n`);
  const port = await start(file).port('a server listens');
  const refused = await fetch(`http://127.0.0.1:${port}/`);
  expect([refused.status, await refused.text()]).toEqual([403, 'X-Partner is missing\n']);
  const passed = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'X-Partner': 'one' } });
  expect([passed.status, await passed.text(), passed.headers.get('content-length')]).toEqual([200, 'QUIET', '5']);
  expect(Number(passed.headers.get('x-took-ms'))).toBeGreaterThanOrEqual(0);
});
