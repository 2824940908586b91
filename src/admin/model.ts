import type { Role } from './route.ts';

// What the admin API says, as plain data: the pages of the console read the same types. Times are ms (`…Ms` since 1970 where they end in `AtMs`), sizes bytes.

export interface Page<T> {
  /** How many there are, whatever the page holds. */
  readonly total: number;
  readonly items: readonly T[];
}

export interface Info {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly hostname: string;
  readonly startedAtMs: number;
  /** `gateway`: runs from a file, which can be edited; `hub`: made by flags. */
  readonly kind: 'gateway' | 'hub';
  readonly name: string;
  readonly state: 'serving' | 'draining';
  /** Path of the file or folder; null without one. */
  readonly source: string | null;
  readonly listening: readonly { readonly server: string; readonly url: string }[];
}

export interface SessionInfo {
  readonly user: string;
  readonly role: Role;
  readonly by: 'session' | 'token';
  /** To be sent as `Windlass-CSRF` with everything but GET; '' with a token. */
  readonly csrf: string;
  readonly expiresAtMs: number;
}

export interface TokenInfo {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAtMs: number;
  /** 0 = never. */
  readonly expiresAtMs: number;
  readonly lastUsedAtMs: number;
}

export interface AuditEntry {
  readonly atMs: number;
  readonly who: string;
  readonly role: Role | '';
  readonly address: string;
  /** `POST /agents/{id}/revoke` */
  readonly action: string;
  readonly subject: string;
  readonly status: number;
  readonly detail: string;
}

/** Once a second, as event `tick` of GET /events; GET /overview has the last five minutes of them and the newest counts. */
export interface Tick {
  readonly atMs: number;
  readonly requestsPerSecond: number;
  /** By class of status, per second. */
  readonly byClass: { readonly '2xx': number; readonly '3xx': number; readonly '4xx': number; readonly '5xx': number };
  readonly inFlight: number;
  /** Of the last seconds; null when nothing ended. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
  readonly bytesInPerSecond: number;
  readonly bytesOutPerSecond: number;
  readonly queue: number;
  readonly queueOldestMs: number;
  readonly slots: number;
  readonly slotsFree: number;
  readonly agents: number;
  readonly connections: number;
  readonly cpu: number;
  readonly memory: number;
  readonly loopDelayMs: number;
}

export interface Overview {
  readonly history: readonly Tick[];
  readonly failures: readonly { readonly code: string; readonly count: number }[];
  readonly endpoints: {
    readonly total: number;
    readonly usable: number;
    readonly unwell: readonly { readonly upstream: string; readonly endpoint: string; readonly reason: string }[];
  };
  readonly certificates: {
    readonly total: number;
    readonly soonest: { readonly name: string; readonly notAfterMs: number } | null;
    /** How many end within two weeks, or have ended. */
    readonly soon: number;
  };
  readonly config: AppliedConfig;
}

/** How the parts hang together: nodes by column, edges between them with their traffic. Columns are bounded: what is left out is one node `more`. */
export interface Topology {
  readonly nodes: readonly TopologyNode[];
  readonly edges: readonly TopologyEdge[];
}

export interface TopologyNode {
  /** `server:web`, `location:api`, `upstream:gpu`, `endpoint:gpu/10.0.0.1:80`, `agent:ID`, `more:location` */
  readonly id: string;
  readonly kind: 'server' | 'location' | 'upstream' | 'endpoint' | 'agent' | 'more';
  readonly label: string;
  readonly detail: string;
  readonly state: 'well' | 'busy' | 'unwell' | 'idle';
  /** Those that it stands for, of `more`; else 1. */
  readonly count: number;
}

export interface TopologyEdge {
  readonly from: string;
  readonly to: string;
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  readonly inFlight: number;
}

