import type { AgentMember } from '../upstream/agent-member.ts';
import type { Group } from '../upstream/group.ts';
import type { LocationTally } from '../proxy/tally.ts';
import { NONE } from '../proxy/tally.ts';
import type { Topology, TopologyEdge, TopologyNode } from '../admin/model.ts';
import type { Rate } from './pace.ts';

/** Agents as an upstream. */
export interface AgentUpstream {
  readonly name: string;
  readonly waiting: number;
}

/** What a topology is drawn from. */
export interface TopologyParts {
  /** Where each server listens. */
  readonly servers: ReadonlyMap<string, string>;
  readonly locations: Iterable<LocationTally>;
  readonly groups: Iterable<Group>;
  readonly agentUpstreams: Iterable<AgentUpstream>;
  readonly members: Iterable<AgentMember>;
  /** Those that an agent belongs to. */
  readonly upstreamsOf: (member: AgentMember) => readonly string[];
  readonly rateOf: (what: object, requests: number, errors: number) => Rate;
}

/** Nodes of one column. More are no picture. */
export const COLUMN_NODES = 40;

type Kind = Exclude<TopologyNode['kind'], 'more'>;
type Writable<T> = { -readonly [K in keyof T]: T[K] };

interface Traffic {
  requestsPerSecond: number;
  errorsPerSecond: number;
  inFlight: number;
}

interface Node extends Traffic {
  readonly id: string;
  readonly kind: Kind;
  readonly label: string;
  detail: string;
  state: TopologyNode['state'] | null;
}

/** Servers, locations, upstreams, and those behind them, busiest first, with what goes from one to the other. */
export function topologyOf(parts: TopologyParts): Topology {
  const drawing = new Drawing();
  for (const [name, where] of parts.servers) drawing.node('server', name, name).detail = where;
  for (const location of parts.locations) drawLocation(drawing, location, parts);
  for (const group of parts.groups) drawGroup(drawing, group, parts);
  drawAgents(drawing, parts);
  return drawing.finish();
}

function drawLocation(drawing: Drawing, location: LocationTally, { rateOf }: TopologyParts): void {
  const isUsed = location.inFlight > 0 || [...location.tallies].some(({ requests }) => requests > 0);
  const server = drawing.node('server', location.server, location.server);
  // What belongs to no location stands there only when somebody has asked for it.
  if (location.location === NONE && !isUsed) return;
  const node = drawing.node('location', location.location, location.location);
  for (const tally of location.tallies) {
    const inFlight = tally === location.usual ? location.inFlight : 0;
    const traffic = { ...rateOf(tally, tally.requests, tally.errors), inFlight };
    drawing.edge(server, node, traffic);
    add(server, traffic);
    if (tally.shown === NONE) add(node, traffic);
    else drawing.edge(node, drawing.node('upstream', tally.shown, tally.shown), traffic, true);
  }
}

function drawGroup(drawing: Drawing, group: Group, { rateOf }: TopologyParts): void {
  const upstream = drawing.node('upstream', group.name, group.name);
  let usable = 0;
  for (const member of group.members.values()) {
    const node = drawing.node('endpoint', `${group.name}/${member.id}`, member.id);
    node.detail = member.at.host;
    if (member.usable) usable++;
    else node.state = 'unwell';
    drawing.edge(upstream, node, { ...rateOf(member, member.requests, member.failures), inFlight: member.inFlight }, true);
  }
  upstream.detail = `${usable} of ${group.members.size} usable`;
  if (usable === 0) upstream.state = 'unwell';
}

function drawAgents(drawing: Drawing, { agentUpstreams, members, upstreamsOf, rateOf }: TopologyParts): void {
  const upstreams = new Map<string, { readonly node: Node; readonly waiting: number; slots: number; free: number; agents: number }>();
  for (const { name, waiting } of agentUpstreams) upstreams.set(name, { node: drawing.node('upstream', name, name), waiting, slots: 0, free: 0, agents: 0 });
  const room = new Map<Node, { slots: number; free: number }>();
  for (const member of members) {
    const { agent, slots, inFlight } = member.session;
    const free = Math.max(0, member.free);
    const node = drawing.node('agent', agent.id, agent.name === '' ? agent.id : agent.name);
    const own = room.get(node) ?? { slots: 0, free: 0 };
    own.slots += slots;
    own.free += free;
    room.set(node, own);
    const { served, failed } = member;
    const traffic = { ...rateOf(member, served + failed, failed), inFlight };
    add(node, traffic);
    const behind = upstreamsOf(member).flatMap((name) => upstreams.get(name) ?? []);
    // An agent counts its requests and not where they come from: of several upstreams each is taken to send its share of what all of them send.
    const all = behind.reduce((sum, { node: { requestsPerSecond } }) => sum + requestsPerSecond, 0);
    for (const one of behind) {
      one.slots += slots;
      one.free += free;
      one.agents++;
      const share = all > 0 ? one.node.requestsPerSecond / all : 1 / behind.length;
      drawing.edge(one.node, node, {
        requestsPerSecond: traffic.requestsPerSecond * share,
        errorsPerSecond: traffic.errorsPerSecond * share,
        inFlight: all > 0 || behind.length > 1 ? Math.round(inFlight * share) : inFlight,
      });
    }
  }
  for (const [node, { slots, free }] of room) {
    node.detail = `${free} of ${slots} slots free`;
    if (free === 0 && node.inFlight > 0) node.state = 'busy';
  }
  for (const { node, waiting, slots, free, agents } of upstreams.values()) {
    node.detail = waiting > 0 ? `${waiting} wait` : `${free} of ${slots} slots free`;
    if (agents === 0) node.state = 'unwell';
    else if (waiting > 0) node.state = 'busy';
  }
}

