import type { JsonSchema } from '../schema/kind.ts';
import { fileTwin, tomlName, type Setting, type Table } from '../schema/setting.ts';
import { agentTable } from './agent.ts';
import type { PluginDefinition } from '../proxy/plugin.ts';
import { hubTable } from './hub.ts';
import { PLUGIN_CATEGORIES } from './legacy-plugins.ts';
import { pingapKeys } from './pingap-keys.ts';
import { builtInPlugins } from './plugin-definitions.ts';
import { proxyTable } from './proxy.ts';
import { sectionPages, type SectionPage } from './section-pages.ts';

/** JSON Schema (draft 7) of a configuration file, for editors. It is made of the tables that read the file. */
export function jsonSchema(): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const section of new Set(sectionPages.map((page) => page.section))) {
    const pages = sectionPages.filter((page) => page.section === section);
    const item = tableSchema(section, pages);
    const description = pages.map(({ says }) => says).join(' Or: ');
    properties[section] =
      pages[0]!.item === null
        ? { ...item, description }
        : { type: 'object', description, additionalProperties: item, propertyNames: { minLength: 1 } };
  }
  // April 2024: plugins had another name, and basic settings stood outside of any section.
  properties['proxy_plugins'] = { ...properties['plugins'], description: 'The same as plugins.' };
  const { basic } = properties as { basic: { properties: Record<string, JsonSchema> } };
  for (const [section, table] of [
    ['hub', hubTable],
    ['agent', agentTable],
    ['proxy', proxyTable],
  ] as const) {
    properties[section] = {
      type: 'object',
      description: `Settings of windlass ${section}${section === 'proxy' ? '' : ' run'}.`,
      properties: keysOf(table),
      additionalProperties: false,
    };
  }
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Windlass',
    type: 'object',
    properties: { ...basic.properties, ...properties },
    additionalProperties: false,
  };
}

function tableSchema(section: string, pages: readonly SectionPage[]): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const { table, retired } of pages.toReversed()) {
    Object.assign(properties, keysOf(table));
    for (const [key, { says }] of retired) properties[key] = { description: `Of Pingap; ${says}.` };
  }
  for (const [key, { old }] of pingapKeys.get(section) ?? [])
    if (old !== undefined) properties[old] = { ...properties[key]!, description: `The same as ${key}.` };
  if (pages[0]!.item !== null) {
    properties['remark'] = { type: 'string', description: 'A note for people.' };
    if (section !== 'storages')
      properties['includes'] = { type: ['array', 'string'], items: { type: 'string' }, description: 'Names of [storages] whose keys are taken in.' };
  }
  if (section === 'plugins') {
    properties['category'] = {
      anyOf: [{ enum: builtInPlugins().map(({ name }) => name) }, { type: ['string', 'integer'], maximum: PLUGIN_CATEGORIES.length - 1 }],
      description: 'Which plugin it is.',
    };
    properties['step'] = { type: ['string', 'integer'], description: 'When it is asked.' };
  }
  return {
    type: 'object',
    properties,
    additionalProperties: pages[0]!.open === true,
    ...(section === 'plugins' ? { allOf: builtInPlugins().map((definition) => pluginSchema(definition, properties)) } : {}),
  };
}

/** What a plugin of this category may have; one that `module` names may have anything. */
function pluginSchema({ name, settings, steps }: PluginDefinition, shared: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const step =
    steps === undefined
      ? {}
      : { step: { ...shared['step'], anyOf: [{ enum: [...steps, ''] }, { type: 'integer' }, { type: 'string', pattern: '_filter$' }] } };
  return {
    if: { properties: { category: { enum: [...new Set([name, name.replaceAll('_', '-')])] } }, required: ['category'] },
    // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's word, and nobody awaits a schema
    then: { properties: { ...shared, ...step, ...keysOf(settings) }, additionalProperties: false },
  };
}

function keysOf(table: Table): Record<string, JsonSchema> {
  const properties: Record<string, JsonSchema> = {};
  for (const [name, setting] of Object.entries(table)) {
    if (setting.inFile === false) continue;
    properties[tomlName(name)] = keySchema(setting);
    if (setting.secret !== undefined) properties[tomlName(fileTwin(name))] = { type: 'string', description: `File that holds ${tomlName(name)}.` };
    for (const alias of setting.aliases ?? [])
      properties[tomlName(alias)] ??= { ...keySchema(setting), description: `The same as ${tomlName(name)}.` };
  }
  return properties;
}

/** An empty text is a key that is not set, whatever its kind. */
function keySchema(setting: Setting<unknown>): JsonSchema {
  const { fallback } = setting;
  const plain = typeof fallback === 'boolean' || typeof fallback === 'string' || (typeof fallback === 'number' && isPlainNumber(setting));
  const text = setting.fallbackText ?? ('fallback' in setting ? setting.kind.format(fallback) : null);
  return {
    ...setting.kind.json,
    description: `${setting.help}. ${setting.kind.says[0]!.toUpperCase()}${setting.kind.says.slice(1)}.${text === null ? ' Required.' : ` Default: ${text}.`}`,
    ...(plain ? { default: fallback } : {}),
  };
}

/** Durations and sizes are numbers here and text in the file. */
export function isPlainNumber({ kind }: Setting<unknown>): boolean {
  const { type } = kind.json;
  return Array.isArray(type) && type[0] === 'integer';
}
