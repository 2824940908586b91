import { randomBytes } from 'node:crypto';
import { SLIME_SCOPE } from '../../http/names.ts';
import type { TakeOver } from '../../http/server-h1.ts';
import type { TunnelLimits } from '../../tunnel/limits.ts';
import type { SlimeDesk } from '../../tunnel/slime/desk.ts';
import { CRANKER_VERSIONS } from '../../tunnel/cranker/negotiate.ts';
import { type AgentSelection, selectionOptions } from '../../upstream/agent-selection.ts';
import type { AgentPool } from '../../upstream/agents.ts';
import type { AgentUpstreamSettings } from '../../upstream/agents-section.ts';
import type { Upstream } from '../../upstream/upstream.ts';
import type { Announced } from '../../proxy/plugin.ts';
import type { Pages } from '../../admin/basics.ts';
import type { GatewaySettings } from '../../config/gateway.ts';
import type { AgentsSettings } from '../../config/sections/agents.ts';
import { certificateRoutes } from '../../config/certificate-route.ts';
import type { Wire } from '../../config/settings.ts';
import { AgentDesk, type DeskRules } from '../agent-desk.ts';
import { anyOf, CrankerDesk, type CrankerRules } from '../cranker-desk.ts';
import type { House } from '../house.ts';
import type { KeptAgents } from '../kept-agents.ts';
import { hubStatus } from '../status.ts';
import { WakeCall } from '../wake-call.ts';

/** Requests that wait for slots, at all upstreams together. Each upstream has a bound of its own. */
const QUEUE_SIZE = 100_000;

/** A selection in use. */
interface Used {
  readonly fingerprint: string;
  readonly selection: AgentSelection;
}

/** Where a server lets agents in. */
export interface AgentEntries {
  /** For those who ask to leave HTTP; null: none. */
  readonly takeOver: TakeOver | null;
  /** For those of slime; null: none. */
  readonly slime: SlimeDesk | null;
}

/** What a configuration has prepared: nobody sees it before commit(). */
export interface PreparedAgents {
  find(name: string): Upstream | null;
  /** How agents of these wires dial in. */
  readonly entriesOf: (accepts: readonly Wire[]) => AgentEntries;
  commit(): void;
  abandon(): void;
}

/** In a gateway connectors are agents among others: services learn of clients as behind any agent, and routes may be as long as they like. */
function crankerRulesOf(agents: AgentsSettings): CrankerRules {
  return {
    spoken: new Set(CRANKER_VERSIONS),
    deepRoutes: true,
    from: agents.crankerFrom,
    proof: agents.crankerAuth,
    certificateRoutes: certificateRoutes(agents.crankerRoutes),
    maxInFlight: agents.crankerMaxInFlight,
    keepsHost: true,
    legacyForwarded: true,
  };
}

/** The agents of a gateway: one pool for its whole life, and the upstreams that share it as the configuration says. */
export class GatewayAgents implements Announced {
  readonly #house: House;
  readonly #limits: Partial<TunnelLimits> | undefined;
  readonly #kept: KeptAgents;
  /** A file that names no hub id means a random one, the same for as long as the process lives. */
  readonly #randomId = randomBytes(4).toString('hex');
  #desk: AgentDesk | null = null;
  #isOpen = false;
  #cranker: CrankerDesk | null = null;
  #used = new Map<string, Used>();

