import { beforeEach, expect, test } from 'vitest';
import { noticeLimits } from './limits.ts';
import { Lookout, type SeenCertificate, type SeenEndpoint, type SeenUpstream } from './lookout.ts';
import { QueueWatch } from './queue-watch.ts';

const WALL_MS = Date.UTC(2030, 0, 1);
const DAY_MS = 86_400_000;

let endpoints: SeenEndpoint[];
let upstreams: SeenUpstream[];
let agents: { id: string; name: string; address: string }[];
let certificates: SeenCertificate[];
let told: string[];
let lookout: Lookout;
let now: number;

beforeEach(() => {
  [endpoints, upstreams, agents, certificates, told, now] = [[], [], [], [], [], 1_000_000];
  lookout = new Lookout(
    {
      endpoints: () => endpoints,
      reasonOf: () => 'connection refused',
      upstreams: () => upstreams,
      agents: () => agents,
      certificates: () => certificates,
    },
    ({ event, message }) => void told.push(`${event}: ${message}`),
  );
});

/** What is told after so much time. */
function after(ms: number): string[] {
  now += ms;
  lookout.look(now, WALL_MS + now);
  return told.splice(0);
}

function endpoint(is: SeenEndpoint['is']): SeenEndpoint {
  return { key: 1, upstream: 'api', endpoint: '10.0.0.1:80', is };
}

test('an endpoint that has become ill is told of once, and once when it is well again', () => {
  endpoints = [endpoint('well')];
  expect(after(0)).toEqual([]);
  endpoints = [endpoint('ill')];
  expect(after(1000)).toEqual(['endpoint_unhealthy: endpoint 10.0.0.1:80 of upstream api gets no requests: connection refused']);
  expect(after(1000)).toEqual([]);
  // A breaker that tries has not decided.
  endpoints = [endpoint('undecided')];
  expect(after(1000)).toEqual([]);
  endpoints = [endpoint('well')];
  expect(after(1000)).toEqual(['endpoint_healthy: endpoint 10.0.0.1:80 of upstream api is well again']);
  // One that is there no more, or new, is no news by itself.
  endpoints = [];
  expect(after(1000)).toEqual([]);
  endpoints = [endpoint('well')];
  expect(after(1000)).toEqual([]);
});

test('many at once are one notice', () => {
  endpoints = Array.from({ length: 500 }, (_, i) => ({ key: i, upstream: 'api', endpoint: `10.0.0.${i}:80`, is: 'ill' as const }));
  const lines = after(0);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^endpoint_unhealthy: 500 endpoints at once: endpoint 10\.0\.0\.0:80 .*; and others$/);
});

test('an upstream without anybody is told of: of addresses at once, of agents when they do not come back', () => {
  upstreams = [
    { name: 'api', isUp: true, isPatient: false },
    { name: 'gpu', isUp: true, isPatient: true },
    { name: 'new', isUp: false, isPatient: true },
  ];
  expect(after(0)).toEqual([]);
  upstreams = upstreams.map((one) => ({ ...one, isUp: false }));
  expect(after(1000)).toEqual(['upstream_down: upstream api has no endpoint that is well: requests to it fail or wait']);
  expect(after(noticeLimits.lostMs - 1)).toEqual([]);
  expect(after(1)).toEqual(['upstream_down: upstream gpu has no agent: requests to it fail or wait']);
  upstreams = upstreams.map((one) => ({ ...one, isUp: true }));
  expect(after(1000)).toEqual([
    'upstream_up: upstream api can serve requests again',
    'upstream_up: upstream gpu can serve requests again',
    'upstream_up: upstream new can serve requests again',
  ]);
});

test('an agent is lost when it does not come back soon, and not when it restarts', () => {
  const one = { id: 'a-1', name: 'gpu', address: '192.0.2.7' };
  agents = [one, one];
  expect(after(0)).toEqual(['agent_joined: agent gpu (a-1) has joined from 192.0.2.7']);
  agents = [];
  expect(after(1000)).toEqual([]);
  expect(after(noticeLimits.lostMs - 1)).toEqual([]);
  agents = [one];
  expect(after(1000)).toEqual([]);
  agents = [];
  after(1000);
  expect(after(noticeLimits.lostMs)).toEqual(['agent_lost: agent gpu (a-1) has been away for 10 s']);
  expect(after(noticeLimits.lostMs)).toEqual([]);
  agents = [one];
  expect(after(1000)).toEqual(['agent_joined: agent gpu (a-1) has joined from 192.0.2.7']);
});

