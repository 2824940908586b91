import type { Clock } from '../std/clock.ts';
import type { AgentIdentity, Session } from '../tunnel/session.ts';
import { AWAY_AGENTS, AWAY_FACTS } from './limits.ts';
import { announcedFact, factsOf, plainHost, readAnnounced } from './selector.ts';

/** One agent that is here, or was not long ago. */
interface Known {
  readonly id: string;
  readonly facts: ReadonlySet<string>;
  /** Monotonic ms at which it left. */
  awaySinceMs: number;
}

/** Which agents there are and have been of late, by what they are: who is asked for but was never heard of is told from who is only away. */
export class Roster {
  readonly #clock: Clock;
  readonly #knownForMs: number;
  readonly #here = new Map<Session, Known>();
  /** By id, longest away first. */
  readonly #away = new Map<string, Known>();
  #awayFacts = 0;
  readonly #byFact = new Map<string, Set<Known>>();
  /** Hosts that are announced, and by how many facts. */
  readonly #hosts = new Map<string, number>();
  /** Segments of the deepest route that was ever announced. */
  #depth = 0;

  constructor(clock: Clock, knownForMs: number) {
    this.#clock = clock;
    this.#knownForMs = knownForMs;
  }

  /** `as`: how it is seen here. @returns what selectors may ask of it */
  joined(session: Session, as: AgentIdentity = session.agent): ReadonlySet<string> {
    const { id } = session.agent;
    const before = this.#away.get(id);
    if (before !== undefined) this.#forget(before);
    return this.#add(session, as);
  }

  /** It is seen in another way from now on. @returns what selectors may ask of it */
  turned(session: Session, as: AgentIdentity): ReadonlySet<string> {
    this.#dropFacts(this.#here.get(session)!);
    return this.#add(session, as);
  }

  #add(session: Session, as: AgentIdentity): ReadonlySet<string> {
    const known: Known = { id: session.agent.id, facts: factsOf(as), awaySinceMs: 0 };
    this.#here.set(session, known);
    for (const fact of known.facts) {
      const having = this.#byFact.get(fact);
      if (having !== undefined) having.add(known);
      else {
        this.#byFact.set(fact, new Set([known]));
        this.#countHost(fact, 1);
      }
    }
    return known.facts;
  }

  left(session: Session): void {
    const known = this.#here.get(session);
    if (known === undefined) return;
    this.#here.delete(session);
    const before = this.#away.get(known.id);
    if (before !== undefined) this.#forget(before);
    known.awaySinceMs = this.#clock.now();
    this.#away.set(known.id, known);
    this.#awayFacts += known.facts.size;
    while (this.#away.size > AWAY_AGENTS || this.#awayFacts > AWAY_FACTS) this.#forget(this.#away.values().next().value!);
  }

  /** Is or was there an agent of which all of this is true? */
  knows(facts: readonly string[]): boolean {
    this.#prune();
    let fewest: Set<Known> | undefined;
    for (const fact of facts) {
      const having = this.#byFact.get(fact);
      if (having === undefined) return false;
      if (fewest === undefined || having.size < fewest.size) fewest = having;
    }
    if (fewest === undefined) return this.#here.size + this.#away.size > 0;
    for (const known of fewest) if (facts.every((fact) => known.facts.has(fact))) return true;
    return false;
  }

  /**
   * What is announced for this host and path, as a fact: the exact host before `*.domain` before any host, then the longest route.
   * @returns null when nothing is
   */
  announced(authority: string, path: string): string | null {
    this.#prune();
    if (this.#hosts.size === 0) return null;
    // Where nobody announces a host, nothing is to be known of the request's.
    const host = this.#hosts.size === 1 && this.#hosts.has('') ? '' : plainHost(authority);
    if (host !== '') {
      const exact = this.#route(host, path);
      if (exact !== null) return exact;
      for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
        const wide = this.#route(`*${host.slice(dot)}`, path);
        if (wide !== null) return wide;
      }
    }
    return this.#route('', path);
  }

  #route(host: string, path: string): string | null {
    if (!this.#hosts.has(host)) return null;
    // Cut where its deepest route may end, then one segment after the other off its end.
    let end = path.length;
    let segments = 0;
    for (let at = path.indexOf('/', 1); at >= 0; at = path.indexOf('/', at + 1)) {
      if (++segments < this.#depth) continue;
      end = at;
      break;
    }
    while (true) {
      const fact = announcedFact(host, end <= 0 ? '' : path.slice(0, end));
      if (this.#byFact.has(fact)) return fact;
      if (end <= 0) return null;
      end = path.lastIndexOf('/', end - 1);
    }
  }

  #prune(): void {
    if (this.#away.size === 0) return;
    const until = this.#clock.now() - this.#knownForMs;
    for (const known of this.#away.values()) {
      if (known.awaySinceMs >= until) return;
      this.#forget(known);
    }
  }

  /** Somebody who is away. */
  #forget(known: Known): void {
    this.#away.delete(known.id);
    this.#awayFacts -= known.facts.size;
    this.#dropFacts(known);
  }

  #dropFacts(known: Known): void {
    for (const fact of known.facts) {
      const having = this.#byFact.get(fact)!;
      having.delete(known);
      if (having.size > 0) continue;
      this.#byFact.delete(fact);
      this.#countHost(fact, -1);
    }
  }

  #countHost(fact: string, by: 1 | -1): void {
    const announced = readAnnounced(fact);
    if (announced === null) return;
    const { host, route } = announced;
    const count = (this.#hosts.get(host) ?? 0) + by;
    if (count === 0) this.#hosts.delete(host);
    else this.#hosts.set(host, count);
    this.#depth = Math.max(this.#depth, route.split('/').length - 1);
  }
}
