import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAgent } from '../agent/process.ts';
import { localTokenPath } from '../admin/local-token.ts';
import { agentSettings, agentTable } from '../config/agent.ts';
import { loadGateway } from '../config/gateway.ts';
import { resolveSettings } from '../config/resolve.ts';
import type { AgentSettings } from '../config/settings.ts';
import type { RootLog } from '../observe/log.ts';
import { LogRing } from '../observe/log-ring.ts';
import { formatAddress } from '../schema/address.ts';
import type { Table, Values } from '../schema/setting.ts';
import { createKeyring, sealToken } from '../tunnel/token.ts';
import { startDemoService } from './demo-service.ts';
import { type FiledGateway, startFiled } from './filed-gateway.ts';

/** A gateway with a file of its own, an agent and a service on loopback. */
export interface Demo {
  /** The gateway's address for applications. */
  readonly url: string;
  readonly port: number;
  /** The gateway's health, metrics and console. */
  readonly adminUrl: string;
  /** A link that opens the console, once. */
  readonly consoleUrl: string;
  /** What the gateway runs from; it is gone at the end. */
  readonly file: string;
  /** Where the token of its admin API lies. */
  readonly tokenFile: string;
  /** Commands of this user find it without being told. */
  readonly isFound: boolean;
  readonly slots: number;
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const SLOTS = 4;
/** Where operators look first; when it is taken, at the ones after it. */
const ADMIN_PORT = 9080;
/** Ports tried after a taken one. */
const PORTS_TRIED = 20;
/** Nobody waits longer than this for a demo's end, ms. */
const DRAIN_TIMEOUT_MS = 1_000;
/** From here on something is wrong with the demo itself, ms. */
const READY_TIMEOUT_MS = 10_000;

/** Starts all three and returns when a request has gone the whole way. With `orNext` a taken port makes it try the next. `tokenDir`: where commands of this user look for its local token. @throws the listen error */
export async function startDemo(port: number, orNext: boolean, log: RootLog, tokenDir?: string): Promise<Demo> {
  const secret = randomBytes(32).toString('hex');
  const folder = mkdtempSync(join(tmpdir(), 'windlass-demo-'));
  // In the order of their end: who dials in leaves first.
  const running: { close(): Promise<unknown> }[] = [{ close: () => Promise.resolve(rmSync(folder, { recursive: true, force: true })) }];
  const close = async (): Promise<void> => {
    for (const part of running) await part.close();
  };
  try {
    // Ports stand in the file as numbers: it means the same when it is read again.
    const wanted = {
      folder,
      secret,
      port: port === 0 ? await freePort() : port,
      adminPort: orNext ? ADMIN_PORT : await freePort(),
      tokenDir: tokenDir ?? folder,
      mayMove: orNext || port === 0,
    };
    const filed = await startNear(wanted, PORTS_TRIED, log);
    running.unshift(filed);
    const { gateway } = filed;
    const address = gateway.addresses.get('web')![0]!;
    const url = `http://${formatAddress(address)}`;
    const service = await startDemoService();
    running.splice(1, 0, service);
    running.unshift(await startAgent(await agentOf(secret, url, `http://${HOST}:${service.port}`), { log: log.child({ part: 'agent' }) }));
    await answered(`${url}/v1/models`);
    return {
      url,
      port: address.port,
      adminUrl: `http://${formatAddress(gateway.adminAddress!)}`,
      consoleUrl: gateway.consoleLink()!,
      file: fileIn(folder),
      tokenFile: localTokenPath(tokenDir ?? folder, gateway.adminAddress!),
      isFound: tokenDir !== undefined && gateway.adminAddress!.port === ADMIN_PORT,
      slots: SLOTS,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Wanted {
  /** Ours alone: the file is in it, and what the gateway keeps. */
  readonly folder: string;
  readonly secret: string;
  readonly port: number;
  readonly adminPort: number;
  readonly tokenDir: string;
  /** Another port for applications will do as well; for operators it always does. */
  readonly mayMove: boolean;
}

async function startNear(wanted: Wanted, tries: number, log: RootLog): Promise<FiledGateway> {
  const { folder, port, adminPort, tokenDir, mayMove } = wanted;
  const source = fileIn(folder);
  writeFileSync(source, textOf(wanted), { mode: 0o600 });
  // Nothing of the environment has a say in a demo.
  const load = (): ReturnType<typeof loadGateway> => loadGateway(source, {});
  const sinceMs = Date.now();
  const { settings, etag, problems } = await load();
  const lines = new LogRing();
  try {
    return await startFiled(settings, {
      source,
      sinceMs,
      load,
      log: lines.beside(log),
      lines,
      stateDir: folder,
      tokenDir,
      env: {},
      first: { ok: true, etag, problems },
    });
  } catch (error) {
    const { code, port: taken } = error as NodeJS.ErrnoException & { readonly port?: number };
    const isOperators = taken === adminPort;
    if (code !== 'EADDRINUSE' || tries === 0 || !(isOperators || mayMove) || Math.max(port, adminPort) >= 65_535) throw error;
    const next = isOperators ? { ...wanted, adminPort: adminPort + 1 } : { ...wanted, port: port + 1 };
    return startNear(next, tries - 1, log);
  }
}

/** One that nobody has at this moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function fileIn(folder: string): string {
  return join(folder, 'windlass.toml');
}

/** What the demo runs from: short, so that who opens it in the console sees all of it. */
function textOf({ secret, port, adminPort }: Wanted): string {
  return `# The gateway of windlass demo: change what you like, it is gone when the demo ends.
[basic]
name = "demo"
admin_addr = "${HOST}:${adminPort}"
log_level = "warn"
# The last requests, for the page Traffic.
inspector = 1000
drain_timeout = "${DRAIN_TIMEOUT_MS}ms"

# Agents dial in with tokens that this secret seals.
[agents]
secret = "${secret}"
hub_id = "demo"

[servers.web]
addr = "${HOST}:${port}"
accepts = ["native"]
locations = ["models"]

[locations.models]
upstream = "agents"

# Whoever has dialled in; a request waits for a free slot.
[upstreams.agents]
agents = "*"
queue_timeout = "30s"
`;
}

async function agentOf(secret: string, hub: string, upstream: string): Promise<AgentSettings> {
  const claims = { id: 'demo', name: 'demo', scopes: [], scopePaths: [], issuedMs: Date.now(), expiresMs: 0, labels: new Map<string, string>() };
  const token = sealToken(claims, createKeyring([secret]));
  const values = await valuesOf(agentTable, { token, hub, upstream, numWorker: String(SLOTS) });
  return { ...agentSettings(values, null, null), drainTimeoutMs: DRAIN_TIMEOUT_MS };
}

/** As if given as flags: nothing of the environment and no file has a say in a demo. */
async function valuesOf<T extends Table>(table: T, given: Record<string, string>): Promise<Values<T>> {
  const flags = new Map(Object.entries(given).map(([name, value]) => [name, [value]]));
  const nothing = { env: {}, sectionName: null, section: null, readText: () => '' };
  return (await resolveSettings(table, { command: 'demo', flags, ...nothing })).values;
}

/** Waits until a request has gone through gateway, tunnel, agent and service: it waits in the queue for the agent's first slot. */
async function answered(url: string): Promise<void> {
  const signal = AbortSignal.timeout(READY_TIMEOUT_MS);
  const reply = await fetch(url, { signal });
  await reply.arrayBuffer();
  if (reply.status !== 200) throw new Error(`the demo does not answer: ${url} is ${reply.status}`);
}