test('who is here when somebody begins to look is no news, and news when it goes', () => {
  agents = [{ id: 'a-1', name: 'gpu', address: '192.0.2.7' }];
  lookout.begin();
  expect(after(0)).toEqual([]);
  agents = [];
  after(1000);
  expect(after(noticeLimits.lostMs)).toEqual(['agent_lost: agent gpu (a-1) has been away for 10 s']);
});

test('a certificate is told of 30, 7 and 1 days before its end, once each, at its end, and when it is a new one', () => {
  const endsMs = WALL_MS + now + 40.5 * DAY_MS;
  certificates = [{ name: 'site', notAfterMs: endsMs, problem: '' }];
  expect(after(0)).toEqual([]);
  const lines: string[] = [];
  for (let hour = 0; hour < 42 * 24; hour++) lines.push(...after(3_600_000));
  expect(lines.map((line) => line.replace(/on [-\d]+ [:\d]+ UTC/, 'on DAY'))).toEqual([
    'certificate_expiring: certificate site expires on DAY, in 30 days',
    'certificate_expiring: certificate site expires on DAY, in 7 days',
    'certificate_expiring: certificate site expires on DAY, in 24 hours',
    'certificate_expiring: certificate site has expired on DAY',
  ]);
  certificates = [{ name: 'site', notAfterMs: endsMs + 90 * DAY_MS, problem: '' }];
  lookout.certificatesChanged();
  expect(after(1000)[0]).toMatch(/^certificate_renewed: certificate site is a new one, good until/);
});

test('a renewal that fails is told of once, until one has not', () => {
  const certificate = { name: 'site', notAfterMs: WALL_MS + now + 400 * DAY_MS };
  const order = (problem: string): string[] => {
    certificates = [{ ...certificate, problem }];
    lookout.certificatesChanged();
    return after(1000);
  };
  expect([order(''), order('no such name'), order('still none'), order(''), order('again')]).toEqual([
    [],
    ['certificate_failed: certificate site could not be renewed: no such name'],
    [],
    [],
    ['certificate_failed: certificate site could not be renewed: again'],
  ]);
});

test('a queue is long after some seconds, and short when half of it is gone for as long', () => {
  const watch = new QueueWatch(100);
  const became: unknown[] = [];
  const look = (waiting: number, seconds: number): void => {
    for (let i = 0; i < seconds; i++) {
      now += 1000;
      const one = watch.look(waiting, now);
      if (one !== null) became.push(one);
    }
  };
  look(200, 3);
  look(10, 1);
  look(200, 3);
  expect(became).toEqual([]);
  look(200, 10);
  expect(became).toEqual(['long']);
  look(60, 30);
  look(99, 30);
  expect(became).toEqual(['long']);
  look(50, 10);
  expect(became).toEqual(['long', 'short']);
});

test('a queue is long when its time is over and not a moment before, and one that hovers about its mark is neither', () => {
  const watch = new QueueWatch(100);
  expect([watch.look(100, 0), watch.look(100, noticeLimits.queueMs - 1)]).toEqual([null, null]);
  expect(watch.look(100, noticeLimits.queueMs)).toBe('long');
  for (let ms = noticeLimits.queueMs; ms < 10 * noticeLimits.queueMs; ms += 1_000) expect(watch.look(51, ms)).toBeNull();
});

test('certificates are looked at once an hour, and at once when they have changed', () => {
  certificates = [{ name: 'site', notAfterMs: Infinity, problem: '' }];
  after(0);
  certificates = [{ name: 'site', notAfterMs: Infinity, problem: 'broken' }];
  expect(after(noticeLimits.certificatesMs - 1)).toEqual([]);
  expect(after(1)).toHaveLength(1);
  certificates = [{ name: 'site', notAfterMs: Infinity, problem: '' }];
  after(1);
  certificates = [{ name: 'site', notAfterMs: 1, problem: '' }];
  expect(after(1)).toEqual([]);
  lookout.certificatesChanged();
  expect(after(1)).toHaveLength(1);
});

test('so many agents are followed: one more is no news, and none of those that are followed is lost for it', () => {
  agents = Array.from({ length: noticeLimits.followed }, (_, i) => ({ id: `a${i}`, name: 'gpu', address: '192.0.2.1' }));
  lookout.begin();
  agents.push({ id: 'one more', name: 'gpu', address: '192.0.2.1' });
  expect(after(1_000)).toEqual([]);
  agents.shift();
  after(1_000);
  expect(after(noticeLimits.lostMs)).toEqual(['agent_lost: agent gpu (a0) has been away for 10 s']);
  expect(after(1_000)).toEqual(['agent_joined: agent gpu (one more) has joined from 192.0.2.1']);
});
