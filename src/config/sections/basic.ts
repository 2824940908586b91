import { LOG_LEVELS, type LogLevel } from '../../observe/log.ts';
import { Cidrs } from '../../schema/cidrs.ts';
import { cidrs, duration, integer, text, toggle, type Kind } from '../../schema/kind.ts';
import { nearest } from '../../schema/nearest.ts';
import { setting, type Values } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { type OtlpEndpoint, share } from '../../schema/otlp-endpoint.ts';
import type { Address } from '../../schema/address.ts';
import type { ErrorTemplates } from '../../proxy/error-pages.ts';
import { adminAddr, commonTable } from '../common.ts';
import { errorTemplates, errorTemplatesByStatus } from '../error-templates.ts';
import type { Retired, RetiredKeys } from '../item.ts';
import { COLLECTOR } from '../traces.ts';
import { consoleTable } from './admin.ts';
import type { NotificationSettings } from './notification.ts';
import { webhookSettings, webhookTable } from './webhook.ts';
import type { CommonSettings, LogFormat } from '../settings.ts';

const START = 'To start';
const ERRORS = 'Errors';
const LOG = 'Log';
const WATCH = 'Watching';
const STOP = 'Stopping and reloading';
const CLIENTS = 'Clients';

/** Pingap allows `info,pingap=debug`: what stands alone in it counts. */
const LEVEL: Kind<LogLevel> = {
  ...commonTable.logLevel.kind,
  json: { anyOf: [commonTable.logLevel.kind.json, { type: 'string', pattern: '[,=]|^[tT][rR][aA][cC][eE]$' }] },
  fromToml: (value) => {
    if (typeof value !== 'string') throw new Wrong('is not text', 'write it in quotes, such as "info"');
    const plain = value
      .split(',')
      .map((part) =>
        part
          .trim()
          .toLowerCase()
          .replace(/^trace$/, 'debug'),
      )
      .filter((part) => !part.includes('='));
    const found = LOG_LEVELS.find((level) => level === plain[0]);
    if (found !== undefined && plain.length === 1) return found;
    const near = nearest(plain[0] ?? '', LOG_LEVELS);
    throw new Wrong('is no log level', `${near === null ? '' : `did you mean ${near}? `}(choose one of ${LOG_LEVELS.join(', ')})`);
  },
};

/** Settings of the process, section [basic]. */
export const basicTable = {
  name: setting({ kind: text('NAME', 'name'), group: START, help: 'names this gateway in logs and metrics', fallback: 'windlass' }),
  adminAddr: adminAddr({ host: '127.0.0.1', port: 9080 }),
  ...consoleTable(START),
  trustedProxies: setting({
    kind: cidrs(),
    group: CLIENTS,
    help: 'whose Forwarded and X-Forwarded-* are believed; a server may have its own',
    fallback: new Cidrs(),
    fallbackText: 'nobody',
  }),
  upstreamKeepalivePoolSize: setting({
    kind: integer(0, 1_000_000),
    group: CLIENTS,
    help: 'most idle connections kept for each upstream that does not say; 0 = none',
    fallback: 128,
  }),
  errorTemplate: setting<readonly string[]>({
    kind: errorTemplates(),
    group: ERRORS,
    help: 'what an error answer says; {{status}}, {{title}}, {{content}}, {{error_type}}, {{code}}, {{request_id}} and {{version}} are put in. A server may have its own',
    fallback: [],
    fallbackText: 'problem+json or HTML, as the client wants',
  }),
  errorTemplates: setting<ErrorTemplates['byStatus']>({
    kind: errorTemplatesByStatus(),
    group: ERRORS,
    help: 'the same for single statuses, or for 4xx and 5xx',
    fallback: new Map(),
    fallbackText: 'none',
  }),
  logLevel: setting<LogLevel>({ ...commonTable.logLevel, kind: LEVEL, group: LOG }),
  logFormat: setting<LogFormat>({ ...commonTable.logFormat, group: LOG }),
  logFormatJson: setting<boolean | null>({
    kind: toggle(),
    group: LOG,
    help: 'the same as log_format = "json" or "pretty"',
    fallback: null,
    fallbackText: 'as log_format says',
  }),
  inspector: setting({
    kind: integer(0, 100_000),
    group: WATCH,
    help: 'how many of the last requests to keep for operators to look at (console, windlass tail); 0 = none. It can be switched while the gateway runs',
    fallback: 0,
  }),
  otlpEndpoint: setting<OtlpEndpoint | null | 'environment'>({
    kind: COLLECTOR,
    group: WATCH,
    help: 'collector that traces are sent to (OTLP over HTTP); user info is Basic auth. A server may have its own',
    fallback: 'environment',
    fallbackText: 'environment OTEL_EXPORTER_OTLP_ENDPOINT, or no traces',
  }),
  traceSample: setting<number | null>({
    kind: share(),
    group: WATCH,
    help: 'share of the requests that come without a trace for which one begins; a trace that is there is recorded when its flag says so',
    fallback: null,
    fallbackText: 'environment OTEL_TRACES_SAMPLER_ARG, or 1',
  }),
  otlpService: setting<string | null>({
    kind: text('NAME', 'name'),
    group: WATCH,
    help: 'service.name in traces',
    fallback: null,
    fallbackText: 'environment OTEL_SERVICE_NAME, or windlass',
  }),
  drainTimeout: setting<number | null>({
    kind: duration(),
    group: STOP,
    help: 'after SIGTERM, how long running requests may take to finish',
    fallback: null,
    fallbackText: 'grace_period and graceful_shutdown_timeout together, or 30s without them',
  }),
  gracePeriod: setting<number | null>({
    kind: duration(),
    group: STOP,
    help: "Pingap's word for the first part of drain_timeout",
    fallback: null,
    fallbackText: 'none',
  }),
  gracefulShutdownTimeout: setting<number | null>({
    kind: duration(),
    group: STOP,
    help: "Pingap's word for the second part of drain_timeout",
    fallback: null,
    fallbackText: 'none',
  }),
  drainDelay: setting({
    kind: duration(),
    group: STOP,
    help: 'after SIGTERM, how long to go on serving while /readyz says 503, for load balancers to notice',
    fallback: 0,
  }),
  autoRestartCheckInterval: setting({
    kind: duration(),
    group: STOP,
    help: 'how often to look whether the files have changed, beside being told by the system; 0 = only SIGHUP reloads',
    fallback: 90_000,
  }),
  ...webhookTable,
} as const;

