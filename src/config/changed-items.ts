import type { ConfigText } from '../admin/model.ts';
import { isTable } from './expand.ts';
import { sameData, tomlData } from './toml/edit.ts';

/** Names told of one change. */
const NAMES = 20;
/** Larger configurations are not read once more, and requests not held up, for a line of the history. */
const CHARS = 256 * 1024;

/** What differs between two texts of a configuration, as `section` or `section.item`; at most twenty, and none when that is not known. */
export function changedItems(before: readonly ConfigText[], after: readonly ConfigText[]): readonly string[] {
  try {
    const [was, is] = [itemsOf(before), itemsOf(after)];
    return [...new Set([...is.keys(), ...was.keys()])].filter((name) => !sameData(was.get(name), is.get(name))).slice(0, NAMES);
  } catch {
    // One of them is no TOML.
    return [];
  }
}

function itemsOf(files: readonly ConfigText[]): ReadonlyMap<string, unknown> {
  if (files.reduce((sum, { text }) => sum + text.length, 0) > CHARS) throw new RangeError('too large');
  const items = new Map<string, unknown>();
  for (const { text } of files) {
    for (const [section, values] of Object.entries(tomlData(text))) {
      const isNamed = isTable(values) && Object.values(values).every(isTable);
      if (isNamed) for (const [name, item] of Object.entries(values)) items.set(`${section}.${name}`, item);
      else items.set(section, values);
    }
  }
  return items;
}
