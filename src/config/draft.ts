import { posix } from 'node:path';
import type { ConfigChange, ConfigItem, ConfigText } from '../admin/model.ts';
import { Problem } from '../admin/route.ts';
import { tomlName } from '../schema/setting.ts';
import { isTable } from './expand.ts';
import { knownKeys } from './file.ts';
import { LOCATION_KEYS } from './legacy.ts';
import { configLimits } from './limits.ts';
import { hiddenItem, shownText, shownValue } from './masked.ts';
import { builtInPlugin, builtInPlugins } from './plugin-definitions.ts';
import { Positions } from './position.ts';
import { namesIn, pieceReferenceKeys, type ReferenceKey, referenceKeys, renamedIn } from './references.ts';
import type { SecretKeys } from './secret-keys.ts';
import { Slices } from './slices.ts';
import { gatewaySections } from './section-names.ts';
import { sectionPages } from './section-pages.ts';
import { pluginTable } from './sections/plugin.ts';
import { editToml, sameData, type TomlData, TomlEditError, tomlData } from './toml/edit.ts';
import { renameToml } from './toml/rename.ts';

/** One item where it stands. */
interface Standing {
  readonly file: string;
  /** As the file spells it: plugins may stand under proxy_plugins. */
  readonly section: string;
  readonly values: TomlData;
}

/** The texts of a configuration, and what changes would make of them. Nothing is written. */
export class Draft {
  readonly #texts: Map<string, string>;
  readonly #isFolder: boolean;
  readonly #data = new Map<string, { readonly text: string; readonly data: TomlData }>();

  /** `isFolder`: there may be other files than those. */
  constructor(files: readonly ConfigText[], isFolder: boolean) {
    this.#texts = new Map(files.map(({ name, text }) => [name, text]));
    this.#isFolder = isFolder;
  }

