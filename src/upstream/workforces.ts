import type { AgentMember } from './agent-member.ts';

/** The agents of one upstream, all together. */
export interface Workforce {
  /** Agents, however many sessions each has. */
  readonly connected: number;
  readonly slots: number;
  readonly free: number;
  readonly inFlight: number;
}

/** What an upstream asks of its agents: all of these facts; none = it takes everybody. */
export interface Asking {
  readonly facts: readonly string[];
}

/** Workforces of many upstreams. Agents are gone through once, however many upstreams there are: both may be thousands. For people to look at. */
export function workforcesOf<S extends Asking>(members: Iterable<AgentMember>, selections: readonly S[]): ReadonlyMap<S, Workforce> {
  const sums = new Map(selections.map((selection) => [selection, { ids: new Set<string>(), slots: 0, free: 0, inFlight: 0 }]));
  const everybody = selections.filter(({ facts }) => facts.length === 0);
  const byFirst = new Map<string, S[]>();
  for (const selection of selections) {
    const [first] = selection.facts;
    if (first !== undefined) byFirst.set(first, [...(byFirst.get(first) ?? []), selection]);
  }
  for (const member of members) {
    const add = (selection: S): void => {
      const sum = sums.get(selection)!;
      sum.ids.add(member.agentId);
      sum.slots += member.session.slots;
      sum.free += member.free;
      sum.inFlight += member.inFlight;
    };
    for (const selection of everybody) add(selection);
    if (byFirst.size === 0) continue;
    for (const fact of member.facts)
      for (const selection of byFirst.get(fact) ?? []) if (selection.facts.every((one) => member.facts.has(one))) add(selection);
  }
  return new Map([...sums].map(([selection, { ids, ...sum }]) => [selection, { connected: ids.size, ...sum }]));
}
