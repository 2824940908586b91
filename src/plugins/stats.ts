import { availableParallelism, hostname } from 'node:os';
import { textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { maxDescriptors, openDescriptors } from '../observe/process.ts';
import { VERSION } from '../observe/version.ts';
import { definePlugin, type PluginExchange, type Verdict } from '../proxy/plugin.ts';

/** Says how the process fares. */
export const statsPlugin = definePlugin({
  name: 'stats',
  summary: 'tells at a path how the process fares, as JSON: requests, memory, descriptors, times',
  steps: ['request', 'proxy_upstream'],
  settings: {
    path: setting({
      kind: textLike(/^\/[\x21-\x7e]*$/, 'PATH', 'path', 'begin it with /'),
      group: 'Request',
      help: 'where it answers; whoever may ask there sees it, so put an access plugin before it',
      fallback: '/stats',
    }),
  },
  create({ path }, { step, metrics, clock }) {
    const ask = ({ request }: PluginExchange): Verdict => {
      if (request.path !== path) return undefined;
      const memory = process.memoryUsage();
      const cpu = process.cpuUsage();
      const uptimeSeconds = Math.floor(process.uptime());
      const stats = {
        // This request is one of them.
        processing: metrics.sum('windlass_requests_in_flight') ?? 0,
        accepted: (metrics.sum('windlass_requests_total') ?? 0) + (metrics.sum('windlass_requests_in_flight') ?? 0),
        connections: metrics.sum('windlass_connections') ?? 0,
        failures: metrics.sum('windlass_failures_total') ?? 0,
        hostname: hostname(),
        version: VERSION,
        node: process.version,
        platform: `${process.platform}-${process.arch}`,
        pid: process.pid,
        start_time: new Date(clock.wall() - uptimeSeconds * 1000).toISOString(),
        uptime: uptimeSeconds,
        cpus: availableParallelism(),
        cpu_seconds: Math.round((cpu.user + cpu.system) / 10_000) / 100,
        memory: memory.rss,
        memory_heap: memory.heapUsed,
        fd_count: openDescriptors(),
        fd_max: maxDescriptors(),
      };
      return { status: 200, headers: ['Content-Type', 'application/json', 'Cache-Control', 'no-store'], body: `${JSON.stringify(stats)}\n` };
    };
    return step === 'proxy_upstream' ? { upstream: ask } : { request: ask };
  },
});
