import { expect, test } from 'vitest';
import type { TopologyNode } from '../../../../src/admin/model.ts';
import { layOut, pathsThrough } from './layout.ts';

const node = (id: string, kind: TopologyNode['kind']): TopologyNode => ({ id, kind, label: id, detail: '', state: 'well', count: 1 });
const edge = (from: string, to: string, requestsPerSecond = 1) => ({ from, to, requestsPerSecond, errorsPerSecond: 0, inFlight: 0 });
const NODES = [
  node('server:web', 'server'),
  node('location:a', 'location'),
  node('location:b', 'location'),
  node('upstream:x', 'upstream'),
  node('upstream:y', 'upstream'),
  node('endpoint:x/1', 'endpoint'),
  node('agent:1', 'agent'),
  node('more:agent', 'more'),
];
const EDGES = [
  edge('server:web', 'location:a', 3),
  edge('server:web', 'location:b', 4),
  edge('location:a', 'upstream:y'),
  edge('location:b', 'upstream:x'),
  edge('upstream:x', 'endpoint:x/1'),
  edge('upstream:y', 'agent:1'),
  edge('upstream:y', 'more:agent'),
];

test('nodes stand in their columns, inside the picture, and never one on another', () => {
  const { nodes, height, nodeWidth } = layOut({ nodes: NODES, edges: EDGES }, 1_000);
  expect(nodes.map(({ node: { id }, column }) => [id, column])).toEqual(
    expect.arrayContaining([
      ['server:web', 0],
      ['location:a', 1],
      ['upstream:x', 2],
      ['agent:1', 3],
      ['more:agent', 3],
    ]),
  );
  for (const { x, y, height: tall } of nodes) {
    expect(x).toBeGreaterThanOrEqual(0);
    expect(x + nodeWidth).toBeLessThanOrEqual(1_000);
    expect(y).toBeGreaterThanOrEqual(0);
    expect(y + tall).toBeLessThanOrEqual(height);
  }
  for (const a of nodes) for (const b of nodes) if (a !== b && a.column === b.column) expect(Math.abs(a.y - b.y)).toBeGreaterThanOrEqual(a.height);
});

test('lines that need not cross do not', () => {
  const { nodes } = layOut({ nodes: NODES, edges: EDGES }, 1_000);
  const y = new Map(nodes.map((one) => [one.node.id, one.y]));
  expect(y.get('location:a')! < y.get('location:b')!).toBe(y.get('upstream:y')! < y.get('upstream:x')!);
});

test('the node that stands for the rest comes last, and what comes into a node is added up', () => {
  const { nodes } = layOut({ nodes: NODES, edges: EDGES }, 1_000);
  const last = nodes.filter(({ column }) => column === 3).toSorted((a, b) => b.y - a.y)[0]!;
  expect(last.node.id).toBe('more:agent');
  expect(nodes.find(({ node: { id } }) => id === 'server:web')!.requestsPerSecond).toBe(7);
});

test('edges to nodes that are not there are left out, and so is an empty graph', () => {
  expect(layOut({ nodes: NODES, edges: [edge('server:web', 'nowhere')] }, 900).edges).toEqual([]);
  expect(layOut({ nodes: [], edges: [] }, 900).nodes).toEqual([]);
});

test('a hundred nodes in a column stay apart', () => {
  const many = Array.from({ length: 100 }, (_, i) => node(`agent:${i}`, 'agent'));
  const { nodes } = layOut({ nodes: many, edges: [] }, 1_000);
  const tops = nodes.map(({ y }) => y).toSorted((a, b) => a - b);
  for (let i = 1; i < tops.length; i++) expect(tops[i]! - tops[i - 1]!).toBeGreaterThanOrEqual(nodes[0]!.height);
});

test('a node lights up what lies before and after it, and nothing beside', () => {
  expect([...pathsThrough(EDGES, 'upstream:y')].toSorted()).toEqual(['agent:1', 'location:a', 'more:agent', 'server:web', 'upstream:y']);
});
