import { expect, test } from 'vitest';
import { Sweeper } from '../std/sweeper.ts';
import { Buckets, Histogram } from '../observe/histogram.ts';
import type { Tick } from './model.ts';
import { type Reading, Ticks, TICKS } from './ticks.ts';

function world() {
  let nowMs = 1_000;
  const clock = { now: () => nowMs, wall: () => 1e12 + nowMs };
  const sweeper = new Sweeper(clock);
  const byClass = new Float64Array(5);
  const times = new Histogram(new Buckets([0.01, 0.1, 1]));
  const state = { requestBytes: 0, replyBytes: 0, queue: 0 };
  const read = (): Reading => ({
    byClass: byClass.slice(),
    bounds: times.buckets.bounds,
    counts: times.counts.slice(),
    requestBytes: state.requestBytes,
    replyBytes: state.replyBytes,
    inFlight: 0,
    queue: state.queue,
    queueOldestMs: 0,
    slots: 0,
    slotsFree: 0,
    agents: 0,
    connections: 0,
  });
  const ticks = new Ticks({ clock, sweeper, read });
  return {
    ticks,
    byClass,
    times,
    state,
    sweeper,
    /** So many sweeps, a tenth of a second apart. */
    pass: (ms: number): void => {
      for (const end = nowMs + ms; nowMs < end;) {
        nowMs += 100;
        sweeper.sweep();
      }
    },
  };
}

test('a tick has what was counted since the last one, per second', () => {
  const { ticks, byClass, times, state, pass } = world();
  const heard: Tick[] = [];
  const stop = ticks.follow((tick) => heard.push(tick));
  byClass[1] = 50;
  byClass[4] = 10;
  state.replyBytes = 7_000;
  for (let i = 0; i < 60; i++) times.observe(0.05);
  pass(1_000);
  expect(heard.length).toBe(1);
  expect(heard[0]).toMatchObject({ requestsPerSecond: 60, byClass: { '2xx': 50, '5xx': 10 }, bytesOutPerSecond: 7_000, atMs: 1e12 + 2_000 });
  expect(heard[0]!.p50Ms).toBeCloseTo(55, 0);
  pass(1_000);
  expect(heard[1]).toMatchObject({ requestsPerSecond: 0, bytesOutPerSecond: 0 });
  // Percentiles are those of the last five seconds.
  expect(heard[1]!.p50Ms).toBeCloseTo(55, 0);
  pass(5_000);
  expect(heard.at(-1)!.p50Ms).toBeNull();
  stop();
  pass(1_000);
  expect(heard.length).toBe(7);
  ticks.close();
});

test('rates are of the time that went by, also when nobody ran for a while', () => {
  const { ticks, byClass, sweeper, pass } = world();
  byClass[1] = 30;
  // The machine slept: one tick, over all of it.
  pass(900);
  sweeper.sweep = () => {};
  pass(2_100);
  delete (sweeper as { sweep?: unknown }).sweep;
  pass(100);
  expect(ticks.history.map(({ requestsPerSecond }) => requestsPerSecond)).toEqual([9.677]);
  pass(1_000);
  expect(ticks.history.length).toBe(2);
  ticks.close();
});

test('five minutes are kept, oldest first', () => {
  const { ticks, pass } = world();
  pass((TICKS + 20) * 1_000);
  const { history } = ticks;
  expect(history.length).toBe(TICKS);
  expect(history.every(({ atMs }, i) => i === 0 || atMs === history[i - 1]!.atMs + 1_000)).toBe(true);
  expect(history.at(-1)!.atMs).toBe(1e12 + 1_000 + (TICKS + 20) * 1_000);
  ticks.close();
});

test("a closed sampler is in nobody's list, and tells nobody", () => {
  const { ticks, sweeper, pass } = world();
  const heard: Tick[] = [];
  ticks.follow((tick) => heard.push(tick));
  ticks.close();
  pass(3_000);
  expect([sweeper.size, heard.length]).toEqual([0, 0]);
});
