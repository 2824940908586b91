import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Topology, TopologyEdge, TopologyNode } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { Card } from '../../design/card.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { rate } from '../../i18n/format.ts';
import { said } from '../../i18n/said.ts';
import { useLoad } from '../../live/load.ts';
import { href } from '../../router.ts';
import { layOut, pathsThrough, type Placed } from './layout.ts';
import { texts } from './texts.ts';

const EVERY_MS = 2_000;
/** Narrower it is not drawn, but scrolled, px. */
const WIDTH_MIN_PX = 700;
/** When more edges than these have traffic, those of the node that is looked at move and no others: hundreds of moving lines are a blur, and keep the page busy. */
const MOVING_MAX = 80;
const COLUMNS = ['server', 'location', 'upstream', 'endpoint'] as const;

/** Servers, locations, upstreams, endpoints and agents, and what flows between them now. */
export function TopologyCard() {
  const t = texts();
  const { data, error, reload } = useLoad((signal) => api.get<Topology>('topology', { signal }), 'topology', {
    on: ['config', 'upstreams', 'agents'],
    everyMs: EVERY_MS,
  });
  return (
    <Card title={t.topology} note={t.topologyText} class="topology-card">
      {data !== undefined && data.nodes.length > 0 ? (
        <Picture topology={data} />
      ) : data !== undefined ? (
        <Empty icon="overview" title={t.topologyEmpty} />
      ) : error !== null ? (
        <Refused error={error} retry={reload} />
      ) : (
        <div class="topology-waiting">
          <Skeleton lines={5} height={24} />
        </div>
      )}
    </Card>
  );
}

function Picture({ topology }: { topology: Topology }) {
  const t = texts();
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(1_000);
  const [over, setOver] = useState<string | null>(null);
  useLayoutEffect(() => {
    const element = box.current!;
    const look = (): void => setWidth(Math.max(WIDTH_MIN_PX, element.clientWidth));
    look();
    const watch = new ResizeObserver(look);
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const layout = useMemo(() => layOut(topology, width), [topology, width]);
  const lit = useMemo(() => (over === null ? null : pathsThrough(topology.edges, over)), [topology, over]);
  const isCalm = topology.edges.filter(({ requestsPerSecond }) => requestsPerSecond > 0).length > MOVING_MAX;
  const step = (width - layout.nodeWidth) / 3;
  return (
    <div class="topology" ref={box}>
      <div class={`topology-inside ${lit === null ? '' : 'topology-lit'}`} style={{ width: `${width}px`, height: `${layout.height}px` }}>
        {COLUMNS.map((column, i) => (
          <span key={column} class="topology-column" style={{ left: `${Math.round(step * i)}px`, width: `${layout.nodeWidth}px` }}>
            {t.columns[column]}
          </span>
        ))}
        <svg class="topology-edges" width={width} height={layout.height} viewBox={`0 0 ${width} ${layout.height}`} aria-hidden="true">
          {layout.edges.map(({ edge, path }) => {
            const isLit = lit !== null && lit.has(edge.from) && lit.has(edge.to);
            return <Edge key={`${edge.from} ${edge.to}`} edge={edge} path={path} lit={isLit} moves={!isCalm || isLit} />;
          })}
        </svg>
        {layout.nodes.map((placed) => (
          <Node key={placed.node.id} placed={placed} width={layout.nodeWidth} lit={lit !== null && lit.has(placed.node.id)} onOver={setOver} />
        ))}
      </div>
    </div>
  );
}

function Edge({ edge, path, lit, moves }: { edge: TopologyEdge; path: string; lit: boolean; moves: boolean }) {
  const { requestsPerSecond, errorsPerSecond } = edge;
  const flows = requestsPerSecond > 0;
  const thick = flows ? Math.min(7, 1.4 + Math.log10(1 + requestsPerSecond) * 1.7) : 1.2;
  const sick = flows && errorsPerSecond / requestsPerSecond > 0.05;
  // Twice the traffic is not twice the speed: the eye could not follow.
  const seconds = flows ? Math.max(0.6, 3.2 - Math.log10(1 + requestsPerSecond) * 0.9) : 0;
  return (
    <g class={`edge ${flows ? 'edge-flows' : ''} ${sick ? 'edge-sick' : ''} ${lit ? 'edge-lit' : ''}`}>
      <path class="edge-line" d={path} stroke-width={thick.toFixed(1)} />
      {flows && moves && (
        <path
          class="edge-pulse"
          d={path}
          stroke-width={Math.max(1.6, thick - 0.6).toFixed(1)}
          style={{ animationDuration: `${seconds.toFixed(1)}s` }}
        />
      )}
    </g>
  );
}

function Node({
  placed: { node, x, y, height, requestsPerSecond, errorsPerSecond },
  width,
  lit,
  onOver,
}: {
  placed: Placed;
  width: number;
  lit: boolean;
  onOver: (id: string | null) => void;
}) {
  const t = texts();
  const traffic = t.nodeTraffic(rate(requestsPerSecond), rate(errorsPerSecond));
  // Requests that no location takes are traffic, too.
  const label = node.kind === 'location' && node.label === '-' ? t.noLocation : node.label;
  const says = `${label}, ${t.nodeState[node.state]}, ${traffic}`;
  return (
    <a
      class={`node node-${node.state} node-of-${node.kind} ${lit ? 'node-lit' : ''} ${height < 40 ? 'node-small' : ''}`}
      href={placeOfNode(node)}
      aria-label={says}
      title={[label, said(node.detail), traffic].filter((part) => part !== '').join('\n')}
      style={{ left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` }}
      onMouseEnter={() => onOver(node.id)}
      onMouseLeave={() => onOver(null)}
      onFocus={() => onOver(node.id)}
      onBlur={() => onOver(null)}
    >
      <span class="node-dot" />
      <span class="node-text">
        <span class="node-label clip">{label}</span>
        <span class="node-detail clip">{node.detail === '' ? t.nodeState[node.state] : said(node.detail)}</span>
      </span>
      <span class="node-rate">
        {requestsPerSecond > 0 && <span>{rate(requestsPerSecond)}</span>}
        {errorsPerSecond > 0.05 && <span class="node-errors">{rate(errorsPerSecond)}</span>}
      </span>
    </a>
  );
}

function placeOfNode({ kind, id, label }: TopologyNode): string {
  if (kind === 'agent') return href('agents', id.slice('agent:'.length));
  if (kind === 'upstream') return href('upstreams', label);
  if (kind === 'endpoint') return href('upstreams', id.slice('endpoint:'.length).split('/')[0]!);
  if (kind === 'location') return href('traffic', [], { location: label });
  if (kind === 'more') return href(id === 'more:agent' ? 'agents' : id === 'more:location' ? 'routing' : 'upstreams');
  return href('traffic');
}
