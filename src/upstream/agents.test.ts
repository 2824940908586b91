import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeSession, FakeWaiter, head } from '../../test/kit/fake-agents.ts';
import { turns, until } from '../../test/kit/until.ts';
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import { parseBalance } from '../schema/balance.ts';
import { parseSelector } from '../schema/selector.ts';
import type { AgentOrders } from './agent-orders.ts';
import { AgentPool } from './agents.ts';
import { LANES } from './limits.ts';

function pool(queueSize = 1000): AgentPool {
  return new AgentPool({ queueSize, random: () => 0 });
}

test('a request goes to the least loaded of those that may serve it', () => {
  const agents = pool();
  const [a, b] = [new FakeSession('a', 4), new FakeSession('b', 2)];
  agents.join(a);
  agents.join(b);
  a.uses(1);
  b.uses(1);
  expect(agents.pick(head())!.agentId).toBe('a');
  a.uses(3);
  expect(agents.pick(head())!.agentId).toBe('b');
  a.uses(4);
  b.uses(2);
  expect(agents.pick(head())).toBeNull();
  expect(agents.lacking(head())).toMatchObject({ code: 'no_free_slot' });
});

test('who lacks what is said: nobody there, no scope, no path, no slot', () => {
  const agents = pool();
  expect(agents.lacking(head())).toMatchObject({ code: 'no_agent', status: 503, retryAfterS: 5 });
  agents.join(new FakeSession('a', 1, { scopes: ['x'], scopePaths: ['/only'] }));
  expect(agents.lacking(head('y')).detail).toContain('scope');
  expect(agents.lacking(head()).detail).toContain('path');
  expect(agents.pick(head('x', '/only'))!.agentId).toBe('a');
  expect(agents.pick(head('', '/only?q=1'))!.agentId).toBe('a');
});

test('the same process of an agent replaces its old session, another process lives beside it [threat 36]', () => {
  const agents = pool();
  const first = new FakeSession('a', 1, { instance: 'p1' });
  const again = new FakeSession('a', 1, { instance: 'p1' });
  const other = new FakeSession('a', 1, { instance: 'p2' });
  agents.join(first);
  agents.join(again);
  expect(first.closedWith).toMatchObject({ code: 'tunnel_lost' });
  expect([...agents.sessions]).toEqual([again]);
  agents.join(other);
  expect([...agents.sessions]).toEqual([again, other]);
});

test('an agent that names paths changes who stands where, and nobody is lost', () => {
  const agents = pool();
  const waiters = ['/x', '/y', '/x'].map((path, i) => new FakeWaiter(i, head('', path)));
  for (const waiter of waiters) expect(agents.wait(waiter)).toBeNull();
  const narrow = new FakeSession('narrow', 1, { scopePaths: ['/x'] });
  agents.join(narrow);
  expect(waiters.map(({ given }) => given)).toEqual([narrow, null, null]);
  const wide = new FakeSession('wide', 1);
  agents.join(wide);
  expect(waiters.map(({ given }) => given)).toEqual([narrow, wide, null]);
  narrow.leave();
  wide.uses(0);
  expect(waiters[2]!.given).toBe(wide);
  expect(agents.waiting).toBe(0);
});

test('a slot that is kept for a waiter goes to nobody else; let go, it goes to the next', () => {
  const agents = pool();
  const [first, second] = [new FakeWaiter(0, head()), new FakeWaiter(1, head())];
  first.unsure = true;
  agents.wait(first);
  agents.wait(second);
  const session = new FakeSession('a', 1);
  agents.join(session);
  expect(first.candidate).not.toBeNull();
  expect(second.given).toBeNull();
  expect(agents.pick(head('', '/other'))).toBeNull();
  expect(agents.letGo(first.candidate!, false)).toBe(false);
  expect(second.given).toBe(session);
});

