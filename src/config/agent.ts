import {
  allowRules,
  choice,
  duration,
  hubUrl,
  integer,
  labels,
  list,
  orOff,
  path,
  scalar,
  text,
  textLike,
  toggle,
  serverUrl,
  upstreamUrl,
  type Kind,
} from '../schema/kind.ts';
import { fieldLine } from '../http/head.ts';
import { DIRECT, type Egress } from '../schema/egress.ts';
import { type HealthCheck, healthCheck } from '../schema/health-check.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { setting, type Values } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { domainOf, routeOf } from '../tunnel/cranker/route.ts';
import { adminAddr, commonSettings, commonTable, listenTable } from './common.ts';
import { SettingsError } from './settings-error.ts';
import { tracesTable, traceSettings } from './traces.ts';
import type { AgentSettings, CrankerRegistration, OnAbort, Transport, Wire } from './settings.ts';

const START = 'To start';
const UPSTREAM = 'The upstream';
const CRANKER = 'A Cranker router';

const PROXY: Kind<'environment' | 'off' | UpstreamUrl> = {
  ...serverUrl(),
  word: 'URL|off',
  says: 'http(s)://[user[:pass]@]host[:port], or off',
  parse: (texts) => (isOff(texts.at(-1)) ? 'off' : serverUrl().parse(texts)),
  fromToml: (value, folder) => (isOff(value) ? 'off' : serverUrl().fromToml(value, folder)),
  format: (value) => (typeof value === 'string' ? value : value.shown),
};

function isOff(given: unknown): boolean {
  return given === 'off' || given === 'none' || given === false;
}