  /** In the order of their names. */
  get files(): readonly ConfigText[] {
    return [...this.#texts].map(([name, text]) => ({ name, text })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The same for those who must not keep requests waiting while there are many. @throws Problem */
  async applyAll(changes: readonly ConfigChange[]): Promise<void> {
    const slices = new Slices();
    for (const change of changes) {
      this.apply([change]);
      await slices.pause();
    }
  }

  /** All of them, one after the other. @throws Problem */
  apply(changes: readonly ConfigChange[]): void {
    try {
      for (const change of changes) {
        if ('file' in change) this.#changeFile(change.file, change.text);
        else this.#changeItem(change);
      }
    } catch (error) {
      if (error instanceof TomlEditError) throw new Problem(422, 'cannot_edit', error.message);
      throw error;
    }
  }

  /** Items by section, as the files have them; files that are no TOML have none. Requests are served meanwhile. */
  async sections(keys: SecretKeys): Promise<Readonly<Record<string, readonly ConfigItem[]>>> {
    const slices = new Slices();
    const users = await this.#users(slices);
    const positions = new Map([...this.#texts].map(([name, text]) => [name, new Positions(text)]));
    const sections: Record<string, readonly ConfigItem[]> = {};
    for (const section of SECTIONS) {
      const items: ConfigItem[] = [];
      for (const [name, { file, section: written, values }] of NAMED.has(section) ? this.#named(section) : this.#single(section)) {
        await slices.pause();
        const path = NAMED.has(section) ? [written, name] : [section];
        const shown = hiddenItem(path, values, this.#dataOf(file) ?? {}, keys);
        const line = positions.get(file)!.of(path)?.line ?? 0;
        items.push({ name, file, line, values: shownKeys(section, values, shown), usedBy: users.get(`${section}.${name}`) ?? [] });
      }
      sections[section] = items;
    }
    return sections;
  }

  /** Puts whole sections in, in the place of those of the same name. @throws Problem */
  addSections(sections: TomlData): void {
    const [first = this.#homeOf('')] = this.#texts.keys();
    const home = (section: string): string => [...this.#texts.keys()].find((file) => Object.hasOwn(this.#dataOf(file) ?? {}, section)) ?? first;
    for (const [section, values] of Object.entries(sections)) this.#write(home(section), { add: { [section]: values }, drop: [] });
  }

  /** Makes it say what another text says: items that are there stay where they are, others come and go. @throws Problem */
  async become(wanted: TomlData): Promise<void> {
    const changes: ConfigChange[] = [];
    const top = Object.fromEntries(Object.entries(wanted).filter(([, value]) => !isTable(value)));
    for (const section of SECTIONS) {
      const written = section === 'plugins' ? { ...tableAt(wanted, 'proxy_plugins'), ...tableAt(wanted, section) } : tableAt(wanted, section);
      if (!NAMED.has(section)) {
        const values = section === gatewaySections.topLevel ? { ...top, ...written } : written;
        if (Object.keys(values).length > 0) changes.push({ section, name: '', values: shownKeys(section, values, values) });
        else if (this.#single(section).length > 0) changes.push({ section, name: '', values: null });
        continue;
      }
      for (const [name, values] of Object.entries(written))
        if (isTable(values)) changes.push({ section, name, values: shownKeys(section, values, values) });
      for (const [name] of this.#named(section)) if (!Object.hasOwn(written, name)) changes.push({ section, name, values: null });
    }
    await this.applyAll(changes);
    this.addSections(
      Object.fromEntries(gatewaySections.foreign.flatMap((section) => (Object.hasOwn(wanted, section) ? [[section, wanted[section]]] : []))),
    );
  }

  /** All of it in one text, comments included where they can be. */
  merged(): string {
    const { files } = this;
    if (files.length === 1) return files[0]!.text;
    const all: Record<string, unknown> = {};
    for (const { name } of files) merge(all, this.#dataOf(name) ?? {});
    const text = files.map((file) => `# ${file.name}\n\n${file.text.trimEnd()}\n`).join('\n');
    try {
      if (sameData(tomlData(text), all)) return text;
    } catch {
      // A section that stands in several files would stand there twice.
    }
    return editToml('', all);
  }

  #changeFile(name: string, given: string | null): void {
    const was = this.#texts.get(name);
    if (given === null) {
      if (was === undefined) throw new Problem(404, 'not_found', `There is no file ${name}.`);
      this.#texts.delete(name);
      return;
    }
    if (was === undefined && (!this.#isFolder || !isFileName(name))) {
      const why = this.#isFolder ? 'write it as NAME.toml or FOLDER/NAME.toml' : 'this configuration is one file; its name is fixed';
      throw new Problem(422, 'bad_file_name', `${JSON.stringify(name.slice(0, 200))} can be no file of this configuration: ${why}.`);
    }
    this.#texts.set(name, shownText(given, was ?? ''));
  }

  #changeItem({ section, name, values, rename }: Extract<ConfigChange, { section: string }>): void {
    if (!SECTIONS.includes(section)) throw new Problem(422, 'no_section', `There is no section ${JSON.stringify(section.slice(0, 100))}.`);
    for (const file of this.#texts.keys()) {
      if (this.#dataOf(file) === null) throw new Problem(422, 'no_toml', `${file} is no valid TOML; mend it as a text before items are changed.`);
    }
    if (!NAMED.has(section)) return this.#changeSingle(section, values);
    const [found, other] = this.#named(section).filter(([one]) => one === name);
    const standing = found?.[1];
    if (other !== undefined) throw new Problem(422, 'there_twice', `${section}.${name} is there twice; mend the text before it is changed.`);
    if (values === null) {
      if (standing === undefined) throw new Problem(404, 'not_found', `There is no ${section}.${name}.`);
      return this.#put(standing.file, [standing.section, name], null);
    }
    if (standing === undefined) {
      const given = shownValue(values, {}, [section, name]) as TomlData;
      return this.#put(this.#homeOf(section), [section, rename ?? name], given);
    }
    this.#put(standing.file, [standing.section, name], this.#spelled(section, [section, name], values, standing.values));
    if (rename !== undefined && rename !== name) this.#rename(section, name, rename, standing);
  }

  /** Of a section that is one table, but may be written in several files, and outside of any section. */
  #changeSingle(section: string, values: TomlData | null): void {
    const parts = [...this.#texts.keys()].flatMap((file) => this.#partsOfSingle(section, file));
    if (values === null) {
      if (parts.length === 0) throw new Problem(404, 'not_found', `There is no [${section}].`);
      for (const { file, isTop, table } of parts) this.#write(file, isTop ? { add: {}, drop: Object.keys(table) } : { add: {}, drop: [section] });
      return;
    }
    const all = Object.assign({}, ...parts.map(({ table }) => table)) as TomlData;
    const wanted = this.#spelled(section, [section], values, all);
    const [main] = parts.filter(({ isTop }) => !isTop);
    const placed = new Set(parts.flatMap(({ table }) => Object.keys(table)));
    const fresh = Object.entries(wanted).filter(([key]) => !placed.has(key));
    for (const part of parts) {
      const kept = Object.entries(wanted).filter(([key]) => Object.hasOwn(part.table, key));
      const table = Object.fromEntries(part === main ? [...kept, ...fresh] : kept);
      const isEmptied = Object.keys(table).length === 0 && Object.keys(part.table).length > 0;
      if (!part.isTop) this.#put(part.file, [section], isEmptied && parts.length > 1 ? null : table);
      else this.#write(part.file, { add: table, drop: Object.keys(part.table).filter((key) => !Object.hasOwn(table, key)) });
    }
    if (main === undefined && (fresh.length > 0 || parts.length === 0)) this.#put(this.#homeOf(section), [section], Object.fromEntries(fresh));
  }

  /** Values as given, with the file's own spelling of their keys and what was hidden. */
  #spelled(section: string, path: readonly string[], given: TomlData, was: TomlData): TomlData {
    const written = new Map([...spellings(section, was)].map(([own, shown]) => [shown, own]));
    return Object.fromEntries(
      Object.entries(given).map(([key, value]) => {
        const own = written.get(key) ?? key;
        return [own, shownValue(value, Object.hasOwn(was, own) ? was[own] : undefined, [...path, key])];
      }),
    );
  }

  #rename(section: string, from: string, to: string, { file, section: written }: Standing): void {
    if (new Map(this.#named(section)).has(to)) throw new Problem(422, 'name_taken', `There is a ${section}.${to} already.`);
    this.#texts.set(file, renameToml(this.#texts.get(file)!, [written, from], to));
    for (const other of NAMED) {
      for (const [name, { file: where, section: itsSection, values }] of this.#named(other)) {
        const changed = renamedReferences(other, values, section, from, to);
        if (changed !== null) this.#put(where, [itsSection, name], changed);
      }
    }
  }

  /** Puts a table into a file, or takes it out. A section that has nothing left goes, too, unless it has a header of its own. */
  #put(file: string, path: readonly string[], table: TomlData | null): void {
    const data = this.#dataOf(file) ?? {};
    const [section = '', name] = path;
    if (name === undefined) return this.#write(file, { add: table === null ? {} : { [section]: table }, drop: table === null ? [section] : [] });
    if (Object.hasOwn(data, section) && !isTable(data[section])) throw new TomlEditError(`${section} of ${file} is no section; mend the text`);
    const items = tableAt(data, section);
    const { [name]: _, ...others } = items;
    const next = table === null ? others : { ...items, [name]: table };
    this.#write(file, Object.keys(next).length === 0 ? { add: {}, drop: [section] } : { add: { [section]: next }, drop: [] });
  }

  #write(file: string, { add, drop }: { readonly add: TomlData; readonly drop: readonly string[] }): void {
    const wanted = { ...this.#dataOf(file), ...add };
    for (const key of drop) delete (wanted as Record<string, unknown>)[key];
    const text = editToml(this.#texts.get(file) ?? '', wanted);
    // A file that held one item goes with it: an empty one is refused at the start.
    if (this.#isFolder && this.#texts.size > 1 && text.trim() === '') this.#texts.delete(file);
    else this.#texts.set(file, text);
  }

  /** Where a new item goes: where the last one of its section stands, or a file that is named like it. */
  #homeOf(section: string): string {
    const files = [...this.#texts.keys()];
    const holding = files.filter((file) => isTable(this.#dataOf(file)?.[section]));
    const called = files.find((file) => posix.basename(file, '.toml').replace(/^\d+[-_]/, '') === section);
    const home = holding.at(-1) ?? called ?? files[0];
    if (home !== undefined) return home;
    this.#texts.set('windlass.toml', '');
    return 'windlass.toml';
  }

  #named(section: string): readonly (readonly [string, Standing])[] {
    const found: [string, Standing][] = [];
    for (const file of this.#texts.keys()) {
      for (const written of section === 'plugins' ? ['plugins', 'proxy_plugins'] : [section]) {
        const items = this.#dataOf(file)?.[written];
        if (!isTable(items)) continue;
        for (const [name, values] of Object.entries(items)) if (isTable(values)) found.push([name, { file, section: written, values }]);
      }
    }
    return found;
  }

  #single(section: string): readonly (readonly [string, Standing])[] {
    const parts = [...this.#texts.keys()].flatMap((file) => this.#partsOfSingle(section, file));
    if (parts.length === 0) return [];
    return [['', { file: parts[0]!.file, section, values: Object.assign({}, ...parts.map(({ table }) => table)) as TomlData }]];
  }

  #partsOfSingle(section: string, file: string): readonly { readonly file: string; readonly isTop: boolean; readonly table: TomlData }[] {
    const data = this.#dataOf(file) ?? {};
    const table = data[section];
    const top = section !== gatewaySections.topLevel ? [] : Object.entries(data).filter(([, value]) => !isTable(value));
    return [
      ...(top.length === 0 ? [] : [{ file, isTop: true, table: Object.fromEntries(top) }]),
      ...(isTable(table) ? [{ file, isTop: false, table }] : []),
    ];
  }

  /** Who names whom: `upstreams.api` to `locations.one`, … */
  async #users(slices: Slices): Promise<ReadonlyMap<string, readonly string[]>> {
    const users = new Map<string, string[]>();
    for (const section of NAMED) {
      for (const [name, { values }] of this.#named(section)) {
        await slices.pause();
        for (const { key, to } of referenceKeys(section, values)) {
          const own = [...spellings(section, values)].find(([, shown]) => shown === key);
          for (const named of own === undefined ? [] : new Set(namesIn(values[own[0]]))) {
            const subject = `${to}.${named}`;
            const list = users.get(subject);
            if (list === undefined) users.set(subject, [`${section}.${name}`]);
            else if (!list.includes(`${section}.${name}`)) list.push(`${section}.${name}`);
          }
        }
      }
    }
    return users;
  }

  /** Null: it is no TOML. */
  #dataOf(file: string): TomlData | null {
    const text = this.#texts.get(file);
    if (text === undefined) return null;
    const known = this.#data.get(file);
    if (known?.text === text) return known.data;
    try {
      const data = tomlData(text);
      this.#data.set(file, { text, data });
      return data;
    } catch {
      return null;
    }
  }
}

const SECTIONS: readonly string[] = [...new Set(sectionPages.map(({ section }) => section))];
const NAMED: ReadonlySet<string> = new Set(sectionPages.filter(({ item }) => item !== null).map(({ section }) => section));

/** Keys as they are written, each with its name in forms. What nobody knows, and what is there twice, stays as it is written. */
function spellings(section: string, values: TomlData): ReadonlyMap<string, string> {
  const known = knownIn(section, values);
  const shown = new Map<string, string>();
  const taken = new Set(Object.keys(values));
  for (const key of Object.keys(values)) {
    const plain = tomlName(key);
    const old = section === 'locations' ? LOCATION_KEYS.get(plain) : undefined;
    const setting = known.map((one) => one.get(plain)).find((name) => name !== undefined);
    const name = old ?? (setting === undefined ? plain : tomlName(setting));
    shown.set(key, taken.has(name) ? key : name);
    taken.add(name);
  }
  return shown;
}

function shownKeys(section: string, values: TomlData, shown: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const names = spellings(section, values);
  return Object.fromEntries(Object.entries(shown).map(([key, value]) => [names.get(key)!, value]));
}

function tableAt(data: TomlData, section: string): TomlData {
  const table = Object.hasOwn(data, section) ? data[section] : undefined;
  return isTable(table) ? table : {};
}

function merge(into: Record<string, unknown>, data: TomlData): void {
  for (const [key, value] of Object.entries(data)) {
    const here = into[key];
    into[key] = isTable(here) && isTable(value) ? { ...here, ...value } : value;
  }
}

type KnownKeys = ReadonlyMap<string, string>;

const KNOWN: ReadonlyMap<string, readonly KnownKeys[]> = new Map(
  SECTIONS.map((section) => [section, sectionPages.filter((page) => page.section === section).map(({ table }) => knownKeys(table))]),
);
const KNOWN_OF_PLUGINS: ReadonlyMap<string, readonly KnownKeys[]> = new Map(
  builtInPlugins().map(({ name, settings }) => [name, [knownKeys(pluginTable), knownKeys(settings)]]),
);

function knownIn(section: string, values: TomlData): readonly KnownKeys[] {
  const { category } = values;
  const plugin = section === 'plugins' && typeof category === 'string' ? builtInPlugin(category) : null;
  return (plugin === null ? KNOWN.get(section) : KNOWN_OF_PLUGINS.get(plugin.name)) ?? [];
}

/** The values of an item that names another, under that one's new name; null when it does not name it. */
function renamedReferences(section: string, values: TomlData, to: string, from: string, name: string): TomlData | null {
  if (section === 'storages') {
    const { value } = values;
    if (typeof value !== 'string') return null;
    try {
      const piece = tomlData(value);
      const changed = renamedKeys(section, piece, pieceReferenceKeys(), to, from, name);
      return changed === null ? null : { ...values, value: editToml(value, changed) };
    } catch {
      return null;
    }
  }
  return renamedKeys(section, values, referenceKeys(section, values), to, from, name);
}

function renamedKeys(section: string, values: TomlData, keys: readonly ReferenceKey[], to: string, from: string, name: string): TomlData | null {
  const names = spellings(section, values);
  const wanted = Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      const isReference = keys.some((one) => one.to === to && one.key === names.get(key));
      return [key, isReference ? renamedIn(value, from, name) : value];
    }),
  );
  return sameData(wanted, values) ? null : wanted;
}

/** Of a file that may lie in the folder of a configuration. */
function isFileName(name: string): boolean {
  const parts = name.split('/');
  return (
    name.endsWith('.toml') &&
    parts.length <= configLimits.folderDepth &&
    parts.every((part) => part !== '' && !part.startsWith('.') && part.length <= configLimits.nameChars && !/[\\\p{C}]/u.test(part))
  );
}
