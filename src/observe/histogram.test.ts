import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Buckets, Histogram, quantile } from './histogram.ts';

const BOUNDS = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.05, 0.1, 0.5, 1, 2.5, 10, 60, 300, 5_000, 1e9];

test('a value is found in its bucket, however small or large it is', () => {
  const value = fc.oneof(
    fc.double({ min: 0, max: 1e12, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.constantFrom(...BOUNDS, ...BOUNDS.map((bound) => bound * 1.0000001), 0, -1, -Infinity, Infinity),
  );
  fc.assert(
    fc.property(value, (seen) => {
      const histogram = new Histogram(new Buckets(BOUNDS));
      histogram.observe(seen);
      const place = BOUNDS.findIndex((bound) => seen <= bound);
      expect(histogram.counts.indexOf(1)).toBe(place === -1 ? BOUNDS.length : place);
      expect(histogram.count).toBe(1);
    }),
  );
});

test('what is no number is counted, and breaks nothing', () => {
  const histogram = new Histogram(new Buckets(BOUNDS));
  histogram.observe(Number.NaN);
  expect(histogram.count).toBe(1);
});

test('two of the same buckets can be added', () => {
  const buckets = new Buckets([1, 2]);
  const [a, b] = [new Histogram(buckets), new Histogram(buckets)];
  a.observe(1);
  b.observe(1.5);
  b.observe(9);
  a.add(b);
  expect([[...a.counts], a.sum, a.count]).toEqual([[1, 1, 1], 11.5, 3]);
});

test('a quantile lies in the bucket in which that share is reached', () => {
  const bounds = Float64Array.of(1, 2, 4);
  expect(quantile(bounds, Float64Array.of(0, 0, 0, 0), 0.5)).toBeNull();
  expect(quantile(bounds, Float64Array.of(0, 10, 0, 0), 0.5)).toBe(1.5);
  expect(quantile(bounds, Float64Array.of(5, 0, 5, 0), 0.5)).toBe(1);
  expect(quantile(bounds, Float64Array.of(5, 0, 5, 0), 0.9)).toBeCloseTo(3.6);
  // Nobody knows how far above: the last bound is said.
  expect(quantile(bounds, Float64Array.of(0, 0, 0, 3), 0.5)).toBe(4);
  const counts = fc.array(fc.nat(100), { minLength: 4, maxLength: 4 }).filter((all) => all.some((one) => one > 0));
  fc.assert(
    fc.property(counts, fc.double({ min: 0.01, max: 1, noNaN: true }), (all, share) => {
      const found = quantile(bounds, Float64Array.from(all), share)!;
      expect(found >= 0 && found <= 4).toBe(true);
      const less = quantile(bounds, Float64Array.from(all), share / 2)!;
      expect(less).toBeLessThanOrEqual(found);
    }),
  );
});
