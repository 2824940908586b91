import type { HealthChecks } from '../../upstream/health/checks.ts';
import type { Member } from '../../upstream/member.ts';
import type { Upstreams } from '../../upstream/upstreams.ts';
import type { GatewayAgents } from './agents.ts';
import type { GatewayCertificates } from './certificates.ts';
import type { House } from '../house.ts';
import type { MadeCertificates } from '../made-certificates.ts';
import type { SeenCertificate, SeenEndpoint, SeenUpstream } from '../notices/lookout.ts';
import { Notices } from '../notices/notices.ts';

export interface GatewayNoticesParts {
  readonly house: House;
  readonly upstreams: Upstreams;
  readonly health: HealthChecks;
  readonly agents: GatewayAgents;
  readonly certificates: GatewayCertificates;
  readonly made: MadeCertificates;
}

/** What is told of a gateway. */
export function gatewayNotices({ house, upstreams, health, agents, certificates, made }: GatewayNoticesParts): Notices {
  const { loop, log, metrics } = house;
  return new Notices({
    loop,
    log,
    metrics,
    isEnding: () => house.draining,
    sources: {
      waiting: () => agents.waiting,
      endpoints: () => endpointsOf(upstreams),
      reasonOf: ({ upstream, endpoint }) => reasonOf(upstreams.group(upstream)?.members.get(endpoint), upstream, health),
      upstreams: () => upstreamsOf(upstreams, agents),
      agents: () => agentsOf(agents),
      certificates: () => certificatesOf(certificates, made),
    },
  });
}

function* agentsOf({ pool }: GatewayAgents): Iterable<{ readonly id: string; readonly name: string; readonly address: string }> {
  for (const { agent } of pool?.sessions ?? []) yield agent;
}

function* certificatesOf(certificates: GatewayCertificates, made: MadeCertificates): Iterable<SeenCertificate> {
  const ends = new Map(certificates.report.map(({ certificate, notAfter }) => [certificate, Date.parse(notAfter)]));
  for (const { label, problem } of certificates.shown) {
    const { order } = made.statusOf(label);
    // What stands in for one that is still being ordered ends when it comes.
    const notAfterMs = order?.state === 'placeholder' ? Infinity : (ends.get(label) ?? Infinity);
    yield { name: label, notAfterMs, problem: problem === '' ? (order?.lastError ?? '') : problem };
  }
}

function* endpointsOf(upstreams: Upstreams): Iterable<SeenEndpoint> {
  for (const { name, members } of upstreams.groups)
    for (const member of members.values()) yield { key: member, upstream: name, endpoint: member.id, is: stateOf(member) };
}

/** One that operators have taken out is not ill, nor is one that is being tried well. */
function stateOf(member: Member): SeenEndpoint['is'] {
  if (!member.active) return 'ill';
  if (member.isOut || member.condition === 'trying') return 'undecided';
  return member.condition === 'well' ? 'well' : 'ill';
}

function reasonOf(member: Member | undefined, upstream: string, health: HealthChecks): string {
  if (member === undefined) return 'it is gone';
  if (member.active) return member.condition === 'broken' ? 'too many of its answers were failures (circuit breaker)' : 'it failed of late';
  const said = health.describe().find((one) => one.upstream === upstream && one.endpoint === member.id)?.lastReason ?? '';
  return `its health check says: ${said === '' ? 'not well' : said}`;
}

function* upstreamsOf(upstreams: Upstreams, agents: GatewayAgents): Iterable<SeenUpstream> {
  for (const { name, members } of upstreams.groups) {
    let isUp = members.size === 0;
    for (const { usable } of members.values()) isUp ||= usable;
    yield { name, isUp, isPatient: false };
  }
  for (const { name, hasWorkers } of agents.selections) yield { name, isUp: hasWorkers, isPatient: true };
}
