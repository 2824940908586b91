import { expect, test } from 'vitest';
import { Turn, type Flushable } from './turn.ts';

function item(flush: () => void): Flushable {
  return { queued: false, flush };
}

test('everything of a turn is flushed once at its end; what is added meanwhile, in the next', async () => {
  const turn = new Turn();
  const order: string[] = [];
  const late = item(() => order.push('late'));
  const a = item(() => {
    order.push('a');
    turn.later(late);
    turn.later(a);
  });
  const b = item(() => order.push('b'));
  turn.later(a);
  turn.later(b);
  turn.later(a);
  expect(order).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(order).toEqual(['a', 'b']);
  expect(a.queued).toBe(true);
  a.flush = () => order.push('a again');
  await new Promise((resolve) => setImmediate(resolve));
  expect(order).toEqual(['a', 'b', 'late', 'a again']);
  expect(late.queued).toBe(false);
});
