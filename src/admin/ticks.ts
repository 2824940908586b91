import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '../std/clock.ts';
import type { Sweeper, Timed } from '../std/sweeper.ts';
import { quantile } from '../observe/histogram.ts';
import type { Tick } from './model.ts';

/** What a process has counted so far, and how it is now. */
export interface Reading {
  /** Requests that ended, 1xx to 5xx, since the start. */
  readonly byClass: ArrayLike<number>;
  /** How long they took: bounds in seconds, and how many, since the start. */
  readonly bounds: Float64Array;
  readonly counts: Float64Array;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly inFlight: number;
  readonly queue: number;
  readonly queueOldestMs: number;
  readonly slots: number;
  readonly slotsFree: number;
  readonly agents: number;
  readonly connections: number;
}

export interface TicksOptions {
  readonly clock: Clock;
  readonly sweeper: Sweeper;
  readonly read: () => Reading;
  /** Called with every tick, before those who follow: what else is to be looked at now and then. */
  readonly ticked?: () => void;
}

/** Ticks that are kept: five minutes. */
export const TICKS = 300;
const TICK_MS = 1_000;
/** Percentiles are those of so many ticks: one second of a quiet hub has hardly anything in it. */
const PERCENTILE_TICKS = 5;
/** How often the event loop's delay is sampled, ms. */
const DELAY_RESOLUTION_MS = 20;

/**
 * Looks once a second at what the process has counted, and makes rates and percentiles of the differences: once for all who watch, and for those who come
 * later and want to see the last minutes.
 */
export class Ticks implements Timed {
  readonly #options: TicksOptions;
  readonly #kept: Tick[] = [];
  /** Where the next one goes when there are TICKS. */
  #at = 0;
  readonly #followers = new Set<(tick: Tick) => void>();
  #before: Reading;
  #beforeMs: number;
  #cpu = process.cpuUsage();
  /** Counts of the last readings, oldest first. */
  readonly #counts: Float64Array[] = [];
  readonly #delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  due: number;
  place = -1;

  constructor(options: TicksOptions) {
    this.#options = options;
    this.#before = options.read();
    this.#counts.push(this.#before.counts);
    this.#beforeMs = options.clock.now();
    this.due = this.#beforeMs + TICK_MS;
    this.#delay.enable();
    options.sweeper.add(this);
  }

  /** Oldest first. */
  get history(): Tick[] {
    return [...this.#kept.slice(this.#at), ...this.#kept.slice(0, this.#at)];
  }

  /** Hears every tick from now on. @returns what ends that */
  follow(follower: (tick: Tick) => void): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  expired(now: number): void {
    // Sweeps are some milliseconds late each time; ticks are to stay a second apart all the same, and to miss those that nobody ran for.
    this.due += TICK_MS;
    if (this.due <= now) this.due = now + TICK_MS;
    const tick = this.#tick(now);
    if (this.#kept.length < TICKS) this.#kept.push(tick);
    else {
      this.#kept[this.#at] = tick;
      this.#at = (this.#at + 1) % TICKS;
    }
    this.#options.ticked?.();
    for (const follower of this.#followers) follower(tick);
  }

  close(): void {
    this.#delay.disable();
    this.#options.sweeper.remove(this);
    this.#followers.clear();
  }

  #tick(now: number): Tick {
    const before = this.#before;
    const reading = this.#options.read();
    const seconds = Math.max(0.001, (now - this.#beforeMs) / 1000);
    const rate = (is: number, was: number): number => round(Math.max(0, is - was) / seconds);
    const classes = [0, 1, 2, 3, 4].map((i) => rate(reading.byClass[i]!, before.byClass[i]!));
    const cpu = process.cpuUsage();
    const used = (cpu.user + cpu.system - this.#cpu.user - this.#cpu.system) / 1e6;
    const spread = this.#spread(reading.counts);
    const percentile = (share: number): number | null => {
      const found = quantile(reading.bounds, spread, share);
      return found === null ? null : round(found * 1000);
    };
    const tick: Tick = {
      atMs: Math.round(this.#options.clock.wall()),
      requestsPerSecond: round(classes.reduce((a, b) => a + b, 0)),
      byClass: { '2xx': classes[1]! + classes[0]!, '3xx': classes[2]!, '4xx': classes[3]!, '5xx': classes[4]! },
      inFlight: reading.inFlight,
      p50Ms: percentile(0.5),
      p95Ms: percentile(0.95),
      p99Ms: percentile(0.99),
      bytesInPerSecond: Math.round(rate(reading.requestBytes, before.requestBytes)),
      bytesOutPerSecond: Math.round(rate(reading.replyBytes, before.replyBytes)),
      queue: reading.queue,
      queueOldestMs: Math.round(reading.queueOldestMs),
      slots: reading.slots,
      slotsFree: reading.slotsFree,
      agents: reading.agents,
      connections: reading.connections,
      cpu: round(used / seconds),
      memory: process.memoryUsage.rss(),
      loopDelayMs: this.#delay.count === 0 ? 0 : round(Math.max(0, this.#delay.max / 1e6 - DELAY_RESOLUTION_MS)),
    };
    this.#delay.reset();
    this.#before = reading;
    this.#beforeMs = now;
    this.#cpu = cpu;
    return tick;
  }

  /** What was counted within the last ticks. */
  #spread(now: Float64Array): Float64Array {
    const counts = this.#counts;
    const from = counts[0]!;
    counts.push(now);
    if (counts.length > PERCENTILE_TICKS) counts.shift();
    return now.map((count, i) => Math.max(0, count - from[i]!));
  }
}

/** Three digits behind the point are more than anybody reads, and half the bytes of a double. */
function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
