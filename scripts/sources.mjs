// What something was made from, so that it is not made again of the same.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** All files of a folder and the folders in it. */
export function files(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/** Another one for other files, names or contents. */
export function digestOf(root, inputs) {
  const hash = createHash('sha256');
  for (const file of inputs.toSorted((a, b) => (a < b ? -1 : 1)))
    hash
      .update(`${relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  return hash.digest('hex');
}

/** Null when there is no such file. */
export function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
