import { TicketKeys } from '../../certs/ticket-keys.ts';
import type { Registry } from '../../observe/metrics.ts';
import { httpLimits } from '../../http/limits.ts';
import type { Group } from '../../upstream/group.ts';
import { HealthChecks } from '../../upstream/health/checks.ts';
import { countUpstreams } from '../../upstream/count.ts';
import { type UpstreamPlan, Upstreams } from '../../upstream/upstreams.ts';
import { formatAddress, type Address } from '../../schema/address.ts';
import type { GatewaySettings } from '../../config/gateway.ts';
import type { ServerSettings } from '../../config/sections/server.ts';
import { SettingsError } from '../../config/settings-error.ts';
import { Slices } from '../../config/slices.ts';
import { GatewayAgents } from './agents.ts';
import { GatewayCertificates, type PreparedCertificates } from './certificates.ts';
import { gatewayNotices } from './notices.ts';
import { type GatewayStatus, gatewayStatus } from './status.ts';
import { Journals } from './journals.ts';
import { gatewayResources } from '../console/gateway-resources.ts';
import { GatewayPlugins, type PreparedPlugins } from './plugins.ts';
import { MadeCertificates, type MadeOptions, type PreparedMade } from '../made-certificates.ts';
import { makeSites, type Sites } from './sites.ts';
import { Console, type ConsoleOptions } from '../console/console.ts';
import { type Deps, House } from '../house.ts';
import { KeptAgents } from '../kept-agents.ts';
import type { ConfigRunner, ConsoleConfig } from '../console/config.ts';
import { NO_FILE } from '../console/overview.ts';
import { ConsoleRouting } from '../console/routing.ts';
import { gatewayOverview } from '../console/gateway-overview.ts';
import type { Listener, ListenerSpec } from '../listener.ts';
import { secretNames } from './secret-names.ts';
import { watching } from '../watching.ts';
import type { Notice } from '../notices/notice.ts';
import type { Notices } from '../notices/notices.ts';
import { Load } from '../../proxy/location.ts';
import type { LocationTally } from '../../proxy/tally.ts';

/** A running gateway. */
export interface RunningGateway {
  readonly metrics: Registry;
  /** By server, in the order of its addresses. */
  readonly addresses: ReadonlyMap<string, readonly Address[]>;
  readonly adminAddress: Address | null;
  /**
   * Serves other settings from now on. All or nothing: when a new listener cannot be opened, nothing has changed. Requests that are inside end as they
   * began, connections stay. @throws the listen error
   */
  apply(settings: GatewaySettings): Promise<void>;
  /** How its upstreams of addresses are now. */
  readonly status: GatewayStatus;
  /** Path of the certificate of our own authority, from which servers with `self_signed` have theirs; null: none has. */
  readonly developmentCa: string | null;
  /** Tells those whom [notifications] names, soon. */
  tell(notice: Pick<Notice, 'event' | 'subject' | 'message'>): void;
  /** Its files are read anew by this: from now on the console can change them. */
  reloadedBy(reload: ConfigRunner['reload']): void;
  /** A link that lets one browser into the console, once and soon; null: there is no console. */
  consoleLink(): string | null;
  /** Opens the access logs anew, after a rotation. */
  reopenLogs(): void;
  close(): Promise<void>;
  destroy(): void;
}

/** What a gateway is given beside its settings. */
export interface GatewayDeps extends Deps, Partial<MadeOptions> {
  /** The file or folder that it runs from; null or absent = none. */
  readonly source?: string | null;
  /** Its files, for the console; absent: there are none to be changed. */
  readonly config?: ConsoleConfig;
  /** Where its local token lies, when that is not the state folder. */
  readonly tokenDir?: string;
}

/** Waiting bodies of all upstreams together, bytes. */
const QUEUE_BYTES = 256 * 1024 * 1024;

/** `windlass run`: a gateway as its file says. @throws the listen error */
export async function startGateway(settings: GatewaySettings, deps: GatewayDeps): Promise<RunningGateway> {
  const gateway = new Gateway(settings, deps);
  try {
    await gateway.start();
  } catch (error) {
    gateway.destroy();
    throw error;
  }
  return gateway;
}

/** One address of one server. */
interface Bound {
  readonly server: string;
  readonly index: number;
  /** As configured. */
  readonly address: Address;
}

