import { secretCheck } from '../std/secret.ts';
import { formatAddress } from '../schema/address.ts';
import { Failure } from '../http/failure.ts';
import { SLIME_APP_PASSWORD, SLIME_SCOPE } from '../http/names.ts';
import { patienceOf } from '../upstream/patience.ts';
import type { Session } from '../tunnel/session.ts';
import type { AgentPoolOptions } from '../upstream/agents.ts';
import type { Plugin } from '../proxy/plugin.ts';
import { HostedPlugin, PluginChain } from '../proxy/plugin-chain.ts';
import type { Guard } from '../proxy/site.ts';
import { readRevoked } from '../config/revoked.ts';
import { SettingsError } from '../config/settings-error.ts';
import type { HubSettings } from '../config/settings.ts';
import { AgentDesk } from './agent-desk.ts';
import { Front, type FrontParts, type Running } from './front.ts';
import { type Backends, Console } from './console/console.ts';
import type { Deps, House } from './house.ts';
import { hubNotices } from './hub-notices.ts';
import { AGENTS, HUB, hubOverview } from './console/hub-overview.ts';
import { hubResources } from './console/hub-resources.ts';
import { KeptAgents } from './kept-agents.ts';
import type { Listener } from './listener.ts';
import { takeOutOurs } from './our-fields.ts';
import { hubStatus } from './status.ts';
import { WakeCall } from './wake-call.ts';
import { watching } from './watching.ts';

/** What a hub in another program has beside its settings. */
export interface Embedding extends Pick<FrontParts, 'journal' | 'isMounted'>, Pick<AgentPoolOptions, 'watch'> {
  readonly plugins: readonly { readonly name: string; readonly plugin: Plugin }[];
  /** Agents that come and go. */
  readonly joined: (session: Session) => void;
  readonly left: (session: Session, reason: string) => void;
  /** What it is made of, when it takes requests. */
  opened(parts: { readonly desk: AgentDesk; readonly listener: Listener }): void;
}

/** `windlass hub run`: one address, behind it every agent that has dialled in. @throws the listen error, SettingsError */
export async function startHub(settings: HubSettings, deps: Deps, embedding?: Embedding): Promise<Running> {
  const revoked = settings.revokedFile === null ? [] : revokedIn(settings.revokedFile);
  const front = new Front(settings, settings.queueBytes, deps);
  const { house } = front;
  const { loop, log, metrics } = house;
  const wake = settings.onEmpty === null ? null : new WakeCall(settings.onEmpty, settings.hubId, log, loop.clock);
  const kept = new KeptAgents(deps.stateDir ?? null, log);
  try {
    await kept.open();
  } catch (error) {
    front.destroy();
    throw error;
  }
  const desk = new AgentDesk(
    house,
    { ...settings, revoked, requireCertificate: settings.requireAgentCertificate },
    {
      ...embeddedPool(embedding),
      queueSize: settings.queueSize,
      starved: ({ head }) => wake?.call({ waiting: pool.waiting, scope: head?.value(SLIME_SCOPE) ?? '' }),
    },
    deps.tunnelLimits,
    kept,
  );
  const { pool } = desk;
  house.inspector.resize(settings.inspector);
  house.endpointBytes = () => desk.bufferedBytes;
  house.leave = () => desk.leave();
  const outside = (): number => front.anteroom?.waiting ?? 0;
  const overview = settings.adminAddr === null || !settings.console ? null : hubOverview(front, pool, outside);
  const notices = hubNotices(front, pool, outside);
  house.cut = () => {
    overview?.close();
    notices.close();
    desk.cut();
    kept.close();
  };
  metrics.computedGauge('windlass_queue_size', 'Requests that wait for a slot.', () => pool.waiting + outside());
  metrics.computed('gauge', 'windlass_upstream_queue_size', 'Requests that wait for a slot of an upstream.', ['upstream'], (emit) =>
    emit(pool.waiting, AGENTS),
  );
  const running = await front.listen({
    name: HUB,
    behind: AGENTS,
    guards: settings.appPassword === null ? [takeOutOurs] : [passwordGuard(settings.appPassword), takeOutOurs],
    upstream: pool,
    patienceMs: (head) => patienceOf(head, settings.queueTimeoutMs, settings.blockTimeoutMs),
    timeoutMs: settings.timeoutMs,
    traces: settings.traces,
    entry: settings.concurrent > 0 ? { places: settings.concurrent, queue: settings.queueSize, waitMs: settings.blockTimeoutMs } : null,
    status: () => hubStatus(settings.hubId, house.draining ? 'draining' : 'serving', pool, outside(), loop.clock),
    readiness: () => ({ ok: true, detail: { state: 'serving', agents: pool.size, waiting: pool.waiting } }),
    ...(overview === null
      ? {}
      : {
          console: consoleOf(settings, front, deps, {
            ...hubResources(front, desk, outside),
            overview,
            ticks: overview.ticks,
            ...watching(deps, house, () => front.listener),
          }),
        }),
    ...(settings.accepts.includes('native') ? { takeOver: desk.takeOver } : {}),
    ...(settings.accepts.includes('slime') ? { slime: desk.slime } : {}),
    ...(embedding === undefined ? {} : embeddedFront(embedding, house)),
  });
  const { notification } = settings;
  if (notification !== null) notices.renew(settings.hubId, new Map([[notification.name, notification]]));
  if (front.certs !== null) {
    const renewed = front.certs.changed;
    front.certs.changed = (pair) => {
      renewed(pair);
      notices.certificatesChanged();
    };
  }
  embedding?.opened({ desk, listener: front.listener! });
  return {
    ...running,
    reload: () => {
      running.reload();
      if (settings.revokedFile === null) return;
      try {
        desk.renew({ ...desk.rules, revoked: revokedIn(settings.revokedFile) });
      } catch (error) {
        log.warn({ reason: (error as Error).message }, 'the list of revoked tokens stays as it was');
      }
    },
  };
}

