import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { agentTable } from '../config/agent.ts';
import { hubSettings, hubTable } from '../config/hub.ts';
import { agentInstallTable, hubInstallTable } from '../config/install.ts';
import { fileTwin, flagName, type Table } from '../schema/setting.ts';
import type { Args } from './args.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import { MARK, unitText, type UnitFlag } from './unit.ts';
import { UsageError } from './usage-error.ts';

/** `agent install` and `hub install`: a systemd unit for the flags given. */
export async function run(invocation: Invocation): Promise<number> {
  const { command, args, world } = invocation;
  // A unit does not have the environment of who installs it.
  const bare = { ...invocation, world: { ...world, env: {} } };
  const role = command.words[0] === 'hub' ? 'hub' : 'agent';
  let port = 0;
  let unitSettings: { readonly write: string | null; readonly user: boolean; readonly drainTimeout: number; readonly drainDelay?: number };
  if (role === 'hub') {
    const { values } = await settingsOf(hubInstallTable, bare, hubTable);
    ({ port } = hubSettings(values, () => 'hub'));
    unitSettings = values;
  } else unitSettings = (await settingsOf(agentInstallTable, bare, agentTable)).values;
  const text = unitText({
    description: role === 'hub' ? 'Windlass hub' : 'Windlass agent',
    program: [...world.program, role, 'run'],
    flags: flagsOf(args, role === 'hub' ? hubTable : agentTable, command.words.join(' ')),
    isForUser: unitSettings.user,
    bindsLowPort: port > 0 && port < 1024,
    stopS: Math.ceil((unitSettings.drainTimeout + (unitSettings.drainDelay ?? 0)) / 1000) + 10,
  });
  if (unitSettings.write === null) {
    world.stdout.write(text);
    return 0;
  }
  return write(unitSettings.write, text, unitSettings.user, invocation);
}

function write(path: string, text: string, isForUser: boolean, { world }: Invocation): number {
  try {
    if (existsSync(path) && !readFileSync(path, 'utf8').startsWith(MARK)) {
      world.stderr.write(`windlass: ${path} is there and is not ours: move it away, or choose another --write PATH\n`);
      return 1;
    }
    writeFileSync(path, text, { mode: 0o644 });
  } catch (error) {
    world.stderr.write(`windlass: ${path} cannot be written (${(error as NodeJS.ErrnoException).code}); sudo may be what is missing\n`);
    return 1;
  }
  const name = path.split('/').at(-1)!;
  const systemctl = isForUser ? 'systemctl --user' : 'systemctl';
  world.stderr.write(`${path} is written. Next:\n${systemctl} daemon-reload\n${systemctl} enable --now ${name}\n`);
  return 0;
}

/** The flags for the unit: paths from the root, secrets by file only. */
function flagsOf(args: Args, table: Table, command: string): readonly UnitFlag[] {
  const flags: UnitFlag[] = [];
  if (args.config !== null) flags.push({ flag: 'config', value: resolve(args.config), credential: null });
  for (const [name, texts] of args.flags) {
    const secretOf = Object.keys(table).find((one) => table[one]!.secret !== undefined && fileTwin(one) === name);
    if (secretOf !== undefined) {
      const path = texts.at(-1)!;
      if (path === '-') throw new UsageError(`${command}: a service has no standard input; give --${flagName(name)} the path of a file`);
      flags.push({ flag: flagName(name), value: resolve(path), credential: flagName(secretOf) });
      continue;
    }
    const setting = table[name];
    if (setting === undefined) continue;
    const flag = flagName(name);
    if (setting.secret !== undefined)
      throw new UsageError(`${command}: a unit is readable by everybody; give --${flag}-file PATH instead of --${flag}`);
    for (const text of texts) {
      if (setting.kind.redact(text) !== text) {
        throw new UsageError(
          `${command}: a unit is readable by everybody, and --${flag} has a name or password in it; put it into a file: --config PATH`,
        );
      }
      const isPath = PATHS.has(name) && !WORDS.has(text);
      flags.push({ flag, value: isPath ? resolve(text) : text, credential: isPath && CREDENTIALS.has(name) ? flag : null });
    }
  }
  return flags;
}

const PATHS: ReadonlySet<string> = new Set(['caFile', 'certFile', 'keyFile', 'tlsCert', 'tlsKey', 'tlsClientCa', 'stateDir', 'accessLog']);
/** What may stand in place of a path. */
const WORDS: ReadonlySet<string> = new Set(['off', 'none', 'stdout', '-']);
/** A key is usually readable by root alone. The certificate goes with it, so that both change at the same moment. */
const CREDENTIALS: ReadonlySet<string> = new Set(['tlsCert', 'tlsKey']);
