import type { Clock } from '../std/clock.ts';
import { createLoop, type Loop } from '../std/loop.ts';
import type { LineSink } from '../observe/lines.ts';
import type { Log } from '../observe/log.ts';
import type { LogRing } from '../observe/log-ring.ts';
import { Registry } from '../observe/metrics.ts';
import { addProcessMetrics } from '../observe/process.ts';
import { VERSION } from '../observe/version.ts';
import type { Address } from '../schema/address.ts';
import type { TunnelLimits } from '../tunnel/limits.ts';
import type { HealthReport } from '../upstream/health/checks.ts';
import type { QueueRoom } from '../upstream/upstream.ts';
import { Proxy } from '../proxy/handle.ts';
import { Inspector } from '../proxy/inspector.ts';
import { ProxyMetrics } from '../proxy/metrics.ts';
import { type AdminListener, listenForOperators } from '../admin/listen.ts';
import type { Pages, Readiness } from '../admin/basics.ts';
import { GrpcHealth } from '../admin/grpc-health.ts';
import type { Console } from './console/console.ts';
import { Listener, type ListenerSpec } from './listener.ts';
import { Pressure } from './pressure.ts';
import { Traces } from './traces.ts';
import { Watchdog } from './watchdog.ts';

/** What a composition root is given beside its settings. */
export interface Deps {
  readonly log: Log;
  /** Bounds of a session that differ from the usual ones. */
  readonly tunnelLimits?: Partial<TunnelLimits>;
  /** The time, when it is not the system's. */
  readonly clock?: Clock;
  /** Keeps the last lines of `log`; absent: nobody can look at them. */
  readonly lines?: LogRing;
  /** Told of every result of a health check. */
  readonly checked?: (report: HealthReport) => void;
  /** Where what outlives the process is kept; null or absent = there is no such folder. */
  readonly stateDir?: string | null;
  /** Share of the heap that is used, 0 to 1, when it is not V8 that is to be asked. */
  readonly heapShare?: () => number;
}

export interface HouseOptions extends Deps {
  /** Bytes of the bodies of all waiting requests together. */
  readonly queueBytes: number;
  /** After the order to stop: how long to go on serving while not being ready, ms. */
  readonly drainDelayMs: number;
  /** How long running requests may take to finish, ms. */
  readonly drainTimeoutMs: number;
}

/** What every program that takes requests is made of: the core, its listeners, its numbers, and an end in order. */
export class House {
  readonly loop: Loop;
  readonly metrics = new Registry();
  readonly log: Log;
  readonly proxy = new Proxy();
  readonly proxyMetrics: ProxyMetrics;
  readonly queueRoom: QueueRoom;
  readonly pressure: Pressure;
  readonly #watchdog: Watchdog;
  #drain: Pick<HouseOptions, 'drainDelayMs' | 'drainTimeoutMs'>;
  readonly #process = addProcessMetrics(this.metrics, VERSION);
  readonly #listeners = new Set<Listener>();
  #admin: AdminListener | null = null;
  /** What operators see and change; null = only the pages that are open to all. Set by the composition root, before listenForOperators(). */
  console: Console | null = null;
  draining = false;
  #endDelay: () => void = () => {};
  /** Bytes held by what is behind the core; set by the composition root. */
  endpointBytes: () => number = () => 0;
  /** What else is to be done before the end: sessions told, pools closed. Set by the composition root. */
  leave: () => Promise<void> = () => Promise.resolve();
  cut: () => void = () => {};
  /** What must be done while the sockets are still open. Set by whoever needs them open. */
  finish: () => Promise<void> = () => Promise.resolve();
  /** Is there somebody for the requests of this upstream? Null: there is none of that name. Set by the composition root. */
  serves: (upstream: string) => boolean | null = () => null;
  #ready: () => Readiness = () => ({ ok: false, detail: {} });
  /** gRPC's health service: the whole program, and each upstream by its name. */
  readonly health: GrpcHealth;
  /** What has something left to send when the process ends. */
  readonly senders = new Set<{ close(): Promise<void> }>();
  readonly traces: Traces = new Traces(this, process.env);
  readonly inspector: Inspector = new Inspector(() => this.loop.clock.wall());
  /** Logs whose last lines are to be written. */
  readonly accessLogs = new Set<Pick<LineSink, 'dropped' | 'close'>>();

