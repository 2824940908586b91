import type { Clock } from '../../src/std/clock.ts';

/** The system's time, with a wall clock that a test may put forward. (What waits for an answer goes by the other.) */
export class AheadClock implements Clock {
  aheadMs = 0;

  now(): number {
    return performance.now();
  }

  wall(): number {
    return Date.now() + this.aheadMs;
  }
}
