import type tls from 'node:tls';
import type { Clock } from '../std/clock.ts';
import type { Log } from '../observe/log.ts';
import type { HealthCheck } from '../schema/health-check.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { Checker, type HealthState } from '../upstream/health/checker.ts';
import { usualProbe } from '../upstream/health/checks.ts';

export interface UpstreamProbeOptions {
  readonly upstream: Pick<UpstreamUrl, 'host' | 'port'>;
  readonly check: HealthCheck;
  readonly clock: Clock;
  readonly log: Log;
  /** Whom to believe; undefined = whom Node believes. */
  readonly trust?: tls.SecureContext;
  readonly checked: (ok: boolean) => void;
  /** `healthy` has changed. */
  readonly changed: () => void;
}

/** An agent's own look at its upstream. Before the first one has found it well nothing is offered: a model that is still being loaded answers nobody. */
export class UpstreamProbe {
  readonly #checker: Checker;

  constructor({ upstream, check, clock, log, trust, checked, changed }: UpstreamProbeOptions) {
    this.#checker = new Checker({
      check,
      probe: usualProbe({
        check,
        address: { host: upstream.host, port: upstream.port },
        tls: { verify: true, ...(trust === undefined ? {} : { context: trust }) },
      }),
      clock,
      // There is only this one: it begins at once.
      gridMs: clock.now(),
      begins: 'unknown',
      checked,
      changed: ({ healthy, lastReason, consecutive }) => {
        const fields = { reason: lastReason, checks: consecutive };
        if (healthy) log.info(fields, 'the upstream is well: its slots are offered');
        else log.warn(fields, 'the upstream fails its health check: its slots are withdrawn, what runs goes on');
        changed();
      },
    });
  }

  get healthy(): boolean {
    return this.#checker.state.healthy;
  }

  get state(): HealthState {
    return this.#checker.state;
  }

  close(): void {
    this.#checker.close();
  }
}
