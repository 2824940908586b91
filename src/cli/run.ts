import { SettingsError } from '../config/settings-error.ts';
import { nearest } from '../schema/nearest.ts';
import { parseFlags, printable, withOperand } from './args.ts';
import { Cannot } from './cannot.ts';
import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { UsageError } from './usage-error.ts';
import type { World } from './world.ts';

/** Exit codes: all is well; it could not be done; it was asked wrongly (command line, environment or configuration). */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** The whole program: arguments (without node and script) to exit code. */
export async function run(argv: readonly string[], world: World): Promise<number> {
  try {
    return await dispatch(argv, world);
  } catch (error) {
    if (error instanceof Cannot) return complain([error.message], world, EXIT.failed);
    if (error instanceof UsageError) return complain([error.message], world);
    if (error instanceof SettingsError) return complain(error.lines, world);
    throw error;
  }
}

async function dispatch(argv: readonly string[], world: World): Promise<number> {
  const words = leadingWords(argv);
  if (words[0] === 'help' || argv.length === 0 || (words.length === 0 && isHelp(argv[0]!))) {
    const { showHelp } = await import('./help.ts');
    return showHelp(words.slice(1), world);
  }
  if (words.length === 0 && ['--version', '-v', '-V'].includes(argv[0]!)) return dispatch(['version', ...argv.slice(1)], world);
  const command = findCommand(words);
  if (command === null) {
    if (words.length > 0 && argv.some(isHelp)) {
      const { showHelp } = await import('./help.ts');
      return showHelp(words, world);
    }
    throw new UsageError(unknownCommand(words, argv));
  }
  const name = command.words.join(' ');
  const rest = withOperand(command, withoutWords(argv, command.words.length));
  if (rest.some(isHelp)) {
    const { showHelp } = await import('./help.ts');
    return showHelp(command.words, world);
  }
  const args = parseFlags(rest, await command.table(), Object.keys(command.switches), name);
  if (args.hidden !== null) world.hideArguments([...command.words, ...args.hidden]);
  return (await command.load()).run({ command, args, world });
}

function isHelp(word: string): boolean {
  return word === '--help' || word === '-h';
}

/** The command's words. `--config FILE` may stand before them, as it could in slime. */
function leadingWords(argv: readonly string[]): readonly string[] {
  const words: string[] = [];
  for (let i = skipConfig(argv); i < argv.length && !argv[i]!.startsWith('-'); i++) words.push(argv[i]!);
  return words;
}

function withoutWords(argv: readonly string[], count: number): readonly string[] {
  const from = skipConfig(argv);
  return [...argv.slice(0, from), ...argv.slice(from + count)];
}

function skipConfig(argv: readonly string[]): number {
  if ((argv[0] === '--config' || argv[0] === '-c') && argv.length > 2) return 2;
  return argv[0]?.startsWith('--config=') === true && argv.length > 1 ? 1 : 0;
}

function findCommand(words: readonly string[]): Command | null {
  const fits = commands.filter((command) => command.words.every((word, i) => words[i] === word));
  return fits.toSorted((a, b) => b.words.length - a.words.length)[0] ?? null;
}

function unknownCommand(words: readonly string[], argv: readonly string[]): string {
  if (words.length === 0) return `give a command before ${printable(argv[0]!.split('=')[0]!)}; see windlass --help`;
  const names = commands.map((command) => command.words.join(' '));
  const group = commands.filter((command) => command.words.length > 1 && command.words[0] === words[0]).map((command) => command.words[1]!);
  if (group.length > 0) {
    const list = group.map((word) => `windlass ${words[0]} ${word}`).join(' or ');
    const near = words[1] === undefined ? null : nearest(words[1], group);
    if (words[1] === undefined) return `${words[0]} needs one word more: ${list}`;
    return `no command ${printable(`${words[0]}_${words[1]}`).replace('_', ' ')}; ${near === null ? `there is ${list}` : `did you mean windlass ${words[0]} ${near}?`}`;
  }
  const near =
    nearest(words.slice(0, 2).join(' '), names) ?? nearest(words[0]!, [...names, ...new Set(commands.map((command) => command.words[0]!)), 'help']);
  return `no command ${printable(words[0]!)}; ${near === null ? 'see windlass --help' : `did you mean windlass ${near}?`}`;
}

function complain(lines: readonly string[], world: World, code: number = EXIT.usage): number {
  for (const line of lines) world.stderr.write(`windlass: ${line}\n`);
  return code;
}
