// A small world that moves: agents that take and give slots, requests that pass, a queue that grows and shrinks.
import { Refusal } from './refusal.mjs';

const NAMES = ['falcon', 'heron', 'kestrel', 'osprey', 'swift', 'martin', 'plover', 'curlew', 'dunlin', 'avocet'];
const REGIONS = ['eu-west', 'us-east', 'ap-south'];
const CARDS = ['NVIDIA L40S', 'NVIDIA H100 80GB', 'NVIDIA RTX 4090', 'AMD MI300X'];
const ROUTES = [
  { server: 'web', location: 'chat', upstream: 'gpu', of: 'agents', method: 'POST', path: '/v1/chat/completions', ms: 1400 },
  { server: 'web', location: 'models', upstream: 'gpu', of: 'agents', method: 'GET', path: '/v1/models', ms: 9 },
  { server: 'web', location: 'images', upstream: 'gpu', of: 'agents', method: 'POST', path: '/v1/images/generations', ms: 3800 },
  { server: 'web', location: 'shop', upstream: 'shop', of: 'addresses', method: 'GET', path: '/shop/cart', ms: 24 },
  { server: 'web', location: 'static', upstream: 'files', of: 'addresses', method: 'GET', path: '/assets/app.js', ms: 3 },
  { server: 'internal', location: 'billing', upstream: 'billing', of: 'addresses', method: 'PUT', path: '/api/invoices/4711', ms: 48 },
];
const SORTS = ['name', 'id', 'state', 'slots', 'free', 'inFlight', 'served', 'failed', 'joined'];
const HISTORY = 300;
const KEPT = 500;

