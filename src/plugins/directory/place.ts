import { constants } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { Buffer } from 'node:buffer';

/** What stands at a path: a file, open, a folder by its real path, nothing, or something that nobody gets. */
export type Found =
  | { readonly kind: 'file'; readonly file: FileHandle; readonly size: number; readonly modifiedMs: number }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'forbidden' };

export const ABSENT: Found = { kind: 'absent' };
const FORBIDDEN: Found = { kind: 'forbidden' };

/**
 * The names that a path of a request leads through, decoded; null = it can be none of ours. Encoded slashes, dots, NUL and backslashes name nothing, whatever
 * the router thought of them (threat 28); names that begin with a dot only where that is allowed, and `.well-known`.
 */
export function namesOf(path: string, showsDotfiles: boolean): string[] | null {
  // Heads are latin1: what was sent unencoded is UTF-8 as a rule.
  const plain = /[\x80-\xff]/.test(path) ? Buffer.from(path, 'latin1').toString('utf8') : path;
  const names: string[] = [];
  for (const part of plain.split('/')) {
    if (part === '') continue;
    let name = part;
    if (part.includes('%')) {
      try {
        name = decodeURIComponent(part);
      } catch {
        return null;
      }
    }
    // oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
    if (name === '.' || name === '..' || /[/\\\u0000-\u001f\u007f]/.test(name)) return null;
    if (name.startsWith('.') && !showsDotfiles && !(name === '.well-known' && names.length === 0)) return null;
    names.push(name);
  }
  return names;
}

/** Looks for it below `root`. What lies outside, by whatever links, is forbidden (threat 71). */
export async function findPlace(root: string, names: readonly string[], followsLinks: boolean): Promise<Found> {
  try {
    const base = await realpath(root);
    const wanted = join(base, ...names);
    const real = await realpath(wanted);
    const within = base.endsWith(sep) ? base : base + sep;
    if (real !== base && !real.startsWith(within)) return FORBIDDEN;
    if (!followsLinks && real !== wanted) return FORBIDDEN;
    const about = await stat(real);
    if (about.isDirectory()) return { kind: 'folder', path: real };
    // Opening a pipe waits for somebody to write, and a device may do anything.
    if (!about.isFile()) return FORBIDDEN;
    return await openFile(real);
  } catch (error) {
    return notFound(error);
  }
}

/** No link is followed any more: the path was resolved. */
async function openFile(real: string): Promise<Found> {
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const about = await file.stat();
    if (about.isFile()) return { kind: 'file', file, size: about.size, modifiedMs: about.mtimeMs };
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return FORBIDDEN;
}

/** @throws what is no answer to "is it there?" */
function notFound(error: unknown): Found {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return ABSENT;
  if (code === 'EACCES' || code === 'EPERM' || code === 'ELOOP') return FORBIDDEN;
  throw error;
}
