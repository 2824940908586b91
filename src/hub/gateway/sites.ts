import { CHALLENGE_PATH, type Http01Answers } from '../../certs/acme/http-01.ts';
import type { TicketKeys } from '../../certs/ticket-keys.ts';
import type { Log } from '../../observe/log.ts';
import { formatAddress, type Address } from '../../schema/address.ts';
import { Failure } from '../../http/failure.ts';
import type { RequestHead } from '../../http/head.ts';
import type { ProxyProtocolIn } from '../../http/proxy-protocol.ts';
import type { ServerTls } from '../../http/tls-listener.ts';
import type { Upstream } from '../../upstream/upstream.ts';
import { ErrorPages } from '../../proxy/error-pages.ts';
import { InspectedServer } from '../../proxy/inspector.ts';
import type { Journal } from '../../proxy/journal.ts';
import { type Load, type Location, type Match, plainLocation } from '../../proxy/location.ts';
import type { PluginChain } from '../../proxy/plugin-chain.ts';
import type { LocationSettings } from '../../proxy/location-section.ts';
import { Router } from '../../proxy/router.ts';
import type { Rule } from '../../proxy/rule.ts';
import type { Site } from '../../proxy/site.ts';
import type { LocationTally } from '../../proxy/tally.ts';
import { GRPC_HEALTH } from '../../admin/grpc-health.ts';
import type { GatewaySettings } from '../../config/gateway.ts';
import type { Wire } from '../../config/settings.ts';
import type { ServerSettings } from '../../config/sections/server.ts';
import { Slices } from '../../config/slices.ts';
import { challengeLocation } from '../challenge-location.ts';
import type { AgentEntries } from './agents.ts';
import { makeLocation, serverFacts } from './locations.ts';
import type { Journals } from './journals.ts';
import type { PreparedCertificates } from './certificates.ts';
import { gatewayTls } from './tls.ts';
import { tellOfTls } from '../handshakes.ts';
import type { House } from '../house.ts';
import { httpsLocation, isWithoutTls } from '../https-location.ts';
import type { ListenerSpec } from '../listener.ts';
import { healthLocation, operatorsLocation } from '../operators-location.ts';
import { consoleAt } from '../console/location.ts';
import { takeOutOurs } from '../our-fields.ts';

export interface SiteSurroundings {
  readonly house: House;
  readonly journals: Journals;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly upstream: (name: string) => Upstream | null;
  readonly load: (name: string) => Load;
  /** Where the requests of a location of a server are counted. */
  readonly tally: (server: string, location: string, upstream: string) => LocationTally;
  readonly certificates: PreparedCertificates;
  readonly ticketKeys: TicketKeys;
  /** Null: no certificate is ordered. */
  readonly answers: Http01Answers | null;
  /** Null: none. */
  readonly plugins: (names: readonly string[]) => PluginChain | null;
}

/** What the servers of a configuration serve. */
export interface Sites {
  /** `entriesOf`: how agents of these wires dial in. */
  listenerOf(server: string, address: Address, entriesOf: (accepts: readonly Wire[]) => AgentEntries): ListenerSpec;
  /** Journals in use. */
  readonly journals: ReadonlySet<Journal>;
}

/** Makes routers, locations and error pages of all servers, in slices: requests are served meanwhile. @throws Wrong, or the error of a log file */
export async function makeSites(settings: GatewaySettings, around: SiteSurroundings): Promise<Sites> {
  const slices = new Slices();
  const made = new Map<string, { readonly server: ServerSettings; readonly site: Site; readonly tls: ServerTls | null }>();
  const journals = new Set<Journal>();
  for (const server of settings.servers.values()) {
    const site = await makeSite(server, settings, around, slices);
    if (server.accessLog !== null) journals.add(around.journals.open(server.accessLog));
    made.set(server.name, { server, site, tls: gatewayTls(server, around.certificates, around.ticketKeys, around.house) });
  }
  return {
    journals,
    listenerOf: (name, address, entriesOf) => {
      const { server, site, tls } = made.get(name)!;
      const { log } = around.house;
      const { takeOver, slime } = entriesOf(server.accepts);
      return {
        address,
        limits: server.limits,
        site,
        halfClose: server.halfClose === 'answer' ? 'answer' : 'depart',
        descriptorsPerClient: 2,
        ...(takeOver === null ? {} : { takeOver }),
        ...(slime === null ? {} : { slime }),
        ...(tls === null ? { spokeTls: tellOfTls(log, around.house.loop.clock, { server: name }) } : { tls }),
        proxyProtocol: server.proxyProtocol === 'off' ? null : proxyProtocolOf(server, log),
      };
    },
  };
}

