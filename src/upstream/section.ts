import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { type Balance, balance } from '../schema/balance.ts';
import { bytes, choice, duration, integer, list, orOff, scalar, toggle } from '../schema/kind.ts';
import { type HealthCheck, healthCheck, parseHealthCheck } from '../schema/health-check.ts';
import { isHostName } from '../schema/host.ts';
import { type Pem, pem } from '../schema/pem.ts';
import { setting, type Values } from '../schema/setting.ts';
import { type StatusRange, statuses } from '../schema/statuses.ts';
import { type UpstreamAddress, upstreamAddresses } from '../schema/upstream-address.ts';
import { Wrong } from '../schema/wrong.ts';
import type { OnAbort } from '../http/client-h1.ts';
import { STREAM_IDLE_MS } from '../http/limits.ts';
import type { Alpn } from './h2-sessions.ts';
import { H2_STREAMS } from './limits.ts';

const ADDRESSES = 'Addresses';
const CHOOSING = 'Choosing';
const HEALTH = 'Health';
const TLS = 'TLS';
const TIMES = 'Times';
const CONNECTIONS = 'Connections';
const BREAKER = 'Circuit breaker';

/** How addresses are found. `''`: names are looked up again and again, IP addresses are what they are. */
export type Discovery = '' | 'static' | 'dns';

const discovery = scalar<Discovery>(
  'WAY',
  'static or dns',
  (given) => {
    if (given === 'static' || given === 'dns') return given;
    if (given === 'docker') throw new Wrong('is not supported', 'let Docker name the service: addrs = ["NAME:port"] and discovery = "dns"');
    if (given === 'transparent') throw new Wrong('is not supported, since it makes an open proxy', 'name the addresses in addrs');
    throw new Wrong('is no way to find addresses', 'choose static or dns, or leave it out');
  },
  { choices: ['static', 'dns'] },
);

const alpn = scalar<Alpn>(
  'PROTOCOL',
  'H1, H2 or H2H1',
  (given) => {
    const upper = given.toUpperCase();
    if (upper === 'H1' || upper === 'H2' || upper === 'H2H1') return upper;
    throw new Wrong('is no protocol', 'choose H1, H2 or H2H1');
  },
  { choices: ['H1', 'H2', 'H2H1'] },
);

const nameServer = scalar<string>('ADDRESS', 'IP address of a name server, with a port when it is not 53', (given) => {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*|[^[\]]*:[^[\]]*:[^[\]]*?))(?::(\d{1,5}))?$/.exec(given) ?? [];
  const bare = bracketed ?? plain ?? '';
  if (isIP(bare) === 0) throw new Wrong('is no IP address', 'give the IP address of a name server, such as 10.0.0.2 or 10.0.0.2:53');
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) throw new Wrong('has no valid port', 'give one from 1 to 65535');
  if (port === undefined) return bare;
  return bare.includes(':') ? `[${bare}]:${port}` : `${bare}:${port}`;
});

const domain = scalar<string>('NAME', 'domain such as svc.cluster.local', (given) => {
  if (!isHostName(given)) throw new Wrong('is no domain', 'write it as example.internal');
  return given.toLowerCase().replace(/\.$/, '');
});

const serverName = scalar<string>('NAME', 'name for TLS, such as api.example.com', (given) => {
  if (given === '$host') throw new Wrong('is only for transparent discovery, which is not supported', 'write the name that the certificates are for');
  if (!isHostName(given) || isIP(given) !== 0) throw new Wrong('is no name', 'write the name that the certificates are for, such as api.example.com');
  return given.toLowerCase().replace(/\.$/, '');
});

/** Longest time that can be asked for, ms: a day. */
const DAY_MS = 86_400_000;

/** What is set to serve Pingap's files and does nothing here; `upstreamFindings()` says so. */
const ACCEPTED = 'accepted, without effect';

