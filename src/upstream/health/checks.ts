import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../observe/log.ts';
import type { Counter, Registry } from '../../observe/metrics.ts';
import { type Address, formatAddress } from '../../schema/address.ts';
import type { HealthCheck } from '../../schema/health-check.ts';
import { type Alarm, Checker, type HealthState } from './checker.ts';
import { GrpcProbe } from './grpc.ts';
import { HttpProbe } from './http.ts';
import type { HealthTls, Probe, ProbeOptions } from './probe.ts';
import { TcpProbe } from './tcp.ts';

/** An endpoint whose health somebody wants to know: a member of an upstream. */
export interface HealthTarget {
  /** What is dialled. */
  readonly address: Address;
  /** It fails from now on, or is well again. Until the first call it counts as well. */
  healthy(is: boolean, reason: string): void;
}

/** An endpoint that is being watched. */
export interface HealthWatch {
  readonly state: HealthState;
  /** Wants to know no more. The probing ends with the last watch of an endpoint. */
  end(): void;
}

/** One line of what is known, as plain data. */
export interface HealthReport extends HealthState {
  readonly upstream: string;
  /** HOST:PORT */
  readonly endpoint: string;
  /** The check's URL. */
  readonly check: string;
}

export interface HealthChecksOptions {
  readonly log: Log;
  readonly metrics: Registry;
  readonly clock: Clock;
  readonly alarm?: Alarm;
  readonly random?: () => number;
  readonly probeOf?: (options: ProbeOptions) => Probe;
  /** Told of every result. */
  readonly checked?: (report: HealthReport) => void;
}

/**
 * All health checks of a process. It lives longer than any configuration: an endpoint that the next one watches in the same way (same upstream, address
 * and URL) keeps its state and its rhythm. So a new configuration begins its watches before the old one ends its own.
 */
export class HealthChecks {
  readonly #options: HealthChecksOptions;
  readonly #groups = new Map<string, Group>();
  readonly #counts: { readonly pass: Counter; readonly fail: Counter };

  constructor(options: HealthChecksOptions) {
    this.#options = options;
    const { metrics } = options;
    const counts = metrics.counters('windlass_health_checks_total', 'Health checks made, by result: pass, fail.', ['result']);
    this.#counts = { pass: counts.with('pass'), fail: counts.with('fail') };
    metrics.computed('gauge', 'windlass_health_up', 'Is an endpoint well, by its health check?', ['upstream', 'endpoint'], (emit) => {
      // An upstream whose check has just been changed may be there twice: the newer counts.
      const latest = new Map(this.describe().map((report) => [`${report.upstream}\n${report.endpoint}`, report]));
      for (const { healthy, upstream, endpoint } of latest.values()) emit(healthy ? 1 : 0, upstream, endpoint);
    });
  }

  /** Begins to probe an endpoint, or joins those who watch it in the same way. When it is known to fail the target is told before this returns. */
  watch(upstream: string, check: HealthCheck, target: HealthTarget, tls: HealthTls): HealthWatch {
    const key = `${upstream}\n${check.text}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      const { clock, random = Math.random } = this.#options;
      group = { upstream, check, gridMs: clock.now() + random() * check.everyMs, begun: 0, watched: new Map() };
      this.#groups.set(key, group);
    }
    const endpoint = formatAddress(target.address);
    const id = `${endpoint} ${tls.verify}`;
    let watched = group.watched.get(id);
    if (watched === undefined) {
      watched = this.#begin(group, endpoint, target.address, tls);
      group.watched.set(id, watched);
    }
    if (watched.tls.context !== tls.context) {
      // The same endpoint with other certificates: it keeps its state.
      watched.tls = tls;
      watched.checker.probe = this.#probe(check, target.address, tls);
    }
    const { targets, checker } = watched;
    targets.add(target);
    const { healthy, lastReason } = checker.state;
    if (!healthy) target.healthy(false, lastReason);
    return {
      get state() {
        return checker.state;
      },
      end: () => {
        if (!targets.delete(target) || targets.size > 0) return;
        checker.close();
        group.watched.delete(id);
        if (group.watched.size === 0) this.#groups.delete(key);
      },
    };
  }

  /** Everything that is known now. */
  describe(): readonly HealthReport[] {
    return [...this.#groups.values()].flatMap(({ upstream, check, watched }) =>
      [...watched.values()].map(({ endpoint, checker }) => ({ upstream, endpoint, check: check.text, ...checker.state })),
    );
  }

  /** Ends all probing. */
  close(): void {
    for (const { watched } of this.#groups.values()) for (const { checker } of watched.values()) checker.close();
    this.#groups.clear();
  }

  #begin(group: Group, endpoint: string, address: Address, tls: HealthTls): Watched {
    const { clock, alarm } = this.#options;
    const { check } = group;
    const targets = new Set<HealthTarget>();
    const checker: Checker = new Checker({
      check,
      probe: this.#probe(check, address, tls),
      clock,
      ...(alarm === undefined ? {} : { alarm }),
      // Steps of the golden ratio are spread evenly however many there will be, and none has to move for another.
      gridMs: group.gridMs + (check.parallel ? 0 : ((group.begun++ * GOLDEN) % 1) * check.everyMs),
      begins: 'healthy',
      checked: (ok) => {
        this.#counts[ok ? 'pass' : 'fail'].value++;
        this.#options.checked?.({ upstream: group.upstream, endpoint, check: check.text, ...checker.state });
      },
      changed: (state) => {
        this.#tell(group, endpoint, state);
        for (const target of targets) target.healthy(state.healthy, state.lastReason);
      },
    });
    return { endpoint, checker, targets, tls };
  }

  #probe(check: HealthCheck, address: Address, tls: HealthTls): Probe {
    const { probeOf = usualProbe } = this.#options;
    return probeOf({ check, address, tls });
  }

  #tell(group: Group, endpoint: string, { healthy, lastReason, consecutive }: HealthState): void {
    const { log } = this.#options;
    const all = [...group.watched.values()];
    const fields = {
      upstream: group.upstream,
      endpoint,
      reason: lastReason,
      checks: consecutive,
      healthy: all.filter(({ checker }) => checker.state.healthy).length,
      of: all.length,
    };
    if (healthy) log.info(fields, 'an endpoint is well again');
    else log.warn(fields, 'an endpoint fails its health check: it gets no requests');
  }
}

const GOLDEN = 0.618_033_988_749_894_8;

/** The endpoints of one upstream that are checked in one way. */
interface Group {
  readonly upstream: string;
  readonly check: HealthCheck;
  readonly gridMs: number;
  /** Endpoints that were ever begun with. */
  begun: number;
  readonly watched: Map<string, Watched>;
}

interface Watched {
  readonly endpoint: string;
  readonly checker: Checker;
  readonly targets: Set<HealthTarget>;
  tls: HealthTls;
}

/** The probe for a scheme. */
export function usualProbe(options: ProbeOptions): Probe {
  switch (options.check.scheme) {
    case 'tcp':
      return new TcpProbe(options);
    case 'grpc':
      return new GrpcProbe(options);
    default:
      return new HttpProbe(options);
  }
}
