import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type net from 'node:net';
import type tls from 'node:tls';
import type { Clock } from '../std/clock.ts';
import { createLoop, type Loop } from '../std/loop.ts';
import type { Log } from '../observe/log.ts';
import { Registry } from '../observe/metrics.ts';
import { proxyFor } from '../schema/egress.ts';
import type { HealthCheck } from '../schema/health-check.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { httpLimits } from '../http/limits.ts';
import { Upgrades } from '../http/upgrades.ts';
import type { TunnelLimits } from '../tunnel/limits.ts';
import { SlotLedger } from '../tunnel/native/slots.ts';
import type { Hardware } from '../tunnel/session.ts';
import { countEndpoints } from '../upstream/count.ts';
import { Direct, protocolsOf } from '../upstream/direct.ts';
import type { AgentSettings } from '../config/settings.ts';
import { agentId } from './agent-id.ts';
import { dialerOf } from './dialer.ts';
import { Gate } from './gate.ts';
import { readHardware } from './hardware.ts';
import { Hubs, type Resolve } from './hubs.ts';
import { UpstreamProbe } from './probe.ts';
import { SlotsLock } from './slots-lock.ts';
import type { AgentTraces } from './traced.ts';

/** Running agents: one per upstream. */
export interface Agents {
  /** Resolves when every agent has joined a hub. */
  readonly ready: Promise<void>;
  /** Sessions that they have at hubs. */
  readonly joined: number;
  /** Are there agents that take work now? `detail`: how many, for operators. */
  readiness(): { readonly ok: boolean; readonly detail: Readonly<Record<string, string | number>> };
  /** Reads the token file again and dials anew where the hub had refused. */
  reload(): void;
  /** Offers so many slots per upstream from now on; what runs beyond that finishes. */
  resize(slots: number): void;
  /** Takes no new work, finishes what runs (bounded by `drainTimeoutMs`), leaves. */
  close(): Promise<void>;
  /** Cuts everything at once. */
  destroy(): void;
}

/** What an agent is given beside its settings. */
export interface AgentDeps {
  readonly log: Log;
  /** Where they count; absent: nobody asks. */
  readonly metrics?: Registry;
  /** Whom to trust beside those that Node believes anyway; absent: nobody. */
  readonly trust?: tls.SecureContext;
  /** The same for hubs alone, with what to show them; asked at every try. */
  readonly hubTrust?: () => tls.SecureContext;
  /** Answers in this process, in place of upstreams that are addresses: opens a connection to itself. */
  readonly connect?: () => net.Socket;
  /** Bounds of a session that differ from the usual ones. */
  readonly tunnelLimits?: Partial<TunnelLimits>;
  /** The time, when it is not the system's. */
  readonly clock?: Clock;
  /** How names of hubs are resolved, when not by the system. */
  readonly resolve?: Resolve;
  /** Makes the traces of those whose settings want them; absent: there are none. Programs that use us as a library need not load what traces take. */
  readonly traces?: (settings: NonNullable<AgentSettings['traces']>, loop: Loop, metrics: Registry) => AgentTraces;
}