/** Settings of an upstream of addresses, section [upstreams.NAME]. */
export const upstreamTable = {
  addrs: setting<readonly UpstreamAddress[]>({
    kind: upstreamAddresses(),
    group: ADDRESSES,
    help: 'where requests go; port 80 when none is written, 443 with sni',
    fallback: [],
    fallbackText: 'none',
  }),
  discovery: setting<Discovery>({
    kind: discovery,
    group: ADDRESSES,
    help: 'static: names are looked up once; dns, or nothing: again when their answers grow old',
    fallback: '',
    fallbackText: 'dns for names',
  }),
  dnsServer: setting<readonly string[]>({
    kind: list(nameServer),
    group: ADDRESSES,
    help: 'name servers to ask instead of those of the system',
    fallback: [],
    fallbackText: "the system's",
  }),
  dnsDomain: setting<string | null>({
    kind: domain,
    group: ADDRESSES,
    help: 'domain in which names without a dot are looked for first',
    fallback: null,
    fallbackText: 'none',
  }),
  dnsSearch: setting<readonly string[]>({
    kind: list(domain),
    group: ADDRESSES,
    help: 'more such domains, in order',
    fallback: [],
    fallbackText: 'none',
  }),
  updateFrequency: setting<number | null>({
    kind: duration(DAY_MS),
    group: ADDRESSES,
    help: 'how often names are looked up',
    fallback: null,
    fallbackText: 'as long as the answers say, 5s to 5m',
  }),
  ipv4Only: setting({ kind: toggle(), group: ADDRESSES, help: 'leave out the IPv6 addresses of names', fallback: false }),
  algo: setting<Balance>({
    kind: balance(),
    group: CHOOSING,
    help: 'who gets the next request',
    fallback: { by: 'round_robin' },
    fallbackText: 'round_robin',
  }),
  slowStart: setting({
    kind: duration(DAY_MS),
    group: CHOOSING,
    help: 'how long an address that came back gets less than its share; 0 = not at all',
    fallback: 0,
  }),
  healthCheck: setting<HealthCheck | null>({
    kind: orOff(healthCheck()),
    group: HEALTH,
    help: 'how addresses are probed',
    fallback: parseHealthCheck('tcp://upstream'),
    fallbackText: 'a TCP connection every 10s',
  }),
  ejectFailures: setting({
    kind: integer(0, 1_000_000),
    group: HEALTH,
    help: 'requests in a row without a whole answer after which an address gets none for a while; 0 = never',
    fallback: 5,
  }),
  ejectTime: setting({
    kind: duration(DAY_MS),
    group: HEALTH,
    help: 'how long, the first time; twice as long each further time, up to 5m',
    fallback: 10_000,
  }),
  sni: setting<string | null>({
    kind: serverName,
    group: TLS,
    help: 'speak TLS, with this name; certificates must be for it',
    fallback: null,
    fallbackText: 'no TLS',
  }),
  verifyCert: setting({ kind: toggle(), group: TLS, help: 'false: believe any certificate (a warning is logged)', fallback: true }),
  tlsCert: setting<Pem | null>({
    kind: pem('certificate to show to the upstream, and its chain'),
    group: TLS,
    help: 'client certificate',
    fallback: null,
    fallbackText: 'none',
  }),
  tlsKey: setting<Pem | null>({
    kind: pem('private key', true),
    group: TLS,
    help: 'its private key',
    fallback: null,
    fallbackText: 'none',
  }),
  tlsCa: setting<Pem | null>({
    kind: pem('certificate authorities'),
    group: TLS,
    help: 'authorities to believe instead of the built-in ones',
    fallback: null,
    fallbackText: 'the built-in ones',
  }),
  alpn: setting<Alpn>({
    kind: alpn,
    group: TLS,
    help: 'H1: HTTP/1.1. H2: HTTP/2, without TLS by prior knowledge. H2H1: as TLS chooses (ALPN), HTTP/2 rather',
    fallback: 'H1',
  }),
  maxH2Streams: setting({
    kind: integer(1, 1_000_000),
    group: CONNECTIONS,
    help: 'requests on one HTTP/2 connection at once, unless the upstream allows fewer; over it another is opened',
    fallback: H2_STREAMS,
  }),
  connectionTimeout: setting({ kind: duration(DAY_MS), group: TIMES, help: 'how long a TCP connection may take; 0 = no limit', fallback: 5_000 }),
  totalConnectionTimeout: setting({
    kind: duration(DAY_MS),
    group: TIMES,
    help: 'the same with TLS; 0 = no limit',
    fallback: 10_000,
  }),
  readTimeout: setting({
    kind: duration(DAY_MS),
    group: TIMES,
    help: 'how long the head of an answer may take, and its body pause; 0 = no limit',
    fallback: 60_000,
  }),
  streamIdleTimeout: setting({
    kind: duration(DAY_MS),
    group: TIMES,
    help: 'how long an event stream (text/event-stream) may pause, instead of read_timeout; 0 = no limit',
    fallback: STREAM_IDLE_MS,
  }),
  writeTimeout: setting({
    kind: duration(DAY_MS),
    group: TIMES,
    help: 'how long the upstream may take no byte of a request; 0 = no limit',
    fallback: 60_000,
  }),
  idleTimeout: setting({
    kind: duration(DAY_MS),
    group: CONNECTIONS,
    help: 'how long an idle connection is kept; 0 = each request has its own',
    fallback: 60_000,
  }),
  keepalivePoolSize: setting<number | null>({
    kind: integer(0, 100_000),
    group: CONNECTIONS,
    help: 'idle connections kept for each address; 0 = each request has its own',
    fallback: null,
    fallbackText: 'as [basic] says',
  }),
  tcpIdle: setting<number | null>({
    kind: duration(DAY_MS),
    group: CONNECTIONS,
    help: 'silence after which the system asks whether the other side is still there',
    fallback: null,
    fallbackText: 'never asks',
  }),
  tcpInterval: setting<number | null>({ kind: duration(DAY_MS), group: CONNECTIONS, help: ACCEPTED, fallback: null, fallbackText: "the system's" }),
  tcpProbeCount: setting<number | null>({ kind: integer(1, 16), group: CONNECTIONS, help: ACCEPTED, fallback: null, fallbackText: "the system's" }),
  tcpUserTimeout: setting<number | null>({
    kind: duration(DAY_MS),
    group: CONNECTIONS,
    help: ACCEPTED,
    fallback: null,
    fallbackText: "the system's",
  }),
  tcpRecvBuf: setting<number | null>({ kind: bytes(), group: CONNECTIONS, help: ACCEPTED, fallback: null, fallbackText: "the system's" }),
  tcpFastOpen: setting({ kind: toggle(), group: CONNECTIONS, help: ACCEPTED, fallback: false }),
  hostHeader: setting<'keep' | 'upstream'>({
    kind: choice(['keep', 'upstream']),
    group: CONNECTIONS,
    help: "Host that the upstream sees: the client's, or its own name and port",
    fallback: 'keep',
  }),
  proxyProtocol: setting<'v1' | 'v2' | null>({
    kind: orOff(choice(['v1', 'v2'])),
    group: CONNECTIONS,
    help: "tell the upstream the client's address by the PROXY protocol; each request then has a connection of its own",
    fallback: null,
    fallbackText: 'off',
  }),
  onAbort: setting<OnAbort>({
    kind: choice(['cancel', 'drain', 'drain_capped']),
    group: CONNECTIONS,
    help: 'when a client leaves: stop its request, let it run, or let it run for a while',
    fallback: 'cancel',
  }),
  cancelGrace: setting({
    kind: duration(DAY_MS),
    group: CONNECTIONS,
    help: 'how long an upstream may take to stop before its connection is reset',
    fallback: 5_000,
  }),
  drainTimeout: setting({ kind: duration(DAY_MS), group: CONNECTIONS, help: 'how long drain_capped lets it run', fallback: 60_000 }),
  enableTracer: setting({ kind: toggle(), group: HEALTH, help: 'accepted: connections are always counted', fallback: false }),
  enableBackendStats: setting({ kind: toggle(), group: HEALTH, help: 'accepted: addresses always have their own numbers', fallback: false }),
  backendFailureStatusCode: setting<readonly StatusRange[]>({
    kind: statuses(),
    group: BREAKER,
    help: 'statuses that count as failures',
    fallback: [{ from: 500, to: 599 }],
    fallbackText: '5xx',
  }),
  backendStatsInterval: setting({
    kind: duration(DAY_MS),
    group: BREAKER,
    help: 'time over which the share of failures is reckoned',
    fallback: 60_000,
  }),
  circuitBreakMaxConsecutiveFailures: setting({
    kind: integer(0, 1_000_000),
    group: BREAKER,
    help: 'failures in a row that open the breaker of an address; 0 = not by these',
    fallback: 0,
  }),
  circuitBreakMaxFailurePercent: setting({
    kind: integer(0, 100),
    group: BREAKER,
    help: 'share of failures that opens it, percent; 0 = not by this',
    fallback: 0,
  }),
  circuitBreakMinRequestsThreshold: setting({
    kind: integer(1, 1_000_000_000),
    group: BREAKER,
    help: 'requests within the time that the share is reckoned from, at least',
    fallback: 10,
  }),
  circuitBreakHalfOpenConsecutiveSuccessThreshold: setting({
    kind: integer(1, 1_000_000),
    group: BREAKER,
    help: 'successes in a row that close it again; no more requests are tried at once',
    fallback: 5,
  }),
  circuitBreakOpenDuration: setting({
    kind: duration(DAY_MS),
    group: BREAKER,
    help: 'how long it stays open before requests are tried',
    fallback: 10_000,
  }),
} as const;

