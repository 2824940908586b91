import type { Log } from '../../observe/log.ts';
import { balance } from '../../schema/balance.ts';
import type { Page, UpstreamInfo } from '../../admin/model.ts';
import type { Paging } from '../../admin/paging.ts';
import { Problem } from '../../admin/route.ts';
import type { UpstreamsBackend } from '../../admin/upstreams-routes.ts';
import type { AgentMember } from '../../upstream/agent-member.ts';
import type { AgentSelection } from '../../upstream/agent-selection.ts';
import type { Group } from '../../upstream/group.ts';
import type { HealthChecks, HealthReport } from '../../upstream/health/checks.ts';
import { type Workforce, workforcesOf } from '../../upstream/workforces.ts';
import { conditionOf } from '../gateway/status.ts';

/** An upstream of agents. */
export type ShownSelection = Pick<AgentSelection, 'name' | 'waiting' | 'selector' | 'algorithm' | 'facts'>;

export interface ConsoleUpstreamsOptions {
  readonly groups: () => readonly Group[];
  readonly group: (name: string) => Group | undefined;
  /** Those of agents. */
  readonly selections: () => Iterable<ShownSelection>;
  /** All agents that are here. */
  readonly members: () => Iterable<AgentMember>;
  readonly health: Pick<HealthChecks, 'describe'>;
  /** Names of locations by upstream. */
  readonly locations: () => ReadonlyMap<string, readonly string[]>;
  readonly log: Log;
  /** Told when something of them has been changed. */
  changed(): void;
}

/** Upstreams, for the console. */
export class ConsoleUpstreams implements UpstreamsBackend {
  readonly #options: ConsoleUpstreamsOptions;

  constructor(options: ConsoleUpstreamsOptions) {
    this.#options = options;
  }

  async list({ query, offset, limit }: Paging & { readonly query: string }): Promise<Page<UpstreamInfo>> {
    const wanted = query.toLowerCase();
    const has = (text: string): boolean => text.toLowerCase().includes(wanted);
    const { groups, selections } = this.#options;
    const all: (Group | ShownSelection)[] = [...groups(), ...selections()].filter(
      (one) => has(one.name) || ('members' in one && [...one.members.values()].some(({ id, at }) => has(id) || has(at.host))),
    );
    all.sort((a, b) => (a.name < b.name ? -1 : 1));
    return { total: all.length, items: this.#infos(all.slice(offset, offset + limit)) };
  }

  async upstream(name: string): Promise<UpstreamInfo | null> {
    const { group, selections } = this.#options;
    const one = group(name) ?? [...selections()].find((selection) => selection.name === name);
    return one === undefined ? null : this.#infos([one])[0]!;
  }

  async takeOut(name: string, endpoint: string, is: boolean, by: string): Promise<UpstreamInfo> {
    const { group: groupOf, log } = this.#options;
    const group = groupOf(name);
    if (group === undefined) {
      if ((await this.upstream(name)) === null) throw new Problem(404, 'no_such_upstream', 'There is no upstream of this name.');
      throw new Problem(409, 'of_agents', 'This upstream is made of agents: drain the agent instead.');
    }
    const members = [...group.members.values()].filter(({ id, at: { host, port } }) => [id, host, `${host}:${port}`].includes(endpoint));
    if (members.length === 0) throw new Problem(404, 'no_such_endpoint', 'This upstream has no endpoint of this name.');
    for (const { id } of members) {
      group.takeOut(id, is);
      log.info({ upstream: name, endpoint: id, by }, is ? 'an operator has taken an endpoint out' : 'an operator has put an endpoint back');
    }
    if (is && ![...group.members.values()].some(({ usable }) => usable))
      log.warn({ upstream: name }, 'this upstream has nobody left who gets requests: they are answered 503 until an endpoint is put back');
    this.#options.changed();
    return this.#infos([group])[0]!;
  }

  /** Of an upstream whose check has just been changed there may be two: the newer counts. */
  #checks(): ReadonlyMap<string, HealthReport> {
    return new Map(this.#options.health.describe().map((report) => [`${report.upstream}\n${report.endpoint}`, report]));
  }

  /** What is the same for all is looked up once: with a thousand locations and ten thousand agents, once for each upstream is too often. */
  #infos(these: readonly (Group | ShownSelection)[]): UpstreamInfo[] {
    const { locations, members } = this.#options;
    const byUpstream = locations();
    const checks = this.#checks();
    const selections = these.filter((one): one is ShownSelection => !('members' in one));
    const workforces = selections.length === 0 ? NOBODY : workforcesOf(members(), selections);
    return these.map((one) => {
      const names = byUpstream.get(one.name) ?? [];
      return 'members' in one ? ofAddresses(one, names, checks) : ofAgents(one, names, workforces.get(one)!);
    });
  }
}

const NOBODY: ReadonlyMap<ShownSelection, Workforce> = new Map();

function ofAddresses(group: Group, locations: readonly string[], checks: ReadonlyMap<string, HealthReport>): UpstreamInfo {
  const endpoints = [...group.members.values()].map((member) => {
    const check = checks.get(`${group.name}\n${member.id}`);
    return {
      id: member.id,
      host: member.at.host,
      weight: member.at.weight,
      priority: member.at.priority,
      condition: conditionOf(member),
      inFlight: member.inFlight,
      check: check === undefined ? null : { healthy: check.healthy, reason: check.lastReason },
      load: member.loads === null ? null : member.loads.now,
      usable: member.usable,
      requests: member.requests,
      failures: member.failures,
    };
  });
  return {
    name: group.name,
    of: 'addresses',
    algorithm: balance().format(group.settings.algo),
    locations,
    inFlight: endpoints.reduce((sum, { inFlight }) => sum + inFlight, 0),
    waiting: 0,
    endpoints,
    agents: null,
  };
}

function ofAgents(selection: ShownSelection, locations: readonly string[], { connected, slots, free, inFlight }: Workforce): UpstreamInfo {
  return {
    name: selection.name,
    of: 'agents',
    algorithm: selection.algorithm,
    locations,
    inFlight,
    waiting: selection.waiting,
    endpoints: [],
    agents: { selector: selection.selector, connected, slots, free },
  };
}
