import type { HttpLimits } from '../http/limits.ts';
import type { LogLevel } from '../observe/log.ts';
import type { Address } from '../schema/address.ts';
import type { AllowRule } from '../schema/allow.ts';
import type { Cidrs } from '../schema/cidrs.ts';
import type { Egress } from '../schema/egress.ts';
import type { HealthCheck } from '../schema/health-check.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import type { Person } from '../admin/people.ts';
import type { NotificationSettings } from './sections/notification.ts';
import type { TraceSettings } from './traces.ts';

/** `auto`: pretty on a terminal, JSON otherwise. */
export type LogFormat = 'auto' | 'pretty' | 'json';
/** Where one line per request goes. A file is appended to. */
export type AccessLogTarget = 'off' | 'stdout' | { readonly path: string };

/** What every program that runs on has. */
export interface CommonSettings {
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** Health, readiness and metrics; null = not served. */
  readonly adminAddr: Address | null;
  /** After SIGTERM: how long what runs may take to finish, ms. */
  readonly drainTimeoutMs: number;
}

/** PEM files of a listener that speaks TLS. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Whose certificates clients are to show; absent: they are not asked. */
  readonly clients?: { readonly caFile: string; readonly ask: 'required' | 'optional' };
}

/** What a listener for applications has. */
export interface ListenSettings {
  readonly host: string;
  readonly port: number;
  /** Whose `Forwarded` and `X-Forwarded-*` are believed. */
  readonly trustedProxies: Cidrs;
  readonly accessLog: AccessLogTarget;
  readonly limits: HttpLimits;
  /** Upgrade tokens that pass, lower case. */
  readonly upgrades: readonly string[];
  /** The name in `Via`, also how a loop is noticed. */
  readonly viaName: string;
  /** Null = plain HTTP. */
  readonly tls: TlsFiles | null;
  /** After SIGTERM: how long it goes on serving while it says that it is not ready, ms. */
  readonly drainDelayMs: number;
}

/** Everything `windlass hub run` needs to know. */
export interface HubSettings extends CommonSettings, ListenSettings {
  /** Seal and open agent tokens: the first seals, all open. Never empty. */
  readonly secrets: readonly string[];
  /** Whose agents may dial in. Never empty. */
  readonly accepts: readonly HubWire[];
  /** Of a hub of slime: open tokens that it has issued; empty = none is good. */
  readonly slimeSecrets: readonly string[];
  /** Applications must send it in `Slime-App-Password`; null = anybody may ask. */
  readonly appPassword: string | null;
  /** File of the ids of tokens that count no more; null = none. */
  readonly revokedFile: string | null;
  /** Agents must have shown a certificate that the listener has checked. */
  readonly requireAgentCertificate: boolean;
  /** Application requests inside at once, waiting ones included; 0 = unlimited. */
  readonly concurrent: number;
  /** How long a request waits for a slot when it does not say, ms; 0 = not at all. */
  readonly queueTimeoutMs: number;
  /** How long a request that asks to wait (`Slime-Block`, `Prefer: wait`) waits at most, ms. */
  readonly blockTimeoutMs: number;
  /** Requests that may wait at once. */
  readonly queueSize: number;
  /** Bytes of their bodies, together. */
  readonly queueBytes: number;
  /** Called when a request waits and no agent is there that could serve it; null = nobody. */
  readonly onEmpty: string | null;
  /** Waiting, connecting and the wait for the answer's head together, ms; 0 = no limit. */
  readonly timeoutMs: number;
  /** Is there a console at `adminAddr`? */
  readonly console: boolean;
  /** Names under which it may be asked, beside the usual ones; lower case. */
  readonly consoleHosts: readonly string[];
  /** Who may log in to it. */
  readonly admins: ReadonlyMap<string, Person>;
  /** Names this hub to agents and in logs. */
  readonly hubId: string;
  /** Other hubs that agents are told to dial as well: id and address. */
  readonly siblings: ReadonlyMap<string, UpstreamUrl>;
  /** Exchanges that are kept for operators to look at; 0 = none. */
  readonly inspector: number;
  /** Who is told of what happens; null = nobody. */
  readonly notification: NotificationSettings | null;
  /** Null: no spans are made. */
  readonly traces: TraceSettings | null;
}

