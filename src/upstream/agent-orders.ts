import type { AgentIdentity } from '../tunnel/session.ts';

/** What operators have said of an agent, whatever it says itself. */
export interface AgentOrders {
  /** It gets no new work, for as long as it stays. */
  readonly isDrained: boolean;
  /** Labels beside its own, and in the place of those of the same name. */
  readonly labels: ReadonlyMap<string, string>;
}

/** The agent as selectors see it. */
export function ordered(agent: AgentIdentity, orders: AgentOrders | null): AgentIdentity {
  if (orders === null || orders.labels.size === 0) return agent;
  return { ...agent, labels: new Map([...agent.labels, ...orders.labels]) };
}