/** Settings of `agent run`, section [agent]. */
export const agentTable = {
  token: setting({
    kind: text('SECRET', 'secret text'),
    group: START,
    help: 'agent token; with --wire cranker only where the router asks for one',
    hint: 'windlass hub register prints one',
    secret: 'line',
    slime: true,
    optionalIf: { setting: 'wire', value: 'cranker', fallback: '' },
  }),
  hub: setting({
    kind: list(hubUrl()),
    group: START,
    help: 'where the hub is; the slots serve all of several',
    hint: 'such as https://hub.example.com',
    slime: true,
  }),
  upstream: setting({
    kind: list(upstreamUrl()),
    group: START,
    help: 'the service to offer; each of several is an agent of its own',
    hint: 'such as localhost:3000',
    slime: true,
  }),
  numWorker: setting({
    kind: integer(1, 100_000),
    group: START,
    help: 'slots: requests at once, per upstream',
    fallback: 1,
    aliases: ['slots'],
    slime: true,
  }),
  slotsLock: setting<string | null>({
    kind: path(),
    group: 'Identity',
    help: 'a process that names the same path offers a slot only when no other one does: for restarts while old work runs (Linux)',
    fallback: null,
    fallbackText: 'slots are not locked',
  }),
  agentId: setting<string | null>({
    kind: textLike(/^[\w.:-]{1,64}$/, 'ID', 'id', 'use up to 64 letters, digits and . : - _'),
    group: 'Identity',
    help: 'told to applications as Slime-Agent-Id',
    fallback: null,
    fallbackText: 'random, kept in the state folder',
    aliases: ['agentID'],
    slime: true,
  }),
  label: setting<ReadonlyMap<string, string>>({
    kind: labels(),
    group: 'Identity',
    help: 'what to tell the hub about this agent',
    fallback: new Map(),
    fallbackText: 'none',
    aliases: ['labels'],
  }),
  reportHardware: setting({ kind: toggle(), group: 'Identity', help: 'tell the hub about cores, memory and GPUs', fallback: true, slime: true }),
  stateDir: setting<string | null>({
    kind: orOff(path()),
    group: 'Identity',
    help: "folder for the agent's id",
    fallbackText: '$XDG_STATE_HOME/windlass or ~/.local/state/windlass',
    fallback: null,
  }),
  allow: setting<AgentSettings['allow']>({
    kind: allowRules(),
    group: UPSTREAM,
    help: "what a hub may ask for, such as 'GET,POST /v1/*'",
    fallback: [],
    fallbackText: 'everything',
  }),
  onAbort: setting<OnAbort>({
    kind: choice(['cancel', 'drain', 'drain_capped']),
    group: UPSTREAM,
    help: 'when the client has left: hang up, read to the end, or read for --drain-timeout at most',
    fallback: 'cancel',
  }),
  cancelGrace: setting({ kind: duration(), group: UPSTREAM, help: 'how long an upstream that was hung up on may take to stop', fallback: 5000 }),
  hostHeader: setting<'upstream' | 'keep'>({
    kind: choice(['upstream', 'keep']),
    group: UPSTREAM,
    help: "Host that the upstream sees: its own name, or keep the client's",
    fallback: 'upstream',
  }),
  connectTimeout: setting({ kind: duration(), group: UPSTREAM, help: 'how long connecting may take', fallback: 5000 }),
  firstByteTimeout: setting({ kind: duration(), group: UPSTREAM, help: "how long the answer's head may take; 0 = no limit", fallback: 0 }),
  idleTimeout: setting({ kind: duration(), group: UPSTREAM, help: 'how long an answer may pause; 0 = no limit', fallback: 0 }),
  healthCheck: setting<HealthCheck | null>({
    kind: orOff(healthCheck()),
    group: UPSTREAM,
    help: 'how to see whether the service is well, such as http://localhost/health?check_frequency=5s; while it is not, its slots are withdrawn',
    fallback: null,
    fallbackText: 'not checked',
  }),
  upgrades: listenTable.upgrades,
  caFile: setting<string | null>({
    kind: path('path of a PEM file'),
    group: 'The hub',
    help: 'more certificate authorities to believe, for hub and upstream',
    fallback: null,
    fallbackText: 'the built-in ones',
  }),
  certFile: setting<string | null>({
    kind: path('path of a PEM file'),
    group: 'The hub',
    help: 'certificate chain to show to a hub that asks for one; read anew when it changes',
    fallback: null,
    fallbackText: 'none is shown',
  }),
  keyFile: setting<string | null>({
    kind: path('path of a PEM file'),
    group: 'The hub',
    help: 'its private key, without a password',
    fallback: null,
    fallbackText: 'none',
  }),
  wire: setting<Wire>({
    kind: choice(['native', 'slime', 'cranker']),
    group: 'The hub',
    help: 'how to speak to the hub; slime: it is a hub of slime; cranker: it is a Cranker router, and --hub the address where connectors register',
    fallback: 'native',
  }),
  transport: setting<Transport>({
    kind: choice(['upgrade', 'websocket']),
    group: 'The hub',
    help: 'how the connection to the hub is opened; websocket (also by a ws:// or wss:// hub): where nothing else may pass',
    fallback: 'upgrade',
  }),
  proxy: setting<'environment' | 'off' | UpstreamUrl>({
    kind: PROXY,
    group: 'The hub',
    help: 'HTTP proxy on the way to the hub (CONNECT)',
    fallback: 'environment',
    fallbackText: 'HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY',
  }),
  route: setting<string | null>({
    kind: scalar('ROUTE', 'path prefix such as my-service, or *', (given) => {
      const route = routeOf(given);
      if (route === null) throw new Wrong('is no route', 'use letters, digits and / _ . - (no segment that ends in a dot or holds two), or *');
      return route;
    }),
    group: CRANKER,
    help: "what to register: the first segment of the paths to serve (longer where the router allows it), or '*' for whatever nobody else takes",
    fallback: null,
    fallbackText: 'none; needed with --wire cranker',
  }),
  domain: setting<string>({
    kind: scalar('DOMAIN', 'host name, or *', (given) => {
      const domain = domainOf(given);
      if (domain === null) throw new Wrong('is no domain', 'give a host name such as shop.example.com, or *');
      return domain;
    }),
    group: CRANKER,
    help: 'serve requests to this host only; routers look at it in protocol 3.0',
    fallback: '*',
  }),
  component: setting({
    kind: textLike(/^[\w.:@+ -]{1,128}$/, 'NAME', 'name', 'use up to 128 letters, digits and . : @ + - _'),
    group: CRANKER,
    help: 'component name, for the router to show',
    fallback: 'windlass',
  }),
  window: setting({ kind: integer(1, 1000), group: CRANKER, help: 'sockets kept ready at each router', fallback: 2 }),
  protocols: setting<readonly ('3.0' | '1.0')[]>({
    kind: list(choice(['3.0', '1.0'])),
    group: CRANKER,
    help: 'versions of Cranker to offer, the preferred one first',
    fallback: ['3.0', '1.0'],
  }),
  hubHeader: setting<readonly (readonly [string, string])[]>({
    kind: list(
      scalar('NAME:VALUE', "field such as 'Authorization: Bearer abc'", fieldOf, {
        redact: (given) => given.replace(/:.*$/s, ': …'),
        format: ([name, value]) => `${name}: ${value}`,
      }),
      /\n/,
      'repeated',
    ),
    group: CRANKER,
    help: 'field to send along when registering',
    fallback: [],
    fallbackText: 'none',
  }),
  adminAddr: adminAddr(null),
  ...tracesTable(0),
  ...commonTable,
} as const;

