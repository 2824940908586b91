import type { Agent } from './agent.ts';
import type { Child } from './child.ts';
import { type Hub, numberOn } from './hub.ts';
import { median } from './spread.ts';

/** Numbers over time: seconds since the start, and a value (NaN where there is none). */
export interface Series {
  readonly name: string;
  readonly atS: number[];
  readonly values: number[];
}

/** Memory of one process over a run. */
export interface Memory {
  readonly name: string;
  readonly spared: boolean;
  /** Medians of the second and the last quarter of the run, MiB. */
  readonly secondMiB: number;
  readonly lastMiB: number;
}

const IN_FLIGHT_EVERY_MS = 250;
const OTHERS_EVERY_MS = 1_000;
const MIB = 1024 * 1024;

/** Writes down what hubs and agents look like while they are under load. */
export class Samples {
  readonly inFlight: readonly Series[];
  readonly waiting: readonly Series[];
  readonly #memory: readonly Series[];
  readonly #spared: ReadonlySet<string>;
  readonly #timers: NodeJS.Timeout[];
  readonly #start = performance.now();

  constructor(hubs: readonly Hub[], agents: readonly Agent[], spared: ReadonlySet<string>) {
    const named = ({ name }: { name: string }): Series => ({ name, atS: [], values: [] });
    this.inFlight = agents.map(named);
    this.waiting = hubs.map(named);
    this.#memory = [...hubs, ...agents].map(named);
    this.#spared = spared;
    const add = (series: Series, value: number): void => {
      series.atS.push((performance.now() - this.#start) / 1_000);
      series.values.push(value);
    };
    this.#timers = [
      setInterval(() => {
        for (const [i, { origin }] of agents.entries()) add(this.inFlight[i]!, origin.takeMost());
      }, IN_FLIGHT_EVERY_MS),
      setInterval(() => {
        for (const [i, hub] of hubs.entries()) {
          const series = this.waiting[i]!;
          if (hub.state !== 'up') add(series, Number.NaN);
          else void hub.metrics().then((page) => add(series, numberOn(page, 'windlass_queue_size')));
        }
        for (const [i, { child }] of [...hubs, ...agents].entries()) {
          const bytes = resident(child);
          if (bytes > 0) add(this.#memory[i]!, bytes);
        }
      }, OTHERS_EVERY_MS),
    ];
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  get seconds(): number {
    return this.inFlight[0]?.atS.at(-1) ?? 0;
  }

  memory(): Memory[] {
    const quarter = this.seconds / 4;
    return this.#memory.map(({ name, atS, values }) => {
      const between = (from: number, to: number): number => median(values.filter((_, i) => atS[i]! >= from && atS[i]! < to)) / MIB;
      return { name, spared: this.#spared.has(name), secondMiB: between(quarter, 2 * quarter), lastMiB: between(3 * quarter, Infinity) };
    });
  }
}

function resident(child: Child | null): number {
  return child === null || !child.alive ? 0 : child.residentBytes;
}
