import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConfigInfo } from '../../src/admin/model.ts';
import { kit } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { Program } from '../kit/program.ts';
import { until } from '../kit/until.ts';

const tools = kit();
const program = new Program();

/** A disk of 64 KiB; null where we may not mount one. */
const disk = ((): string | null => {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-disk-'));
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]).status === 0) return folder;
  rmdirSync(folder);
  return null;
})();

beforeAll(() => program.build(), 60_000);
afterAll(() => {
  program.close();
  if (disk === null) return;
  spawnSync('umount', ['--lazy', disk]);
  rmdirSync(disk);
});

const FILE = `# what somebody wrote
[basic]
admin_addr = "127.0.0.1:0"
name = "edge"

[servers.web]
addr = "127.0.0.1:0"
locations = ["all"]

[locations.all]
plugins = ["hello"]

[plugins.hello]
category = "mock"
data = "served"
`;

/** Until nothing more goes onto it. @returns makes room again */
function fill(folder: string): () => void {
  const path = join(folder, 'fill');
  try {
    writeFileSync(path, Buffer.alloc(1024 * 1024));
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
    return () => rmSync(path);
  }
  throw new Error('there was room for a megabyte');
}

// What happens at every single step of a save is looked at in src/config/save.test.ts, wherever it runs.
test.runIf(disk !== null)(
  '[fault 40] on a disk that is really full the program saves nothing and says so, its file is as it was, requests are served; with room it saves',
  async () => {
    const file = join(disk!, 'windlass.toml');
    writeFileSync(file, FILE);
    const stateDir = tools.folder();
    const running = program.run(['run', file, '--state-dir', stateDir]);
    const port = await running.port('a server listens');
    const operator = new Operator({ adminAddress: { port: await running.port('health, metrics') } }, stateDir);
    const served = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text();
    const { etag } = await operator.get<ConfigInfo>('/config');
    const save = () =>
      operator.ask(
        'POST',
        '/config/apply',
        { changes: [{ section: 'basic', name: '', values: { admin_addr: '127.0.0.1:0', name: 'other' } }] },
        etag,
      );

    const makeRoom = fill(disk!);
    const full = await save();
    expect([full.status, full.json.code]).toEqual([507, 'disk_full']);
    expect(full.json.detail).toBe('The disk is full: nothing was saved, and the old files are as they were. Make room and save again.');
    expect(readFileSync(file, 'utf8')).toBe(FILE);
    expect(readdirSync(disk!).toSorted()).toEqual(['fill', 'windlass.toml']);
    expect((await operator.get<ConfigInfo>('/config')).etag).toBe(etag);
    expect(await served()).toBe('served');

    makeRoom();
    expect((await save()).status).toBe(200);
    expect(readFileSync(file, 'utf8')).toBe(FILE.replace('"edge"', '"other"'));
    expect(await served()).toBe('served');
    running.child.kill('SIGTERM');
    await until('its end', () => !running.alive, 20_000);
  },
  60_000,
);

test.runIf(disk !== null)(
  '[fault 40] when only the state folder is on a full disk the gateway starts and a change counts; what could not be kept is told',
  async () => {
    const stateDir = join(disk!, 'state');
    const folder = tools.folder();
    const file = join(folder, 'windlass.toml');
    writeFileSync(file, FILE);
    const running = program.run(['run', file, '--state-dir', stateDir]);
    const port = await running.port('a server listens');
    const operator = new Operator({ adminAddress: { port: await running.port('health, metrics') } }, stateDir);
    const { etag } = await operator.get<ConfigInfo>('/config');
    const makeRoom = fill(disk!);
    const changes = [{ section: 'plugins', name: 'hello', values: { category: 'mock', data: 'other' } }];
    expect((await operator.ask('POST', '/config/apply', { changes }, etag)).status).toBe(200);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('other');
    await until('word of the history', () => running.err.includes('this version of the configuration could not be kept'));
    await until('word of the audit log', () => running.err.includes('the audit log cannot be written'));
    const second = program.run(['run', file, '--state-dir', join(disk!, 'second')]);
    const otherPort = await second.port('a server listens');
    expect(await (await fetch(`http://127.0.0.1:${otherPort}/`)).text()).toBe('other');
    for (const one of [running, second]) one.child.kill('SIGTERM');
    await until('their end', () => !running.alive && !second.alive, 20_000);
    makeRoom();
  },
  60_000,
);
