import { Calm } from './calm.ts';
import type { Probe } from './probe.ts';
import { Spread } from './spread.ts';
import type { Stalls } from './stalls.ts';

/** What is known of round trips now. */
export interface RoundTrips {
  /** By hub, through a relay of the same delay. */
  readonly hubs: readonly Probe[];
  /** By agent. */
  readonly agents: readonly Probe[];
  /** Of the driver itself. */
  readonly stalls: Stalls;
}

/** The rule: no slot lies idle beside a waiting request for longer than so many round trips of the slowest hub. */
const ROUND_TRIPS = 2;
/** Probes are samples: those of so long before count as well, ms. */
const AROUND_MS = 200;

/**
 * Looks at each request that reaches an origin: how long had the slot that it took been idle while this very request waited? Origin and client are one
 * process, so both moments are exact. Of several idle slots it takes the one that has been idle longest, which no other way of reckoning can better.
 *
 * The bound is two round trips of the slowest hub, as probes over the same ways measured them at that very time, plus what the agent's process took to
 * answer at all, and the time in which the driver stood still: on a machine with too few processors a process that waits for one is not a slot that
 * lies idle.
 * Hubs and ways that are being disturbed are left out, until they have had time to find each other again.
 */
export class IdleSlots {
  readonly #roundTrips: RoundTrips;
  /** By agent: since when each of its slots has been idle, oldest first. */
  readonly #idle: number[][];
  readonly hubs: readonly Calm[];
  /** By agent, then by hub. */
  readonly ways: readonly (readonly Calm[])[];
  readonly overlap = new Spread();
  /** Beyond the bound. */
  readonly tooLong: string[] = [];
  /** Longer than two round trips as the relays' delays alone make them: what a machine with a processor for each process would be held to. */
  beyondDelay = 0;
  readonly #delayMs: number;

  /** `slowestMs`: round trip of the slowest hub by the relays' delays alone. */
  constructor(slots: readonly number[], hubs: number, slowestMs: number, roundTrips: RoundTrips) {
    this.#roundTrips = roundTrips;
    this.#delayMs = slowestMs;
    this.#idle = slots.map((count) => Array.from({ length: count }, () => Infinity));
    this.hubs = Array.from({ length: hubs }, () => new Calm());
    this.ways = slots.map(() => Array.from({ length: hubs }, () => new Calm()));
  }

  freed(agent: number): void {
    this.#idle[agent]!.push(performance.now());
  }

  /** `waitsSinceMs`: when the request was sent; null when it cannot be told what it did since. */
  filled(agent: number, hub: number, waitsSinceMs: number | null, what: string): void {
    const idleSinceMs = this.#idle[agent]!.shift();
    if (idleSinceMs === undefined || waitsSinceMs === null) return;
    const from = Math.max(idleSinceMs, waitsSinceMs);
    const calm = Math.max(this.hubs[hub]!.sinceMs, this.ways[agent]![hub]!.sinceMs);
    const now = performance.now();
    if (calm > now || idleSinceMs === Infinity) return;
    const overlap = Math.max(0, now - Math.max(from, calm));
    this.overlap.add(overlap);
    if (overlap <= ROUND_TRIPS * this.#delayMs) return;
    this.beyondDelay++;
    const { hubs, agents, stalls } = this.#roundTrips;
    let slowest = this.#delayMs;
    for (let i = 0; i < hubs.length; i++)
      if (this.hubs[i]!.sinceMs <= now) slowest = Math.max(slowest, hubs[i]!.longest(now - overlap - AROUND_MS, now));
    const bound = ROUND_TRIPS * (slowest + agents[agent]!.longest(now - overlap - AROUND_MS, now)) + stalls.since(now - overlap);
    if (overlap > bound) this.tooLong.push(`${what}: ${overlap.toFixed(1)} ms, ${bound.toFixed(1)} allowed`);
  }
}
