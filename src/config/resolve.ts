import { path as pathKind } from '../schema/kind.ts';
import { envNames, fileTwin, flagName, tomlName, type Setting, type Table, type Values } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import type { ReadText, Section } from './file.ts';
import { plainLine } from './plain-line.ts';
import { Positions } from './position.ts';
import { readSecretFile } from './secret-file.ts';
import { SettingsError } from './settings-error.ts';

/** Everything that settings may come from. */
export interface Given {
  /** What needs them, for messages: `hub run`. */
  readonly command: string;
  /** By setting name (or its file twin's), one text per time given. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The section's name even when there is no file. */
  readonly sectionName: string | null;
  readonly section: Section | null;
  readonly readText: ReadText;
  /** Found before: unknown keys and the like. */
  readonly problems?: readonly Problem[];
}

/** Where a value came from. */
export interface Source {
  readonly level: 'flag' | 'environment' | 'file' | 'default';
  /** `--port`, `environment PORT`, `hub.port`. */
  readonly name: string;
  /** The file that a secret was read from; null when it was given as a value. `-` is standard input. */
  readonly path: string | null;
}

/** Something that cannot be used. `at` is a key's path in the configuration file, null elsewhere. */
export interface Problem {
  readonly at: readonly string[] | null;
  readonly source: string;
  readonly message: string;
}

export interface Resolved<T extends Table> {
  readonly values: Values<T>;
  readonly sources: ReadonlyMap<string, Source>;
}

/** Flag before environment before file before default. Throws a SettingsError with all that is wrong. */
export async function resolveSettings<T extends Table>(table: T, given: Given): Promise<Resolved<T>> {
  const problems: Problem[] = [...(given.problems ?? [])];
  const values: Record<string, unknown> = Object.create(null);
  const sources = new Map<string, Source>();
  for (const [name, setting] of Object.entries(table)) {
    const found = find(name, setting, given, problems);
    if (found === null) {
      const { optionalIf } = setting;
      if ('fallback' in setting) {
        values[name] = setting.fallback;
        sources.set(name, { level: 'default', name: 'default', path: null });
      } else if (optionalIf !== undefined && valueOf(optionalIf.setting, table, given) === optionalIf.value) {
        values[name] = optionalIf.fallback;
        sources.set(name, { level: 'default', name: 'default', path: null });
      } else {
        problems.push({ at: null, source: given.command, message: missing(name, setting, given.sectionName) });
      }
      continue;
    }
    try {
      values[name] = read(setting, found, given.readText);
      sources.set(name, { ...found.source, path: found.isFile ? pathOf(found) : null });
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      for (const wrong of [error, ...error.others])
        problems.push({ at: found.at, source: found.source.name, message: describe(setting, found, wrong) });
    }
  }
  if (problems.length > 0) {
    const positions = given.section === null ? null : new Positions(given.section.file.text);
    throw new SettingsError(problems.map((problem) => lineOf(problem, given.section, positions)));
  }
  return { values: values as Values<T>, sources };
}

/** What another setting says; undefined when it says nothing that can be read, which is told where it is its turn. */
function valueOf(name: string, table: Table, given: Given): unknown {
  const setting = table[name];
  if (setting === undefined) return undefined;
  const found = find(name, setting, given, []);
  if (found === null) return setting.fallback;
  try {
    return read(setting, found, given.readText);
  } catch {
    return undefined;
  }
}

/** A value before it is read. */
interface Found {
  readonly source: Source;
  readonly at: readonly string[] | null;
  readonly texts: readonly string[] | null;
  /** TOML value, when `texts` is null. */
  readonly value: unknown;
  readonly folder: string;
  readonly isFile: boolean;
}

function find(name: string, setting: Setting<unknown>, given: Given, problems: Problem[]): Found | null {
  const plain = [fromFlag(name, name, given), fromEnv(name, setting, '', given), fromFile(name, name, given)];
  if (setting.secret === undefined) return plain.find((one) => one !== null) ?? null;
  const twin = fileTwin(name);
  const twins = [fromFlag(twin, name, given), fromEnv(name, setting, '_FILE', given), fromFile(twin, name, given)];
  for (let level = 0; level < plain.length; level++) {
    const value = plain[level]!;
    const file = twins[level]!;
    if (value !== null && file !== null) {
      problems.push({ at: file.at, source: file.source.name, message: `and ${value.source.name} are both given; keep one (the file is safer)` });
    }
    if (value !== null || file !== null) return value ?? file;
  }
  return null;
}

