import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { type Log, nullLog } from '../observe/log.ts';
import { parseAllowRule } from '../schema/allow.ts';
import { DIRECT, type Egress, egressOf } from '../schema/egress.ts';
import { healthCheck } from '../schema/health-check.ts';
import { labels } from '../schema/kind.ts';
import { certificatesIn } from '../schema/pem.ts';
import { Wrong } from '../schema/wrong.ts';
import { checkOptions, OptionError, readOption } from '../schema/option-error.ts';
import { parseHubUrl, parseServerUrl, parseUpstreamUrl } from '../schema/upstream-url.ts';
import { fieldLine } from '../http/head.ts';
import { domainOf, routeOf } from '../tunnel/cranker/route.ts';
import type { AgentSettings, CrankerRegistration } from '../config/settings.ts';
import { type AgentDeps, startAgents } from './agent.ts';
import { application, type Application, type ApplicationOptions, type Served } from './application.ts';

/** Settings that are options by the same name, with the same defaults: `windlass agent run --help` describes them. */
type SameOptions = Partial<
  Pick<
    AgentSettings,
    | 'cancelGraceMs'
    | 'connectTimeoutMs'
    | 'drainTimeoutMs'
    | 'firstByteTimeoutMs'
    | 'hostHeader'
    | 'idleTimeoutMs'
    | 'onAbort'
    | 'reportHardware'
    | 'slots'
    | 'slotsLock'
    | 'stateDir'
    | 'transport'
    | 'upgrades'
    | 'wire'
  >
>;

/** What an agent in another program may be told, whatever it serves. Times are ms. */
export interface ConnectOptions extends SameOptions {
  /** Address of the hub, such as https://hub.example.com; the slots serve all of several. */
  readonly hub: string | readonly string[];
  /** The agent's token; or `tokenFile`, which is read again after a 401. Routers of Cranker need none. */
  readonly token?: string;
  readonly tokenFile?: string;
  /** Stable name of this agent; absent: a random one per start, or the one kept in `stateDir`. */
  readonly agentId?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** What a hub may ask for, such as 'GET,POST /v1/*'; absent: everything. */
  readonly allow?: readonly string[];
  /** HTTP proxy on the way to the hub; null = none. Absent: what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say. */
  readonly proxy?: string | null;
  /** Authorities to believe beside the built-in ones, PEM. */
  readonly ca?: string;
  /** What to show to hubs that ask for a certificate, PEM: the chain and its key. */
  readonly cert?: string;
  readonly key?: string;
  /** With the wire `cranker`: what to register. */
  readonly route?: string;
  readonly domain?: string;
  readonly componentName?: string;
  /** Versions of Cranker to offer, the preferred one first. */
  readonly protocols?: CrankerRegistration['versions'];
  /** Sockets kept ready at each router. */
  readonly window?: number;
  /** Fields that go along when it registers at a router, such as credentials. */
  readonly hubHeaders?: Readonly<Record<string, string>>;
  /** Absent: silence. */
  readonly log?: Log;
  /** Its abort is close(). */
  readonly signal?: AbortSignal;
}

/** With `upstream`: a service that is an address. */
export interface UpstreamOptions extends ConnectOptions {
  /** host:port, or a URL; each of several is an agent of its own. */
  readonly upstream: string | readonly string[];
  /** How to see whether the service is well, as `--health-check`; while it is not, its slots are withdrawn. */
  readonly healthCheck?: string;
  readonly handler?: undefined;
}

/** With `handler`: one in this process. */
export interface HandlerOptions extends ConnectOptions, Omit<ApplicationOptions, 'log'> {
  readonly handler: Served;
  readonly upstream?: undefined;
}

export type AgentOptions = UpstreamOptions | HandlerOptions;
export type ServeOptions = Omit<HandlerOptions, 'handler' | 'upstream'>;

/** An agent that runs in this program. */
export interface Agent {
  /** Resolves when a hub has let it in. Rejects with an AgentClosed when it is closed before that. */
  readonly ready: Promise<void>;
  /** Sessions that it has at hubs now: one per hub, and per upstream where there are several. */
  readonly hubs: number;
  /** Offers so many slots (per upstream) from now on; what runs beyond that finishes. */
  resize(slots: number): void;
  /** Reads `tokenFile` again, and dials anew where a hub had refused. */
  retry(): void;
  /** Takes no new work, finishes what runs (bounded by `drainTimeoutMs`), leaves. */
  close(): Promise<void>;
  /** Cuts everything at once. */
  destroy(): void;
}

