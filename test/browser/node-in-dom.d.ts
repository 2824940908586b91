import type { performance } from 'node:perf_hooks';

// The types of browsers hide some of Node's; the program that tests start needs both.
declare global {
  interface Performance {
    eventLoopUtilization: typeof performance.eventLoopUtilization;
  }
}
