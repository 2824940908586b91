import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LISTED, LOOKED_AT } from './limits.ts';
import { findPlace } from './place.ts';

interface Line {
  readonly name: string;
  readonly isFolder: boolean;
  readonly size: number;
  readonly modifiedMs: number;
}

/** What a listing shows and hides. */
export interface ListingOptions {
  readonly root: string;
  readonly names: readonly string[];
  readonly showsDotfiles: boolean;
  readonly followsLinks: boolean;
}

/** A page with what is in a folder: folders first, what cannot be had left out, names escaped. */
export async function listingOf(folder: string, options: ListingOptions): Promise<string> {
  const all = (await readdir(folder)).filter((name) => options.showsDotfiles || !name.startsWith('.')).toSorted();
  const shown = all.slice(0, LISTED);
  const lines: Line[] = [];
  for (let i = 0; i < shown.length; i += LOOKED_AT) {
    const some = await Promise.all(shown.slice(i, i + LOOKED_AT).map((name) => lineOf(folder, name, options)));
    for (const line of some) if (line !== null) lines.push(line);
  }
  lines.sort((a, b) => Number(b.isFolder) - Number(a.isFolder));
  const title = escapeHtml(`/${options.names.map((name) => `${name}/`).join('')}`);
  const rows = lines.map(({ name, isFolder, size, modifiedMs }) => {
    const shownName = isFolder ? `${name}/` : name;
    const when = new Date(modifiedMs).toISOString().slice(0, 16).replace('T', ' ');
    return `<tr><td><a href="./${encodeURIComponent(name)}${isFolder ? '/' : ''}">${escapeHtml(shownName)}</a><td>${isFolder ? '' : size}<td>${when}`;
  });
  const up = options.names.length === 0 ? '' : '<tr><td><a href="../">../</a><td><td>\n';
  const more = all.length > LISTED ? `<p>${all.length - LISTED} more</p>\n` : '';
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem}td{padding-right:2rem}td+td{text-align:right;white-space:nowrap}</style>
<h1>${title}</h1><table>
${up}${rows.join('\n')}
</table>${more}</html>
`;
}

async function lineOf(folder: string, name: string, { root, names, followsLinks }: ListingOptions): Promise<Line | null> {
  try {
    const found = await findPlace(root, [...names, name], followsLinks);
    if (found.kind === 'file') {
      await found.file.close();
      return { name, isFolder: false, size: found.size, modifiedMs: found.modifiedMs };
    }
    if (found.kind === 'folder') return { name, isFolder: true, size: 0, modifiedMs: (await stat(join(folder, name))).mtimeMs };
  } catch {
    // Gone meanwhile, or broken: not to be had.
  }
  return null;
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"'\p{C}]/gu, (c) => ESCAPES.get(c) ?? '\ufffd');
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);
