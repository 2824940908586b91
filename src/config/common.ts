import { LOG_LEVELS, type LogLevel } from '../observe/log.ts';
import type { HttpLimits } from '../http/limits.ts';
import { httpLimits } from '../http/limits.ts';
import { address, bytes, choice, cidrs, duration, integer, list, orNone, orOff, path, textLike, toggle, type Kind } from '../schema/kind.ts';
import { Cidrs } from '../schema/cidrs.ts';
import { setting, type Values } from '../schema/setting.ts';
import type { Address } from '../schema/address.ts';
import { SettingsError } from './settings-error.ts';
import type { AccessLogTarget, CommonSettings, ListenSettings, LogFormat, TlsFiles } from './settings.ts';

const OPERATION = 'Operation';
const LIMITS = 'Limits';

const ACCESS_LOG: Kind<AccessLogTarget> = {
  ...path(),
  word: 'off|stdout|PATH',
  says: 'off, stdout or the path of a file',
  parse: (texts) => asWord(texts.at(-1)) ?? { path: path().parse(texts) },
  fromToml: (value, folder) => asWord(value) ?? { path: path().fromToml(value, folder) },
  format: (target) => (typeof target === 'string' ? target : target.path),
};

function asWord(given: unknown): 'off' | 'stdout' | null {
  return given === 'off' || given === 'stdout' ? given : given === '-' ? 'stdout' : null;
}

/** Settings of everything that runs on, but for the admin address, whose default differs. */
export const commonTable = {
  logLevel: setting<LogLevel>({ kind: choice(LOG_LEVELS), group: OPERATION, help: 'least important lines to log', fallback: 'info' }),
  logFormat: setting<LogFormat>({
    kind: choice(['auto', 'pretty', 'json']),
    group: OPERATION,
    help: 'how log lines look; auto: pretty on a terminal, JSON otherwise',
    fallback: 'auto',
  }),
  drainTimeout: setting({
    kind: duration(),
    group: OPERATION,
    help: 'after SIGTERM, how long running requests may take to finish',
    fallback: 30_000,
  }),
} as const;

export function adminAddr(fallback: Address | null) {
  return setting({
    kind: orOff(address('127.0.0.1')),
    group: OPERATION,
    help: 'where /healthz, /readyz and /metrics are served',
    fallback,
  });
}

