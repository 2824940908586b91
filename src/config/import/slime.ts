import { stringify } from 'smol-toml';
import { parse } from 'yaml';
import { tomlName, type Table } from '../../schema/setting.ts';
import { agentTable } from '../agent.ts';
import { isTable } from '../expand.ts';
import type { ReadText } from '../file.ts';
import { knownKeys } from '../file.ts';
import { hubTable } from '../hub.ts';
import type { Imported } from './pingap.ts';
import { configLimits } from '../limits.ts';
import { registerTable } from '../register.ts';
import { SettingsError } from '../settings-error.ts';

/** A configuration of slime: flat, or with `hub` and `agent` tables. @throws SettingsError when it cannot be read at all */
export function importSlime(path: string, readText: ReadText): Imported {
  let data: unknown;
  let written: unknown;
  try {
    const text = readText(path, configLimits.secretFileBytes);
    data = parse(text, { maxAliasCount: 0 });
    written = parse(text, { maxAliasCount: 0, schema: 'failsafe' });
  } catch (error) {
    // A YAML error quotes the file, which may hold secrets.
    const { linePos, message } = error as Error & { linePos?: readonly { readonly line: number; readonly col: number }[] };
    const at = linePos?.[0];
    throw new SettingsError([at === undefined ? `${path} ${message.split('\n')[0]}` : `${path}:${at.line}:${at.col} is no valid YAML`]);
  }
  if (!isTable(data)) throw new SettingsError([`${path} holds no settings; slime's are lines such as appPassword: TEXT`]);
  const notes: string[] = [];
  const file: Record<string, Record<string, unknown>> = {};
  take(data, written, null, file, notes);
  return { toml: stringify(file), notes, usable: notes.length === 0 };
}

const SECTIONS: ReadonlyMap<string, Table> = new Map<string, Table>([
  ['hub', { ...registerTable, ...hubTable }],
  ['agent', agentTable],
]);

/** `written`: the same with every value as the text that stands there. A password of digits is no number. */
function take(
  data: Readonly<Record<string, unknown>>,
  written: unknown,
  within: string | null,
  file: Record<string, Record<string, unknown>>,
  notes: string[],
): void {
  for (const [key, value] of Object.entries(data)) {
    if (value === null || value === '') continue;
    // `hub: ADDRESS` is the agent's key; `hub:` with lines below it is the section.
    if (within === null && SECTIONS.has(key) && isTable(value)) {
      // slime's own commands are one level deeper: hub.run, hub.register, agent.run.
      const { run, register, ...rest } = value;
      const texts = textOf(written, key);
      take(rest, texts, key, file, notes);
      if (isTable(run)) take(run, textOf(texts, 'run'), key, file, notes);
      if (isTable(register)) take(register, textOf(texts, 'register'), key, file, notes);
      continue;
    }
    const sections = within === null ? [...SECTIONS.keys()] : [within];
    const wanted = key.toLowerCase().replace(/[-_]/g, '');
    let isKnown = false;
    for (const section of sections) {
      const found = [...knownKeys(SECTIONS.get(section)!)].find(([spelling]) => spelling.replaceAll('_', '') === wanted);
      if (found === undefined) continue;
      isKnown = true;
      const isSecret = SECTIONS.get(section)![found[1]]?.secret !== undefined;
      const text = textOf(written, key);
      const meant = isSecret && typeof text === 'string' ? text : value;
      (file[section] ??= {})[tomlName(found[1])] = isTable(meant) ? JSON.stringify(meant) : meant;
    }
    if (!isKnown) notes.push(`${within === null ? '' : `${within}.`}${key} is not known and was left out`);
  }
}

function textOf(written: unknown, key: string): unknown {
  return isTable(written) ? written[key] : undefined;
}
