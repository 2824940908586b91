import { formatAddress, type Address } from '../../schema/address.ts';
import type { AgentMember } from '../../upstream/agent-member.ts';
import type { HealthChecks } from '../../upstream/health/checks.ts';
import type { Upstreams } from '../../upstream/upstreams.ts';
import type { AppliedConfig } from '../../admin/model.ts';
import { ConsoleOverview } from './overview.ts';
import type { GatewayAgents } from '../gateway/agents.ts';
import type { GatewayCertificates } from '../gateway/certificates.ts';
import type { House } from '../house.ts';

export interface GatewayOverviewParts {
  readonly house: House;
  readonly upstreams: Upstreams;
  readonly health: HealthChecks;
  readonly agents: GatewayAgents;
  readonly certificates: GatewayCertificates;
  readonly addresses: () => ReadonlyMap<string, readonly Address[]>;
  readonly config: () => Promise<AppliedConfig>;
}

/** How a gateway fares. */
export function gatewayOverview({ house, upstreams, health, agents, certificates, addresses, config }: GatewayOverviewParts): ConsoleOverview {
  return new ConsoleOverview({
    house,
    servers: () => new Map([...addresses()].map(([name, all]) => [name, all.map(formatAddress).join(', ')])),
    groups: () => upstreams.groups,
    checks: () => health.describe(),
    pool: () => agents.pool,
    agentUpstreams: () => agents.selections,
    upstreamsOf,
    outside: () => 0,
    certificates: () => certificates.report.map(({ certificate, notAfter }) => ({ name: certificate, notAfterMs: Date.parse(notAfter) })),
    config,
  });
}

/** Those with lanes that it stands in. */
function upstreamsOf({ lanes }: AgentMember): readonly string[] {
  // Nearly all stand in one, and there may be ten thousand.
  if (lanes.length === 1) return [lanes[0]!.selection.name];
  return [...new Set(lanes.map(({ selection }) => selection.name))];
}