export interface AgentInfo {
  readonly id: string;
  readonly name: string;
  readonly state: 'serving' | 'draining' | 'away';
  readonly wire: 'native' | 'slime' | 'cranker';
  readonly slots: number;
  readonly free: number;
  readonly inFlight: number;
  readonly served: number;
  readonly failed: number;
  readonly scopes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly version: string;
  readonly joinedAtMs: number;
  /** 0 = the token never expires. */
  readonly expiresAtMs: number;
  readonly certificate: { readonly subject: string; readonly fingerprint: string } | null;
  readonly hardware: Readonly<Record<string, unknown>> | null;
  /** It may have several, to hubs and workers; those here. */
  readonly sessions: readonly {
    readonly address: string;
    readonly slots: number;
    readonly free: number;
    readonly inFlight: number;
    readonly joinedAtMs: number;
    readonly rttMs: number | null;
    readonly bytesIn: number;
    readonly bytesOut: number;
  }[];
  /** A note and labels that were given here, and are kept. */
  readonly remark: string;
  /** What was given here in place of what it says itself: `name` is '' when none was; `labels` stand among the others, too. */
  readonly given: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  /** Operators have drained it: it gets nothing new until it is resumed. */
  readonly drained: boolean;
  /** Ids of the tokens that it has come with: what a revocation names. Empty: it needed none. */
  readonly tokens: readonly string[];
  /** When its last session ended; 0 = it is here, or never was. */
  readonly leftAtMs: number;
}

/**
 * What is said of an agent here. What is absent stays as it is; labels are given whole, and '' as a name gives the token's name back. A name and labels that
 * are as its own are not kept, so that it may change them.
 */
