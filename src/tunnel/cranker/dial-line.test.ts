import { expect, test } from 'vitest';
import { createLoop } from '../../std/loop.ts';
import { SlotLedger } from '../native/slots.ts';
import { RequestLine, type Waiter } from './dial-line.ts';

/** A request that writes down what happens to it. */
class Waits implements Waiter {
  waitsSinceMs = 0;
  is: 'new' | 'served' | 'tired' = 'new';

  served(): void {
    this.is = 'served';
  }

  tired(): void {
    this.is = 'tired';
  }
}

function lineOf(total: number, places: number): { slots: SlotLedger; line: RequestLine; pass: (ms: number) => void } {
  let now = 0;
  const loop = createLoop({ now: () => now, wall: () => now });
  const slots = new SlotLedger(total);
  const line = new RequestLine(slots, loop, places, 1_000);
  return {
    slots,
    line,
    pass: (ms) => {
      now += ms;
      loop.sweeper.sweep();
    },
  };
}

test('who came first is served first, and whoever comes later does not pass', () => {
  const { line } = lineOf(1, 10);
  expect(line.take()).toBe(true);
  expect(line.take()).toBe(false);
  const [one, two] = [new Waits(), new Waits()];
  line.wait(one);
  line.wait(two);
  line.release();
  expect([one.is, two.is]).toEqual(['served', 'new']);
  line.leave(two);
  line.release();
  expect(two.is).toBe('new');
  expect(line.take()).toBe(true);
});

test('a line that is full takes nobody', () => {
  const { line } = lineOf(0, 2);
  expect([line.wait(new Waits()), line.wait(new Waits()), line.wait(new Waits())]).toEqual([true, true, false]);
});

test('whoever waits for too long is told, and the others wait on', () => {
  const { line, pass } = lineOf(0, 10);
  const [one, two] = [new Waits(), new Waits()];
  line.wait(one);
  pass(600);
  line.wait(two);
  pass(500);
  expect([one.is, two.is, line.waiting]).toEqual(['tired', 'new', 1]);
  pass(600);
  expect([two.is, line.waiting]).toEqual(['tired', 0]);
});

test('more slots serve the line at once; whether there are any is told to whoever watches', () => {
  const { line, slots } = lineOf(1, 10);
  const seen: boolean[] = [];
  const end = line.watch(() => {
    seen.push(line.offers);
  });
  line.take();
  const all = [new Waits(), new Waits(), new Waits()];
  for (const one of all) line.wait(one);
  slots.resize(3);
  expect(all.map(({ is }) => is)).toEqual(['served', 'served', 'new']);
  slots.resize(0);
  slots.resize(2);
  expect(seen).toEqual([false, true]);
  end();
  slots.resize(0);
  expect(seen).toHaveLength(2);
});
