import { randomBytes } from 'node:crypto';
import { startAgent } from '../agent/process.ts';
import { agentSettings, agentTable } from '../config/agent.ts';
import { hubSettings, hubTable } from '../config/hub.ts';
import { resolveSettings } from '../config/resolve.ts';
import type { AgentSettings, HubSettings } from '../config/settings.ts';
import { startHub } from '../hub/hub.ts';
import type { Log } from '../observe/log.ts';
import { formatAddress } from '../schema/address.ts';
import type { Table, Values } from '../schema/setting.ts';
import { createKeyring, sealToken } from '../tunnel/token.ts';
import { startDemoService } from './demo-service.ts';

/** A hub, an agent and a service on loopback. */
export interface Demo {
  /** The hub's address for applications. */
  readonly url: string;
  readonly port: number;
  /** The hub's health and metrics, or null when it has none. */
  readonly adminUrl: string | null;
  readonly slots: number;
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const SLOTS = 4;
/** Ports tried after a taken one. */
const PORTS_TRIED = 20;
/** Nobody waits longer than this for a demo's end, ms. */
const DRAIN_TIMEOUT_MS = 1_000;
/** From here on something is wrong with the demo itself, ms. */
const READY_TIMEOUT_MS = 10_000;

/** Starts all three and returns when a request has gone the whole way. With `orNext` a taken port makes it try the next. @throws the listen error */
export async function startDemo(port: number, orNext: boolean, log: Log): Promise<Demo> {
  const secret = randomBytes(32).toString('hex');
  const hub = await startHubNear(await hubOf(secret, port), orNext ? PORTS_TRIED : 0, log.child({ part: 'hub' }));
  const url = `http://${formatAddress(hub.address)}`;
  // In the order of their end: who dials in leaves first.
  const running: { close(): Promise<void> }[] = [hub];
  const close = async (): Promise<void> => {
    for (const part of running) await part.close();
  };
  try {
    const service = await startDemoService();
    running.push(service);
    running.unshift(await startAgent(await agentOf(secret, url, `http://${HOST}:${service.port}`), { log: log.child({ part: 'agent' }) }));
    await answered(`${url}/v1/models`);
  } catch (error) {
    await close();
    throw error;
  }
  const adminUrl = hub.adminAddress === null ? null : `http://${formatAddress(hub.adminAddress)}`;
  return { url, port: hub.address.port, adminUrl, slots: SLOTS, close };
}

async function startHubNear(settings: HubSettings, tries: number, log: Log): ReturnType<typeof startHub> {
  try {
    return await startHub(settings, { log });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries === 0 || settings.port >= 65_535) throw error;
    return startHubNear({ ...settings, port: settings.port + 1 }, tries - 1, log);
  }
}

async function hubOf(secret: string, port: number): Promise<HubSettings> {
  const values = await valuesOf(hubTable, { secret, host: HOST, port: String(port), adminAddr: `${HOST}:0` });
  return { ...hubSettings(values, () => 'demo'), drainTimeoutMs: DRAIN_TIMEOUT_MS };
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

/** Waits until a request has gone through hub, tunnel, agent and service. `Slime-Block` makes it wait in the hub's queue for the agent's first slot. */
async function answered(url: string): Promise<void> {
  const signal = AbortSignal.timeout(READY_TIMEOUT_MS);
  const reply = await fetch(url, { headers: { 'Slime-Block': '1' }, signal });
  await reply.arrayBuffer();
  if (reply.status !== 200) throw new Error(`the demo does not answer: ${url} is ${reply.status}`);
}