function fromFlag(key: string, name: string, given: Given): Found | null {
  const texts = given.flags.get(key);
  if (texts === undefined) return null;
  const source: Source = { level: 'flag', name: `--${flagName(key)}`, path: null };
  return { source, at: null, texts, value: null, folder: '', isFile: key !== name };
}

function fromEnv(name: string, setting: Setting<unknown>, suffix: string, given: Given): Found | null {
  for (const envName of envNames(name, setting)) {
    const text = given.env[envName + suffix];
    // Compose files and unit files pass a variable that nobody set as an empty one.
    if (text === undefined || text === '') continue;
    const source: Source = { level: 'environment', name: `environment ${envName}${suffix}`, path: null };
    return { source, at: null, texts: [text], value: null, folder: '', isFile: suffix !== '' };
  }
  return null;
}

function fromFile(key: string, name: string, given: Given): Found | null {
  const entry = given.section?.entries.get(key);
  if (entry === undefined) return null;
  const { file, name: section } = given.section!;
  const source: Source = { level: 'file', name: `${section}.${entry.key}`, path: null };
  return { source, at: [section, entry.key], texts: null, value: entry.value, folder: file.folder, isFile: key !== name };
}

function read(setting: Setting<unknown>, found: Found, readText: ReadText): unknown {
  if (found.isFile) return readSecretFile(setting, pathOf(found), readText);
  return found.texts === null ? setting.kind.fromToml(found.value, found.folder) : setting.kind.parse(found.texts);
}

function pathOf(found: Found): string {
  if (found.texts !== null) return found.texts.at(-1)!;
  if (typeof found.value !== 'string') throw new Wrong('is no path', 'write text in quotes');
  return pathKind().fromToml(found.value, found.folder);
}

function describe(setting: Setting<unknown>, found: Found, wrong: Wrong): string {
  const shown = shownOf(setting, found, wrong);
  return `${shown === null ? '' : `${shown} `}${wrong.message}; ${wrong.fix}`;
}

/** The guilty value, unless it may be secret. */
function shownOf(setting: Setting<unknown>, found: Found, wrong: Wrong): string | null {
  if (setting.secret !== undefined && !found.isFile) return null;
  if (wrong.part !== null) return quoted(wrong.part);
  const text = found.texts?.at(-1) ?? scalarText(found.value);
  return text === null ? null : quoted(found.isFile ? text : setting.kind.redact(text));
}

/** A TOML value as text; null for lists, tables and dates. */
export function scalarText(value: unknown): string | null {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' ? String(value) : null;
}

/** A value as it may be shown: of bounded length, without anything that a terminal would obey. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    '?',
  );
}

const SHOWN_MAX = 80;

function missing(name: string, setting: Setting<unknown>, section: string | null): string {
  const flag = `--${flagName(name)}`;
  const twins: string[] = [];
  if (setting.secret !== undefined) twins.push(`${flag}-file`);
  twins.push(`environment ${envNames(name, setting).at(setting.slime === true ? 1 : 0)}`);
  if (section !== null && setting.inFile !== false) twins.push(`${tomlName(name)} in [${section}] of a --config file`);
  const hint = setting.hint === undefined ? '' : `; ${setting.hint}`;
  return `needs ${flag} (or ${twins.join(', or ')})${hint}`;
}

function lineOf(problem: Problem, section: Section | null, positions: Positions | null): string {
  let place = '';
  if (problem.at !== null && section !== null) {
    const position = positions?.of(problem.at) ?? null;
    place = `${section.file.path}${position === null ? '' : `:${position.line}:${position.column}`} `;
  }
  return plainLine(`${place}${problem.source === '' ? '' : `${problem.source} `}${problem.message}`);
}