/** How an agent reaches its hub. Chosen, never probed: a probe would leak the token. */
export type Wire = 'native' | 'slime' | 'cranker';
/** What `hub run` understands. */
export type HubWire = Exclude<Wire, 'cranker'>;
/** `upgrade`: one of our own. `websocket`: for networks that let nothing else pass. */
export type Transport = 'upgrade' | 'websocket';
/** What happens to the upstream's work when the client has left. */
export type OnAbort = 'cancel' | 'drain' | 'drain_capped';

/** Bounds of one attempt at an upstream, ms; 0 = none. */
export interface UpstreamTimeouts {
  readonly connectTimeoutMs: number;
  /** From the last byte of the request to the head of the answer. */
  readonly firstByteTimeoutMs: number;
  /** Without a byte of the answer's body. */
  readonly idleTimeoutMs: number;
}

/** What an agent tells Cranker routers. */
export interface CrankerRegistration {
  /** `*`: whatever nobody else takes. */
  readonly route: string;
  /** `*`: any. */
  readonly domain: string;
  readonly componentName: string;
  /** The preferred one first. */
  readonly versions: readonly ('3.0' | '1.0')[];
  /** Sockets kept ready at each router. */
  readonly window: number;
  /** Fields that go along when it registers: names and values, in turn. */
  readonly fields: readonly string[];
}

/** Everything `windlass agent run` needs to know. */
export interface AgentSettings extends CommonSettings, UpstreamTimeouts {
  readonly token: string;
  /** Where the token came from: read again on SIGHUP and after a 401. Null: it was given as a value. */
  readonly tokenFile: string | null;
  /** User info is Basic auth for a proxy in front of the hub, the path a prefix. Never empty. */
  readonly hubs: readonly UpstreamUrl[];
  /** One agent each. Never empty. */
  readonly upstreams: readonly UpstreamUrl[];
  /** Requests at once, per upstream. */
  readonly slots: number;
  /** Path that names the slots' locks: processes that give the same one never offer a slot twice. Null: no locks. */
  readonly slotsLock: string | null;
  readonly reportHardware: boolean;
  /** Null: the one in the state folder, or a new random one. */
  readonly agentId: string | null;
  /** Where the agent's id is kept; null = nowhere (a new id at each start). */
  readonly stateDir: string | null;
  readonly labels: ReadonlyMap<string, string>;
  /** What a hub may ask for; empty = everything. */
  readonly allow: readonly AllowRule[];
  readonly onAbort: OnAbort;
  /** How long a cancelled request may keep its slot before its connection is reset, ms. */
  readonly cancelGraceMs: number;
  /** `upstream`: Host is the upstream's authority. `keep`: the client's. */
  readonly hostHeader: 'upstream' | 'keep';
  /** How the agent sees whether its upstreams are well; null: it does not look. */
  readonly healthCheck: HealthCheck | null;
  /** PEM of the authorities that may vouch for the hub and upstreams, beside the built-in ones; null = none. */
  readonly caFile: string | null;
  /** What to show to hubs that ask for a certificate; null = nothing. */
  readonly shown: { readonly certFile: string; readonly keyFile: string } | null;
  /** Upgrade tokens that pass, lower case. */
  readonly upgrades: readonly string[];
  readonly wire: Wire;
  /** With the wire `cranker`: what to register; null with others. */
  readonly cranker: CrankerRegistration | null;
  /** How the connection to the hub is opened. */
  readonly transport: Transport;
  /** Proxies on the way to the hub. */
  readonly egress: Egress;
  /** Null: no spans are made. */
  readonly traces: TraceSettings | null;
}

/** Everything `windlass proxy` needs to know. */
export interface ProxySettings extends CommonSettings, ListenSettings, UpstreamTimeouts {
  /** Never empty; more than one share the requests. */
  readonly to: readonly UpstreamUrl[];
  /** As for agents, but a direct upstream is told the client's Host unless asked otherwise. */
  readonly hostHeader: 'upstream' | 'keep';
  readonly caFile: string | null;
  /** Null: no spans are made. */
  readonly traces: TraceSettings | null;
}

/** Everything `windlass demo` needs to know. */
export interface DemoSettings {
  /** Port of the hub; its agent and demo service take free ones. */
  readonly port: number;
}
