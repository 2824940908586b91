import { completionTable } from '../config/completion.ts';
import { completionScript, type Completed } from './completion-script.ts';
import type { Command, Invocation } from './command.ts';
import { flagsOf } from './flag-spellings.ts';
import { settingsOf } from './settings.ts';
import { fileTwin, flagName, type Table } from '../schema/setting.ts';

/** `completion`: what a shell reads to complete these commands and their flags. */
export async function run(invocation: Invocation, commands: readonly Command[]): Promise<number> {
  const { values } = await settingsOf(completionTable, invocation);
  const all: Completed[] = [];
  for (const command of commands) {
    const isFiled = command.section !== null || command.wholeFile === true;
    all.push({
      words: command.words,
      summary: command.summary,
      flags: [
        ...flagsIn(await command.table()),
        ...Object.entries(command.switches).map(([name, help]) => ({ name, help, choices: [], isAlone: true })),
        ...(isFiled ? [{ name: 'config', help: 'a file or a folder of them', choices: [], isAlone: false }] : []),
        { name: 'help', help: 'the page of this command', choices: [], isAlone: true },
      ],
    });
  }
  invocation.world.stdout.write(completionScript(values.shell, all));
  return 0;
}

function flagsIn(table: Table): Completed['flags'] {
  return Object.entries(table).flatMap(([name, setting]) => {
    const { kind, help, secret } = setting;
    const isAlone = kind.word === 'BOOL';
    const flags = flagsOf(name, setting).map((flag) => ({ name: flag.slice(2), help, choices: isAlone ? [] : kind.choices, isAlone }));
    return secret === undefined ? flags : [...flags, { name: flagName(fileTwin(name)), help: `${help}, from a file`, choices: [], isAlone: false }];
  });
}
