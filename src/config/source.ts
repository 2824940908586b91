import { createHash } from 'node:crypto';
import { type Dirent, type Stats, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { configLimits } from './limits.ts';
import { readText } from './read-text.ts';
import { Report } from './report.ts';
import { TextFile } from './text-file.ts';

/**
 * The texts of a configuration: one file, or every `*.toml` of a folder and the folders in it, in the order of their paths.
 * What cannot be read or may be written by strangers goes to the report. `home`: where the source would lie if it were no copy.
 */
export function readSource(source: string, report: Report, home: string = source): readonly TextFile[] {
  const files: TextFile[] = [];
  let bytes = 0;
  for (const path of pathsOf(source, report)) {
    const unsafe = whyUnsafe(path, source);
    if (unsafe !== null) {
      report.error(null, path, unsafe);
      continue;
    }
    try {
      const text = readText(path, configLimits.fileBytes - bytes);
      bytes += Buffer.byteLength(text);
      if (text.trim() === '') {
        report.error(null, path, 'is empty; was it written only in part? (a file of comments is fine)');
        continue;
      }
      files.push(new TextFile(path, dirname(resolve(home, relative(source, path))), text));
    } catch (error) {
      report.error(null, path, `${(error as Error).message}; give a TOML file, or a folder of them`);
    }
  }
  return files;
}

/** Equal for equal texts under equal names. `source`: what the files were read from. */
export function etagOf(files: readonly TextFile[], source: string): string {
  const hash = createHash('sha256');
  const named = files.map(({ path, text }) => [relative(source, path), text] as const).toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const one of named) hash.update(JSON.stringify(one));
  return hash.digest('base64url').slice(0, 22);
}

/** Every file and folder that a change of the configuration touches, for who watches it. What cannot be read yet is among them. */
export function watchedPaths(source: string): readonly string[] {
  const files = pathsOf(source, new Report()).map((path) => resolve(path));
  const isFolder = statSync(source, { throwIfNoEntry: false })?.isDirectory() === true;
  return [...new Set([resolve(source), ...files, ...(isFolder ? files.map((path) => dirname(path)) : [])])];
}

function pathsOf(source: string, report: Report): readonly string[] {
  let stats: Stats;
  try {
    stats = statSync(source);
  } catch {
    return [source];
  }
  if (!stats.isDirectory()) return [source];
  const paths: string[] = [];
  const walk = (folder: string, depth: number): void => {
    if (depth > configLimits.folderDepth) return report.error(null, folder, `lies more than ${configLimits.folderDepth} folders deep; move it up`);
    let entries: readonly Dirent[];
    try {
      entries = readdirSync(folder, { withFileTypes: true });
    } catch {
      return report.error(null, folder, 'may not be read by this user; change its owner');
    }
    for (const { name } of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      // Editors and Kubernetes keep what is not meant to be read under names with a dot in front.
      if (name.startsWith('.')) continue;
      const path = join(folder, name);
      const kind = statSync(path, { throwIfNoEntry: false });
      // A linked folder could lead into a circle; what is configuration lies here.
      if (kind?.isDirectory() === true && !lstatSync(path).isSymbolicLink()) walk(path, depth + 1);
      else if (name.endsWith('.toml')) paths.push(path);
    }
  };
  walk(source, 0);
  if (paths.length > configLimits.files) {
    report.error(null, source, `holds ${paths.length} files; ${configLimits.files} are read at most`);
    return [];
  }
  if (paths.length === 0) report.error(null, source, 'holds no *.toml file; give a TOML file, or a folder of them');
  return paths;
}

/** Whoever may change the configuration decides where traffic goes, so it must be in the hands of those who run us. */
function whyUnsafe(path: string, source: string): string | null {
  let real: string;
  try {
    real = realpathSync(path);
    // Links that stay in their folder are how Kubernetes swaps all files of a volume at once. Others are in the hands of whoever owns what they lead to.
    const home = realpathSync(statSync(source).isDirectory() ? source : dirname(resolve(source)));
    if (!real.startsWith(home.endsWith(sep) ? home : home + sep)) return `is a symbolic link that leads out of its folder; name ${real} itself`;
    // Windows knows no such modes, and shows them as open to everybody.
    if (process.platform === 'win32') return null;
    if ((statSync(real).mode & OTHERS_WRITE) !== 0) return `may be written by every user of this machine; chmod o-w ${path}`;
    const folder = statSync(dirname(real));
    if ((folder.mode & OTHERS_WRITE) !== 0 && (folder.mode & STICKY) === 0)
      return `lies in a folder that every user of this machine may write; chmod o-w ${dirname(path)}`;
  } catch {
    // That it cannot be read is said by who reads it.
  }
  return null;
}

const OTHERS_WRITE = 0o002;
/** In /tmp and the like nobody replaces the files of others. */
const STICKY = 0o1000;
