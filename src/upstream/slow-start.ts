import { SLOW_START_LEAST } from './limits.ts';

/** Which part of its share an endpoint gets, this long after it came back: from a tenth to all of it, evenly over `durationMs`. */
export function slowStart(elapsedMs: number, durationMs: number): number {
  if (elapsedMs >= durationMs) return 1;
  return SLOW_START_LEAST + (1 - SLOW_START_LEAST) * Math.max(0, elapsedMs / durationMs);
}
