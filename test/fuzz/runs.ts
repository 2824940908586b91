import type { Parameters } from 'fast-check';

/** How often a property is tried: `normal` times, a second's worth, or as often as FUZZ_RUNS says. FUZZ_SEED repeats a run that failed. */
export function runs<T>(normal: number): Parameters<T> {
  const { FUZZ_RUNS, FUZZ_SEED } = process.env;
  return {
    numRuns: FUZZ_RUNS === undefined ? normal : Number(FUZZ_RUNS),
    ...(FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) }),
  };
}

/** Time limit of a test that uses runs(), ms. */
export const FUZZ_TIMEOUT_MS = process.env['FUZZ_RUNS'] === undefined ? 60_000 : 24 * 3_600_000;
