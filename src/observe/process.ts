import { readdirSync, readFileSync } from 'node:fs';
import { constants, monitorEventLoopDelay, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { Registry } from './metrics.ts';

/** Whoever started the watching of a process ends it. */
export interface ProcessMetrics {
  close(): void;
}

/** How often the event loop's delay is sampled, ms: often enough to see a stall of 50 ms, rare enough to cost nothing. */
const DELAY_RESOLUTION_MS = 20;
const NANO = 1e-9;

/** Adds what the process knows of itself: CPU, memory, event loop, descriptors. Computed only when scraped. */
export function addProcessMetrics(metrics: Registry, version: string): ProcessMetrics {
  metrics.computed('gauge', 'windlass_build_info', 'Version of the program and of Node.js; the value is always 1.', ['version', 'node'], (emit) =>
    emit(1, version, process.version),
  );
  metrics.computedGauge('windlass_process_uptime_seconds', 'Time since the process started.', () => process.uptime());
  metrics.computed('counter', 'windlass_process_cpu_seconds_total', 'CPU time used, by mode.', ['mode'], (emit) => {
    const { user, system } = process.cpuUsage();
    emit(user / 1e6, 'user');
    emit(system / 1e6, 'system');
  });
  metrics.computed('gauge', 'windlass_process_memory_bytes', 'Memory of the process, by kind.', ['kind'], (emit) => {
    const memory = process.memoryUsage();
    emit(memory.rss, 'resident');
    emit(memory.heapUsed, 'heap_used');
    emit(memory.heapTotal, 'heap_total');
    emit(memory.external, 'external');
    emit(memory.arrayBuffers, 'array_buffers');
    emit(getHeapStatistics().heap_size_limit, 'heap_limit');
  });
  const openMax = maxDescriptors();
  metrics.computed('gauge', 'windlass_process_open_fds', 'Open file descriptors.', [], (emit) => {
    const open = openDescriptors();
    if (open >= 0) emit(open);
  });
  metrics.computed('gauge', 'windlass_process_max_fds', 'File descriptors the process may open.', [], (emit) => {
    if (openMax > 0) emit(openMax);
  });
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  metrics.computed('summary', 'windlass_event_loop_delay_seconds', 'Delay of the event loop since the last scrape.', ['quantile'], (emit) => {
    const quiet = delay.count === 0;
    emit(quiet ? 0 : excess(delay.percentile(50)), '0.5');
    emit(quiet ? 0 : excess(delay.percentile(99)), '0.99');
    emit(quiet ? 0 : excess(delay.max), '1');
    delay.reset();
  });
  let since = performance.eventLoopUtilization();
  metrics.computedGauge('windlass_event_loop_utilization', 'Share of time since the last scrape in which the event loop was busy, 0 to 1.', () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, since);
    since = now;
    return utilization;
  });
  const collections = countCollections(metrics);
  return {
    close: () => {
      delay.disable();
      collections.disconnect();
    },
  };
}

/** Collections of garbage, by what V8 calls them, and how long they held everything up. */
function countCollections(metrics: Registry): PerformanceObserver {
  const kinds = new Map([
    [constants.NODE_PERFORMANCE_GC_MINOR, { name: 'minor', count: 0, ms: 0 }],
    [constants.NODE_PERFORMANCE_GC_MAJOR, { name: 'major', count: 0, ms: 0 }],
    [constants.NODE_PERFORMANCE_GC_INCREMENTAL, { name: 'incremental', count: 0, ms: 0 }],
    [constants.NODE_PERFORMANCE_GC_WEAKCB, { name: 'weak_callbacks', count: 0, ms: 0 }],
  ]);
  const observer = new PerformanceObserver((list) => {
    for (const { detail, duration } of list.getEntries() as (PerformanceEntry & { readonly detail?: { readonly kind: number } })[]) {
      const kind = kinds.get(detail?.kind ?? 0);
      if (kind === undefined) continue;
      kind.count++;
      kind.ms += duration;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  metrics.computed('counter', 'windlass_process_gc_total', 'Collections of garbage, by kind.', ['kind'], (emit) => {
    for (const { name, count } of kinds.values()) emit(count, name);
  });
  metrics.computed('counter', 'windlass_process_gc_seconds_total', 'Time that collections of garbage took, by kind.', ['kind'], (emit) => {
    for (const { name, ms } of kinds.values()) emit(ms / 1000, name);
  });
  return observer;
}

/** The sampling timer's own period is part of what the histogram records. */
function excess(nanoseconds: number): number {
  return Math.max(0, nanoseconds * NANO - DELAY_RESOLUTION_MS / 1000);
}

/** How many files and sockets are open. -1 where the system does not tell. The listing itself needs one, which is not counted. */
export function openDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return -1;
  }
}

/** How many files and sockets may be open. 0 where the system does not tell, or sets no bound. */
export function maxDescriptors(): number {
  try {
    return Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
