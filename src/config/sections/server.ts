import { createHash } from 'node:crypto';
import { httpLimits, type HttpLimits } from '../../http/limits.ts';
import { accessLog, type AccessLogSpec } from '../../schema/access-log.ts';
import { formatAddress, type Address } from '../../schema/address.ts';
import type { Cidrs } from '../../schema/cidrs.ts';
import { address, choice, cidrs, duration, integer, list, orNone, orOff, scalar, text, textLike, toggle, type Kind } from '../../schema/kind.ts';
import { type OtlpEndpoint, otlpEndpoint } from '../../schema/otlp-endpoint.ts';
import { certificatesIn, pem, type Pem, revocationLists } from '../../schema/pem.ts';
import { setting, type Values } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import type { ErrorTemplates } from '../../proxy/error-pages.ts';
import { h2Limits, listenTable } from '../common.ts';
import { errorTemplates, errorTemplatesByStatus } from '../error-templates.ts';
import type { Retired, RetiredKeys } from '../item.ts';
import type { Wire } from '../settings.ts';
import type { BasicSettings } from './basic.ts';

const START = 'To start';
const TLS = 'TLS';
const REQUESTS = 'Requests';
const OPERATION = 'Operation';

const TLS_VERSIONS = ['tlsv1.2', 'tlsv1.3'] as const;
type TlsVersion = (typeof TLS_VERSIONS)[number];

/** Older ones stand in files of Pingap, and are raised with a warning before this is asked. */
const TLS_VERSION: Kind<TlsVersion> = {
  ...choice(TLS_VERSIONS),
  json: { anyOf: [choice(TLS_VERSIONS).json, { type: 'string', pattern: '^[tT][lL][sS][vV]1(\\.[01])?$' }] },
};

const HTTPS_PORT: Kind<number> = scalar(
  'PORT',
  'true, or the port of https when it is not 443',
  (given) => {
    const n = given === 'true' ? 443 : Number(given);
    if (!Number.isInteger(n) || n < 1 || n > 65_535) throw new Wrong('is no port', 'write true, or a port from 1 to 65535');
    return n;
  },
  { types: ['number', 'boolean'] },
);

