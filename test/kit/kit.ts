import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach } from 'vitest';
import type { AgentDeps } from '../../src/agent/agent.ts';
import type { RunningAgent } from '../../src/agent/process.ts';
import { agentSettings, agentTable } from '../../src/config/agent.ts';
import { crankerRouterSettings, type CrankerRouterSettings, crankerRouterTable } from '../../src/config/cranker-router.ts';
import { hubSettings, hubTable } from '../../src/config/hub.ts';
import { proxySettings, proxyTable } from '../../src/config/proxy.ts';
import type { AgentSettings, HubSettings, ListenSettings, ProxySettings } from '../../src/config/settings.ts';
import type { RouterDeps, RunningRouter } from '../../src/hub/cranker-router.ts';
import { startProxy } from '../../src/hub/direct.ts';
import type { Running } from '../../src/hub/front.ts';
import type { Deps } from '../../src/hub/house.ts';
import type { HttpLimits } from '../../src/http/limits.ts';
import type { Log } from '../../src/observe/log.ts';
import type { Fields } from '../../src/observe/redact.ts';
import { parseUpstreamUrl, type UpstreamUrl } from '../../src/schema/upstream-url.ts';
import type { Table, Values } from '../../src/schema/setting.ts';
import type { TunnelLimits } from '../../src/tunnel/limits.ts';
import { createKeyring, sealToken, type TokenClaims } from '../../src/tunnel/token.ts';
import { RawClient } from './client.ts';
import { type Answerer, HttpOrigin } from './http-origin.ts';
import { type Script, ScriptedOrigin } from './scripted-origin.ts';
import { until } from './until.ts';

/** Something that listens on loopback. */
export type Listening = { readonly port: number } | { readonly address: { readonly port: number } };

/** Settings of a test: any of the program's, limits one by one. */
export type Overrides<T extends ListenSettings> = Partial<Omit<T, 'limits'>> & { readonly limits?: Partial<HttpLimits> };

/** A line of the program's log. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Fields;
  readonly message: string;
}

/** A hub or proxy under test. */
export interface Served extends Running {
  readonly log: readonly LogLine[];
}

/** A Cranker router under test. */
export interface ServedRouter extends RunningRouter {
  readonly log: readonly LogLine[];
}

/** An agent under test. */
export interface ServedAgent extends RunningAgent {
  readonly log: readonly LogLine[];
}

/** Seals the tokens of the hubs that kits start, unless other settings are given. */
export const SECRET = 'a secret that only tests know';

const HOST = '127.0.0.1';
/** Nobody waits for what a test left behind. */
const DRAIN_TIMEOUT_MS = 500;

/** Starts what a test needs on free ports of loopback, and closes it all, last first, when the test (or the file) is over. */
export function kit(per: 'test' | 'file' = 'test'): Kit {
  const made = new Kit();
  (per === 'test' ? afterEach : afterAll)(() => made.close());
  return made;
}

export class Kit {
  readonly #open: (() => unknown)[] = [];

  /** Runs `close` when the test is over. */
  readonly later = (close: () => unknown): void => {
    this.#open.push(close);
  };

  /** An origin of node:http that records requests. */
  readonly startOrigin = async (answer?: Answerer): Promise<HttpOrigin> => {
    const origin = new HttpOrigin(answer);
    origin.server.listen(0, HOST);
    await once(origin.server, 'listening');
    this.later(() => origin.close());
    return origin;
  };

  /** An origin that follows a script, connection by connection. */
  readonly startScript = async (script: Script): Promise<ScriptedOrigin> => {
    const origin = new ScriptedOrigin(script);
    origin.server.listen(0, HOST);
    await once(origin.server, 'listening');
    this.later(() => origin.close());
    return origin;
  };

  /** `windlass proxy` in front of the given origins. */
  readonly startDirect = async (
    settings: Overrides<Omit<ProxySettings, 'to'>> & { to: Listening | readonly UpstreamUrl[] },
    deps: Partial<Deps> = {},
  ): Promise<Served> => {
    const { to, limits, ...others } = settings;
    const defaults = proxySettings({
      ...defaultsOf(proxyTable),
      from: { host: HOST, port: 0 },
      adminAddr: { host: HOST, port: 0 },
      drainTimeout: DRAIN_TIMEOUT_MS,
      to: Array.isArray(to) ? (to as UpstreamUrl[]) : [parseUpstreamUrl(`${HOST}:${portOf(to as Listening)}`)],
    });
    const log = new Recorder();
    const running = await startProxy({ ...defaults, ...others, limits: { ...defaults.limits, ...limits } }, { log, ...deps });
    return this.#serving({ ...running, log: log.lines });
  };

  /** `windlass hub run` with SECRET. */
  readonly startHubWith = async (
    settings: Overrides<HubSettings> = {},
    tunnelLimits: Partial<TunnelLimits> = {},
    deps: Partial<Deps> = {},
  ): Promise<Served> => {
    const { startHub } = await import('../../src/hub/hub.ts');
    const { limits, ...others } = settings;
    const defaults = hubSettings(
      {
        ...defaultsOf(hubTable),
        secret: [SECRET],
        host: HOST,
        port: 0,
        adminAddr: { host: HOST, port: 0 },
        drainTimeout: DRAIN_TIMEOUT_MS,
      },
      () => 'test-hub',
    );
    const log = new Recorder();
    const running = await startHub({ ...defaults, ...others, limits: { ...defaults.limits, ...limits } }, { log, tunnelLimits, ...deps });
    return this.#serving({ ...running, log: log.lines });
  };

