import { noticeLimits } from './limits.ts';
import type { Notice } from './notice.ts';

/** What is looked at, as it is now. */
export interface LookoutSources {
  endpoints(): Iterable<SeenEndpoint>;
  /** Why it is ill; asked once it is. */
  reasonOf(endpoint: SeenEndpoint): string;
  upstreams(): Iterable<SeenUpstream>;
  /** Agents that are connected; one of several sessions may come several times. */
  agents(): Iterable<{ readonly id: string; readonly name: string; readonly address: string }>;
  certificates(): Iterable<SeenCertificate>;
}

export interface SeenEndpoint {
  /** The same for the same endpoint. */
  readonly key: unknown;
  readonly upstream: string;
  readonly endpoint: string;
  /** `undecided`: as it was before. */
  readonly is: 'well' | 'ill' | 'undecided';
}

export interface SeenUpstream {
  readonly name: string;
  /** May a request that comes now be served? */
  readonly isUp: boolean;
  /** Its agents may be back in a moment. */
  readonly isPatient: boolean;
}

export interface SeenCertificate {
  readonly name: string;
  readonly notAfterMs: number;
  /** Why there is no newer one: an order failed, or what lies in its files cannot be used; '' = nothing is wrong. */
  readonly problem: string;
}

interface Flag {
  is: boolean;
  /** Number of the look that has seen it last: what an older one saw is gone. */
  seen: number;
  /** Monotonic ms from which it has been seen otherwise; null = it is as it is said to be. */
  otherSinceMs: number | null;
}

interface Endpoint {
  isWell: boolean;
  seen: number;
}

interface Agent {
  readonly name: string;
  seen: number;
  /** Monotonic ms; null = it is here. */
  goneSinceMs: number | null;
}

interface Certificate {
  notAfterMs: number;
  /** The least of the days that somebody was told of; Infinity = none. */
  toldDays: number;
  isFailing: boolean;
}

/** Compares what is there with what was there, and says what has become of it. Looking is cheap for thousands: what it knows is bounded. */
export class Lookout {
  readonly #sources: LookoutSources;
  readonly #tell: (notice: Notice) => void;
  readonly #endpoints = new Map<unknown, Endpoint>();
  readonly #upstreams = new Map<string, Flag>();
  readonly #agents = new Map<string, Agent>();
  readonly #certificates = new Map<string, Certificate>();
  #certificatesMs = Number.NEGATIVE_INFINITY;
  #looks = 0;

  constructor(sources: LookoutSources, tell: (notice: Notice) => void) {
    this.#sources = sources;
    this.#tell = tell;
  }