/** Settings of a listening socket, section [servers.NAME]. */
export const serverTable = {
  addr: setting({
    kind: list(address('0.0.0.0')),
    group: START,
    help: 'where to listen',
    hint: 'such as addr = "0.0.0.0:8080"',
  }),
  locations: setting<readonly string[]>({
    kind: list(text('NAME', 'name of a location')),
    group: START,
    help: 'which locations answer here; the one that says most about a request wins, whatever the order',
    fallback: [],
    fallbackText: 'none: every request gets no_match_status',
  }),
  accepts: setting<readonly Wire[]>({
    kind: orNone(list(choice(['native', 'slime', 'cranker']))),
    group: START,
    help: 'agents that may dial in here, by how they speak; what they need stands in [agents]',
    fallback: [],
  }),
  globalCertificates: setting({
    kind: toggle(),
    group: TLS,
    help: 'listen with TLS, with the certificate of [certificates] that fits the name asked for',
    fallback: false,
  }),
  selfSigned: setting({
    kind: toggle(),
    group: TLS,
    help: 'listen with TLS, with certificates for whatever name is asked for, made by an authority of our own: for development',
    fallback: false,
  }),
  tlsCert: setting<Pem | null>({
    kind: pem('certificate chain'),
    group: TLS,
    help: 'listen with TLS and this certificate; a file is read anew when it changes',
    fallback: null,
    fallbackText: 'plain HTTP',
  }),
  tlsKey: setting<Pem | null>({
    kind: pem('private key', true),
    group: TLS,
    help: 'its private key, without a password',
    fallback: null,
    fallbackText: 'none',
  }),
  tlsMinVersion: setting<TlsVersion>({ kind: TLS_VERSION, group: TLS, help: 'oldest TLS version', fallback: 'tlsv1.2' }),
  tlsMaxVersion: setting<TlsVersion>({ kind: TLS_VERSION, group: TLS, help: 'newest TLS version', fallback: 'tlsv1.3' }),
  tlsCipherList: setting<string | null>({
    kind: textLike(
      /^[\w!+:@=.-]+$/,
      'CIPHERS',
      "OpenSSL's names, separated by colons",
      'such as ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
    ),
    group: TLS,
    help: 'ciphers for TLS 1.2',
    fallback: null,
    fallbackText: "Node's",
  }),
  tlsCiphersuites: setting<string | null>({
    kind: textLike(/^TLS_[A-Z\d_]+(?::TLS_[A-Z\d_]+)*$/, 'CIPHERS', "OpenSSL's names, separated by colons", 'such as TLS_AES_128_GCM_SHA256'),
    group: TLS,
    help: 'ciphers for TLS 1.3',
    fallback: null,
    fallbackText: "Node's",
  }),
  tlsClientCa: setting<Pem | null>({
    kind: pem('certificate authorities'),
    group: TLS,
    help: 'ask clients for a certificate from one of these authorities',
    fallback: null,
    fallbackText: 'clients are not asked',
  }),
  tlsClientAuth: setting<'required' | 'optional'>({
    kind: choice(['required', 'optional']),
    group: TLS,
    help: 'optional: clients without a certificate come in, too; one that is shown must be good all the same',
    fallback: 'required',
  }),
  tlsClientCrl: setting<Pem | null>({
    kind: revocationLists(),
    group: TLS,
    help: "the authorities' lists of certificates that were taken back: one of each, and not too old",
    fallback: null,
    fallbackText: 'none',
  }),
  redirectHttps: setting<number | null>({
    kind: orOff(HTTPS_PORT),
    group: TLS,
    help: 'send all requests that come without TLS to https, for good (308); proofs for certificate authorities are shown all the same',
    fallback: null,
    fallbackText: 'off',
  }),
  trustedProxies: setting<Cidrs | null>({
    kind: cidrs(),
    group: REQUESTS,
    help: 'whose Forwarded and X-Forwarded-* are believed here',
    fallback: null,
    fallbackText: 'those of [basic]',
  }),
  proxyProtocol: setting<'off' | 'on'>({
    kind: choice(['off', 'on']),
    group: REQUESTS,
    help: 'connections begin with a PROXY protocol header (v1 or v2) that names the client',
    fallback: 'off',
  }),
  proxyProtocolFrom: setting<Cidrs | null>({
    kind: cidrs(),
    group: REQUESTS,
    help: 'who may send one; others are refused',
    fallback: null,
    fallbackText: 'trusted_proxies',
  }),
  halfClose: setting<'cancel' | 'answer'>({
    kind: choice(['cancel', 'answer']),
    group: REQUESTS,
    help: 'a client that closes its side before the answer is complete: has left, or still gets its answer (shell clients)',
    fallback: 'cancel',
  }),
  enabledH2: setting({ ...listenTable.http2 }),
  noMatchStatus: setting({ kind: integer(400, 599), group: REQUESTS, help: 'status when no location matches', fallback: 404 }),
  upgrades: listenTable.upgrades,
  viaName: setting({ ...listenTable.viaName }),
  errorTemplate: setting<readonly string[]>({
    kind: errorTemplates(),
    group: REQUESTS,
    help: 'what an error answer says here',
    fallback: [],
    fallbackText: 'that of [basic]',
  }),
  errorTemplates: setting<ErrorTemplates['byStatus']>({
    kind: errorTemplatesByStatus(),
    group: REQUESTS,
    help: 'the same for single statuses, beside those of [basic]',
    fallback: new Map(),
    fallbackText: 'none',
  }),
  accessLog: setting<AccessLogSpec | null>({
    kind: orOff(accessLog()),
    group: OPERATION,
    help: 'one line per request: combined, common, short, tiny, json or a template such as {remote} {uri} {status}; a path in front writes to that file',
    fallback: null,
    fallbackText: 'off',
  }),
  enableServerTiming: setting({
    kind: toggle(),
    group: OPERATION,
    help: 'answers carry Server-Timing: queue, connect, upstream, total',
    fallback: false,
  }),
  prometheusMetrics: setting<string | null>({
    kind: textLike(/^\/[\x21-\x7e]*$/, 'PATH', 'path such as /metrics', 'give a path; pushing to a gateway is not supported'),
    group: OPERATION,
    help: 'path at which this server shows the metrics, to whoever asks; better leave it to admin_addr',
    fallback: null,
    fallbackText: 'none',
  }),
  otlpExporter: setting<OtlpEndpoint | null>({
    kind: otlpEndpoint(),
    group: OPERATION,
    help: 'collector that traces of this server are sent to (OTLP over HTTP)',
    fallback: null,
    fallbackText: 'otlp_endpoint of [basic]',
  }),
  grpcHealth: setting({
    kind: toggle(),
    group: OPERATION,
    help: 'this server answers gRPC\'s health checks (grpc.health.v1) too: service "" is the gateway, other names are upstreams; at admin_addr they always are',
    fallback: false,
  }),
  maxH2Streams: listenTable.maxH2Streams,
  h2Window: listenTable.h2Window,
  maxBody: listenTable.maxBody,
  maxHead: listenTable.maxHead,
  maxFields: listenTable.maxFields,
  maxConnections: listenTable.maxConnections,
  headTimeout: setting<number | null>({ ...listenTable.headTimeout, fallback: null, fallbackText: '10s' }),
  bodyIdleTimeout: setting<number | null>({ ...listenTable.bodyIdleTimeout, fallback: null, fallbackText: '30s' }),
  writeIdleTimeout: setting<number | null>({ ...listenTable.writeIdleTimeout, fallback: null, fallbackText: '5m' }),
  upgradeIdleTimeout: listenTable.upgradeIdleTimeout,
  keepAliveTimeout: listenTable.keepAliveTimeout,
  downstreamReadTimeout: setting<number | null>({
    kind: duration(),
    group: 'Limits',
    help: "Pingap's word for head_timeout and body_idle_timeout, where those are not given",
    fallback: null,
    fallbackText: 'none',
  }),
  downstreamWriteTimeout: setting<number | null>({
    kind: duration(),
    group: 'Limits',
    help: "Pingap's word for write_idle_timeout, where that is not given",
    fallback: null,
    fallbackText: 'none',
  }),
} as const;

