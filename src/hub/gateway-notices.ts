import type { HealthChecks } from '../upstream/health/checks.ts';
import type { Member } from '../upstream/member.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import type { GatewayAgents } from './gateway-agents.ts';
import type { GatewayCertificates } from './gateway-certificates.ts';
import type { House } from './house.ts';
import type { MadeCertificates } from './made-certificates.ts';
import type { SeenCertificate, SeenEndpoint, SeenUpstream } from './notices/lookout.ts';
import { Notices } from './notices/notices.ts';

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
    sources: {
      waiting: () => agents.waiting,
      endpoints: () => endpointsOf(upstreams, health),
      upstreams: () => upstreamsOf(upstreams, agents),
      agents: () => [...(agents.pool?.sessions ?? [])].map(({ agent }) => agent),
      certificates: () => certificatesOf(certificates, made),
    },
  });
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

function* endpointsOf(upstreams: Upstreams, health: HealthChecks): Iterable<SeenEndpoint> {
  /** Made when something is ill. */
  let reasons: ReadonlyMap<string, string> | null = null;
  for (const { name, members } of upstreams.groups) {
    for (const member of members.values()) {
      const is = stateOf(member);
      if (is === 'ill' && !member.active) reasons ??= new Map(health.describe().map((one) => [`${one.upstream}\n${one.endpoint}`, one.lastReason]));
      yield { upstream: name, endpoint: member.id, is, reason: is === 'ill' ? reasonOf(member, reasons?.get(`${name}\n${member.id}`) ?? '') : '' };
    }
  }
}

/** One that operators have taken out is not ill, nor is one that is being tried well. */
function stateOf(member: Member): SeenEndpoint['is'] {
  if (!member.active) return 'ill';
  if (member.isOut || member.condition === 'trying') return 'undecided';
  return member.condition === 'well' ? 'well' : 'ill';
}

function reasonOf({ active, condition }: Member, checked: string): string {
  if (!active) return `its health check says: ${checked === '' ? 'not well' : checked}`;
  return condition === 'broken' ? 'too many of its answers were failures (circuit breaker)' : 'it failed of late';
}

function* upstreamsOf(upstreams: Upstreams, agents: GatewayAgents): Iterable<SeenUpstream> {
  for (const { name, members } of upstreams.groups) {
    let isUp = members.size === 0;
    for (const { usable } of members.values()) isUp ||= usable;
    yield { name, isUp, isPatient: false };
  }
  for (const { name, hasWorkers } of agents.selections) yield { name, isUp: hasWorkers, isPatient: true };
}
