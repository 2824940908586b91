import type { CertFiles } from '../../certs/files.ts';
import type { AgentDesk } from '../agent-desk.ts';
import { ConsoleAgents } from './agents.ts';
import { ConsoleCertificates } from './certificates.ts';
import { ConsoleQueue } from './queue.ts';
import { ConsoleUpstreams, type ShownSelection } from './upstreams.ts';
import type { Front } from '../front.ts';
import type { ShownCertificate } from '../gateway/certificates.ts';
import { dialled, type Resources } from './gateway-resources.ts';
import { AGENTS, HUB } from './hub-overview.ts';

/** Agents, queue, upstreams and certificates of a hub without a file, for its console. `outside`: requests that wait to come inside. */
export function hubResources(front: Front, desk: AgentDesk, outside: () => number): Resources {
  const { house } = front;
  const { log } = house;
  const { clock } = house.loop;
  const { pool } = desk;
  const everybody: ShownSelection = {
    name: AGENTS,
    get waiting() {
      return pool.waiting;
    },
    selector: pool.everybody.selector,
    algorithm: pool.everybody.algorithm,
    facts: pool.everybody.facts,
  };
  return {
    agents: new ConsoleAgents({
      desk: () => desk,
      hubUrl: () => (front.listener === null ? null : dialled(front.listener.address, front.listener.isSecure)),
      clock,
      log,
      changed: () => house.console?.changed('agents'),
    }),
    queue: new ConsoleQueue({
      pool: () => pool,
      outside,
      byUpstream: () => [{ upstream: AGENTS, size: pool.waiting }],
      clock,
      log,
      changed: () => house.console?.changed('queue'),
    }),
    upstreams: new ConsoleUpstreams({
      groups: () => [],
      group: () => undefined,
      selections: () => [everybody],
      members: () => pool.members,
      health: { describe: () => [] },
      locations: () => new Map(),
      log,
      changed: () => house.console?.changed('upstreams'),
    }),
    certificates: new ConsoleCertificates({
      shown: () => (front.certs === null ? [] : [shownFiles(front.certs)]),
      orderOf: () => undefined,
      clock,
    }),
  };
}

function shownFiles({ current, problem }: CertFiles): ShownCertificate {
  return { label: HUB, source: 'server', cert: current.cert.toString('latin1'), usedBy: [HUB], problem };
}
