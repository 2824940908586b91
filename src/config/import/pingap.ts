import { stringify } from 'smol-toml';
import { isTable, unexpanded } from '../expand.ts';
import { readDraft } from '../gateway.ts';
import { renameOldKeys } from '../legacy.ts';
import { Report } from '../report.ts';
import { sectionPages } from '../section-pages.ts';
import { gatewaySections } from '../section-names.ts';
import { Slices } from '../slices.ts';
import { readSource } from '../source.ts';
import type { TextFile } from '../text-file.ts';
import { type Item, readTree } from '../tree.ts';

/** What became of a foreign configuration. */
export interface Imported {
  readonly toml: string;
  /** What was left out or cannot be obeyed, one line each. */
  readonly notes: readonly string[];
  /** False: the file needs a hand before it can be used. */
  readonly usable: boolean;
}

/** A configuration of Pingap, of April 2024 or today, in today's names and ours. @throws SettingsError when it cannot be read at all */
export async function importPingap(source: string): Promise<Imported> {
  const report = new Report();
  const files = readSource(source, report);
  report.throwErrors();
  return importPingapTexts(files);
}

/** The same of texts. @throws SettingsError */
export async function importPingapTexts(files: readonly TextFile[]): Promise<Imported> {
  const report = new Report();
  const tree = await readTree(files, gatewaySections, null, report, new Slices());
  report.throwErrors();
  const isOld =
    tree.named.get('proxy_plugins')!.size > 0 ||
    [...tree.named.get('locations')!.values()].some(({ entries }) => OLD_KEYS.some((key) => entries.has(key)));
  renameOldKeys(tree, report);

  const file: Record<string, unknown> = {};
  for (const { section, item } of sectionPages) {
    if (file[section] !== undefined) continue;
    const items = item === null ? [tree.single.get(section)] : [...(tree.named.get(section)?.values() ?? [])];
    const tables = items.flatMap((one) => (one === undefined ? [] : [[one.name, tableOf(section, one)] as const]));
    if (tables.length > 0) file[section] = item === null ? tables[0]![1] : Object.fromEntries(tables);
  }

  const read = new Report();
  await readDraft(files, null, read, () => false);
  const notes = [...read.errors().map((line) => `to be mended: ${line}`), ...read.warnings()];
  if (isOld && [...tree.named.get('locations')!.values()].some(({ entries }) => entries.get('path')?.value === '/'))
    notes.push(
      'path = "/" is the lightest rule now; in April 2024 it came before regular expressions and hosts. windlass check shows the order; weight = 513 gives it its old place',
    );
  return { toml: stringify(file), notes, usable: !read.failed };
}

const OLD_KEYS = ['proxy_headers', 'headers', 'proxy_plugins'];

/** The keys that we have, as they are written today. */
function tableOf(section: string, item: Item): Readonly<Record<string, unknown>> {
  const retired = new Set(
    sectionPages
      .filter((page) => page.section === section)
      .flatMap((page) => [...page.retired].filter(([, { level }]) => level === 'warning').map(([key]) => key)),
  );
  const table: Record<string, unknown> = {};
  for (const [key, { value }] of item.entries) {
    if (retired.has(key)) continue;
    table[key] = key === 'access_log' && typeof value === 'string' ? withoutDashes(value) : written(value);
  }
  return table;
}

/** Pingap knows no variables in braces: what looks like one is meant as it stands. */
function written(value: unknown): unknown {
  if (typeof value === 'string') return unexpanded(value);
  if (Array.isArray(value)) return value.map(written);
  return isTable(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, written(item)])) : value;
}

/** `{client-ip}` is `{client_ip}` today; `{>x-name}` names a header. */
function withoutDashes(template: string): string {
  return template.replace(/\{[a-z:][a-z:-]*\}/g, (tag) => tag.replaceAll('-', '_'));
}
