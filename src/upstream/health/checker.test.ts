import { expect, test } from 'vitest';
import { MovedTime } from '../../../test/kit/moved-time.ts';
import { parseHealthCheck } from '../../schema/health-check.ts';
import { Checker, type HealthState } from './checker.ts';
import type { Probe, Verdict } from './probe.ts';

/** A probe whose results a test gives; it notes when it was asked. */
class FakeProbe implements Probe {
  readonly startsMs: number[] = [];
  /** What comes at once; null = the test says when. */
  finds: boolean | null = true;
  running: ((verdict: Verdict) => void) | null = null;
  closes = 0;
  readonly #time: MovedTime;

  constructor(time: MovedTime) {
    this.#time = time;
  }

  start(done: (verdict: Verdict) => void): void {
    expect(this.running, 'one probe at a time').toBeNull();
    this.startsMs.push(this.#time.clock.now());
    this.running = done;
    if (this.finds !== null) this.#time.alarm(0, () => this.say(this.finds === true));
  }

  say(ok: boolean, reason = ok ? 'answers 200' : 'answers 500'): void {
    const done = this.running;
    this.running = null;
    done?.({ ok, reason });
  }

  close(): void {
    this.closes++;
    this.running = null;
  }
}

function checking(url: string, { gridMs = 0, begins = 'healthy' as 'healthy' | 'unknown' } = {}) {
  const time = new MovedTime();
  const probe = new FakeProbe(time);
  const flips: HealthState[] = [];
  const results: boolean[] = [];
  const checker = new Checker({
    check: parseHealthCheck(url),
    probe,
    clock: time.clock,
    alarm: time.alarm,
    gridMs,
    begins,
    checked: (ok) => results.push(ok),
    changed: (state) => flips.push(state),
  });
  return { time, probe, checker, flips, results };
}

test('probes begin exactly one interval apart, whatever they take', () => {
  const { time, probe } = checking('http://a?check_frequency=3s');
  probe.finds = null;
  for (let i = 0; i < 5; i++) {
    time.pass(1700);
    probe.say(true);
    time.pass(1300);
  }
  expect(probe.startsMs).toEqual([0, 3000, 6000, 9000, 12_000, 15_000]);
});

test('the interval may be any, and is not rounded', () => {
  const { time, probe } = checking('http://a?check_frequency=1234ms');
  time.pass(1234 * 1000);
  expect(probe.startsMs.length).toBe(1001);
  expect(probe.startsMs.at(-1)).toBe(1_234_000);
});

test('the first look comes within a second, at a moment of its own; the others at theirs in the interval', () => {
  const { time, probe } = checking('http://a?check_frequency=10s', { gridMs: 7300 });
  time.pass(40_000);
  expect(probe.startsMs).toEqual([300, 7300, 17_300, 27_300, 37_300]);
});

test('a first look that falls on its moment is not made twice', () => {
  const { time, probe } = checking('http://a?check_frequency=10s', { gridMs: 400 });
  time.pass(20_500);
  expect(probe.startsMs).toEqual([400, 10_400, 20_400]);
});

test('a probe that takes longer than the interval stands for those that would be due meanwhile', () => {
  const { time, probe } = checking('http://a?check_frequency=1s');
  probe.finds = null;
  time.pass(3500);
  expect(probe.startsMs).toEqual([0]);
  probe.say(false);
  time.pass(600);
  expect(probe.startsMs).toEqual([0, 4000]);
});

test('a machine that slept makes up for nothing, and goes on in the old rhythm', () => {
  const { time, probe } = checking('http://a?check_frequency=10s');
  time.pass(10_000);
  time.sleep(3_600_000 + 4000);
  time.pass(6000);
  expect(probe.startsMs).toEqual([0, 10_000, 3_614_000, 3_620_000]);
});

test('it takes so many bad results in a row to fail, and so many good ones to be well again', () => {
  const { time, probe, checker, flips } = checking('http://a?check_frequency=1s&failure=3&success=2');
  const seen: boolean[] = [];
  for (const ok of [true, false, false, true, false, false, false, false, true, false, true, true, true]) {
    probe.finds = ok;
    time.pass(seen.length === 0 ? 1 : 1000);
    seen.push(checker.state.healthy);
  }
  expect(seen).toEqual([true, true, true, true, true, true, false, false, false, false, false, true, true]);
  expect(flips.map(({ healthy, lastReason, consecutive }) => [healthy, lastReason, consecutive])).toEqual([
    [false, 'answers 500', 3],
    [true, 'answers 200', 2],
  ]);
});

test('the state tells since when, why, how long a look took, and how many were alike', () => {
  const { time, probe, checker, results } = checking('http://a?check_frequency=10s');
  expect(checker.state).toEqual({ healthy: true, sinceMs: 1e9, lastReason: '', lastMs: 0, checkedMs: 0, consecutive: 0, passed: 0, failed: 0 });
  probe.finds = null;
  time.pass(5);
  probe.say(true);
  time.pass(10_000);
  probe.say(false, 'the connection is refused');
  expect(checker.state).toMatchObject({ healthy: true, sinceMs: 1e9, consecutive: 1, lastMs: 5 });
  time.pass(10_000);
  probe.say(false, 'the connection is refused');
  expect(checker.state).toEqual({
    healthy: false,
    sinceMs: 1e9 + 20_005,
    lastReason: 'the connection is refused',
    lastMs: 5,
    checkedMs: 1e9 + 20_005,
    consecutive: 2,
    passed: 1,
    failed: 2,
  });
  expect(results).toEqual([true, false, false]);
});

test.each([true, false])('what begins as unknown is not well, and its first result decides alone (%s)', (ok) => {
  const { time, probe, checker, flips } = checking('http://a?check_frequency=1s&failure=3&success=3', { begins: 'unknown' });
  expect(checker.state.healthy).toBe(false);
  probe.finds = ok;
  time.pass(0);
  expect(flips.map(({ healthy }) => healthy)).toEqual([ok]);
  probe.finds = !ok;
  time.pass(2000);
  expect(checker.state.healthy).toBe(ok);
  time.pass(1000);
  expect(checker.state.healthy).toBe(!ok);
});

test('closed in the middle of a look it asks no more and says no more', () => {
  const { time, probe, checker, flips } = checking('http://a?failure=1');
  probe.finds = null;
  time.pass(0);
  const late = probe.running!;
  checker.close();
  late({ ok: false, reason: 'answers 500' });
  expect([probe.closes, flips.length, time.pending]).toEqual([1, 0, 0]);
});

test('another way to probe takes over what was found, and breaks off the look that runs', () => {
  const { time, probe, checker } = checking('http://a?failure=1&check_frequency=1s');
  probe.finds = false;
  time.pass(500);
  probe.finds = null;
  time.pass(1000);
  const next = new FakeProbe(time);
  checker.probe = next;
  expect([probe.closes, checker.state.healthy]).toEqual([1, false]);
  time.pass(600);
  expect([next.startsMs, checker.state.healthy]).toEqual([[2000], true]);
});
