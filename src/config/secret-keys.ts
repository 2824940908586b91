import { redactedTarget } from '../observe/log-text.ts';
import type { Setting, Table } from '../schema/setting.ts';
import { tomlName } from '../schema/setting.ts';
import { agentTable } from './agent.ts';
import { isTable } from './expand.ts';
import { knownKeys } from './file.ts';
import { hubTable } from './hub.ts';
import { builtInPlugin, builtInPlugins } from './plugin-definitions.ts';
import { proxyTable } from './proxy.ts';
import { sectionPages } from './section-pages.ts';

/** What stands in place of a secret. In a list of several its number follows: `******** (2)`. */
export const MASK = '********';

type Data = Readonly<Record<string, unknown>>;

/** Knows which keys of a configuration file hold secrets. What nobody knows is judged by its name and looks. */
export class SecretKeys {
  readonly #tables: ReadonlyMap<string, Known>;
  readonly #plugins: ReadonlyMap<string, Known>;
  readonly #any: Known;

  constructor() {
    const tables = new Map<string, Known[]>([
      ['hub', [knownOf(hubTable)]],
      ['agent', [knownOf(agentTable)]],
      ['proxy', [knownOf(proxyTable)]],
    ]);
    for (const { section, table } of sectionPages) tables.set(section, [...(tables.get(section) ?? []), knownOf(table)]);
    this.#tables = new Map([...tables].map(([section, known]) => [section, union(known)]));
    this.#plugins = new Map(builtInPlugins().map(({ name, settings }) => [name, knownOf(settings)]));
    this.#any = union([...[...tables.values()].flat(), ...this.#plugins.values()]);
  }

  /** Is the value under this path of a file a secret? A variable of the environment is none: only its name stands there. */
  isSecret(path: readonly string[], value: unknown, data: Data): boolean {
    if (typeof value === 'string' && (value === '' || VARIABLE.test(value))) return false;
    const [section = '', name = '', ...rest] = path;
    const isNamed = NAMED.has(section);
    const key = tomlName((isNamed ? rest[0] : SINGLE.has(section) ? name : section) ?? '');
    if (key === '') return false;
    if (section === 'plugins' || section === 'proxy_plugins') {
      const items = data[section];
      const item = isTable(items) ? items[name] : undefined;
      const category = isTable(item) && typeof item['category'] === 'string' ? item['category'] : '';
      const plugin = builtInPlugin(category)?.name;
      return judge(plugin === undefined || !isTable(item) || item['module'] !== undefined ? null : this.#plugins.get(plugin)!, key, value);
    }
    return judge(this.#tables.get(section) ?? null, key, value);
  }

  /** The same of a key in a stored piece, which may be taken in anywhere. */
  isSecretAnywhere(key: string, value: unknown): boolean {
    if (typeof value === 'string' && (value === '' || VARIABLE.test(value))) return false;
    return judge(this.#any, tomlName(key), value);
  }
}

const SINGLE: ReadonlySet<string> = new Set([
  'hub',
  'agent',
  'proxy',
  ...sectionPages.filter(({ item }) => item === null).map(({ section }) => section),
]);

const NAMED: ReadonlySet<string> = new Set([...sectionPages.filter(({ item }) => item !== null).map(({ section }) => section), 'proxy_plugins']);

const VARIABLE = /^\$\{[A-Z_][A-Z\d_]*\}$/;

interface Known {
  readonly settings: ReadonlyMap<string, readonly Setting<unknown>[]>;
}

function knownOf(table: Table): Known {
  // Twins that name a file are known, too, and no settings of the table.
  return { settings: new Map([...knownKeys(table)].map(([key, name]) => [key, table[name] === undefined ? [] : [table[name]]])) };
}

function union(all: readonly Known[]): Known {
  if (all.length === 1) return all[0]!;
  const settings = new Map<string, readonly Setting<unknown>[]>();
  for (const one of all) for (const [key, some] of one.settings) settings.set(key, [...(settings.get(key) ?? []), ...some]);
  return { settings };
}

function judge(known: Known | null, key: string, value: unknown): boolean {
  const settings = known?.settings.get(key);
  if (settings === undefined) return (key !== 'remark' && looksSecret(key)) || hasUserInfo(value);
  return (
    settings.some(({ secret, kind }) => secret !== undefined || (typeof value === 'string' && kind.redact(value) !== value)) || hasUserInfo(value)
  );
}

/** Of a key that is not known here: one of somebody's own plugin, of Pingap, or misspelled. */
export function looksSecret(key: string): boolean {
  return /pass|secret|token|key|auth|credential|^value$|^sentry$|^webhook$/.test(key) && !/_(?:file|path|header|name|url)$/.test(key);
}

/** In an address: a password before its host, or a parameter that is called like one. */
function hasUserInfo(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasUserInfo);
  if (typeof value !== 'string' || !value.includes('://')) return false;
  return /:\/\/[^/\s]*:[^/\s]*@/.test(value) || redactedTarget(value) !== value;
}