/** Why `ready` will not come. */
export class AgentClosed extends Error {
  readonly code = 'agent_closed';

  constructor() {
    super('the agent was closed before a hub had let it in');
    this.name = 'AgentClosed';
  }
}

/**
 * Offers a handler of this process to a hub: no port is opened. Resolves when it dials; `ready` tells when it has joined. @throws OptionError
 */
export function serve(handler: Served, options: ServeOptions): Promise<Agent> {
  return embedAgent({ ...options, handler });
}

/** Offers a service to hubs. It handles no signals and touches nothing of the process. @throws OptionError */
export async function embedAgent(options: AgentOptions, deps: Partial<AgentDeps> = {}): Promise<Agent> {
  const { signal, log = nullLog, handler } = options;
  signal?.throwIfAborted();
  const settings = settingsOf(options);
  const app = handler === undefined ? null : applicationOf(options as HandlerOptions, log);
  const agents = await startAgents(settings, { log, ...trustOf(options), ...deps, ...(app === null ? {} : { connect: app.connect }) });
  let closing: Promise<void> | null = null;
  let giveUp!: (why: AgentClosed) => void;
  const closed = new Promise<never>((_resolve, reject) => {
    giveUp = reject;
  });
  const ready = Promise.race([agents.ready, closed]);
  // Who does not ask is not told.
  ready.catch(() => {});
  const abort = (): void => void agent.close();
  const over = (): void => {
    signal?.removeEventListener('abort', abort);
    giveUp(new AgentClosed());
  };
  const agent: Agent = {
    ready,
    get hubs() {
      return agents.joined;
    },
    resize: (slots) => agents.resize(slotsOf(slots)),
    retry: () => agents.reload(),
    close: () => {
      over();
      return (closing ??= agents.close().then(() => app?.close()));
    },
    destroy: () => {
      over();
      agents.destroy();
      app?.close();
    },
  };
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted === true) {
    await agent.close();
    signal.throwIfAborted();
  }
  return agent;
}

/** What is not said. A test holds it against the defaults of `windlass agent run`. */
export const agentDefaults = {
  slots: 1,
  slotsLock: null,
  reportHardware: true,
  stateDir: null,
  onAbort: 'cancel',
  cancelGraceMs: 5_000,
  drainTimeoutMs: 30_000,
  hostHeader: 'upstream',
  connectTimeoutMs: 5_000,
  firstByteTimeoutMs: 0,
  idleTimeoutMs: 0,
  upgrades: ['websocket'],
  wire: 'native',
  transport: 'upgrade',
} as const satisfies Required<SameOptions>;

/** Of a registration at a router of Cranker. */
export const crankerDefaults = {
  route: '',
  domain: '*',
  componentName: 'windlass',
  versions: ['3.0', '1.0'],
  window: 2,
} as const satisfies Omit<CrankerRegistration, 'fields'>;

const OTHERS = 'hub token tokenFile agentId labels allow proxy ca cert key log signal route domain componentName protocols window hubHeaders'.split(
  ' ',
);
const OF_UPSTREAMS = ['upstream', 'healthCheck'];
const OF_HANDLERS = ['handler', 'kind', 'upgrade'];

type Settings = Parameters<typeof startAgents>[0];