/** One [upstreams.NAME] of addresses, checked. */
export type UpstreamSettings = Values<typeof upstreamTable> & { readonly name: string };

/** Something about an upstream's settings together that no single key shows. */
export interface UpstreamFinding {
  readonly severity: 'error' | 'warning';
  /** Of the table, in camelCase. */
  readonly key: keyof typeof upstreamTable;
  /** End of a sentence whose subject is the key, as in Wrong. */
  readonly message: string;
  readonly fix: string;
}

/** What is wrong or odd about the settings of one upstream, taken together. `given`: the keys that stand in the file. */
export function upstreamFindings(of: Values<typeof upstreamTable>, given: ReadonlySet<string>): UpstreamFinding[] {
  const found: UpstreamFinding[] = [];
  const error = (key: UpstreamFinding['key'], message: string, fix: string): void => void found.push({ severity: 'error', key, message, fix });
  const warn = (key: UpstreamFinding['key'], message: string, fix: string): void => void found.push({ severity: 'warning', key, message, fix });
  if (of.addrs.length === 0) error('addrs', 'names no address', 'write addrs = ["127.0.0.1:8080"]');
  const seen = new Set<string>();
  for (const { host, port } of of.addrs) {
    const place = `${host}:${port === 0 ? (of.sni === null ? 80 : 443) : port}`;
    if (seen.has(place)) error('addrs', `has ${place} twice`, 'write it once, with a weight');
    seen.add(place);
  }
  if (of.addrs.length > 0 && of.addrs.every(({ backup }) => backup)) warn('addrs', 'has nothing but backups', 'take backup away from one of them');
  if (of.algo.by !== 'spare_capacity' && of.addrs.some(({ load }) => load > 0))
    warn('addrs', 'has a load, which counts only with spare_capacity', 'write algo = "spare_capacity", or take load away');
  if (of.discovery === 'dns' && of.addrs.every(({ host }) => isIP(host) !== 0))
    warn('discovery', 'is dns, but addrs has no name to look up', 'take it away');
  if ((of.tlsCert === null) !== (of.tlsKey === null))
    error(of.tlsCert === null ? 'tlsKey' : 'tlsCert', 'stands alone', `give ${of.tlsCert === null ? 'tls_cert' : 'tls_key'} as well`);
  if (of.tlsCert !== null && of.tlsKey !== null && !belong(of.tlsCert, of.tlsKey))
    error('tlsKey', 'is not the key of tls_cert', 'give the key that the certificate was made with');
  for (const key of ['verifyCert', 'tlsCert', 'tlsCa'] as const)
    if (of.sni === null && given.has(key)) warn(key, 'has no effect without TLS', 'give sni, the name for TLS, or take it away');
  if (of.sni !== null && !of.verifyCert) warn('verifyCert', 'is false: anybody can pose as this upstream', 'give tls_ca instead');
  if (of.alpn !== 'H1' && of.proxyProtocol !== null)
    warn('alpn', 'has no effect with proxy_protocol, which speaks HTTP/1.1', 'take one of the two away');
  else if (of.alpn === 'H2H1' && of.sni === null)
    warn('alpn', 'is H2H1, which TLS chooses from: without it HTTP/1.1 is spoken', 'give sni, or write alpn = "H2" for HTTP/2 without TLS');
  if (of.alpn === 'H2' && of.proxyProtocol === null && (of.healthCheck?.scheme === 'http' || of.healthCheck?.scheme === 'https'))
    warn('healthCheck', 'asks in HTTP/1.1, which an upstream of HTTP/2 may not answer', 'ask with grpc:// or tcp://');
  if (of.alpn === 'H1' && given.has('maxH2Streams')) warn('maxH2Streams', 'has no effect with HTTP/1.1', 'write alpn = "H2H1", or take it away');
  for (const key of ['tcpInterval', 'tcpProbeCount', 'tcpUserTimeout', 'tcpRecvBuf', 'tcpFastOpen'] as const)
    if (given.has(key)) warn(key, 'has no effect here', 'take it away; the system decides');
  if (of.updateFrequency !== null && of.updateFrequency < 1_000) error('updateFrequency', 'is too short', 'give at least 1s');
  if (of.proxyProtocol !== null && given.has('idleTimeout') && of.idleTimeout > 0)
    warn('idleTimeout', 'has no effect with proxy_protocol, which needs a connection for each request', 'take it away');
  return found;
}

function belong(certificate: Pem, key: Pem): boolean {
  try {
    return new X509Certificate(certificate.text).checkPrivateKey(createPrivateKey(key.text));
  } catch {
    return false;
  }
}
