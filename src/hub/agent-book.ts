import type { AgentIdentity, Session } from '../tunnel/session.ts';
import type { AgentMember } from '../upstream/agent-member.ts';
import { AWAY_SHOWN } from './limits.ts';

/** What is known of an agent from sessions that are over. */
export interface PastAgent {
  /** Of the last one. */
  readonly agent: AgentIdentity;
  readonly wireName: string;
  /** Wall-clock ms. */
  readonly leftMs: number;
  /** Of all of them. */
  readonly served: number;
  readonly failed: number;
}

/** Agents that have been here, by id: so that one that is away is not forgotten, and one that came back goes on counting. */
export class AgentBook {
  /** Longest gone first. */
  readonly #past = new Map<string, PastAgent>();

  /** A session is over. */
  left({ agent, wireName = 'native' }: Session, { served, failed }: AgentMember, wallMs: number): void {
    const before = this.#past.get(agent.id);
    this.#past.delete(agent.id);
    this.#past.set(agent.id, {
      agent,
      wireName,
      leftMs: wallMs,
      served: served + (before?.served ?? 0),
      failed: failed + (before?.failed ?? 0),
    });
    if (this.#past.size > AWAY_SHOWN) this.#past.delete(this.#past.keys().next().value!);
  }

  get past(): ReadonlyMap<string, PastAgent> {
    return this.#past;
  }

  /** It is shown no more. */
  forget(id: string): void {
    this.#past.delete(id);
  }
}
