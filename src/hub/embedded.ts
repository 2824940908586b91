import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { systemClock } from '../std/clock.ts';
import { type Log, nullLog } from '../observe/log.ts';
import type { Address } from '../schema/address.ts';
import { Cidrs, parseCidr } from '../schema/cidrs.ts';
import { checkOptions, OptionError, readOption } from '../schema/option-error.ts';
import type { Table, Values } from '../schema/setting.ts';
import { parseServerUrl } from '../schema/upstream-url.ts';
import type { HttpLimits } from '../http/limits.ts';
import type { Plugin } from '../proxy/plugin.ts';
import { createKeyring, sealToken } from '../tunnel/token.ts';
import { hubSettings, hubTable } from '../config/hub.ts';
import type { HubSettings } from '../config/settings.ts';
import { tracesOf, type TracesOption } from '../config/traces.ts';
import type { AgentDesk } from './agent-desk.ts';
import { type Connection, connectionOf } from './connections.ts';
import { type HubEventName, type HubListener, Listeners } from './events.ts';
import type { Deps } from './house.ts';
import { startHub } from './hub.ts';
import type { Listener } from './listener.ts';
import { handleHere, upgradeHere } from './mount.ts';
import { Watch } from './watched.ts';

/** Settings that are options by the same name, with the same defaults: `windlass hub run --help` describes them. */
type SameOptions = Partial<
  Pick<
    HubSettings,
    | 'accepts'
    | 'accessLog'
    | 'appPassword'
    | 'blockTimeoutMs'
    | 'concurrent'
    | 'drainDelayMs'
    | 'drainTimeoutMs'
    | 'hubId'
    | 'onEmpty'
    | 'queueBytes'
    | 'queueSize'
    | 'queueTimeoutMs'
    | 'requireAgentCertificate'
    | 'revokedFile'
    | 'slimeSecrets'
    | 'timeoutMs'
    | 'tls'
    | 'upgrades'
    | 'viaName'
  >
>;

/** What a hub in another program may be told. Times are ms, sizes bytes. */
export interface HubOptions extends SameOptions {
  /** Seals and opens agent tokens; of several the first seals, all open. */
  readonly secret: string | readonly string[];
  /** Where to listen. Null: nowhere, requests come by handle() and upgrade(). Absent: 0.0.0.0:8080, as `windlass hub run`. */
  readonly listen?: { readonly host?: string; readonly port?: number } | null;
  /** Where /healthz, /readyz, /metrics and /status are served. Absent: nowhere, unlike `windlass hub run`. */
  readonly admin?: Address | null;
  /** Addresses and blocks whose `Forwarded` and `X-Forwarded-*` are believed. Absent: nobody's. */
  readonly trustedProxies?: readonly string[];
  /** Other hubs that agents are told to dial as well, by their ids. */
  readonly siblings?: Readonly<Record<string, string>>;
  /** Absent: no spans are made. */
  readonly traces?: TracesOption;
  /** Bounds of client connections that differ from the usual ones. */
  readonly limits?: Partial<HttpLimits>;
  /** What they do with requests, in this order; `windlass/plugin` has the types. */
  readonly plugins?: readonly { readonly name: string; readonly plugin: Plugin }[];
  /** Absent: silence. */
  readonly log?: Log;
  /** Its abort is close(). */
  readonly signal?: AbortSignal;
}

/** What a token for an agent may say. */
export interface TokenOptions {
  /** Told in lists of agents, and what revocation may name. Absent: `agent`. */
  readonly name?: string;
  /** Requests that name a scope go only to agents whose tokens carry it. */
  readonly scopes?: readonly string[];
  /** When there are any, its agents serve exactly these paths. */
  readonly scopePaths?: readonly string[];
  /** From now, ms; absent: it never expires. */
  readonly ttlMs?: number;
}

/** A hub that runs in this program. */
export interface Hub {
  /** Where it listens; null = nowhere. */
  readonly address: Address | null;
  readonly adminAddress: Address | null;
  /** Serves a request that a server of node:http or node:https has read, body included. Nobody else may have read from it. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Takes over a connection of an `upgrade` event: of an agent that dials in, or of an application. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Uint8Array) => void;
  /** Sessions of agents, in the order in which they joined. */
  connections(): Connection[];
  /** A token for an agent, sealed with the (first) secret. @throws RangeError for what cannot stand in one */
  issueToken(token?: TokenOptions): string;
  /** Listens to what happens, until the function that it returns is called, or the signal is aborted. */
  on<K extends HubEventName>(event: K, listener: HubListener<K>, until?: { readonly signal?: AbortSignal }): () => void;
  /** Takes nothing new, finishes what runs and what waits (bounded by `drainTimeoutMs`), sends the agents away. */
  close(): Promise<void>;
  /** Cuts everything at once. */
  destroy(): void;
}

