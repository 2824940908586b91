import type { AgentInfo, Info, Overview, QueueInfo, Tick, UpstreamInfo } from '../../src/admin/model.ts';

/** What a scripted admin API says of a gateway that is busy. */
export const INFO: Info = {
  version: '1.2.3',
  node: 'v20.20.0',
  pid: 4711,
  hostname: 'box',
  startedAtMs: Date.now() - 3_750_000,
  kind: 'gateway',
  name: 'edge',
  state: 'serving',
  source: '/etc/windlass.toml',
  listening: [{ server: 'web', url: 'http://0.0.0.0:8080' }],
};

export function tickOf(changes: Partial<Tick> = {}): Tick {
  return {
    atMs: Date.now(),
    requestsPerSecond: 12.5,
    byClass: { '2xx': 12, '3xx': 0, '4xx': 0.25, '5xx': 0.25 },
    inFlight: 4,
    p50Ms: 3.2,
    p95Ms: 20,
    p99Ms: 1_500,
    bytesInPerSecond: 2_048,
    bytesOutPerSecond: 1_048_576,
    queue: 2,
    queueOldestMs: 1_200,
    slots: 24,
    slotsFree: 8,
    agents: 3,
    connections: 17,
    cpu: 0.07,
    memory: 120 * 1024 * 1024,
    loopDelayMs: 1.2,
    ...changes,
  };
}

export const OVERVIEW: Overview = {
  history: [tickOf({ requestsPerSecond: 1 }), tickOf({ requestsPerSecond: 20 }), tickOf()],
  failures: [{ code: 'connect_failed', count: 3 }],
  endpoints: { total: 3, usable: 2, unwell: [{ upstream: 'api', endpoint: '10.0.0.2:80', reason: 'connection refused' }] },
  certificates: { total: 2, soonest: { name: 'example', notAfterMs: Date.now() + 12.5 * 86_400_000 }, soon: 1 },
  config: { etag: 'a', appliedEtag: 'a', appliedAtMs: Date.now() - 60_000, ok: true, problems: [] },
};

export function agentOf(changes: Partial<AgentInfo> = {}): AgentInfo {
  return {
    id: 'agent-1',
    name: 'gpu-box',
    state: 'serving',
    wire: 'native',
    slots: 8,
    free: 5,
    inFlight: 3,
    served: 1_234,
    failed: 0,
    scopes: ['gpu'],
    labels: { zone: 'eu' },
    version: '1.2.3',
    joinedAtMs: Date.now() - 65_000,
    expiresAtMs: 0,
    certificate: null,
    hardware: null,
    sessions: [{ address: '10.1.2.3', slots: 8, free: 5, inFlight: 3, joinedAtMs: Date.now() - 65_000, rttMs: 12, bytesIn: 2_048, bytesOut: 4_096 }],
    remark: '',
    given: { name: '', labels: {} },
    drained: false,
    tokens: ['tok-1'],
    leftAtMs: 0,
    ...changes,
  };
}

export const QUEUE: QueueInfo = {
  size: 2,
  outside: 0,
  oldestAgeMs: 1_200,
  serviceMs: 800,
  byUpstream: [{ upstream: 'gpu', size: 2 }],
  waiting: [
    { id: 'r-7', position: 1, upstream: 'gpu', class: 3, key: 'alice', scope: '', path: '/v1/chat', ageMs: 1_200, estimatedWaitMs: 400 },
    { id: 'r-8', position: 2, upstream: 'gpu', class: 3, key: 'bob', scope: 'gpu', path: '/v1/images', ageMs: 300, estimatedWaitMs: null },
  ],
};

export const UPSTREAMS: readonly UpstreamInfo[] = [
  {
    name: 'api',
    of: 'addresses',
    algorithm: 'round_robin',
    locations: ['api'],
    inFlight: 1,
    waiting: 0,
    endpoints: [
      {
        id: '10.0.0.1:80',
        host: 'one.example.com',
        weight: 1,
        priority: 0,
        condition: 'well',
        inFlight: 1,
        check: { healthy: true, reason: '' },
        load: null,
        usable: true,
        requests: 100,
        failures: 0,
      },
      {
        id: '10.0.0.2:80',
        host: '10.0.0.2',
        weight: 1,
        priority: 0,
        condition: 'unhealthy',
        inFlight: 0,
        check: { healthy: false, reason: 'connection refused' },
        load: null,
        usable: false,
        requests: 50,
        failures: 7,
      },
    ],
    agents: null,
  },
  {
    name: 'gpu',
    of: 'agents',
    algorithm: '',
    locations: ['gpu'],
    inFlight: 3,
    waiting: 2,
    endpoints: [],
    agents: { selector: '', connected: 1, slots: 8, free: 5 },
  },
];
