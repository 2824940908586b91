import { expect, test } from 'vitest';
import { FakeSession } from '../../../test/kit/fake-agents.ts';
import { MemoryLog } from '../../../test/kit/tunnel.ts';
import { agentsRoutes } from '../../admin/agents-routes.ts';
import type { AgentInfo, Page } from '../../admin/model.ts';
import type { AdminRequest, Problem } from '../../admin/route.ts';
import { AgentPool } from '../../upstream/agents.ts';
import { AgentBook } from '../agent-book.ts';
import { ConsoleAgents, type ShownDesk } from './agents.ts';
import { KeptAgents } from '../kept-agents.ts';
import { AWAY_SHOWN } from '../limits.ts';

const clock = { now: () => 5_000, wall: () => 1_000_000 };

/** A desk without doors, and the agents' part of a console that shows it. */
function consoleOf(secrets: readonly string[] = ['a secret']) {
  const log = new MemoryLog();
  const kept = new KeptAgents(null, log);
  const pool = new AgentPool({
    queueSize: 10,
    clock,
    orders: ({ id }) => kept.notes.all.get(id) ?? null,
    left: (session, _, member) => book.left(session, member, clock.wall()),
  });
  const book = new AgentBook();
  kept.notes.changed = (ids) => ids.forEach((id) => pool.obey(id));
  const desk: ShownDesk = {
    pool,
    book,
    kept,
    rules: { hubId: 'h', secrets, siblings: new Map(), revoked: [], requireCertificate: false },
    revokedInFile: new Set(),
  };
  const changes: number[] = [];
  const agents = new ConsoleAgents({ desk: () => desk, hubUrl: () => null, clock, log, changed: () => changes.push(1) });
  return { agents, pool, desk, changes, log };
}

const ALL = { query: '', state: null, by: 'name', descending: false, offset: 0, limit: 50 } as const;

/** A session that counts how often somebody asks for what only a detail shows. */
class CountedSession extends FakeSession {
  static details = 0;
  static looks = 0;

  override get roundTripMs(): number {
    CountedSession.details++;
    return 0;
  }

  override get free(): number {
    CountedSession.looks++;
    return super.free;
  }
}

test('a page of 10,000 agents looks at each of them a few times, and into those on the page alone', async () => {
  const { agents, pool } = consoleOf();
  for (let i = 0; i < 10_000; i++) pool.join(new CountedSession(`a${i}`, 2, { name: `box-${i % 100}`, labels: new Map([['rack', String(i % 7)]]) }));
  const asks = [ALL, { ...ALL, query: 'RACK=3', state: 'serving' as const }, { ...ALL, by: 'free' as const, descending: true, offset: 9_000 }];
  for (const asked of asks) {
    CountedSession.details = CountedSession.looks = 0;
    const { total, items } = await agents.list(asked);
    expect(items).toHaveLength(50);
    expect(total).toBe(asked.query === '' ? 10_000 : Math.ceil((10_000 - 3) / 7));
    // Twice: once to see whether there is one.
    expect(CountedSession.details).toBeLessThanOrEqual(100);
    expect(CountedSession.looks).toBeLessThanOrEqual(10_000 + 200);
  }
  CountedSession.details = 0;
  expect((await agents.agent('a77'))!.id).toBe('a77');
  expect(CountedSession.details).toBeLessThanOrEqual(2);
});

test('pages fit together whatever they are sorted by, and equal ones go by id', async () => {
  const { agents, pool } = consoleOf();
  for (let i = 0; i < 25; i++) pool.join(new FakeSession(`a${String(i).padStart(2, '0')}`, 1 + (i % 3), { name: `n${i % 2}` }));
  for (const by of ['name', 'id', 'state', 'slots', 'free', 'inFlight', 'served', 'failed', 'joined'] as const) {
    for (const descending of [false, true]) {
      const pages = await Promise.all([0, 10, 20].map((offset) => agents.list({ ...ALL, by, descending, offset, limit: 10 })));
      const ids = pages.flatMap(({ items }) => items.map(({ id }) => id));
      expect(new Set(ids).size).toBe(25);
    }
  }
  const { items } = await agents.list({ ...ALL, by: 'slots', descending: true, limit: 3 });
  expect(items.map(({ id, slots }) => [id, slots])).toEqual([
    ['a02', 3],
    ['a05', 3],
    ['a08', 3],
  ]);
});

test('the sessions of one agent are one agent, who goes on counting when he comes back', async () => {
  const { agents, pool } = consoleOf();
  const [first, second] = [new FakeSession('a', 2, { instance: 'p1' }), new FakeSession('a', 3, { instance: 'p2' })];
  pool.join(first);
  pool.join(second);
  for (const member of pool.members) {
    member.ended(null);
    first.uses(1);
  }
  expect(await agents.agent('a')).toMatchObject({ slots: 5, free: 4, inFlight: 1, served: 2, state: 'serving', leftAtMs: 0, joinedAtMs: 995_000 });
  first.leave();
  second.leave();
  expect(await agents.agent('a')).toMatchObject({ slots: 0, served: 2, state: 'away', leftAtMs: 1_000_000, sessions: [] });
  pool.join(new FakeSession('a', 1));
  expect(await agents.agent('a')).toMatchObject({ slots: 1, served: 2, state: 'serving' });
});

test('agents that have left are remembered up to a bound, the longest gone forgotten first', () => {
  const { pool, desk } = consoleOf();
  for (let i = 0; i <= AWAY_SHOWN; i++) {
    const session = new FakeSession(`a${i}`, 1);
    pool.join(session);
    session.leave();
  }
  expect(desk.book.past.size).toBe(AWAY_SHOWN);
  expect(desk.book.past.has('a0')).toBe(false);
});

