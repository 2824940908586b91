import { dirname, resolve } from 'node:path';
import { nearest } from '../schema/nearest.ts';
import { flagName, fileTwin, tomlName, type Table } from '../schema/setting.ts';
import { configLimits } from './limits.ts';
import { allSections, sectionsToday } from './section-names.ts';
import { SettingsError } from './settings-error.ts';
import type { Problem } from './resolve.ts';

/** A configuration file that is valid TOML. */
export interface ConfigFile {
  /** As it was given. */
  readonly path: string;
  readonly folder: string;
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type ReadText = (path: string, maxBytes: number) => string;

/** Reads and parses. Throws SettingsError. `source` is what named the file. */
export async function readConfigFile(path: string, source: string, readText: ReadText): Promise<ConfigFile> {
  let text: string;
  try {
    text = readText(path, configLimits.fileBytes);
  } catch (error) {
    throw new SettingsError([`${source} ${JSON.stringify(path)} ${(error as Error).message}`]);
  }
  // Loaded only when there is a file: most starts have none.
  const { parse, TomlError } = await import('smol-toml');
  try {
    return { path, folder: dirname(resolve(path)), text, data: parse(text.replace(/^\ufeff/, ''), { integersAsBigInt: 'asNeeded' }) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Only the first line of the message: the others quote the file, which may hold secrets.
    const what = error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '');
    throw new SettingsError([
      `${path}:${error.line}:${error.column} is no valid TOML: ${what}${what === 'invalid value' ? '; text stands in quotes' : ''}`,
    ]);
  }
}

/** Values of one section by setting name, with the spelling they have in the file. */
export interface Section {
  readonly file: ConfigFile;
  readonly name: string;
  readonly entries: ReadonlyMap<string, { readonly key: string; readonly value: unknown }>;
}

/** One section of the file; what it should not hold becomes problems. Keys may be spelled `app_password`, `app-password` or `appPassword`. */
export function sectionOf(file: ConfigFile, name: string, table: Table, problems: Problem[]): Section {
  const entries = new Map<string, { key: string; value: unknown }>();
  const known = knownKeys(table);
  const data = Object.hasOwn(file.data, name) ? file.data[name] : {};
  if (typeof data !== 'object' || data === null || Array.isArray(data) || data instanceof Date) {
    problems.push({ at: [name], source: '', message: `${name} is no section; write [${name}] on a line of its own and its settings below` });
    return { file, name, entries };
  }
  for (const [key, value] of Object.entries(data)) {
    const setting = known.get(tomlName(key));
    const other = setting === undefined ? undefined : entries.get(setting);
    if (setting === undefined) {
      const near = nearest(key, known.keys());
      const help = near === null ? `see windlass help config for those there are` : `did you mean ${near}?`;
      problems.push({ at: [name, key], source: `${name}.${key}`, message: `is no setting; ${help}` });
    } else if (other !== undefined) {
      problems.push({ at: [name, key], source: `${name}.${key}`, message: `is the same setting as ${other.key}; keep one` });
    } else {
      entries.set(setting, { key, value });
    }
  }
  return { file, name, entries };
}

/** Sections that nobody knows. */
export function unknownSections(file: ConfigFile, problems: Problem[]): void {
  for (const key of Object.keys(file.data)) {
    if (allSections.includes(key)) continue;
    const near = nearest(key, sectionsToday);
    const isSection = typeof file.data[key] === 'object';
    const help = near === null || !isSection ? `sections are ${sectionsToday.map((name) => `[${name}]`).join(', ')}` : `did you mean [${near}]?`;
    problems.push({ at: [key], source: key, message: isSection ? `is no section; ${help}` : `stands outside of a section; ${help}` });
  }
}

/** Keys of a section (as in the file) to setting names. */
export function knownKeys(table: Table): ReadonlyMap<string, string> {
  const known = new Map<string, string>();
  for (const [name, setting] of Object.entries(table)) {
    if (setting.inFile === false) continue;
    for (const spelling of [name, ...(setting.aliases ?? [])]) known.set(tomlName(spelling), name);
    known.set(tomlName(flagName(name)), name);
    if (setting.secret !== undefined) known.set(tomlName(fileTwin(name)), fileTwin(name));
  }
  return known;
}
