import { envNames, fileTwin, flagName, tomlName, type Setting, type Table } from '../schema/setting.ts';
import { printable } from './args.ts';
import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { flagsOf } from './flag-spellings.ts';
import { UsageError } from './usage-error.ts';
import type { World } from './world.ts';

/** Prints the help of a command, of a group of them, or of the whole. Returns the exit code. */
export async function showHelp(words: readonly string[], world: World): Promise<number> {
  if (words[0] === 'config') {
    world.stdout.write(await configHelp(world.columns));
    return 0;
  }
  const fits = commands.filter((one) => one.words.length <= words.length && one.words.every((word, i) => words[i] === word));
  // `agents` is a command, and `agents drain` is one.
  const command = fits.toSorted((a, b) => b.words.length - a.words.length)[0];
  if (command !== undefined) {
    world.stdout.write(commandHelp(command, await command.table(), world.columns));
    return 0;
  }
  const group = commands.filter((one) => words.every((word, i) => one.words[i] === word));
  if (group.length === 0) throw new UsageError(`no command ${printable(words[0]!)}; see windlass --help`);
  world.stdout.write(overview(group, words.length === 0, world.columns));
  return 0;
}

/** The page of one command. */
export function commandHelp(command: Command, table: Table, columns: number): string {
  const name = command.words.join(' ');
  const parts = [`windlass ${name}: ${command.summary}`, `Usage: windlass ${name} [flags]`];
  for (const [group, names] of groupsOf(table))
    parts.push(
      `${group}\n${rows(
        names.flatMap((one) => flagRows(one, table[one]!)),
        columns,
      )}`,
    );
  const others: [string, string][] = Object.entries(command.switches).map(([flag, help]) => [`--${flag}`, help]);
  if (command.section !== null && command.wholeFile !== true)
    others.push(['-c, --config PATH', `TOML file; section [${command.section}] holds these settings [WINDLASS_CONFIG]`]);
  if (command.wholeFile === true) {
    const bare = command.operand === 'config' ? '; may stand without its flag' : '';
    others.push(['-c, --config PATH', `TOML file, or a folder of them that are read as one${bare} [WINDLASS_CONFIG]`]);
  }
  others.push(['-h, --help', 'this page']);
  parts.push(`Other flags\n${rows(others, columns)}`);
  parts.push(`Examples\n${command.examples.map(([line, does]) => `  # ${does}\n  ${line}`).join('\n')}`);
  if (command.notes.length > 0) parts.push(command.notes.join('\n'));
  if (command.section !== null)
    parts.push('A flag counts before an environment variable [in brackets], that before the file, that before the default.');
  return `${parts.join('\n\n')}\n`;
}

/** Settings by the heading they stand under, in the order of the table. */
export function groupsOf(table: Table): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const [name, { group }] of Object.entries(table)) {
    const names = groups.get(group);
    if (names === undefined) groups.set(group, [name]);
    else names.push(name);
  }
  return groups;
}

/** The default for people, or null when there is none to name. */
export function defaultOf(setting: Setting<unknown>): string | null {
  if (setting.fallbackText !== undefined) return setting.fallbackText;
  return 'fallback' in setting ? setting.kind.format(setting.fallback) : null;
}

function overview(group: readonly Command[], isAll: boolean, columns: number): string {
  const parts: string[] = [];
  if (isAll) parts.push('Windlass: an HTTP reverse proxy whose upstreams may dial in');
  parts.push('Usage: windlass COMMAND [flags]');
  const list: [string, string][] = group.map((one) => [one.words.join(' '), one.summary]);
  if (isAll) list.push(['help COMMAND', 'flags and examples of a command; help config: what a file may hold']);
  parts.push(`Commands\n${rows(list, columns)}`);
  const examples = group.flatMap((one) => one.examples.slice(0, isAll ? 1 : 2));
  parts.push(`Examples\n${examples.map(([line, does]) => `  # ${does}\n  ${line}`).join('\n')}`);
  parts.push('Exit codes: 0 all is well, 1 it could not be done, 2 asked wrongly (flags, environment, file).');
  return `${parts.join('\n\n')}\n`;
}

function flagRows(name: string, setting: Setting<unknown>): [string, string][] {
  const { word } = setting.kind;
  const flags = flagsOf(name, setting);
  const env = envNames(name, setting).at(setting.slime === true ? 1 : 0)!;
  const fallback = defaultOf(setting);
  const isRequired = !('fallback' in setting);
  const notes = isRequired ? ' (required)' : fallback === null ? '' : ` (default ${fallback})`;
  const toggle = word === 'BOOL';
  const shown = toggle ? `${flags.join(', ')}, --no-${flagName(name)}` : `${flags.join(', ')} ${word}`;
  const list: [string, string][] = [[shown, `${setting.help}${notes} [${env}]`]];
  if (setting.secret !== undefined) list.push([`--${flagName(fileTwin(name))} PATH`, `the same from a file; - is standard input [${env}_FILE]`]);
  return list;
}

/** Two columns; the right one is wrapped. */
function rows(list: readonly (readonly [string, string])[], columns: number): string {
  const left = Math.min(Math.max(...list.map(([first]) => first.length)), LEFT_MAX);
  const indent = ' '.repeat(left + 4);
  return list
    .map(([first, second]) => {
      const lines = wrap(second, Math.max(columns - left - 4, 30)).join(`\n${indent}`);
      return first.length > left ? `  ${first}\n${indent}${lines}` : `  ${first.padEnd(left)}  ${lines}`;
    })
    .join('\n');
}

const LEFT_MAX = 30;

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Keys of a file's section. */
function keyRows(table: Table, columns: number): string {
  const list = Object.entries(table)
    .filter(([, setting]) => setting.inFile !== false)
    .map(([name, setting]): [string, string] => {
      const fallback = defaultOf(setting);
      return [
        setting.secret === undefined ? tomlName(name) : `${tomlName(name)}, ${tomlName(fileTwin(name))}`,
        `${setting.help}${fallback === null ? ' (required)' : fallback === '' ? '' : ` (default ${fallback})`}`,
      ];
    });
  return rows(list, columns);
}

const INTRODUCTION =
  'A file for --config is TOML. Unknown keys are errors. Keys of [hub], [agent] and [proxy] are the flags, with _ for -; the other sections are read by windlass run and windlass check.';

async function configHelp(columns: number): Promise<string> {
  const parts = [wrap(INTRODUCTION, columns).join('\n')];
  const seen = new Set<string>();
  for (const command of commands) {
    if (command.section === null || seen.has(command.section)) continue;
    seen.add(command.section);
    const table = await command.table();
    parts.push(`[${command.section}]  for windlass ${command.words.join(' ')}\n${keyRows(table, columns)}`);
  }
  const { sectionPages } = await import('../config/section-pages.ts');
  for (const { section, item, says, table } of sectionPages) {
    const title = wrap(`[${section}${item === null ? '' : '.NAME'}]  ${says.replaceAll('`', '')}`, columns).join('\n');
    parts.push(`${title}\n${keyRows(table, columns)}`);
  }
  parts.push('Example\n  [hub]\n  secret_file = "hub.secret"\n  port = 8080\n  queue_timeout = "30s"\n  trusted_proxies = ["10.0.0.0/8"]');
  return `${parts.join('\n\n')}\n`;
}
