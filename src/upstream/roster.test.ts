import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FakeSession } from '../../test/kit/fake-agents.ts';
import { AWAY_AGENTS, AWAY_FACTS } from './limits.ts';
import { Roster } from './roster.ts';
import { announcedFact } from './selector.ts';

const KEPT_MS = 60_000;
const time = { nowMs: 1_000 };
const clock = { now: () => time.nowMs, wall: () => 0 };

function announcing(id: string, labels: Record<string, string>): FakeSession {
  return new FakeSession(id, 1, { labels: new Map(Object.entries(labels)) });
}

function roster(...sessions: FakeSession[]): Roster {
  const all = new Roster(clock, KEPT_MS);
  for (const session of sessions) all.joined(session);
  return all;
}

test('an agent is known while it is here and for a while after, one that never was is not', () => {
  const session = new FakeSession('a', 1, { name: 'calm-otter', scopes: ['gpu'] });
  const all = roster(session);
  expect(all.knows(['name=calm-otter', 'scope=gpu'])).toBe(true);
  expect(all.knows(['name=calm-otter', 'scope=cpu'])).toBe(false);
  all.left(session);
  time.nowMs += KEPT_MS;
  expect(all.knows(['name=calm-otter'])).toBe(true);
  time.nowMs += 1;
  expect(all.knows(['name=calm-otter'])).toBe(false);
  expect(all.knows([])).toBe(false);
});

test('all that is asked for must be true of one and the same agent', () => {
  const all = roster(announcing('a', { zone: 'eu' }), announcing('b', { gpu: 'a100' }));
  expect(all.knows(['label.zone=eu', 'label.gpu=a100'])).toBe(false);
  all.joined(announcing('c', { zone: 'eu', gpu: 'a100' }));
  expect(all.knows(['label.zone=eu', 'label.gpu=a100'])).toBe(true);
});

test('an agent that comes back as something else is not what it was', () => {
  const before = announcing('a', { route: '/old' });
  const all = roster(before);
  all.left(before);
  all.joined(announcing('a', { route: '/new' }));
  expect(all.announced('h', '/old')).toBeNull();
  expect(all.announced('h', '/new')).not.toBeNull();
});

test('of two sessions with one id each counts for itself, and the one that is left stays', () => {
  const [one, two] = [announcing('a', { zone: 'eu' }), announcing('a', { zone: 'us' })];
  const all = roster(one, two);
  expect(all.knows(['label.zone=eu'])).toBe(true);
  all.left(one);
  all.left(two);
  expect(all.knows(['label.zone=us'])).toBe(true);
});

test('ever so many agents that come once and never again are forgotten, the first ones first', () => {
  const all = roster();
  for (let i = 0; i <= AWAY_AGENTS; i++) {
    const session = new FakeSession(`a${i}`, 1);
    all.joined(session);
    all.left(session);
  }
  expect(all.knows(['id=a0'])).toBe(false);
  expect(all.knows(['id=a1'])).toBe(true);
});

test('agents that announce as much as they can, under ever new ids, are remembered only within bounds', () => {
  const all = roster();
  const many = (prefix: string, from: number) => Array.from({ length: 32 }, (_, i) => `${prefix}${from + i}`).join(' ');
  for (let i = 0; i < 500; i++) {
    const session = announcing(`a${i}`, { host: many('h', i * 32), route: many('/', i * 32) });
    all.joined(session);
    all.left(session);
  }
  expect(all.knows(['id=a0'])).toBe(false);
  expect(all.announced('h0', '/0')).toBeNull();
  expect(all.knows(['id=a499'])).toBe(true);
  const kept = Array.from({ length: 500 }, (_, i) => all.knows([`id=a${i}`])).filter(Boolean).length;
  expect(kept * 1024).toBeLessThanOrEqual(AWAY_FACTS);
});

