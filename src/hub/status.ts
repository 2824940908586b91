import type { Clock } from '../std/clock.ts';
import { VERSION } from '../observe/version.ts';
import type { Hardware } from '../tunnel/session.ts';
import type { AgentPool } from '../upstream/agents.ts';
import { USUAL_CLASS } from '../upstream/label.ts';
import { rankOf } from '../upstream/queue.ts';

/** Agents and waiting requests that one answer lists; the numbers count all of them. */
const AGENTS_LISTED = 1_000;
const WAITING_LISTED = 100;
/** A scope is the client's word, and no token's scope is longer. */
const SCOPE_CHARACTERS = 100;

/** What an operator may see of a hub at `/status`: plain data, without secrets, and of requests neither addresses nor queries. */
export interface HubStatus {
  readonly hub: string;
  readonly version: string;
  readonly state: 'serving' | 'draining';
  readonly agents: {
    readonly connected: number;
    readonly sessions: number;
    readonly slots: number;
    readonly free: number;
    readonly inFlight: number;
  };
  /** The first thousand, in the order in which they joined. */
  readonly agentList: readonly AgentStatus[];
  readonly queue: {
    /** Requests that wait for a slot; those that wait to come inside (`--concurrent`) are `outside`. */
    readonly size: number;
    readonly outside: number;
    readonly oldestAgeMs: number;
    /** Time that requests take of late; 0 before the first. */
    readonly serviceMs: number;
    /** The first hundred, in the order in which slots go to them. */
    readonly waiting: readonly WaiterStatus[];
  };
}

/** An agent: all sessions with one id together. */
export interface AgentStatus {
  readonly id: string;
  readonly name: string;
  readonly sessions: number;
  readonly slots: number;
  /** Slots that a request may be sent to now; not those that the agent's other hubs use. */
  readonly free: number;
  readonly inFlight: number;
  /** What it has shown in the TLS handshake of its latest session, checked; absent: nothing. */
  readonly certificate?: { readonly subject: string; readonly fingerprint: string };
  /** What it says of its machine; absent: nothing. */
  readonly hardware?: Hardware;
}

/** A request that waits for a slot. */
export interface WaiterStatus {
  /** From 1. */
  readonly position: number;
  readonly ageMs: number;
  /** In a gateway: where it waits. */
  readonly upstream?: string;
  /** The class that it stands in now, when that is not the usual one (3). */
  readonly class?: number;
  /** Whose share it takes, when somebody has said so: a digest where the key may be an address or a secret, the same as long as the process lives. */
  readonly key?: string;
  /** What it asks for, when it asks for something. */
  readonly scope?: string;
  readonly path?: string;
  /** null = nobody can say: no agent may serve it, or none has served anything yet. */
  readonly estimatedWaitMs: number | null;
}

/** The hub as it is now. */
export function hubStatus(hub: string, state: HubStatus['state'], pool: AgentPool, outside: number, clock: Clock): HubStatus {
  const now = clock.now();
  const byId = new Map<string, { -readonly [K in keyof AgentStatus]: AgentStatus[K] }>();
  const sum = { sessions: 0, slots: 0, free: 0, inFlight: 0 };
  for (const { agent, slots, free, inFlight } of pool.sessions) {
    let one = byId.get(agent.id);
    if (one === undefined) byId.set(agent.id, (one = { id: agent.id, name: agent.name, sessions: 0, slots: 0, free: 0, inFlight: 0 }));
    if (agent.certificate !== undefined) one.certificate = { subject: agent.certificate.subject, fingerprint: agent.certificate.fingerprint };
    if (agent.hardware !== null) one.hardware = agent.hardware;
    for (const each of [one, sum]) {
      each.sessions++;
      each.slots += slots;
      each.free += free;
      each.inFlight += inFlight;
    }
  }
  const { oldest } = pool;
  return {
    hub,
    version: VERSION,
    state,
    agents: { connected: byId.size, ...sum },
    agentList: [...byId.values()].slice(0, AGENTS_LISTED),
    queue: {
      size: pool.waiting,
      outside,
      oldestAgeMs: oldest === null ? 0 : Math.round(now - oldest.notes.startMs),
      serviceMs: Math.round(pool.serviceMs),
      waiting: pool.places(WAITING_LISTED).map(({ waiter, upstream, key, scope, path, estimatedWaitMs }, i) => ({
        position: i + 1,
        ageMs: Math.round(now - waiter.notes.startMs),
        ...(upstream === '' ? {} : { upstream }),
        ...(rankOf(waiter) === USUAL_CLASS ? {} : { class: rankOf(waiter) }),
        ...(key === '' ? {} : { key }),
        ...(scope === '' ? {} : { scope: scope.slice(0, SCOPE_CHARACTERS) }),
        ...(path === '' ? {} : { path }),
        estimatedWaitMs: estimatedWaitMs === null ? null : Math.round(estimatedWaitMs),
      })),
    },
  };
}