/** Nodes and edges before it is known which of them are shown. */
class Drawing {
  readonly #nodes = new Map<string, Node>();
  readonly #edges = new Map<Node, Map<Node, Traffic>>();

  node(kind: Kind, name: string, label: string): Node {
    const id = `${kind}:${name}`;
    let node = this.#nodes.get(id);
    if (node === undefined) {
      node = { id, kind, label, detail: '', state: null, requestsPerSecond: 0, errorsPerSecond: 0, inFlight: 0 };
      this.#nodes.set(id, node);
    }
    return node;
  }

  /** `counts`: both ends are as busy as their edges. */
  edge(from: Node, to: Node, traffic: Traffic, counts = false): void {
    let edges = this.#edges.get(from);
    if (edges === undefined) this.#edges.set(from, (edges = new Map()));
    const edge = edges.get(to);
    if (edge === undefined) edges.set(to, { ...traffic });
    else add(edge, traffic);
    if (!counts) return;
    add(to, traffic);
    if (from.kind === 'location') add(from, traffic);
  }

  finish(): Topology {
    const shown: TopologyNode[] = [];
    const standIns = new Map<Node, string>();
    for (const kinds of COLUMNS) {
      const column = [...this.#nodes.values()].filter(({ kind }) => kinds.includes(kind));
      const byTraffic = column.length <= COLUMN_NODES ? column : column.toSorted(busiest);
      const more = new Map<Kind, Writable<TopologyNode>>();
      for (const [i, node] of byTraffic.entries()) {
        if (i < COLUMN_NODES) {
          shown.push(shownAs(node));
          standIns.set(node, node.id);
          continue;
        }
        const id = `more:${node.kind}`;
        const state = stateOf(node);
        const rest = more.get(node.kind) ?? { id, kind: 'more', label: '', detail: '', state: 'idle', count: 0 };
        rest.count++;
        if (WORSE.indexOf(state) > WORSE.indexOf(rest.state)) rest.state = state;
        more.set(node.kind, rest);
        standIns.set(node, id);
      }
      for (const rest of more.values()) shown.push({ ...rest, label: `${rest.count} more` });
    }
    return { nodes: shown, edges: this.#edgesBetween(standIns) };
  }

  #edgesBetween(standIns: ReadonlyMap<Node, string>): TopologyEdge[] {
    const edges = new Map<string, Writable<TopologyEdge>>();
    for (const [start, ends] of this.#edges) {
      const from = standIns.get(start)!;
      for (const [end, traffic] of ends) {
        const to = standIns.get(end)!;
        const key = `${from}\0${to}`;
        const edge = edges.get(key);
        if (edge === undefined) edges.set(key, { from, to, ...traffic });
        else add(edge, traffic);
      }
    }
    return [...edges.values()].map((edge) => ({
      ...edge,
      requestsPerSecond: Math.round(edge.requestsPerSecond * 100) / 100,
      errorsPerSecond: Math.round(edge.errorsPerSecond * 100) / 100,
    }));
  }
}

/** From left to right. */
const COLUMNS: readonly (readonly Kind[])[] = [['server'], ['location'], ['upstream'], ['endpoint', 'agent']];
const WORSE: readonly TopologyNode['state'][] = ['idle', 'well', 'busy', 'unwell'];

function add(to: Traffic, { requestsPerSecond, errorsPerSecond, inFlight }: Traffic): void {
  to.requestsPerSecond += requestsPerSecond;
  to.errorsPerSecond += errorsPerSecond;
  to.inFlight += inFlight;
}

/** Those that are unwell come before those that are idle: they are what somebody looks for. */
function busiest(a: Node, b: Node): number {
  return (
    b.requestsPerSecond - a.requestsPerSecond || b.inFlight - a.inFlight || Number(b.state === 'unwell') - Number(a.state === 'unwell') || 0
  );
}

function shownAs(node: Node): TopologyNode {
  const { id, kind, label, detail } = node;
  return { id, kind, label, detail, state: stateOf(node), count: 1 };
}

function stateOf({ state, requestsPerSecond, errorsPerSecond, inFlight }: Node): TopologyNode['state'] {
  if (state !== null) return state;
  if (errorsPerSecond > 0 && errorsPerSecond * 2 >= requestsPerSecond) return 'unwell';
  return requestsPerSecond > 0 || inFlight > 0 ? 'well' : 'idle';
}
