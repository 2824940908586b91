import { createLoop, type Loop } from '../std/loop.ts';
import { AccessLog } from '../observe/access-log.ts';
import { Lines } from '../observe/lines.ts';
import type { Log } from '../observe/log.ts';
import { CertFiles } from '../certs/files.ts';
import { Registry } from '../observe/metrics.ts';
import { addProcessMetrics, maxDescriptors, openDescriptors } from '../observe/process.ts';
import type { HttpLimits } from '../http/limits.ts';
import { ServerH1, type TakeOver } from '../http/server-h1.ts';
import type { ServerTls } from '../http/tls-listener.ts';
import type { TunnelLimits } from '../tunnel/limits.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { Proxy } from '../proxy/handle.ts';
import { ErrorPages } from '../proxy/error-pages.ts';
import { AccessJournal } from '../proxy/journal.ts';
import { ProxyMetrics } from '../proxy/metrics.ts';
import type { Site } from '../proxy/site.ts';
import { type AdminListener, listenForOperators } from '../admin/listen.ts';
import type { Readiness } from '../admin/basics.ts';
import { SettingsError } from '../config/settings-error.ts';
import type { CommonSettings, ListenSettings } from '../config/settings.ts';
import { VERSION } from '../observe/version.ts';
import { connectionsFor, Pressure } from './pressure.ts';

/** What a composition root is given beside its settings. */
export interface Deps {
  readonly log: Log;
  /** Bounds of a session that differ from the usual ones. */
  readonly tunnelLimits?: Partial<TunnelLimits>;
  /** Share of the heap that is used, 0 to 1, when it is not V8 that is to be asked. */
  readonly heapShare?: () => number;
}

/** A running listener for applications. */
export interface Running {
  readonly address: { readonly host: string; readonly port: number };
  readonly adminAddress: { readonly host: string; readonly port: number } | null;
  /** Stops accepting, finishes what runs (bounded by `drainTimeoutMs`), then closes. */
  close(): Promise<void>;
  /** Cuts everything at once. */
  destroy(): void;
  /** Opens the access log anew, after a rotation. */
  reload(): void;
}

/** The part of a Site that differs between a hub and a plain proxy. */
export type SiteParts = Pick<Site, 'guards' | 'upstream' | 'patienceMs' | 'concurrent' | 'entryWaitMs' | 'entryQueue' | 'queueBytes' | 'timeoutMs'>;

/** The listener, the core behind it, its logs and numbers: what every program that takes requests is made of. */
export class Front {
  readonly loop: Loop = createLoop();
  readonly metrics = new Registry();
  readonly log: Log;
  readonly #settings: CommonSettings & ListenSettings;
  readonly #process = addProcessMetrics(this.metrics, VERSION);
  readonly #accessLog: AccessLog | null;
  #server: ServerH1 | null = null;
  #admin: AdminListener | null = null;
  readonly #certs: CertFiles | null;
  readonly #heapShare: (() => number) | undefined;
  #pressure: Pressure | null = null;
  proxy: Proxy | null = null;
  draining = false;

  constructor(settings: CommonSettings & ListenSettings, deps: Deps) {
    this.#settings = settings;
    this.log = deps.log;
    this.#heapShare = deps.heapShare;
    this.#certs = openCertificate(settings, this.loop, deps.log);
    this.#accessLog = openAccessLog(settings, deps.log);
  }

