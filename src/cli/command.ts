import type { Table } from '../schema/setting.ts';
import type { Args } from './args.ts';
import type { World } from './world.ts';

/** One command, as help and reference show it. What it needs is loaded when it runs, so that none pays for another's start. */
export interface Command {
  /** `['hub', 'run']` */
  readonly words: readonly string[];
  readonly summary: string;
  /** Section of the configuration file, null = none. */
  readonly section: string | null;
  /** True: reads all of a configuration, a file or a folder of them, by configSource(). */
  readonly wholeFile?: boolean;
  /** Flags that are no settings, with their help. They are switches. */
  readonly switches: Readonly<Record<string, string>>;
  /** The setting that a first word without a flag gives. */
  readonly operand?: string;
  /** Worked examples: the line, and what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
  /** What else to know; paragraphs. */
  readonly notes: readonly string[];
  /** Apart from load(), so that help needs nothing of what would run. */
  table(): Promise<Table>;
  load(): Promise<LoadedCommand>;
}

export interface LoadedCommand {
  /** Resolves with the exit code. Throws SettingsError or UsageError for what its user can mend. */
  run(invocation: Invocation): Promise<number>;
}

/** One use of a command. */
export interface Invocation {
  readonly command: Command;
  readonly args: Args;
  readonly world: World;
}
