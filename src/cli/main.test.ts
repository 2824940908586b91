import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
// A build of its own, so that neither a stale nor a half-made dist/ is tested.
const built = join(root, `dist.cli-test-${process.pid}.tmp`);
const main = join(built, 'cli', 'main.js');
const children: ChildProcess[] = [];
const SECRETS = ['--secret', 'canary-secret-canary-secret'];

beforeAll(() => {
  spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', built], { cwd: root });
}, 60_000);
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rmSync(built, { recursive: true, force: true }));

interface Cli {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  /** When standard error has such a line. */
  readonly said: (part: string) => Promise<void>;
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
}

function cli(argv: readonly string[], env: Record<string, string> = {}): Cli {
  const child = spawn(process.execPath, [main, ...argv], {
    env: { PATH: process.env['PATH'], HOME: built, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let out = '';
  let err = '';
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (err += data.toString()));
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  );
  return {
    child,
    out: () => out,
    err: () => err,
    ended,
    said: (part) =>
      new Promise((resolve, reject) => {
        const look = (): void => (err.includes(part) ? resolve() : undefined);
        child.stderr.on('data', look);
        child.once('close', () => reject(new Error(`ended without saying "${part}": ${err}`)));
        look();
      }),
  };
}

test('a wrong flag is one line on standard error and exit code 2', async () => {
  const { ended, out, err } = cli(['hub', 'run', '--prot', '80']);
  expect(await ended).toEqual({ code: 2, signal: null });
  expect(out()).toBe('');
  expect(err()).toBe('windlass: hub run: no flag --prot; did you mean --port?\n');
});

test('a token can be taken from standard output alone', async () => {
  const { ended, out } = cli(['hub', 'register'], { SECRET: 'canary-secret-canary-secret' });
  expect(await ended).toEqual({ code: 0, signal: null });
  expect(out()).toMatch(/^wl1\.[\w-]+\n$/);
});

test('a secret is read from standard input', () => {
  const { status, stdout } = spawnSync(process.execPath, [main, 'hub', 'register', '--secret-file', '-'], { input: 'canary\n', encoding: 'utf8' });
  expect(status).toBe(0);
  expect(stdout).toMatch(/^wl1\./);
});

test('a reader of help that closes early is no error', async () => {
  const { child, ended, err } = cli(['help', 'hub', 'run']);
  child.stdout!.destroy();
  expect(await ended).toEqual({ code: 0, signal: null });
  expect(err()).toBe('');
});

test('a hub starts, keeps its secrets to itself and ends on SIGTERM with exit code 0 [threat 62, 63]', async () => {
  const { child, ended, said, out, err } = cli([
    'hub',
    'run',
    ...SECRETS,
    '--app-password=canary-password',
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--admin-addr',
    '127.0.0.1:0',
  ]);
  await said('the hub listens');
  await said('/metrics');
  if (existsSync('/proc/self/cmdline')) {
    const shown = readFileSync(`/proc/${child.pid}/cmdline`, 'latin1');
    expect(shown).not.toContain('canary');
    expect(shown.replaceAll('\0', ' ').trim()).toBe(
      'windlass hub run --secret *** --app-password *** --host 127.0.0.1 --port 0 --admin-addr 127.0.0.1:0',
    );
  }
  for (const flag of ['--secret', '--app-password'])
    expect(err()).toContain(`${flag} was readable in the process list until now; ${flag}-file PATH keeps it out`);
  child.kill('SIGTERM');
  expect(await ended).toEqual({ code: 0, signal: null });
  expect(out() + err()).not.toContain('canary');
});

test('unsafe ways to run are warned of, safe ones are not', async () => {
  const open = cli(['hub', 'run', '--port', '0', '--admin-addr', 'off'], { SECRET: 'short' });
  await open.said('the hub listens');
  expect(open.err()).toContain('no app password');
  expect(open.err()).toContain('a secret is shorter than 16 characters');
  const safe = cli(['hub', 'run', '--host', '127.0.0.1', '--port', '0', '--admin-addr', 'off'], { SECRET: 'canary-secret-canary-secret' });
  await safe.said('the hub listens');
  expect(safe.err()).not.toContain('"warn"');
});

test('a port in use is one line and exit code 1, without a stack', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as { port: number };
  const { ended, err } = cli(['proxy', '--from', `127.0.0.1:${port}`, '--to', 'localhost:1']);
  expect(await ended).toEqual({ code: 1, signal: null });
  taken.close();
  expect(err()).toContain(`127.0.0.1:${port} is in use by another program`);
  expect(err().trimEnd().split('\n')).toHaveLength(1);
});

test('a proxy starts from its two flags and ends on SIGINT', async () => {
  const { child, ended, said } = cli(['proxy', '--from', '127.0.0.1:0', '--to', 'localhost:1']);
  await said('the proxy listens');
  child.kill('SIGINT');
  expect(await ended).toEqual({ code: 0, signal: null });
});

test('an agent without a hub keeps trying, reloads on SIGHUP and ends on SIGTERM, its token nowhere to be read [threat 62, 63]', async () => {
  const { child, ended, said, out, err } = cli([
    'agent',
    'run',
    '--token',
    'canary-token',
    '--hub',
    'http://me:canary-pass@127.0.0.1:1',
    '--upstream',
    'http://me:canary-word@127.0.0.1:2',
    '--log-level',
    'debug',
  ]);
  await said('the agent dials out');
  if (existsSync('/proc/self/cmdline')) expect(readFileSync(`/proc/${child.pid}/cmdline`, 'latin1')).not.toContain('canary');
  child.kill('SIGHUP');
  child.kill('SIGTERM');
  expect(await ended).toEqual({ code: 0, signal: null });
  expect(out() + err()).not.toContain('canary');
});
