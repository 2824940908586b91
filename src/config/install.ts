import { path, toggle } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { agentTable } from './agent.ts';
import { hubTable } from './hub.ts';

const UNIT = 'The unit';

const unitTable = {
  write: setting<string | null>({
    kind: path('path of the unit file'),
    group: UNIT,
    help: 'write the unit there instead of printing it',
    fallback: null,
    fallbackText: 'standard output',
    inFile: false,
  }),
  user: setting({ kind: toggle(), group: UNIT, help: 'a unit of systemctl --user, without root', fallback: false, inFile: false }),
} as const;

/** Settings of `agent install`: those that the agent is to run with, and what becomes of the unit. */
export const agentInstallTable = { ...unitTable, ...agentTable } as const;

/** Settings of `hub install`. */
export const hubInstallTable = { ...unitTable, ...hubTable } as const;