/** How a server speaks TLS. */
export interface ServerTlsSettings {
  /** Its own pair; null: the certificates of the file, by name. */
  readonly own: { readonly cert: Pem; readonly key: Pem } | null;
  /** Those of [certificates] are for clients of this server. */
  readonly global: boolean;
  /** Names that no certificate has get one of our own authority. */
  readonly selfSigned: boolean;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
  /** As Node wants them; null = its own. */
  readonly ciphers: string | null;
  /** Null: clients are not asked for certificates. */
  readonly clients: ClientAuthorities | null;
}

/** Whose certificates clients may show. */
export interface ClientAuthorities {
  readonly ask: 'required' | 'optional';
  /** PEM, each. */
  readonly ca: readonly string[];
  /** PEM; null = none. */
  readonly crl: string | null;
  /** Equal for equal rules, at most 32 characters. */
  readonly id: string;
}

/** `crl`: PEM, null = none. */
export function clientAuthorities(ask: 'required' | 'optional', ca: string, crl: string | null): ClientAuthorities {
  const id = createHash('sha256')
    .update(JSON.stringify([ask, ca, crl]))
    .digest('hex')
    .slice(0, 32);
  return { ask, ca: certificatesIn(ca), crl, id };
}

/** A listening socket, or several that answer alike. */
export interface ServerSettings {
  readonly name: string;
  /** Never empty. */
  readonly addresses: readonly Address[];
  /** As the file has them. */
  readonly locations: readonly string[];
  /** Wires over which agents may come in. */
  readonly accepts: readonly Wire[];
  /** Null = plain HTTP. */
  readonly tls: ServerTlsSettings | null;
  /** The port of https to which requests without TLS are sent; null = they are served. */
  readonly redirectHttps: number | null;
  readonly trustedProxies: Cidrs;
  readonly proxyProtocol: 'off' | 'on';
  /** Who may send a PROXY header. */
  readonly proxyProtocolFrom: Cidrs;
  /** What a FIN before the end of the answer means. */
  readonly halfClose: 'cancel' | 'answer';
  readonly noMatchStatus: number;
  readonly upgrades: readonly string[];
  readonly viaName: string;
  readonly errorTemplates: ErrorTemplates;
  /** Null = off. */
  readonly accessLog: AccessLogSpec | null;
  readonly serverTiming: boolean;
  /** Path; null = not here. */
  readonly metricsPath: string | null;
  /** Where its traces go; null: as [basic] says. */
  readonly otlpEndpoint: OtlpEndpoint | null;
  /** gRPC's health service is answered here. */
  readonly grpcHealth: boolean;
  readonly limits: HttpLimits;
  /** Equal for equal settings. */
  readonly fingerprint: string;
}

