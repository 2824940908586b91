import { parseArgs } from 'node:util';
import { nearest } from '../schema/nearest.ts';
import { fileTwin, flagName, type Setting, type Table } from '../schema/setting.ts';
import type { Command } from './command.ts';
import { UsageError } from './usage-error.ts';

/** What stands on a command line after the command's own words. */
export interface Args {
  /** Texts by setting name or its file twin's, in the order given. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly switches: ReadonlySet<string>;
  /** `--config`. */
  readonly config: string | null;
  readonly help: boolean;
  /** The same words with what is secret replaced; null when there was nothing to hide. */
  readonly hidden: readonly string[] | null;
}

/** One way to spell a flag. */
interface Spelling {
  /** Setting name or file twin's, or the switch. */
  readonly name: string;
  readonly kind: 'value' | 'toggle' | 'switch' | 'off';
  readonly setting: Setting<unknown> | null;
  readonly isSecret: boolean;
}

/** Reads flags. Throws a UsageError for what the table does not know. `command` is its name for messages. */
export function parseFlags(words: readonly string[], table: Table, switches: readonly string[], command: string): Args {
  const spellings = spellingsOf(table, switches);
  const options: Record<string, { type: 'string' | 'boolean' }> = Object.create(null);
  for (const [flag, { kind }] of spellings) options[flag] = { type: kind === 'value' ? 'string' : 'boolean' };
  const { tokens } = parseArgs({
    args: words.map((word) => shortOf(word, switches) ?? word),
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

  const flags = new Map<string, string[]>();
  const on = new Set<string>();
  const hidden: string[] = [];
  let hides = false;
  for (const token of tokens) {
    if (token.kind !== 'option') throw new UsageError(strayed(command, tokens.indexOf(token) > 0));
    const spelling = spellings.get(token.name);
    if (spelling === undefined) throw new UsageError(unknownFlag(command, token.rawName, spellings));
    const flag = `--${token.name}`;
    if (spelling.kind === 'switch' || spelling.kind === 'off') {
      if (token.value !== undefined) throw new UsageError(`${command}: ${flag} takes no value`);
      if (spelling.kind === 'off') push(flags, spelling.name, 'false');
      else on.add(spelling.name);
      hidden.push(flag);
    } else if (spelling.kind === 'toggle') {
      // Without = there is no value: a word after it is not looked at, so that `--flag --other` means what it says.
      push(flags, spelling.name, token.value ?? 'true');
      hidden.push(token.value === undefined ? flag : `${flag}=${token.value}`);
    } else {
      const { value } = token;
      const isFlag = !token.inlineValue && value?.startsWith('--') === true && spellings.has(value.slice(2).split('=')[0]!);
      if (value === undefined || isFlag) throw new UsageError(`${command}: ${flag} needs a value: ${flag} ${wordOf(spelling)}`);
      push(flags, spelling.name, value);
      const shown = spelling.isSecret ? '***' : (spelling.setting?.kind.redact(value) ?? value);
      hidden.push(flag, shown);
      if (shown !== value) hides = true;
    }
  }
  return {
    flags,
    switches: on,
    config: flags.get('config')?.at(-1) ?? null,
    help: on.has('help'),
    hidden: hides ? hidden : null,
  };
}

/** The only short ones. */
const SHORT: ReadonlyMap<string, string> = new Map([
  ['-h', '--help'],
  ['-c', '--config'],
]);

/** What a short flag stands for; undefined when it is none. */
function shortOf(word: string, switches: readonly string[]): string | undefined {
  return word === '-d' && switches.includes('debug') ? '--debug' : SHORT.get(word);
}

/** A first word without a flag is what the command is about. Switches may stand before it. */
export function withOperand({ operand, switches }: Pick<Command, 'operand' | 'switches'>, words: readonly string[]): readonly string[] {
  const at = words.findIndex((word) => !isSwitch(word, switches));
  const first = words[at];
  return operand === undefined || first === undefined || first.startsWith('-') ? words : words.toSpliced(at, 1, `--${operand}=${first}`);
}

function isSwitch(word: string, switches: Command['switches']): boolean {
  const flag = shortOf(word, Object.keys(switches)) ?? word;
  return flag.startsWith('--') && Object.hasOwn(switches, flag.slice(2));
}

function spellingsOf(table: Table, switches: readonly string[]): ReadonlyMap<string, Spelling> {
  const spellings = new Map<string, Spelling>();
  spellings.set('config', { name: 'config', kind: 'value', setting: null, isSecret: false });
  for (const name of ['help', ...switches]) spellings.set(name, { name, kind: 'switch', setting: null, isSecret: false });
  for (const [name, setting] of Object.entries(table)) {
    const isToggle = setting.kind.word === 'BOOL';
    const isSecret = setting.secret !== undefined;
    for (const flag of [flagName(name), name, ...(setting.aliases ?? [])]) {
      spellings.set(flag, { name, kind: isToggle ? 'toggle' : 'value', setting, isSecret });
    }
    if (isToggle) spellings.set(`no-${flagName(name)}`, { name, kind: 'off', setting, isSecret });
    if (!isSecret) continue;
    for (const flag of [flagName(fileTwin(name)), fileTwin(name)]) {
      spellings.set(flag, { name: fileTwin(name), kind: 'value', setting: null, isSecret: false });
    }
  }
  return spellings;
}

function push(flags: Map<string, string[]>, name: string, value: string): void {
  const texts = flags.get(name);
  if (texts === undefined) flags.set(name, [value]);
  else texts.push(value);
}

function wordOf(spelling: Spelling): string {
  return spelling.setting?.kind.word ?? 'PATH';
}

function unknownFlag(command: string, rawName: string, spellings: ReadonlyMap<string, Spelling>): string {
  const near = nearest(
    rawName.replace(/^-+/, ''),
    [...spellings.keys()].filter((flag) => !/[A-Z]/.test(flag)),
  );
  return `${command}: no flag ${printable(rawName)}; ${near === null ? `see windlass ${command} --help` : `did you mean --${near}?`}`;
}

function strayed(command: string, afterFlags: boolean): string {
  const why = afterFlags ? 'a word stands without its flag (quote values with spaces, write --flag=false for switches)' : 'takes flags only';
  return `${command}: ${why}; see windlass ${command} --help`;
}

/** A word of the command line, safe for a terminal and of bounded length. */
export function printable(word: string): string {
  return word.replace(/[^\x21-\x7e]/g, '?').slice(0, 40);
}
