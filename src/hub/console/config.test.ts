import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { kit } from '../../../test/kit/kit.ts';
import { MemoryLog } from '../../../test/kit/tunnel.ts';
import { type GatewaySettings, loadGateway } from '../../config/gateway.ts';
import type { Disk } from '../../config/save.ts';
import type { SettingsError } from '../../config/settings-error.ts';
import { ConsoleConfig } from './config.ts';
import type { Outcome } from '../reload.ts';

const tools = kit();

const FILES = {
  '00-basic.toml': '# who we are\n[basic]\nname = "edge"\n',
  'servers.toml': '[servers.web]\naddr = "127.0.0.1:0"\nlocations = ["one", "two"]\n',
  'teams/one.toml':
    '[locations.one]\nupstream = "shared" # ours\npath = "/one"\nincludes = ["times"]\n[storages.times]\nvalue = "timeout = \\"3s\\""\n',
  'teams/two.toml': '[locations.two]\nupstream = "shared"\n\n[upstreams.shared]\naddrs = ["127.0.0.1:1"]\n',
};

/** A configuration in a folder. What reads it anew does so, and listens nowhere. */
async function start(disk?: Disk, files: Readonly<Record<string, string>> = FILES) {
  const folder = tools.folder();
  mkdirSync(join(folder, 'teams'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const log = new MemoryLog();
  const config = new ConsoleConfig({
    source: folder,
    env: {},
    stateDir: tools.folder(),
    log,
    wall: () => 1_000,
    ...(disk === undefined ? {} : { disk }),
  });
  let { settings, etag, problems } = await loadGateway(folder, {});
  const first: GatewaySettings = settings;
  const reload = {
    outcome: { ok: true, etag, problems, atMs: 0 } as Outcome,
    ended: (): void => {},
    readings: 0,
    async now(): Promise<void> {
      reload.readings++;
      try {
        ({ settings, etag, problems } = await loadGateway(folder, {}));
        reload.outcome = { ok: true, etag, problems, atMs: 1 };
      } catch (error) {
        reload.outcome = { ...reload.outcome, ok: false, problems: (error as SettingsError).problems };
      }
      reload.ended();
    },
  };
  config.attach({ reload, settings: () => settings, changed: () => {} });
  const texts = (): Record<string, string> =>
    Object.fromEntries(
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => [join(entry.parentPath, entry.name).slice(folder.length + 1), readFileSync(join(entry.parentPath, entry.name), 'utf8')]),
    );
  const apply = async (changes: Parameters<ConsoleConfig['check']>[0]) => config.apply({ changes }, (await config.info()).etag, 'alice');
  return { config, folder, texts, apply, reload, first };
}

test('each change goes to the file where its item stands; new items to where their section lives; files come and go', async () => {
  const { config, texts, apply } = await start();
  const info = await config.info();
  expect(info.files.map(({ name }) => name)).toEqual(Object.keys(FILES));
  expect(info.sections['storages']![0]).toMatchObject({ name: 'times', file: 'teams/one.toml', usedBy: ['locations.one'] });
  const verdict = await apply([
    { section: 'upstreams', name: 'shared', values: { addrs: ['127.0.0.1:2'] }, rename: 'both' },
    { section: 'plugins', name: 'id', values: { category: 'request_id' } },
    { section: 'locations', name: 'three', values: { upstream: 'both', path: '/three', plugins: ['id'] } },
    { section: 'servers', name: 'web', values: { addr: '127.0.0.1:0', locations: ['one', 'two', 'three'] } },
    { file: 'teams/four.toml', text: '# for the fourth team\n' },
  ]);
  expect(verdict.ok).toBe(true);
  expect(verdict.diff).toContain('--- /dev/null\n+++ b/teams/four.toml');
  expect(texts()).toEqual({
    ...FILES,
    '00-basic.toml': '# who we are\n[basic]\nname = "edge"\n\n[plugins.id]\ncategory = "request_id"\n',
    'servers.toml': FILES['servers.toml'].replace('"two"]', '"two", "three"]'),
    'teams/one.toml': FILES['teams/one.toml'].replace('"shared"', '"both"'),
    'teams/two.toml':
      '[locations.two]\nupstream = "both"\n\n[locations.three]\nupstream = "both"\npath = "/three"\nplugins = ["id"]\n\n[upstreams.both]\naddrs = ["127.0.0.1:2"]\n',
    'teams/four.toml': '# for the fourth team\n',
  });
});

test('a file that was taken away comes back with the version that had it, and one that it lacked goes', async () => {
  const { config, texts, apply } = await start();
  await apply([
    { section: 'servers', name: 'web', values: { addr: '127.0.0.1:0', locations: ['two'] } },
    { file: 'teams/one.toml', text: null },
    { file: 'more.toml', text: '# more\n' },
  ]);
  expect(Object.keys(texts()).toSorted()).toEqual(['00-basic.toml', 'more.toml', 'servers.toml', 'teams/two.toml']);
  const { items } = await config.history();
  const detail = await config.version(items[1]!.id, false);
  expect(detail!.restoreDiff).toContain('--- /dev/null\n+++ b/teams/one.toml');
  await config.restore(items[1]!.id, 'alice');
  expect(texts()).toEqual(FILES);
});

test('all files go out as one text; coming in, each item goes back to its file with the comments there', async () => {
  const { config, texts } = await start();
  const text = await config.export();
  expect(text).toContain('# teams/one.toml');
  const again = await config.import({ text, format: 'toml', dryRun: false }, null, 'alice');
  expect([again.ok, again.diff]).toEqual([true, '']);
  const changed = text
    .replace('path = "/one"', 'path = "/first"')
    .replace(/\[locations\.two\][^[]*/, '')
    .replace('"one", "two"', '"one"');
  const verdict = await config.import({ text: changed, format: 'toml', dryRun: false }, null, 'alice');
  expect(verdict.ok).toBe(true);
  expect(texts()).toEqual({
    ...FILES,
    'servers.toml': FILES['servers.toml'].replace('"one", "two"', '"one"'),
    'teams/one.toml': FILES['teams/one.toml'].replace('"/one"', '"/first"'),
    'teams/two.toml': '[upstreams.shared]\naddrs = ["127.0.0.1:1"]\n',
  });
});

test('a file of another program does not take the console away from whoever imports it', async () => {
  const { config, texts } = await start(undefined, {
    ...FILES,
    '00-basic.toml': '[basic]\nname = "edge"\nadmin_addr = "127.0.0.1:9999"\nconsole_hosts = ["edge.example"]\n',
    'people.toml':
      '[admins.alice]\nrole = "read"\npassword = "$scrypt$ln=15,r=8,p=1$K5GKMeUMfMV/51ZyuGLo3g$6BUOVPbzPZSQNJGKzO+bHsUnWjvPUqsA5G7GKcFY2PM"\n',
  });
  const text =
    '[basic]\nname = "other"\n[servers.web]\naddr = "127.0.0.1:0"\nlocations = ["x"]\n[locations.x]\nupstream = "y"\n[upstreams.y]\naddrs = ["127.0.0.1:1"]\n';
  const { ok, notes, problems } = await config.import({ text, format: 'pingap', dryRun: false }, null, 'alice');
  expect([ok, notes.join(), problems]).toEqual([
    true,
    expect.stringContaining('basic.admin_addr, basic.console_hosts, admins of this gateway stay'),
    [],
  ]);
  expect(texts()['00-basic.toml']).toBe('[basic]\nname = "other"\nadmin_addr = "127.0.0.1:9999"\nconsole_hosts = ["edge.example"]\n');
  expect(texts()['people.toml']).toContain('[admins.alice]');
  // What held nothing else is gone.
  expect(Object.keys(texts())).not.toContain('teams/one.toml');
});

test('a file of a folder goes with the last item that it held', async () => {
  const { apply, texts, config } = await start(undefined, { ...FILES, 'more.toml': '[locations.three]\nupstream = "shared"\n' });
  expect((await apply([{ section: 'locations', name: 'three', values: null }])).ok).toBe(true);
  expect(texts()).toEqual(FILES);
  expect((await config.rollBack('alice')).ok).toBe(true);
  expect(texts()['more.toml']).toContain('[locations.three]');
});

test('a change that moves the console, or takes it away, says so before it is saved', async () => {
  const { config } = await start();
  const said = async (values: Record<string, unknown>): Promise<readonly string[]> =>
    (await config.check([{ section: 'basic', name: '', values: { name: 'edge', ...values } }])).problems.map(({ message }) => message);
  expect(await said({ admin_addr: '127.0.0.1:9081' })).toEqual([
    'basic.admin_addr moves the console from 127.0.0.1:9080 to 127.0.0.1:9081: open it there when it is saved',
  ]);
  expect(await said({ console: false })).toEqual([
    'basic.admin_addr takes the console away from 127.0.0.1:9080: this page answers no more when it is saved',
  ]);
  expect(await said({ inspector: 5 })).toEqual([]);
});

test('[fault 40] when the disk is full the answer is 507, the old files are there, and nothing was read anew', async () => {
  const full: Disk = {
    rename,
    unlink,
    open: async (path, flags, mode) => {
      const file = await open(path, flags, mode);
      return Object.assign(Object.create(file) as typeof file, {
        writeFile: () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' })),
        sync: () => file.sync(),
        chmod: (bits: number) => file.chmod(bits),
        chown: (uid: number, gid: number) => file.chown(uid, gid),
        close: () => file.close(),
      });
    },
  };
  const { apply, texts, reload } = await start(full);
  await expect(apply([{ section: 'basic', name: '', values: { name: 'other' } }])).rejects.toMatchObject({ status: 507, code: 'disk_full' });
  expect(texts()).toEqual(FILES);
  expect(reload.readings).toBe(0);
});

test('an empty file, and none at all, are refused as a start would refuse them', async () => {
  const { config, apply } = await start();
  const { problems } = await config.check([{ file: 'teams/one.toml', text: '' }]);
  expect(problems).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ level: 'error', file: 'teams/one.toml', message: expect.stringContaining('is empty') as string }),
    ]),
  );
  await expect(apply(Object.keys(FILES).map((file) => ({ file, text: null })))).rejects.toMatchObject({ status: 422 });
});

