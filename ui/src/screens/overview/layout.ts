import type { Topology, TopologyEdge, TopologyNode } from '../../../../src/admin/model.ts';

/** Where a node stands. */
export interface Placed {
  readonly node: TopologyNode;
  readonly column: number;
  /** Of its upper left corner, px. */
  readonly x: number;
  readonly y: number;
  readonly height: number;
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
}

export interface Drawn {
  readonly edge: TopologyEdge;
  /** Of SVG. */
  readonly path: string;
}

export interface Layout {
  readonly nodes: readonly Placed[];
  readonly edges: readonly Drawn[];
  readonly height: number;
  readonly nodeWidth: number;
}

const NODE_PX = 46;
const GAP_PX = 10;
/** Columns of many nodes have lower ones. */
const MANY = 7;
const SMALL_PX = 30;
const SMALL_GAP_PX = 6;
const HEAD_PX = 24;
const COLUMNS = 4;
/** The nodes of a column are sorted by where their neighbours stand, back and forth so many times. */
const SWEEPS = 4;

/** Four columns, the nodes of each over the whole height, in an order that makes few lines cross. Pure: the same graph gives the same picture. */
export function layOut({ nodes, edges }: Topology, width: number): Layout {
  const columns: TopologyNode[][] = Array.from({ length: COLUMNS }, () => []);
  const columnOf = new Map<string, number>();
  for (const node of nodes) {
    const column = columnOfKind(node);
    columnOf.set(node.id, column);
    columns[column]!.push(node);
  }
  const known = edges.filter(({ from, to }) => columnOf.has(from) && columnOf.has(to));
  untangle(columns, known);

  const inner = Math.max(
    ...columns.map(({ length }) => (length > MANY ? length * (SMALL_PX + SMALL_GAP_PX) : Math.max(1, length) * (NODE_PX + GAP_PX))),
  );
  const height = HEAD_PX + inner + 2;
  const nodeWidth = Math.max(120, Math.min(230, Math.floor((width / COLUMNS) * 0.66)));
  const step = (width - nodeWidth) / (COLUMNS - 1);
  const coming = new Map<string, { rate: number; errors: number }>();
  const going = new Map<string, { rate: number; errors: number }>();
  for (const { from, to, requestsPerSecond, errorsPerSecond } of known) {
    for (const [sums, id] of [
      [going, from],
      [coming, to],
    ] as const) {
      const sum = sums.get(id) ?? { rate: 0, errors: 0 };
      sums.set(id, { rate: sum.rate + requestsPerSecond, errors: sum.errors + errorsPerSecond });
    }
  }
  const placed: Placed[] = columns.flatMap((inside, column) => {
    const tall = inside.length > MANY ? SMALL_PX : NODE_PX;
    return inside.map((node, i) => {
      const sum = (column === 0 ? going : coming).get(node.id) ?? { rate: 0, errors: 0 };
      // Evenly over the whole height, so that each stands beside what it is joined to.
      const middle = HEAD_PX + ((i + 0.5) / inside.length) * inner;
      return {
        node,
        column,
        x: Math.round(column * step),
        y: Math.round(middle - tall / 2),
        height: tall,
        requestsPerSecond: sum.rate,
        errorsPerSecond: sum.errors,
      };
    });
  });
  const at = new Map(placed.map((one) => [one.node.id, one]));
  const drawn = known.map((edge) => {
    const from = at.get(edge.from)!;
    const to = at.get(edge.to)!;
    const [x1, y1, x2, y2] = [from.x + nodeWidth, from.y + from.height / 2, to.x, to.y + to.height / 2];
    const bend = Math.max(24, (x2 - x1) * 0.5);
    return { edge, path: `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` };
  });
  return { nodes: placed, edges: drawn, height, nodeWidth };
}

/** All that lies before and after a node. */
export function pathsThrough(edges: readonly TopologyEdge[], id: string): ReadonlySet<string> {
  const found = new Set([id]);
  const walk = (from: string, side: 'from' | 'to'): void => {
    for (const edge of edges) {
      if (edge[side] !== from) continue;
      const next = edge[side === 'from' ? 'to' : 'from'];
      if (found.has(next)) continue;
      found.add(next);
      walk(next, side);
    }
  };
  walk(id, 'from');
  walk(id, 'to');
  return found;
}

function columnOfKind({ kind, id }: TopologyNode): number {
  const of = kind === 'more' ? id.slice('more:'.length) : kind;
  return of === 'server' ? 0 : of === 'location' ? 1 : of === 'upstream' ? 2 : 3;
}

function untangle(columns: TopologyNode[][], edges: readonly TopologyEdge[]): void {
  const neighbours = new Map<string, string[]>();
  for (const { from, to } of edges) {
    neighbours.set(from, [...(neighbours.get(from) ?? []), to]);
    neighbours.set(to, [...(neighbours.get(to) ?? []), from]);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const order = sweep % 2 === 0 ? [1, 2, 3] : [2, 1, 0];
    for (const column of order) {
      const beside = columns[column + (sweep % 2 === 0 ? -1 : 1)]!;
      const place = new Map(beside.map(({ id }, i) => [id, beside.length < 2 ? 0.5 : i / (beside.length - 1)]));
      const weight = new Map(
        columns[column]!.map((node) => {
          const places = (neighbours.get(node.id) ?? []).map((id) => place.get(id)).filter((value) => value !== undefined);
          return [node.id, places.length === 0 ? 2 : places.reduce((sum, value) => sum + value, 0) / places.length];
        }),
      );
      // What stands for the rest comes last.
      columns[column] = columns[column]!.toSorted(
        (a, b) => Number(a.kind === 'more') - Number(b.kind === 'more') || weight.get(a.id)! - weight.get(b.id)!,
      );
    }
  }
}