test('names, labels and remarks are shown as they are, whatever stands in them', async () => {
  const { agents, pool } = consoleOf();
  const hostile = '<img src=x onerror=alert(1)>\u202e__proto__';
  pool.join(
    new FakeSession('a', 1, {
      name: hostile,
      labels: new Map([
        ['__proto__', 'x'],
        ['constructor', hostile],
      ]),
    }),
  );
  const info = (await agents.agent('a'))!;
  expect(info.name).toBe(hostile);
  expect(Object.entries(info.labels)).toEqual([
    ['__proto__', 'x'],
    ['constructor', hostile],
  ]);
  expect(JSON.parse(JSON.stringify(info)).labels.constructor).toBe(hostile);
});

test('a token that was issued is shown as an agent that is away until somebody comes with it, or its time is over', async () => {
  const { agents, pool } = consoleOf();
  const { id } = await agents.register({ name: 'new', scopes: ['s'], ttlMs: 60_000 });
  expect((await agents.list(ALL)).items).toMatchObject([{ id, name: 'new', state: 'away', scopes: ['s'], expiresAtMs: 1_060_000, tokens: [id] }]);
  const session = new FakeSession('box', 1, { tokenId: id });
  pool.join(session);
  // Who has made the token finds the agent that came with it.
  expect((await agents.list({ ...ALL, query: id })).items.map((one) => one.id)).toEqual(['box']);
  session.leave();
  expect((await agents.list(ALL)).items.map((one) => [one.id, one.state])).toEqual([['box', 'away']]);
});

test('who may be no agent cannot be made one: no secret, a token that would be too long, no section [agents]', async () => {
  const { agents } = consoleOf([]);
  await expect(agents.register({ name: 'x' })).rejects.toMatchObject({ status: 409, code: 'no_secret' });
  const { agents: strict } = consoleOf();
  await expect(strict.register({ name: 'x', scopes: Array.from({ length: 100 }, (_, i) => `${'s'.repeat(90)}${i}`) })).rejects.toMatchObject({
    status: 422,
  });
  const none = new ConsoleAgents({ desk: () => null, hubUrl: () => null, clock, log: new MemoryLog(), changed: () => {} });
  expect(await none.list(ALL)).toEqual({ total: 0, items: [] });
  expect(await none.revoked({ offset: 0, limit: 1 })).toEqual({ total: 0, items: [] });
  await expect(none.register({ name: 'x' })).rejects.toMatchObject({ status: 409, code: 'no_agents' });
});

test('an agent that needed no token cannot be revoked, and that is said', async () => {
  const { agents, pool } = consoleOf();
  pool.join(new FakeSession('connector', 1, { tokenId: '' }));
  await expect(agents.revoke('connector', '', 'ann')).rejects.toMatchObject({ status: 409, code: 'no_token' });
});

test('what is said of an agent is gone when nothing is left of it', async () => {
  const { agents, pool, desk, changes } = consoleOf();
  pool.join(new FakeSession('a', 1));
  await agents.note('a', { name: ' Ann ', labels: { rack: '7' } });
  expect(desk.kept.notes.all.get('a')).toEqual({ name: 'Ann', remark: '', labels: new Map([['rack', '7']]), isDrained: false });
  await agents.drain('a', true);
  await agents.note('a', { name: '', labels: {} });
  expect(await agents.agent('a')).toMatchObject({ drained: true, state: 'draining', given: { name: '', labels: {} } });
  await agents.drain('a', false);
  expect(desk.kept.notes.all.size).toBe(0);
  expect(changes).toHaveLength(4);
});

test('what is as its own is not given to an agent, so that it may be something else later', async () => {
  const { agents, pool, desk } = consoleOf();
  pool.join(
    new FakeSession('a', 1, {
      name: 'otter',
      labels: new Map([
        ['gpu', 'a100'],
        ['tier', 'old'],
      ]),
    }),
  );
  const { given } = await agents.note('a', { name: 'otter', labels: { gpu: 'a100', tier: 'gold' } });
  expect(given).toEqual({ name: '', labels: { tier: 'gold' } });
  // What a form shows and sends back stays what it was.
  const shown = (await agents.agent('a'))!;
  expect((await agents.note('a', { name: shown.name, labels: shown.labels })).given).toEqual(given);
  await agents.note('a', { labels: { gpu: 'a100', tier: 'old' } });
  expect(desk.kept.notes.all.size).toBe(0);
});

test('what is asked of the list in a wrong way is 400 and says what is right', async () => {
  const { agents } = consoleOf();
  const list = agentsRoutes(agents).find(({ method, path }) => method === 'GET' && path === '/agents')!;
  const ask = async (query: string): Promise<Page<AgentInfo> | number> => {
    try {
      const made = await list.handle({ query: new URLSearchParams(query) } as AdminRequest);
      return 'json' in made ? (made.json as Page<AgentInfo>) : 0;
    } catch (error) {
      return (error as Problem).status;
    }
  };
  for (const bad of ['limit=x', 'limit=-1', 'offset=1.5', 'sort=colour', 'state=asleep', 'limit=9999999999']) expect(await ask(bad)).toBe(400);
  for (const good of ['', 'limit=0', 'limit=5000', 'sort=-free&state=away&query=%20', 'offset=999999999'])
    expect(await ask(good)).toMatchObject({ items: [] });
});
