import type { Clock } from '../std/clock.ts';
import type { Registry } from '../observe/metrics.ts';
import type { Session } from '../tunnel/session.ts';
import type { AgentPool } from '../upstream/agents.ts';
import { AGENTS } from './console/hub-overview.ts';

/** What came and went by one wire. */
interface Carried {
  framesSent: number;
  framesReceived: number;
  bytesSent: number;
  bytesReceived: number;
}

/** What metrics tell of a hub's agents. Sessions count for themselves; what those had that are over is kept here. */
export class AgentCounts {
  readonly #pool: AgentPool;
  readonly #clock: Clock;
  /** By wire. */
  readonly #past = new Map<string, Carried>();
  readonly #joins = new Map<string, number>();
  readonly #leaves = new Map<string, number>();

  constructor(metrics: Registry, pool: AgentPool, clock: Clock) {
    this.#pool = pool;
    this.#clock = clock;
    this.#countAgents(metrics);
    this.#countTunnel(metrics);
    this.#countQueue(metrics);
  }

  joined(session: Session): void {
    const wire = wireOf(session);
    this.#joins.set(wire, (this.#joins.get(wire) ?? 0) + 1);
  }

  left(session: Session): void {
    const wire = wireOf(session);
    this.#leaves.set(wire, (this.#leaves.get(wire) ?? 0) + 1);
    add(inMap(this.#past, wire), session);
  }

  #countAgents(metrics: Registry): void {
    const pool = this.#pool;
    metrics.computedGauge(
      'windlass_agents_connected',
      'Agents that are connected.',
      () => new Set([...pool.sessions].map((session) => session.agent.id)).size,
    );
    metrics.computedGauge('windlass_agent_sessions', 'Sessions of agents.', () => pool.size);
    metrics.computed('gauge', 'windlass_tunnel_sessions', 'Sessions of agents, by the wire that they speak.', ['wire'], (emit) => {
      const sessions = new Map<string, number>([...this.#joins.keys()].map((wire) => [wire, 0]));
      for (const session of pool.sessions) sessions.set(wireOf(session), (sessions.get(wireOf(session)) ?? 0) + 1);
      for (const [wire, count] of sessions) emit(count, wire);
    });
    metrics.computed('counter', 'windlass_agent_joins_total', 'Sessions that began.', ['wire'], (emit) => {
      for (const [wire, count] of this.#joins) emit(count, wire);
    });
    metrics.computed('counter', 'windlass_agent_leaves_total', 'Sessions that ended, for whatever reason.', ['wire'], (emit) => {
      for (const wire of this.#joins.keys()) emit(this.#leaves.get(wire) ?? 0, wire);
    });
    metrics.computed(
      'gauge',
      'windlass_agent_slots',
      'Slots of all agents, by state: free, busy with our requests, or unavailable (busy with those of other hubs, drained, overdue with a ping).',
      ['state'],
      (emit) => {
        let slots = 0;
        let free = 0;
        let busy = 0;
        for (const { session, free: own } of pool.members) {
          slots += session.slots;
          free += Math.max(0, own);
          busy += session.inFlight;
        }
        emit(free, 'free');
        emit(busy, 'busy');
        emit(Math.max(0, slots - free - busy), 'unavailable');
      },
    );
  }

  #countTunnel(metrics: Registry): void {
    metrics.computed(
      'counter',
      'windlass_tunnel_frames_total',
      'Frames of our own wire exchanged with agents, by direction.',
      ['direction'],
      (emit) => {
        let sent = 0;
        let received = 0;
        for (const carried of this.#carried().values()) {
          sent += carried.framesSent;
          received += carried.framesReceived;
        }
        emit(sent, 'sent');
        emit(received, 'received');
      },
    );
    metrics.computed(
      'counter',
      'windlass_tunnel_bytes_total',
      'Bytes exchanged with agents, by wire and direction, heads and frames included; of the wire of slime the requests and answers that its POSTs carry.',
      ['wire', 'direction'],
      (emit) => {
        for (const [wire, { bytesSent, bytesReceived }] of this.#carried()) {
          if (bytesSent + bytesReceived === 0) continue;
          emit(bytesSent, wire, 'sent');
          emit(bytesReceived, wire, 'received');
        }
      },
    );
    metrics.computed(
      'counter',
      'windlass_tunnel_resets_total',
      'Requests at an agent that ended without a whole answer, and not because their client left, by failure code.',
      ['wire', 'code'],
      (emit) => {
        for (const [wire, byCode] of this.#pool.resets) for (const [code, count] of byCode) emit(count, wire, code);
      },
    );
  }

  #countQueue(metrics: Registry): void {
    const ageOf = ({ notes }: { readonly notes: { readonly startMs: number } }): number => (this.#clock.now() - notes.startMs) / 1000;
    metrics.computedGauge(
      'windlass_queue_oldest_age_seconds',
      'How long the request that has waited longest for a slot has been here; 0 when none waits.',
      () => {
        const { oldest } = this.#pool;
        return oldest === null ? 0 : ageOf(oldest);
      },
    );
    metrics.computed(
      'gauge',
      'windlass_upstream_queue_oldest_age_seconds',
      'How long the request that has waited longest for an upstream has been here; where nobody waits there is none.',
      ['upstream'],
      (emit) => {
        for (const [name, waiter] of this.#pool.oldestByUpstream) emit(ageOf(waiter), name === '' ? AGENTS : name);
      },
    );
  }

  /** By all sessions there were and are. */
  #carried(): Map<string, Carried> {
    const all = new Map([...this.#past].map(([wire, past]) => [wire, { ...past }]));
    for (const session of this.#pool.sessions) add(inMap(all, wireOf(session)), session);
    return all;
  }
}

function wireOf({ wireName = 'native' }: Session): string {
  return wireName;
}

function add(to: Carried, { framesSent = 0, framesReceived = 0, bytesSent = 0, bytesReceived = 0 }: Session): void {
  to.framesSent += framesSent;
  to.framesReceived += framesReceived;
  to.bytesSent += bytesSent;
  to.bytesReceived += bytesReceived;
}

function inMap(map: Map<string, Carried>, wire: string): Carried {
  let carried = map.get(wire);
  if (carried === undefined) map.set(wire, (carried = { framesSent: 0, framesReceived: 0, bytesSent: 0, bytesReceived: 0 }));
  return carried;
}
