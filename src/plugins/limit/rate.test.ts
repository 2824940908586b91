import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EXACT, PARTS } from './limits.ts';
import { SlidingWindow, TokenBucket } from './rate.ts';

const gaps = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 400 });

/** Times at which a rate let one in, of requests that come with these gaps. */
function letIn(rate: { take(nowMs: number): number }, between: readonly number[]): number[] {
  const taken: number[] = [];
  let now = 1000;
  for (const gap of between) {
    now += gap;
    if (rate.take(now) === 0) taken.push(now);
  }
  return taken;
}

test('a window lets in exactly those that leave no interval with more than max', () => {
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 300 }), (between, max, interval) => {
      const expected: number[] = [];
      let now = 1000;
      for (const gap of between) {
        now += gap;
        if (expected.filter((at) => at > now - interval).length < max) expected.push(now);
      }
      expect(letIn(new SlidingWindow(max, interval), between)).toEqual(expected);
    }),
  );
});

test('a large window never lets in more than max, and room is back a 126th of the interval late at most', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 600, maxLength: 1200 }), (between) => {
      const [max, interval] = [EXACT + 70, 256];
      const rate = new SlidingWindow(max, interval);
      const taken: number[] = [];
      let now = 1000;
      for (const gap of between) {
        now += gap;
        const isIn = rate.take(now) === 0;
        if (isIn) taken.push(now);
        const within = taken.filter((at) => at > now - interval).length;
        expect(within).toBeLessThanOrEqual(max);
        const withinAndLate = taken.filter((at) => at > now - interval - interval / PARTS).length;
        if (!isIn) expect(withinAndLate).toBeGreaterThanOrEqual(max);
      }
    }),
    { numRuns: 10 },
  );
});

test('who waits as long as a window or a bucket says gets in, and a moment earlier does not', () => {
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 10, max: 300 }), fc.boolean(), (between, max, interval, isWindow) => {
      const make = (): SlidingWindow | TokenBucket => (isWindow ? new SlidingWindow(max, interval) : new TokenBucket(max, interval));
      const [rate, twin] = [make(), make()];
      letIn(rate, between);
      letIn(twin, between);
      const now = 1000 + between.reduce((sum, gap) => sum + gap, 0);
      const wait = rate.take(now);
      if (wait === 0) return;
      expect(twin.take(now + wait * 0.99)).toBeGreaterThan(0);
      expect(rate.take(now + wait + 1e-6)).toBe(0);
    }),
  );
});

test('what is left and when all is back', () => {
  const window = new SlidingWindow(3, 100);
  expect([window.left(0), window.resetMs(0)]).toEqual([3, 0]);
  window.take(0);
  window.take(10);
  expect([window.left(20), window.resetMs(20)]).toEqual([1, 90]);
  expect([window.left(105), window.resetMs(105)]).toEqual([2, 5]);
  const bucket = new TokenBucket(4, 100);
  expect([bucket.left(0), bucket.resetMs(0)]).toEqual([4, 0]);
  for (let i = 0; i < 4; i++) expect(bucket.take(0)).toBe(0);
  expect([bucket.left(0), bucket.resetMs(0)]).toEqual([0, 100]);
  expect(bucket.take(0)).toBeGreaterThan(24);
  expect(bucket.left(50)).toBe(2);
});

test('a bucket passes a burst of max and then a steady stream', () => {
  const taken = letIn(
    new TokenBucket(5, 100),
    Array.from({ length: 200 }, () => 1),
  );
  expect(taken.filter((at) => at <= 1005).length).toBe(5);
  // Of 199 ms: five at once, and one per 20 ms.
  expect(taken.length).toBe(5 + 9);
});
