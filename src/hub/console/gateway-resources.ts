import { hostname } from 'node:os';
import { formatAddress } from '../../schema/address.ts';
import type { AgentsBackend } from '../../admin/agents-routes.ts';
import type { CertificatesBackend } from '../../admin/certificates-routes.ts';
import type { QueueBackend } from '../../admin/queue-routes.ts';
import type { UpstreamsBackend } from '../../admin/upstreams-routes.ts';
import type { HealthChecks } from '../../upstream/health/checks.ts';
import type { Upstreams } from '../../upstream/upstreams.ts';
import type { GatewaySettings } from '../../config/gateway.ts';
import { ConsoleAgents } from './agents.ts';
import { ConsoleCertificates } from './certificates.ts';
import { ConsoleQueue } from './queue.ts';
import { ConsoleUpstreams } from './upstreams.ts';
import type { GatewayAgents } from '../gateway/agents.ts';
import type { GatewayCertificates } from '../gateway/certificates.ts';
import type { RunningGateway } from '../gateway/gateway.ts';
import type { House } from '../house.ts';
import type { MadeCertificates } from '../made-certificates.ts';

/** Resources that a console shows. */
export interface Resources {
  readonly agents: AgentsBackend;
  readonly queue: QueueBackend;
  readonly upstreams: UpstreamsBackend;
  readonly certificates: CertificatesBackend;
}

export interface GatewayResourcesOptions {
  readonly house: House;
  readonly agents: GatewayAgents;
  readonly upstreams: Upstreams;
  readonly health: HealthChecks;
  readonly certificates: GatewayCertificates;
  readonly made: MadeCertificates;
  /** Those that serve. */
  readonly settings: () => GatewaySettings;
  readonly addresses: () => RunningGateway['addresses'];
}

/** Agents, queue, upstreams and certificates of a gateway, for its console. */
export function gatewayResources(of: GatewayResourcesOptions): Resources {
  const { house, agents, upstreams, health, certificates, made, settings } = of;
  const { log } = house;
  const { clock } = house.loop;
  return {
    agents: new ConsoleAgents({
      desk: () => agents.desk,
      hubUrl: () => hubUrl(of),
      clock,
      log,
      changed: () => house.console?.changed('agents'),
    }),
    queue: new ConsoleQueue({
      pool: () => agents.pool,
      outside: () => 0,
      byUpstream: () => agents.selections.map(({ name, waiting }) => ({ upstream: name, size: waiting })),
      clock,
      log,
      changed: () => house.console?.changed('queue'),
    }),
    upstreams: new ConsoleUpstreams({
      groups: () => upstreams.groups,
      group: (name) => upstreams.group(name),
      selections: () => agents.selections,
      members: () => agents.pool?.members ?? [],
      health,
      locations: () => locationsByUpstream(settings()),
      log,
      changed: () => house.console?.changed('upstreams'),
    }),
    certificates: new ConsoleCertificates({ shown: () => certificates.shown, orderOf: (label) => made.statusOf(label).order, clock }),
  };
}

/** Where agents may dial in: the first server that lets them. */
function hubUrl({ settings, addresses }: GatewayResourcesOptions): string | null {
  for (const { name, accepts, tls } of settings().servers.values()) {
    const address = accepts.includes('native') ? addresses().get(name)?.[0] : undefined;
    if (address !== undefined) return dialled(address, tls !== null);
  }
  return null;
}

/** As it may be written elsewhere. */
export function dialled({ host, port }: { readonly host: string; readonly port: number }, isSecure: boolean): string {
  const isAny = host === '0.0.0.0' || host === '::';
  return `${isSecure ? 'https' : 'http'}://${formatAddress({ host: isAny ? hostname() : host, port })}`;
}

function locationsByUpstream({ locations }: GatewaySettings): ReadonlyMap<string, readonly string[]> {
  const byUpstream = new Map<string, string[]>();
  for (const { name, settings } of locations.values()) {
    if (settings.upstream === null) continue;
    const names = byUpstream.get(settings.upstream);
    if (names === undefined) byUpstream.set(settings.upstream, [name]);
    else names.push(name);
  }
  return byUpstream;
}
