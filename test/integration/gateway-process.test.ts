import { mkdirSync, readFileSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kit } from '../kit/kit.ts';
import { Program, type RunningProgram } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const program = new Program();
beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;

function configFor(port: number, more = '', basic = ''): string {
  return `[basic]
admin_addr = "off"
${basic}
[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "one"
[upstreams.one]
addrs = ["127.0.0.1:${port}"]
${more}`;
}

/** As editors do: a new file in the place of the old one. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.tmp`, text);
  renameSync(`${file}.tmp`, file);
}

function start(file: string, ...flags: string[]): RunningProgram {
  return program.run(['run', '-c', file, '--state-dir', join(file, '..', 'state'), ...flags]);
}

async function body(port: number): Promise<string> {
  return (await fetch(`http://127.0.0.1:${port}/`)).text();
}

async function says(running: RunningProgram, text: string): Promise<void> {
  await until(`the log says "${text}"`, () => {
    if (!running.alive) throw new Error(`it ended: ${running.err}`);
    return running.err.includes(text) ? true : null;
  });
}

test('what is saved is served, without a signal; SIGHUP reads at once', { timeout: 30_000 }, async () => {
  const one = await tools.startOrigin((_request, response) => response.end('one'));
  const two = await tools.startOrigin((_request, response) => response.end('two'));
  const file = join(tools.folder(), 'windlass.toml');
  writeFileSync(file, configFor(one.port));
  const gateway = start(file);
  const port = await gateway.port('a server listens');
  expect(await body(port)).toBe('one');
  replace(file, configFor(two.port));
  await says(gateway, 'the new configuration serves');
  expect(await body(port)).toBe('two');
  // Without a watch only the signal counts.
  replace(file, configFor(two.port, '', 'auto_restart_check_interval = "0s"'));
  await until('the second reload', () => (gateway.err.split('the new configuration serves').length === 3 ? true : null));
  replace(file, configFor(one.port, '', 'auto_restart_check_interval = "0s"'));
  gateway.child.kill('SIGHUP');
  await until('the third reload', () => (gateway.err.split('the new configuration serves').length === 4 ? true : null));
  expect(await body(port)).toBe('one');
  gateway.child.kill('SIGTERM');
  const [code] = (await once(gateway.child, 'exit')) as [number];
  expect(code).toBe(0);
});

test('a mistake is told with its place and changes nothing; at the start it is exit code 2', { timeout: 30_000 }, async () => {
  const origin = await tools.startOrigin((_request, response) => response.end('one'));
  const file = join(tools.folder(), 'windlass.toml');
  writeFileSync(file, configFor(origin.port));
  const gateway = start(file);
  const port = await gateway.port('a server listens');
  replace(file, configFor(origin.port, '[locations.more]\nupstream = "nobody"\npath = "~("\n'));
  await says(gateway, 'the old one serves on');
  expect(gateway.err).toContain('locations.more.upstream');
  expect(gateway.err).toContain('locations.more.path');
  expect(await body(port)).toBe('one');
  const second = start(file);
  const [code] = (await once(second.child, 'exit')) as [number];
  expect(code).toBe(2);
  expect(second.err).toContain(`${file}:12:1 locations.more.upstream`);
});

test('with --use-last-good a broken file starts the configuration that served last, its relative paths included', { timeout: 30_000 }, async () => {
  const origin = await tools.startOrigin((_request, response) => response.end('last good'));
  const folder = tools.folder();
  const file = join(folder, 'conf', 'windlass.toml');
  mkdirSync(join(folder, 'conf'));
  for (const name of ['one.pem', 'one.key']) writeFileSync(join(folder, 'conf', name), readFileSync(join(FIXTURES, name)), { mode: 0o600 });
  const more = '[servers.safe]\naddr = "127.0.0.1:0"\nlocations = ["all"]\ntls_cert = "one.pem"\ntls_key = "one.key"\n';
  writeFileSync(file, configFor(origin.port, more));
  const first = start(file);
  await first.port('a server listens');
  first.child.kill('SIGTERM');
  await once(first.child, 'exit');
  writeFileSync(file, 'broken = [');
  const without = start(file);
  expect(((await once(without.child, 'exit')) as [number])[0]).toBe(2);
  const second = start(file, '--use-last-good');
  const port = await second.port('a server listens');
  expect(await body(port)).toBe('last good');
  expect(second.err).toContain('this is the configuration that served last');
  expect(second.err).toContain('windlass.toml:1:10 is no valid TOML');
});

test(
  '[fault 43] [threat 77] a certificate that is renewed behind an unchanged path is used by the next handshake; a folder swapped by a link is read',
  { timeout: 30_000 },
  async () => {
    const origin = await tools.startOrigin((_request, response) => response.end('one'));
    const folder = tools.folder();
    const put = (name: string, from: string): void => {
      mkdirSync(join(folder, name));
      for (const ending of ['pem', 'key'])
        writeFileSync(join(folder, name, `pair.${ending}`), readFileSync(join(FIXTURES, `${from}.${ending}`)), { mode: 0o600 });
    };
    put('v1', 'one');
    put('v2', 'two');
    symlinkSync('v1', join(folder, 'live'));
    const file = join(folder, 'windlass.toml');
    writeFileSync(
      file,
      configFor(origin.port).replace('addr = "127.0.0.1:0"', 'addr = "127.0.0.1:0"\ntls_cert = "live/pair.pem"\ntls_key = "live/pair.key"'),
    );
    const gateway = start(file);
    await says(gateway, 'a server listens');
    const port = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(gateway.err)![1]);
    const serial = async (): Promise<string> => {
      const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const before = await serial();
    symlinkSync('v2', join(folder, 'next'));
    renameSync(join(folder, 'next'), join(folder, 'live'));
    gateway.child.kill('SIGHUP');
    await says(gateway, 'the new configuration serves');
    const after = await serial();
    expect(after).not.toBe(before);
    // A pair that does not fit leaves the one that does.
    unlinkSync(join(folder, 'v2', 'pair.key'));
    writeFileSync(join(folder, 'v2', 'pair.key'), readFileSync(join(FIXTURES, 'one.key')), { mode: 0o600 });
    gateway.child.kill('SIGHUP');
    await says(gateway, 'the old one serves on');
    expect(await serial()).toBe(after);
  },
);

test('a folder of files is one configuration, and a change in one of them is seen', { timeout: 30_000 }, async () => {
  const one = await tools.startOrigin((_request, response) => response.end('one'));
  const two = await tools.startOrigin((_request, response) => response.end('two'));
  const folder = join(tools.folder(), 'conf.d');
  mkdirSync(join(folder, 'upstreams'), { recursive: true });
  writeFileSync(join(folder, 'main.toml'), configFor(one.port).replace(/\[upstreams[^]*/, ''));
  const upstream = (port: number): string => `[upstreams.one]\naddrs = ["127.0.0.1:${port}"]\n`;
  writeFileSync(join(folder, 'upstreams', 'one.toml'), upstream(one.port));
  const gateway = start(folder);
  const port = await gateway.port('a server listens');
  expect(await body(port)).toBe('one');
  replace(join(folder, 'upstreams', 'one.toml'), upstream(two.port));
  await says(gateway, 'the new configuration serves');
  expect(await body(port)).toBe('two');
});

