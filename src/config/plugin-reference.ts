import type { PluginDefinition } from '../proxy/plugin.ts';
import { fileTwin, tomlName, type Setting } from '../schema/setting.ts';
import { builtInPlugins } from './plugin-definitions.ts';
import { defaultText, groupsOf, markdownTable } from './reference.ts';

/** The page docs/reference/plugins.md, made from the tables of all plugins. `hasPage`: is there a guide to it in docs/plugins (called like it, with dashes)? */
export function pluginReference(hasPage: (name: string) => boolean): string {
  const all = builtInPlugins().toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const index = markdownTable(
    ['plugin', 'what it does'],
    all.map(({ name, summary }) => [`[${name}](#${name})`, summary]),
  );
  return `${[INTRODUCTION, index, ...all.map((one) => pluginText(one, hasPage(one.name)))].join('\n\n')}\n`;
}

const INTRODUCTION = `# Plugins

<!-- Generated from the tables of the plugins; npx vitest run src/config/plugin-reference.test.ts -u writes it anew. -->

A plugin is a section of the gateway's file, and works where a location names it: \`plugins = ["limit"]\`. The list is an onion: requests pass it from the first to
the last, answers back from the last to the first. A plugin that cannot be made stops the load, and one that fails answers 500: nothing gets past it.

\`category\` says which plugin it is, \`module\` names one of your own ([how to write one](../writing-a-plugin.md)), \`step\` is Pingap's word for when it is asked, where there is
a choice. \`windlass plugins NAME\` prints what stands here. Secrets can be read from a file: the second key of their row.`;

function pluginText({ name, summary, settings, steps }: PluginDefinition, hasPage: boolean): string {
  const parts = [
    `## ${name}`,
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.${hasPage ? ` [Guide](../plugins/${name.replaceAll('_', '-')}.md).` : ''}`,
  ];
  if (steps !== undefined) parts.push(`Steps: ${steps.map((step) => `\`${step}\``).join(', ')}.`);
  for (const [group, names] of groupsOf(settings)) {
    const rows = names.map((key) => {
      const setting = settings[key]!;
      return [keysOf(key, setting), setting.kind.says, defaultText(setting), setting.help];
    });
    parts.push(`### ${group}`, markdownTable(['key', 'value', 'default', 'meaning'], rows));
  }
  return parts.join('\n\n');
}

function keysOf(name: string, { secret }: Setting<unknown>): string {
  return [tomlName(name), ...(secret === undefined ? [] : [tomlName(fileTwin(name))])].map((key) => `\`${key}\``).join(' ');
}