test('a slot that was kept is not there any more when its agent has left: its waiter comes back to its place', () => {
  const agents = pool();
  const [first, second] = [new FakeWaiter(0, head()), new FakeWaiter(1, head())];
  first.unsure = true;
  agents.wait(first);
  const session = new FakeSession('a', 1);
  agents.join(session);
  session.leave();
  agents.wait(second);
  expect(agents.letGo(first.candidate!, true)).toBe(false);
  agents.wait(first);
  first.unsure = false;
  const next = new FakeSession('b', 1);
  agents.join(next);
  expect([first.given, second.given]).toEqual([next, null]);
});

test('a slot that was kept is gone and another agent has come meanwhile: its waiter finds it when it asks again', () => {
  const agents = pool();
  const waiter = new FakeWaiter(0, head());
  waiter.unsure = true;
  agents.wait(waiter);
  const session = new FakeSession('a', 1);
  agents.join(session);
  session.leave();
  agents.join(new FakeSession('b', 1));
  expect(agents.letGo(waiter.candidate!, true)).toBe(false);
  expect(agents.pick(waiter.head)!.agentId).toBe('b');
});

test('10,000 scopes that nobody has cost no more than the lanes there may be', () => {
  const agents = pool();
  const session = new FakeSession('a', 1, { scopes: ['real'] });
  agents.join(session);
  for (let i = 0; i < 10_000; i++) {
    expect(agents.pick(head(`made-up-${i}`))).toBeNull();
    expect(agents.lacking(head(`made-up-${i}`))).toMatchObject({ code: 'no_agent' });
    expect(agents.lanes).toBeLessThanOrEqual(LANES);
  }
  expect(agents.pick(head('real'))!.agentId).toBe('a');
  expect(agents.pick(head())!.agentId).toBe('a');
});

test('10,000 scopes that one agent has cost it no more either, and it still gets its work', () => {
  const agents = pool();
  const scopes = Array.from({ length: 10_000 }, (_, i) => `s${i}`);
  const session = new FakeSession('a', 1, { scopes });
  agents.join(session);
  for (const scope of scopes) expect(agents.pick(head(scope))!.agentId).toBe('a');
  expect(agents.lanes).toBeLessThanOrEqual(LANES);
  session.uses(1);
  const waiter = new FakeWaiter(0, head('s77'));
  agents.wait(waiter);
  session.uses(0);
  expect(waiter.given).toBe(session);
});

test('lanes in which somebody waits are as many as may wait, and go when they have gone', () => {
  const agents = pool(3000);
  const waiters = Array.from({ length: 3000 }, (_, i) => new FakeWaiter(i, head(`s${i}`)));
  for (const waiter of waiters) expect(agents.wait(waiter)).toBeNull();
  expect(agents.wait(new FakeWaiter(3000, head()))).toMatchObject({ code: 'queue_full' });
  for (const waiter of waiters) agents.leave(waiter);
  expect(agents.waiting).toBe(0);
  agents.pick(head('another'));
  expect(agents.lanes).toBeLessThanOrEqual(LANES);
});

const SCOPES = ['', 'a', 'b'];
const PATHS = ['/p', '/q', '/r'];

type Step =
  | { do: 'join'; session: number; slots: number; scopes: number; paths: number }
  | { do: 'lose'; session: number }
  | { do: 'use'; session: number; inFlight: number }
  | { do: 'finish'; session: number }
  | { do: 'ask'; scope: number; path: number; unsure: boolean }
  | { do: 'leave'; waiter: number }
  | { do: 'decide'; waiter: number; stays: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('join' as const), session: fc.nat(4), slots: fc.integer({ min: 1, max: 3 }), scopes: fc.nat(3), paths: fc.nat(3) }),
  fc.record({ do: fc.constant('lose' as const), session: fc.nat(4) }),
  fc.record({ do: fc.constant('use' as const), session: fc.nat(4), inFlight: fc.nat(3) }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant('finish' as const), session: fc.nat(4) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ask' as const), scope: fc.nat(2), path: fc.nat(2), unsure: fc.boolean() }) },
  fc.record({ do: fc.constant('leave' as const), waiter: fc.nat(30) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('decide' as const), waiter: fc.nat(30), stays: fc.boolean() }) },
);