/** The first connection that is closed is a warning, since a balancer that is not believed serves nobody; the others may be anybody's. */
function proxyProtocolOf(server: ServerSettings, log: Log): ProxyProtocolIn {
  let told = false;
  return {
    trusted: (peer) => server.proxyProtocolFrom.has(peer),
    failed: (reason, peer) => {
      log[told ? 'debug' : 'warn']({ server: server.name, peer, reason }, 'a connection without a PROXY header that can be believed was closed');
      told = true;
    },
  };
}

async function makeSite(server: ServerSettings, settings: GatewaySettings, around: SiteSurroundings, slices: Slices): Promise<Site> {
  const { house } = around;
  const { loop, pressure } = house;
  const surroundings = {
    tally: (location: string, upstream: string) => around.tally(server.name, location, upstream),
    server: serverFacts(formatAddress(server.addresses[0]!)),
    tellsTiming: server.serverTiming,
    env: around.env,
    upstream: around.upstream,
    inside: (of: LocationSettings) => consoleAt(of, settings, house),
    load: around.load,
    plugins: around.plugins,
    isPressed: () => pressure.level > 0,
  };
  const entries: { rule: Rule; value: Location }[] = [];
  for (const name of server.locations) {
    await slices.pause();
    const item = settings.locations.get(name)!;
    entries.push({ rule: item.rule, value: makeLocation(item, surroundings) });
  }
  const router = new Router(entries);
  const served = (head: RequestHead): Match<Location> | null => router.find(head);
  const redirect = server.redirectHttps === null ? null : { value: httpsLocation(server.redirectHttps), captures: null };
  const ours = oursOf(server, house, around.answers);
  const pages = new ErrorPages(server.viaName, server.errorTemplates);
  const { noMatchStatus } = server;
  const inspected = new InspectedServer(house.inspector, server.accessLog === null ? null : around.journals.open(server.accessLog), server.name);
  return {
    loop,
    viaName: server.viaName,
    pages,
    trusts: (address) => server.trustedProxies.has(address),
    guards: [pressure.guard, takeOutOurs],
    find:
      ours === null && redirect === null
        ? served
        : (head) => ours?.(head.path) ?? (redirect !== null && isWithoutTls(head) ? redirect : served(head)),
    upstream: around.upstream,
    nowhere: NOWHERE,
    missing: () => new Failure('no_location', 'nothing is served at this host and path', 0, noMatchStatus),
    anteroom: null,
    waitingBytes: server.limits.waitingBytes,
    queueRoom: house.queueRoom,
    metrics: house.proxyMetrics,
    tally: around.tally(server.name, '', ''),
    defect: house.defect,
    get journal() {
      return inspected.journal;
    },
    tracer: house.traces.tracer(house.traces.of(settings.basic.traces, server.otlpEndpoint), server.name),
  };
}

/** What a server answers itself, by path; null = nothing. Proofs are shown by all servers: who redirects to TLS in front of us sends those who come for them there. */
function oursOf(
  { metricsPath, grpcHealth }: ServerSettings,
  house: House,
  answers: Http01Answers | null,
): ((path: string) => Match<Location> | null) | null {
  if (metricsPath === null && !grpcHealth && answers === null) return null;
  const metrics = { value: operatorsLocation(house), captures: null };
  const health = { value: healthLocation(house), captures: null };
  const proof = answers === null ? null : { value: challengeLocation(answers), captures: null };
  return (path) => {
    if (path === metricsPath) return metrics;
    if (grpcHealth && path.startsWith(GRPC_HEALTH)) return health;
    // Only what somebody is expected to ask for now: what else is there belongs to the locations.
    return answers !== null && answers.isWaiting && path.startsWith(CHALLENGE_PATH) && answers.answerTo(path) !== null ? proof : null;
  };
}

/** Stands for a location where none was found. */
const NOWHERE: Location = plainLocation({ name: '', upstream: null });
