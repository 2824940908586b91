import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, lstat, mkdir, open, readFile, readdir, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { Problem } from '../admin/route.ts';

/** A file to be written, or taken away. */
export interface SavedFile {
  readonly path: string;
  /** Null: it goes. */
  readonly text: string | null;
  /** What must stand there until it does (null: nothing), or somebody else has been here meanwhile; absent: whatever. */
  readonly was?: string | null;
}

/** What saving touches of the system, so that tests can have it fail. */
export interface Disk {
  open(path: string, flags: string, mode?: number): Promise<Pick<FileHandle, 'writeFile' | 'sync' | 'close' | 'chown' | 'chmod'>>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
}

const DISK: Disk = { open, rename, unlink };

/**
 * Writes files, all of them or none. Each is written whole beside itself, with the mode and the owner that it has, and then takes the old one's place, so
 * that whoever reads sees the old or the new, also after a crash. `folder`: nothing outside of it is touched, and no link is followed.
 * @throws Problem that says why it cannot be; then all is as it was
 */
export async function saveFiles(files: readonly SavedFile[], folder: string, disk: Disk = DISK): Promise<void> {
  const steps: Step[] = [];
  try {
    for (const file of files) steps.push(await prepared(file, folder, disk));
    // Before anything is touched, so that nothing need be taken back.
    for (const step of steps) await refuseOther(step);
    for (const step of steps) await swap(step, disk);
  } catch (error) {
    for (const step of steps.toReversed()) await takeBack(step, disk);
    throw error instanceof Problem ? error : problemOf(error as NodeJS.ErrnoException);
  }
  for (const { kept } of steps) if (kept !== null) await disk.unlink(kept).catch(() => {});
  for (const parent of new Set(steps.map(({ path }) => dirname(path)))) {
    await syncFolder(parent, disk);
    await sweep(parent, disk);
  }
}

/** What a process that was killed has left beside its files: nobody reads it, and it may hold secrets. What is young may be somebody's at work. */
async function sweep(folder: string, disk: Disk): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!/^\.[0-9a-f]{12}\.(?:tmp|old)$/.test(name)) continue;
    const path = join(folder, name);
    const stats = await lstat(path).catch(() => null);
    if (stats !== null && Date.now() - stats.mtimeMs > LEFT_MS) await disk.unlink(path).catch(() => {});
  }
}

const LEFT_MS = 3_600_000;

/** Why nothing can be saved there; '' = nothing speaks against it. */
export async function whyFixed(paths: readonly string[], folder: string): Promise<string> {
  try {
    for (const path of paths) await refuseLinks(path, folder);
    await access(folder, constants.W_OK);
    return '';
  } catch (error) {
    return error instanceof Problem ? error.detail : problemOf(error as NodeJS.ErrnoException).detail;
  }
}

interface Step {
  readonly path: string;
  /** What is to stand there; null: nothing. */
  readonly fresh: string | null;
  /** Where what stands there is kept meanwhile; null: nothing stands there. */
  readonly kept: string | null;
  readonly was: string | null | undefined;
  state: 'ready' | 'kept' | 'done';
}

async function prepared({ path, text, was }: SavedFile, folder: string, disk: Disk): Promise<Step> {
  await refuseLinks(path, folder);
  const before = await stat(path).catch(() => null);
  const beside = (end: string): string => join(dirname(path), `.${randomBytes(6).toString('hex')}.${end}`);
  const step: Step = { path, fresh: text === null ? null : beside('tmp'), kept: before === null ? null : beside('old'), was, state: 'ready' };
  if (text === null || step.fresh === null) return step;
  if (before === null) await mkdir(dirname(path), { recursive: true });
  const file = await disk.open(step.fresh, 'wx', before === null ? 0o600 : before.mode & 0o777);
  try {
    if (before !== null) {
      if (before.uid !== process.getuid?.() || before.gid !== process.getgid?.()) await keepOwner(file, before, path);
      await file.chmod(before.mode & 0o777);
    }
    await file.writeFile(text);
    await file.sync();
    await file.close();
  } catch (error) {
    await file.close().catch(() => {});
    await disk.unlink(step.fresh).catch(() => {});
    throw error;
  }
  return step;
}