/** May this agent serve this request? Said once more, in the plainest words. */
test('Retry-After is reckoned from the service time, the slots and how many wait, and bounded', () => {
  const agents = pool();
  expect(agents.retryAfterS).toBe(5);
  const session = new FakeSession('one', 2);
  agents.join(session);
  session.uses(2);
  expect(agents.retryAfterS).toBe(1);
  // Requests of 8 s each, for as long as it takes to be believed.
  for (let i = 0; i < 200; i++) agents.served(8_000);
  expect(agents.retryAfterS).toBe(4);
  for (let i = 0; i < 9; i++) agents.wait(new FakeWaiter(i, head()));
  expect(agents.retryAfterS).toBe(40);
  for (let i = 9; i < 500; i++) agents.wait(new FakeWaiter(i, head()));
  expect(agents.retryAfterS).toBe(120);
});

function may(session: FakeSession, waiter: { readonly head: RequestHead }): boolean {
  const scope = waiter.head.get('slime-scope') ?? '';
  const { scopes, scopePaths } = session.agent;
  return (scope === '' || scopes.includes(scope)) && (scopePaths.length === 0 || scopePaths.includes(waiter.head.path));
}

test('whatever joins, leaves, frees and waits: nobody waits beside a slot that may serve him, and the oldest goes first', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const agents = pool(20);
      const sessions: (FakeSession | undefined)[] = [];
      const queue = new Set<FakeWaiter>();
      const looking = new Set<FakeWaiter>();
      let arrivals = 0;
      const keptAt = (session: FakeSession) => [...looking].filter((one) => (one.candidate!.endpoint as unknown) === session).length;
      const check = () => {
        for (const one of queue) {
          if (one.line !== null) continue;
          queue.delete(one);
          if (one.given === null) looking.add(one);
          else {
            expect(may(one.given, one)).toBe(true);
            // Nobody older who could have had this slot is still waiting.
            for (const other of queue) if (other.line !== null && other.arrival < one.arrival) expect(may(one.given, other)).toBe(false);
          }
        }
        expect(agents.waiting).toBe(queue.size);
        for (const session of sessions) {
          if (session === undefined) continue;
          if (session.free - keptAt(session) <= 0) continue;
          for (const one of queue) expect(may(session, one), `${one.arrival} waits beside ${session.id}`).toBe(false);
        }
        const oldest = [...queue].reduce<FakeWaiter | null>((a, b) => (a === null || b.arrival < a.arrival ? b : a), null);
        expect(agents.oldest).toBe(oldest);
      };
      for (const one of steps) {
        switch (one.do) {
          case 'join': {
            sessions[one.session]?.leave();
            const scopes = SCOPES.filter((_, i) => i > 0 && (one.scopes & i) !== 0);
            const scopePaths = PATHS.filter((_, i) => (one.paths & (1 << i)) !== 0);
            const session = new FakeSession(`s${one.session}`, one.slots, { scopes, scopePaths });
            sessions[one.session] = session;
            agents.join(session);
            break;
          }
          case 'lose':
            sessions[one.session]?.leave();
            sessions[one.session] = undefined;
            break;
          case 'use':
            sessions[one.session]?.uses(Math.min(one.inFlight, sessions[one.session]!.slots));
            break;
          case 'finish': {
            const session = sessions[one.session];
            if (session !== undefined && session.inFlight > 0) session.uses(session.inFlight - 1);
            break;
          }
          case 'ask': {
            const waiter = new FakeWaiter(arrivals++, head(SCOPES[one.scope], PATHS[one.path]));
            waiter.unsure = one.unsure;
            const candidate = agents.pick(waiter.head);
            if (candidate !== null) {
              waiter.candidate = candidate;
              const session = candidate.endpoint as unknown as FakeSession;
              expect(session.free - keptAt(session), 'a slot that is kept').toBeGreaterThan(0);
              waiter.take();
              expect(may(waiter.given!, waiter)).toBe(true);
            } else if (agents.wait(waiter) === null) queue.add(waiter);
            else expect(queue.size).toBe(20);
            break;
          }
          case 'leave': {
            const waiter = [...queue][one.waiter % Math.max(1, queue.size)];
            if (waiter === undefined) break;
            agents.leave(waiter);
            agents.leave(waiter);
            queue.delete(waiter);
            break;
          }
          case 'decide': {
            const waiter = [...looking][one.waiter % Math.max(1, looking.size)];
            if (waiter === undefined) break;
            looking.delete(waiter);
            if (agents.letGo(waiter.candidate!, one.stays)) waiter.take();
            else if (one.stays) {
              waiter.candidate = agents.pick(waiter.head);
              if (waiter.candidate !== null) waiter.take();
              else if (agents.wait(waiter) === null) queue.add(waiter);
            }
          }
        }
        check();
      }
    }),
    { numRuns: 400 },
  );
});

