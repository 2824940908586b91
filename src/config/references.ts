import type { PluginDefinition } from '../proxy/plugin.ts';
import { tomlName } from '../schema/setting.ts';
import { isTable } from './expand.ts';
import { builtInPlugin } from './plugin-definitions.ts';

/** A key whose value names items of a section. */
export interface ReferenceKey {
  readonly key: string;
  readonly to: string;
}

const LOCATION: readonly ReferenceKey[] = [
  { key: 'upstream', to: 'upstreams' },
  { key: 'plugins', to: 'plugins' },
];

/** Keys of an item that name others. `values`: the item's own, which say what plugin it is. */
export function referenceKeys(section: string, values: Readonly<Record<string, unknown>>): readonly ReferenceKey[] {
  if (section === 'storages') return [];
  const own: readonly ReferenceKey[] =
    section === 'servers'
      ? [{ key: 'locations', to: 'locations' }]
      : section === 'locations'
        ? LOCATION
        : section === 'plugins' && typeof values['category'] === 'string'
          ? ofPlugin(builtInPlugin(values['category']))
          : [];
  return [...own, { key: 'includes', to: 'storages' }];
}

/** Keys that may name items in a stored piece, wherever it is taken in. */
export function pieceReferenceKeys(): readonly ReferenceKey[] {
  return [{ key: 'locations', to: 'locations' }, ...LOCATION];
}

function ofPlugin(definition: PluginDefinition | null): readonly ReferenceKey[] {
  return Object.entries(definition?.settings ?? {}).flatMap(([name, { refersTo }]) =>
    refersTo === undefined ? [] : [{ key: tomlName(name), to: refersTo }],
  );
}

/** The names that a value has: a text, a list, text with commas, `MODEL=NAME` pairs, or a table whose values they are. */
export function namesIn(value: unknown): readonly string[] {
  const names: string[] = [];
  mapNames(value, (name) => {
    names.push(name);
    return name;
  });
  return names;
}

/** The value with another name where this one stands; the same value when it does not. */
export function renamedIn(value: unknown, from: string, to: string): unknown {
  if (!namesIn(value).includes(from)) return value;
  return mapNames(value, (name) => (name === from ? to : name));
}

function mapNames(value: unknown, map: (name: string) => string): unknown {
  if (typeof value === 'string') {
    return value
      .split(',')
      .map((part) => {
        const [, lead, name, tail] = /^(\s*(?:.*=\s*)?)(.*?)(\s*)$/s.exec(part)!;
        return `${lead}${name === '' ? '' : map(name!)}${tail}`;
      })
      .join(',');
  }
  if (Array.isArray(value)) return value.map((item) => mapNames(item, map));
  return isTable(value) ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, mapNames(one, map)])) : value;
}