/** Settings of everything that listens to applications. */
export const listenTable = {
  tlsCert: setting<string | null>({
    kind: path('path of a PEM file'),
    group: 'TLS',
    help: 'certificate chain to listen with TLS; read anew when it changes',
    fallback: null,
    fallbackText: 'plain HTTP',
  }),
  tlsKey: setting<string | null>({
    kind: path('path of a PEM file'),
    group: 'TLS',
    help: 'its private key, without a password',
    fallback: null,
    fallbackText: 'none',
  }),
  tlsClientCa: setting<string | null>({
    kind: path('path of a PEM file'),
    group: 'TLS',
    help: 'ask clients for a certificate from one of these authorities; read anew on SIGHUP',
    fallback: null,
    fallbackText: 'clients are not asked',
  }),
  tlsClientAuth: setting<'required' | 'optional'>({
    kind: choice(['required', 'optional']),
    group: 'TLS',
    help: 'optional: clients without a certificate come in, too; one that is shown must be good all the same',
    fallback: 'required',
  }),
  trustedProxies: setting({
    kind: cidrs(),
    group: 'Requests',
    help: 'whose Forwarded and X-Forwarded-* are believed',
    fallback: new Cidrs(),
    fallbackText: 'nobody',
  }),
  upgrades: setting({
    kind: orNone(
      list(
        textLike(/^(?!h2c$)[a-z\d!#$%&'*+.^_`|~/-]+$/, 'TOKEN', 'Upgrade token', 'tokens are lower case, such as websocket (h2c is never passed)'),
      ),
    ),
    group: 'Requests',
    help: 'Upgrade tokens that pass; none = no upgrades',
    fallback: ['websocket'],
  }),
  viaName: setting({
    kind: textLike(/^[\w!#$%&'*+.^`|~-]{1,64}$/, 'NAME', 'name', 'use letters, digits, dots and dashes'),
    group: 'Requests',
    help: 'name in Via, by which loops are noticed',
    fallback: 'windlass',
  }),
  accessLog: setting<AccessLogTarget>({ kind: ACCESS_LOG, group: OPERATION, help: 'one line per request to stdout or a file', fallback: 'off' }),
  drainDelay: setting({
    kind: duration(),
    group: OPERATION,
    help: 'after SIGTERM, how long to go on serving while /readyz says 503, for load balancers to notice',
    fallback: 0,
  }),
  http2: setting({
    kind: toggle(),
    group: 'Requests',
    help: 'speak HTTP/2 to clients that want it: with TLS by ALPN, without it by prior knowledge',
    fallback: true,
  }),
  maxH2Streams: setting({
    kind: integer(1, 100_000),
    group: LIMITS,
    help: 'most requests at once on one connection of HTTP/2',
    fallback: httpLimits.h2Streams,
  }),
  h2Window: setting({
    kind: bytes(),
    group: LIMITS,
    help: 'how much of a request body a client of HTTP/2 may send ahead; more is faster over long distances',
    fallback: httpLimits.h2StreamWindow,
  }),
  maxBody: setting({ kind: bytes(), group: LIMITS, help: 'largest request body; 0 = unlimited', fallback: httpLimits.bodyBytes }),
  maxHead: setting({ kind: bytes(), group: LIMITS, help: 'largest request head', fallback: httpLimits.headBytes }),
  maxFields: setting({ kind: integer(1, 10_000), group: LIMITS, help: 'most header fields in a request', fallback: httpLimits.fieldCount }),
  maxConnections: setting({
    kind: integer(0, 10_000_000),
    group: LIMITS,
    help: 'most client connections at once; 0 = what the system allows',
    fallback: httpLimits.connections,
  }),
  headTimeout: setting({ kind: duration(), group: LIMITS, help: 'how long a request head may take to arrive', fallback: httpLimits.headTimeoutMs }),
  bodyIdleTimeout: setting({ kind: duration(), group: LIMITS, help: 'how long a request body may pause', fallback: httpLimits.bodyIdleTimeoutMs }),
  writeIdleTimeout: setting({
    kind: duration(),
    group: LIMITS,
    help: 'how long a client may take nothing of an answer',
    fallback: httpLimits.writeIdleTimeoutMs,
  }),
  upgradeIdleTimeout: setting({
    kind: duration(),
    group: LIMITS,
    help: 'how long an upgraded connection, such as a WebSocket, may be without a byte either way; 0 = for ever',
    fallback: httpLimits.upgradeIdleTimeoutMs,
  }),
  keepAliveTimeout: setting({
    kind: duration(),
    group: LIMITS,
    help: 'how long an idle client connection is kept',
    fallback: httpLimits.keepAliveTimeoutMs,
  }),
} as const;

export function commonSettings(values: Values<typeof commonTable> & { readonly adminAddr: Address | null }): CommonSettings {
  return { logLevel: values.logLevel, logFormat: values.logFormat, adminAddr: values.adminAddr, drainTimeoutMs: values.drainTimeout };
}

export function listenSettings(values: Values<typeof listenTable>): Omit<ListenSettings, 'host' | 'port'> {
  const { trustedProxies, accessLog, upgrades, viaName } = values;
  return { trustedProxies, accessLog, upgrades, viaName, limits: limitsOf(values), tls: tlsOf(values), drainDelayMs: values.drainDelay };
}

function tlsOf({ tlsCert, tlsKey, tlsClientCa, tlsClientAuth }: Values<typeof listenTable>): TlsFiles | null {
  if (tlsCert === null && tlsKey === null) {
    if (tlsClientCa !== null) throw new SettingsError(['--tls-client-ca needs TLS, or nobody can show a certificate: give --tls-cert and --tls-key']);
    return null;
  }
  if (tlsCert === null) throw new SettingsError(['--tls-key needs --tls-cert as well: give both (or neither, for plain HTTP)']);
  if (tlsKey === null) throw new SettingsError(['--tls-cert needs --tls-key as well: give both (or neither, for plain HTTP)']);
  return { certFile: tlsCert, keyFile: tlsKey, ...(tlsClientCa === null ? {} : { clients: { caFile: tlsClientCa, ask: tlsClientAuth } }) };
}

function limitsOf(values: Values<typeof listenTable>): HttpLimits {
  return {
    ...httpLimits,
    bodyBytes: values.maxBody,
    headBytes: values.maxHead,
    targetBytes: Math.min(httpLimits.targetBytes, values.maxHead),
    fieldCount: values.maxFields,
    connections: values.maxConnections,
    headTimeoutMs: values.headTimeout,
    bodyIdleTimeoutMs: values.bodyIdleTimeout,
    writeIdleTimeoutMs: values.writeIdleTimeout,
    upgradeIdleTimeoutMs: values.upgradeIdleTimeout,
    keepAliveTimeoutMs: values.keepAliveTimeout,
    ...h2Limits(values.http2, values),
  };
}

/** Bounds of HTTP/2 on a listener; no streams at all where it is off. */
export function h2Limits(
  on: boolean,
  { maxH2Streams, h2Window }: Pick<Values<typeof listenTable>, 'maxH2Streams' | 'h2Window'>,
): Pick<HttpLimits, 'h2Streams' | 'h2StreamWindow' | 'h2ConnectionWindow'> {
  // RFC 9113 6.9.1: a window has 31 bits. Below 16 KiB a stream waits for its window within one read.
  const window = Math.min(Math.max(h2Window, 16 * 1024), 2 ** 31 - 1);
  return { h2Streams: on ? maxH2Streams : 0, h2StreamWindow: window, h2ConnectionWindow: Math.max(httpLimits.h2ConnectionWindow, window) };
}
