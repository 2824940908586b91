import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FakeSession, FakeWaiter } from '../../test/kit/fake-agents.ts';
import { requestHead } from '../../test/kit/tunnel.ts';
import { until } from '../../test/kit/until.ts';
import type { RequestHead } from '../http/head.ts';
import { parseBalance } from '../schema/balance.ts';
import { parseSelector } from '../schema/selector.ts';
import type { AgentSelection, AgentSelectionOptions } from './agent-selection.ts';
import { AgentPool } from './agents.ts';
import { LANES, RETURN_MS } from './limits.ts';
import type { Captures } from './upstream.ts';

const time = { nowMs: 1_000_000 };
const clock = { now: () => time.nowMs, wall: () => 0 };

function pool(queueSize = 1000, random: () => number = () => 0): AgentPool {
  const made = new AgentPool({ queueSize, random, clock });
  // The time in which agents may come back after a start is over.
  time.nowMs += RETURN_MS;
  return made;
}

function select(of: AgentPool, selector: string, algo = 'least_conn', options: Partial<AgentSelectionOptions> = {}): AgentSelection {
  return of.select({
    name: selector,
    selector: parseSelector(selector),
    balance: parseBalance(algo),
    affinityWaitMs: 1_000,
    queueSize: 1_000,
    queueBytes: 1_000_000,
    queueTimeoutMs: 5_000,
    blockTimeoutMs: 300_000,
    fullStatus: 503,
    onAbort: null,
    ...options,
  });
}