test('the longest route wins, at the boundary of a segment', () => {
  const all = roster(announcing('a', { route: '/v1' }), announcing('b', { route: '/v1/images /v2' }));
  expect(all.announced('h', '/v1/images/7')).toBe(announcedFact('', '/v1/images'));
  expect(all.announced('h', '/v1/images')).toBe(announcedFact('', '/v1/images'));
  expect(all.announced('h', '/v1/imagesx')).toBe(announcedFact('', '/v1'));
  expect(all.announced('h', '/v1/')).toBe(announcedFact('', '/v1'));
  expect(all.announced('h', '/v2/x/y/z')).toBe(announcedFact('', '/v2'));
  for (const path of ['/', '/v', '/v11', '/V1', '*', '//v1']) expect(all.announced('h', path)).toBeNull();
});

test('the exact host wins over a domain, a domain over any host, and only those with a route for the path count', () => {
  const all = roster(
    announcing('a', { route: '/x /y' }),
    announcing('b', { host: '*.example.com', route: '/x' }),
    announcing('c', { host: 'api.example.com other.org', route: '/x/deep' }),
    announcing('d', { host: 'whole.example.com' }),
  );
  const found = (host: string, path: string) => all.announced(host, path)?.replace('\0', ' ');
  expect(found('api.example.com', '/x/deep/er')).toBe('@api.example.com /x/deep');
  expect(found('API.example.com.:8443', '/x/deep')).toBe('@api.example.com /x/deep');
  expect(found('api.example.com', '/x/flat')).toBe('@*.example.com /x');
  expect(found('a.b.example.com', '/x')).toBe('@*.example.com /x');
  expect(found('example.com', '/x')).toBe('@ /x');
  expect(found('api.example.com', '/y')).toBe('@ /y');
  expect(found('whole.example.com', '/anything')).toBe('@whole.example.com ');
  expect(found('', '/y')).toBe('@ /y');
  expect(found('[::1]:80', '/z')).toBeUndefined();
});

test('an agent that announces neither host nor route serves nothing by announcement', () => {
  expect(roster(new FakeSession('a', 1), announcing('b', { models: 'x', route: ' , ' })).announced('h', '/')).toBeNull();
});

test('whoever comes and goes, what is announced is what a look at everybody finds', () => {
  const hosts = ['', 'a.x', '*.x', 'b.a.x'];
  const routes = ['', '/p', '/p/q', '/r'];
  const step = fc.record({ id: fc.nat(4), host: fc.nat(3), route: fc.nat(3), leaves: fc.boolean(), passMs: fc.nat(KEPT_MS) });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.constantFrom('a.x', 'b.a.x', 'x', 'c'),
      fc.constantFrom('/', '/p', '/p/q/s', '/pq', '/r/'),
      (steps, host, path) => {
        const all = roster();
        const here = new Map<number, FakeSession>();
        const away = new Map<number, { session: FakeSession; sinceMs: number }>();
        for (const one of steps) {
          time.nowMs += one.passMs;
          const was = here.get(one.id);
          if (was !== undefined) {
            all.left(was);
            here.delete(one.id);
            away.set(one.id, { session: was, sinceMs: time.nowMs });
          }
          if (one.leaves) continue;
          const session = announcing(`a${one.id}`, {
            ...(one.host > 0 && { host: hosts[one.host]! }),
            ...(one.route > 0 && { route: routes[one.route]! }),
          });
          all.joined(session);
          here.set(one.id, session);
          away.delete(one.id);
        }
        const known = [
          ...here.values(),
          ...[...away.values()].filter(({ sinceMs }) => time.nowMs - sinceMs <= KEPT_MS).map(({ session }) => session),
        ];
        const said = new Set<string>();
        for (const { agent } of known) {
          const [h, r] = [agent.labels.get('host') ?? '', agent.labels.get('route') ?? ''];
          if (h !== '' || r !== '') said.add(announcedFact(h, r));
        }
        const hostsInOrder = [host, ...host.split('.').flatMap((_, i, parts) => (i === 0 ? [] : [`*.${parts.slice(i).join('.')}`])), ''];
        const wanted = hostsInOrder
          .flatMap((h) => [...routes].sort((a, b) => b.length - a.length).map((r) => ({ fact: announcedFact(h, r), r })))
          .find(({ fact, r }) => said.has(fact) && (r === '' || path === r || path.startsWith(`${r}/`)));
        expect(all.announced(host, path)).toBe(wanted?.fact ?? null);
      },
    ),
  );
});
