import { expect, test } from 'vitest';
import { HeldTime } from '../../test/kit/upstream.ts';
import type { Answer } from './resolve.ts';
import { WatchedName } from './watched-name.ts';

/** A name whose lookups the test answers. */
function watched(given: { once?: boolean; everyMs?: number } = {}) {
  const time = new HeldTime();
  const heard: string[] = [];
  const asked: { answer: (answer: Answer) => void; fail: (code: string) => void }[] = [];
  const name = new WatchedName({
    name: 'api.example.com',
    loop: time.loop,
    once: given.once ?? false,
    everyMs: given.everyMs ?? null,
    resolve: () =>
      new Promise((answer, reject) => {
        asked.push({ answer, fail: (code) => reject(Object.assign(new Error(code), { code })) });
      }),
    changed: () => heard.push(name.ips.join(',')),
    failed: ({ code }) => heard.push(code!),
  });
  const turn = () => new Promise<void>((next) => setImmediate(next));
  return {
    name,
    time,
    heard,
    asked,
    /** Answers the newest lookup. */
    answers: async (ips: readonly string[], ttlMs: number | null = null) => {
      asked.at(-1)!.answer({ ips, ttlMs });
      await turn();
    },
    fails: async (code: string) => {
      asked.at(-1)!.fail(code);
      await turn();
    },
  };
}

test.each([
  [1_000, 5_000],
  [42_000, 42_000],
  [3_600_000, 300_000],
  [null, 60_000],
])('an answer that holds %s ms is asked for anew after %i ms', async (ttlMs, afterMs) => {
  const { name, time, asked, answers } = watched();
  void name.look();
  await answers(['10.0.0.1'], ttlMs);
  time.pass(afterMs - 1);
  expect(asked.length).toBe(1);
  time.pass(1);
  expect(asked.length).toBe(2);
});

test('update_frequency counts instead, and static asks once', async () => {
  const often = watched({ everyMs: 2_000 });
  void often.name.look();
  await often.answers(['10.0.0.1'], 300_000);
  often.time.pass(2_000);
  expect(often.asked.length).toBe(2);
  const once = watched({ once: true });
  void once.name.look();
  await once.answers(['10.0.0.1'], 1_000);
  once.time.pass(86_400_000);
  expect(once.asked.length).toBe(1);
});

test('only other addresses are a change, another order is none', async () => {
  const { name, time, heard, answers } = watched();
  void name.look();
  await answers(['10.0.0.2', '10.0.0.1']);
  time.pass(60_000);
  await answers(['10.0.0.1', '10.0.0.2', '10.0.0.1']);
  time.pass(60_000);
  await answers(['10.0.0.1', '10.0.0.3']);
  expect(heard).toEqual(['10.0.0.1,10.0.0.2', '10.0.0.1,10.0.0.3']);
});

test('name servers that fail change nothing, for as long as they fail [fault 18]', async () => {
  const { name, time, heard, fails, answers } = watched();
  void name.look();
  await answers(['10.0.0.1']);
  time.pass(60_000);
  for (let i = 0; i < 200; i++) {
    await fails('ETIMEOUT');
    time.pass(5_000);
  }
  expect(name.ips).toEqual(['10.0.0.1']);
  expect(heard).toEqual(['10.0.0.1', 'ETIMEOUT']);
  await answers(['10.0.0.2']);
  expect(heard.at(-1)).toBe('10.0.0.2');
});

test('a name that is gone keeps its last addresses for five minutes, and is sought further on [fault 18]', async () => {
  const { name, time, heard, fails, answers } = watched();
  void name.look();
  await answers(['10.0.0.1']);
  time.pass(60_000);
  for (let ms = 60_000; ms <= 300_000; ms += 5_000) {
    await fails('ENOTFOUND');
    expect(name.ips).toEqual(['10.0.0.1']);
    time.pass(5_000);
  }
  await fails('ENOTFOUND');
  expect(name.ips).toEqual([]);
  time.pass(5_000);
  await answers(['10.0.0.9']);
  expect(heard).toEqual(['10.0.0.1', 'ENOTFOUND', '', '10.0.0.9']);
});

test('a name that leads to thousands of addresses is bounded, and always to the same of them', async () => {
  const { name, time, heard, answers } = watched();
  const many = Array.from({ length: 3_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
  void name.look();
  await answers(many);
  expect(name.ips.length).toBe(256);
  time.pass(60_000);
  await answers(many.toReversed());
  expect(heard.length).toBe(1);
});

test('one lookup at a time, and nothing after close()', async () => {
  const { name, time, asked, heard, answers } = watched();
  const first = name.look();
  expect(name.look()).toBe(first);
  expect(asked.length).toBe(1);
  name.close();
  await answers(['10.0.0.1']);
  time.pass(600_000);
  expect(asked.length).toBe(1);
  expect(heard).toEqual([]);
  expect(time.loop.sweeper.size).toBe(0);
});