test('a mistake in a file that is new is mended in that file, without a signal', { timeout: 30_000 }, async () => {
  const one = await tools.startOrigin((_request, response) => response.end('one'));
  const two = await tools.startOrigin((_request, response) => response.end('two'));
  const folder = join(tools.folder(), 'conf.d');
  mkdirSync(folder);
  writeFileSync(join(folder, 'main.toml'), configFor(one.port));
  const gateway = start(folder);
  const port = await gateway.port('a server listens');
  const added = (key: string): string => `[locations.two]\n${key} = "two"\npath = "/two"\n[upstreams.two]\naddrs = ["127.0.0.1:${two.port}"]\n`;
  // As it is while somebody copies it there.
  writeFileSync(join(folder, 'two.toml'), '');
  await says(gateway, 'is empty');
  writeFileSync(join(folder, 'two.toml'), added('upstraem'));
  await says(gateway, 'did you mean upstream?');
  writeFileSync(join(folder, 'two.toml'), added('upstream'));
  await says(gateway, 'the new configuration serves');
  expect(await body(port)).toBe('one');
});

test('with --use-last-good the file that was broken is watched', { timeout: 30_000 }, async () => {
  const one = await tools.startOrigin((_request, response) => response.end('one'));
  const two = await tools.startOrigin((_request, response) => response.end('two'));
  const file = join(tools.folder(), 'windlass.toml');
  writeFileSync(file, configFor(one.port));
  const first = start(file);
  await first.port('a server listens');
  first.child.kill('SIGTERM');
  await once(first.child, 'exit');
  writeFileSync(file, 'broken = [');
  const second = start(file, '--use-last-good');
  const port = await second.port('a server listens');
  expect(await body(port)).toBe('one');
  replace(file, configFor(two.port));
  await says(second, 'the new configuration serves');
  expect(await body(port)).toBe('two');
});

test('a port that is taken ends the start with exit code 2; the level of the log changes with the file', { timeout: 30_000 }, async () => {
  const origin = await tools.startOrigin((_request, response) => response.end('one'));
  const file = join(tools.folder(), 'windlass.toml');
  writeFileSync(file, configFor(origin.port).replace('127.0.0.1:0', `127.0.0.1:${origin.port}`));
  const refused = start(file);
  expect(((await once(refused.child, 'exit')) as [number])[0]).toBe(2);
  expect(refused.err).toContain('is in use by another program');
  writeFileSync(file, configFor(origin.port));
  const gateway = start(file);
  await gateway.port('a server listens');
  replace(file, configFor(origin.port, '', 'log_level = "warn"'));
  gateway.child.kill('SIGHUP');
  await says(gateway, 'the new configuration serves');
  replace(file, configFor(origin.port, '', 'log_level = "warn"\nname = "other"'));
  gateway.child.kill('SIGHUP');
  replace(file, 'broken = [');
  gateway.child.kill('SIGHUP');
  await says(gateway, 'is no valid TOML');
  expect(gateway.err.split('the new configuration serves').length).toBe(2);
});
