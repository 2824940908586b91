import type { HealthChecks } from '../../upstream/health/checks.ts';
import type { Member } from '../../upstream/member.ts';
import type { Upstreams } from '../../upstream/upstreams.ts';
import { VERSION } from '../../observe/version.ts';

/** Endpoints that one answer lists; the numbers count all of them. */
const ENDPOINTS_LISTED = 1_000;

/** What an operator may see of a gateway's upstreams of addresses at `/status`. */
export interface UpstreamStatus {
  readonly upstream: string;
  /** IP address and port. */
  readonly endpoint: string;
  /** As it stands in the file. */
  readonly host: string;
  readonly usable: boolean;
  /** `ejected`: it failed of late; `broken`: its circuit breaker is open; `trying`: half open; `unhealthy`: its health check fails; `out`: operators have taken it out. */
  readonly condition: 'well' | 'ejected' | 'broken' | 'trying' | 'unhealthy' | 'out';
  readonly inFlight: number;
  /** How busy it says it is, or is said to be, 0 to 0.99; absent where nobody asks. */
  readonly load?: number;
  /** What its health check said last; absent where none has looked yet. */
  readonly check?: { readonly healthy: boolean; readonly reason: string };
}

export interface GatewayStatus {
  readonly version: string;
  readonly state: 'serving' | 'draining';
  readonly endpoints: number;
  readonly usable: number;
  /** The first thousand. */
  readonly upstreams: readonly UpstreamStatus[];
}

/** The gateway as it is now, but for its agents. */
export function gatewayStatus(state: GatewayStatus['state'], upstreams: Upstreams, health: HealthChecks): GatewayStatus {
  const checks = new Map(health.describe().map((report) => [`${report.upstream}\n${report.endpoint}`, report]));
  const rows: UpstreamStatus[] = [];
  let endpoints = 0;
  let usable = 0;
  for (const group of upstreams.groups) {
    for (const member of group.members.values()) {
      endpoints++;
      if (member.usable) usable++;
      if (rows.length >= ENDPOINTS_LISTED) continue;
      const check = checks.get(`${group.name}\n${member.id}`);
      rows.push({
        upstream: group.name,
        endpoint: member.id,
        host: member.at.host,
        usable: member.usable,
        condition: conditionOf(member),
        inFlight: member.inFlight,
        ...(member.loads === null ? {} : { load: member.loads.now }),
        ...(check === undefined ? {} : { check: { healthy: check.healthy, reason: check.lastReason } }),
      });
    }
  }
  return { version: VERSION, state, endpoints, usable, upstreams: rows };
}

/** How an endpoint is, in a word. */
export function conditionOf(member: Member): UpstreamStatus['condition'] {
  if (member.isOut) return 'out';
  return member.active ? member.condition : 'unhealthy';
}
