import fc from 'fast-check';
import { expect, test } from 'vitest';
import { goesFirst, type Waiter, WaitingLine } from './queue.ts';

function waiter(arrival: number, rank = 0): Waiter {
  return { rank, arrival, notes: { startMs: 0 }, head: null, captures: null, line: null, before: null, behind: null, granted: () => true };
}

function standing(line: WaitingLine): Waiter[] {
  const all: Waiter[] = [];
  for (let one = line.first; one !== null; one = one.behind) all.push(one);
  return all;
}

test('a newcomer stands at the end, one that comes back at its place by arrival', () => {
  const line = new WaitingLine();
  const [a, b, c] = [waiter(1), waiter(2), waiter(3)];
  line.add(a);
  line.add(c);
  line.add(b);
  expect(standing(line)).toEqual([a, b, c]);
  line.remove(a);
  line.add(a);
  expect(standing(line)).toEqual([a, b, c]);
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
  expect(other.size).toBe(0);
});

test('whatever joins and leaves, a line is ordered by class and age, and its size is true', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(19), fc.boolean()), { maxLength: 200 }), (steps) => {
      const line = new WaitingLine();
      const all = Array.from({ length: 20 }, (_, i) => waiter((i * 7) % 20, i % 3));
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
          expect([one.line, one.before, one.behind]).toEqual([null, null, null]);
        }
        const wanted = [...inside].sort((a, b) => (goesFirst(a, b) ? -1 : 1));
        expect(standing(line)).toEqual(wanted);
        expect(line.size).toBe(wanted.length);
      }
    }),
  );
});