function fieldOf(given: string): readonly [string, string] {
  const at = given.indexOf(':');
  if (at < 1) throw new Wrong('is no field', "write 'Name: value'");
  const name = given.slice(0, at).trim();
  const value = given.slice(at + 1).trim();
  try {
    fieldLine(name, value);
  } catch {
    throw new Wrong('has characters that no field has', "write 'Name: value'", name);
  }
  if (RESERVED.has(name.toLowerCase())) throw new Wrong('is a field of the registration itself', 'leave it out', name);
  return [name, value];
}

/** What the handshake is made of. */
const RESERVED: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'upgrade',
  'crankerprotocol',
  'route',
  'domain',
  'content-length',
  'transfer-encoding',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
]);

/**
 * `tokenFile` is where the token was read from, `stateDir` where the agent's id is kept, `environment` what the environment says of proxies;
 * all depend on more than the table knows. @throws SettingsError
 */
export function agentSettings(
  values: Values<typeof agentTable>,
  tokenFile: string | null,
  stateDir: string | null,
  environment: Egress = DIRECT,
): AgentSettings {
  const { proxy } = values;
  if (values.wire === 'slime') checkSlime(values);
  return {
    ...commonSettings(values),
    token: values.token,
    tokenFile,
    hubs: values.hub,
    upstreams: values.upstream,
    slots: values.numWorker,
    slotsLock: values.slotsLock,
    reportHardware: values.reportHardware,
    agentId: values.agentId,
    stateDir,
    labels: values.label,
    allow: values.allow,
    onAbort: values.onAbort,
    cancelGraceMs: values.cancelGrace,
    hostHeader: values.hostHeader,
    caFile: values.caFile,
    shown: shownOf(values),
    upgrades: values.upgrades,
    wire: values.wire,
    cranker: crankerOf(values),
    transport: values.hub.some(({ webSocket }) => webSocket === true) ? 'websocket' : values.transport,
    // Who names a proxy means it, whatever NO_PROXY says.
    egress: proxy === 'environment' ? environment : proxy === 'off' ? DIRECT : { http: proxy, https: proxy, except: [] },
    connectTimeoutMs: values.connectTimeout,
    firstByteTimeoutMs: values.firstByteTimeout,
    idleTimeoutMs: values.idleTimeout,
    healthCheck: values.healthCheck,
    traces: traceSettings(values),
  };
}

/** @throws SettingsError */
function crankerOf({ wire, route, domain, component, window, protocols, hubHeader }: Values<typeof agentTable>): CrankerRegistration | null {
  if (wire !== 'cranker') {
    if (route !== null) throw new SettingsError(['--route is what Cranker routers are told; add --wire cranker']);
    return null;
  }
  if (route === null)
    throw new SettingsError(["--wire cranker needs --route: the first segment of the paths to serve, or '*' for whatever nobody else takes"]);
  return { route, domain, componentName: component, versions: protocols, window, fields: hubHeader.flat() };
}

/** What slime's wire cannot do. */
function checkSlime({ hub, numWorker }: Values<typeof agentTable>): void {
  if (hub.some(({ webSocket }) => webSocket === true)) throw new SettingsError(['--wire slime needs an http:// or https:// hub']);
  if (numWorker < hub.length)
    throw new SettingsError([`--wire slime deals the slots out among the hubs, so that ${hub.length} hubs need --num-worker ${hub.length} or more`]);
}

function shownOf({ certFile, keyFile, hub }: Values<typeof agentTable>): AgentSettings['shown'] {
  if (certFile === null && keyFile === null) return null;
  if (certFile === null || keyFile === null) {
    const [one, other] = certFile === null ? ['--key-file', '--cert-file'] : ['--cert-file', '--key-file'];
    throw new SettingsError([`${one} needs ${other} as well: give both (or neither, to show the hub no certificate)`]);
  }
  if (hub.every(({ protocol }) => protocol === 'http')) throw new SettingsError(['--cert-file is of no use without TLS: give an https:// hub']);
  return { certFile, keyFile };
}
