import type { AgentMember } from '../../upstream/agent-member.ts';
import type { AgentPool } from '../../upstream/agents.ts';
import type { Group } from '../../upstream/group.ts';
import type { Member } from '../../upstream/member.ts';
import type { HealthReport } from '../../upstream/health/checks.ts';
import type { AppliedConfig, Overview, Topology } from '../../admin/model.ts';
import type { OverviewBackend } from '../../admin/overview-routes.ts';
import { type Reading, Ticks } from '../../admin/ticks.ts';
import type { House } from '../house.ts';
import { Pace } from '../pace.ts';
import { type AgentUpstream, topologyOf } from './topology.ts';

/** What of a program is looked at. What it has none of is empty. */
export interface OverviewParts {
  readonly house: House;
  /** Where each server listens. */
  readonly servers: () => ReadonlyMap<string, string>;
  /** Upstreams of addresses, and what their health checks say. */
  readonly groups: () => Iterable<Group>;
  readonly checks: () => readonly HealthReport[];
  /** All agents; null: none may come in. */
  readonly pool: () => AgentPool | null;
  readonly agentUpstreams: () => Iterable<AgentUpstream>;
  /** Those that an agent belongs to. */
  readonly upstreamsOf: (member: AgentMember) => readonly string[];
  /** Requests that wait to come inside. */
  readonly outside: () => number;
  readonly certificates: () => readonly { readonly name: string; readonly notAfterMs: number }[];
  readonly config: () => Promise<AppliedConfig>;
}

/** What is said of the configuration of a program that has none in files. */
export const NO_FILE: AppliedConfig = { etag: '', appliedEtag: '', appliedAtMs: 0, ok: true, problems: [] };

/** Endpoints that are not well, and codes of failures, that one answer lists. */
const LISTED = 50;
/** A topology is drawn anew after so long, ms; and after so many times what drawing it took, so that ten thousand agents cost as little as ten. */
const DRAW_MS = 1_000;
const DRAW_SPARINGLY = 150;
/** A certificate that ends within this is worth a look, ms. */
const CERTIFICATE_SOON_MS = 14 * 86_400_000;
/** Ticks between two notes of what has failed; and notes that are kept, five minutes of them. */
const NOTE_TICKS = 10;
const NOTES = 30;

/** How a program fares: looked at once a second, for all who watch. */
export class ConsoleOverview implements OverviewBackend {
  readonly ticks: Ticks;
  readonly #parts: OverviewParts;
  readonly #pace: Pace;
  /** What had failed by then, oldest first. */
  readonly #failures: ReadonlyMap<string, number>[] = [];
  #ticked = 0;
  #drawn: Topology | null = null;
  /** Until when it is good enough, monotonic ms. */
  #drawnUntilMs = 0;