test('plugins that run already are not made a second time to try them', async () => {
  const { config, folder } = await start();
  const counter = join(folder, 'made.txt');
  writeFileSync(
    join(folder, 'plugin.mjs'),
    `import { appendFileSync } from 'node:fs';
export default { name: 'mine', summary: 'counts', settings: {}, create: () => { appendFileSync(${JSON.stringify(counter)}, 'x'); return {}; } };
`,
  );
  const changes = [{ section: 'plugins', name: 'mine', values: { module: './plugin.mjs' } }];
  expect((await config.check(changes)).ok).toBe(true);
  expect(readFileSync(counter, 'utf8')).toBe('x');
  await config.apply({ changes }, (await config.info()).etag, 'alice');
  rmSync(counter);
  expect((await config.check([{ section: 'basic', name: '', values: { name: 'new' } }])).ok).toBe(true);
  expect(existsSync(counter)).toBe(false);
});

test(
  'two who save at once and an editor who does at any moment: at most one of the two is told that it is done, and what the editor wrote is never lost',
  { timeout: 120_000 },
  async () => {
    const mine = '# the editor was here\n[locations.one]\nupstream = "shared"\npath = "/editor"\n[storages.times]\nvalue = "timeout = \\"3s\\""\n';
    const moments = [
      // At each thing that saving asks of the disk, and at turns of the event loop, most of which are spent checking.
      ...Array.from({ length: 14 }, (_, at) => ({ at, turns: -1 })),
      ...Array.from({ length: 26 }, (_, turns) => ({ at: -1, turns })),
    ];
    for (const { at, turns } of moments) {
      let count = 0;
      let write = (): void => {};
      const step = async <T>(does: () => Promise<T>, isAfter = false): Promise<T> => {
        const isNow = count++ === at;
        if (isNow && !isAfter) write();
        const done = await does();
        if (isNow && isAfter) write();
        return done;
      };
      const disk: Disk = {
        open: (path, flags, mode) =>
          step(async () => {
            const file = await open(path, flags, mode);
            return {
              writeFile: (data: string) => step(() => file.writeFile(data)),
              sync: () => step(() => file.sync()),
              chmod: (to: number) => file.chmod(to),
              chown: (uid: number, gid: number) => file.chown(uid, gid),
              close: () => file.close(),
            } as unknown as Awaited<ReturnType<Disk['open']>>;
          }),
        // An editor that writes between our last look and the rename cannot be seen by anybody.
        rename: (from, to) => step(() => rename(from, to), true),
        unlink: (path) => step(() => unlink(path)),
      };
      const { config, folder, texts } = await start(disk);
      const { etag } = await config.info();
      let hasWritten = false;
      write = () => {
        hasWritten = true;
        writeFileSync(join(folder, 'teams/one.toml'), mine);
      };
      const both = ['alice', 'bob'].map((by) =>
        config.apply({ changes: [{ section: 'locations', name: 'one', values: { upstream: 'shared', path: `/${by}` } }] }, etag, by).then(
          () => 'done',
          (error: { readonly status: number }) => error.status,
        ),
      );
      if (turns >= 0) {
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
        write();
      }
      const said = await Promise.all(both);
      const when = `operation ${at}, turn ${turns}: ${said.join(', ')}`;
      expect(said.filter((one) => one === 'done').length, when).toBeLessThanOrEqual(1);
      for (const one of said) expect(['done', 409, 412], when).toContain(one);
      if (hasWritten) expect(texts()['teams/one.toml'], when).toBe(mine);
      else expect(texts()['teams/one.toml'], when).toMatch(/path = "\/(?:alice|bob)"/);
      expect(Object.keys(texts()).toSorted(), when).toEqual(Object.keys(FILES).toSorted());
    }
  },
);

test('hundreds of changes at once let others run in between', { timeout: 60_000 }, async () => {
  const { config } = await start();
  const changes = Array.from({ length: 400 }, (_, i) => ({ section: 'upstreams', name: `u${i}`, values: { addrs: ['127.0.0.1:1'] } }));
  let isDone = false;
  const checked = config.check(changes).finally(() => {
    isDone = true;
  });
  let turns = 0;
  while (!isDone) {
    await new Promise((resolve) => setImmediate(resolve));
    turns++;
  }
  expect((await checked).ok).toBe(true);
  expect(turns).toBeGreaterThan(20);
});
