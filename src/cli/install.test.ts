import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { run } from './run.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windlass-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const AGENT = 'agent install --token-file /etc/t --hub https://hub.example --upstream localhost:3000';
const HUB = 'hub install --secret-file /etc/s';
const FILES = { '/etc/t': 'wl1.canary', '/etc/s': 'canary', '/etc/p': 'canary' };

async function install(line: string | readonly string[], env: Record<string, string> = {}): Promise<{ code: number; out: string; err: string }> {
  const world = fakeWorld(env, FILES);
  const code = await run(typeof line === 'string' ? line.split(' ') : line, world);
  expect(world.out() + world.err()).not.toContain('canary');
  return { code, out: world.out(), err: world.err() };
}

test("an agent's unit has its flags, and its token by LoadCredential only", async () => {
  const { code, out } = await install(`${AGENT} --num-worker 4 --label gpu=a100 --label rack=7 --ca-file ca.pem`);
  expect(code).toBe(0);
  expect(out).toContain(
    `ExecStart=/usr/bin/node /usr/bin/windlass agent run --token-file \${CREDENTIALS_DIRECTORY}/token --hub https://hub.example --upstream localhost:3000 --num-worker 4 --label gpu=a100 --label rack=7 --ca-file ${process.cwd()}/ca.pem\n`,
  );
  expect(out).toContain('LoadCredential=token:/etc/t\n');
  for (const line of ['Type=notify', 'Restart=always', 'DynamicUser=yes', 'NoNewPrivileges=yes', 'TimeoutStopSec=40s', 'WantedBy=multi-user.target'])
    expect(out).toContain(`${line}\n`);
});

test("a hub's unit binds a low port only when it is told to", async () => {
  const low = await install(`${HUB} --app-password-file /etc/p --port 443 --tls-cert /etc/c.pem --tls-key /etc/k.pem --drain-timeout 90s`);
  expect(low.out).toContain(
    'LoadCredential=secret:/etc/s\nLoadCredential=app-password:/etc/p\nLoadCredential=tls-cert:/etc/c.pem\nLoadCredential=tls-key:/etc/k.pem\n',
  );
  expect(low.out).toContain('--tls-key ${CREDENTIALS_DIRECTORY}/tls-key');
  expect(low.out).toContain('AmbientCapabilities=CAP_NET_BIND_SERVICE\n');
  expect(low.out).toContain('TimeoutStopSec=100s\n');
  expect((await install(HUB)).out).toContain('CapabilityBoundingSet=\n');
});

test('a unit of a user has no root in it', async () => {
  const { out } = await install(`${AGENT} --user`);
  expect(out).toContain('--token-file /etc/t --hub');
  expect(out).toContain('WantedBy=default.target\n');
  expect(out).not.toMatch(/DynamicUser|LoadCredential|Capabilit/);
});

test('words with spaces, percent and dollar signs reach the program as they are', async () => {
  const { out } = await install([...AGENT.split(' '), '--allow', 'GET,POST /a/*', '--label', 'note=100% $x "y"']);
  expect(out).toContain('--allow "GET,POST /a/*" --label "note=100%% $$x \\"y\\""');
});

test.each([
  [
    AGENT.replace('--token-file /etc/t', '--token wl1.canary'),
    'windlass: agent install: a unit is readable by everybody; give --token-file PATH instead of --token',
  ],
  [`${HUB} --app-password canary`, 'windlass: hub install: a unit is readable by everybody; give --app-password-file PATH instead of --app-password'],
  [
    AGENT.replace('https://hub', 'https://me:canary@hub'),
    'windlass: agent install: a unit is readable by everybody, and --hub has a name or password in it; put it into a file: --config PATH',
  ],
  [AGENT.replace('/etc/t', '-'), null],
  [AGENT.replace('/etc/t', '/etc/nowhere'), 'windlass: --token-file "/etc/nowhere" does not exist; give the path of a file that holds the secret'],
  [`${AGENT} --num-worker many`, 'windlass: --num-worker "many" is no whole number; give a number from 1 to 100000'],
  [`${HUB} --tls-cert /etc/c.pem`, 'windlass: --tls-cert needs --tls-key as well: give both (or neither, for plain HTTP)'],
])('what a unit may not or cannot hold is one line: %s', async (line, said) => {
  const { code, out, err } = await install(line);
  expect([code, out]).toEqual([2, '']);
  expect(err.trimEnd().split('\n')).toHaveLength(1);
  if (said !== null) expect(err).toBe(`${said}\n`);
});

test('the environment of who installs does not count', async () => {
  const { code, err } = await install('agent install --hub h:1 --upstream u:1', { TOKEN: 'wl1.canary' });
  expect(code).toBe(2);
  expect(err).toContain('needs --token');
});

test('--write writes, says what is next, and overwrites only what is ours', async () => {
  const path = join(folder, 'windlass-agent.service');
  const { code, out, err } = await install(`${AGENT} --write ${path}`);
  expect([code, out]).toEqual([0, '']);
  expect(err).toBe(`${path} is written. Next:\nsystemctl daemon-reload\nsystemctl enable --now windlass-agent.service\n`);
  expect((await install(`${AGENT} --num-worker 2 --write ${path}`)).code).toBe(0);
  expect(readFileSync(path, 'utf8')).toContain('--num-worker 2');
  writeFileSync(path, "[Service]\nExecStart=/somebody's\n");
  expect((await install(`${AGENT} --write ${path}`)).err).toContain('is not ours');
  expect(readFileSync(path, 'utf8')).toContain("somebody's");
  expect((await install(`${AGENT} --write ${folder}/no/such/place`)).code).toBe(1);
});

const hasSystemd = works('systemd-analyze', ['--version']);

test.skipIf(!hasSystemd)('systemd finds nothing wrong with the units, and calls them well protected', async () => {
  const program = [process.execPath, join(folder, 'windlass')];
  writeFileSync(program[1]!, '');
  for (const [line, name] of [
    [AGENT, 'windlass-agent.service'],
    [`${HUB} --port 443 --tls-cert /etc/c.pem --tls-key /etc/k.pem`, 'windlass-hub.service'],
  ] as const) {
    const path = join(folder, name);
    expect(await run([...line.split(' '), '--write', path], { ...fakeWorld({}, FILES), program })).toBe(0);
    const said = execFileSync('systemd-analyze', ['verify', path], { encoding: 'utf8', stdio: 'pipe' });
    expect(said).toBe('');
    // 0 is best, 10 is worst; a unit without any of this has 9.6.
    execFileSync('systemd-analyze', ['security', '--offline=true', '--threshold=25', path], { stdio: 'pipe' });
  }
});

function works(file: string, args: readonly string[]): boolean {
  try {
    execFileSync(file, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