/** `seed` makes the same world again. */
export function makeWorld({ agents: count = 40, unwell = true, inspector = true, seed = 7, quiet = false, kind = 'gateway', hostile = null } = {}) {
  let state = seed;
  const random = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  const pick = (list) => list[Math.floor(random() * list.length)];
  const hex = (length) => Array.from({ length }, () => Math.floor(random() * 16).toString(16)).join('');
  const startedAtMs = Date.now() - 93_784_000;

  const agent = (i) => {
    const slots = pick([1, 2, 4, 4, 8]);
    const free = quiet ? slots : Math.floor(random() * (slots + 1));
    const card = pick(CARDS);
    const away = i % 23 === 11;
    const joinedAtMs = Date.now() - Math.floor(random() * 86_400_000 * 3);
    return {
      id: `ag_${hex(12)}`,
      name: hostile ?? `${pick(NAMES)}-${String(i + 1).padStart(2, '0')}`,
      state: away ? 'away' : i % 17 === 5 ? 'draining' : 'serving',
      wire: i % 13 === 4 ? 'slime' : i % 19 === 8 ? 'cranker' : 'native',
      slots: away ? 0 : slots,
      free: away ? 0 : free,
      inFlight: away ? 0 : slots - free,
      served: Math.floor(random() * 90_000),
      failed: Math.floor(random() * 40),
      scopes: ['llm'],
      labels:
        hostile === null ? { region: pick(REGIONS), model: pick(['llama-70b', 'qwen-32b', 'flux']), tier: pick(['a', 'b']) } : { [hostile]: hostile },
      version: pick(['0.1.0', '0.1.0', '0.0.9']),
      joinedAtMs,
      expiresAtMs: i % 6 === 0 ? Date.now() + 86_400_000 * 9 : 0,
      certificate: null,
      hardware: { gpu: card, gpus: pick([1, 2, 4]), gpuMemoryBytes: 48e9, cpus: pick([16, 32, 64]), memoryBytes: 128e9, os: 'linux 6.8' },
      sessions: away
        ? []
        : Array.from({ length: pick([1, 1, 2]) }, (_, s) => ({
            address: `203.0.113.${(i * 7 + s) % 250}:${40_000 + ((i * 31) % 20_000)}`,
            slots,
            free,
            inFlight: slots - free,
            joinedAtMs,
            rttMs: 4 + random() * 60,
            bytesIn: Math.floor(random() * 8e9),
            bytesOut: Math.floor(random() * 3e9),
          })),
      remark: i % 9 === 2 ? 'rack 4, second from above' : '',
      given: { name: '', labels: {} },
      drained: i % 17 === 5,
      tokens: [hex(20)],
      leftAtMs: away ? Date.now() - 400_000 : 0,
    };
  };

  const agents = Array.from({ length: count }, (_, i) => agent(i));
  const endpoint = (host, more = {}) => ({
    id: host,
    host,
    weight: 1,
    priority: 0,
    condition: 'well',
    inFlight: Math.floor(random() * 6),
    check: { healthy: true, reason: '' },
    load: null,
    usable: true,
    requests: Math.floor(random() * 90_000),
    failures: Math.floor(random() * 3),
    ...more,
  });
  const upstreams = [
    { name: 'gpu', of: 'agents', algorithm: 'least_loaded', locations: ['chat', 'models', 'images'], inFlight: 31, waiting: 4, endpoints: [] },
    {
      name: 'shop',
      of: 'addresses',
      algorithm: 'round_robin',
      locations: ['shop'],
      inFlight: 9,
      waiting: 0,
      endpoints: [
        endpoint('10.20.0.11:8080', { weight: 5, inFlight: 4 }),
        endpoint('10.20.0.12:8080', { weight: 5, inFlight: 3 }),
        unwell
          ? endpoint('10.20.0.13:8080', {
              weight: 1,
              inFlight: 0,
              condition: 'unhealthy',
              check: { healthy: false, reason: 'GET /healthz: connection refused' },
            })
          : endpoint('10.20.0.13:8080'),
      ],
    },
    {
      name: 'files',
      of: 'addresses',
      algorithm: 'hash',
      locations: ['static'],
      inFlight: 1,
      waiting: 0,
      endpoints: [endpoint('10.20.0.40:9000', { check: null }), endpoint('10.20.0.41:9000', { check: null })],
    },
    {
      name: 'billing',
      of: 'addresses',
      algorithm: 'least_conn',
      locations: ['billing'],
      inFlight: 2,
      waiting: 0,
      endpoints: [
        endpoint('billing-a.internal:443', { load: 0.41 }),
        endpoint('billing-b.internal:443', { load: 0.77, condition: unwell ? 'trying' : 'well' }),
      ],
    },
  ];

  const waiting = [];
  const enqueue = (ageMs = 0) =>
    waiting.push({
      id: `q_${hex(8)}`,
      upstream: 'gpu',
      class: pick([3, 3, 5]),
      key: hostile ?? pick(['team-search', 'team-chat', 'nightly']),
      scope: 'llm',
      path: hostile ?? pick(['/v1/chat/completions', '/v1/images/generations']),
      bornMs: Date.now() - ageMs,
    });
  if (!quiet) for (let i = 0; i < 7; i++) enqueue((7 - i) * 2_300);

  const traffic = [];
  let serial = 0;
  const exchange = (atMs) => {
    const route = quiet
      ? ROUTES[1]
      : pick([ROUTES[0], ROUTES[0], ROUTES[0], ROUTES[1], ROUTES[1], ROUTES[2], ROUTES[3], ROUTES[3], ROUTES[4], ROUTES[4], ROUTES[5]]);
    const roll = random();
    const status = roll < 0.02 ? 502 : roll < 0.03 ? 503 : roll < 0.06 ? 404 : roll < 0.08 ? 429 : roll < 0.13 ? 304 : 200;
    const waitedMs = route.of === 'agents' && random() < 0.4 ? random() * 900 : 0;
    const own = route.ms * (0.5 + random());
    const taken = route.of === 'agents' ? pick(agents) : null;
    const item = {
      id: `x${(++serial).toString(36)}${hex(6)}`,
      atMs,
      client: `198.51.100.${Math.floor(random() * 250)}`,
      method: route.method,
      host: route.server === 'web' ? 'api.example.com' : 'billing.internal',
      target: hostile ?? route.path,
      protocol: random() < 0.6 ? 'HTTP/2' : 'HTTP/1.1',
      status,
      server: route.server,
      location: route.location,
      upstream: route.upstream,
      endpoint: taken === null ? upstreams.find(({ name }) => name === route.upstream).endpoints[0].host : '',
      agent: taken?.id ?? '',
      totalMs: waitedMs + own,
      waitedMs,
      firstByteMs: waitedMs + own * 0.3,
      requestBytes: Math.floor(random() * 4_000),
      replyBytes: Math.floor(random() * 90_000),
      attempts: status === 502 ? 2 : 1,
      failure: status === 502 ? 'refused' : status === 503 ? 'queue_timeout' : '',
      traceId: hex(32),
      requestId: hex(16),
      replayOf: '',
    };
    traffic.push(item);
    if (traffic.length > KEPT) traffic.shift();
    return item;
  };

  const history = [];
  const tickAt = (atMs, i) => {
    const wave = quiet ? 0 : 1 + 0.35 * Math.sin(i / 23) + 0.12 * Math.sin(i / 5) + 0.1 * (random() - 0.5);
    const all = 142 * wave;
    const bad = quiet ? 0 : (i % 97 < 9 ? 5 : 0.4) * random();
    const slots = agents.reduce((sum, one) => sum + one.slots, 0);
    const busy = agents.reduce((sum, one) => sum + one.inFlight, 0);
    return {
      atMs,
      requestsPerSecond: all + bad,
      byClass: { '2xx': all * 0.88, '3xx': all * 0.07, '4xx': all * 0.05, '5xx': bad },
      inFlight: Math.round(44 * wave),
      p50Ms: quiet ? null : 18 + 6 * wave + 3 * random(),
      p95Ms: quiet ? null : 240 + 60 * wave + 40 * random(),
      p99Ms: quiet ? null : 980 + 220 * wave + 160 * random(),
      bytesInPerSecond: 410e3 * wave,
      bytesOutPerSecond: 8.2e6 * wave,
      queue: quiet ? 0 : Math.max(0, Math.round(5 * Math.sin(i / 17) + 3)),
      queueOldestMs: waiting.length === 0 ? 0 : Date.now() - waiting[0].bornMs,
      slots,
      slotsFree: quiet ? slots : Math.max(0, slots - busy + Math.round(6 * Math.sin(i / 13))),
      agents: agents.filter((one) => one.state !== 'away').length,
      connections: Math.round(180 * wave),
      cpu: 0.21 * wave,
      memory: 148e6 + 6e6 * Math.sin(i / 31),
      loopDelayMs: 1.1 + random(),
    };
  };
  const begins = Math.floor(Date.now() / 1_000) * 1_000;
  for (let i = 0; i < HISTORY; i++) history.push(tickAt(begins - (HISTORY - i) * 1_000, i));
  for (let i = 0; i < (quiet ? 0 : 120); i++) exchange(begins - (120 - i) * 310);

  const listeners = new Set();
  const trafficListeners = new Set();
  const say = (event, data) => {
    for (const listener of listeners) listener(event, data);
  };

  const world = {
    agents,
    upstreams,
    waiting,
    traffic,
    revoked: [{ id: 'ag_00aa11bb22cc', atMs: begins - 86_400_000 * 3, by: 'alice', name: 'old-laptop', reason: 'laptop was lost', fixed: false }],
    settings: { enabled: inspector, size: 1_000 },
    history,
    startedAtMs,
    kind,
    random,
    hex,
    say,
    exchange,
    follow: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    followTraffic: (listener) => {
      trafficListeners.add(listener);
      return () => trafficListeners.delete(listener);
    },
    tick: () => {
      const tick = tickAt(Date.now(), history.length + Math.floor((Date.now() - begins) / 1_000));
      history.push(tick);
      if (history.length > HISTORY) history.shift();
      say('tick', tick);
      if (quiet) return;
      if (waiting.length > 3 && random() < 0.5) waiting.shift();
      if (waiting.length < 12 && random() < 0.5) enqueue();
      for (let i = 0; i < 3; i++) {
        const item = exchange(Date.now());
        if (world.settings.enabled) for (const listener of trafficListeners) listener('exchange', item);
      }
    },
  };
  return world;
}

