import { expect, test } from 'vitest';
import { FakeSession } from '../../../test/kit/fake-agents.ts';
import { Notes } from '../../http/exchange.ts';
import { Registry } from '../../observe/metrics.ts';
import { AgentPool } from '../../upstream/agents.ts';
import type { Upstream } from '../../upstream/upstream.ts';
import { ProxyMetrics } from '../../proxy/metrics.ts';
import type { Topology } from '../../admin/model.ts';
import { Pace } from '../pace.ts';
import { COLUMN_NODES, topologyOf } from './topology.ts';

/** A hub whose agents are behind one upstream, and a gateway's locations in front of it. */
function world(locations: number, agents: number) {
  const metrics = new ProxyMetrics(new Registry());
  const pool = new AgentPool({ queueSize: 10 });
  const sessions = Array.from({ length: agents }, (_, i) => new FakeSession(`agent-${i}`, 2));
  for (const session of sessions) pool.join(session);
  const tallies = Array.from({ length: locations }, (_, i) => metrics.tally('web', `location-${i}`, `upstream-${i % 100}`));
  const pace = new Pace(0, (visit) => {
    for (const tally of metrics.tallies()) visit(tally, tally.requests, tally.errors);
  });
  return {
    metrics,
    pool,
    sessions,
    tallies,
    ask: (i: number, status = 200): void => {
      const upstream = { name: `upstream-${i % 100}` } as Upstream;
      metrics.finished(tallies[i]!, upstream, new Notes(0), status, 5);
    },
    look: (now: number): Topology =>
      topologyOf({
        servers: new Map([['web', '127.0.0.1:80']]),
        locations: metrics.locations,
        groups: [],
        agentUpstreams: [{ name: 'upstream-0', waiting: 0 }],
        members: pool.members,
        upstreamsOf: () => ['upstream-0'],
        rateOf: (what, requests, errors) => pace.of(what, requests, errors, now),
      }),
  };
}

test('what goes from server to location to upstream stands on the edges, per second', () => {
  const { ask, look, tallies } = world(3, 1);
  for (let i = 0; i < 20; i++) ask(1);
  for (let i = 0; i < 5; i++) ask(2, 502);
  tallies[1]!.inFlight = 4;
  const { nodes, edges } = look(5_000);
  expect(edges.find(({ from, to }) => from === 'server:web' && to === 'location:location-1')).toMatchObject({
    requestsPerSecond: 4,
    errorsPerSecond: 0,
    inFlight: 4,
  });
  expect(edges.find(({ from, to }) => from === 'location:location-2' && to === 'upstream:upstream-2')).toMatchObject({
    requestsPerSecond: 1,
    errorsPerSecond: 1,
  });
  const states = new Map(nodes.map(({ id, state }) => [id, state]));
  expect(states.get('location:location-0')).toBe('idle');
  expect(states.get('location:location-1')).toBe('well');
  expect(states.get('location:location-2')).toBe('unwell');
  // Every edge has two ends that are there.
  for (const { from, to } of edges) expect([from, to].every((id) => states.has(id))).toBe(true);
});

test('a thousand locations and ten thousand agents are forty nodes a column, the busiest first, and one for the rest', () => {
  const { ask, look, sessions } = world(1_000, 10_000);
  for (let i = 0; i < 10; i++) ask(777);
  sessions[9_000]!.uses(2);
  const { nodes, edges } = look(5_000);
  for (const kind of ['location', 'upstream', 'agent'] as const) {
    expect(nodes.filter((node) => node.kind === kind).length).toBe(COLUMN_NODES);
  }
  const columns = (kind: string): string[] => nodes.filter((node) => node.kind === kind).map(({ id }) => id);
  expect(columns('location')[0]).toBe('location:location-777');
  expect(columns('agent')[0]).toBe('agent:agent-9000');
  expect(nodes.find(({ id }) => id === 'more:location')).toMatchObject({ kind: 'more', count: 1_000 - COLUMN_NODES });
  expect(nodes.find(({ id }) => id === 'more:agent')).toMatchObject({ count: 10_000 - COLUMN_NODES, label: '9960 more' });
  // What is left out is not lost: its edges lead to the node that stands for it.
  expect(edges.length).toBeLessThan(41 + 41 * 41 + 41 + 1);
  expect(edges.some(({ from, to }) => from === 'server:web' && to === 'more:location')).toBe(true);
});

test('an upstream of agents without one of them is unwell, and one whose requests wait is busy', () => {
  const { metrics } = world(0, 0);
  const seen = (waiting: number, members: number): string => {
    const pool = new AgentPool({ queueSize: 10 });
    for (let i = 0; i < members; i++) pool.join(new FakeSession(`a${i}`, 1));
    return topologyOf({
      servers: new Map(),
      locations: metrics.locations,
      groups: [],
      agentUpstreams: [{ name: 'gpu', waiting }],
      members: pool.members,
      upstreamsOf: () => ['gpu'],
      rateOf: () => ({ requestsPerSecond: 0, errorsPerSecond: 0 }),
    }).nodes.find(({ id }) => id === 'upstream:gpu')!.state;
  };
  expect([seen(0, 0), seen(3, 1), seen(0, 1)]).toEqual(['unwell', 'busy', 'idle']);
});

test('sessions of one agent are one node', () => {
  const { metrics } = world(0, 0);
  const pool = new AgentPool({ queueSize: 10 });
  for (const slots of [2, 3]) pool.join(new FakeSession('box', slots, { instance: `${slots}` }));
  const { nodes, edges } = topologyOf({
    servers: new Map(),
    locations: metrics.locations,
    groups: [],
    agentUpstreams: [{ name: 'gpu', waiting: 0 }],
    members: pool.members,
    upstreamsOf: () => ['gpu'],
    rateOf: () => ({ requestsPerSecond: 0, errorsPerSecond: 0 }),
  });
  expect(nodes.filter(({ kind }) => kind === 'agent')).toEqual([
    { id: 'agent:box', kind: 'agent', label: 'box', detail: '5 of 5 slots free', state: 'idle', count: 1 },
  ]);
  expect(edges.length).toBe(1);
});
