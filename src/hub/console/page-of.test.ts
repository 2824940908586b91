import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pageOf } from './page-of.ts';

const byNumber = (a: number, b: number): number => a - b;

test('a page is what a whole sort would have there, wherever it begins and ends', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer(), { maxLength: 60 }), fc.nat(70), fc.nat(70), (all, offset, limit) => {
      expect(pageOf([...all], byNumber, offset, limit)).toEqual(all.toSorted(byNumber).slice(offset, offset + limit));
    }),
    { numRuns: 500 },
  );
});

test('an order that was made to be slow is not', () => {
  // Every pivot is the second least of what is left, whatever it is chosen from: a comparison that makes up its mind as late as it can (McIlroy).
  const count = 3_000;
  const gas = count - 1;
  const values = new Float64Array(count).fill(gas);
  let [solid, candidate, looks] = [0, 0, 0];
  const compare = (a: number, b: number): number => {
    looks++;
    if (values[a] === gas && values[b] === gas) values[a === candidate ? a : b] = solid++;
    if (values[a] === gas) candidate = a;
    else if (values[b] === gas) candidate = b;
    return values[a]! - values[b]!;
  };
  pageOf(
    Array.from({ length: count }, (_, i) => i),
    compare,
    count - 10,
    10,
  );
  expect(looks).toBeLessThan(count * 150);
});

test('a page of ten thousand takes a few looks at each, in whatever order they come', () => {
  const count = 10_000;
  const orders: [string, (i: number) => number][] = [
    ['sorted', (i) => i],
    ['the other way round', (i) => count - i],
    ['mixed', (i) => (i * 7919) % count],
    ['up and down', (i) => (i % 2 === 0 ? i : count * 2 - i)],
  ];
  for (const [order, valueOf] of orders) {
    for (const offset of [0, 5_000, count - 100]) {
      const all = Array.from({ length: count }, (_, i) => valueOf(i));
      let looks = 0;
      const page = pageOf(
        [...all],
        (a, b) => {
          looks++;
          return a - b;
        },
        offset,
        100,
      );
      expect([order, page]).toEqual([order, all.toSorted(byNumber).slice(offset, offset + 100)]);
      // A whole sort takes 120,000 and more where they are mixed.
      expect(looks).toBeLessThan(count * 8);
    }
  }
});
