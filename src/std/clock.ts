import { performance } from 'node:perf_hooks';

/** Time, passed in so that tests can move it. Durations never come from the wall clock (a clock set back by a year must harm nobody). */
export interface Clock {
  /** Monotonic milliseconds, fractional. */
  now(): number;
  /** Wall clock, milliseconds since the Unix epoch. Only for dates people read and for token expiry. */
  wall(): number;
}

export const systemClock: Clock = { now: () => performance.now(), wall: () => Date.now() };
