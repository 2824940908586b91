import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FakeSession, FakeWaiter, head } from '../../test/kit/fake-agents.ts';
import { AgentPool } from './agents.ts';
import { type Label, labelled, PLAIN } from './label.ts';

/** A pool whose clock the test sets. */
function stage(): { agents: AgentPool; clock: { ms: number }; asks: (key: string, scope?: string, label?: Partial<Label>) => FakeWaiter } {
  const clock = { ms: 0 };
  const agents = new AgentPool({ queueSize: 100_000, random: () => 0, clock: { now: () => clock.ms, wall: () => clock.ms } });
  let arrival = 0;
  return {
    agents,
    clock,
    asks: (key, scope = '', label = {}) => {
      const waiter = new FakeWaiter(arrival++, head(scope));
      if (key !== '' || Object.keys(label).length > 0) waiter.label = labelled(PLAIN, { key, ...label });
      expect(agents.wait(waiter)).toBeNull();
      return waiter;
    },
  };
}

/** An agent that has two scopes, so that there are three lines at it: both, and no scope. */
function twoFold(id = 'both', slots = 1): FakeSession {
  const session = new FakeSession(id, slots, { scopes: ['x', 'y'] });
  session.inFlight = slots;
  return session;
}

/** Frees the slot so often, and tells the keys that got it. */
function serve(session: FakeSession, waiters: readonly FakeWaiter[], count: number): string {
  let keys = '';
  for (let i = 0; i < count; i++) {
    const before = new Set(waiters.filter(({ given }) => given !== null));
    session.uses(0);
    keys += waiters.find((one) => one.given !== null && !before.has(one))?.label.key ?? '-';
  }
  return keys;
}

test('clients who want different things of one agent take turns as well', () => {
  const { agents, asks } = stage();
  const session = twoFold();
  agents.join(session);
  const all = [
    ...Array.from({ length: 6 }, () => asks('a', 'x')),
    ...Array.from({ length: 3 }, () => asks('b', 'y')),
    ...Array.from({ length: 2 }, () => asks('c', 'y')),
  ];
  const keys = serve(session, all, 11);
  expect(keys.slice(0, 6).split('').sort().join('')).toBe('aabbcc');
  expect(keys.slice(-3)).toBe('aaa');
});

test('one client who wants different things is served in order of arrival, and so are requests without a label', () => {
  for (const key of ['', 'a']) {
    const { agents, asks } = stage();
    const session = twoFold();
    agents.join(session);
    const all = ['x', 'x', 'y', 'x', '', 'y', 'y'].map((scope) => asks(key, scope));
    for (const one of all) {
      expect(one.given).toBeNull();
      session.uses(0);
      expect(one.given).toBe(session);
    }
  }
});

test('a line in which nobody waited for long has saved nothing up', () => {
  const { agents, asks } = stage();
  const session = twoFold();
  agents.join(session);
  const all = Array.from({ length: 200 }, () => asks('a', 'x'));
  serve(session, all, 100);
  all.push(...Array.from({ length: 50 }, () => asks('b', 'y')));
  expect(serve(session, all, 20).replaceAll('a', '').length).toBeLessThanOrEqual(11);
});

test('nobody waits for ever because others are served fast elsewhere, or slowly', () => {
  const { agents, asks } = stage();
  const fast = new FakeSession('fast', 1, { scopes: ['x'] });
  fast.inFlight = 1;
  const session = twoFold();
  agents.join(fast);
  agents.join(session);
  const all = Array.from({ length: 2_000 }, () => asks('a', 'x'));
  const others = Array.from({ length: 20 }, () => asks('b', 'y'));
  serve(fast, all, 1_000);
  const late = asks('c', 'y');
  let turns = 0;
  while (late.given === null && turns++ < 20) session.uses(0);
  expect(turns).toBeLessThanOrEqual(6);
  const first = all.filter(({ given }) => given === session).length;
  serve(session, all, 10);
  expect(all.filter(({ given }) => given === session).length).toBeGreaterThan(first);
  expect(others.some(({ given }) => given === session)).toBe(true);
});

test('a better class goes first in whatever line, and age makes a class better', () => {
  const { agents, asks, clock } = stage();
  const session = twoFold();
  agents.join(session);
  const low = asks('low', 'x', { rank: 6, ageMs: 1_000 });
  const usual = asks('', 'y');
  const high = asks('high', '', { rank: 1 });
  session.uses(0);
  expect(high.given).toBe(session);
  clock.ms = 3_500;
  const young = asks('', 'y');
  session.uses(0);
  expect([low.given, usual.given]).toEqual([null, session]);
  clock.ms = 4_500;
  session.uses(0);
  expect([low.given, young.given]).toEqual([session, null]);
});

test('a request that had a slot and came back goes before others of its class, in whatever line they wait', () => {
  const { agents, asks } = stage();
  const session = twoFold();
  agents.join(session);
  const [refused, other, same] = [asks('a', 'x'), asks('b', 'y'), asks('a', 'x')];
  session.uses(0);
  expect(refused.given).toBe(session);
  refused.given = null;
  expect(agents.wait(refused)).toBeNull();
  session.uses(0);
  expect([refused.given, other.given]).toEqual([session, null]);
  session.uses(0);
  expect([other.given, same.given]).toEqual([session, null]);
});

test('a client with a bound has so many waiting over all lines, and gets room when one is served or leaves', () => {
  const { agents, asks } = stage();
  const session = twoFold();
  agents.join(session);
  const bound = { most: 2 };
  const served = asks('a', 'x', bound);
  const leaves = asks('a', 'y', bound);
  const more = new FakeWaiter(99, head());
  more.label = labelled(PLAIN, { key: 'a', ...bound });
  expect(agents.wait(more)).toMatchObject({ code: 'queue_full', status: 429 });
  asks('b', 'x', bound);
  session.uses(0);
  expect(served.given).toBe(session);
  expect(agents.wait(more)).toBeNull();
  agents.leave(more);
  agents.leave(leaves);
  expect(agents.waitingOf('a')).toBe(0);
});

test('whatever comes, goes and is refused over several lines, every slot is used and nobody is lost', () => {
  const step = fc.tuple(fc.nat(3), fc.nat(2), fc.integer({ min: 1, max: 5 }), fc.nat(7), fc.nat(3));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const { agents, asks, clock } = stage();
      const sessions = [twoFold('m', 2), twoFold('n', 1)];
      for (const session of sessions) agents.join(session);
      const all: FakeWaiter[] = [];
      for (const [key, scope, weight, rank, action] of steps) {
        clock.ms += 500;
        all.push(asks(key === 0 ? '' : `k${key}`, ['', 'x', 'y'][scope], { weight, rank, most: 1_000 }));
        const session = sessions[action % 2]!;
        if (action === 3) {
          const refused = all.find(({ given }) => given === session);
          if (refused !== undefined) {
            session.inFlight--;
            refused.given = null;
            expect(agents.wait(refused)).toBeNull();
          }
        } else if (action > 0) session.uses(session.inFlight - 1);
      }
      const waits = agents.waiting;
      expect(all.filter(({ given }) => given === null).length).toBe(waits);
      expect(agents.places(1_000).length).toBe(waits);
      for (let i = 0; i < waits; i++) sessions[i % 2]!.uses(sessions[i % 2]!.inFlight - 1);
      expect(all.every(({ given }) => given !== null)).toBe(true);
      expect([0, 1, 2, 3].map((key) => agents.waitingOf(`k${key}`))).toEqual([0, 0, 0, 0]);
    }),
  );
});
