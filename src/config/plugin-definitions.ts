import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { PluginDefinition } from '../proxy/plugin.ts';
import { nearest } from '../schema/nearest.ts';
import { tomlName, type Setting } from '../schema/setting.ts';
import { plugins } from '../plugins/index.ts';
import type { ReadText } from './file.ts';
import { configLimits } from './limits.ts';
import { pluginTable } from './sections/plugin.ts';

const BUILT_IN: ReadonlyMap<string, PluginDefinition> = new Map(plugins.map((definition) => [definition.name, definition]));

/** One of ours by its category. */
export function builtInPlugin(category: string): PluginDefinition | null {
  // Pingap writes some of its categories with dashes.
  return BUILT_IN.get(category.replaceAll('-', '_')) ?? null;
}

/** All of ours. */
export function builtInPlugins(): readonly PluginDefinition[] {
  return plugins;
}

/** For a category that is none. */
export function pluginHint(category: string): string {
  const near = nearest(category, BUILT_IN.keys());
  return near === null ? `there are ${[...BUILT_IN.keys()].join(', ')}; one of your own is named by module` : `did you mean ${near}?`;
}

/**
 * A plugin of somebody else: the default export of a file (a path, from the configuration's folder) or of a package installed beside it.
 * `readText` hears of its file, so that a change of it is a change of the configuration.
 * @throws an Error that says what is wrong with it
 */
export async function foreignPlugin(module: string, folder: string, readText: ReadText): Promise<PluginDefinition> {
  await import('./plugin-door.ts');
  const path = module.startsWith('.') || isAbsolute(module) ? resolve(folder, module) : createRequire(join(resolve(folder), 'x.js')).resolve(module);
  // A module is loaded once in a process; another text makes another one of it, so that a reload sees what was written. What it imports stays.
  const digest = createHash('sha256').update(readText(path, configLimits.moduleBytes)).digest('hex').slice(0, 16);
  const { default: definition } = (await import(`${pathToFileURL(path).href}?${digest}`)) as { default?: unknown };
  if (!isDefinition(definition)) throw new Error('its default export is no plugin; export default definePlugin({ name, summary, settings, create })');
  for (const [key, setting] of Object.entries<Partial<Setting<unknown>> | null>(definition.settings)) {
    if (typeof setting?.kind?.fromToml !== 'function') throw new Error(`its setting ${key} has no kind; write setting({ kind: text(), … })`);
    if (RESERVED.has(tomlName(key))) throw new Error(`its setting ${key} has a name that every plugin has; choose another`);
  }
  return definition;
}

/** Keys of every plugin. */
const RESERVED: ReadonlySet<string> = new Set([...Object.keys(pluginTable).map(tomlName), 'remark', 'includes']);

function isDefinition(value: unknown): value is PluginDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { name, settings, create } = value as Record<string, unknown>;
  return typeof name === 'string' && typeof settings === 'object' && settings !== null && typeof create === 'function';
}
