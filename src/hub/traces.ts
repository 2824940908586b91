import { otlpHeaders, OtlpExporter } from '../observe/otlp.ts';
import { TraceSource } from '../observe/trace.ts';
import { VERSION } from '../observe/version.ts';
import { type OtlpEndpoint, parseOtlpEndpoint, parseShare } from '../schema/otlp-endpoint.ts';
import { Wrong } from '../schema/wrong.ts';
import { Tracer } from '../proxy/tracer.ts';
import type { TraceSettings } from '../config/traces.ts';
import type { House } from './house.ts';

/** What a file says of traces; what it does not say the environment may. */
export interface PartialTraces {
  readonly endpoint: OtlpEndpoint | null | 'environment';
  readonly service: string | null;
  readonly sample: number | null;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Who makes and sends spans in a process that takes requests. Servers that say the same share an exporter, and a reload leaves it as it is. */
export class Traces {
  readonly #house: House;
  readonly #env: Env;
  readonly #exporters = new Map<string, OtlpExporter>();
  readonly #lost = { sent: 0, dropped: 0, failures: 0 };
  #told = '';

  constructor(house: House, env: Env) {
    this.#house = house;
    this.#env = env;
    this.#count();
  }

  /** `server`: its name, '' where there is only one. Null: no spans are made. */
  tracer(settings: TraceSettings | null, server: string): Tracer | null {
    if (settings === null) return null;
    const { clock } = this.#house.loop;
    return new Tracer(new TraceSource(settings.sample), this.#exporterOf(settings), () => clock.wall(), {
      facts: server === '' ? {} : { 'windlass.server': server },
      asksAgents: true,
    });
  }

  /** `own`: where a server's go that has a collector of its own. */
  of(basic: PartialTraces, own: OtlpEndpoint | null): TraceSettings | null {
    return this.#complete(own === null ? basic : { ...basic, endpoint: own });
  }

  /** What is missing put in from the environment. What stands there and cannot be used is told once, and traces are off. */
  #complete(given: PartialTraces): TraceSettings | null {
    const env = this.#env;
    try {
      const address = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT'] || '';
      const endpoint = given.endpoint !== 'environment' ? given.endpoint : address === '' ? null : parseOtlpEndpoint(address);
      if (endpoint === null) return null;
      const share = env['OTEL_TRACES_SAMPLER_ARG'] || '';
      return {
        endpoint,
        service: given.service ?? (env['OTEL_SERVICE_NAME'] || 'windlass'),
        sample: given.sample ?? (share === '' ? 1 : parseShare(share)),
      };
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      const line = `no traces are made: what the environment says of them (OTEL_…) ${error.message}; ${error.fix}`;
      if (line !== this.#told) this.#house.log.warn({}, line);
      this.#told = line;
      return null;
    }
  }

  /** Exporters that none of these uses send what they have and end. */
  keepOnly(used: Iterable<TraceSettings | null>, afterMs: number): void {
    const keys = new Set<string>();
    for (const one of used) if (one !== null) keys.add(keyOf(one));
    for (const [key, exporter] of this.#exporters) {
      if (keys.has(key)) continue;
      this.#exporters.delete(key);
      setTimeout(() => {
        void exporter.close().then(() => {
          this.#house.senders.delete(exporter);
          for (const count of ['sent', 'dropped', 'failures'] as const) this.#lost[count] += exporter[count];
        });
      }, afterMs).unref();
    }
  }

  #exporterOf(settings: TraceSettings): OtlpExporter {
    const key = keyOf(settings);
    let exporter = this.#exporters.get(key);
    if (exporter === undefined) {
      const { log, loop } = this.#house;
      exporter = new OtlpExporter({
        endpoint: settings.endpoint,
        resource: { 'service.name': settings.service, 'service.version': VERSION, 'process.pid': process.pid },
        headers: otlpHeaders(this.#env['OTEL_EXPORTER_OTLP_HEADERS']),
        log,
        clock: loop.clock,
      });
      this.#exporters.set(key, exporter);
      this.#house.senders.add(exporter);
      log.info({ collector: settings.endpoint.url, sample: settings.sample }, 'traces are sent');
    }
    return exporter;
  }

  #count(): void {
    const { metrics } = this.#house;
    const sum = (of: 'sent' | 'dropped' | 'failures'): number => {
      let all = this.#lost[of];
      for (const exporter of this.#exporters.values()) all += exporter[of];
      return all;
    };
    metrics.computed('counter', 'windlass_trace_spans_total', 'Spans by what became of them.', ['result'], (emit) => {
      emit(sum('sent'), 'sent');
      emit(sum('dropped'), 'dropped');
    });
    metrics.computed('counter', 'windlass_trace_export_failures_total', 'Sendings to a collector that failed, each try counted.', [], (emit) =>
      emit(sum('failures')),
    );
  }
}

function keyOf({ endpoint, service }: TraceSettings): string {
  return JSON.stringify([endpoint, service]);
}
