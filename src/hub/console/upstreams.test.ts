import { expect, test } from 'vitest';
import { FakeSession } from '../../../test/kit/fake-agents.ts';
import { MemoryLog } from '../../../test/kit/tunnel.ts';
import { AgentPool } from '../../upstream/agents.ts';
import { labelFact } from '../../upstream/selector.ts';
import { ConsoleUpstreams, type ShownSelection } from './upstreams.ts';

test('a list of many upstreams looks once at the locations and once at the agents', async () => {
  const pool = new AgentPool({ queueSize: 10 });
  for (let i = 0; i < 30; i++) pool.join(new FakeSession(`agent-${i}`, 2, { labels: new Map([['pool', `p${i % 3}`]]) }));
  const selections = Array.from({ length: 40 }, (_, i): ShownSelection => ({
    name: `up-${i}`,
    waiting: i,
    selector: `pool=p${i}`,
    algorithm: 'least_conn',
    facts: [labelFact('pool', `p${i}`)],
  }));
  const looks = { locations: 0, members: 0 };
  const upstreams = new ConsoleUpstreams({
    groups: () => [],
    group: () => undefined,
    selections: () => selections,
    members: () => {
      looks.members++;
      return pool.members;
    },
    health: { describe: () => [] },
    locations: () => {
      looks.locations++;
      return new Map([['up-1', ['here', 'there']]]);
    },
    log: new MemoryLog(),
    changed: () => {},
  });
  const { total, items } = await upstreams.list({ query: '', offset: 0, limit: 1_000 });
  expect([total, items.length, looks]).toEqual([40, 40, { locations: 1, members: 1 }]);
  expect(items.find(({ name }) => name === 'up-1')).toMatchObject({
    locations: ['here', 'there'],
    waiting: 1,
    agents: { selector: 'pool=p1', connected: 10, slots: 20, free: 20 },
  });
  expect(items.find(({ name }) => name === 'up-9')).toMatchObject({ locations: [], agents: { connected: 0, slots: 0, free: 0 } });
});