  /** `windlass agent run` between a hub and an origin, with a token made of SECRET. Returns when it has joined. */
  readonly startAgentFor = async (
    hub: Listening,
    origin: Listening,
    settings: Partial<AgentSettings> = {},
    tunnelLimits: Partial<TunnelLimits> = {},
    deps: Partial<AgentDeps> = {},
  ): Promise<ServedAgent> => {
    const agent = await this.dialHub(hub, origin, settings, tunnelLimits, deps);
    await agent.ready;
    return agent;
  };

  /** The same without waiting until it has joined. */
  readonly dialHub = async (
    hub: Listening,
    origin: Listening,
    settings: Partial<AgentSettings> = {},
    tunnelLimits: Partial<TunnelLimits> = {},
    deps: Partial<AgentDeps> = {},
  ): Promise<ServedAgent> => {
    const { startAgent } = await import('../../src/agent/process.ts');
    const defaults = agentSettings(
      {
        ...defaultsOf(agentTable),
        token: tokenFor(),
        hub: [parseUpstreamUrl(`${HOST}:${portOf(hub)}`)],
        upstream: [parseUpstreamUrl(`${HOST}:${portOf(origin)}`)],
        reportHardware: false,
        drainTimeout: DRAIN_TIMEOUT_MS,
      },
      null,
      null,
    );
    const log = new Recorder();
    const running = await startAgent({ ...defaults, ...settings }, { log, tunnelLimits, ...deps });
    this.later(() => running.destroy());
    return { ...running, log: log.lines };
  };

  /** `windlass cranker-router` with a registration port of its own. */
  readonly startRouter = async (settings: Overrides<CrankerRouterSettings> = {}, deps: Partial<RouterDeps> = {}): Promise<ServedRouter> => {
    const { startCrankerRouter } = await import('../../src/hub/cranker-router.ts');
    const { limits, ...others } = settings;
    const defaults = crankerRouterSettings({
      ...defaultsOf(crankerRouterTable),
      host: HOST,
      port: 0,
      registrationPort: 0,
      adminAddr: { host: HOST, port: 0 },
      drainTimeout: DRAIN_TIMEOUT_MS,
    });
    const log = new Recorder();
    const running = await startCrankerRouter({ ...defaults, ...others, limits: { ...defaults.limits, ...limits } }, { log, ...deps });
    this.later(() => running.destroy());
    return { ...running, log: log.lines };
  };

  #serving(running: Served): Served {
    this.later(() => running.destroy());
    return running;
  }

  /** A connected client that says exactly what it is told. */
  readonly rawClient = async (to: Listening): Promise<RawClient> => {
    const socket = net.connect({ port: portOf(to), host: HOST, allowHalfOpen: true });
    this.later(() => socket.destroy());
    await once(socket, 'connect');
    return new RawClient(socket);
  };

  /** A folder that is gone afterwards. */
  readonly folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'windlass-'));
    // A program that was ended at once may still be writing there.
    this.later(() => rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 }));
    return path;
  };

  /** A target for the access log, and its lines. */
  readonly accessLog = (): { target: { path: string }; lines(count: number): Promise<string[]> } => {
    const path = join(this.folder(), 'access.log');
    const read = () =>
      readFileSync(path, 'latin1')
        .split('\n')
        .filter((line) => line !== '');
    return { target: { path }, lines: (count) => until(`${count} log lines`, () => (read().length >= count ? read() : null)) };
  };

  async close(): Promise<void> {
    while (this.#open.length > 0) await this.#open.pop()!();
  }
}

/** A token for an agent of a kit's hub. */
export function tokenFor(claims: Partial<TokenClaims> = {}, secret: string = SECRET): string {
  return sealToken(
    { id: 'test', name: 'test', scopes: [], scopePaths: [], issuedMs: Date.now(), expiresMs: 0, labels: new Map(), ...claims },
    createKeyring([secret]),
  );
}

export function portOf(listening: Listening): number {
  return 'port' in listening ? listening.port : listening.address.port;
}

/** A number on the metrics page; NaN when it is not there. Samples with labels: `name{state="free"}`. */
export async function metric(running: { readonly adminAddress: { readonly port: number } | null }, name: string): Promise<number> {
  const page = await (await fetch(`http://${HOST}:${running.adminAddress!.port}/metrics`)).text();
  const line = page.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? Number.NaN : Number(line.slice(name.length + 1));
}

/** Waits until a number on the metrics page is what it should be. */
export async function metricBecomes(running: Parameters<typeof metric>[0], name: string, wanted: (value: number) => boolean): Promise<void> {
  await until(`${name} as wanted`, async () => wanted(await metric(running, name)));
}

/** What a table's settings are when nothing is given; those that must be given are missing. */
function defaultsOf<T extends Table>(table: T): Values<T> {
  return Object.fromEntries(Object.entries(table).map(([name, { fallback }]) => [name, fallback])) as Values<T>;
}

class Recorder implements Log {
  readonly lines: LogLine[] = [];
  readonly #fields: Fields;

  constructor(fields: Fields = {}, lines: LogLine[] = []) {
    this.#fields = fields;
    this.lines = lines;
  }

  debug = (fields: Fields, message: string): void => this.#take('debug', fields, message);
  info = (fields: Fields, message: string): void => this.#take('info', fields, message);
  warn = (fields: Fields, message: string): void => this.#take('warn', fields, message);
  error = (fields: Fields, message: string): void => this.#take('error', fields, message);

  child = (fields: Fields): Log => new Recorder({ ...this.#fields, ...fields }, this.lines);

  #take(level: LogLine['level'], fields: Fields, message: string): void {
    this.lines.push({ level, fields: { ...this.#fields, ...fields }, message });
  }
}