/** Those of the screens of this folder. */
export const liveRoutes = {
  'GET /info': ({ world }) => ({
    version: '0.1.0',
    node: '20.20.2',
    pid: 4711,
    hostname: 'edge-1.example.com',
    startedAtMs: world.startedAtMs,
    kind: world.kind,
    name: 'edge-1',
    state: 'serving',
    source: world.kind === 'gateway' ? '/etc/windlass/windlass.toml' : null,
    listening: [
      { server: 'web', url: 'https://0.0.0.0:443' },
      { server: 'internal', url: 'http://10.20.0.1:8080' },
    ],
  }),
  'GET /overview': ({ world }) => {
    const endpoints = world.upstreams.flatMap((upstream) => upstream.endpoints.map((one) => ({ upstream: upstream.name, ...one })));
    const unwell = endpoints.filter(({ condition }) => condition !== 'well');
    return {
      history: world.history,
      failures:
        unwell.length === 0
          ? []
          : [
              { code: 'refused', count: 41 },
              { code: 'queue_timeout', count: 12 },
              { code: 'no_location', count: 7 },
            ],
      endpoints: {
        total: endpoints.length,
        usable: endpoints.length - unwell.length,
        unwell: unwell.map(({ upstream, host, check, condition }) => ({ upstream, endpoint: host, reason: check?.reason || condition })),
      },
      certificates: { total: 3, soonest: { name: 'api.example.com', notAfterMs: Date.now() + 86_400_000 * 11 }, soon: 1 },
      config: { etag: 'e1', appliedEtag: 'e1', appliedAtMs: world.startedAtMs, ok: true, problems: [] },
    };
  },
  'GET /topology': ({ world }) => topology(world),
  'GET /agents': ({ world, query }) => {
    const asked = (query.get('query') ?? '').toLowerCase();
    const state = query.get('state') ?? '';
    const sort = query.get('sort') ?? 'name';
    const key = sort.replace(/^-/, '').replace('joined', 'joinedAtMs');
    if (!SORTS.includes(sort.replace(/^-/, ''))) throw new Refusal(400, 'bad_query', `sort is one of ${SORTS.join(', ')}`);
    const found = world.agents
      .filter((one) => state === '' || one.state === state)
      .filter((one) => asked === '' || `${one.name} ${one.id} ${Object.entries(one.labels).flat().join(' ')}`.toLowerCase().includes(asked))
      .toSorted((a, b) => (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : 0) * (sort.startsWith('-') ? -1 : 1));
    const offset = Number(query.get('offset') ?? 0);
    return { total: found.length, items: found.slice(offset, offset + Number(query.get('limit') ?? 100)) };
  },
  'POST /agents': ({ world, body }) => {
    if (body.name === 'taken') throw new Refusal(409, 'name_taken', 'there is an agent of that name; choose another, or revoke it first');
    const id = `ag_${world.hex(12)}`;
    const token = `wl_${world.hex(64)}`;
    return { id, token, command: `windlass agent run --hub https://edge-1.example.com --token ${token} --upstream http://127.0.0.1:8000` };
  },
  'GET /agents/{id}': ({ world, parameters }) => agentOf(world, parameters.id),
  'POST /agents/{id}/revoke': ({ world, parameters, body, who }) => {
    const one = agentOf(world, parameters.id);
    world.agents.splice(world.agents.indexOf(one), 1);
    world.revoked.push({ id: one.id, atMs: Date.now(), by: who.user, name: one.name, reason: body?.reason ?? '', fixed: false });
    world.say('change', { what: 'agents' });
  },
  'POST /agents/{id}/drain': ({ world, parameters }) => set(world, agentOf(world, parameters.id), { state: 'draining', drained: true }),
  'POST /agents/{id}/resume': ({ world, parameters }) => set(world, agentOf(world, parameters.id), { state: 'serving', drained: false }),
  'PATCH /agents/{id}': ({ world, parameters, body }) => set(world, agentOf(world, parameters.id), body),
  'GET /revoked': ({ world }) => ({ total: world.revoked.length, items: world.revoked }),
  'DELETE /revoked/{id}': ({ world, parameters }) => {
    world.revoked.splice(
      world.revoked.findIndex(({ id }) => id === parameters.id),
      1,
    );
    world.say('change', { what: 'agents' });
  },
  'GET /queue': ({ world }) => {
    const now = Date.now();
    return {
      size: world.waiting.length,
      outside: 0,
      oldestAgeMs: world.waiting.length === 0 ? 0 : now - world.waiting[0].bornMs,
      serviceMs: 1_420,
      byUpstream: world.waiting.length === 0 ? [] : [{ upstream: 'gpu', size: world.waiting.length }],
      waiting: world.waiting.map(({ bornMs, ...one }, i) => ({ ...one, position: i + 1, ageMs: now - bornMs, estimatedWaitMs: (i + 1) * 380 })),
    };
  },
  'DELETE /queue/{id}': ({ world, parameters }) => {
    const at = world.waiting.findIndex(({ id }) => id === parameters.id);
    if (at < 0) throw new Refusal(404, 'not_waiting', 'it waits no more');
    world.waiting.splice(at, 1);
    world.say('change', { what: 'queue' });
  },
  'GET /upstreams': ({ world }) => ({ total: world.upstreams.length, items: world.upstreams.map((one) => withAgents(world, one)) }),
  'GET /upstreams/{name}': ({ world, parameters }) => withAgents(world, upstreamOf(world, parameters.name)),
  'POST /upstreams/{name}/out': ({ world, parameters, body }) => condition(world, parameters.name, body.endpoint, 'out'),
  'POST /upstreams/{name}/in': ({ world, parameters, body }) => condition(world, parameters.name, body.endpoint, 'well'),
  'GET /traffic': ({ world, query }) => {
    const found = world.traffic.filter((item) => matches(item, query)).toReversed();
    return { total: found.length, items: found.slice(0, Number(query.get('limit') ?? 100)) };
  },
  'GET /traffic/events':
    ({ world, query }) =>
    (send) =>
      world.followTraffic((event, item) => matches(item, query) && send(event, item)),
  'GET /traffic/settings': ({ world }) => world.settings,
  'PUT /traffic/settings': ({ world, body }) => Object.assign(world.settings, body),
  'DELETE /traffic': ({ world }) => void world.traffic.splice(0),
  'GET /traffic/{id}': ({ world, parameters }) => story(world, parameters.id),
  'POST /traffic/{id}/replay': ({ world }) => ({ id: world.exchange(Date.now()).id }),
};

