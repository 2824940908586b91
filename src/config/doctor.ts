import { duration } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { agentTable } from './agent.ts';
import { hubTable } from './hub.ts';

const { hub, token, upstream, wire, transport, proxy, caFile, certFile, keyFile, healthCheck } = agentTable;

/** Settings of `doctor`: those of an agent that have to do with reaching others, and none of them is needed. */
export const doctorTable = {
  hub: { ...hub, fallback: [], fallbackText: 'no hub is asked', hint: '' },
  token: { ...token, fallback: null, fallbackText: 'none' },
  upstream: { ...upstream, fallback: [], fallbackText: 'none is looked at', hint: '' },
  wire,
  transport,
  proxy,
  caFile,
  certFile,
  keyFile,
  healthCheck,
  timeout: setting({ kind: duration(), group: 'How', help: 'how long any single step may take', fallback: 5_000, inFile: false }),
} as const;

/** What a section [hub] says of where it listens. */
export const hubPortsTable = { host: hubTable.host, port: hubTable.port, adminAddr: hubTable.adminAddr } as const;