/** @throws SettingsError: a list that is not there lets nobody in, since it may be the one that keeps a thief out */
function revokedIn(path: string): readonly string[] {
  try {
    return readRevoked(path);
  } catch (error) {
    throw new SettingsError([`--revoked-file "${path}" ${(error as Error).message}; give the path of a file with one token id per line`]);
  }
}

function consoleOf(settings: HubSettings, front: Front, { stateDir = null }: Deps, backends: Backends): Console {
  const { hubId, tls, admins, consoleHosts } = settings;
  const url = (): string => `${tls === null ? 'http' : 'https'}://${formatAddress(front.listener!.address)}`;
  const console = new Console(front.house, {
    ...backends,
    stateDir,
    about: () => ({ kind: 'hub', name: hubId, source: null, listening: [{ server: HUB, url: url() }] }),
  });
  console.renew({ isOn: true, people: admins, hosts: new Set(consoleHosts) });
  return console;
}

function embeddedPool(embedding: Embedding | undefined): Pick<AgentPoolOptions, 'watch' | 'joined' | 'left'> {
  if (embedding === undefined) return {};
  const { watch, joined, left } = embedding;
  return { joined, left, ...(watch === undefined ? {} : { watch }) };
}

function embeddedFront({ journal, isMounted = false, plugins }: Embedding, house: House): Pick<FrontParts, 'journal' | 'isMounted' | 'plugins'> {
  return { isMounted, ...(journal === undefined ? {} : { journal }), ...(plugins.length === 0 ? {} : { plugins: chainOf(plugins, house) }) };
}

function chainOf(plugins: Embedding['plugins'], { metrics, log }: House): PluginChain {
  const errors = metrics.counters('windlass_plugin_errors_total', 'Requests that a plugin failed on.', ['plugin']);
  const failed = (plugin: string, error: unknown): void =>
    log.error({ plugin, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'a plugin failed on a request');
  return new PluginChain(plugins.map(({ name, plugin }) => new HostedPlugin(name, plugin, errors.with(name), failed)));
}

function passwordGuard(password: string): Guard {
  const isRight = secretCheck(password, 'latin1');
  return (head) =>
    isRight(head.value(SLIME_APP_PASSWORD)) ? null : new Failure('unauthorized', 'Unauthorized: Slime-App-Password is missing or wrong');
}
