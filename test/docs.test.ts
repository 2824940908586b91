import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...['docs', 'decisions'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  ),
].map((name) => ({ name, text: readFileSync(join(root, name), 'utf8') }));

/** A page whose examples hang must not hang the tests. */
const PAGE_TIMEOUT_MS = 30_000;
/** Ports that the pages name; each run gets free ones in their place. */
const PORTS = ['8080', '9080', '3000', '3001'];

/** The blocks of a page that are marked to be run, as one script. */
function scriptOf(text: string): string {
  return [...text.matchAll(/^```sh run\n([^]*?)^```$/gm)].map(([, block]) => block).join('\n');
}

/** What its comments say it prints, in order. */
function promisesOf(script: string): string[] {
  return [...script.matchAll(/^# => (.*)$/gm)].map(([, line]) => line!);
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** With free ports in place of those that pages name. */
function ported(text: string, free: readonly number[]): string {
  return PORTS.reduce((all, port, i) => all.replaceAll(new RegExp(`\\b${port}\\b`, 'g'), String(free[i])), text);
}

async function run(script: string, page: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-docs-'));
  const free = await freePorts(PORTS.length);
  const text = ported(script, free);
  // A program of its own, so that a page can end it by its process id.
  const command = `#!/bin/bash
if [ "$1 $2" = 'hub run' ] && [[ "$*" != *--admin-addr* ]]; then set -- "$@" --port ${free[PORTS.indexOf('8080')]} --admin-addr 127.0.0.1:${free[PORTS.indexOf('9080')]}; fi
if [ "$1" = run ] && ! grep -qs admin_addr *.toml; then sed -i '1i admin_addr = "127.0.0.1:${free[PORTS.indexOf('9080')]}"' windlass.toml; fi
exec node '${join(root, 'dist', 'cli', 'main.js')}' "$@"
`;
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin', 'windlass'), command, { mode: 0o755 });
  // A person types slower than a program starts: curl stands in for the pause.
  const prelude = `set -eo pipefail
curl() { command curl -sS --max-time 10 --retry 10 --retry-connrefused --retry-delay 1 "$@"; }
`;
  writeFileSync(join(folder, 'page.sh'), prelude + text);
  // Programs that a page shows, each with its name in the first line; what they import is this package.
  for (const [, name, program] of page.matchAll(/^```js\n\/\/ ([\w-]+\.mjs)\n([^]*?)^```$/gm))
    writeFileSync(join(folder, name!), ported(program!, free));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules', 'windlass'));
  symlinkSync(join(root, 'examples'), join(folder, 'examples'));
  const env = { PATH: `${join(folder, 'bin')}:${process.env['PATH']}`, HOME: folder, no_proxy: '*' };
  const shell = spawn('bash', ['page.sh'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let stdout = '';
  let stderr = '';
  shell.stdout.setEncoding('utf8').on('data', (piece: string) => (stdout += piece));
  shell.stderr.setEncoding('utf8').on('data', (piece: string) => (stderr += piece));
  const endAll = (): void => {
    try {
      process.kill(-shell.pid!, 'SIGKILL');
    } catch {
      // It left nothing running.
    }
  };
  const timer = setTimeout(endAll, PAGE_TIMEOUT_MS);
  // What the page left running holds its output open.
  shell.once('exit', endAll);
  const [code] = (await once(shell, 'close')) as [number | null];
  clearTimeout(timer);
  rmSync(folder, { recursive: true, force: true });
  return { code, stdout, stderr };
}

const runnable = pages.filter(({ text }) => scriptOf(text) !== '');

test('the stranger’s minute stands in both READMEs and is the same', () => {
  const names = runnable.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['README.md', 'README.zh-CN.md', join('docs', 'getting-started.md')]));
  const [english, chinese] = ['README.md', 'README.zh-CN.md'].map((name) => scriptOf(pages.find((page) => page.name === name)!.text));
  expect(chinese).toBe(english);
});

describe('examples', () => {
  beforeAll(() => {
    execFileSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { stdio: ['ignore', 'ignore', 'inherit'] });
  }, 120_000);

  test.each(runnable)('what $name says to type works and prints what it says', { timeout: PAGE_TIMEOUT_MS + 10_000 }, async ({ text }) => {
    const script = scriptOf(text);
    const promises = promisesOf(script);
    expect(promises.length).toBeGreaterThan(0);
    const { code, stdout, stderr } = await run(script, text);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    let at = 0;
    for (const promise of promises) {
      const found = stdout.indexOf(promise, at);
      expect(found, `"${promise}" in:\n${stdout}\n${stderr}`).toBeGreaterThanOrEqual(0);
      at = found + promise.length;
    }
  });
});

test('links between pages lead somewhere', () => {
  const broken = pages.flatMap(({ name, text }) =>
    [...text.replaceAll(/^```[^]*?^```$/gm, '').matchAll(/\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map(([, to]) => join(dirname(join(root, name)), to!))
      .filter((to) => !existsSync(to))
      .map((to) => `${name}: ${relative(root, to)}`),
  );
  expect(broken).toEqual([]);
});

test('source files named in the pages exist', () => {
  const rooms = new Set(readdirSync(join(root, 'src')));
  const broken = pages.flatMap(({ name, text }) =>
    [...text.matchAll(/`((?:src\/)?([a-z]+)\/[\w./-]+\.(?:ts|mjs|md))`/g)]
      .filter(([, , room]) => rooms.has(room!) || ['test', 'scripts', 'decisions', 'docs', 'src'].includes(room!))
      .filter(([, path, room]) => !existsSync(join(root, rooms.has(room!) && !path!.startsWith('src/') ? join('src', path!) : path!)))
      // Decisions speak of what was not chosen, too.
      .filter(([, path]) => path !== 'proxy/failures.ts')
      .map(([, path]) => `${name}: ${path}`),
  );
  expect(broken).toEqual([]);
});

test('the reference of metrics names every metric, and the pages none that does not exist', () => {
  const made = new Set<string>();
  for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
    for (const [, name] of readFileSync(join(root, 'src', file), 'utf8').matchAll(/'(windlass_\w+)'/g)) made.add(name!);
  }
  // A cookie.
  made.delete('windlass_session');
  const namesIn = (page: string): string[] => {
    const { text } = pages.find(({ name }) => name === join('docs', page))!;
    return [...new Set([...text.matchAll(/`(windlass_\w+)/g)].map(([, name]) => name!))].toSorted();
  };
  expect(namesIn(join('reference', 'metrics.md'))).toEqual([...made].toSorted());
  expect(namesIn('monitoring.md').filter((name) => !made.has(name))).toEqual([]);
});
