import type { PluginDefinition, PluginStep } from '../proxy/plugin.ts';
import { tomlName } from '../schema/setting.ts';
import type { ReadText } from './file.ts';
import { ItemReader } from './item.ts';
import { builtInPlugin, foreignPlugin, pluginHint } from './plugin-definitions.ts';
import type { Report } from './report.ts';
import { quoted } from './resolve.ts';
import { BUILT_IN_PLUGINS, GRPC_WEB, pluginTable } from './sections/plugin.ts';
import type { Entry, Item, Tree } from './tree.ts';

/** A plugin of the configuration, its settings checked by its own table. */
export interface PluginItem {
  readonly name: string;
  readonly definition: PluginDefinition;
  readonly step: PluginStep | null;
  readonly values: Readonly<Record<string, never>>;
  /** Equal for equal settings. */
  readonly fingerprint: string;
}

const OWN_KEYS: ReadonlySet<string> = new Set(Object.keys(pluginTable).map(tomlName));

/** Reads one section. Null when something is wrong with it; that is in the report then. */
export async function readPlugin(
  item: Item,
  readText: ReadText,
  fingerprintOf: (values: Readonly<Record<string, unknown>>) => string,
  report: Report,
): Promise<PluginItem | null> {
  const own = new ItemReader(pluginTable).read({ ...item, entries: only(item, (key) => OWN_KEYS.has(key) || key === 'remark') }, readText, report);
  if (own === null) return null;
  const definition = await definitionOf(item, own.category, own.module, readText, report);
  if (definition === null) return null;
  if (own.step !== null && definition.steps !== undefined && !definition.steps.includes(own.step)) {
    const { place, key } = item.entries.get('step')!;
    report.error(
      place,
      `${item.subject}.${key}`,
      `${quoted(own.step)} is no place for ${definition.name}; write ${definition.steps.join(' or ')}, or leave it out`,
    );
    return null;
  }
  const values = readOptions(definition, { ...item, entries: only(item, (key) => !OWN_KEYS.has(key)) }, readText, report);
  if (values === null) return null;
  return { name: item.name, definition, step: own.step, values, fingerprint: fingerprintOf(values) };
}

/** Kinds of others may throw whatever they like. */
function readOptions({ settings }: PluginDefinition, item: Item, readText: ReadText, report: Report): PluginItem['values'] | null {
  try {
    return new ItemReader(settings).read(item, readText, report) as PluginItem['values'] | null;
  } catch (error) {
    report.error(item.place, item.subject, `cannot be read by its plugin: ${String((error as Error).message).split('\n')[0]}`);
    return null;
  }
}

async function definitionOf(
  item: Item,
  category: string | null,
  module: string | null,
  readText: ReadText,
  report: Report,
): Promise<PluginDefinition | null> {
  if (module !== null) {
    const { place, key } = item.entries.get('module')!;
    try {
      return await foreignPlugin(module, place.file.folder, readText);
    } catch (error) {
      // A bare name is a package's.
      const hint = /^[^./].*\.[cm]?js$/.test(module) ? `; a file is named by its path: ./${module}` : '';
      report.error(place, `${item.subject}.${key}`, `${quoted(module)} cannot be loaded: ${(error as Error).message.split('\n')[0]}${hint}`);
      return null;
    }
  }
  if (category === null) {
    report.error(item.place, item.subject, 'needs category; write the name of a plugin such as category = "request_id"');
    return null;
  }
  const definition = builtInPlugin(category);
  if (definition === null) {
    const { place, key } = item.entries.get('category')!;
    report.error(place, `${item.subject}.${key}`, `${quoted(category)} is no plugin; ${pluginHint(category)}`);
  }
  return definition;
}

function only(item: Item, wanted: (key: string) => boolean): Map<string, Entry> {
  return new Map([...item.entries].filter(([key]) => wanted(key)));
}

/** Pingap's plugins that need no section: those that a location names get one. */
export function addBuiltInPlugins(tree: Tree): void {
  const plugins = tree.named.get('plugins')!;
  for (const location of tree.named.get('locations')?.values() ?? []) {
    putGrpcWeb(location);
    const entry = location.entries.get('plugins');
    const names: readonly unknown[] = Array.isArray(entry?.value) ? entry.value : [entry?.value];
    for (const name of names) {
      const settings = typeof name === 'string' ? BUILT_IN_PLUGINS.get(name) : undefined;
      if (entry === undefined || settings === undefined || plugins.has(name as string)) continue;
      const entries = Object.entries(settings).map(([key, value]): [string, Entry] => [key, { key, value, place: entry.place, written: null }]);
      plugins.set(name as string, { subject: `plugins.${String(name)}`, name: name as string, place: entry.place, entries: new Map(entries) });
    }
  }
}

/** Pingap translates gRPC-Web by a key of the location, before any plugin. */
function putGrpcWeb({ entries }: Item): void {
  const web = entries.get('grpc_web');
  if (web?.value !== true) return;
  const entry = entries.get('plugins') ?? { key: 'plugins', value: [], place: web.place, written: null };
  if (entry.broken === true) return;
  const names: readonly unknown[] =
    typeof entry.value === 'string' ? entry.value.split(',') : Array.isArray(entry.value) ? entry.value : [entry.value];
  entries.set('plugins', { ...entry, value: [GRPC_WEB, ...names] });
}
