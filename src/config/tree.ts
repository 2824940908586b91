import { redactedGiven } from '../observe/secret-field.ts';
import { nearest } from '../schema/nearest.ts';
import { tomlName } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { expandAll, hasVariables, isTable } from './expand.ts';
import { configLimits } from './limits.ts';
import { parseFile } from './parse.ts';
import type { Report } from './report.ts';
import { quoted } from './resolve.ts';
import { sectionsToday, type Sections } from './section-names.ts';
import type { Slices } from './slices.ts';
import { type Place, placeText, type TextFile } from './text-file.ts';

/** One key of an item, before anybody has judged its value. */
export interface Entry {
  /** As it is spelled in the file. */
  readonly key: string;
  /** With variables put in. */
  readonly value: unknown;
  readonly place: Place;
  /** Variables were put in: they may be secret, so the value is shown as it stands in the file. */
  readonly written: string | null;
  /** Cannot be used, and the report says why. */
  readonly broken?: true;
}

/** A table of settings: `[servers.web]`, or a section that has only one such as `[basic]`. */
export interface Item {
  /** For messages: `servers.web`. */
  readonly subject: string;
  readonly name: string;
  readonly place: Place;
  /** By key in snake_case. */
  readonly entries: Map<string, Entry>;
}

/** All files of a configuration read as one. */
export interface Tree {
  /** Sections that are one table. */
  readonly single: ReadonlyMap<string, Item>;
  /** Sections of named items, in the order of the files. */
  readonly named: ReadonlyMap<string, Map<string, Item>>;
  /** Sections of other commands. Nothing is put into their values. */
  readonly others: ReadonlyMap<string, Item>;
  /** False: there is a file that could not be read, so that what is missing may stand in there. */
  readonly isWhole: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Reads the files as one. A thing that stands in two places is an error that names both. */
export async function readTree(files: readonly TextFile[], sections: Sections, env: Env | null, report: Report, slices: Slices): Promise<Tree> {
  const single = new Map<string, Item>();
  const named = new Map<string, Map<string, Item>>(sections.named.map((section) => [section, new Map()]));
  const others = new Map<string, Item>();
  let isWhole = !report.failed;
  for (const file of files) {
    const data = await parseFile(file, report, slices);
    if (data === null) {
      isWhole = false;
      continue;
    }
    refuseNames(data, [], file, report);
    for (const [key, value] of Object.entries(data)) {
      const place = { file, path: [key] };
      if (isHazard(key)) continue;
      if (sections.foreign.includes(key)) {
        if (isTable(value)) addEntries(singleOf(others, key, place), value, [key], file, null, report);
        else report.error(place, key, `is no section; write [${key}] on a line of its own and its settings below`);
        continue;
      }
      if (sections.named.includes(key)) {
        if (!isTable(value)) {
          report.error(place, key, `is no section; write [${key}.NAME] on a line of its own and its settings below`);
          continue;
        }
        for (const [name, item] of Object.entries(value)) {
          await slices.pause();
          addNamed(named.get(key)!, key, name, item, { file, path: [key, name] }, env, report);
        }
      } else if (sections.single.includes(key)) {
        if (isTable(value)) addEntries(singleOf(single, key, place), value, [key], file, env, report);
        else report.error(place, key, `is no section; write [${key}] on a line of its own and its settings below`);
      } else if (isTable(value)) {
        const near = nearest(key, sectionsToday);
        const help = near === null ? `sections are ${sectionsToday.map((one) => `[${one}]`).join(', ')}` : `did you mean [${near}]?`;
        report.error(place, key, `is no section; ${help}`);
      } else {
        // Pingap of April 2024 has its basic settings outside of any section.
        addEntries(singleOf(single, sections.topLevel, place), { [key]: value }, [], file, env, report);
      }
    }
  }
  return { single, named, others, isWhole };
}

/** The entries of a table as an item has them. */
export function addEntries(
  item: Item,
  table: Readonly<Record<string, unknown>>,
  path: readonly string[],
  file: TextFile,
  env: Env | null,
  report: Report,
): void {
  for (const [key, value] of Object.entries(table)) {
    if (isHazard(key)) continue;
    const place = { file, path: [...path, key] };
    const entry = entryOf(item, key, value, place, env, report);
    if (entry === null) continue;
    const other = item.entries.get(tomlName(key));
    if (other === undefined) item.entries.set(tomlName(key), entry);
    else report.error(place, `${item.subject}.${key}`, `is the same setting as ${other.key} at ${placeText(other.place)}; keep one`);
  }
}

/** Null when there is nothing: an empty text means that a key is not set, as in Pingap. */
function entryOf(item: Item, key: string, value: unknown, place: Place, env: Env | null, report: Report): Entry | null {
  // A fragment is expanded when it has been read, so that no variable can break out of its quotes.
  if (item.subject.startsWith('storages.')) return { key, value, place, written: null };
  try {
    const expanded = withoutEmpty(expandAll(value, env));
    if (expanded === '') return null;
    return { key, value: expanded, place, written: !hasVariables(value) ? null : typeof value === 'string' ? value : '' };
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    report.error(place, `${item.subject}.${key}`, `${quoted(redactedGiven(error.part!))} ${error.message}; ${error.fix}`);
    return { key, value, place, written: null, broken: true };
  }
}

function withoutEmpty(value: unknown): unknown {
  return Array.isArray(value) ? value.filter((item) => item !== '') : value;
}

function singleOf(single: Map<string, Item>, section: string, place: Place): Item {
  let item = single.get(section);
  if (item === undefined) single.set(section, (item = { subject: section, name: section, place, entries: new Map() }));
  return item;
}

function addNamed(items: Map<string, Item>, section: string, name: string, value: unknown, place: Place, env: Env | null, report: Report): void {
  const subject = `${section}.${name}`;
  if (isHazard(name)) return;
  const why = whyNoName(name);
  if (why !== null) return report.error(place, section, `${quoted(name)} ${why}`);
  if (!isTable(value)) {
    return report.error(place, subject, `stands alone in [${section}]; write [${section}.NAME] on a line of its own and its settings below`);
  }
  const other = items.get(name);
  if (other !== undefined)
    return report.error(place, subject, `is there twice, also at ${placeText(other.place)}; keep one, or give it another name`);
  const item: Item = { subject, name, place, entries: new Map() };
  items.set(name, item);
  addEntries(item, value, place.path, place.file, env, report);
}

function whyNoName(name: string): string | null {
  if (name === '' || name.trim() !== name) return 'is no name; give one without spaces around it';
  if (name.length > configLimits.nameChars) return `is too long for a name; use at most ${configLimits.nameChars} characters`;
  // History and one-file-per-item folders make a file name of it.
  if (/[/\\\p{C}]/u.test(name)) return 'is no name; leave out slashes, backslashes and control characters';
  if (name.startsWith('$')) return 'is no name; $ begins a capture';
  return null;
}

/** Names that plain JavaScript objects have already: whoever uses one means mischief, or will get it. */
function isHazard(key: string): boolean {
  return key in Object.prototype || key === 'prototype';
}

/** Refuses hazardous names at any depth. */
function refuseNames(value: unknown, path: readonly string[], file: TextFile, report: Report): void {
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object') refuseNames(item, path, file, report);
  } else if (isTable(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (isHazard(key)) report.error({ file, path: [...path, key] }, [...path, key].join('.'), 'has a name that is not allowed; choose another');
      else if (typeof item === 'object') refuseNames(item, [...path, key], file, report);
    }
  }
}