function agentOf(world, id) {
  const one = world.agents.find((agent) => agent.id === id);
  if (one === undefined) throw new Refusal(404, 'no_such_agent', `there is no agent ${id}`);
  return one;
}

function upstreamOf(world, name) {
  const one = world.upstreams.find((upstream) => upstream.name === name);
  if (one === undefined) throw new Refusal(404, 'no_such_upstream', `there is no upstream ${name}`);
  return one;
}

function set(world, one, values) {
  Object.assign(one, values);
  world.say('change', { what: 'agents' });
  return one;
}

function condition(world, name, host, next) {
  upstreamOf(world, name).endpoints.find(({ id }) => id === host).condition = next;
  world.say('change', { what: 'upstreams' });
  return upstreamOf(world, name);
}

function withAgents(world, upstream) {
  if (upstream.of !== 'agents') return { ...upstream, agents: null };
  const here = world.agents.filter(({ state }) => state !== 'away');
  const sum = (key) => here.reduce((all, one) => all + one[key], 0);
  return { ...upstream, waiting: world.waiting.length, agents: { selector: '*', connected: here.length, slots: sum('slots'), free: sum('free') } };
}

function matches(item, query) {
  const status = query.get('status') ?? '';
  if (status !== '' && !(status.endsWith('xx') ? `${Math.floor(item.status / 100)}xx` === status : String(item.status) === status)) return false;
  for (const name of ['location', 'upstream', 'agent', 'method']) if ((query.get(name) ?? '') !== '' && item[name] !== query.get(name)) return false;
  // The beginning of the path, or with * all of it.
  const wanted = query.get('path') ?? '';
  const path = item.target.replace(/\?.*/s, '');
  if (
    wanted !== '' &&
    !(wanted.includes('*') ? new RegExp(`^${wanted.split('*').map(escaped).join('.*')}$`, 's').test(path) : path.startsWith(wanted))
  )
    return false;
  const slow = query.get('slow') ?? '';
  if (slow !== '' && !/^\d+ms$/.test(slow)) throw new Refusal(400, 'bad_query', 'slow is a duration such as 1s or 200ms');
  return slow === '' || item.totalMs >= Number.parseInt(slow, 10);
}

