import type { AgentIdentity } from '../tunnel/session.ts';
import type { AgentPool } from '../upstream/agents.ts';
import { AGENTS } from './console/hub-overview.ts';
import type { Front } from './front.ts';
import { Notices } from './notices/notices.ts';

/** What is told of a hub without a file. `outside`: requests that wait to come inside. */
export function hubNotices(front: Front, pool: AgentPool, outside: () => number): Notices {
  const { house, certs } = front;
  const { loop, log, metrics } = house;
  return new Notices({
    loop,
    log,
    metrics,
    isEnding: () => house.draining,
    sources: {
      waiting: () => pool.waiting + outside(),
      endpoints: () => [],
      reasonOf: () => '',
      upstreams: () => [{ name: AGENTS, isUp: pool.everybody.hasWorkers, isPatient: true }],
      agents: () => agentsOf(pool),
      certificates: () => (certs === null ? [] : [{ name: '--tls-cert', notAfterMs: certs.current.notAfterMs, problem: certs.problem }]),
    },
  });
}

function* agentsOf({ sessions }: AgentPool): Iterable<AgentIdentity> {
  for (const { agent } of sessions) yield agent;
}
