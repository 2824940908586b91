import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Problem } from '../admin/route.ts';
import { type Disk, saveFiles, whyFixed } from './save.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windlass-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const contents = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [join(entry.parentPath, entry.name).slice(folder.length + 1), readFileSync(join(entry.parentPath, entry.name), 'utf8')]),
  );

/** A disk whose n-th operation fails. */
function failing(n: number, code: string): Disk & { readonly count: () => number } {
  let count = 0;
  const step = async <T>(does: () => Promise<T>): Promise<T> => {
    if (count++ === n) throw Object.assign(new Error(code), { code });
    return does();
  };
  return {
    count: () => count,
    open: (path, flags, mode) =>
      step(async () => {
        const file = await open(path, flags, mode);
        return {
          writeFile: (data: string | Buffer) =>
            step(async () => {
              // As much as there was room for.
              await file.writeFile(data.slice(0, 3));
              await file.truncate(0);
              await file.write(Buffer.from(data), 0, undefined, 0);
            }),
          sync: () => step(() => file.sync()),
          chmod: (mode: number) => file.chmod(mode),
          chown: (uid: number, gid: number) => file.chown(uid, gid),
          close: () => file.close(),
        } as unknown as Awaited<ReturnType<Disk['open']>>;
      }),
    rename: (from, to) => step(() => rename(from, to)),
    unlink: (path) => unlink(path),
  };
}

test('files are written, made and taken away; mode stays, and nothing else is left', async () => {
  writeFileSync(at('a.toml'), 'old');
  chmodSync(at('a.toml'), 0o640);
  writeFileSync(at('b.toml'), 'gone');
  await saveFiles(
    [
      { path: at('a.toml'), text: 'new' },
      { path: at('b.toml'), text: null },
      { path: at('sub/c.toml'), text: 'made' },
    ],
    folder,
  );
  expect(contents()).toEqual({ 'a.toml': 'new', 'sub/c.toml': 'made' });
  expect(statSync(at('a.toml')).mode & 0o777).toBe(0o640);
  expect(statSync(at('sub/c.toml')).mode & 0o777).toBe(0o600);
});

test('what a process that was killed while it saved has left goes with a later save, and nothing else does', async () => {
  const old = new Date(Date.now() - 7_200_000);
  for (const name of ['.0123456789ab.tmp', '.0123456789ac.old', '.0123456789ad.txt', '.hidden.old', 'a.toml']) {
    writeFileSync(at(name), 'secret = "canary"');
    utimesSync(at(name), old, old);
  }
  writeFileSync(at('.0123456789ae.tmp'), 'somebody else saves');
  await saveFiles([{ path: at('a.toml'), text: 'new' }], folder);
  expect(Object.keys(contents()).toSorted()).toEqual(['.0123456789ad.txt', '.0123456789ae.tmp', '.hidden.old', 'a.toml']);
});

test.each(['ENOSPC', 'EDQUOT'])('whenever the disk is full (%s), all files are as they were, and it is said', async (code) => {
  const before = { 'a.toml': 'old a', 'b.toml': 'old b', 'c.toml': 'old c' };
  let n = 0;
  for (; ; n++) {
    for (const [name, text] of Object.entries(before)) writeFileSync(at(name), text);
    rmSync(at('d.toml'), { force: true });
    const disk = failing(n, code);
    const saved = await saveFiles(
      [
        { path: at('a.toml'), text: 'new a, and longer' },
        { path: at('b.toml'), text: null },
        { path: at('d.toml'), text: 'new d' },
        { path: at('c.toml'), text: 'new c' },
      ],
      folder,
      disk,
    ).then(
      () => null,
      (error: unknown) => error as Problem,
    );
    // That the folder could not be synced loses nothing.
    if (saved === null) break;
    expect(saved).toMatchObject({ status: 507, code: 'disk_full' });
    expect(contents(), `failed at operation ${n}`).toEqual(before);
  }
  expect(n).toBeGreaterThan(10);
  expect(contents()).toEqual({ 'a.toml': 'new a, and longer', 'c.toml': 'new c', 'd.toml': 'new d' });
});

test.each([
  ['EROFS', 409, /read-only/],
  ['EACCES', 403, /may not write/],
  ['EBUSY', 409, /mount the folder/],
])('%s is answered with what to do', async (code, status, message) => {
  writeFileSync(at('a.toml'), 'old');
  const saving = saveFiles([{ path: at('a.toml'), text: 'new' }], folder, failing(0, code));
  await expect(saving).rejects.toMatchObject({ status, detail: expect.stringMatching(message) });
  expect(contents()).toEqual({ 'a.toml': 'old' });
});

test('files of a ConfigMap, and links, are not replaced: that is refused before anything is written', async () => {
  mkdirSync(at('..2026'));
  writeFileSync(at('..2026/a.toml'), 'map');
  symlinkSync('..2026', at('..data'));
  symlinkSync('..data/a.toml', at('a.toml'));
  const saving = saveFiles([{ path: at('a.toml'), text: 'new' }], folder);
  await expect(saving).rejects.toMatchObject({ status: 409, detail: expect.stringMatching(/a\.toml comes from a ConfigMap/) });
  expect(await whyFixed([at('a.toml')], folder)).toMatch(/ConfigMap/);
  rmSync(at('..data'));
  symlinkSync('..2026', at('sub'));
  await expect(saveFiles([{ path: at('sub/b.toml'), text: 'new' }], folder)).rejects.toMatchObject({
    status: 409,
    detail: expect.stringMatching(/symbolic link/),
  });
  expect(readdirSync(at('..2026'))).toEqual(['a.toml']);
});

test('whether something can be saved is known beforehand', async () => {
  writeFileSync(at('a.toml'), 'x');
  expect(await whyFixed([at('a.toml')], folder)).toBe('');
  expect(await whyFixed([at('a.toml')], at('none'))).not.toBe('');
  expect(readdirSync(folder)).toEqual(['a.toml']);
});