function escaped(text) {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function story(world, id) {
  const item = world.traffic.find((one) => one.id === id);
  if (item === undefined) throw new Refusal(404, 'forgotten', 'this exchange is not kept any more; the inspector keeps the newest only');
  const { waitedMs, totalMs, firstByteMs } = item;
  const left = totalMs - waitedMs;
  const spans = [
    { name: 'hub', startMs: 0, ms: totalMs, detail: `${item.server} → ${item.location}` },
    { name: 'plugins', startMs: 0.2, ms: 0.6, detail: 'request_id, limit, key_auth' },
    ...(waitedMs > 0 ? [{ name: 'queue', startMs: 0.9, ms: waitedMs, detail: 'place 4, class 3' }] : []),
    ...(item.agent === ''
      ? [
          { name: 'connect', startMs: waitedMs + 1, ms: 1.1, detail: item.endpoint },
          { name: 'tls', startMs: waitedMs + 2.1, ms: 2.4, detail: 'TLSv1.3' },
        ]
      : [
          { name: 'tunnel', startMs: waitedMs + 1, ms: left * 0.97, detail: 'native, session 203.0.113.7' },
          {
            name: 'agent',
            startMs: waitedMs + left * 0.04,
            ms: left * 0.9,
            detail: world.agents.find(({ id: known }) => known === item.agent)?.name ?? item.agent,
          },
        ]),
    { name: 'upstream', startMs: waitedMs + left * 0.08, ms: left * 0.84, detail: item.agent === '' ? item.endpoint : 'http://127.0.0.1:8000' },
    { name: 'answer', startMs: firstByteMs, ms: totalMs - firstByteMs, detail: 'from its first byte to its last' },
  ];
  return {
    ...item,
    spans,
    requestHeaders: [
      ['host', item.host],
      ['user-agent', 'openai-python/1.51.0'],
      ['authorization', '********'],
      ['content-type', 'application/json'],
      ['accept', 'text/event-stream'],
      ['x-request-id', item.requestId],
    ],
    sentHeaders: [
      ['host', '127.0.0.1:8000'],
      ['user-agent', 'openai-python/1.51.0'],
      ['authorization', '********'],
      ['content-type', 'application/json'],
      ['accept', 'text/event-stream'],
      ['x-forwarded-for', item.client],
      ['x-forwarded-host', item.host],
      ['traceparent', `00-${item.traceId}-b7ad6b7169203331-01`],
    ],
    replyHeaders: [
      ['content-type', 'text/event-stream'],
      ['cache-control', 'no-store'],
      ['server', 'uvicorn'],
    ],
    tries: item.attempts > 1 ? ['10.20.0.13:8080: connection refused', `${item.endpoint || item.agent}: answered`] : [],
    failureDetail: item.failure === '' ? '' : 'connect ECONNREFUSED 10.20.0.13:8080',
    replay: item.method === 'GET' ? { possible: true, why: '' } : { possible: false, why: 'its body was not kept' },
    curl: `curl -X ${item.method} 'https://${item.host}${item.target}' -H 'Content-Type: application/json'`,
  };
}

function topology(world) {
  const last = world.history.at(-1);
  const nodes = [];
  const edges = [];
  const add = (id, kind, label, detail, state, count = 1) => nodes.push({ id, kind, label, detail, state, count });
  const join = (from, to, share, errors = 0) =>
    edges.push({ from, to, requestsPerSecond: last.requestsPerSecond * share, errorsPerSecond: errors, inFlight: Math.round(last.inFlight * share) });
  add('server:web', 'server', 'web', 'https://0.0.0.0:443', 'well');
  add('server:internal', 'server', 'internal', 'http://10.20.0.1:8080', 'well');
  for (const [server, name, upstream, share, detail] of [
    ['web', 'chat', 'gpu', 0.34, '/v1/chat'],
    ['web', 'models', 'gpu', 0.12, '/v1/models'],
    ['web', 'images', 'gpu', 0.05, '/v1/images'],
    ['web', 'shop', 'shop', 0.24, '/shop'],
    ['web', 'static', 'files', 0.21, '/assets'],
    ['internal', 'billing', 'billing', 0.04, '/api'],
  ]) {
    const share1 = last.requestsPerSecond === 0 ? 0 : share;
    add(`location:${name}`, 'location', name, detail, 'well');
    join(`server:${server}`, `location:${name}`, share1);
    join(`location:${name}`, `upstream:${upstream}`, share1, name === 'shop' ? last.byClass['5xx'] : 0);
  }
  for (const upstream of world.upstreams) {
    const sick = upstream.endpoints.some(({ condition: state }) => state !== 'well');
    add(`upstream:${upstream.name}`, 'upstream', upstream.name, upstream.algorithm, sick ? 'unwell' : upstream.of === 'agents' ? 'busy' : 'well');
    for (const one of upstream.endpoints) {
      add(
        `endpoint:${upstream.name}/${one.host}`,
        'endpoint',
        one.host,
        one.check?.reason ?? '',
        one.condition === 'well' ? 'well' : one.condition === 'out' ? 'idle' : 'unwell',
      );
      join(
        `upstream:${upstream.name}`,
        `endpoint:${upstream.name}/${one.host}`,
        one.condition === 'well' ? 0.24 / upstream.endpoints.length : 0,
        one.condition === 'unhealthy' ? 0.4 : 0,
      );
    }
  }
  const shown = world.agents.slice(0, 6);
  for (const one of shown) {
    add(`agent:${one.id}`, 'agent', one.name, `${one.inFlight}/${one.slots}`, one.state === 'away' ? 'idle' : one.free === 0 ? 'busy' : 'well');
    join('upstream:gpu', `agent:${one.id}`, one.inFlight === 0 ? 0 : 0.06);
  }
  if (world.agents.length > shown.length) {
    const more = world.agents.length - shown.length;
    add('more:agent', 'more', `+${more}`, 'agents', 'well', more);
    join('upstream:gpu', 'more:agent', 0.2);
  }
  return { nodes, edges };
}
