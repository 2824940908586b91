import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Label, labelled, PLAIN } from './label.ts';
import { PLACES, PLACES_MS } from './limits.ts';
import { goesFirst, type Waiter, WaitingLine } from './queue.ts';

function waiter(arrival: number, label: Partial<Label> = {}, startMs = 0): Waiter {
  return {
    label: Object.keys(label).length === 0 ? PLAIN : labelled(PLAIN, label),
    aged: 0,
    paid: false,
    arrival,
    notes: { startMs },
    head: null,
    captures: null,
    line: null,
    flow: null,
    before: null,
    behind: null,
    granted: () => true,
    giveUp: () => {},
  };
}

/** Gives slots to the first so many. */
function serve(line: WaitingLine, count = Number.POSITIVE_INFINITY): Waiter[] {
  const served: Waiter[] = [];
  while (line.first !== null && served.length < count) {
    const { first } = line;
    line.serve(first);
    served.push(first);
  }
  return served;
}

function keys(waiters: readonly Waiter[]): string {
  return waiters.map(({ label }) => label.key).join('');
}

function countOf(key: string, waiters: readonly Waiter[]): number {
  return waiters.filter(({ label }) => label.key === key).length;
}

/** A line in which each of these keys has so many requests, one key after the other. */
function backlogged(weights: Readonly<Record<string, number>>, each: number): WaitingLine {
  const line = new WaitingLine();
  let arrival = 0;
  for (const [key, weight] of Object.entries(weights)) for (let i = 0; i < each; i++) line.add(waiter(arrival++, { key, weight }));
  return line;
}

test('who asks for a place is told that of a moment ago, by class and shares; far behind nobody is counted', () => {
  const line = new WaitingLine();
  const [a1, a2, b1, first] = [waiter(1, { key: 'a' }), waiter(2, { key: 'a' }), waiter(3, { key: 'b' }), waiter(4, { rank: 1 })];
  for (const one of [a1, a2, b1, first]) line.add(one);
  expect([a1, a2, b1, first].map((one) => line.placeOf(one, 1000))).toEqual([2, 4, 3, 1]);
  line.serve(first);
  // The order is made anew when the old one is old.
  expect(line.placeOf(a1, 1000 + PLACES_MS - 1)).toBe(2);
  expect([a1, a2, b1].map((one) => line.placeOf(one, 1000 + PLACES_MS))).toEqual([1, 3, 2]);
  const many = Array.from({ length: PLACES }, (_, i) => waiter(10 + i, { key: 'a' }));
  for (const one of many) line.add(one);
  expect(line.placeOf(many.at(-1)!, 5000)).toBeNull();
  // What was looked at holds nobody when the line is empty.
  serve(line);
  const late = waiter(9999);
  line.add(late);
  expect([line.placeOf(late, 5000), line.placeOf(a1, 5000)]).toEqual([1, null]);
});

test('a newcomer stands at the end, one that comes back at its place by arrival', () => {
  const line = new WaitingLine();
  const [a, b, c] = [waiter(1), waiter(2), waiter(3)];
  line.add(a);
  line.add(c);
  line.add(b);
  expect(line.inOrder(9)).toEqual([a, b, c]);
  line.remove(a);
  line.add(a);
  expect(line.inOrder(9)).toEqual([a, b, c]);
});

test('who does not stand in a line cannot be taken out of it', () => {
  const line = new WaitingLine();
  const other = new WaitingLine();
  const one = waiter(1);
  other.add(one);
  line.remove(one);
  expect([line.size, other.size]).toEqual([0, 1]);
  other.remove(one);
  other.remove(one);
  other.serve(one);
  expect(other.size).toBe(0);
});

