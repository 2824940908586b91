import { readConfigFile, sectionOf, unknownSections, type ReadText, type Section } from '../config/file.ts';
import { resolveSettings, type Problem, type Resolved } from '../config/resolve.ts';
import { SettingsError } from '../config/settings-error.ts';
import type { Table } from '../schema/setting.ts';
import { envNames } from '../schema/setting.ts';
import type { Invocation } from './command.ts';
import { UsageError } from './usage-error.ts';

/** A command's settings from its flags, the environment and its file. `sectionTable`: what the section may hold, when the command itself knows less of it. */
export async function settingsOf<T extends Table>(table: T, { command, args, world }: Invocation, sectionTable: Table = table): Promise<Resolved<T>> {
  const readText: ReadText = (file, maxBytes) => world.readText(file, maxBytes);
  const problems: Problem[] = [];
  let section: Section | null = null;
  const path = args.config ?? nonEmpty(world.env['WINDLASS_CONFIG']);
  // A command that reads the whole file does so by itself: configSource().
  if (path !== null && command.wholeFile !== true) {
    if (command.section === null) throw new SettingsError([`${command.words.join(' ')} reads no file; leave --config out`]);
    const source = args.config === null ? 'environment WINDLASS_CONFIG' : '--config';
    const file = await readConfigFile(path, source, readText);
    unknownSections(file, problems);
    section = sectionOf(file, command.section, sectionTable, problems);
  }
  const resolved = await resolveSettings(table, {
    command: command.words.join(' '),
    flags: args.flags,
    env: world.env,
    sectionName: command.section,
    section,
    readText,
    problems,
  });
  forgetSecrets(table, world.env);
  return resolved;
}

/** The file or folder that a command with `wholeFile` is to read. @throws UsageError when none is named */
export function configSource({ command, args, world }: Invocation): string {
  const path = args.config ?? nonEmpty(world.env['WINDLASS_CONFIG']);
  if (path !== null) return path;
  throw new UsageError(`${command.words.join(' ')} needs -c FILE (or environment WINDLASS_CONFIG): a TOML file, or a folder of them`);
}

/** What was read is not left for child processes and crash reports to show. */
function forgetSecrets(table: Table, env: Record<string, string | undefined>): void {
  for (const [name, setting] of Object.entries(table)) {
    if (setting.secret === undefined) continue;
    for (const envName of envNames(name, setting)) delete env[envName];
  }
}

function nonEmpty(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