  constructor(options: HouseOptions) {
    this.#drain = options;
    this.loop = createLoop(options.clock);
    this.log = options.log;
    this.queueRoom = { bytes: 0, maxBytes: options.queueBytes };
    this.proxyMetrics = new ProxyMetrics(this.metrics);
    this.health = new GrpcHealth(this.loop, (service) => {
      if (service === '') return this.#ready().ok;
      const serves = this.serves(service);
      return serves === true ? !this.draining : serves;
    });
    this.#watchdog = new Watchdog(this.loop, this.log);
    this.pressure = new Pressure({
      loop: this.loop,
      log: this.log,
      refused: () => this.#sum((listener) => listener.counts.refusedConnections),
      closeIdle: () => {
        for (const listener of this.#listeners) listener.server.closeIdle();
      },
      setFull: (isFull) => {
        for (const listener of this.#listeners) listener.server.full = isFull;
      },
      ...(options.heapShare === undefined ? {} : { heapShare: options.heapShare }),
    });
    this.#count();
  }

  /** Opens a listening socket. `held`: connections wait for server.release(). @throws the listen error */
  async listen(spec: ListenerSpec, held = false): Promise<Listener> {
    const listener = new Listener(spec, this.proxy, this.loop);
    await listener.listen(held);
    listener.server.full = this.pressure.level === 2;
    this.#listeners.add(listener);
    return listener;
  }

  /** Serves connections that others have accepted: `listener.server.serve()`. */
  mount(spec: ListenerSpec): Listener {
    const listener = new Listener(spec, this.proxy, this.loop);
    listener.server.full = this.pressure.level === 2;
    this.#listeners.add(listener);
    return listener;
  }

  /** Closes a listening socket; what runs on it finishes, within `drainTimeoutMs`. */
  async drop(listener: Listener): Promise<void> {
    await listener.drain(this.#drain.drainTimeoutMs, this.log);
    this.#listeners.delete(listener);
  }

  get listeners(): ReadonlySet<Listener> {
    return this.#listeners;
  }

  /** Where operators ask from now on; null = nowhere. @throws the listen error, and then all is as it was */
  async listenForOperators(address: Address | null, readiness: () => Readiness, status?: () => object, pages?: Pages): Promise<Address | null> {
    this.#ready = (): Readiness => (this.draining ? { ok: false, detail: { state: 'draining' } } : readiness());
    const { loop, metrics, health, console } = this;
    await console?.open();
    const next = address === null ? null : await listenForOperators(loop, address, metrics, this.#ready, status, health, pages, console?.here);
    this.#admin?.leave();
    this.#admin = next;
    console?.opened(next?.address ?? null);
    return next?.address ?? null;
  }

  /** For a Site: an error that must not have been. */
  readonly defect = (error: unknown): void =>
    this.log.error(
      { error: error instanceof Error ? (error.stack ?? error.message) : String(error) },
      'a request failed by a defect of ours: please report it',
    );

  /** How it ends may change. */
  drainTimes(times: Pick<HouseOptions, 'drainDelayMs' | 'drainTimeoutMs'>): void {
    this.#drain = times;
  }

  /** Stops accepting, finishes what runs, bounded, then closes. */
  async close(): Promise<void> {
    this.draining = true;
    const { drainDelayMs, drainTimeoutMs } = this.#drain;
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
    const late = new Promise<void>((resolve) => setTimeout(resolve, drainTimeoutMs).unref());
    await Promise.race([this.finish(), late]);
    await Promise.all([...this.#listeners].map((listener) => listener.drain(drainTimeoutMs, this.log)));
    await Promise.race([this.leave(), late]);
    this.#finish();
    await this.console?.close();
    await Promise.all([...this.senders, ...this.accessLogs].map((one) => one.close()));
  }

  /** Cuts everything at once. */
  destroy(): void {
    this.#endDelay();
    for (const listener of this.#listeners) listener.server.destroy();
    this.#finish();
    for (const one of [...this.senders, ...this.accessLogs]) void one.close();
  }

  #finish(): void {
    this.cut();
    void this.console?.close();
    this.#admin?.close();
    this.#process.close();
    this.pressure.close();
    this.#watchdog.close();
  }

  #sum(of: (listener: Listener) => number): number {
    let sum = 0;
    for (const listener of this.#listeners) sum += of(listener);
    return sum;
  }

  #count(): void {
    const { metrics } = this;
    metrics.computedGauge('windlass_connections', 'Client connections open.', () => this.#sum(({ counts }) => counts.connections));
    metrics.computedGauge('windlass_http2_connections', 'Client connections that speak HTTP/2.', () => this.#sum(({ counts }) => counts.http2));
    metrics.computedGauge('windlass_upgraded_connections', 'Connections that speak another protocol by now, such as WebSockets.', () =>
      this.#sum(({ upgrades }) => upgrades.size),
    );
    metrics.computed(
      'counter',
      'windlass_http2_floods_total',
      'Connections of HTTP/2 that were closed for a flood of what is no request.',
      [],
      (emit) => emit(this.#sum(({ counts }) => counts.http2Floods)),
    );
    metrics.computed(
      'counter',
      'windlass_connections_total',
      'Client connections, by what became of them: accepted, refused (there were too many), no_handshake.',
      ['result'],
      (emit) => {
        emit(
          this.#sum(({ counts }) => counts.accepted),
          'accepted',
        );
        emit(
          this.#sum(({ counts }) => counts.refusedConnections),
          'refused',
        );
        emit(
          this.#sum(({ counts }) => counts.failedHandshakes),
          'no_handshake',
        );
      },
    );
    metrics.computed(
      'counter',
      'windlass_tls_handshakes_total',
      'TLS handshakes of clients, by result: full, resumed, bad_certificate (of the client), failed otherwise.',
      ['result'],
      (emit) => {
        const resumed = this.#sum(({ counts }) => counts.resumedHandshakes);
        const certificate = this.#sum(({ counts }) => counts.refusedCertificates);
        emit(this.#sum((listener) => (listener.isSecure ? listener.counts.accepted : 0)) - resumed, 'full');
        emit(resumed, 'resumed');
        emit(certificate, 'bad_certificate');
        emit(this.#sum(({ counts }) => counts.failedHandshakes) - certificate, 'failed');
      },
    );
    metrics.computedGauge(
      'windlass_buffered_bytes',
      'Bytes held in memory for peers that do not take them yet, and of requests that wait.',
      () => this.#sum(({ server }) => server.bufferedBytes) + this.queueRoom.bytes + this.endpointBytes(),
    );
    metrics.computedGauge('windlass_pressure', 'Memory: 0 all is well, 1 nothing new may wait, 2 new requests get 503.', () => this.pressure.level);
    metrics.computed(
      'counter',
      'windlass_access_log_dropped_total',
      'Access log lines given up because the target did not take them.',
      [],
      (emit) => {
        let dropped = 0;
        for (const log of this.accessLogs) dropped += log.dropped;
        emit(dropped);
      },
    );
  }
}