/** Dials its hubs and serves them from upstreams that nobody else can reach. It reads no configuration and listens nowhere: see agent/process.ts. */
export async function startAgents(
  settings: Omit<AgentSettings, 'adminAddr' | 'caFile' | 'shown' | 'logLevel' | 'logFormat'>,
  deps: AgentDeps,
): Promise<Agents> {
  const loop = createLoop(deps.clock);
  const { log, trust, hubTrust, connect, metrics = new Registry() } = deps;
  const token = tokenSource(settings, log);
  const baseId = agentId(settings.agentId, settings.stateDir, log);
  const hardware = settings.reportHardware ? await readHardware() : null;
  const traces = settings.traces === null ? null : (deps.traces?.(settings.traces, loop, metrics) ?? null);
  const checks = metrics.counters('windlass_health_checks_total', 'Health checks made, by result: pass, fail.', ['result']);
  let wanted = settings.slots;
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
      ...protocolsOf(upstream),
      ...(trust === undefined ? {} : { trust }),
      ...(connect === undefined ? {} : { connect }),
    });
    const gate = new Gate(direct, settings.allow, settings.upgrades);
    // How long silence may last is for the hub to say.
    const upgrades = new Upgrades(gate, { loop, idleTimeoutMs: () => 0 });
    const agentLog = log.child({ agent: id, upstream: upstream.shown });
    const probe = settings.healthCheck === null ? null : watch(settings.healthCheck, upstream, agentLog, () => offer(one));
    // With a lock, a slot is offered once its lock is held; with a health check, once the upstream is known to be well.
    const slots = new SlotLedger(settings.slotsLock === null && probe === null ? settings.slots : 0);
    const lock = settings.slotsLock === null ? null : lockSlots(settings.slotsLock, upstream, slots, probe);
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
    const hubs = new Hubs({
      hubs: settings.hubs,
      log: agentLog,
      joined,
      resolvable: (hub) => proxyFor(settings.egress, hub) === null,
      ...(deps.resolve === undefined ? {} : { resolve: deps.resolve }),
      ...dialerOf({
        settings,
        token,
        identity,
        slots,
        handler: traces === null ? upgrades : traces.around(upgrades, id),
        loop,
        log: agentLog,
        ...(trust === undefined ? {} : { trust }),
        ...(hubTrust === undefined ? {} : { hubTrust }),
        ...(deps.tunnelLimits === undefined ? {} : { tunnelLimits: deps.tunnelLimits }),
      }),
    });
    const one: One = { id, direct, gate, upgrades, slots, lock, probe, hubs, ready };
    return one;
  }

  function watch(check: HealthCheck, upstream: UpstreamUrl, agentLog: Log, changed: () => void): UpstreamProbe {
    return new UpstreamProbe({
      check,
      upstream,
      clock: loop.clock,
      log: agentLog,
      ...(trust === undefined ? {} : { trust }),
      checked: (ok) => {
        checks.with(ok ? 'pass' : 'fail').value++;
      },
      changed,
    });
  }

  function lockSlots(file: string, upstream: UpstreamUrl, slots: SlotLedger, probe: UpstreamProbe | null): SlotsLock {
    const lock = new SlotsLock({ file, upstream: upstream.shown, changed: (held) => slots.resize(Math.min(held, most(probe))) });
    slots.onRelease(() => lock.trim(slots.taken));
    lock.want(most(probe), 0);
    return lock;
  }

  /** What an agent would offer if all locks were its own. */
  function most(probe: UpstreamProbe | null): number {
    return probe === null || probe.healthy ? wanted : 0;
  }

  function offer({ slots, lock, probe }: One): void {
    if (lock === null) slots.resize(most(probe));
    else {
      slots.resize(Math.min(lock.held, most(probe)));
      // Slots that are withdrawn are free for another process, whose look at the upstream may find it well.
      lock.want(most(probe), slots.taken);
    }
  }

  function resize(number: number): void {
    if (number === wanted) return;
    log.info({ slots: number, before: wanted }, 'the number of slots changes');
    wanted = number;
    for (const one of agents) offer(one);
  }

  metrics.computed('gauge', 'windlass_agent_slots', 'Slots of this process, by agent and state.', ['agent', 'state'], (emit) => {
    for (const { id, slots } of agents) {
      emit(slots.free, id, 'free');
      emit(slots.total - slots.free, id, 'busy');
    }
  });
  metrics.computedGauge('windlass_buffered_bytes', 'Bytes held in memory for peers that do not take them yet.', () =>
    agents.reduce((sum, { direct, hubs }) => sum + direct.bufferedBytes + hubs.bufferedBytes, 0),
  );
  metrics.computed('gauge', 'windlass_hub_connected', 'Is the agent joined to a hub?', ['agent'], (emit) => {
    for (const { id, hubs } of agents) emit(hubs.joined > 0 ? 1 : 0, id);
  });
  metrics.computed('gauge', 'windlass_hub_sessions', 'Hubs that the agent is joined to.', ['agent'], (emit) => {
    for (const { id, hubs } of agents) emit(hubs.joined, id);
  });
  if (settings.healthCheck !== null) {
    metrics.computed('gauge', 'windlass_upstream_healthy', "Is the agent's upstream well, by its health check?", ['agent'], (emit) => {
      for (const { id, probe } of agents) if (probe !== null) emit(probe.healthy ? 1 : 0, id);
    });
  }
  metrics.computed(
    'gauge',
    'windlass_agent_upgraded_connections',
    'Connections that speak another protocol by now, such as WebSockets.',
    ['agent'],
    (emit) => {
      for (const { id, upgrades } of agents) emit(upgrades.size, id);
    },
  );
  metrics.computed('counter', 'windlass_agent_requests_total', 'Requests taken from the hub.', ['agent'], (emit) => {
    for (const { id, gate } of agents) emit(gate.requests, id);
  });
  countEndpoints(
    metrics,
    agents.map(({ direct }) => direct),
  );

  function finish(): void {
    for (const { hubs, direct, lock, probe } of agents) {
      probe?.close();
      hubs.destroy();
      direct.close();
      lock?.close();
    }
  }

  return {
    ready: Promise.all(agents.map(({ ready }) => ready)).then(() => {}),
    get joined() {
      return agents.reduce((sum, { hubs }) => sum + hubs.joined, 0);
    },
    readiness: () => {
      const joined = agents.filter(({ hubs }) => hubs.joined > 0);
      const working = joined.filter(({ probe }) => probe === null || probe.healthy);
      const health = settings.healthCheck === null ? {} : { healthy: agents.filter(({ probe }) => probe?.healthy === true).length };
      return { ok: working.length > 0, detail: { joined: joined.length, agents: agents.length, ...health } };
    },
    reload: () => {
      token.reload();
      for (const { hubs } of agents) hubs.retryNow();
    },
    resize,
    close: async () => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, settings.drainTimeoutMs);
      });
      // From here on, a slot whose request has finished is the next process's.
      for (const { slots, lock, probe } of agents) {
        probe?.close();
        lock?.want(0, slots.taken);
      }
      await Promise.race([Promise.all(agents.map(({ hubs }) => hubs.close())), late]);
      clearTimeout(timer);
      await Promise.all(agents.map(({ upgrades }) => upgrades.leave('the agent is going away')));
      finish();
      await traces?.close();
    },
    destroy: () => {
      finish();
      traces?.destroy();
    },
  };
}

interface One {
  readonly id: string;
  readonly direct: Direct;
  readonly gate: Gate;
  readonly upgrades: Upgrades;
  readonly slots: SlotLedger;
  readonly lock: SlotsLock | null;
  readonly probe: UpstreamProbe | null;
  readonly hubs: Hubs;
  readonly ready: Promise<void>;
}

/** The token, and how to read it again. A file that cannot be read keeps the old one. */
function tokenSource(settings: Pick<AgentSettings, 'token' | 'tokenFile'>, log: Log): { current: () => string; reload: () => boolean } {
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