test('whatever joins and leaves, a line without keys is ordered by class and age, and its size is true', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(19), fc.boolean()), { maxLength: 200 }), (steps) => {
      const line = new WaitingLine();
      const all = Array.from({ length: 20 }, (_, i) => waiter((i * 7) % 20, { rank: i % 3 }));
      const inside = new Set<Waiter>();
      for (const [i, joins] of steps) {
        const one = all[i]!;
        if (joins === inside.has(one)) continue;
        if (joins) {
          line.add(one);
          inside.add(one);
        } else {
          line.remove(one);
          inside.delete(one);
          expect([one.line, one.flow, one.before, one.behind]).toEqual([null, null, null, null]);
        }
        const wanted = [...inside].sort((a, b) => (goesFirst(a, b) ? -1 : 1));
        expect(line.inOrder(20)).toEqual(wanted);
        expect(line.first).toBe(wanted[0] ?? null);
        expect(line.size).toBe(wanted.length);
      }
    }),
  );
});

test('keys with equal weights take turns, however many requests one of them has', () => {
  const line = backlogged({ a: 1, b: 1, c: 1 }, 4);
  expect(keys(serve(line))).toBe('abcabcabcabc');
  const flood = backlogged({ a: 1 }, 1000);
  for (let i = 0; i < 3; i++) flood.add(waiter(2000 + i, { key: 'b' }));
  expect(keys(serve(flood, 7))).toBe('abababa');
});

test('a key with twice the weight gets two slots for one, and not in bursts', () => {
  expect(keys(serve(backlogged({ a: 2, b: 1 }, 6), 9))).toMatch(/^(aab|aba|baa)+$/);
});

const weightsOf = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 8 });

test('shares of keys that always wait are their weights, within one request of each', () => {
  fc.assert(
    fc.property(weightsOf, (weights) => {
      const sum = weights.reduce((a, b) => a + b, 0);
      const rounds = 10;
      const line = backlogged(Object.fromEntries(weights.map((weight, i) => [`k${i}`, weight])), rounds * 20 + 1);
      const served = serve(line, rounds * sum);
      for (const [i, weight] of weights.entries()) expect(Math.abs(countOf(`k${i}`, served) - rounds * weight)).toBeLessThanOrEqual(1);
    }),
  );
});

test('within a key the order is that of arrival, whatever else happens', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 9 }), fc.nat(3)), { maxLength: 200 }), (steps) => {
      const line = new WaitingLine();
      const served: Waiter[] = [];
      for (const [arrival, [key, weight, serves]] of steps.entries()) {
        line.add(waiter(arrival, { key: key === 0 ? '' : `k${key}`, weight }));
        if (arrival % 5 === 4) line.remove(line.inOrder(1 + serves).at(-1)!);
        else served.push(...serve(line, serves === 3 ? 1 : 0));
      }
      const order = line.inOrder(1000);
      const rest = serve(line);
      expect(rest).toEqual(order);
      for (let k = 0; k <= 4; k++) {
        const arrivals = [...served, ...rest].filter(({ label }) => label.key === (k === 0 ? '' : `k${k}`)).map(({ arrival }) => arrival);
        expect(arrivals).toEqual([...arrivals].sort((a, b) => a - b));
      }
      expect([line.size, line.first, line.top]).toEqual([0, null, null]);
    }),
  );
});

test('nobody starves: who waits is passed by no more than one round of the others, even when each request has a key of its own', () => {
  const line = new WaitingLine();
  let arrival = 0;
  line.add(waiter(arrival++, { key: 'a' }));
  const second = waiter(arrival++, { key: 'a' });
  line.add(second);
  let passed = 0;
  while (second.line !== null) {
    // For each slot a stranger comes.
    line.add(waiter(arrival++, { key: `stranger ${arrival}` }));
    serve(line, 1);
    if (passed++ > 10) break;
  }
  expect(passed).toBeLessThanOrEqual(4);
});

test('a key that leaves and comes back gains nothing by it, and has saved nothing while it was away', () => {
  const line = backlogged({ a: 1 }, 500);
  let arrival = 1000;
  serve(line, 200);
  const got = { a: 0, b: 0 };
  for (let round = 0; round < 200; round++) {
    // It gives up its place and asks anew, and is there again as soon as it was served.
    const b = waiter(arrival++, { key: 'b' });
    line.add(b);
    line.remove(b);
    line.add(waiter(arrival++, { key: 'b' }));
    got[serve(line, 1)[0]!.label.key as 'a' | 'b']++;
    while (line.inOrder(1000).some(({ label }) => label.key === 'b')) line.remove(line.inOrder(1000).find(({ label }) => label.key === 'b')!);
  }
  expect(got.b).toBeLessThanOrEqual(101);
});