  /** @throws the listen error */
  async listen(parts: SiteParts, readiness: () => Readiness, takeOver?: TakeOver): Promise<Running> {
    const settings = this.#settings;
    const { loop, metrics } = this;
    const pressure = new Pressure({
      loop,
      log: this.log,
      refused: () => server.counts.refusedConnections,
      closeIdle: () => server.closeIdle(),
      setFull: (isFull) => {
        server.full = isFull;
      },
      ...(this.#heapShare === undefined ? {} : { heapShare: this.#heapShare }),
    });
    this.#pressure = pressure;
    const proxy = new Proxy({
      ...parts,
      guards: [pressure.guard, ...parts.guards],
      patienceMs: (head) => (pressure.level === 0 ? parts.patienceMs(head) : 0),
      get entryQueue() {
        return pressure.level === 0 ? parts.entryQueue : 0;
      },
      loop,
      viaName: settings.viaName,
      pages: new ErrorPages(settings.viaName),
      trusts: (address) => settings.trustedProxies.has(address),
      upgrades: new Set(settings.upgrades),
      waitingBytes: settings.limits.waitingBytes,
      metrics: new ProxyMetrics(metrics),
      journal: this.#accessLog === null ? null : new AccessJournal(this.#accessLog, () => loop.clock.wall()),
      defect: (error) =>
        this.log.error(
          { error: error instanceof Error ? (error.stack ?? error.message) : String(error) },
          'a request failed by a defect of ours: please report it',
        ),
    });
    this.proxy = proxy;
    const server = new ServerH1({
      loop,
      // A hub's upstreams are its agents, few for all; a plain proxy's client may need a connection onward.
      limits: withinDescriptors(settings.limits, takeOver === undefined ? 2 : 1),
      handler: proxy,
      refuse: proxy.refuse,
      rescue: proxy.rescue,
      trusts: (address) => settings.trustedProxies.has(address),
      halfClose: 'depart',
      ...(takeOver === undefined ? {} : { takeOver }),
      ...(this.#certs === null ? {} : { tls: this.#tlsOf(this.#certs) }),
    });
    this.#server = server;
    if (this.#certs !== null) this.#certs.changed = () => server.renewTls();
    this.#count(server, parts.upstream);
    const bound = await server.listen(settings.host, settings.port);
    if (settings.adminAddr !== null) {
      try {
        const ready = () => (this.draining ? { ok: false, detail: { state: 'draining' } } : readiness());
        this.#admin = await listenForOperators(loop, settings.adminAddr, metrics, ready, this.status);
      } catch (error) {
        server.destroy();
        throw error;
      }
    }
    return {
      address: { host: bound.address, port: bound.port },
      adminAddress: this.#admin?.address ?? null,
      close: () => this.#close(),
      destroy: () => this.destroy(),
      reload: () => {
        this.#accessLog?.reopen();
        this.#certs?.look();
      },
    };
  }

  #tlsOf(certs: CertFiles): ServerTls {
    this.metrics.computedGauge(
      'windlass_certificate_expiry_seconds',
      'When the TLS certificate expires, Unix time.',
      () => certs.current.notAfterMs / 1000,
    );
    return {
      pair: () => certs.current,
      failed: (reason, address) => this.log.debug({ peer: address, reason }, 'TLS: no connection came of a handshake'),
    };
  }

  #count(server: ServerH1, upstream: Upstream): void {
    const { metrics } = this;
    metrics.computedGauge('windlass_connections', 'Client connections open.', () => server.counts.connections);
    metrics.computed('counter', 'windlass_connections_total', 'Client connections, by what became of them.', ['result'], (emit) => {
      emit(server.counts.accepted, 'accepted');
      emit(server.counts.refusedConnections, 'refused');
      emit(server.counts.failedHandshakes, 'no_handshake');
    });
    metrics.computedGauge('windlass_buffered_bytes', 'Bytes held in memory for peers that do not take them yet, and of requests that wait.', () => {
      return server.bufferedBytes + this.proxy!.heldBytes + this.endpointBytes(upstream);
    });
    metrics.computedGauge(
      'windlass_pressure',
      'Memory: 0 all is well, 1 nothing new may wait, 2 new requests get 503.',
      () => this.#pressure?.level ?? 0,
    );
    metrics.computed('counter', 'windlass_access_log_dropped_total', 'Access log lines given up because the target did not take them.', [], (emit) =>
      emit(this.#accessLog?.dropped ?? 0),
    );
  }

  /** Bytes held by what is behind the core; set by the composition root. */
  endpointBytes: (upstream: Upstream) => number = () => 0;

  /** What operators see at `/status`; set by a composition root that has something to tell. */
  status: (() => object) | undefined = undefined;

  /** What else is to be done before the end: told sessions, closed pools. Set by the composition root. */
  #endDelay: () => void = () => {};
  leave: () => Promise<void> = () => Promise.resolve();
  cut: () => void = () => {};

  async #close(): Promise<void> {
    this.draining = true;
    const server = this.#server!;
    const { drainDelayMs } = this.#settings;
    if (drainDelayMs > 0) {
      this.log.info({ drainDelayMs }, 'not ready any more, and still serving until those who send have noticed');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, drainDelayMs);
        this.#endDelay = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const late = new Promise<'late'>((resolve) => setTimeout(resolve, this.#settings.drainTimeoutMs, 'late').unref());
    const outcome = await Promise.race([server.drain(), late]);
    if (outcome === 'late') {
      this.log.warn({ connections: server.counts.connections }, `not finished within ${this.#settings.drainTimeoutMs} ms: the rest is cut`);
      server.destroy();
    }
    await Promise.race([this.leave(), late]);
    this.#finish();
    await this.#accessLog?.close();
  }

  destroy(): void {
    this.#endDelay();
    this.#server?.destroy();
    this.#finish();
    void this.#accessLog?.close();
  }

  #finish(): void {
    this.cut();
    this.#admin?.close();
    this.#process.close();
    this.#certs?.close();
    this.#pressure?.close();
  }
}

/** Without a number of its own, a listener takes as many connections as there are descriptors for. */
function withinDescriptors(limits: HttpLimits, perClient: number): HttpLimits {
  return limits.connections > 0 ? limits : { ...limits, connections: connectionsFor(maxDescriptors(), openDescriptors(), perClient) };
}

/** @throws SettingsError */
function openCertificate({ tls }: ListenSettings, loop: Loop, log: Log): CertFiles | null {
  if (tls === null) return null;
  try {
    return new CertFiles({ certPath: tls.certFile, keyPath: tls.keyFile, log, wall: () => loop.clock.wall() });
  } catch (error) {
    throw new SettingsError([`--tls-cert and --tls-key cannot be used: ${(error as Error).message}`]);
  }
}

function openAccessLog(settings: ListenSettings, log: Log): AccessLog | null {
  const { accessLog } = settings;
  if (accessLog === 'off') return null;
  const target = accessLog === 'stdout' ? 1 : accessLog.path;
  return new AccessLog(new Lines({ target, trouble: (error) => log.warn({ error: error.message }, 'the access log loses lines') }));
}
