import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kit, SECRET } from '../kit/kit.ts';
import { cheapHash } from '../kit/password.ts';
import { Program, type RunningProgram } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const { folder } = kit();
const program = new Program();
beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

/** What other machines may reach: nobody could bind most of these here, and nothing tries to. */
const PUBLIC = ['0.0.0.0:9080', '*:9080', '[::]:9080', '192.0.2.7:9080', '[2001:db8::7]:9080', `${hostname()}:9080`, 'gateway.example.com:9080'];

function hub(adminAddr: string, ...more: string[]): RunningProgram {
  const dir = folder();
  writeFileSync(join(dir, 'secret'), SECRET);
  const where = ['--host', '127.0.0.1', '--port', '0', '--admin-addr', adminAddr, '--state-dir', join(dir, 'state')];
  return program.run(['hub', 'run', '--secret-file', join(dir, 'secret'), ...where, '--log-format', 'json', ...more]);
}

function gateway(adminAddr: string, basic = '', more = ''): RunningProgram & { file: string } {
  const dir = folder();
  const file = join(dir, 'windlass.toml');
  writeFileSync(
    file,
    `[basic]
admin_addr = "${adminAddr}"
${basic}
[servers.web]
addr = "127.0.0.1:0"
locations = ["all"]
[locations.all]
upstream = "app"
[upstreams.app]
addrs = ["127.0.0.1:1"]
${more}`,
  );
  return Object.assign(program.run(['run', file, '--state-dir', join(dir, 'state')]), { file });
}

async function ended(running: RunningProgram): Promise<{ readonly code: number | null; readonly lines: readonly string[] }> {
  await until('its end', () => !running.alive, 20_000);
  return { code: running.child.exitCode, lines: running.err.trim().split('\n') };
}

test(
  'hub run does not start where others may reach the console while nobody has a password: code 2, and one line with the fix',
  { timeout: 60_000 },
  async () => {
    const all = PUBLIC.map((address) => ({ address, running: hub(address) }));
    for (const { address, running } of all) {
      const { code, lines } = await ended(running);
      expect([address, code, lines.length]).toEqual([address, 2, 1]);
      expect(lines[0]).toContain(`--admin-addr ${address.replace('*', '0.0.0.0')} lets other machines ask for the console`);
      expect(lines[0]).toMatch(/give --admin-user-file with NAME:ROLE:HASH \(windlass hash-password makes the hash\), or --console=false/);
    }
  },
);

test('run does not start there either: code 2, and one line with place and fix', { timeout: 60_000 }, async () => {
  const all = PUBLIC.map((address) => ({ address, running: gateway(address) }));
  for (const { address, running } of all) {
    const { code, lines } = await ended(running);
    expect([address, code, lines.length]).toEqual([address, 2, 1]);
    expect(lines[0]).toMatch(/windlass\.toml:2:1 basic\.admin_addr ".*" lets other machines ask for the console/);
    expect(lines[0]).toMatch(/write \[admins\.NAME\] with role and password \(windlass hash-password makes it\), or console = false/);
  }
});

test('both start with a password, and with console = false, which leaves the open pages', { timeout: 120_000 }, async () => {
  const hash = cheapHash('open sesame');
  const people = join(folder(), 'people');
  writeFileSync(people, `ann:admin:${hash}\n`);
  const starts: readonly (readonly [running: RunningProgram, hasConsole: boolean])[] = [
    [hub('0.0.0.0:0', '--admin-user-file', people), true],
    [hub('0.0.0.0:0', '--console=false'), false],
    [gateway('0.0.0.0:0', '', `[admins.ann]\nrole = "admin"\npassword = "${hash}"\n`), true],
    [gateway('0.0.0.0:0', 'console = false'), false],
  ];
  for (const [running, hasConsole] of starts) {
    const port = await until(
      'the open pages',
      () => {
        if (!running.alive) throw new Error(`it ended: ${running.err}`);
        return /http:\/\/0\.0\.0\.0:(\d+)[^\n]*\/healthz/.exec(running.err)?.[1];
      },
      30_000,
    );
    const status = async (path: string): Promise<number> => (await fetch(`http://127.0.0.1:${port}${path}`)).status;
    expect([await status('/healthz'), await status('/api/v1/info')]).toEqual([200, hasConsole ? 401 : 404]);
  }
});

test('a running gateway does not go public by a changed file either: the old file serves on, and it is told', async () => {
  const running = gateway('127.0.0.1:0', 'auto_restart_check_interval = "1s"');
  const port = await running.port('health, metrics');
  writeFileSync(running.file, readFileSync(running.file, 'utf8').replace('127.0.0.1:0', '0.0.0.0:0'));
  running.child.kill('SIGHUP');
  await until('word of it', () => running.err.includes('lets other machines ask for the console'), 20_000);
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
});

test('the image keeps to loopback: with what it says in its environment a hub starts', async () => {
  const dockerfile = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8');
  const [, host] = /^ENV WINDLASS_ADMIN_ADDR=(.+):9080$/m.exec(dockerfile)!;
  const running = hub(`${host}:0`);
  expect((await fetch(`http://127.0.0.1:${await running.port('health and metrics')}/healthz`)).status).toBe(200);
});