  constructor(house: House, limits: Partial<TunnelLimits> | undefined, kept: KeptAgents) {
    this.#house = house;
    this.#kept = kept;
    this.#limits = limits;
    house.metrics.computedGauge('windlass_queue_size', 'Requests that wait for a slot.', () => this.waiting);
    house.metrics.computed('gauge', 'windlass_upstream_queue_size', 'Requests that wait for a slot of an upstream.', ['upstream'], (emit) => {
      for (const [name, { selection }] of this.#used) emit(selection.waiting, name);
    });
  }

  /** Pages of the connectors of Cranker, once somebody may register. */
  readonly pages: Pages = (head) => this.#cranker?.pages(true)(head) ?? null;

  /** Reads what is kept of agents, where some may come. @throws SettingsError */
  async open({ agents }: GatewaySettings): Promise<void> {
    if (agents !== null) await this.#kept.open();
  }

  /** Makes the upstreams that only the new settings have; those with equal settings go on, with all who wait at them. */
  prepare(settings: GatewaySettings): PreparedAgents {
    const { agents } = settings;
    const before = this.#used;
    const made = new Map<string, Used>();
    if (agents === null) return this.#without(before);
    const rules: DeskRules = {
      hubId: agents.hubId ?? this.#randomId,
      secrets: agents.secret,
      slimeSecrets: agents.slimeSecret,
      siblings: agents.sibling,
      revoked: agents.revoked,
      requireCertificate: agents.requireCertificate,
    };
    const desk = (this.#desk ??= new AgentDesk(this.#house, rules, { queueSize: QUEUE_SIZE }, this.#limits, this.#kept));
    const takesSlime = [...settings.servers.values()].some(({ accepts }) => accepts.includes('slime'));
    const takesCranker = [...settings.servers.values()].some(({ accepts }) => accepts.includes('cranker'));
    const crankerRules = crankerRulesOf(agents);
    if (takesCranker) this.#cranker ??= new CrankerDesk(this.#house, desk, crankerRules);
    const cranker = this.#cranker;
    for (const item of settings.upstreams.values()) {
      if (item.of !== 'agents') continue;
      const known = before.get(item.name);
      made.set(
        item.name,
        known?.fingerprint === item.fingerprint ? known : { fingerprint: item.fingerprint, selection: this.#select(desk, rules, item.settings) },
      );
    }
    return {
      entriesOf: (accepts) => {
        const ways = [
          ...(accepts.includes('native') ? [desk.takeOver] : []),
          ...(cranker !== null && accepts.includes('cranker') ? [cranker.takeOver(true)] : []),
        ];
        return { takeOver: ways.length === 0 ? null : anyOf(ways), slime: accepts.includes('slime') || desk.isAnsweredBySlime ? desk.slime : null };
      },
      find: (name) => made.get(name)?.selection ?? null,
      commit: () => {
        this.#isOpen = true;
        desk.renew(rules);
        desk.takesSlime = takesSlime;
        cranker?.renew(crankerRules);
        this.#used = made;
        for (const [name, { selection }] of before) if (made.get(name)?.selection !== selection) selection.close();
      },
      abandon: () => {
        for (const [name, { selection }] of made) if (before.get(name)?.selection !== selection) selection.close();
      },
    };
  }

  /** Whoever is here is let go. */
  #without(before: ReadonlyMap<string, Used>): PreparedAgents {
    return {
      entriesOf: () => ({ takeOver: null, slime: null }),
      find: () => null,
      commit: () => {
        this.#isOpen = false;
        this.#used = new Map();
        for (const { selection } of before.values()) selection.close();
        if (this.#desk !== null) for (const session of this.#desk.pool.sessions) session.drain();
      },
      abandon: () => {},
    };
  }

  #select(desk: AgentDesk, rules: DeskRules, settings: AgentUpstreamSettings): AgentSelection {
    const { pool } = desk;
    const options = selectionOptions(settings);
    if (settings.onEmpty === null) return pool.select(options);
    const { log, loop } = this.#house;
    const wake = new WakeCall(settings.onEmpty, rules.hubId, log, loop.clock);
    const { name } = settings;
    const selection: AgentSelection = pool.select({
      ...options,
      starved: ({ head }) => wake.call({ waiting: selection.waiting, scope: head?.value(SLIME_SCOPE) ?? '', upstream: name }),
    });
    return selection;
  }

  /** Is an agent of this upstream connected that takes work? Null: there is no such upstream of agents. */
  serves(upstream: string): boolean | null {
    return this.#used.get(upstream)?.selection.hasWorkers ?? null;
  }

  get size(): number {
    return this.#desk?.pool.size ?? 0;
  }

  /** Where agents come in; null: none may. */
  get desk(): AgentDesk | null {
    return this.#isOpen ? this.#desk : null;
  }

  /** All agents; null: none has ever been let in. */
  get pool(): AgentPool | null {
    return this.#desk?.pool ?? null;
  }

  /** The upstreams of agents that are in use. */
  get selections(): AgentSelection[] {
    return [...this.#used.values()].map(({ selection }) => selection);
  }

  /** Requests that wait for slots. */
  get waiting(): number {
    return this.#desk?.pool.waiting ?? 0;
  }

  values(label: string): readonly string[] {
    return this.#desk?.pool.announcedValues(label) ?? [];
  }

  knows(label: string, value: string): boolean {
    return this.#desk?.pool.knowsValue(label, value) ?? false;
  }

  get bufferedBytes(): number {
    return this.#desk?.bufferedBytes ?? 0;
  }

  status(state: 'serving' | 'draining'): object {
    const desk = this.#desk;
    return desk === null ? { state } : hubStatus(desk.hubId, state, desk.pool, 0, this.#house.loop.clock);
  }

  async leave(): Promise<void> {
    await this.#desk?.leave();
  }

  cut(): void {
    this.#desk?.cut();
    this.#kept.close();
  }
}
