import { formatAddress } from '../../schema/address.ts';
import type { AgentPool } from '../../upstream/agents.ts';
import { ConsoleOverview, NO_FILE } from './overview.ts';
import type { Front } from '../front.ts';

/** How a hub without a file fares: one listener, and all agents behind it. `outside`: requests that wait to come inside. */
export function hubOverview(front: Front, pool: AgentPool, outside: () => number): ConsoleOverview {
  const { house } = front;
  const everybody = {
    name: AGENTS,
    get waiting() {
      return pool.waiting;
    },
  };
  return new ConsoleOverview({
    house,
    servers: () => new Map(front.listener === null ? [] : [[HUB, formatAddress(front.listener.address)]]),
    groups: () => [],
    checks: () => [],
    pool: () => pool,
    agentUpstreams: () => [everybody],
    upstreamsOf: () => [AGENTS],
    outside,
    certificates: () => front.certificates,
    config: () => Promise.resolve(NO_FILE),
  });
}

/** What the listener of a hub, and its agents, are called where gateways have names. */
export const HUB = 'hub';
export const AGENTS = 'agents';