describe('what operators say of agents', () => {
  /** Orders by agent id, which a test changes as it likes. */
  function orderedPool(): { agents: AgentPool; orders: Map<string, AgentOrders> } {
    const orders = new Map<string, AgentOrders>();
    return { agents: new AgentPool({ queueSize: 1_000, random: () => 0, orders: ({ id }) => orders.get(id) ?? null }), orders };
  }
  const DRAINED: AgentOrders = { isDrained: true, labels: new Map() };

  test('an agent that they have drained gets nothing new while it stays, also after it has come anew, until it is resumed', () => {
    const { agents, orders } = orderedPool();
    const [a, b] = [new FakeSession('a', 4), new FakeSession('b', 1)];
    agents.join(a);
    agents.join(b);
    orders.set('a', DRAINED);
    agents.obey('a');
    expect(agents.pick(head())!.agentId).toBe('b');
    b.uses(1);
    expect(agents.pick(head())).toBeNull();
    expect(agents.lacking(head())).toMatchObject({ code: 'no_free_slot' });
    a.leave();
    const again = new FakeSession('a', 4);
    agents.join(again);
    expect(agents.pick(head())).toBeNull();
    const waiter = new FakeWaiter(0, head());
    agents.wait(waiter);
    expect(waiter.given).toBeNull();
    orders.delete('a');
    agents.obey('a');
    expect(waiter.given).toBe(again);
  });

  test('when they have drained all that may serve a request, the answer says so, and nobody counts on their slots', () => {
    const { agents, orders } = orderedPool();
    agents.join(new FakeSession('a', 4));
    agents.served(100);
    orders.set('a', DRAINED);
    agents.obey('a');
    expect(agents.lacking(head())).toMatchObject({ code: 'taken_out', status: 503, retryAfterS: 5 });
    expect(agents.hasWorkers([])).toBe(false);
    agents.wait(new FakeWaiter(0, head()));
    expect(agents.places(1)[0]!.estimatedWaitMs).toBeNull();
    // Nobody is there at all: that is another thing.
    const { agents: empty } = orderedPool();
    expect(empty.lacking(head())).toMatchObject({ code: 'no_agent' });
  });

  test('those who wait for their own agent alone wait for any when it is drained', () => {
    const { agents, orders } = orderedPool();
    const selection = agents.select({
      name: 'keyed',
      selector: parseSelector('*'),
      balance: parseBalance('hash:path'),
      affinityWaitMs: 60_000,
      queueSize: 10,
      queueBytes: 1e6,
      queueTimeoutMs: 120_000,
      blockTimeoutMs: 120_000,
      fullStatus: 503,
      onAbort: null,
    });
    const sessions = [new FakeSession('a', 1), new FakeSession('b', 1)];
    for (const session of sessions) agents.join(session);
    const own = selection.pick(head())!.agentId;
    const [mine, other] = own === 'a' ? sessions : sessions.toReversed();
    mine!.uses(1);
    const waiter = new FakeWaiter(0, head());
    expect(selection.pick(head())).toBeNull();
    expect(selection.wait(waiter)).toBeNull();
    expect(waiter.given).toBeNull();
    orders.set(own, DRAINED);
    agents.obey(own);
    expect(waiter.given).toBe(other);
  });

  test('an agent with other hubs hears that nobody waits for it when it is drained, and who does when it is resumed', async () => {
    const { agents, orders } = orderedPool();
    const told: number[] = [];
    const session = Object.assign(new FakeSession('a', 1), { shared: true, tellWaiting: (count: number) => told.push(count) > 0 });
    session.inFlight = 1;
    agents.join(session);
    agents.wait(new FakeWaiter(0, head()));
    await until('the agent to hear of it', () => told.at(-1) === 1);
    orders.set('a', DRAINED);
    agents.obey('a');
    expect(told.at(-1)).toBe(0);
    const before = told.length;
    agents.wait(new FakeWaiter(1, head()));
    await turns(4);
    expect(told.length).toBe(before);
    orders.delete('a');
    agents.obey('a');
    await until('the agent to hear of both', () => told.at(-1) === 2);
  });

  test('labels that they give select it at once, in the place of its own, for those who wait as well, and are taken back', () => {
    const { agents, orders } = orderedPool();
    const select = (text: string) =>
      agents.select({
        name: text,
        selector: parseSelector(text),
        balance: { by: 'least_conn' },
        affinityWaitMs: 0,
        queueSize: 10,
        queueBytes: 1e6,
        queueTimeoutMs: 1_000,
        blockTimeoutMs: 1_000,
        fullStatus: 503,
        onAbort: null,
      });
    const [gold, old] = [select('tier=gold'), select('tier=old')];
    const session = new FakeSession('a', 2, { labels: new Map([['tier', 'old']]) });
    const busy = new FakeSession('g', 1, { labels: new Map([['tier', 'gold']]) });
    agents.join(session);
    agents.join(busy);
    busy.uses(1);
    const waiter = new FakeWaiter(0, head());
    expect(gold.pick(head())).toBeNull();
    expect(gold.wait(waiter)).toBeNull();
    expect(old.pick(head())).not.toBeNull();
    orders.set('a', {
      isDrained: false,
      labels: new Map([
        ['tier', 'gold'],
        ['rack', '7'],
      ]),
    });
    agents.obey('a');
    expect(waiter.given).toBe(session);
    expect(old.pick(head())).toBeNull();
    expect(gold.pick(head())!.agentId).toBe('a');
    expect(agents.announcedValues('rack')).toEqual(['7']);
    // What it announces itself stays as it is.
    expect([...session.agent.labels]).toEqual([['tier', 'old']]);
    orders.delete('a');
    agents.obey('a');
    expect([gold.pick(head()), old.pick(head())?.agentId]).toEqual([null, 'a']);
    expect(agents.knowsValue('rack', '7')).toBe(false);
  });

  test('what ends without its fault and what it could not answer are counted, what it gave back is neither', () => {
    const agents = pool();
    agents.join(new FakeSession('a', 4));
    const { watch } = agents.pick(head())!;
    for (const failure of [null, null, new Failure('tunnel_lost', ''), new Failure('refused', ''), new Failure('tunnel_lost_unsent', '')]) {
      watch!.began();
      watch!.ended(failure);
    }
    const [member] = agents.members;
    expect([member!.served, member!.failed]).toEqual([2, 1]);
  });
});

test('one of 10,000 who wait is found by when it came, in whatever line it stands', () => {
  const agents = pool(10_000);
  agents.join(new FakeSession('a', 1, { scopes: ['s1'] }));
  const waiters = Array.from({ length: 10_000 }, (_, i) => new FakeWaiter(i, head(i % 2 === 0 ? '' : 's1')));
  agents.pick(head());
  [...agents.sessions][0]!.owner!.changed([...agents.sessions][0]!);
  for (const waiter of waiters) agents.wait(waiter);
  const waits = waiters.find(({ arrival, given }) => given === null && arrival > 7_000)!;
  expect(agents.waiterOf(waits.arrival)).toBe(waits);
  agents.leave(waits);
  expect(agents.waiterOf(waits.arrival)).toBeNull();
  expect(agents.waiterOf(20_000)).toBeNull();
});
