import type { AgentMember } from '../../upstream/agent-member.ts';
import type { Group } from '../../upstream/group.ts';
import type { LocationTally } from '../../proxy/tally.ts';
import { NONE, OTHER } from '../../proxy/tally.ts';
import type { Topology, TopologyEdge, TopologyNode } from '../../admin/model.ts';
import type { Rate } from '../pace.ts';

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
  if (location.server === OTHER && !isUsed) return;
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

/** An agent, all its sessions together. */
interface Seen extends Traffic {
  readonly id: string;
  readonly label: string;
  readonly upstreams: readonly Behind[];
  slots: number;
  free: number;
}

interface Behind {
  readonly node: Node;
  readonly waiting: number;
  slots: number;
  free: number;
  agents: number;
}

/** Agents may be ten thousand, so only those that are shown become nodes of their own. */
function drawAgents(drawing: Drawing, parts: TopologyParts): void {
  const behind = new Map<string, Behind>();
  for (const { name, waiting } of parts.agentUpstreams)
    behind.set(name, { node: drawing.node('upstream', name, name), waiting, slots: 0, free: 0, agents: 0 });
  const agents = agentsOf(parts, behind);
  const shown = new Map<Seen, Node>();
  for (const agent of first(agents, Math.max(0, COLUMN_NODES - drawing.count('endpoint')), busiest)) {
    const node = drawing.node('agent', agent.id, agent.label);
    node.detail = `${agent.free} of ${agent.slots} slots free`;
    node.state = stateOfAgent(agent);
    shown.set(agent, node);
  }
  for (const agent of agents) {
    const { upstreams, slots, free, inFlight } = agent;
    const node = shown.get(agent) ?? drawing.rest('agent', stateOfAgent(agent));
    add(node, agent);
    // An agent counts its requests and not where they come from: of several upstreams each is taken to send its share of what all of them send.
    const all = upstreams.length < 2 ? 0 : upstreams.reduce((sum, one) => sum + one.node.requestsPerSecond, 0);
    for (const one of upstreams) {
      one.slots += slots;
      one.free += free;
      one.agents++;
      const share = all > 0 ? one.node.requestsPerSecond / all : 1 / upstreams.length;
      const { requestsPerSecond, errorsPerSecond } = agent;
      drawing.edge(one.node, node, {
        requestsPerSecond: requestsPerSecond * share,
        errorsPerSecond: errorsPerSecond * share,
        inFlight: Math.round(inFlight * share),
      });
    }
  }
  for (const { node, waiting, slots, free, agents: count } of behind.values()) {
    node.detail = waiting > 0 ? `${waiting} wait` : `${free} of ${slots} slots free`;
    if (count === 0) node.state = 'unwell';
    else if (waiting > 0) node.state = 'busy';
  }
}

function stateOfAgent(agent: Seen): TopologyNode['state'] {
  return agent.free === 0 && agent.inFlight > 0 ? 'busy' : trafficState(agent);
}

/** The first of all in this order, without sorting all. */
function first<T>(all: readonly T[], count: number, compare: (a: T, b: T) => number): T[] {
  const found: T[] = [];
  for (const one of all) {
    if (found.length === count && (count === 0 || compare(one, found[count - 1]!) >= 0)) continue;
    let at = found.length;
    while (at > 0 && compare(one, found[at - 1]!) < 0) at--;
    found.splice(at, 0, one);
    if (found.length > count) found.pop();
  }
  return found;
}

function agentsOf({ members, upstreamsOf, rateOf }: TopologyParts, behind: ReadonlyMap<string, Behind>): Seen[] {
  const byId = new Map<string, Seen>();
  for (const member of members) {
    const { agent, slots, inFlight } = member.session;
    let seen = byId.get(agent.id);
    if (seen === undefined) {
      const upstreams: Behind[] = [];
      for (const name of upstreamsOf(member)) {
        const one = behind.get(name);
        if (one !== undefined) upstreams.push(one);
      }
      const label = agent.name === '' ? agent.id : agent.name;
      seen = { id: agent.id, label, upstreams, slots: 0, free: 0, requestsPerSecond: 0, errorsPerSecond: 0, inFlight: 0 };
      byId.set(agent.id, seen);
    }
    const { requestsPerSecond, errorsPerSecond } = rateOf(member, member.served + member.failed, member.failed);
    seen.requestsPerSecond += requestsPerSecond;
    seen.errorsPerSecond += errorsPerSecond;
    seen.inFlight += inFlight;
    seen.slots += slots;
    seen.free += Math.max(0, member.free);
  }
  return [...byId.values()];
}

/** Nodes and edges before it is known which of them are shown. */
class Drawing {
  readonly #nodes = new Map<string, Node>();
  readonly #rests = new Map<Kind, Node & { count: number }>();
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

  count(kind: Kind): number {
    let count = 0;
    for (const node of this.#nodes.values()) if (node.kind === kind) count++;
    return count;
  }

  /** The node that stands for all of a kind that are left out; one more of them is. */
  rest(kind: Kind, state: TopologyNode['state']): Node {
    let rest = this.#rests.get(kind);
    if (rest === undefined) {
      rest = { id: `more:${kind}`, kind, label: '', detail: '', state: 'idle', requestsPerSecond: 0, errorsPerSecond: 0, inFlight: 0, count: 0 };
      this.#rests.set(kind, rest);
    }
    rest.count++;
    if (WORSE.indexOf(state) > WORSE.indexOf(rest.state!)) rest.state = state;
    return rest;
  }

  finish(): Topology {
    const shown: TopologyNode[] = [];
    const standIns = new Map<Node, string>();
    for (const kinds of COLUMNS) {
      const column = [...this.#nodes.values()].filter(({ kind }) => kinds.includes(kind));
      const byTraffic = column.length <= COLUMN_NODES ? column : column.toSorted(busiest);
      for (const [i, node] of byTraffic.entries()) {
        if (i < COLUMN_NODES) shown.push(shownAs(node));
        standIns.set(node, i < COLUMN_NODES ? node.id : this.rest(node.kind, stateOf(node)).id);
      }
      for (const kind of kinds) {
        const rest = this.#rests.get(kind);
        if (rest === undefined) continue;
        shown.push({ id: rest.id, kind: 'more', label: `${rest.count} more`, detail: '', state: rest.state!, count: rest.count });
        standIns.set(rest, rest.id);
      }
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
function busiest(a: Traffic & Partial<Node>, b: Traffic & Partial<Node>): number {
  return b.requestsPerSecond - a.requestsPerSecond || b.inFlight - a.inFlight || Number(b.state === 'unwell') - Number(a.state === 'unwell');
}

function shownAs(node: Node): TopologyNode {
  const { id, kind, label, detail } = node;
  return { id, kind, label, detail, state: stateOf(node), count: 1 };
}

function stateOf(node: Node): TopologyNode['state'] {
  return node.state ?? trafficState(node);
}

function trafficState({ requestsPerSecond, errorsPerSecond, inFlight }: Traffic): TopologyNode['state'] {
  if (errorsPerSecond > 0 && errorsPerSecond * 2 >= requestsPerSecond) return 'unwell';
  return requestsPerSecond > 0 || inFlight > 0 ? 'well' : 'idle';
}