export interface AgentNote {
  readonly name?: string;
  readonly remark?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface RegisterAgent {
  readonly name: string;
  readonly scopes?: readonly string[];
  readonly scopePaths?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** 0 or absent = it never expires. */
  readonly ttlMs?: number;
}

/** The token is shown this once. */
export interface RegisteredAgent {
  readonly id: string;
  readonly token: string;
  /** A command that joins with it. */
  readonly command: string;
}

export interface RevokedAgent {
  /** Id or name of a token. */
  readonly id: string;
  /** Name of the token; '' where only its id is known. */
  readonly name: string;
  readonly atMs: number;
  readonly by: string;
  readonly reason: string;
  /** Written in the configuration: taken back only there. */
  readonly fixed: boolean;
}

export interface QueueInfo {
  readonly size: number;
  readonly outside: number;
  readonly oldestAgeMs: number;
  readonly serviceMs: number;
  readonly byUpstream: readonly { readonly upstream: string; readonly size: number }[];
  /** In the order in which slots go to them. */
  readonly waiting: readonly {
    readonly id: string;
    readonly position: number;
    readonly upstream: string;
    readonly class: number;
    readonly key: string;
    readonly scope: string;
    readonly path: string;
    readonly ageMs: number;
    readonly estimatedWaitMs: number | null;
  }[];
}

export interface UpstreamInfo {
  readonly name: string;
  readonly of: 'addresses' | 'agents';
  readonly algorithm: string;
  readonly locations: readonly string[];
  readonly inFlight: number;
  readonly waiting: number;
  readonly endpoints: readonly {
    readonly id: string;
    readonly host: string;
    readonly weight: number;
    readonly priority: number;
    readonly condition: 'well' | 'ejected' | 'broken' | 'trying' | 'unhealthy' | 'out';
    readonly inFlight: number;
    readonly check: { readonly healthy: boolean; readonly reason: string } | null;
    readonly load: number | null;
    /** May it get requests now? */
    readonly usable: boolean;
    /** Attempts so far, and those that failed. */
    readonly requests: number;
    readonly failures: number;
  }[];
  /** Of agents: those that it selects and that are here; then there are no endpoints. */
  readonly agents: { readonly selector: string; readonly connected: number; readonly slots: number; readonly free: number } | null;
}

export interface CertificateInfo {
  readonly name: string;
  readonly source: 'file' | 'acme' | 'self_signed' | 'server';
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly fingerprint: string;
  readonly usedBy: readonly string[];
  /** What is wrong with it; '' = nothing. */
  readonly problem: string;
}

export interface AppliedConfig {
  /** Of the files as they lie there. */
  readonly etag: string;
  /** Of those that serve. Another: they could not be used, or not yet. */
  readonly appliedEtag: string;
  readonly appliedAtMs: number;
  readonly ok: boolean;
  readonly problems: readonly ConfigProblem[];
}

export interface ConfigProblem {
  readonly level: 'error' | 'warning';
  /** As in the terminal. */
  readonly message: string;
  /** Path as told in `ConfigInfo.files`; '' when none. */
  readonly file: string;
  /** From 1; 0 = unknown. */
  readonly line: number;
  readonly column: number;
  /** `servers.web`, key; '' when unknown. */
  readonly subject: string;
}

export interface ConfigInfo extends AppliedConfig {
  /** Why nothing can be saved here (a read-only folder, files of a ConfigMap); '' = it can. */
  readonly fixed: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** Items by section as they stand in the files, secrets as `********`; single sections have one item named ''. */
  readonly sections: Readonly<Record<string, readonly ConfigItem[]>>;
}

export interface ConfigItem {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of items that refer to it, such as `locations.api`. */
  readonly usedBy: readonly string[];
}

/** One change: a whole file's text, or one item. `values: null` deletes it. A secret that is still `********` is left as it is. */
export type ConfigChange =
  | { readonly file: string; readonly text: string | null }
  | { readonly section: string; readonly name: string; readonly values: Readonly<Record<string, unknown>> | null; readonly rename?: string };

export interface ConfigVerdict {
  readonly ok: boolean;
  readonly problems: readonly ConfigProblem[];
  /** Unified, of the files, secrets hidden. */
  readonly diff: string;
  readonly etag: string;
}

/** What is to be saved. `note` is kept in the history. */
export interface ApplyConfig {
  readonly changes: readonly ConfigChange[];
  readonly note?: string;
}

/** What an answer 412 has beside the usual members: what stands there now, for a merge. */
export interface ConfigConflict {
  readonly etag: string;
  readonly files: readonly ConfigText[];
}

export interface ConfigText {
  readonly name: string;
  readonly text: string;
}

export interface ImportConfig {
  readonly text: string;
  readonly format: 'toml' | 'pingap' | 'pi' | 'slime';
  /** Nothing is written. */
  readonly dryRun: boolean;
}

/** `text`: the configuration that it became, secrets hidden. `notes`: what was left out or needs a hand. */
export interface ImportVerdict extends ConfigVerdict {
  readonly text: string;
  readonly notes: readonly string[];
}

export interface ConfigVersion {
  readonly id: string;
  readonly atMs: number;
  /** Who; `file` = an editor. */
  readonly by: string;
  readonly note: string;
  readonly etag: string;
  /** It is what lies there now. */
  readonly current: boolean;
  /** It could be used, and was. */
  readonly served: boolean;
  /** What differs from the version before it, as `section.item`; at most twenty, and none when that is not known. */
  readonly changed: readonly string[];
}

/** One version, secrets hidden for all but admins. */
export interface ConfigVersionDetail extends ConfigVersion {
  /** What it changed against the version before it. */
  readonly diff: string;
  /** What would change if it were restored now. */
  readonly restoreDiff: string;
  readonly files: readonly ConfigText[];
}

/** What forms are made of. */
export interface FormSection {
  readonly section: string;
  /** Kinds of items: `addresses` and `agents` of upstreams, categories of plugins; else one, named ''. */
  readonly kinds: readonly {
    readonly kind: string;
    readonly says: string;
    readonly groups: readonly { readonly title: string; readonly fields: readonly FormField[] }[];
  }[];
  /** False: one table, without names. */
  readonly named: boolean;
}

export interface FormField {
  readonly key: string;
  readonly help: string;
  readonly input:
    | 'text'
    | 'number'
    | 'switch'
    | 'choice'
    | 'duration'
    | 'bytes'
    | 'secret'
    | 'list'
    | 'map'
    | 'reference'
    | 'addresses'
    /** A list of tables that have the keys of `columns`, as `addresses` may have, too. */
    | 'tables'
    | 'long_text';
  readonly columns?: readonly FormField[];
  readonly choices: readonly string[];
  /** Section whose names it takes. */
  readonly refersTo: string;
  readonly many: boolean;
  readonly required: boolean;
  /** As told in the reference. */
  readonly fallback: string;
  readonly example: string;
  readonly min?: number;
  readonly max?: number;
}

/** Which location takes a request, and why not the others. */
export interface RouteTest {
  readonly server: string;
  /** Null: none takes it. */
  readonly location: string | null;
  /** Of the answer when it is given here; null when the request is sent on, or plugins answer. */
  readonly status: number | null;
  /** Why it is not sent on; '' when it is. */
  readonly refusal: string;
  /** What host, path and rewrite have captured. */
  readonly captures: Readonly<Record<string, string>>;
  /** '' = none. */
  readonly upstream: string;
  /** As sent on, after rewrites. */
  readonly target: string;
  readonly plugins: readonly string[];
  /** In the order in which they are asked. */
  readonly considered: readonly { readonly location: string; readonly weight: number; readonly matches: boolean; readonly reason: string }[];
}

/** A request as people describe one, to see where it goes. */
export interface RouteQuestion {
  /** Absent: all of them are asked. */
  readonly server?: string;
  readonly method?: string;
  readonly host: string;
  /** With its query, if any. */
  readonly path: string;
  readonly headers?: readonly (readonly [string, string])[];
  /** Asks the configuration as it would be with these; absent: the one that serves. */
  readonly changes?: readonly ConfigChange[];
}

/** What becomes of a path. */
export interface RewritePreview {
  /** Is its pattern found? */
  readonly matches: boolean;
  /** As it is sent on; '' when it may not be. */
  readonly target: string;
  readonly captures: Readonly<Record<string, string>>;
  /** '' = none. */
  readonly problem: string;
}

/** A line that a template writes, of an example request. */
export interface LogTemplatePreview {
  readonly line: string;
  /** '' = none. */
  readonly problem: string;
}

export interface TrafficSettings {
  readonly enabled: boolean;
  /** Exchanges kept. */
  readonly size: number;
}

export interface TrafficItem {
  readonly id: string;
  readonly atMs: number;
  readonly client: string;
  readonly method: string;
  readonly host: string;
  readonly target: string;
  readonly protocol: string;
  /** 0 while it runs. */
  readonly status: number;
  readonly server: string;
  readonly location: string;
  readonly upstream: string;
  readonly endpoint: string;
  readonly agent: string;
  readonly totalMs: number;
  readonly waitedMs: number;
  readonly firstByteMs: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly attempts: number;
  readonly failure: string;
  readonly traceId: string;
  readonly requestId: string;
  /** Id of the exchange that it repeats for an operator; '' = a client sent it. */
  readonly replayOf: string;
}

export interface TrafficStory extends TrafficItem {
  /** In the order of their beginning; starts are ms from the first byte of the request. */
  readonly spans: readonly {
    readonly name: 'hub' | 'plugins' | 'queue' | 'connect' | 'tls' | 'tunnel' | 'agent' | 'upstream' | 'answer';
    readonly startMs: number;
    readonly ms: number;
    readonly detail: string;
  }[];
  /** Name, value; secrets as `********`. */
  readonly requestHeaders: readonly (readonly [string, string])[];
  readonly sentHeaders: readonly (readonly [string, string])[];
  readonly replyHeaders: readonly (readonly [string, string])[];
  readonly tries: readonly string[];
  readonly failureDetail: string;
  /** May it be sent again? Why not. */
  readonly replay: { readonly possible: boolean; readonly why: string };
  readonly curl: string;
}

export interface LogEntry {
  readonly atMs: number;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}
