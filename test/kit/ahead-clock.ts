import type { Clock } from '../../src/std/clock.ts';

/** The system's time, which a test may put forward. */
export class AheadClock implements Clock {
  aheadMs = 0;

  now(): number {
    return performance.now() + this.aheadMs;
  }

  wall(): number {
    return Date.now() + this.aheadMs;
  }
}