test('a request that comes back after it had a slot goes first, and its key does not pay twice', () => {
  const line = backlogged({ a: 1, b: 1 }, 3);
  const [first] = serve(line, 1);
  line.add(first!);
  expect(line.first).toBe(first);
  expect(keys(serve(line))).toBe('ababab');
  // Several come back in the order of their arrival.
  const again = backlogged({ a: 1, b: 1 }, 2);
  const [one, two] = serve(again, 2);
  again.add(two!);
  again.add(one!);
  expect(serve(again, 2)).toEqual([one, two]);
});

test('classes are strict, and unlabelled requests stand in the middle', () => {
  const line = new WaitingLine();
  const [late, plain, soon] = [waiter(0, { rank: 5 }), waiter(1), waiter(2, { rank: 1 })];
  for (const one of [late, plain, soon]) line.add(one);
  expect(serve(line)).toEqual([soon, plain, late]);
});

test('who waits goes up by one class each time its age is over, also one that came back', () => {
  const line = new WaitingLine();
  const low = waiter(0, { rank: 2, ageMs: 1_000 });
  const back = waiter(1, { rank: 4, ageMs: 500 });
  line.add(back);
  line.serve(back);
  line.add(back);
  line.add(low);
  line.add(waiter(2, { rank: 0, ageMs: 0 }));
  const high = waiter(3, { rank: 1, ageMs: 0 });
  line.add(high);
  line.age(999);
  expect([low.aged, back.aged]).toEqual([0, 1]);
  line.age(1_000);
  expect(low.aged).toBe(0);
  line.age(1_100);
  expect([low.aged, back.aged]).toEqual([1, 2]);
  line.age(60_000);
  expect([low.aged, back.aged, high.aged]).toEqual([2, 4, 0]);
  expect(serve(line).at(-1)).toBe(high);
});

test('a class below others is served in the end, even when somebody of the best always comes', () => {
  const line = new WaitingLine();
  const low = waiter(0, { rank: 7, key: 'low', ageMs: 1_000 });
  line.add(low);
  let nowMs = 0;
  for (let arrival = 1; low.line !== null && arrival < 1_000; arrival++) {
    nowMs += 100;
    line.add(waiter(arrival, { rank: 0, key: 'high' }, nowMs));
    line.add(waiter(arrival + 0.5, { rank: 0, key: 'high' }, nowMs));
    line.age(nowMs);
    serve(line, 1);
  }
  expect(low.line).toBeNull();
  expect(nowMs).toBeLessThan(8_000);
});

test('the oldest is found in whatever class and key it waits', () => {
  const line = new WaitingLine();
  expect(line.oldest).toBeNull();
  const old = waiter(0, { rank: 6, key: 'b' });
  for (const one of [waiter(1, { rank: 6, key: 'a' }), old, waiter(2, { rank: 0 })]) line.add(one);
  expect(line.oldest).toBe(old);
});

test('numbers of a label are brought into their bounds, and what is not said stays', () => {
  expect(labelled(PLAIN, { rank: -3, weight: 0 })).toMatchObject({ rank: 0, weight: 1, key: '' });
  expect(labelled(PLAIN, { rank: 99, weight: 1e9, ageMs: -1 })).toMatchObject({ rank: 7, weight: 1000, ageMs: 0 });
  expect(labelled(PLAIN, { rank: Number.NaN, weight: Number.NaN })).toMatchObject({ rank: 0, weight: 1 });
  expect(labelled(labelled(PLAIN, { key: 'a', weight: 5 }), { rank: 1 })).toMatchObject({ rank: 1, key: 'a', weight: 5 });
});
