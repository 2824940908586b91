import { CertFiles } from '../certs/files.ts';
import { TicketKeys } from '../certs/ticket-keys.ts';
import { AccessLog } from '../observe/access-log.ts';
import { Lines } from '../observe/lines.ts';
import type { Registry } from '../observe/metrics.ts';
import type { TakeOver } from '../http/server-h1.ts';
import type { ServerTls } from '../http/tls-listener.ts';
import type { SlimeDesk } from '../tunnel/slime/desk.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { Anteroom } from '../proxy/anteroom.ts';
import { ErrorPages } from '../proxy/error-pages.ts';
import { InspectedServer } from '../proxy/inspector.ts';
import { AccessJournal, type Journal } from '../proxy/journal.ts';
import { ATTEMPTS } from '../proxy/limits.ts';
import { type Location, plainLocation } from '../proxy/location.ts';
import type { PluginChain } from '../proxy/plugin-chain.ts';
import type { Guard, Site } from '../proxy/site.ts';
import type { Pages, Readiness } from '../admin/basics.ts';
import { readCertificates } from '../config/authorities.ts';
import { type ClientAuthorities, clientAuthorities } from '../config/sections/server.ts';
import { SettingsError } from '../config/settings-error.ts';
import type { CommonSettings, ListenSettings } from '../config/settings.ts';
import type { TraceSettings } from '../config/traces.ts';
import type { Console } from './console/console.ts';
import { tellOfHandshakes, tellOfTls } from './handshakes.ts';
import { type Deps, House } from './house.ts';
import type { Listener, ListenerSpec } from './listener.ts';

/** A running program that takes requests. */
export interface Running {
  readonly address: { readonly host: string; readonly port: number };
  readonly adminAddress: { readonly host: string; readonly port: number } | null;
  readonly metrics: Registry;
  /** Stops accepting, finishes what runs (bounded by `drainTimeoutMs`), then closes. */
  close(): Promise<void>;
  /** Cuts everything at once. */
  destroy(): void;
  /** Opens the access log anew, after a rotation. */
  reload(): void;
}

/** The part that differs between a hub and a plain proxy. */
export interface FrontParts {
  /** What its listener and its upstream are called in metrics. */
  readonly name: string;
  readonly behind: string;
  readonly guards: readonly Guard[];
  readonly upstream: Upstream;
  patienceMs: Location['patienceMs'];
  readonly timeoutMs: number;
  /** Absent or null: no spans are made. */
  readonly traces?: TraceSettings | null;
  /** Requests inside at once, waiting ones included, how many may wait outside, and how long, ms; null = all may come in. */
  readonly entry: { readonly places: number; readonly queue: number; readonly waitMs: number } | null;
  readiness(): Readiness;
  /** What operators see at `/status`. */
  readonly status?: () => object;
  /** Further pages for operators. */
  readonly pages?: Pages;
  /** Absent: none. */
  readonly console?: Console;
  readonly takeOver?: TakeOver;
  /** Where agents of slime come in. */
  readonly slime?: SlimeDesk;
  /** Absent: none. */
  readonly plugins?: PluginChain;
  /** Who is told of every request, beside the access log or in its place. */
  journal?(accessLog: Journal | null): Journal | null;
  /** No socket is opened: connections are given to it, see House.mount(). */
  readonly isMounted?: boolean;
}

/** One listener and one location for everything: what `hub run` and `proxy` are. */
export class Front {
  readonly house: House;
  readonly #settings: CommonSettings & ListenSettings;
  readonly #certs: CertFiles | null;
  #clients: ClientAuthorities | null;
  readonly #accessLog: AccessLog | null;
  anteroom: Anteroom | null = null;
  /** Set by listen(). */
  listener: Listener | null = null;
  readonly #isFirst: boolean;

  /** `house`: of another listener that this one belongs to. @throws SettingsError */
  constructor(settings: CommonSettings & ListenSettings, queueBytes: number, deps: Deps, house?: House) {
    this.#settings = settings;
    this.#isFirst = house === undefined;
    this.house = house ?? new House({ ...deps, queueBytes, drainDelayMs: settings.drainDelayMs, drainTimeoutMs: settings.drainTimeoutMs });
    try {
      this.#clients = readClients(settings);
      this.#certs = openCertificate(settings, this.house);
      this.#accessLog = openAccessLog(settings, this.house);
    } catch (error) {
      this.house.destroy();
      throw error;
    }
  }

