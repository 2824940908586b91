import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SWEEP_MS, Sweeper, type Timed } from './sweeper.ts';

let now = 0;
const clock = { now: () => now, wall: () => now };

beforeEach(() => {
  now = 0;
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

class Item implements Timed {
  due = Number.POSITIVE_INFINITY;
  place = -1;
  readonly fired: number[] = [];
  readonly #then: (item: Item) => void;

  constructor(due: number, then: (item: Item) => void = () => {}) {
    this.due = due;
    this.#then = then;
  }

  expired(at: number): void {
    this.fired.push(at);
    this.due = Number.POSITIVE_INFINITY;
    this.#then(this);
  }
}

test('what is due is told, once, at most one sweep late; what moved its deadline is not', () => {
  const sweeper = new Sweeper(clock);
  const soon = new Item(50);
  const moved = new Item(50);
  const never = new Item(Number.POSITIVE_INFINITY);
  for (const item of [soon, moved, never]) sweeper.add(item);
  moved.due = 1_000;
  now = SWEEP_MS;
  vi.advanceTimersByTime(SWEEP_MS);
  expect(soon.fired).toEqual([SWEEP_MS]);
  now = 2 * SWEEP_MS;
  vi.advanceTimersByTime(SWEEP_MS);
  expect(soon.fired).toEqual([SWEEP_MS]);
  expect(moved.fired).toEqual([]);
  expect(never.fired).toEqual([]);
});

test('items may leave, alone or others, while they are told, and nobody else is skipped', () => {
  const sweeper = new Sweeper(clock);
  const items: Item[] = [];
  for (let i = 0; i < 10; i++) {
    items.push(
      new Item(1, (item) => {
        sweeper.remove(item);
        sweeper.remove(items[(i * 7) % 10]!);
      }),
    );
  }
  for (const item of items) sweeper.add(item);
  now = 10;
  sweeper.sweep();
  // Each is told, or was removed by one that was told.
  expect(sweeper.size).toBe(0);
  expect(items.every(({ place }) => place === -1)).toBe(true);
  expect(items.some(({ fired }) => fired.length > 0)).toBe(true);
  expect(items.every(({ fired }) => fired.length <= 1)).toBe(true);
});

test('it holds a timer only while there is something to watch', () => {
  const sweeper = new Sweeper(clock);
  const item = new Item(1);
  expect(vi.getTimerCount()).toBe(0);
  sweeper.add(item);
  sweeper.add(item);
  expect(sweeper.size).toBe(1);
  expect(vi.getTimerCount()).toBe(1);
  sweeper.remove(item);
  sweeper.remove(item);
  expect(vi.getTimerCount()).toBe(0);
});
