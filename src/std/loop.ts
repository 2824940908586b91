import { systemClock, type Clock } from './clock.ts';
import { Reads } from './reads.ts';
import { Slabs } from './slabs.ts';
import { Sweeper } from './sweeper.ts';
import { Turn } from './turn.ts';

/** What everything that runs on one event loop shares. Made once by a composition root and passed in. */
export interface Loop {
  readonly clock: Clock;
  readonly turn: Turn;
  readonly slabs: Slabs;
  readonly reads: Reads;
  readonly sweeper: Sweeper;
}

export function createLoop(clock: Clock = systemClock): Loop {
  return { clock, turn: new Turn(), slabs: new Slabs(), reads: new Reads(), sweeper: new Sweeper(clock) };
}
