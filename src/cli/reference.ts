import { envNames, fileTwin, flagName, tomlName, type Setting, type Table } from '../schema/setting.ts';
import { commands } from './commands.ts';
import type { Command } from './command.ts';
import { flagsOf } from './flag-spellings.ts';
import { defaultOf, groupsOf } from './help.ts';

/** The page docs/reference/cli.md, made from the same tables as flags and help. */
export async function cliReference(): Promise<string> {
  const parts = [INTRODUCTION];
  for (const command of commands) parts.push(await commandPage(command));
  return `${parts.join('\n\n')}\n`;
}

const INTRODUCTION = `# Command line

<!-- Generated from the tables in src/config; npx vitest run src/cli/reference.test.ts -u writes it anew. -->

A setting is taken from the first of these that gives it: flag, environment, file (\`--config PATH\` or \`WINDLASS_CONFIG\`, TOML), default.

- Flags may be written \`--flag value\` or \`--flag=value\`, and in camelCase (\`--appPassword\`). Lists are separated by commas, or the flag is repeated. Switches take \`=false\` or a \`--no-\` in front.
- Every environment name also works with \`WINDLASS_\` in front, which counts before the short one. An empty variable counts as absent.
- Secrets can be read from files: \`--secret-file\`, \`SECRET_FILE\`, \`secret_file\`; \`-\` is standard input. A secret given as an argument works, is wiped from the process list, and earns a warning.
- Keys of a file are the flags with \`_\` for \`-\`. An unknown key is an error with its line. Relative paths in a file start at its folder.
- Durations have units: \`500ms\`, \`30s\`, \`1h2m3s\`. Sizes too: \`64KiB\` is 65,536 bytes, \`64kB\` is 64,000.
- Exit codes: 0 all is well, 1 it could not be done, 2 asked wrongly (flags, environment, file).
- SIGTERM or SIGINT finishes what runs, at most for \`--drain-timeout\`; a second one ends at once with exit code 1.`;

async function commandPage(command: Command): Promise<string> {
  const table = await command.table();
  const name = `windlass ${command.words.join(' ')}`;
  const parts = [`## ${name}`, sentence(command.summary)];
  parts.push(`\`\`\`sh\n${command.examples.map(([line, does]) => `# ${does}\n${line}`).join('\n')}\n\`\`\``);
  parts.push(...command.notes);
  for (const [group, names] of groupsOf(table)) parts.push(`### ${group}`, settingsTable(names, table, command.section));
  const switches = Object.entries(command.switches);
  if (switches.length > 0) parts.push(switches.map(([flag, help]) => `\`--${flag}\`: ${help}.`).join('\n'));
  return parts.join('\n\n');
}

function settingsTable(names: readonly string[], table: Table, section: string | null): string {
  const head = ['flag', 'environment', ...(section === null ? [] : [`key in [${section}]`]), 'value', 'default', ''];
  const rows = names.map((name) => {
    const setting = table[name]!;
    const env = envNames(name, setting).at(setting.slime === true ? 1 : 0)!;
    const secret = setting.secret !== undefined;
    const flags = [...flagsOf(name, setting), ...(secret ? [`--${flagName(fileTwin(name))}`] : [])];
    const envs = [env, ...(secret ? [`${env}_FILE`] : [])];
    const keys = setting.inFile === false ? [] : [tomlName(name), ...(secret ? [tomlName(fileTwin(name))] : [])];
    return [code(flags), code(envs), ...(section === null ? [] : [code(keys)]), setting.kind.says, fallbackOf(setting), setting.help];
  });
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n');
}

function fallbackOf(setting: Setting<unknown>): string {
  const fallback = defaultOf(setting);
  if (fallback === null) return '**required**';
  return setting.fallbackText === undefined ? `\`${fallback}\`` : fallback;
}

function code(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(' ');
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}${/[.:]$/.test(text) ? '' : '.'}`;
}
