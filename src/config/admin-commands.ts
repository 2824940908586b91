import { choice, duration, integer, labels, text, textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { adminClientTable } from './admin-client.ts';
import { registerTable } from './register.ts';

const WHICH = 'Which ones';
const AGENT = 'The agent';

const limit = setting({ kind: integer(1, 100_000), group: WHICH, help: 'how many to show at most', fallback: 1_000, inFile: false });

const agent = setting<string>({
  kind: text('AGENT', 'id, or a name that only one agent has'),
  group: AGENT,
  help: 'its id, or its name when no other agent has it; may stand without its flag',
  hint: 'windlass agents shows those there are',
  inFile: false,
});

/** Settings of `console`. */
export const consoleTable = adminClientTable;

/** Settings of `agents`. */
export const agentsListTable = {
  query: setting<string>({
    kind: text('TEXT', 'part of a name, an id or a label'),
    group: WHICH,
    help: 'only those with this in their name, id or labels; may stand without its flag',
    fallback: '',
    fallbackText: 'all',
    inFile: false,
  }),
  state: setting<'any' | 'serving' | 'draining' | 'away'>({
    kind: choice(['any', 'serving', 'draining', 'away']),
    group: WHICH,
    help: 'only those in this state',
    fallback: 'any',
    inFile: false,
  }),
  limit,
  ...adminClientTable,
} as const;

/** Settings of `agents show`, `agents drain` and `agents resume`. */
export const agentTable = { agent, ...adminClientTable } as const;

/** Settings of `agents revoke`. */
export const agentRevokeTable = {
  agent,
  reason: setting<string>({
    kind: text('TEXT', 'a few words'),
    group: AGENT,
    help: 'why, for those who look later',
    fallback: '',
    fallbackText: 'none',
    inFile: false,
  }),
  ...adminClientTable,
} as const;

/** Settings of `agents register`. */
export const agentRegisterTable = {
  name: setting<string>({
    kind: textLike(/^[^\p{C}]{1,100}$/u, 'NAME', 'name', 'use 1 to 100 printable characters'),
    group: AGENT,
    help: 'name for people; may stand without its flag',
    hint: 'such as --name gpu-box',
    inFile: false,
  }),
  age: { ...registerTable.age, group: AGENT, slime: false },
  scopes: { ...registerTable.scopes, group: AGENT, slime: false },
  scopePaths: { ...registerTable.scopePaths, group: AGENT, slime: false },
  label: setting<ReadonlyMap<string, string>>({ ...registerTable.label, kind: labels(), group: AGENT }),
  ...adminClientTable,
} as const;

/** Settings of `queue`. */
export const queueTable = { limit: { ...limit, fallback: 100 }, ...adminClientTable } as const;

/** Settings of `queue cancel`. */
export const queueCancelTable = {
  id: setting<string>({
    kind: text('ID', 'id of a waiting request'),
    group: 'The request',
    help: 'its id; may stand without its flag',
    hint: 'windlass queue shows the ids',
    inFile: false,
  }),
  ...adminClientTable,
} as const;

/** Settings of `upstreams`. */
export const upstreamsTable = {
  query: setting<string>({
    kind: text('TEXT', 'part of a name or an address'),
    group: WHICH,
    help: 'only those with this in their name or an address; may stand without its flag',
    fallback: '',
    fallbackText: 'all',
    inFile: false,
  }),
  ...adminClientTable,
} as const;

/** Settings of `upstreams out` and `upstreams in`. */
export const endpointTable = {
  endpoint: setting<string>({
    kind: text('UPSTREAM/ENDPOINT', 'name of an upstream and address of an endpoint'),
    group: 'The endpoint',
    help: 'which one, such as api/10.0.0.1:8080; may stand without its flag',
    hint: 'windlass upstreams shows those there are',
    inFile: false,
  }),
  ...adminClientTable,
} as const;

/** Settings of `top`. */
export const topTable = {
  interval: setting({
    kind: duration(),
    group: 'How',
    help: 'how often the tables below are asked for; figures come each second',
    fallback: 2_000,
    inFile: false,
  }),
  count: setting<number | null>({
    kind: integer(1, 1_000_000),
    group: 'How',
    help: 'end after so many lines',
    fallback: null,
    fallbackText: 'when it is told to',
    inFile: false,
  }),
  ...adminClientTable,
} as const;

/** Settings of `status`. */
export const statusTable = adminClientTable;