class Gateway implements RunningGateway {
  readonly #house: House;
  readonly #upstreams: Upstreams;
  readonly #health: HealthChecks;
  readonly #agents: GatewayAgents;
  readonly #plugins: GatewayPlugins;
  readonly #journals: Journals;
  readonly #made: MadeCertificates;
  readonly #certificates: GatewayCertificates;
  readonly #notices: Notices;
  readonly #ticketKeys: TicketKeys;
  readonly #loads = new Map<string, Load>();
  /** By address as configured, or by server and index where that is port 0. */
  #listeners = new Map<string, Listener>();
  #settings: GatewaySettings;
  readonly #config: ConsoleConfig | null;
  #applying: Promise<void> = Promise.resolve();
  /** What the file says of the live view. */
  #inspected = 0;
  #isEnding = false;
  adminAddress: Address | null = null;

  constructor(settings: GatewaySettings, deps: GatewayDeps) {
    const { basic } = settings;
    this.#settings = settings;
    this.#config = deps.config ?? null;
    this.#house = new House({ ...deps, queueBytes: QUEUE_BYTES, drainDelayMs: basic.drainDelayMs, drainTimeoutMs: basic.drainTimeoutMs });
    const { loop, log, metrics } = this.#house;
    this.#health = new HealthChecks({ log, metrics, clock: loop.clock, ...(deps.checked === undefined ? {} : { checked: deps.checked }) });
    this.#upstreams = new Upstreams({ loop, log, limits: httpLimits, health: this.#health, turned: () => this.#house.console?.changed('upstreams') });
    countUpstreams(metrics, this.#upstreams);
    this.#agents = new GatewayAgents(this.#house, deps.tunnelLimits, new KeptAgents(deps.stateDir ?? null, log));
    this.#plugins = new GatewayPlugins(this.#house, this.#agents);
    this.#journals = new Journals(this.#house);
    this.#ticketKeys = new TicketKeys(() => loop.clock.now());
    this.#certificates = new GatewayCertificates(this.#house);
    this.#made = new MadeCertificates(this.#house, { ...deps, stateDir: deps.stateDir ?? null });
    this.#notices = gatewayNotices({
      house: this.#house,
      upstreams: this.#upstreams,
      health: this.#health,
      agents: this.#agents,
      certificates: this.#certificates,
      made: this.#made,
    });
    this.#certificates.changed = this.#made.changed = () => {
      this.#notices.certificatesChanged();
      for (const listener of this.#listeners.values()) listener.server.renewTls();
      this.#house.console?.changed('certificates');
    };
    const overview = gatewayOverview({
      house: this.#house,
      upstreams: this.#upstreams,
      health: this.#health,
      agents: this.#agents,
      certificates: this.#certificates,
      addresses: () => this.addresses,
      config: () => deps.config?.applied() ?? Promise.resolve(NO_FILE),
    });
    this.#house.console = new Console(this.#house, {
      stateDir: deps.stateDir ?? null,
      tokenDir: deps.tokenDir ?? deps.stateDir ?? null,
      about: () => this.#about(deps.source ?? null),
      ...gatewayResources({
        house: this.#house,
        agents: this.#agents,
        upstreams: this.#upstreams,
        health: this.#health,
        certificates: this.#certificates,
        made: this.#made,
        settings: () => this.#settings,
        addresses: () => this.addresses,
      }),
      overview,
      ticks: overview.ticks,
      ...(deps.config === undefined ? {} : { config: deps.config }),
      routing: new ConsoleRouting({
        settings: () => this.#settings,
        settingsAfter: deps.config === undefined ? null : (changes) => deps.config!.settingsAfter(changes),
        wall: () => loop.clock.wall(),
      }),
      ...watching(
        deps,
        this.#house,
        (server) => this.#listenerOf(server),
        secretNames(() => this.#settings),
      ),
    });
    this.#house.endpointBytes = () => bufferedBytes(this.#upstreams) + this.#agents.bufferedBytes;
    this.#house.serves = (name) => this.#serves(name);
    this.#house.leave = () => this.#agents.leave();
    this.#house.cut = () => {
      this.#notices.close();
      overview.close();
      this.#agents.cut();
      this.#upstreams.close();
      this.#health.close();
      this.#plugins.close();
      this.#made.close();
      this.#certificates.close();
    };
  }

  async start(): Promise<void> {
    await this.#apply(this.#settings);
    await this.#listenForOperators(this.#settings.basic.adminAddr);
  }

  async #listenForOperators(address: Address | null): Promise<void> {
    this.adminAddress = await this.#house.listenForOperators(
      address,
      () => ({
        ok: true,
        detail: { state: 'serving', servers: this.#settings.servers.size, upstreams: this.#settings.upstreams.size, agents: this.#agents.size },
      }),
      () => this.#status(this.#house.draining ? 'draining' : 'serving'),
      this.#agents.pages,
    );
  }

  /** Is there an address or an agent that may get its requests? Null: there is no such upstream. */
  #serves(upstream: string): boolean | null {
    const group = this.#upstreams.group(upstream);
    if (group === undefined) return this.#agents.serves(upstream);
    for (const { usable } of group.members.values()) if (usable) return true;
    return false;
  }

  #renewConsole(): void {
    const { basic, admins } = this.#settings;
    this.#house.console!.renew({ isOn: basic.console, people: admins, hosts: new Set(basic.consoleHosts) });
    this.#house.console!.changed('config');
  }

  #about(source: string | null): ReturnType<ConsoleOptions['about']> {
    const listening = [...this.addresses].flatMap(([server, addresses]) => {
      const scheme = this.#settings.servers.get(server)!.tls === null ? 'http' : 'https';
      return addresses.map((address) => ({ server, url: `${scheme}://${formatAddress(address)}` }));
    });
    return { kind: 'gateway', name: this.#settings.basic.name, source, listening };
  }

  #status(state: 'serving' | 'draining'): object {
    const { report } = this.#certificates;
    const certificates = report.map((one) => ({ ...one, ...this.#made.statusOf(one.certificate) }));
    return { ...gatewayStatus(state, this.#upstreams, this.#health), ...this.#agents.status(state), certificates };
  }

  #listenerOf(name: string): Listener | null {
    const server = this.#settings.servers.get(name);
    const bound = server === undefined ? undefined : boundOf(server)[0];
    return bound === undefined ? null : (this.#listeners.get(keyOf(bound)) ?? null);
  }

  get developmentCa(): string | null {
    return this.#made.developmentCa;
  }

  get status(): GatewayStatus {
    return gatewayStatus(this.#house.draining ? 'draining' : 'serving', this.#upstreams, this.#health);
  }

  get metrics(): Registry {
    return this.#house.metrics;
  }

  get addresses(): ReadonlyMap<string, readonly Address[]> {
    return new Map(
      [...this.#settings.servers.values()].map((server) => [server.name, boundOf(server).map((bound) => this.#listeners.get(keyOf(bound))!.address)]),
    );
  }

  apply(settings: GatewaySettings): Promise<void> {
    const done = this.#applying.then(() => this.#apply(settings));
    this.#applying = done.catch(() => {});
    return done;
  }

  async #apply(settings: GatewaySettings): Promise<void> {
    const house = this.#house;
    await this.#agents.open(settings);
    // 1. What only the new settings need is made while the old ones serve. Nothing here can be seen from outside.
    const plan = this.#upstreams.plan(settings.basic.upstreamPoolSize);
    const agents = this.#agents.prepare(settings);
    const tallies = new Set<LocationTally>();
    let sites: Sites;
    let plugins: PreparedPlugins | null = null;
    let made: PreparedMade | null = null;
    let certificates: PreparedCertificates | null = null;
    const opened = new Map<string, Listener>();
    try {
      plugins = await this.#plugins.prepare(settings);
      const groups = await this.#groups(plan, settings);
      made = await this.#made.prepare(settings);
      certificates = this.#certificates.prepare(settings, made);
      sites = await makeSites(settings, {
        house,
        journals: this.#journals,
        env: process.env,
        upstream: (name) => groups.get(name) ?? agents.find(name),
        load: (name) => this.#loadOf(name),
        tally: (...of) => {
          const tally = house.proxyMetrics.tally(...of);
          tallies.add(tally);
          return tally;
        },
        certificates,
        ticketKeys: this.#ticketKeys,
        answers: made.answers,
        plugins: plugins.chain,
      });
      // 2. All new sockets, or none. Who connects waits until it is known what is served there.
      await this.#open(settings, (bound) => sites.listenerOf(bound.server, bound.address, agents.entriesOf), opened);
      // What takes long to make may come too late.
      if (this.#isEnding) throw new SettingsError(['a configuration came too late: the process is stopping']);
    } catch (error) {
      for (const listener of opened.values()) listener.server.destroy();
      for (const listener of opened.values()) void house.drop(listener);
      plan.discard();
      plugins?.abandon();
      certificates?.abandon();
      made?.abandon();
      agents.abandon();
      throw error;
    }
    // 3. The change itself, in one turn.
    plan.apply();
    agents.commit();
    plugins.commit();
    certificates.commit();
    const before = this.#listeners;
    this.#listeners = new Map();
    for (const bound of allBound(settings)) {
      const key = keyOf(bound);
      const listener = opened.get(key) ?? before.get(key)!;
      if (before.get(key) === listener) {
        before.delete(key);
        listener.become(sites.listenerOf(bound.server, bound.address, agents.entriesOf));
      }
      this.#listeners.set(key, listener);
    }
    for (const listener of opened.values()) listener.server.release();
    // Who is asked for a certificate comes to see the proof here.
    made.commit();
    // What an operator has switched stays, until the file says something else.
    if (settings.basic.inspector !== this.#inspected) house.inspector.resize(settings.basic.inspector);
    this.#inspected = settings.basic.inspector;
    this.#settings = settings;
    this.#renewConsole();
    this.#journals.keepOnly(sites.journals, settings.basic.drainTimeoutMs);
    house.traces.keepOnly(
      [...settings.servers.values()].map(({ otlpEndpoint }) => house.traces.of(settings.basic.traces, otlpEndpoint)),
      settings.basic.drainTimeoutMs,
    );
    house.drainTimes(settings.basic);
    this.#notices.renew(settings.basic.name, settings.notifications);
    // 4. What nobody needs any more goes when its requests have ended.
    for (const listener of before.values()) void house.drop(listener);
    house.proxyMetrics.keepOnly(tallies, (upstream) => settings.upstreams.has(upstream));
    for (const name of this.#loads.keys()) if (!settings.locations.has(name)) this.#loads.delete(name);
  }

  /**
   * Opens what is not open yet. A socket that begins to speak TLS, or no longer does, is opened anew, and one that goes makes room for another at its
   * port (127.0.0.1:80 after 0.0.0.0:80); should anything fail, what was given up is taken back.
   */
  async #open(settings: GatewaySettings, specOf: (bound: Bound) => ListenerSpec, opened: Map<string, Listener>): Promise<void> {
    const stopped: Listener[] = [];
    const wanted = new Map(allBound(settings).map((bound) => [keyOf(bound), bound]));
    try {
      for (const [key, bound] of wanted) {
        const spec = specOf(bound);
        if (this.#listeners.get(key)?.canBecome(spec) === true) continue;
        for (const [other, listener] of this.#listeners) {
          if (other !== key && (wanted.has(other) || listener.address.port !== bound.address.port)) continue;
          listener.server.stopListening();
          stopped.push(listener);
        }
        opened.set(key, await this.#house.listen(spec, true));
      }
      const { adminAddr } = settings.basic;
      if (textOf(adminAddr) !== textOf(this.#settings.basic.adminAddr)) await this.#listenForOperators(adminAddr);
    } catch (error) {
      for (const listener of opened.values()) listener.server.stopListening();
      for (const listener of stopped) await this.#takeBack(listener);
      throw error;
    }
  }

  /** The address that a listener gave up is its again, as are its connections all the while. */
  async #takeBack(listener: Listener): Promise<void> {
    try {
      await listener.listenAgain();
    } catch (error) {
      const address = formatAddress(listener.address);
      this.#house.log.error({ address, error: (error as Error).message }, 'another program was quicker: nobody listens here until the next reload');
    }
  }

  async #groups(plan: UpstreamPlan, settings: GatewaySettings): Promise<ReadonlyMap<string, Group>> {
    const slices = new Slices();
    const groups = new Map<string, Group>();
    for (const item of settings.upstreams.values()) {
      await slices.pause();
      if (item.of === 'addresses') groups.set(item.name, plan.add(item.settings));
    }
    await plan.ready();
    return groups;
  }

  #loadOf(name: string): Load {
    let load = this.#loads.get(name);
    if (load === undefined) {
      load = new Load();
      this.#loads.set(name, load);
    }
    return load;
  }

  tell(notice: Pick<Notice, 'event' | 'subject' | 'message'>): void {
    this.#notices.tell(notice);
  }

  consoleLink(): string | null {
    const { console } = this.#settings.basic;
    const address = this.adminAddress;
    return !console || address === null ? null : this.#house.console!.link(`http://${formatAddress(address)}`);
  }

  reloadedBy(reload: ConfigRunner['reload']): void {
    this.#config?.attach({ reload, settings: () => this.#settings, changed: () => this.#house.console?.changed('config') });
  }

  reopenLogs(): void {
    this.#journals.reopen();
  }

  close(): Promise<void> {
    this.#isEnding = true;
    return this.#house.close();
  }

  destroy(): void {
    this.#isEnding = true;
    this.#house.destroy();
  }
}

function bufferedBytes(upstreams: Upstreams): number {
  let sum = 0;
  for (const group of upstreams.groups) for (const member of group.members.values()) sum += member.endpoint.bufferedBytes ?? 0;
  return sum;
}

function textOf(address: Address | null): string {
  return address === null ? '' : formatAddress(address);
}

function boundOf({ name, addresses }: ServerSettings): Bound[] {
  return addresses.map((address, index) => ({ server: name, index, address }));
}

function allBound(settings: GatewaySettings): Bound[] {
  return [...settings.servers.values()].flatMap(boundOf);
}

function keyOf({ server, index, address }: Bound): string {
  return address.port === 0 ? `${server} ${index} ${address.host}` : formatAddress(address);
}