  /** @throws the listen error */
  async listen(parts: FrontParts): Promise<Running> {
    const { house } = this;
    const settings = this.#settings;
    const certs = this.#certs;
    const { entry, takeOver } = parts;
    if (parts.console !== undefined) house.console = parts.console;
    if (entry !== null) this.anteroom = new Anteroom(entry.places, () => (house.pressure.level === 0 ? entry.queue : 0), entry.waitMs);
    if (certs !== null && this.#isFirst) {
      house.metrics.computedGauge(
        'windlass_certificate_expiry_seconds',
        'When the TLS certificate expires, Unix time.',
        () => certs.current.notAfterMs / 1000,
      );
    }
    const ticketKeys = new TicketKeys(() => house.loop.clock.now());
    const failed = tellOfHandshakes(house.log, house.loop.clock);
    const tls = certs === null ? null : () => tlsOf(certs, this.#clients, ticketKeys, failed);
    try {
      const spec: ListenerSpec = {
        address: { host: settings.host, port: settings.port },
        limits: settings.limits,
        site: this.#site(parts),
        halfClose: 'depart',
        ...(tls === null ? { spokeTls: tellOfTls(house.log, house.loop.clock) } : { tls: tls() }),
        // A hub's upstreams are its agents, few for all; a plain proxy's client may need a connection onward.
        descriptorsPerClient: takeOver === undefined ? 2 : 1,
        ...(takeOver === undefined ? {} : { takeOver }),
        ...(parts.slime === undefined ? {} : { slime: parts.slime }),
      };
      const listener = parts.isMounted === true ? house.mount(spec) : await house.listen(spec);
      this.listener = listener;
      if (certs !== null) certs.changed = () => listener.server.renewTls();
      return {
        address: listener.address,
        metrics: house.metrics,
        adminAddress: await house.listenForOperators(settings.adminAddr, () => parts.readiness(), parts.status, parts.pages),
        close: () => house.close().then(() => certs?.close()),
        destroy: () => this.destroy(),
        reload: () => {
          this.#accessLog?.reopen();
          certs?.look();
          if (tls !== null && this.#rereadClients()) listener.become({ ...listener.spec, tls: tls() });
        },
      };
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  /** @returns whether they are others now. A file that cannot be used leaves the old ones in place. */
  #rereadClients(): boolean {
    try {
      const fresh = readClients(this.#settings);
      if (fresh?.id === this.#clients?.id) return false;
      this.#clients = fresh;
      this.house.log.info({ file: this.#settings.tls!.clients!.caFile }, 'the authorities of clients were read anew');
      return true;
    } catch (error) {
      this.house.log.warn({ reason: (error as Error).message }, 'the authorities of clients stay as they were');
      return false;
    }
  }

  /** When its certificate expires; empty without one. */
  get certificates(): { readonly name: string; readonly notAfterMs: number }[] {
    return this.#certs === null ? [] : [{ name: '--tls-cert', notAfterMs: this.#certs.current.notAfterMs }];
  }

  /** The files of its certificate; null without one. */
  get certs(): CertFiles | null {
    return this.#certs;
  }

  destroy(): void {
    this.house.destroy();
    this.#certs?.close();
  }

  #site(parts: FrontParts): Site {
    const { house } = this;
    const { pressure, loop } = house;
    const settings = this.#settings;
    const accessLog = this.#accessLog;
    const location = plainLocation({
      name: '',
      upstream: parts.upstream,
      patienceMs: (head, upstream) => (pressure.level === 0 ? parts.patienceMs(head, upstream) : 0),
      timeoutMs: parts.timeoutMs,
      upgrades: new Set(settings.upgrades),
      attempts: ATTEMPTS,
      tally: house.proxyMetrics.tally(parts.name, 'all', parts.upstream.name, parts.behind),
      ...(parts.plugins === undefined ? {} : { plugins: parts.plugins }),
    });
    const usual = accessLog === null ? null : new AccessJournal(accessLog, () => loop.clock.wall());
    const inspected = new InspectedServer(house.inspector, parts.journal === undefined ? usual : parts.journal(usual), parts.name);
    const everything = { value: location, captures: null };
    return {
      loop,
      viaName: settings.viaName,
      pages: new ErrorPages(settings.viaName),
      trusts: (address) => settings.trustedProxies.has(address),
      guards: [pressure.guard, ...parts.guards],
      find: () => everything,
      upstream: () => null,
      nowhere: location,
      missing: () => {
        throw new Error('everything belongs to the one location');
      },
      anteroom: this.anteroom,
      waitingBytes: settings.limits.waitingBytes,
      queueRoom: house.queueRoom,
      metrics: house.proxyMetrics,
      tally: house.proxyMetrics.tally(parts.name, '', '', parts.behind),
      defect: house.defect,
      get journal() {
        return inspected.journal;
      },
      tracer: house.traces.tracer(parts.traces ?? null, ''),
    };
  }
}

function tlsOf(certs: CertFiles, clients: ClientAuthorities | null, ticketKeys: TicketKeys, failed: ServerTls['failed']): ServerTls {
  return {
    pair: () => ({
      cert: certs.current.cert,
      key: certs.current.key,
      ...(clients === null ? {} : { ca: [...clients.ca], allowPartialTrustChain: true }),
    }),
    failed,
    ticketKeys: () => ticketKeys.current,
    ...(clients === null ? {} : { clients: { ask: clients.ask, id: clients.id } }),
  };
}

/** @throws SettingsError */
function readClients({ tls }: ListenSettings): ClientAuthorities | null {
  if (tls?.clients === undefined) return null;
  const { caFile, ask } = tls.clients;
  return clientAuthorities(ask, readCertificates('--tls-client-ca', caFile).join('\n'), null);
}

/** @throws SettingsError */
function openCertificate({ tls }: ListenSettings, { loop, log }: House): CertFiles | null {
  if (tls === null) return null;
  try {
    return new CertFiles({ certPath: tls.certFile, keyPath: tls.keyFile, log, wall: () => loop.clock.wall() });
  } catch (error) {
    throw new SettingsError([`--tls-cert and --tls-key cannot be used: ${(error as Error).message}`]);
  }
}

function openAccessLog(settings: ListenSettings, house: House): AccessLog | null {
  const { accessLog } = settings;
  if (accessLog === 'off') return null;
  const target = accessLog === 'stdout' ? 1 : accessLog.path;
  const opened = new AccessLog(new Lines({ target, trouble: (error) => house.log.warn({ error: error.message }, 'the access log loses lines') }));
  house.accessLogs.add(opened);
  return opened;
}