async function keepOwner(file: Pick<FileHandle, 'chown'>, { uid, gid }: { readonly uid: number; readonly gid: number }, path: string): Promise<void> {
  try {
    await file.chown(uid, gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    throw new Problem(
      403,
      'not_ours',
      `${path} belongs to another user, who would lose it if it were written anew; chown it to the one that runs the gateway.`,
    );
  }
}

/** A link would be replaced by a file, and what it leads to stay as it is. */
async function refuseLinks(path: string, folder: string): Promise<void> {
  const root = await realpath(folder);
  let here = folder;
  for (const part of relative(folder, path).split(sep)) {
    here = join(here, part);
    const stats = await lstat(here).catch(() => null);
    if (stats?.isSymbolicLink() !== true) continue;
    const isMap = (await lstat(join(folder, '..data')).catch(() => null)) !== null;
    const why = isMap
      ? 'comes from a ConfigMap or Secret of Kubernetes, which nothing in the container can change; change it there, and it is read anew here'
      : 'is a symbolic link; change what it leads to, or put the file itself there';
    throw new Problem(409, 'link', `${relative(root, here) === '' ? here : relative(folder, here)} ${why}.`);
  }
}

async function swap(step: Step, disk: Disk): Promise<void> {
  if (step.kept !== null) {
    // A second name for the old file would be cheaper, and is not to be had on every file system.
    if (step.fresh === null) await disk.rename(step.path, step.kept);
    else await copyTo(step.path, step.kept, disk);
    step.state = 'kept';
  }
  if (step.fresh !== null) {
    // The copy took its time, and an editor may have used it.
    await refuseOther(step);
    await disk.rename(step.fresh, step.path);
  }
  step.state = 'done';
}

/** @throws Problem when something else stands there than what was changed */
async function refuseOther({ path, was }: Step): Promise<void> {
  if (was === undefined) return;
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return null;
  });
  // As it is read: a byte order mark is left out.
  if ((bytes === null ? null : new TextDecoder().decode(bytes)) !== was)
    throw new Problem(412, 'changed_meanwhile', `Somebody else has changed ${path} meanwhile: look at what stands there now, and save again.`);
}

async function copyTo(path: string, to: string, disk: Disk): Promise<void> {
  const before = await stat(path);
  const file = await disk.open(to, 'wx', 0o600);
  try {
    await file.writeFile(await readFile(path));
    await file.chown(before.uid, before.gid).catch(() => {});
    await file.chmod(before.mode & 0o777);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function takeBack({ path, fresh, kept, state }: Step, disk: Disk): Promise<void> {
  if (kept !== null && (state === 'done' || (state === 'kept' && fresh === null))) await disk.rename(kept, path).catch(() => {});
  else if (kept !== null) await disk.unlink(kept).catch(() => {});
  if (fresh === null) return;
  if (state === 'done' && kept === null) await disk.unlink(path).catch(() => {});
  else if (state !== 'done') await disk.unlink(fresh).catch(() => {});
}

/** The new names are on disk, too. */
async function syncFolder(folder: string, disk: Disk): Promise<void> {
  const handle = await disk.open(folder, 'r').catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close().catch(() => {});
}

function problemOf(error: NodeJS.ErrnoException): Problem {
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new Problem(507, 'disk_full', 'The disk is full: nothing was saved, and the old files are as they were. Make room and save again.');
    case 'EROFS':
      return new Problem(
        409,
        'read_only',
        'The folder of the configuration is mounted read-only; change the files where they come from, or mount it writable.',
      );
    case 'EACCES':
    case 'EPERM':
      return new Problem(
        403,
        'not_writable',
        `The user that runs the gateway may not write ${error.path === undefined ? 'there' : dirname(error.path)}; change its owner or mode.`,
      );
    case 'EBUSY':
    case 'EXDEV':
      return new Problem(409, 'mounted', 'The file is mounted by itself, so it cannot be replaced; mount the folder that it lies in instead.');
    case 'ENOTDIR':
    case 'EISDIR':
    case 'EEXIST':
      return new Problem(409, 'in_the_way', `Something else stands at ${error.path ?? 'that path'}.`);
    default:
      return new Problem(500, 'not_saved', `Nothing was saved: ${error.code ?? error.message}.`);
  }
}