/** A hub in this program. It handles no signals and touches nothing of the process. @throws OptionError, SettingsError (files that cannot be used), the listen error */
export async function embedHub(options: HubOptions, deps: Partial<Deps> = {}): Promise<Hub> {
  const { signal, log = nullLog, plugins = [] } = options;
  signal?.throwIfAborted();
  const settings = settingsOf(options);
  const clock = deps.clock ?? systemClock;
  const listeners = new Listeners(log);
  const watch = new Watch(listeners, clock);
  let made!: { readonly desk: AgentDesk; readonly listener: Listener };
  const isMounted = options.listen === null;
  const running = await startHub(
    settings,
    { log, ...deps },
    {
      isMounted,
      plugins,
      journal: watch.journal,
      watch: watch.session,
      joined: (session) => void listeners.tell('joined', { agent: connectionOf(session, clock) }),
      left: (session, reason) => void listeners.tell('left', { agent: connectionOf(session, clock), reason }),
      opened: (parts) => {
        made = parts;
      },
    },
  );
  const { desk, listener } = made;
  const keyring = createKeyring(settings.secrets);
  let closing: Promise<void> | null = null;
  const abort = (): void => void hub.close();
  const hub: Hub = {
    address: isMounted ? null : running.address,
    adminAddress: running.adminAddress,
    handle: (request, response) => handleHere(listener.server, request, response),
    upgrade: (request, socket, head) => upgradeHere(listener.server, request, socket, head),
    connections: () => [...desk.pool.sessions].map((session) => connectionOf(session, clock)),
    issueToken: ({ name = 'agent', scopes = [], scopePaths = [], ttlMs = 0 } = {}) =>
      sealToken(
        {
          id: randomBytes(8).toString('hex'),
          name,
          scopes,
          scopePaths,
          issuedMs: clock.wall(),
          expiresMs: ttlMs === 0 ? 0 : clock.wall() + ttlMs,
          labels: new Map(),
        },
        keyring,
      ),
    on: (event, listen, until) => {
      const off = listeners.on(event, listen);
      if (until?.signal?.aborted === true) off();
      else until?.signal?.addEventListener('abort', off, { once: true });
      return off;
    },
    close: () => {
      signal?.removeEventListener('abort', abort);
      return (closing ??= running.close());
    },
    destroy: () => {
      signal?.removeEventListener('abort', abort);
      running.destroy();
    },
  };
  signal?.addEventListener('abort', abort, { once: true });
  // It may have come while the socket was opened.
  if (signal?.aborted === true) {
    await hub.close();
    signal.throwIfAborted();
  }
  return hub;
}

const OWN = ['secret', 'listen', 'admin', 'trustedProxies', 'siblings', 'limits', 'plugins', 'log', 'signal'];

function settingsOf(options: HubOptions): HubSettings {
  const {
    secret,
    listen,
    admin = null,
    trustedProxies = [],
    siblings = {},
    traces,
    limits,
    plugins: _plugins,
    log: _log,
    signal: _signal,
    ...same
  } = options;
  const secrets = typeof secret === 'string' ? [secret] : secret;
  if (secrets === undefined || secrets.length === 0 || secrets.some((one) => typeof one !== 'string' || one === ''))
    throw new OptionError('secret', 'is missing: it seals the tokens of agents; 32 random bytes in hex make a good one');
  const defaults = hubSettings({ ...defaultsOf(hubTable), secret: secrets }, () => randomBytes(4).toString('hex'));
  const known = [...Object.keys(defaults).filter((name) => !NOT_OPTIONS.has(name)), ...OWN];
  checkOptions(options, known);
  return {
    ...defaults,
    ...(Object.fromEntries(Object.entries(same).filter(([, value]) => value !== undefined)) as SameOptions),
    ...(listen === null ? { host: '127.0.0.1', port: 0 } : { host: listen?.host ?? defaults.host, port: listen?.port ?? defaults.port }),
    adminAddr: admin,
    // Whoever has the hub in a program of theirs has that program.
    console: false,
    trustedProxies: readOption('trustedProxies', () => new Cidrs(trustedProxies.flatMap(parseCidr))),
    traces: traces === undefined ? null : readOption('traces', () => tracesOf(traces)),
    siblings: readOption('siblings', () => new Map(Object.entries(siblings).map(([id, address]) => [id, parseServerUrl(address)]))),
    limits: { ...defaults.limits, ...limits },
  };
}

/** Settings that another option stands for, or that are a program's own. */
const NOT_OPTIONS = new Set('secrets host port adminAddr console consoleHosts admins inspector notification logLevel logFormat'.split(' '));

function defaultsOf<T extends Table>(table: T): Values<T> {
  return Object.fromEntries(Object.entries(table).map(([name, { fallback }]) => [name, fallback])) as Values<T>;
}
