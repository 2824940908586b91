import { agentSettings, agentTable } from '../config/agent.ts';
import type { AgentSettings } from '../config/settings.ts';
import { DIRECT, type Egress, egressOf } from '../schema/egress.ts';
import { Wrong } from '../schema/wrong.ts';
import { SettingsError } from '../config/settings-error.ts';
import type { RunningAgent } from '../agent/process.ts';
import type { Log } from '../observe/log.ts';
import { formatAddress, isLoopback } from '../schema/address.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import { defaultStateDir } from './state-dir.ts';
import { logFor, nextStep, runUntilSignal, warnOfArguments } from './start.ts';

export async function run(invocation: Invocation): Promise<number> {
  const { world } = invocation;
  const { values, sources } = await settingsOf(agentTable, invocation);
  const path = sources.get('token')!.path;
  const stateDir = sources.get('stateDir')!.level === 'default' ? defaultStateDir(world.env) : values.stateDir;
  const settings = agentSettings(values, path === '-' ? null : path, stateDir, values.proxy === 'environment' ? egressFrom(world.env) : DIRECT);
  if (settings.slotsLock !== null && process.platform !== 'linux')
    throw new SettingsError(['--slots-lock needs Linux, whose kernel keeps the locks; leave it out here']);
  const log = logFor(settings, world);
  warnOfArguments(agentTable, sources, log);
  warnOfRisks(settings, log);
  return runUntilSignal(
    async () => {
      const { startAgent } = await import('../agent/process.ts');
      const agent = await startAgent(settings, { log });
      log.info(
        {
          hub: settings.hubs.map((hub) => hub.shown).join(','),
          upstream: settings.upstreams.map((upstream) => upstream.shown).join(','),
          slots: settings.slots,
        },
        'the agent dials out',
      );
      if (agent.adminAddress !== null)
        log.info({ address: `http://${formatAddress(agent.adminAddress)}` }, 'health and metrics are at /healthz, /readyz, /metrics');
      // Clients ask a Cranker router at another port than connectors do, which nobody here knows.
      if (settings.cranker === null) nextStep(['Next, ask the service through the hub:', `curl ${settings.hubs[0]!.shown}/`], settings, world);
      return { ...agent, reload: () => void reload(agent, invocation, log) };
    },
    settings,
    log,
    world,
  );
}

/** @throws SettingsError */
function egressFrom(env: Readonly<Record<string, string | undefined>>): Egress {
  try {
    return egressOf(env);
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    throw new SettingsError([`environment ${error.part} ${error.message}; ${error.fix}`]);
  }
}

/** On SIGHUP: the token file anew, and the number of slots from the configuration file. */
async function reload(agent: RunningAgent, invocation: Invocation, log: Log): Promise<void> {
  agent.reload();
  try {
    const { values } = await settingsOf({ numWorker: agentTable.numWorker }, invocation, agentTable);
    agent.resize(values.numWorker);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    for (const line of error.lines) log.error({}, `the configuration was not read anew: ${line}`);
  }
}

function warnOfRisks(settings: AgentSettings, log: Log): void {
  for (const hub of settings.hubs) {
    if (hub.protocol === 'http' && !isLoopback(hub.host)) {
      log.warn({ hub: hub.shown }, 'the token and all requests travel unencrypted to this hub; use https:// unless the network is yours');
    }
  }
  if (settings.agentId === null && settings.stateDir === null) {
    log.warn({}, "no folder for the agent's id: it changes at each start; set --state-dir or --agent-id");
  }
}
