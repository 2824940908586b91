import { type Kind, orOff, text } from '../schema/kind.ts';
import { type OtlpEndpoint, otlpEndpoint, parseOtlpEndpoint, parseShare, share } from '../schema/otlp-endpoint.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';

const TRACES = 'Traces';

/** Where traces go, and what of. Null: nowhere. */
export interface TraceSettings {
  readonly endpoint: OtlpEndpoint;
  /** `service.name`. */
  readonly service: string;
  /** Share of the requests without a trace for which one begins, 0 to 1. */
  readonly sample: number;
}

/** Where traces go, as the library is told. */
export interface TracesOption {
  /** The collector (OTLP over HTTP), such as http://localhost:4318. */
  readonly endpoint: string;
  /** Share of the requests without a trace for which one begins, 0 to 1. Absent: 1. */
  readonly sample?: number;
  /** `service.name`. Absent: `windlass`. */
  readonly service?: string;
}

/** @throws Wrong */
export function tracesOf({ endpoint, sample = 1, service = 'windlass' }: TracesOption): TraceSettings {
  if (typeof endpoint !== 'string') throw new Wrong('needs an endpoint', "such as { endpoint: 'http://localhost:4318' }");
  return { endpoint: parseOtlpEndpoint(endpoint), service, sample: parseShare(String(sample)) };
}

/** A collector, none, or the one that the environment names. */
export const COLLECTOR: Kind<OtlpEndpoint | null | 'environment'> = {
  ...orOff<OtlpEndpoint | 'environment'>(otlpEndpoint()),
  format: (value) => (value === null ? 'off' : typeof value === 'string' ? value : value.url),
};

/** Settings of what makes spans; `sample`: the default of the share. */
export function tracesTable(sample: number) {
  return {
    otlpEndpoint: setting<OtlpEndpoint | null>({
      kind: orOff(otlpEndpoint()),
      group: TRACES,
      help: 'collector that traces are sent to (OTLP over HTTP); user info is Basic auth, OTEL_EXPORTER_OTLP_HEADERS other fields',
      fallback: null,
      fallbackText: 'OTEL_EXPORTER_OTLP_ENDPOINT, or no traces',
      otherEnv: ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'],
    }),
    traceSample: setting<number>({
      kind: share(),
      group: TRACES,
      help: 'share of the requests that come without a trace for which one begins; a trace that is there is recorded when its flag says so',
      fallback: sample,
      otherEnv: ['OTEL_TRACES_SAMPLER_ARG'],
    }),
    otlpService: setting<string>({
      kind: text('NAME', 'name'),
      group: TRACES,
      help: 'service.name in traces',
      fallback: 'windlass',
      otherEnv: ['OTEL_SERVICE_NAME'],
    }),
  };
}

/** Of values that are there. */
export function traceSettings(values: {
  readonly otlpEndpoint: OtlpEndpoint | null;
  readonly traceSample: number;
  readonly otlpService: string;
}): TraceSettings | null {
  return values.otlpEndpoint === null ? null : { endpoint: values.otlpEndpoint, service: values.otlpService, sample: values.traceSample };
}
