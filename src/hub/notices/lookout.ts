import { noticeLimits } from './limits.ts';
import type { Notice } from './notice.ts';

/** What is looked at, as it is now. */
export interface LookoutSources {
  endpoints(): Iterable<SeenEndpoint>;
  upstreams(): Iterable<SeenUpstream>;
  /** Agents that are connected; one of several sessions may come several times. */
  agents(): Iterable<{ readonly id: string; readonly name: string; readonly address: string }>;
  certificates(): Iterable<SeenCertificate>;
}

export interface SeenEndpoint {
  readonly upstream: string;
  readonly endpoint: string;
  /** `undecided`: as it was before. */
  readonly is: 'well' | 'ill' | 'undecided';
  /** Why it is ill. */
  readonly reason: string;
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
  /** Monotonic ms from which it has been seen otherwise; null = it is as it is said to be. */
  otherSinceMs: number | null;
}

interface Agent {
  readonly name: string;
  /** Monotonic ms; null = it is here. */
  goneSinceMs: number | null;
  isLost: boolean;
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
  readonly #endpoints = new Map<string, boolean>();
  readonly #upstreams = new Map<string, Flag>();
  readonly #agents = new Map<string, Agent>();
  readonly #certificates = new Map<string, Certificate>();
  #certificatesMs = Number.NEGATIVE_INFINITY;

  constructor(sources: LookoutSources, tell: (notice: Notice) => void) {
    this.#sources = sources;
    this.#tell = tell;
  }

  /** `nowMs` is monotonic, `wallMs` Unix time. */
  look(nowMs: number, wallMs: number): void {
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
    const seen = new Set<string>();
    const changes: Notice[] = [];
    for (const { upstream, endpoint, is, reason } of this.#sources.endpoints()) {
      if (seen.size >= noticeLimits.followed) break;
      const subject = `${upstream} ${endpoint}`;
      seen.add(subject);
      const was = this.#endpoints.get(subject) ?? true;
      const now = is === 'undecided' ? was : is === 'well';
      this.#endpoints.set(subject, now);
      if (was === now) continue;
      const message = now
        ? `endpoint ${endpoint} of upstream ${upstream} is well again`
        : `endpoint ${endpoint} of upstream ${upstream} gets no requests: ${reason}`;
      changes.push({ event: now ? 'endpoint_healthy' : 'endpoint_unhealthy', atMs, subject, message });
    }
    for (const subject of this.#endpoints.keys()) if (!seen.has(subject)) this.#endpoints.delete(subject);
    this.#tellAll(changes, 'endpoints');
  }

  #lookAtUpstreams(nowMs: number, atMs: number): void {
    const seen = new Set<string>();
    for (const { name, isUp, isPatient } of this.#sources.upstreams()) {
      if (seen.size >= noticeLimits.followed) break;
      seen.add(name);
      let flag = this.#upstreams.get(name);
      if (flag === undefined) {
        // Addresses count as well until a check has said otherwise; agents are not there before they have come.
        this.#upstreams.set(name, (flag = { is: isPatient ? isUp : true, otherSinceMs: null }));
      }
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
    for (const name of this.#upstreams.keys()) if (!seen.has(name)) this.#upstreams.delete(name);
  }

  #lookAtAgents(nowMs: number, atMs: number): void {
    const seen = new Set<string>();
    const changes: Notice[] = [];
    for (const { id, name, address } of this.#sources.agents()) {
      if (seen.has(id)) continue;
      if (seen.size >= noticeLimits.followed) break;
      seen.add(id);
      const known = this.#agents.get(id);
      this.#agents.set(id, { name, goneSinceMs: null, isLost: false });
      if (known === undefined || known.isLost)
        changes.push({ event: 'agent_joined', atMs, subject: id, message: `agent ${name} (${id}) has joined from ${address}` });
    }
    for (const [id, agent] of this.#agents) {
      if (seen.has(id)) continue;
      agent.goneSinceMs ??= nowMs;
      if (nowMs - agent.goneSinceMs < noticeLimits.lostMs) continue;
      this.#agents.delete(id);
      changes.push({
        event: 'agent_lost',
        atMs,
        subject: id,
        message: `agent ${agent.name} (${id}) has been away for ${Math.round((nowMs - agent.goneSinceMs) / 1000)} s`,
      });
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
