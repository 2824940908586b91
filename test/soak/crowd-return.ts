import type { Children } from './child.ts';
import { Hub, numberOn } from './hub.ts';
import { Origin } from './origin.ts';

/** One return of a hub. */
export interface Return {
  readonly how: 'killed' | 'stopped in order';
  /** From the hub's first word until 95 % and all of its agents were back, s. */
  readonly p95S: number;
  readonly allS: number;
}

const PROCESSES = 5;
const LOOK_EVERY_MS = 20;
const PATIENCE_MS = 60_000;

/** Lets a hub with many agents die and come back. */
export async function measureReturns(children: Children, agents: number, ends: readonly Return['how'][]): Promise<Return[]> {
  const origin = await new Origin('crowd', agents, { arrived: () => {}, ended: () => {}, defect: () => {} }).listen();
  const hub = await new Hub({ children, index: 0, delayMs: 0, logged: () => {} }).start();
  const each = Math.ceil(agents / PROCESSES);
  const processes = Array.from({ length: PROCESSES }, (_, i) =>
    children.start(`crowd-${i + 1}`, 'agent run', {
      'token-file': children.tokenFile,
      hub: `127.0.0.1:${hub.port}`,
      upstream: Array.from({ length: Math.min(each, agents - i * each) }, () => `127.0.0.1:${origin.port}`).join(','),
      'agent-id': `crowd-${i + 1}`,
      'report-hardware': 'false',
      'log-level': 'error',
      proxy: 'off',
    }),
  );
  await joined(hub, agents);
  const returns: Return[] = [];
  for (const how of ends) {
    await (how === 'killed' ? hub.kill() : hub.term());
    // Long enough for each agent to have reached its longest backoff.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await hub.start();
    const start = performance.now();
    await joined(hub, Math.ceil(agents * 0.95));
    const p95S = (performance.now() - start) / 1_000;
    await joined(hub, agents);
    returns.push({ how, p95S, allS: (performance.now() - start) / 1_000 });
  }
  for (const child of [...processes, hub.child!]) child.signal('SIGKILL');
  await Promise.all([...processes, hub.child!].map(({ ended }) => ended));
  origin.close();
  return returns;
}

async function joined(hub: Hub, count: number): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const there = numberOn(await hub.metrics(), 'windlass_agent_sessions');
    if (there >= count) return;
    if (performance.now() > end) throw new Error(`after a minute, ${there} of ${count} agents are joined`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