function settingsOf(options: AgentOptions): Settings {
  const isHandler = options.handler !== undefined;
  checkOptions(options, [...Object.keys(agentDefaults), ...OTHERS, ...(isHandler ? OF_HANDLERS : OF_UPSTREAMS)]);
  const { token, tokenFile, agentId, allow = [], proxy } = options;
  const same = Object.fromEntries(
    Object.keys(agentDefaults).flatMap((name) => {
      const value = options[name as keyof SameOptions];
      return value === undefined ? [] : [[name, value]];
    }),
  ) as SameOptions;
  const wire = options.wire ?? agentDefaults.wire;
  if (token === undefined && tokenFile === undefined && wire !== 'cranker')
    throw new OptionError('token', 'is missing: hub.issueToken() makes one, or `windlass hub register`');
  const hubs = readOption('hub', () => listOf(options.hub).map(parseHubUrl));
  if (hubs.length === 0) throw new OptionError('hub', 'is missing: give the address of a hub, such as https://hub.example.com');
  const upstreams = isHandler ? [parseUpstreamUrl('localhost')] : readOption('upstream', () => listOf(options.upstream).map(parseUpstreamUrl));
  if (upstreams.length === 0) throw new OptionError('upstream', 'is missing: give the address of the service, or a handler');
  return {
    ...agentDefaults,
    // A handler has no name of its own to be asked by.
    hostHeader: isHandler ? 'keep' : agentDefaults.hostHeader,
    ...same,
    slots: slotsOf(options.slots ?? agentDefaults.slots),
    token: token ?? (tokenFile === undefined ? '' : readOption('tokenFile', () => readFileSync(tokenFile, 'utf8').trim())),
    tokenFile: tokenFile ?? null,
    hubs,
    upstreams,
    agentId: agentId ?? null,
    labels: readOption('labels', () => labels().fromToml({ ...options.labels }, '')),
    allow: readOption('allow', () => allow.map(parseAllowRule)),
    healthCheck: isHandler || options.healthCheck === undefined ? null : readOption('healthCheck', () => healthCheck().parse([options.healthCheck!])),
    transport: options.transport ?? (hubs.some(({ webSocket }) => webSocket === true) ? 'websocket' : agentDefaults.transport),
    egress: readOption('proxy', () => egress(proxy)),
    cranker: wire === 'cranker' ? registrationOf(options) : null,
    traces: null,
  };
}

function registrationOf({ route, domain, componentName, protocols, window, hubHeaders = {} }: AgentOptions): CrankerRegistration {
  if (route === undefined)
    throw new OptionError('route', 'is missing: the first segment of the paths that this service answers, or * for all that nobody else takes');
  return {
    ...crankerDefaults,
    route: named('route', routeOf(route)),
    ...(domain === undefined ? {} : { domain: named('domain', domainOf(domain)) }),
    ...(componentName === undefined ? {} : { componentName }),
    ...(protocols === undefined ? {} : { versions: protocols }),
    ...(window === undefined ? {} : { window }),
    fields: readOption('hubHeaders', () =>
      Object.entries(hubHeaders).flatMap(([name, value]) => {
        fieldLine(name, value);
        return [name, value];
      }),
    ),
  };
}

function named(option: string, name: string | null): string {
  if (name === null) throw new OptionError(option, 'is not one that routers of Cranker take');
  return name;
}

function egress(proxy: string | null | undefined): Egress {
  if (proxy === undefined) return egressOf(process.env);
  if (proxy === null) return DIRECT;
  const url = parseServerUrl(proxy);
  return { http: url, https: url, except: [] };
}

function applicationOf({ handler, kind, upgrade }: HandlerOptions, log: Log): Application {
  return application(handler, { log, ...(kind === undefined ? {} : { kind }), ...(upgrade === undefined ? {} : { upgrade }) });
}

function trustOf({ ca, cert, key }: AgentOptions): Pick<AgentDeps, 'trust' | 'hubTrust'> {
  if ((cert === undefined) !== (key === undefined))
    throw new OptionError(cert === undefined ? 'key' : 'cert', 'is of use with its other half only: give both cert and key');
  const believed = ca === undefined ? {} : { ca: [...tls.rootCertificates, ...readOption('ca', () => certificatesOf(ca))] };
  const context = (option: string, more: tls.SecureContextOptions): tls.SecureContext =>
    readOption(option, () => tls.createSecureContext({ ...believed, ...more, minVersion: 'TLSv1.2' }));
  const shown = cert === undefined ? null : context('cert', { cert, key: key! });
  return { ...(ca === undefined ? {} : { trust: context('ca', {}) }), ...(shown === null ? {} : { hubTrust: () => shown }) };
}

function certificatesOf(pem: string): readonly string[] {
  const certificates = certificatesIn(pem);
  if (certificates.length === 0) throw new Wrong('holds no certificate', 'PEM begins with -----BEGIN CERTIFICATE-----');
  for (const certificate of certificates) new X509Certificate(certificate);
  return certificates;
}

function slotsOf(slots: number): number {
  if (!Number.isInteger(slots) || slots < 1 || slots > 100_000) throw new OptionError('slots', 'is no whole number from 1 to 100000');
  return slots;
}

function listOf(given: string | readonly string[] | undefined): readonly string[] {
  return given === undefined ? [] : typeof given === 'string' ? [given] : given;
}
