import { expect, test } from 'vitest';
import { FakeSession } from '../../test/kit/fake-agents.ts';
import type { AgentMember } from './agent-member.ts';
import { AgentPool } from './agents.ts';
import { labelFact } from './selector.ts';
import { workforcesOf } from './workforces.ts';

/** Agents, each with these labels. */
function poolOf(...all: readonly (readonly [id: string, labels: Readonly<Record<string, string>>])[]): { pool: AgentPool; sessions: FakeSession[] } {
  const pool = new AgentPool({ queueSize: 10 });
  const sessions = all.map(([id, labels]) => new FakeSession(id, 4, { labels: new Map(Object.entries(labels)) }));
  for (const session of sessions) pool.join(session);
  return { pool, sessions };
}

test('an upstream has the agents of which all that it asks is true, and one that asks nothing has all', () => {
  const { pool, sessions } = poolOf(['a', { gpu: 'a100', zone: 'eu' }], ['b', { gpu: 'a100', zone: 'us' }], ['c', { zone: 'eu' }]);
  sessions[0]!.uses(3);
  const a100 = labelFact('gpu', 'a100');
  const [gpu, both, all, none] = [
    { facts: [a100] },
    { facts: [a100, labelFact('zone', 'eu')] },
    { facts: [] },
    { facts: [labelFact('gpu', 'h100')] },
  ];
  const found = workforcesOf(pool.members, [gpu, both, all, none]);
  expect(found.get(gpu)).toEqual({ connected: 2, slots: 8, free: 5, inFlight: 3 });
  expect(found.get(both)).toEqual({ connected: 1, slots: 4, free: 1, inFlight: 3 });
  expect(found.get(all)).toEqual({ connected: 3, slots: 12, free: 9, inFlight: 3 });
  expect(found.get(none)).toEqual({ connected: 0, slots: 0, free: 0, inFlight: 0 });
});

test('sessions of one agent are one agent with the slots of both', () => {
  const { pool } = poolOf(['a', {}]);
  pool.join(new FakeSession('a', 2, { instance: 'another' }));
  const all = { facts: [] };
  expect(workforcesOf(pool.members, [all]).get(all)).toEqual({ connected: 1, slots: 6, free: 6, inFlight: 0 });
});

test('agents are gone through once, however many upstreams there are', () => {
  const { pool } = poolOf(...Array.from({ length: 50 }, (_, i) => [`agent-${i}`, { pool: `p${i % 5}` }] as const));
  let seen = 0;
  const members = function* (): Generator<AgentMember> {
    for (const member of pool.members) {
      seen++;
      yield member;
    }
  };
  const selections = Array.from({ length: 200 }, (_, i) => ({ facts: [labelFact('pool', `p${i}`)] }));
  const found = workforcesOf(members(), selections);
  expect(seen).toBe(50);
  expect(selections.map((one) => found.get(one)!.connected).filter((count) => count > 0)).toEqual([10, 10, 10, 10, 10]);
});
