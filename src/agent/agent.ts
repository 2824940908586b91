import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createLoop } from '../std/loop.ts';
import type { Log } from '../observe/log.ts';
import { Registry } from '../observe/metrics.ts';
import { addProcessMetrics } from '../observe/process.ts';
import { VERSION } from '../observe/version.ts';
import { proxyFor } from '../schema/egress.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { httpLimits } from '../http/limits.ts';
import { type TunnelLimits, tunnelLimits } from '../tunnel/limits.ts';
import { dialHub, type HubConnection } from '../tunnel/native/dial.ts';
import { SlotLedger } from '../tunnel/native/slots.ts';
import type { Hardware } from '../tunnel/session.ts';
import { Direct } from '../upstream/direct.ts';
import { type AdminListener, listenForOperators } from '../admin/listen.ts';
import type { AgentSettings } from '../config/settings.ts';
import { agentId } from './agent-id.ts';
import { Gate } from './gate.ts';
import { readHardware } from './hardware.ts';

/** A running agent process: one agent per upstream. */
export interface RunningAgent {
  /** Resolves when every agent has joined its hub. */
  readonly ready: Promise<void>;
  readonly adminAddress: { readonly host: string; readonly port: number } | null;
  /** Reads the token file again and dials anew where the hub had refused. */
  reload(): void;
  /** Takes no new work, finishes what runs (bounded by `drainTimeoutMs`), leaves. */
  close(): Promise<void>;
  /** Cuts everything at once. */
  destroy(): void;
}

/** What an agent is given beside its settings. */
export interface AgentDeps {
  readonly log: Log;
  /** Bounds of a session that differ from the usual ones. */
  readonly tunnelLimits?: Partial<TunnelLimits>;
}

/** `windlass agent run`: dials the hub and serves it from upstreams that nobody else can reach. @throws the error of the admin listener */
export async function startAgent(settings: AgentSettings, deps: AgentDeps): Promise<RunningAgent> {
  const loop = createLoop();
  const { log } = deps;
  const metrics = new Registry();
  const processMetrics = addProcessMetrics(metrics, VERSION);
  const token = tokenSource(settings, log);
  const ca = settings.caFile === null ? undefined : readFileSync(settings.caFile, 'utf8');
  const baseId = agentId(settings.agentId, settings.stateDir, log);
  const hardware = settings.reportHardware ? await readHardware() : null;
  const agents = settings.upstreams.map((upstream, i) => startOne(upstream, i === 0 ? baseId : `${baseId}-${i + 1}`));

  function startOne(upstream: UpstreamUrl, id: string): One {
    const direct = new Direct(upstream, {
      loop,
      limits: httpLimits,
      connectTimeoutMs: settings.connectTimeoutMs,
      firstByteTimeoutMs: settings.firstByteTimeoutMs,
      idleTimeoutMs: settings.idleTimeoutMs,
      onAbort: settings.onAbort,
      cancelGraceMs: settings.cancelGraceMs,
      drainTimeoutMs: settings.drainTimeoutMs,
      hostHeader: settings.hostHeader,
      ...(ca === undefined ? {} : { ca }),
    });
    const gate = new Gate(direct, settings.allow, settings.upgrades);
    const slots = new SlotLedger(settings.slots);
    const identity: { agentId: string; instance: string; name: string; labels: ReadonlyMap<string, string>; hardware: Hardware | null } = {
      agentId: id,
      instance: randomBytes(8).toString('hex'),
      name: settings.labels.get('name') ?? '',
      labels: settings.labels,
      hardware,
    };
    let joined!: () => void;
    const ready = new Promise<void>((resolve) => {
      joined = resolve;
    });
    const hub = settings.hubs[0]!;
    const connection = dialHub({
      hub,
      proxy: proxyFor(settings.egress, hub),
      token: token.current,
      reloadToken: token.reload,
      identity,
      slots,
      handler: gate,
      loop,
      log: log.child?.({ agent: id, upstream: upstream.shown }) ?? log,
      onState: (state) => {
        if (state === 'joined') joined();
      },
      ...(ca === undefined ? {} : { ca }),
      ...(deps.tunnelLimits === undefined ? {} : { limits: { ...tunnelLimits, ...deps.tunnelLimits } }),
    });
    return { id, direct, gate, slots, connection, ready };
  }

  metrics.computed('gauge', 'windlass_agent_slots', 'Slots of this process, by agent and state.', ['agent', 'state'], (emit) => {
    for (const { id, slots } of agents) {
      emit(slots.free, id, 'free');
      emit(slots.total - slots.free, id, 'busy');
    }
  });
  metrics.computedGauge('windlass_buffered_bytes', 'Bytes held in memory for peers that do not take them yet.', () =>
    agents.reduce((sum, { direct, connection }) => sum + direct.bufferedBytes + connection.bufferedBytes, 0),
  );
  metrics.computed('gauge', 'windlass_hub_connected', 'Is the agent joined to its hub?', ['agent'], (emit) => {
    for (const { id, connection } of agents) emit(connection.state === 'joined' ? 1 : 0, id);
  });
  metrics.computed('counter', 'windlass_agent_requests_total', 'Requests taken from the hub.', ['agent'], (emit) => {
    for (const { id, gate } of agents) emit(gate.requests, id);
  });
  metrics.computed('counter', 'windlass_upstream_connects_total', 'Connections opened to upstreams.', ['endpoint'], (emit) => {
    for (const { direct } of agents) emit(direct.counts.connects, direct.id);
  });
  metrics.computed(
    'counter',
    'windlass_cancel_grace_expired_total',
    'Cancelled requests whose upstream did not stop in time and was reset.',
    ['endpoint'],
    (emit) => {
      for (const { direct } of agents) emit(direct.counts.cancelsExpired, direct.id);
    },
  );

  let admin: AdminListener | null = null;
  if (settings.adminAddr !== null) {
    admin = await listenForOperators(loop, settings.adminAddr, metrics, () => {
      const joined = agents.filter(({ connection }) => connection.state === 'joined').length;
      return { ok: joined > 0, detail: { joined, agents: agents.length } };
    });
  }

  function finish(): void {
    for (const { connection, direct } of agents) {
      connection.destroy();
      direct.close();
    }
    admin?.close();
    processMetrics.close();
  }

  return {
    ready: Promise.all(agents.map(({ ready }) => ready)).then(() => {}),
    adminAddress: admin?.address ?? null,
    reload: () => {
      token.reload();
      for (const { connection } of agents) connection.retryNow();
    },
    close: async () => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, settings.drainTimeoutMs);
      });
      await Promise.race([Promise.all(agents.map(({ connection }) => connection.close())), late]);
      clearTimeout(timer);
      finish();
    },
    destroy: finish,
  };
}

interface One {
  readonly id: string;
  readonly direct: Direct;
  readonly gate: Gate;
  readonly slots: SlotLedger;
  readonly connection: HubConnection;
  readonly ready: Promise<void>;
}

/** The token, and how to read it again. A file that cannot be read keeps the old one. */
function tokenSource(settings: AgentSettings, log: Log): { current: () => string; reload: () => boolean } {
  let token = settings.token;
  return {
    current: () => token,
    reload: () => {
      if (settings.tokenFile === null) return false;
      try {
        const fresh = readFileSync(settings.tokenFile, 'utf8').trim();
        if (fresh === '' || fresh === token) return false;
        token = fresh;
        log.info({ file: settings.tokenFile }, 'agent token read anew');
        return true;
      } catch (error) {
        log.warn({ file: settings.tokenFile, error: (error as Error).message }, 'the token file cannot be read: the old token is kept');
        return false;
      }
    },
  };
}