function get(path = '/', fields: Record<string, string> = {}, host = 'a'): RequestHead {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return requestHead(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines.join('')}\r\n`);
}

function labelled(id: string, labels: Record<string, string>, slots = 1): FakeSession {
  return new FakeSession(id, slots, { labels: new Map(Object.entries(labels)) });
}

const route = (to: string): Captures => new Map([['1', to]]);

test('an upstream asks its own agents only, and says what it lacks', () => {
  const agents = pool();
  const gpu = select(agents, 'gpu=a100');
  agents.join(labelled('plain', {}));
  expect(gpu.pick(get())).toBeNull();
  const session = labelled('g', { gpu: 'a100' });
  agents.join(session);
  expect(gpu.pick(get())!.agentId).toBe('g');
  session.uses(1);
  expect(gpu.lacking(get())).toMatchObject({ code: 'no_free_slot', status: 503 });
  session.leave();
  expect(gpu.lacking(get())).toMatchObject({ code: 'no_agent', status: 503 });
  expect(gpu.lacking(get()).detail).toContain('gpu=a100');
});

test('a scope that a request names narrows what its upstream selects', () => {
  const agents = pool();
  const upstream = select(agents, 'zone=eu');
  agents.join(labelled('eu', { zone: 'eu' }));
  agents.join(new FakeSession('scoped', 1, { scopes: ['x'] }));
  expect(upstream.pick(get('/', { 'Slime-Scope': 'x' }))).toBeNull();
  agents.join(new FakeSession('both', 1, { scopes: ['x'], labels: new Map([['zone', 'eu']]) }));
  expect(upstream.pick(get('/', { 'Slime-Scope': 'x' }))!.agentId).toBe('both');
});

test('captures choose among agents; what nobody ever announced is 404, what is busy waits, what is away waits as well', () => {
  const agents = pool();
  const upstream = select(agents, 'route=$1');
  const images = labelled('i', { route: 'images' });
  agents.join(images);
  expect(upstream.pick(get(), undefined, route('images'))!.agentId).toBe('i');
  for (const nobody of [route('admin'), route(''), null]) {
    expect(upstream.pick(get(), undefined, nobody)).toBeNull();
    expect(upstream.lacking(get(), nobody)).toMatchObject({ code: 'unknown_agent', status: 404 });
    expect(upstream.wait(new FakeWaiter(0, get(), nobody))).toMatchObject({ code: 'unknown_agent' });
  }
  expect(agents.waiting).toBe(0);
  images.uses(1);
  const busy = new FakeWaiter(1, get(), route('images'));
  expect(upstream.wait(busy)).toBeNull();
  images.uses(0);
  expect(busy.given).toBe(images);
  images.leave();
  const away = new FakeWaiter(2, get(), route('images'));
  expect(upstream.wait(away)).toBeNull();
  const again = labelled('i', { route: 'images' });
  agents.join(again);
  expect(away.given).toBe(again);
});

test('an agent that has been away for too long is unknown, unless somebody can be asked to start it', () => {
  const agents = new AgentPool({ queueSize: 10, clock, knownForMs: 1_000 });
  time.nowMs += RETURN_MS;
  const plain = select(agents, 'name=box');
  const starved: number[] = [];
  const woken = select(agents, 'name=box', 'least_conn', { starved: () => starved.push(1) });
  expect(plain.lacking(get())).toMatchObject({ code: 'unknown_agent' });
  expect(woken.lacking(get())).toMatchObject({ code: 'no_agent' });
  expect(woken.wait(new FakeWaiter(0, get()))).toBeNull();
  expect(starved.length).toBe(1);
  const session = new FakeSession('b', 1, { name: 'box' });
  agents.join(session);
  session.leave();
  time.nowMs += 1_000;
  expect(plain.lacking(get())).toMatchObject({ code: 'no_agent' });
  time.nowMs += 1;
  expect(plain.lacking(get())).toMatchObject({ code: 'unknown_agent' });
});

test('a hub that has just started and has no agent yet calls nobody unknown', () => {
  const agents = new AgentPool({ queueSize: 10, clock });
  const [named, captured] = [select(agents, 'name=box'), select(agents, 'route=$1')];
  expect(captured.lacking(get(), route('x'))).toMatchObject({ code: 'no_agent', status: 503, retryAfterS: 5 });
  const waiter = new FakeWaiter(0, get());
  expect(named.wait(waiter)).toBeNull();
  agents.join(new FakeSession('other', 1));
  expect(captured.lacking(get(), route('x'))).toMatchObject({ code: 'unknown_agent' });
  const box = new FakeSession('b', 1, { name: 'box' });
  agents.join(box);
  expect(waiter.given).toBe(box);
});

test('@announced sends a request to those who say that they serve its host and path', () => {
  const agents = pool();
  const upstream = select(agents, '@announced');
  agents.join(labelled('img', { route: '/images', host: 'a.example' }));
  agents.join(labelled('any', { route: '/images' }));
  expect(upstream.pick(get('/images/1?x', {}, 'a.example'))!.agentId).toBe('img');
  expect(upstream.pick(get('/images/1', {}, 'b.example'))!.agentId).toBe('any');
  expect(upstream.lacking(get('/other'))).toMatchObject({ code: 'unknown_agent' });
  expect(select(agents, '@announced gpu=a100').lacking(get('/images'))).toMatchObject({ code: 'unknown_agent' });
});

test('a freed slot goes to the oldest waiter over all upstreams', () => {
  const agents = pool();
  const upstreams = [select(agents, '*'), select(agents, 'gpu=a100'), select(agents, 'route=$1')];
  const session = labelled('g', { gpu: 'a100', route: 'r' });
  agents.join(session);
  session.uses(1);
  const order: number[] = [];
  const waiters = [2, 1, 0, 0, 2, 1].map((at, i) => {
    const waiter = new FakeWaiter(i, get(), route('r'));
    waiter.granted = (candidate) => {
      waiter.candidate = candidate;
      waiter.take();
      order.push(i);
      return true;
    };
    expect(upstreams[at]!.wait(waiter)).toBeNull();
    return waiter;
  });
  expect(agents.waiting).toBe(6);
  expect(agents.oldest).toBe(waiters[0]);
  expect(agents.places(10).map(({ waiter, upstream }) => [(waiter as FakeWaiter).arrival, upstream])).toEqual([
    [0, 'route=$1'],
    [1, 'gpu=a100'],
    [2, '*'],
    [3, '*'],
    [4, 'route=$1'],
    [5, 'gpu=a100'],
  ]);
  for (let i = 0; i < 6; i++) session.uses(0);
  expect(order).toEqual([0, 1, 2, 3, 4, 5]);
  expect(upstreams.map(({ waiting }) => waiting)).toEqual([0, 0, 0]);
});

test('each upstream has its own bound for those who wait and its own word for it, and the hub has one for all', () => {
  const agents = pool(3);
  const [small, large] = [select(agents, '*', 'least_conn', { queueSize: 1, fullStatus: 429 }), select(agents, '*')];
  expect(small.wait(new FakeWaiter(0, get()))).toBeNull();
  expect(small.wait(new FakeWaiter(1, get()))).toMatchObject({ code: 'queue_full', status: 429 });
  expect(large.wait(new FakeWaiter(2, get()))).toBeNull();
  expect(large.wait(new FakeWaiter(3, get()))).toBeNull();
  expect(large.wait(new FakeWaiter(4, get()))).toMatchObject({ code: 'queue_full', status: 503 });
});

test('round_robin gives everybody his turn by slots, random_two never a full one', () => {
  const agents = pool(10, Math.random);
  const turns = select(agents, '*', 'round_robin');
  for (const [id, slots] of [
    ['a', 1_000],
    ['b', 1_000],
    ['c', 2_000],
  ] as const)
    agents.join(new FakeSession(id, slots));
  const got = Array.from({ length: 8 }, () => turns.pick(get())!.agentId);
  expect(got.filter((id) => id === 'c').length).toBe(4);
  expect(got.filter((id) => id === 'a').length).toBe(2);

  const two = select(agents, '*', 'random_two');
  const [full] = [...agents.sessions] as unknown as FakeSession[];
  full!.uses(1_000);
  for (let i = 0; i < 50; i++) expect(two.pick(get())!.agentId).not.toBe('a');
});

test('spare_capacity goes by what the services behind the agents report, and by their slots, while an upstream asks for it', () => {
  const agents = pool(10, Math.random);
  agents.join(new FakeSession('a', 2));
  const plain = select(agents, '*', 'least_conn');
  expect(plain.pick(get())!.loads).toBeNull();
  const spare = select(agents, '*', 'spare_capacity');
  agents.join(new FakeSession('b', 1));
  expect(spare.pick(get())!.agentId).toBe('a');
  spare.pick(get())!.loads!.trailers(['endpoint-load-metrics', 'JSON {"cpu_utilization": 0.8}']);
  expect(spare.pick(get())!.agentId).toBe('b');
  expect(spare.pick(get(), 'b')!.agentId).toBe('a');
  spare.close();
  expect(plain.pick(get())!.loads).toBeNull();
});

const KEYS = Array.from({ length: 200 }, (_, i) => `user-${i}`);
const key = (of: string): RequestHead => get('/', { 'X-User': of });

test('a hash sends each key to the same agent, and an agent that leaves gives away its own keys only', () => {
  const agents = pool();
  const upstream = select(agents, '*', 'hash:header:X-User');
  const sessions = ['a', 'b', 'c', 'd'].map((id) => new FakeSession(id, 10));
  for (const session of sessions) agents.join(session);
  const where = () => KEYS.map((one) => upstream.pick(key(one))!.agentId);
  const before = where();
  expect(where()).toEqual(before);
  expect(new Set(before).size).toBe(4);
  sessions[1]!.leave();
  const after = where();
  before.forEach((id, i) => {
    if (id !== 'b') expect(after[i]).toBe(id);
  });
  agents.join(new FakeSession('b', 10));
  expect(where()).toEqual(before);
});

test('a key is on more slots more often', () => {
  const agents = pool();
  const upstream = select(agents, '*', 'hash:header:X-User');
  agents.join(new FakeSession('large', 90));
  agents.join(new FakeSession('small', 10));
  const small = KEYS.filter((one) => upstream.pick(key(one))!.agentId === 'small').length;
  expect(small).toBeGreaterThan(2);
  expect(small).toBeLessThan(60);
});

/** A pool with two agents of one slot, and a key that belongs to the first. */
function pair(options: Partial<AgentSelectionOptions> = {}) {
  const agents = pool();
  const upstream = select(agents, '*', 'hash:header:X-User', options);
  const [own, other] = [new FakeSession('own', 1), new FakeSession('other', 1)];
  agents.join(own);
  agents.join(other);
  const [mine, theirs] = ['own', 'other'].map((id) => key(KEYS.find((one) => upstream.pick(key(one))!.agentId === id)!));
  return { agents, upstream, own, other, mine: mine!, theirs: theirs! };
}

test('a request waits for its own agent although another is free, and others go on meanwhile', () => {
  const { agents, upstream, own, other, mine, theirs } = pair();
  own.uses(1);
  expect(upstream.pick(mine)).toBeNull();
  const waiter = new FakeWaiter(0, mine);
  expect(upstream.wait(waiter)).toBeNull();
  expect(upstream.pick(theirs)!.agentId).toBe('other');
  expect(agents.places(5).map(({ upstream: name }) => name)).toEqual(['*']);
  expect(agents.oldest).toBe(waiter);
  other.uses(1);
  other.uses(0);
  expect(waiter.given).toBeNull();
  own.uses(0);
  expect(waiter.given).toBe(own);
  expect(agents.waiting).toBe(0);
});

test('an agent with several hubs is told of those who wait for it alone as well', async () => {
  const { upstream, own, other, mine } = pair();
  const told = new Map<string, number>();
  for (const session of [own, other]) Object.assign(session, { shared: true, tellWaiting: (count: number) => void told.set(session.id, count) });
  own.uses(1);
  other.uses(1);
  upstream.wait(new FakeWaiter(0, mine));
  upstream.wait(new FakeWaiter(1, get()));
  await until('both to be told', () => told.get('own') === 2 && told.get('other') === 1);
});

test('whoever waits for one agent alone and whoever waits for any are served in order of arrival', () => {
  const { upstream, agents, own, other, mine } = pair();
  own.uses(1);
  other.uses(1);
  const [first, second, third] = [new FakeWaiter(0, mine), new FakeWaiter(1, get()), new FakeWaiter(2, mine)];
  for (const waiter of [first, second, third]) expect(upstream.wait(waiter)).toBeNull();
  own.uses(0);
  expect(first.given).toBe(own);
  own.uses(0);
  expect([second.given, third.given]).toEqual([own, null]);
  own.uses(0);
  expect(third.given).toBe(own);
  expect(agents.waiting).toBe(0);
});

test('after affinity_wait any agent will do: one that is free at once, else the first that becomes so', async () => {
  const { upstream, own, other, mine } = pair({ affinityWaitMs: 20 });
  own.uses(1);
  const waiter = new FakeWaiter(0, mine);
  upstream.wait(waiter);
  time.nowMs += 20;
  await until('another agent', () => waiter.given);
  expect(waiter.given).toBe(other);
  const late = new FakeWaiter(1, mine);
  upstream.wait(late);
  const left = new FakeWaiter(2, mine);
  upstream.wait(left);
  upstream.leave(left);
  time.nowMs += 20;
  const { line } = late;
  await until('the common line', () => late.line !== line);
  other.uses(0);
  expect(late.given).toBe(other);
  expect([left.given, upstream.waiting]).toEqual([null, 0]);
});

test('who waits for an agent that leaves takes another at once', () => {
  const { upstream, agents, own, other, mine } = pair();
  own.uses(1);
  const [first, second] = [new FakeWaiter(0, mine), new FakeWaiter(1, mine)];
  upstream.wait(first);
  upstream.wait(second);
  own.leave();
  expect([first.given, second.given]).toEqual([other, null]);
  expect(agents.waiting).toBe(1);
  other.uses(0);
  expect(second.given).toBe(other);
});

test('without patience, without a key, or with affinity_wait = 0 any agent will do at once', () => {
  const { upstream, agents, own, mine } = pair();
  own.uses(1);
  expect(upstream.pick(get())!.agentId).toBe('other');
  expect(upstream.pick(mine, 'nobody')!.agentId).toBe('other');
  expect(select(agents, '*', 'hash:header:X-User', { affinityWaitMs: 0 }).pick(mine)!.agentId).toBe('other');
  expect(select(agents, '*', 'hash:header:X-User', { queueTimeoutMs: 0 }).pick(mine)!.agentId).toBe('other');
});

test('10,000 words of clients as captures make no lane unless somebody answers to them, and then no more than there may be', () => {
  const agents = pool();
  const upstream = select(agents, 'route=$1 zone=$2');
  agents.join(labelled('a', { route: '/a', zone: 'eu' }));
  const lanes = agents.lanes;
  for (let i = 0; i < 10_000; i++)
    upstream.pick(
      get(),
      undefined,
      new Map([
        ['1', 'a'],
        ['2', `z${i}`],
      ]),
    );
  expect(agents.lanes).toBe(lanes);
  for (let i = 0; i < 3_000; i++) agents.join(labelled(`b${i}`, { route: `/r${i}`, zone: 'eu' }));
  for (let i = 0; i < 3_000; i++) {
    expect(
      upstream.pick(
        get(),
        undefined,
        new Map([
          ['1', `r${i}`],
          ['2', 'eu'],
        ]),
      )!.agentId,
    ).toBe(`b${i}`);
    expect(agents.lanes).toBeLessThanOrEqual(lanes + LANES);
  }
});

test('a closed upstream serves those who wait and those who are on their way, and leaves nothing behind', () => {
  const agents = pool();
  const lanes = agents.lanes;
  const upstream = select(agents, 'gpu=a100');
  const session = labelled('g', { gpu: 'a100' });
  agents.join(session);
  session.uses(1);
  const waiter = new FakeWaiter(0, get());
  upstream.wait(waiter);
  upstream.close();
  upstream.close();
  session.uses(0);
  expect(waiter.given).toBe(session);
  const late = new FakeWaiter(1, get());
  expect(upstream.pick(get())).toBeNull();
  expect(upstream.wait(late)).toBeNull();
  session.uses(0);
  expect(late.given).toBe(session);
  const idle = select(agents, 'gpu=a100');
  idle.close();
  // What came before the reload and was held up on its way.
  session.uses(0);
  expect(idle.pick(get())!.agentId).toBe('g');
  expect(agents.lanes).toBeLessThanOrEqual(lanes + 2);
  session.uses(1);
  const last = new FakeWaiter(2, get());
  expect(idle.wait(last)).toBeNull();
  session.uses(0);
  expect(last.given).toBe(session);
});

test('how long a request waits is its own word within bounds, and Retry-After is reckoned from its own agents', () => {
  const agents = pool();
  const upstream = select(agents, 'gpu=a100', 'least_conn', { queueTimeoutMs: 7_000, blockTimeoutMs: 20_000 });
  expect(upstream.patienceMs(get())).toBe(7_000);
  expect(upstream.patienceMs(get('/', { Prefer: 'wait=3' }))).toBe(3_000);
  expect(upstream.patienceMs(get('/', { 'Slime-Block': '1' }))).toBe(20_000);
  agents.join(new FakeSession('many', 1_000));
  const session = labelled('g', { gpu: 'a100' });
  agents.join(session);
  session.uses(1);
  for (let i = 0; i < 100; i++) upstream.served(3_000);
  expect(upstream.lacking(get()).retryAfterS).toBe(3);
});

// --- everything at once

const SELECTORS = ['*', 'zone=eu', 'route=$1', '@announced', 'scope=a'];
const LABELS: readonly Record<string, string>[] = [{}, { zone: 'eu' }, { route: '/p' }, { route: '/p /q', zone: 'eu' }, { host: 'h' }];
const SCOPES: readonly (readonly string[])[] = [[], ['a'], ['a', 'b']];
const PATHS = ['/p', '/q/x', '/z'];

type Step =
  | { do: 'join'; session: number; slots: number; labels: number; scopes: number; only: boolean }
  | { do: 'lose'; session: number }
  | { do: 'finish'; session: number }
  | { do: 'ask'; upstream: number; path: number; host: string; capture: string; scope: string; user: string }
  | { do: 'leave'; waiter: number }
  | { do: 'reload'; upstream: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      session: fc.nat(4),
      slots: fc.integer({ min: 1, max: 2 }),
      labels: fc.nat(4),
      scopes: fc.nat(2),
      only: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constant('lose' as const), session: fc.nat(4) }),
  { weight: 4, arbitrary: fc.record({ do: fc.constant('finish' as const), session: fc.nat(4) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      upstream: fc.nat(4),
      path: fc.nat(2),
      host: fc.constantFrom('h', 'i'),
      capture: fc.constantFrom('p', 'q', 'nothing'),
      scope: fc.constantFrom('', '', 'a', 'b'),
      user: fc.constantFrom('', 'u1', 'u2', 'u3'),
    }),
  },
  fc.record({ do: fc.constant('leave' as const), waiter: fc.nat(30) }),
  fc.record({ do: fc.constant('reload' as const), upstream: fc.nat(4) }),
);

interface Asked {
  readonly waiter: FakeWaiter;
  readonly upstream: AgentSelection;
  readonly selector: string;
  readonly capture: string;
  readonly scope: string;
  readonly announced: string | null;
}

/** May this agent serve this request? Said once more, in the plainest words. */
function may({ agent }: FakeSession, { selector, capture, scope, waiter, announced }: Asked): boolean {
  const path = waiter.head.path;
  if (scope !== '' && !agent.scopes.includes(scope)) return false;
  if (agent.scopePaths.length > 0 && !agent.scopePaths.includes(path)) return false;
  const routes = (agent.labels.get('route') ?? '').split(' ');
  switch (selector) {
    case 'zone=eu':
      return agent.labels.get('zone') === 'eu';
    case 'scope=a':
      return agent.scopes.includes('a');
    case 'route=$1':
      return routes.includes(`/${capture}`);
    case '@announced': {
      const says = agent.labels.has('host') ? ['@h\0'] : routes.filter((one) => one !== '').map((one) => `@\0${one}`);
      return announced !== null && says.includes(announced);
    }
    default:
      return true;
  }
}

test.each(['least_conn', 'round_robin', 'random_two', 'hash:header:X-User'])(
  'whatever joins, leaves, frees, asks and is reloaded: a free slot that may serve somebody serves the oldest (%s)',
  (algo) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), fc.nat(), (steps, seed) => {
        const agents = pool(15, Math.random);
        const make = (selector: string) => select(agents, selector, algo, { affinityWaitMs: seed % 2 === 0 ? 0 : 1e9, queueTimeoutMs: 4e9 });
        const upstreams = SELECTORS.map(make);
        const sessions: (FakeSession | undefined)[] = [];
        const queue = new Map<FakeWaiter, Asked>();
        let arrivals = 0;
        const check = () => {
          for (const [waiter, asked] of queue) {
            if (waiter.line !== null) continue;
            queue.delete(waiter);
            expect(may(waiter.given!, asked)).toBe(true);
            // Nobody older who could have had this slot, and was free to take any, is still waiting.
            for (const [other, its] of queue)
              if (other.line !== null && other.arrival < waiter.arrival && waitsForAny(other)) expect(may(waiter.given!, its)).toBe(false);
          }
          expect(agents.waiting).toBe(queue.size);
          const open = new Map<AgentSelection, number>();
          for (const { upstream } of queue.values()) open.set(upstream, (open.get(upstream) ?? 0) + 1);
          for (const [upstream, count] of open) expect(upstream.waiting).toBe(count);
          for (const session of sessions) {
            if (session === undefined || session.free === 0) continue;
            for (const [waiter, asked] of queue)
              if (waitsForAny(waiter)) expect(may(session, asked), `${waiter.arrival} waits beside ${session.id}`).toBe(false);
          }
          const oldest = [...queue.keys()].reduce<FakeWaiter | null>((a, b) => (a === null || b.arrival < a.arrival ? b : a), null);
          expect(agents.oldest).toBe(oldest);
          expect(agents.places(100).map(({ waiter }) => waiter)).toEqual([...queue.keys()].sort((a, b) => a.arrival - b.arrival));
        };
        /** And not for its own agent alone, which is busy. */
        const waitsForAny = (waiter: FakeWaiter): boolean =>
          !sessions.some((session) => (session?.owner as { own?: unknown } | null)?.own === waiter.line);
        for (const one of steps) {
          switch (one.do) {
            case 'join': {
              sessions[one.session]?.leave();
              const session = new FakeSession(`s${one.session}`, one.slots, {
                labels: new Map(Object.entries(LABELS[one.labels]!)),
                scopes: SCOPES[one.scopes]!,
                scopePaths: one.only ? ['/p'] : [],
              });
              sessions[one.session] = session;
              agents.join(session);
              break;
            }
            case 'lose':
              sessions[one.session]?.leave();
              sessions[one.session] = undefined;
              break;
            case 'finish': {
              const session = sessions[one.session];
              if (session !== undefined && session.inFlight > 0) session.uses(session.inFlight - 1);
              break;
            }
            case 'ask': {
              const upstream = upstreams[one.upstream]!;
              const fields = { ...(one.scope !== '' && { 'Slime-Scope': one.scope }), ...(one.user !== '' && { 'X-User': one.user }) };
              const head = get(PATHS[one.path], fields, one.host);
              const captures = route(one.capture);
              const waiter = new FakeWaiter(arrivals++, head, captures);
              const asked: Asked = {
                waiter,
                upstream,
                selector: SELECTORS[one.upstream]!,
                capture: one.capture,
                scope: one.scope,
                announced: agents.roster.announced(head.authority, head.path),
              };
              waiter.candidate = upstream.pick(head, undefined, captures);
              if (waiter.candidate !== null) {
                waiter.take();
                expect(may(waiter.given!, asked)).toBe(true);
                break;
              }
              const failure = upstream.wait(waiter);
              if (failure === null) queue.set(waiter, asked);
              else if (failure.code === 'queue_full') expect(queue.size).toBe(15);
              else for (const session of sessions) if (session !== undefined) expect(may(session, { ...asked, scope: '' }), failure.code).toBe(false);
              break;
            }
            case 'leave': {
              const asked = [...queue.values()][one.waiter % Math.max(1, queue.size)];
              if (asked === undefined) break;
              asked.upstream.leave(asked.waiter);
              asked.upstream.leave(asked.waiter);
              queue.delete(asked.waiter);
              break;
            }
            case 'reload':
              upstreams[one.upstream]!.close();
              upstreams[one.upstream] = make(SELECTORS[one.upstream]!);
          }
          check();
        }
      }),
      { numRuns: 300 },
    );
  },
);
