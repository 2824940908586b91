import { isTable } from './expand.ts';
import { configLimits } from './limits.ts';
import type { Report } from './report.ts';
import { didYouMean } from './names.ts';
import { addEntries, type Item, type Tree } from './tree.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Puts the keys of `[storages.NAME]` into the items that name it in `includes`. An item's own keys count before those it takes in. */
export async function takeIn(tree: Tree, env: Env | null, report: Report): Promise<void> {
  const storages = tree.named.get('storages')!;
  const fragments = new Map<string, Item>();
  for (const [name, storage] of storages) {
    const fragment = await fragmentOf(storage, env, report);
    if (fragment !== null) fragments.set(name, fragment);
  }
  for (const [section, items] of tree.named) {
    if (section === 'storages') continue;
    for (const item of items.values()) {
      const entry = item.entries.get('includes');
      if (entry === undefined) continue;
      const subject = `${item.subject}.${entry.key}`;
      const names = typeof entry.value === 'string' ? entry.value.split(',').map((name) => name.trim()) : entry.value;
      if (!Array.isArray(names) || !names.every((name): name is string => typeof name === 'string')) {
        report.error(entry.place, subject, 'is no list of names; write includes = ["NAME"]');
        continue;
      }
      const taken = new Map<string, string>();
      for (const name of names) {
        const fragment = fragments.get(name);
        if (fragment === undefined) {
          if (storages.has(name)) continue;
          report.error(
            entry.place,
            subject,
            `${JSON.stringify(name)} is no storage; ${didYouMean(name, storages.keys(), `write [storages.${name}]`)}`,
          );
          continue;
        }
        for (const [key, one] of fragment.entries) {
          const before = taken.get(key);
          if (before !== undefined) report.error(entry.place, subject, `takes in ${key} twice, from ${before} and ${name}; keep one`);
          else if (item.entries.has(key))
            report.warn(entry.place, subject, `does not take in ${key} of ${name}: the item has its own (in Pingap the included one counts)`);
          else {
            item.entries.set(key, one);
            taken.set(key, name);
          }
        }
      }
    }
  }
}

/** The keys of a stored piece of TOML. Null when it is none. */
async function fragmentOf(storage: Item, env: Env | null, report: Report): Promise<Item | null> {
  const category = storage.entries.get('category');
  const value = storage.entries.get('value');
  if (value === undefined || typeof value.value !== 'string' || (category !== undefined && category.value !== 'config')) return null;
  const { parse, TomlError } = await import('smol-toml');
  const subject = `${storage.subject}.${value.key}`;
  let data: unknown;
  try {
    data = parse(value.value, { integersAsBigInt: 'asNeeded', maxDepth: configLimits.depth, unsafeKeyBehaviour: 'throw' });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    report.error(
      value.place,
      subject,
      `is no valid TOML in its line ${error.line}: ${error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '')}; text stands in quotes`,
    );
    return null;
  }
  if (!isTable(data)) return null;
  // Where it stands is where the storage stands.
  const fragment: Item = { ...storage, subject: subject.replace(/^storages\./, 'storage '), entries: new Map() };
  addEntries(fragment, data, value.place.path, value.place.file, env, report);
  return fragment;
}
