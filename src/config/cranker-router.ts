import { bytes, choice, cidrs, duration, host, integer, list, path, port, secrets, textLike, toggle } from '../schema/kind.ts';
import { Cidrs, parseCidr } from '../schema/cidrs.ts';
import { setting, type Values } from '../schema/setting.ts';
import { certificateRoute, certificateRoutes } from './certificate-route.ts';
import { adminAddr, commonSettings, commonTable, listenSettings, listenTable } from './common.ts';
import { SettingsError } from './settings-error.ts';
import type { CommonSettings, ListenSettings, TlsFiles } from './settings.ts';

const START = 'To start';
const WHO = 'Who may register';
const ROUTING = 'Routing';
const REQUESTS = 'Requests';
const DEAD = 'Who is still there';

/** Settings of `cranker-router`. */
export const crankerRouterTable = {
  host: setting({ kind: host(), group: START, help: 'address to listen on; 127.0.0.1 = this machine only', fallback: '0.0.0.0' }),
  port: setting({ kind: port(), group: START, help: 'port for applications', fallback: 8080 }),
  registrationHost: setting<string | null>({
    kind: host(),
    group: START,
    help: 'address to listen on for connectors',
    fallback: null,
    fallbackText: 'that of --host',
  }),
  registrationPort: setting<number | null>({
    kind: port(),
    group: START,
    help: 'port for connectors, which register at /register and /register/',
    fallback: null,
    fallbackText: 'that of --port',
  }),
  protocols: setting<readonly ('3.0' | '1.0')[]>({
    kind: list(choice(['3.0', '1.0'])),
    group: START,
    help: 'versions of Cranker that are spoken',
    fallback: ['3.0', '1.0'],
  }),
  registrationAuth: setting<'none' | 'token' | 'certificate'>({
    kind: choice(['none', 'token', 'certificate']),
    group: WHO,
    help: 'how connectors prove who they are: an agent token (Windlass-Token or Authorization: Bearer), or their TLS certificate',
    fallback: 'none',
  }),
  secret: setting<readonly string[]>({
    kind: secrets(),
    group: WHO,
    help: 'opens agent tokens of windlass hub register, whose label route bounds what may be registered; with --registration-auth token',
    fallback: [],
    fallbackText: 'none',
    secret: 'lines',
  }),
  certificateRoutes: setting<readonly (readonly [string, string])[]>({
    kind: list(certificateRoute),
    group: WHO,
    help: 'route that a certificate with this name may register, * = any; with --registration-auth certificate',
    fallback: [],
    fallbackText: 'the names in the certificate',
  }),
  registrationFrom: setting<Cidrs | null>({
    kind: cidrs(),
    group: WHO,
    help: 'addresses that connectors may come from',
    fallback: null,
    fallbackText: 'anywhere',
  }),
  registrationApi: setting({
    kind: toggle(),
    group: WHO,
    help: 'on a registration port of its own, the dark-launch API may change things, as with crank4go; nobody is asked for a password',
    fallback: false,
  }),
  registrationTlsCert: setting<string | null>({
    kind: path('path of a PEM file'),
    group: 'TLS',
    help: 'certificate chain of the registration port; read anew when it changes',
    fallback: null,
    fallbackText: 'plain HTTP',
  }),
  registrationTlsKey: setting<string | null>({
    kind: path('path of a PEM file'),
    group: 'TLS',
    help: 'its private key, without a password',
    fallback: null,
    fallbackText: 'none',
  }),
  registrationTlsClientCa: setting<string | null>({
    kind: path('path of a PEM file'),
    group: 'TLS',
    help: 'ask connectors for a certificate from one of these authorities',
    fallback: null,
    fallbackText: 'they are not asked',
  }),
  routeResolver: setting<'first-segment' | 'longest-prefix'>({
    kind: choice(['first-segment', 'longest-prefix']),
    group: ROUTING,
    help: 'what of a path is compared with routes; longest-prefix: routes may hold slashes',
    fallback: 'first-segment',
  }),
  keepRoutes: setting({
    kind: duration(),
    group: ROUTING,
    help: 'how long a route is known after its last connector left: requests wait, then get 503 and not 404; 0 = for ever',
    fallback: 7_200_000,
  }),
  maxWait: setting({ kind: duration(), group: ROUTING, help: 'how long a request waits for a connector, then 503', fallback: 5_000 }),
  queueSize: setting({ kind: integer(0, 1_000_000), group: ROUTING, help: 'most requests that wait at once; more get 503', fallback: 1000 }),
  queueBytes: setting({ kind: bytes(), group: ROUTING, help: 'most memory for the bodies of waiting requests', fallback: 64 * 1024 * 1024 }),
  maxInFlight: setting({
    kind: integer(0, 100_000),
    group: ROUTING,
    help: 'most requests at once to one connector of protocol 3.0; 0 = unlimited',
    fallback: 0,
  }),
  proxyHost: setting({ kind: toggle(), group: REQUESTS, help: "services see the client's Host", fallback: true }),
  legacyForwarded: setting({ kind: toggle(), group: REQUESTS, help: 'send X-Forwarded-For, -Proto and -Host beside Forwarded', fallback: false }),
  discardClientForwarded: setting({
    kind: toggle(),
    group: REQUESTS,
    help: 'drop what clients say in Forwarded and X-Forwarded-*, but for --trusted-proxies; false: everybody is believed',
    fallback: false,
  }),
  timeout: setting({
    kind: duration(),
    group: REQUESTS,
    help: "waiting and the wait for an answer's head together; 0 = no limit",
    fallback: 0,
  }),
  pingAfter: setting({ kind: duration(), group: DEAD, help: 'a connector is sent a ping after so long without anything else', fallback: 10_000 }),
  idleTimeout: setting({ kind: duration(), group: DEAD, help: 'a connector that has said nothing for so long is given up', fallback: 60_000 }),
  ...listenTable,
  viaName: setting({
    kind: textLike(/^[\w!#$%&'*+.^`|~-]{1,64}$/, 'NAME', 'name', 'use letters, digits, dots and dashes'),
    group: REQUESTS,
    help: 'name in Via, by which loops are noticed',
    fallback: 'muc',
  }),
  adminAddr: adminAddr({ host: '127.0.0.1', port: 9080 }),
  ...commonTable,
} as const;

/** Everything `windlass cranker-router` needs to know. */
export interface CrankerRouterSettings extends CommonSettings, ListenSettings {
  /** Where connectors register; null = where applications ask. */
  readonly registration: { readonly host: string; readonly port: number; readonly tls: TlsFiles | null } | null;
  readonly spoken: ReadonlySet<'1.0' | '3.0'>;
  readonly auth: 'none' | 'token' | 'certificate';
  readonly secrets: readonly string[];
  readonly certificateRoutes: ReadonlyMap<string, readonly string[]>;
  readonly registrationFrom: Cidrs | null;
  readonly registrationApi: boolean;
  readonly deepRoutes: boolean;
  /** ms; Infinity = for ever. */
  readonly keepRoutesMs: number;
  readonly maxWaitMs: number;
  readonly queueSize: number;
  readonly queueBytes: number;
  readonly maxInFlight: number;
  readonly keepsHost: boolean;
  readonly legacyForwarded: boolean;
  readonly timeoutMs: number;
  readonly pingAfterMs: number;
  readonly idleTimeoutMs: number;
}

/** @throws SettingsError */
export function crankerRouterSettings(values: Values<typeof crankerRouterTable>): CrankerRouterSettings {
  const registration = registrationOf(values);
  const listening = listenSettings(values);
  const { registrationAuth: auth } = values;
  if (auth === 'token' && values.secret.length === 0)
    throw new SettingsError(['--registration-auth token needs the secret that seals the tokens: give --secret-file']);
  if (auth === 'certificate' && (registration ?? listening).tls?.clients === undefined)
    throw new SettingsError([
      registration === null
        ? '--registration-auth certificate needs --tls-client-ca: give the authorities that sign the certificates of connectors, or a --registration-port'
        : '--registration-auth certificate needs --registration-tls-client-ca: give the authorities that sign the certificates of connectors',
    ]);
  return {
    ...commonSettings(values),
    ...listening,
    // As mu-cranker-router, which believes every client unless it is told not to.
    trustedProxies: values.trustedProxies.empty && !values.discardClientForwarded ? EVERYBODY : listening.trustedProxies,
    host: values.host,
    port: values.port,
    registration,
    spoken: new Set(values.protocols),
    auth,
    secrets: values.secret,
    certificateRoutes: certificateRoutes(values.certificateRoutes),
    registrationFrom: values.registrationFrom,
    registrationApi: values.registrationApi,
    deepRoutes: values.routeResolver === 'longest-prefix',
    keepRoutesMs: values.keepRoutes === 0 ? Number.POSITIVE_INFINITY : values.keepRoutes,
    maxWaitMs: values.maxWait,
    queueSize: values.queueSize,
    queueBytes: values.queueBytes,
    maxInFlight: values.maxInFlight,
    keepsHost: values.proxyHost,
    legacyForwarded: values.legacyForwarded,
    timeoutMs: values.timeout,
    pingAfterMs: values.pingAfter,
    idleTimeoutMs: values.idleTimeout,
  };
}

const EVERYBODY = new Cidrs([...parseCidr('0.0.0.0/0'), ...parseCidr('::/0')]);

/** @throws SettingsError */
function registrationOf(values: Values<typeof crankerRouterTable>): CrankerRouterSettings['registration'] {
  const { registrationPort, registrationTlsCert: cert, registrationTlsKey: key, registrationTlsClientCa: clientCa } = values;
  if (registrationPort === null || (registrationPort !== 0 && registrationPort === values.port)) {
    if (cert !== null || key !== null || clientCa !== null)
      throw new SettingsError([
        '--registration-tls-… needs a port of its own: give --registration-port, or --tls-cert and --tls-key for the one port',
      ]);
    return null;
  }
  if ((cert === null) !== (key === null))
    throw new SettingsError(['--registration-tls-cert and --registration-tls-key belong together: give both (or neither, for plain HTTP)']);
  if (cert === null || key === null) {
    if (clientCa !== null)
      throw new SettingsError(['--registration-tls-client-ca needs TLS: give --registration-tls-cert and --registration-tls-key']);
    return { host: values.registrationHost ?? values.host, port: registrationPort, tls: null };
  }
  const tls: TlsFiles = { certFile: cert, keyFile: key, ...(clientCa === null ? {} : { clients: { caFile: clientCa, ask: 'required' } }) };
  return { host: values.registrationHost ?? values.host, port: registrationPort, tls };
}