/** What the whole gateway has. */
export interface BasicSettings extends CommonSettings {
  readonly name: string;
  readonly trustedProxies: Cidrs;
  /** Idle connections kept for an upstream that does not say. */
  readonly upstreamPoolSize: number;
  readonly errorTemplates: ErrorTemplates;
  readonly adminAddr: Address | null;
  /** Is there a console at it? */
  readonly console: boolean;
  /** Names under which the console may be asked, beside the usual ones; lower case. */
  readonly consoleHosts: readonly string[];
  readonly drainDelayMs: number;
  /** Exchanges that are kept for operators to look at; 0 = none. */
  readonly inspector: number;
  /** Where traces go, as far as the file says. */
  readonly traces: { readonly endpoint: OtlpEndpoint | null | 'environment'; readonly service: string | null; readonly sample: number | null };
  /** Between two looks at the files, ms; 0 = they are not watched. */
  readonly watchIntervalMs: number;
  /** Whom `webhook` names; null = nobody. */
  readonly webhook: NotificationSettings | null;
}

export function basicSettings(values: Values<typeof basicTable>): BasicSettings {
  const { gracePeriod, gracefulShutdownTimeout } = values;
  const pingapDrainMs = gracePeriod === null && gracefulShutdownTimeout === null ? null : (gracePeriod ?? 0) + (gracefulShutdownTimeout ?? 0);
  return {
    name: values.name,
    adminAddr: values.adminAddr,
    console: values.console,
    consoleHosts: values.consoleHosts,
    trustedProxies: values.trustedProxies,
    upstreamPoolSize: values.upstreamKeepalivePoolSize,
    errorTemplates: { general: values.errorTemplate, byStatus: values.errorTemplates },
    logLevel: values.logLevel,
    logFormat: values.logFormatJson === null ? values.logFormat : values.logFormatJson ? 'json' : 'pretty',
    drainTimeoutMs: values.drainTimeout ?? pingapDrainMs ?? 30_000,
    drainDelayMs: values.drainDelay,
    inspector: values.inspector,
    traces: { endpoint: values.otlpEndpoint, service: values.otlpService, sample: values.traceSample },
    watchIntervalMs: values.autoRestartCheckInterval,
    webhook: webhookSettings(values),
  };
}

const SUPERVISOR = 'is not used: leave it to what supervises the process (systemd, a container)';
const ROTATION = 'is not used: the log goes to standard error, and whoever takes it there rotates it; access logs of servers rotate by themselves';

/** Pingap's keys that are not ours. */
export const retiredBasicKeys: RetiredKeys = new Map<string, Retired>([
  ['pid_file', { level: 'warning', says: SUPERVISOR }],
  ['upgrade_sock', { level: 'warning', says: 'is not used: SIGHUP reloads everything, listeners included, in the running process' }],
  ['error_log', { level: 'warning', says: 'is not used: the log goes to standard error; redirect it where the process is started' }],
  ['user', { level: 'warning', says: 'is not used: start the process as that user (User= of systemd); it needs no root for ports from 1024 on' }],
  ['group', { level: 'warning', says: 'is not used: start the process with that group (Group= of systemd)' }],
  ['threads', { level: 'warning', says: 'is not used: one process serves on one core; start several that share the port for more' }],
  ['work_stealing', { level: 'warning', says: 'is not used: there are no threads that could steal work' }],
  ['listener_tasks_per_fd', { level: 'warning', says: 'is not used: one loop accepts for all listeners' }],
  ['log_buffered_size', { level: 'warning', says: 'is not used: log lines are written as they come' }],
  ['log_compress_algorithm', { level: 'warning', says: ROTATION }],
  ['log_compress_level', { level: 'warning', says: ROTATION }],
  ['log_compress_days_ago', { level: 'warning', says: ROTATION }],
  ['log_compress_time_point_hour', { level: 'warning', says: ROTATION }],
  ['sentry', { level: 'warning', says: 'is not used: errors are in the log, one line each, as JSON if wanted' }],
  ['pyroscope', { level: 'warning', says: 'is not used: node --cpu-prof makes profiles' }],
]);
