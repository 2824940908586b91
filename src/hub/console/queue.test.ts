import { expect, test } from 'vitest';
import { FakeSession, FakeWaiter, head } from '../../../test/kit/fake-agents.ts';
import { MemoryLog } from '../../../test/kit/tunnel.ts';
import { AgentPool } from '../../upstream/agents.ts';
import { ConsoleQueue } from './queue.ts';

const clock = { now: () => 10_000, wall: () => 0 };

function queueOf(pool: AgentPool | null, outside = 0) {
  const log = new MemoryLog();
  let changes = 0;
  const byUpstream = () => [{ upstream: 'gpu', size: pool!.waiting }];
  const queue = new ConsoleQueue({ pool: () => pool, outside: () => outside, byUpstream, clock, log, changed: () => changes++ });
  return { queue, log, changed: () => changes };
}

test('lists the first of 10,000 who wait with ids that stay while others go, and counts all', async () => {
  const pool = new AgentPool({ queueSize: 20_000, clock });
  const waiters = Array.from({ length: 10_000 }, (_, i) => Object.assign(new FakeWaiter(i, head()), { notes: { startMs: i } }));
  for (const waiter of waiters) pool.wait(waiter);
  const { queue } = queueOf(pool, 3);
  const info = await queue.info(100);
  expect(info).toMatchObject({ size: 10_000, outside: 3, oldestAgeMs: 10_000, byUpstream: [{ upstream: 'gpu', size: 10_000 }] });
  expect(info.waiting).toHaveLength(100);
  expect(info.waiting[1]).toEqual({
    id: expect.any(String),
    position: 2,
    upstream: 'agents',
    class: 3,
    key: '',
    scope: '',
    path: '',
    ageMs: 9_999,
    estimatedWaitMs: null,
  });
  pool.leave(waiters[0]!);
  const after = await queue.info(99);
  expect(after.waiting.map(({ id }) => id)).toEqual(info.waiting.slice(1).map(({ id }) => id));
  expect(after.waiting[0]!.position).toBe(1);
});

test('cancels the one that is meant, once, and nobody by a made-up id or one of another process', async () => {
  const pool = new AgentPool({ queueSize: 20_000, clock });
  const waiters = Array.from({ length: 10_000 }, (_, i) => new FakeWaiter(i, head()));
  for (const waiter of waiters) pool.wait(waiter);
  const { queue, changed, log } = queueOf(pool);
  const ids = (await queue.info(10_000)).waiting.map(({ id }) => id);
  expect(await queue.cancel(ids[9_998]!, 'ann')).toBe(true);
  expect(waiters[9_998]!.gaveUp).toMatchObject({ code: 'cancelled', status: 503, grpcStatus: 1 });
  expect(waiters.filter(({ gaveUp }) => gaveUp !== null)).toHaveLength(1);
  expect(changed()).toBe(1);
  expect(log.lines.at(-1)).toMatchObject({ fields: { by: 'ann' } });
  pool.leave(waiters[9_998]!);
  const elsewhere = (await queueOf(pool).queue.info(1)).waiting[0]!.id;
  for (const id of [ids[9_998]!, elsewhere, '', 'x', '5', `${ids[0]}0000000`, `${ids[0]!.slice(0, 7)}1e1`, `${ids[0]!.slice(0, 7)}-1`])
    expect(await queue.cancel(id, 'ann')).toBe(false);
  expect(changed()).toBe(1);
});

test('one that waits for its own agent alone is found as well', async () => {
  const pool = new AgentPool({ queueSize: 10, clock });
  pool.join(new FakeSession('a', 1));
  const waiter = new FakeWaiter(7, head());
  pool.queue(waiter, pool.everybody.plain!, [...pool.members][0]!, 60_000);
  const { queue } = queueOf(pool);
  expect(await queue.cancel((await queue.info(1)).waiting[0]!.id, 'ann')).toBe(true);
  expect(waiter.gaveUp).not.toBeNull();
  pool.leave(waiter);
});

test('where no agents may come nobody waits', async () => {
  const { queue } = queueOf(null);
  expect(await queue.info(5)).toEqual({ size: 0, outside: 0, oldestAgeMs: 0, serviceMs: 0, byUpstream: [], waiting: [] });
  expect(await queue.cancel('x-1', 'ann')).toBe(false);
});
