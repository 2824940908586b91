import { pluginsTable } from '../config/plugins-command.ts';
import { resolveSettings } from '../config/resolve.ts';
import type { PluginDefinition } from '../proxy/plugin.ts';
import { fileTwin, tomlName } from '../schema/setting.ts';
import type { Invocation } from './command.ts';
import { UsageError } from './usage-error.ts';

/** `plugins`: which there are, or the options of one. */
export async function run({ args, world }: Invocation): Promise<number> {
  const { builtInPlugin, builtInPlugins, pluginHint } = await import('../config/plugin-definitions.ts');
  const { defaultText } = await import('../config/reference.ts');
  const { values } = await resolveSettings(pluginsTable, {
    command: 'plugins',
    flags: args.flags,
    env: world.env,
    sectionName: null,
    section: null,
    readText: (file, maxBytes) => world.readText(file, maxBytes),
    problems: [],
  });
  const name = values.plugin;
  const one = name === null ? null : builtInPlugin(name);
  if (name !== null && one === null) throw new UsageError(`${JSON.stringify(name)} is no plugin; ${pluginHint(name)}`);
  const pages = (one === null ? builtInPlugins() : [one]).map((definition) => pageOf(definition, defaultText));
  if (args.switches.has('json')) world.stdout.write(`${JSON.stringify(one === null ? pages : pages[0], null, 2)}\n`);
  else if (one === null)
    world.stdout.write(`${columns(pages.map((page) => [page.name, page.summary]))}\nwindlass plugins NAME shows the options of one.\n`);
  else world.stdout.write(textOf(pages[0]!));
  return 0;
}

/** What `plugins --json` prints of one. */
interface PluginPage {
  readonly name: string;
  readonly summary: string;
  readonly steps: readonly string[];
  readonly options: readonly {
    readonly key: string;
    /** A key that names a file with the secret; absent for what is none. */
    readonly fileKey?: string;
    readonly group: string;
    readonly value: string;
    readonly required: boolean;
    readonly default: string;
    readonly meaning: string;
  }[];
}

function pageOf(
  { name, summary, steps = [], settings }: PluginDefinition,
  defaultText: (setting: PluginDefinition['settings'][string]) => string,
): PluginPage {
  const options = Object.entries(settings).map(([key, setting]) => ({
    key: tomlName(key),
    ...(setting.secret === undefined ? {} : { fileKey: tomlName(fileTwin(key)) }),
    group: setting.group,
    value: setting.kind.says,
    required: !('fallback' in setting),
    default: 'fallback' in setting ? defaultText(setting).replaceAll('`', '') : '',
    meaning: setting.help,
  }));
  return { name, summary, steps, options };
}

function textOf({ name, summary, steps, options }: PluginPage): string {
  const rows = options.map(({ key, fileKey, required, value, meaning, default: fallback }) => [
    fileKey === undefined ? key : `${key}, ${fileKey}`,
    `${meaning} (${value}; ${required ? 'required' : `default ${fallback}`})`,
  ]);
  const where = steps.length === 0 ? '' : `\nsteps: ${steps.join(', ')}\n`;
  return `${name}: ${summary}\n\n[plugins.NAME]\ncategory = "${name}"\n\n${columns(rows)}${where}`;
}

function columns(rows: readonly (readonly string[])[]): string {
  const width = Math.max(...rows.map(([first]) => first!.length));
  return rows.map(([first, second]) => `${first!.padEnd(width)}  ${second}\n`).join('');
}