export function serverSettings(name: string, values: Values<typeof serverTable>, basic: BasicSettings, fingerprint: string): ServerSettings {
  const { downstreamReadTimeout, downstreamWriteTimeout } = values;
  const trustedProxies = values.trustedProxies ?? basic.trustedProxies;
  return {
    name,
    addresses: values.addr,
    locations: values.locations,
    accepts: values.accepts,
    tls: tlsOf(values),
    redirectHttps: values.redirectHttps,
    trustedProxies,
    proxyProtocol: values.proxyProtocol,
    proxyProtocolFrom: values.proxyProtocolFrom ?? trustedProxies,
    halfClose: values.halfClose,
    noMatchStatus: values.noMatchStatus,
    upgrades: values.upgrades,
    viaName: values.viaName,
    errorTemplates: {
      general: values.errorTemplate.length > 0 ? values.errorTemplate : basic.errorTemplates.general,
      byStatus: new Map([...basic.errorTemplates.byStatus, ...values.errorTemplates]),
    },
    accessLog: values.accessLog,
    serverTiming: values.enableServerTiming,
    metricsPath: values.prometheusMetrics,
    otlpEndpoint: values.otlpExporter,
    grpcHealth: values.grpcHealth,
    limits: {
      ...httpLimits,
      bodyBytes: values.maxBody,
      headBytes: values.maxHead,
      targetBytes: Math.min(httpLimits.targetBytes, values.maxHead),
      fieldCount: values.maxFields,
      connections: values.maxConnections,
      headTimeoutMs: values.headTimeout ?? downstreamReadTimeout ?? httpLimits.headTimeoutMs,
      bodyIdleTimeoutMs: values.bodyIdleTimeout ?? downstreamReadTimeout ?? httpLimits.bodyIdleTimeoutMs,
      writeIdleTimeoutMs: values.writeIdleTimeout ?? downstreamWriteTimeout ?? httpLimits.writeIdleTimeoutMs,
      upgradeIdleTimeoutMs: values.upgradeIdleTimeout,
      keepAliveTimeoutMs: values.keepAliveTimeout,
      ...h2Limits(values.enabledH2, values),
    },
    fingerprint,
  };
}

function tlsOf(values: Values<typeof serverTable>): ServerTlsSettings | null {
  const { tlsCert, tlsKey, tlsCipherList, tlsCiphersuites, tlsClientCa, tlsClientAuth, tlsClientCrl } = values;
  if (!values.globalCertificates && !values.selfSigned && tlsCert === null) return null;
  const ciphers = [tlsCiphersuites, tlsCipherList].filter((part) => part !== null).join(':');
  return {
    own: tlsCert === null || tlsKey === null ? null : { cert: tlsCert, key: tlsKey },
    global: values.globalCertificates,
    selfSigned: values.selfSigned,
    minVersion: NODE_VERSIONS.get(values.tlsMinVersion)!,
    maxVersion: NODE_VERSIONS.get(values.tlsMaxVersion)!,
    ciphers: ciphers === '' ? null : ciphers,
    clients: tlsClientCa === null ? null : clientAuthorities(tlsClientAuth, tlsClientCa.text, tlsClientCrl?.text ?? null),
  };
}

const NODE_VERSIONS: ReadonlyMap<TlsVersion, 'TLSv1.2' | 'TLSv1.3'> = new Map([
  ['tlsv1.2', 'TLSv1.2'],
  ['tlsv1.3', 'TLSv1.3'],
]);

/** Do two addresses claim the same socket? `0.0.0.0:80` and `[::]:80` take the port from every other address. Port 0 is always another one. */
export function clash(a: Address, b: Address): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  if (formatAddress(a).toLowerCase() === formatAddress(b).toLowerCase()) return true;
  const [any, other] = a.host === '::' || a.host === '0.0.0.0' ? [a, b] : [b, a];
  return any.host === '::' || (any.host === '0.0.0.0' && (other.host === '::' || !other.host.includes(':')));
}

const SOCKET = 'is not used: the system decides (net.ipv4.tcp_* of sysctl); connections are probed after 30 s of silence';

/** Pingap's keys that are not ours. */
export const retiredServerKeys: RetiredKeys = new Map<string, Retired>([
  ['threads', { level: 'warning', says: 'is not used: one process serves on one core; start several that share the port for more' }],
  [
    'lets_encrypt',
    {
      level: 'error',
      says: 'cannot be obeyed here: write [certificates.NAME] with these domains and acme = "lets_encrypt", and global_certificates = true in this server',
    },
  ],
  ['tcp_idle', { level: 'warning', says: SOCKET }],
  ['tcp_interval', { level: 'warning', says: SOCKET }],
  ['tcp_probe_count', { level: 'warning', says: SOCKET }],
  ['tcp_user_timeout', { level: 'warning', says: SOCKET }],
  ['tcp_fastopen', { level: 'warning', says: SOCKET }],
  ['reuse_port', { level: 'warning', says: 'is not used: one process listens', harmless: (value) => value === false }],
  [
    'modules',
    {
      level: 'warning',
      says: 'is not used: the only one, grpc-web, is there for each location that says grpc_web = true',
      harmless: (value) => Array.isArray(value) && value.every((name) => name === 'grpc-web'),
    },
  ],
]);
