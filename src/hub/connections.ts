import type { Clock } from '../std/clock.ts';
import type { Hardware, Session } from '../tunnel/session.ts';

/** A session of an agent, as it is now. */
export interface Connection {
  /** The agent's id: stable across restarts. Two processes may have the same; `instance` tells them apart. */
  readonly id: string;
  readonly instance: string;
  /** Of its token. */
  readonly name: string;
  readonly tokenId: string;
  readonly scopes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly hardware: Hardware | null;
  /** Where it dialled in from. */
  readonly address: string;
  /** `native`, or the other wire that it speaks. */
  readonly wire: string;
  /** Requests at once that it offers, and how many of them it would take now. */
  readonly slots: number;
  readonly free: number;
  readonly inFlight: number;
  readonly since: Date;
  /** Of the last ping, ms; 0 before the first. */
  readonly roundTripMs: number;
}

export function connectionOf(session: Session, clock: Clock): Connection {
  const { agent, slots, free, inFlight, roundTripMs } = session;
  const { id, instance, name, tokenId, scopes, hardware, address } = agent;
  return {
    id,
    instance,
    name,
    tokenId,
    scopes,
    labels: Object.fromEntries(agent.labels),
    hardware,
    address,
    wire: session.wireName ?? 'native',
    slots,
    free,
    inFlight,
    since: new Date(clock.wall() - (clock.now() - session.sinceMs)),
    roundTripMs,
  };
}