  /** Agents that are here already are no news. What is ill is. */
  begin(): void {
    for (const { id, name } of this.#sources.agents()) this.#agents.set(id, { name, seen: 0, goneSinceMs: null });
  }

  /** `nowMs` is monotonic, `wallMs` Unix time. */
  look(nowMs: number, wallMs: number): void {
    this.#looks++;
    this.#lookAtEndpoints(wallMs);
    this.#lookAtUpstreams(nowMs, wallMs);
    this.#lookAtAgents(nowMs, wallMs);
    if (nowMs - this.#certificatesMs < noticeLimits.certificatesMs) return;
    this.#certificatesMs = nowMs;
    this.#lookAtCertificates(wallMs);
  }

  /** Certificates have changed, or others are in use. */
  certificatesChanged(): void {
    this.#certificatesMs = Number.NEGATIVE_INFINITY;
  }

  #lookAtEndpoints(atMs: number): void {
    const changes: Notice[] = [];
    let count = 0;
    for (const seen of this.#sources.endpoints()) {
      const { key, upstream, endpoint, is } = seen;
      if (count++ >= noticeLimits.followed) break;
      let known = this.#endpoints.get(key);
      if (known === undefined) this.#endpoints.set(key, (known = { isWell: true, seen: 0 }));
      known.seen = this.#looks;
      const isWell = is === 'undecided' ? known.isWell : is === 'well';
      if (known.isWell === isWell) continue;
      known.isWell = isWell;
      // Of many only some are named.
      const reason = isWell || changes.length >= SINGLY ? '' : this.#sources.reasonOf(seen);
      const subject = `${upstream} ${endpoint}`;
      const message = isWell
        ? `endpoint ${endpoint} of upstream ${upstream} is well again`
        : `endpoint ${endpoint} of upstream ${upstream} gets no requests: ${reason}`;
      changes.push({ event: isWell ? 'endpoint_healthy' : 'endpoint_unhealthy', atMs, subject, message });
    }
    for (const [key, { seen }] of this.#endpoints) if (seen !== this.#looks) this.#endpoints.delete(key);
    this.#tellAll(changes, 'endpoints');
  }

  #lookAtUpstreams(nowMs: number, atMs: number): void {
    let count = 0;
    for (const { name, isUp, isPatient } of this.#sources.upstreams()) {
      if (count++ >= noticeLimits.followed) break;
      let flag = this.#upstreams.get(name);
      if (flag === undefined) {
        // Addresses count as well until a check has said otherwise; agents are not there before they have come.
        this.#upstreams.set(name, (flag = { is: isPatient ? isUp : true, seen: 0, otherSinceMs: null }));
      }
      flag.seen = this.#looks;
      if (flag.is === isUp) {
        flag.otherSinceMs = null;
        continue;
      }
      flag.otherSinceMs ??= nowMs;
      if (!isUp && isPatient && nowMs - flag.otherSinceMs < noticeLimits.lostMs) continue;
      flag.is = isUp;
      flag.otherSinceMs = null;
      const message = isUp
        ? `upstream ${name} can serve requests again`
        : `upstream ${name} has ${isPatient ? 'no agent' : 'no endpoint that is well'}: requests to it fail or wait`;
      this.#tell({ event: isUp ? 'upstream_up' : 'upstream_down', atMs, subject: name, message });
    }
    for (const [name, { seen }] of this.#upstreams) if (seen !== this.#looks) this.#upstreams.delete(name);
  }

  #lookAtAgents(nowMs: number, atMs: number): void {
    const changes: Notice[] = [];
    for (const { id, name, address } of this.#sources.agents()) {
      const known = this.#agents.get(id);
      if (known !== undefined) {
        known.seen = this.#looks;
        known.goneSinceMs = null;
      } else if (this.#agents.size < noticeLimits.followed) {
        this.#agents.set(id, { name, seen: this.#looks, goneSinceMs: null });
        changes.push({ event: 'agent_joined', atMs, subject: id, message: `agent ${name} (${id}) has joined from ${address}` });
      }
    }
    for (const [id, agent] of this.#agents) {
      if (agent.seen === this.#looks) continue;
      agent.goneSinceMs ??= nowMs;
      if (nowMs - agent.goneSinceMs < noticeLimits.lostMs) continue;
      this.#agents.delete(id);
      const awayS = Math.round((nowMs - agent.goneSinceMs) / 1000);
      changes.push({ event: 'agent_lost', atMs, subject: id, message: `agent ${agent.name} (${id}) has been away for ${awayS} s` });
    }
    this.#tellAll(changes, 'agents');
  }

  #lookAtCertificates(atMs: number): void {
    const seen = new Set<string>();
    for (const { name, notAfterMs, problem } of this.#sources.certificates()) {
      seen.add(name);
      let known = this.#certificates.get(name);
      if (known === undefined) this.#certificates.set(name, (known = { notAfterMs, toldDays: Infinity, isFailing: false }));
      if (notAfterMs > known.notAfterMs) {
        this.#tell({
          event: 'certificate_renewed',
          atMs,
          subject: name,
          message: `certificate ${name} is a new one, good until ${dayOf(notAfterMs)}`,
        });
        known.toldDays = Infinity;
      }
      known.notAfterMs = notAfterMs;
      const isFailing = problem !== '';
      if (isFailing && !known.isFailing)
        this.#tell({ event: 'certificate_failed', atMs, subject: name, message: `certificate ${name} could not be renewed: ${problem}` });
      known.isFailing = isFailing;
      const leftDays = (notAfterMs - atMs) / DAY_MS;
      const days = noticeLimits.expiryDays.find((one) => leftDays <= one) ?? Infinity;
      const reached = leftDays <= 0 ? 0 : days;
      if (reached >= known.toldDays) continue;
      known.toldDays = reached;
      const message =
        reached === 0
          ? `certificate ${name} has expired on ${dayOf(notAfterMs)}`
          : `certificate ${name} expires on ${dayOf(notAfterMs)}, in ${daysText(leftDays)}`;
      this.#tell({ event: 'certificate_expiring', atMs, subject: name, message });
    }
    for (const name of this.#certificates.keys()) if (!seen.has(name)) this.#certificates.delete(name);
  }

  /** Many at once are one notice for each event. */
  #tellAll(changes: readonly Notice[], what: string): void {
    for (const event of new Set(changes.map((change) => change.event))) {
      const same = changes.filter((change) => change.event === event);
      if (same.length <= SINGLY) for (const change of same) this.#tell(change);
      else {
        const message = `${same.length} ${what} at once: ${same
          .slice(0, NAMED)
          .map((change) => change.message)
          .join('; ')}; and others`;
        this.#tell({ event, atMs: same[0]!.atMs, subject: `${same.length} ${what}`, message });
      }
    }
  }
}

/** Changes of one look that are told one by one, and those that are named when there are more. */
const SINGLY = 10;
const NAMED = 3;
const DAY_MS = 86_400_000;

function dayOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function daysText(days: number): string {
  if (days < 2) return `${Math.max(1, Math.floor(days * 24))} hours`;
  return `${Math.floor(days)} days`;
}
