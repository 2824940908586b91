import { redactedGiven } from '../observe/secret-field.ts';
import { nearest } from '../schema/nearest.ts';
import { path as pathKind } from '../schema/kind.ts';
import { fileTwin, tomlName, type Setting, type Table, type Values } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { knownKeys, type ReadText } from './file.ts';
import type { Report } from './report.ts';
import { quoted, scalarText } from './resolve.ts';
import { readSecretFile } from './secret-file.ts';
import type { Entry, Item } from './tree.ts';

/** A key of Pingap that is not ours: what to say of it. */
export interface Retired {
  /** `error` where ignoring it would change who gets traffic or who may pass. */
  readonly level: 'warning' | 'error';
  /** What it would have done and what to do instead; the end of a sentence whose subject is the key. */
  readonly says: string;
  /** Values that change nothing and pass without a word. */
  readonly harmless?: (value: unknown) => boolean;
}

export type RetiredKeys = ReadonlyMap<string, Retired>;

/** What every item may have beside its own keys. */
const COMMON_KEYS: ReadonlySet<string> = new Set(['remark', 'includes']);

/** The settings of a single item by its table. Null when something is wrong with them; that is in the report then. */
export function readItem<T extends Table>(table: T, retired: RetiredKeys, item: Item, readText: ReadText, report: Report): Values<T> | null {
  return new ItemReader(table, retired).read(item, readText, report);
}

/** Reads all items of a section by its table. */
export class ItemReader<T extends Table> {
  readonly #settings: readonly Readable[];
  readonly #known: ReadonlyMap<string, string>;
  readonly #retired: RetiredKeys;

  constructor(table: T, retired: RetiredKeys = new Map()) {
    this.#settings = Object.entries(table).map(([name, setting]) => ({
      name,
      setting,
      isForTables: JSON.stringify(setting.kind.json).includes('"object"'),
    }));
    this.#known = knownKeys(table);
    this.#retired = retired;
  }

  /** The settings of one item. Null when something is wrong with them; that is in the report then. */
  read(item: Item, readText: ReadText, report: Report): Values<T> | null {
    let isGood = true;
    const fail = (entry: Entry | null, subject: string, message: string): void => {
      isGood = false;
      report.error(entry?.place ?? item.place, subject, message);
    };
    const given = new Map<string, Entry>();
    for (const [key, entry] of item.entries) {
      const name = this.#known.get(key);
      const other = name === undefined ? undefined : given.get(name);
      if (name === undefined) this.#foreign(key, entry, item, report, fail);
      else if (other === undefined) given.set(name, entry);
      else fail(entry, `${item.subject}.${entry.key}`, `is the same setting as ${other.key}; keep one`);
    }
    const values: Record<string, unknown> = Object.create(null);
    for (const readable of this.#settings) {
      const { name, setting } = readable;
      const entry = given.get(name);
      const twin = setting.secret === undefined ? undefined : given.get(fileTwin(name));
      if (entry !== undefined && twin !== undefined)
        fail(twin, `${item.subject}.${twin.key}`, `and ${entry.key} are both given; keep one (the file is safer)`);
      const found = entry ?? twin;
      if (found === undefined) {
        if ('fallback' in setting) values[name] = setting.fallback;
        else fail(null, item.subject, `needs ${tomlName(name)}${setting.hint === undefined ? '' : `; ${setting.hint}`}`);
        continue;
      }
      if (found.broken === true) {
        isGood = false;
        continue;
      }
      try {
        const value = found === twin ? fromSecretFile(setting, found, readText) : fromToml(readable, found);
        if (Array.isArray(value) && value.length === 0 && !('fallback' in setting))
          throw new Wrong('names nothing', setting.hint ?? 'give at least one value');
        values[name] = value;
      } catch (error) {
        if (!(error instanceof Wrong)) throw error;
        for (const wrong of [error, ...error.others]) {
          const shown = shownOf(setting, found, wrong, found === twin);
          fail(found, `${item.subject}.${found.key}`, `${shown === null ? '' : `${shown} `}${wrong.message}; ${wrong.fix}`);
        }
      }
    }
    return isGood ? (values as Values<T>) : null;
  }

  /** A key that is not in the table. */
  #foreign(key: string, entry: Entry, item: Item, report: Report, fail: (entry: Entry, subject: string, message: string) => void): void {
    const subject = `${item.subject}.${entry.key}`;
    const old = this.#retired.get(key);
    if (old !== undefined) {
      if (old.harmless?.(entry.value) === true) return;
      if (old.level === 'error') fail(entry, subject, old.says);
      else report.warn(entry.place, subject, old.says);
    } else if (COMMON_KEYS.has(key)) {
      if (key === 'remark' && typeof entry.value !== 'string') fail(entry, subject, 'is not text; write it in quotes');
    } else {
      const near = nearest(key, [...this.#known.keys(), ...COMMON_KEYS, ...this.#retired.keys()]);
      fail(entry, subject, `is no setting; ${near === null ? 'windlass help config names those there are' : `did you mean ${near}?`}`);
    }
  }
}

interface Readable {
  readonly name: string;
  readonly setting: Setting<unknown>;
  /** Its values may be tables. */
  readonly isForTables: boolean;
}

function fromToml({ setting: { kind }, isForTables }: Readable, { value, place }: Entry): unknown {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  const strange = isForTables ? undefined : items.find((item) => typeof item === 'object');
  if (strange !== undefined) throw new Wrong(Array.isArray(value) ? `has ${typeOf(strange)} in it` : `is ${typeOf(strange)}`, `write ${kind.says}`);
  return kind.fromToml(value, place.file.folder);
}

function typeOf(value: unknown): string {
  return Array.isArray(value) ? 'a list' : value instanceof Date ? 'a date' : 'a table';
}

function fromSecretFile(setting: Setting<unknown>, entry: Entry, readText: ReadText): unknown {
  const path = pathKind().fromToml(entry.value, entry.place.file.folder);
  return readSecretFile(setting, path, readText);
}

/** The guilty value, unless it may be secret. */
function shownOf(setting: Setting<unknown>, entry: Entry, wrong: Wrong, isFile: boolean): string | null {
  if (setting.secret !== undefined && !isFile) return null;
  if (entry.written !== null) return entry.written === '' ? null : quoted(redactedGiven(entry.written));
  if (wrong.part !== null) return quoted(redactedGiven(wrong.part));
  const text = scalarText(entry.value);
  return text === null ? null : quoted(redactedGiven(setting.kind.redact(text)));
}