  constructor(parts: OverviewParts) {
    this.#parts = parts;
    const { clock, sweeper } = parts.house.loop;
    this.#pace = new Pace(clock.now(), (visit) => this.#each(visit));
    this.#failures.push(this.#failed());
    this.ticks = new Ticks({
      clock,
      sweeper,
      read: () => this.#read(),
      ticked: () => {
        this.#pace.passed(clock.now());
        if (++this.#ticked % NOTE_TICKS === 0 && this.#failures.push(this.#failed()) > NOTES) this.#failures.shift();
      },
    });
  }

  async overview(): Promise<Overview> {
    const parts = this.#parts;
    const certificates = parts.certificates().toSorted((a, b) => a.notAfterMs - b.notAfterMs);
    const soonMs = parts.house.loop.clock.wall() + CERTIFICATE_SOON_MS;
    return {
      history: this.ticks.history,
      failures: this.#failuresOfLate(),
      endpoints: this.#endpoints(),
      certificates: {
        total: certificates.length,
        soonest: certificates[0] ?? null,
        soon: certificates.filter(({ notAfterMs }) => notAfterMs <= soonMs).length,
      },
      config: await parts.config(),
    };
  }

  /** Made at most once a second, however many pages ask, and less often where it is large. */
  topology(): Promise<Topology> {
    const { clock } = this.#parts.house.loop;
    const now = clock.now();
    if (this.#drawn === null || now >= this.#drawnUntilMs) {
      this.#drawn = this.#draw(now);
      this.#drawnUntilMs = now + Math.max(DRAW_MS, (clock.now() - now) * DRAW_SPARINGLY);
    }
    return Promise.resolve(this.#drawn);
  }

  #draw(now: number): Topology {
    const { house, servers, groups, pool, agentUpstreams, upstreamsOf } = this.#parts;
    return topologyOf({
      servers: servers(),
      locations: house.proxyMetrics.locations,
      groups: groups(),
      agentUpstreams: agentUpstreams(),
      members: pool()?.members ?? [],
      upstreamsOf,
      rateOf: (what, requests, errors) => this.#pace.of(what, requests, errors, now),
    });
  }

  close(): void {
    this.ticks.close();
  }

  #read(): Reading {
    const { house, pool: poolOf, outside } = this.#parts;
    const total = house.proxyMetrics.total();
    const pool = poolOf();
    const agents = new Set<string>();
    let slots = 0;
    let slotsFree = 0;
    for (const member of pool?.members ?? []) {
      agents.add(member.agentId);
      slots += member.session.slots;
      slotsFree += Math.max(0, member.free);
    }
    let connections = 0;
    for (const { counts } of house.listeners) connections += counts.connections;
    const oldest = pool?.oldest ?? null;
    return {
      byClass: total.byClass,
      bounds: total.duration.buckets.bounds,
      counts: total.duration.counts,
      requestBytes: total.requestBytes,
      replyBytes: total.replyBytes,
      inFlight: house.proxyMetrics.inFlight,
      queue: (pool?.waiting ?? 0) + outside(),
      queueOldestMs: oldest === null ? 0 : house.loop.clock.now() - oldest.notes.startMs,
      slots,
      slotsFree,
      agents: agents.size,
      connections,
    };
  }

  /** All that has a rate. */
  #each(visit: (what: object, requests: number, errors: number) => void): void {
    const { house, groups, pool } = this.#parts;
    for (const tally of house.proxyMetrics.tallies()) visit(tally, tally.requests, tally.errors);
    for (const group of groups()) for (const member of group.members.values()) visit(member, member.requests, member.failures);
    for (const member of pool()?.members ?? []) visit(member, member.served + member.failed, member.failed);
  }

  #failed(): Map<string, number> {
    return new Map([...this.#parts.house.proxyMetrics.failures].map(([code, { value }]) => [code, value]));
  }

  /** Of the last five minutes, most frequent first. */
  #failuresOfLate(): Overview['failures'] {
    const before = this.#failures[0]!;
    return [...this.#failed()]
      .map(([code, count]) => ({ code, count: count - (before.get(code) ?? 0) }))
      .filter(({ count }) => count > 0)
      .toSorted((a, b) => b.count - a.count)
      .slice(0, LISTED);
  }

  #endpoints(): Overview['endpoints'] {
    const { groups, checks, pool, agentUpstreams, upstreamsOf } = this.#parts;
    const reasons = new Map(checks().map((report) => [`${report.upstream}\n${report.endpoint}`, report.lastReason]));
    const unwell: { upstream: string; endpoint: string; reason: string }[] = [];
    let total = 0;
    let usable = 0;
    for (const group of groups()) {
      for (const member of group.members.values()) {
        total++;
        if (member.usable) usable++;
        else if (unwell.length < LISTED) {
          unwell.push({ upstream: group.name, endpoint: member.id, reason: reasonOf(member, reasons.get(`${group.name}\n${member.id}`)) });
        }
      }
    }
    const lonely = new Set([...agentUpstreams()].map(({ name }) => name));
    for (const member of pool()?.members ?? []) {
      // Of ten thousand agents the first few have mostly been through all upstreams.
      if (lonely.size === 0) break;
      for (const name of upstreamsOf(member)) lonely.delete(name);
    }
    for (const name of lonely) if (unwell.length < LISTED) unwell.push({ upstream: name, endpoint: '', reason: 'no agent is connected' });
    return { total, usable, unwell };
  }
}

/** Why an endpoint gets no requests. `checked`: what its health check says. */
function reasonOf(member: Member, checked = 'unhealthy'): string {
  if (member.isOut) return 'taken out by an operator';
  return member.active ? member.condition : checked;
}
