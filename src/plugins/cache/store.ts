import type { PluginRequest } from '../../proxy/plugin.ts';
import type { Entry } from './entry.ts';
import { COLLECTING_SHARE, VARIANTS } from './limits.ts';

/** All that is kept under one key: one entry, or one for each combination of what `Vary` names. */
interface Group {
  /** Names that `Vary` listed, lower case. */
  readonly names: readonly string[];
  /** By the values of those names. */
  readonly entries: Map<string, Entry>;
}

/** Answers in memory, bounded in bytes. What nobody has asked for goes first. */
export class Store {
  readonly #maxBytes: number;
  readonly #groups = new Map<string, Group>();
  /** All entries with where they stand, oldest first. */
  readonly #order = new Map<Entry, { key: string; values: string }>();
  #bytes = 0;
  #collecting = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#order.size;
  }

  /** The entry for a request, fresh or not. */
  find(key: string, request: Pick<PluginRequest, 'header'>): Entry | null {
    const group = this.#groups.get(key);
    if (group === undefined) return null;
    const { names } = group;
    const values = names.length === 0 ? '' : valuesOf(names, (name) => request.header(name));
    const entry = group.entries.get(values);
    if (entry === undefined) return null;
    entry.isUsed = true;
    return entry;
  }

  /** The key with the values of what is known to matter: requests of one variant are the same request. */
  variantOf(key: string, request: Pick<PluginRequest, 'header'>): string {
    const names = this.#groups.get(key)?.names ?? [];
    return names.length === 0 ? key : `${key}\n${valuesOf(names, (name) => request.header(name))}`;
  }

  /** Keeps an entry in the place of the one that is there. @returns whether it fits */
  put(key: string, names: readonly string[], asked: Readonly<Record<string, string>>, entry: Entry): boolean {
    let group = this.#groups.get(key);
    // Another Vary speaks for all that comes from there: what was kept by the old one might be given to the wrong.
    if (group !== undefined && group.names.join() !== names.join()) {
      this.drop(key);
      group = undefined;
    }
    const values = valuesOf(names, (name) => asked[name]);
    const before = group?.entries.get(values);
    if (before !== undefined) this.#remove(before);
    else if (group !== undefined && group.entries.size >= VARIANTS) this.#remove(group.entries.values().next().value!);
    entry.bytes += 2 * (key.length + values.length);
    if (entry.bytes > this.#maxBytes) return false;
    // Taking out the last entry of a group takes out the group.
    group = this.#groups.get(key) ?? { names, entries: new Map() };
    this.#groups.set(key, group);
    group.entries.set(values, entry);
    this.#order.set(entry, { key, values });
    this.#bytes += entry.bytes;
    this.#shrink(entry);
    return true;
  }

  /** Forgets one entry. */
  forget(entry: Entry): void {
    if (this.#order.has(entry)) this.#remove(entry);
  }

  /** Forgets all that is kept under a key. @returns how many */
  drop(key: string): number {
    const group = this.#groups.get(key);
    if (group === undefined) return 0;
    const { size } = group.entries;
    for (const entry of group.entries.values()) this.#remove(entry);
    return size;
  }

  /** Forgets all whose keys begin so. Looks at every key: for people. @returns how many */
  dropBelow(beginning: string): number {
    let count = 0;
    for (const key of this.#groups.keys()) if (key.startsWith(beginning)) count += this.drop(key);
    return count;
  }

  /** @returns how many there were */
  clear(): number {
    const { size } = this.#order;
    this.#groups.clear();
    this.#order.clear();
    this.#bytes = 0;
    return size;
  }

  /** May so many more bytes of bodies that are on their way be held? They are counted when they may. */
  collect(bytes: number): boolean {
    if (this.#collecting + bytes > this.#maxBytes * COLLECTING_SHARE) return false;
    this.#collecting += bytes;
    return true;
  }

  collected(bytes: number): void {
    this.#collecting -= bytes;
  }

  /** The oldest go first, but those that were asked for since the last look get another round: as good as "least recently used", and a hit costs nothing. */
  #shrink(keep: Entry): void {
    while (this.#bytes > this.#maxBytes) {
      const [entry, where] = this.#order.entries().next().value!;
      if (entry === keep || entry.isUsed) {
        entry.isUsed = false;
        this.#order.delete(entry);
        this.#order.set(entry, where);
        continue;
      }
      this.#remove(entry);
    }
  }

  #remove(entry: Entry): void {
    const { key, values } = this.#order.get(entry)!;
    this.#order.delete(entry);
    this.#bytes -= entry.bytes;
    const group = this.#groups.get(key)!;
    group.entries.delete(values);
    if (group.entries.size === 0) this.#groups.delete(key);
  }
}

/** No value has a line break in it, so nobody can pass one off as two. Absent is not the same as empty. */
function valuesOf(names: readonly string[], read: (name: string) => string | undefined): string {
  let values = '';
  for (const name of names) {
    const value = read(name);
    values += value === undefined ? '\n' : `=${value.trim()}\n`;
  }
  return values;
}
