import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Session } from '../tunnel/session.ts';
import { PLAIN } from './label.ts';
import type { Waiter } from './queue.ts';
import { WaitingLine } from './queue.ts';
import { type BoardMember, WaitingBoard } from './waiting-board.ts';

let nowMs = 0;
const clock = { now: () => nowMs, wall: () => nowMs };

beforeEach(() => {
  nowMs = 1_000;
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets time pass, ms by ms. */
function pass(ms: number): void {
  for (let i = 0; i < ms; i++) {
    nowMs++;
    vi.advanceTimersByTime(1);
  }
}

function waiter(): Waiter {
  return {
    label: PLAIN,
    aged: 0,
    paid: false,
    arrival: 0,
    notes: { startMs: nowMs },
    head: null,
    line: null,
    before: null,
    behind: null,
    granted: () => true,
  } as unknown as Waiter;
}

test('several agents hear how many wait more rarely than one would, but at once whether any do', () => {
  const board = new WaitingBoard(clock);
  const line = new WaitingLine();
  const told: [atMs: number, count: number][] = [];
  const members = Array.from({ length: 5 }, (_, i): BoardMember => {
    let known = 0;
    const tellWaiting = (count: number, _sinceMs: number, urgent: boolean): boolean => {
      if (!urgent && count > 0 && known > 0) return false;
      if (count === known) return true;
      known = count;
      if (i === 0) told.push([nowMs, count]);
      return true;
    };
    return { session: { tellWaiting } as unknown as Session, lanes: [{ line }], own: null };
  });
  for (const member of members) board.add(member);
  pass(100);
  told.length = 0;
  // A new one every millisecond, for half a second.
  for (let i = 0; i < 500; i++) {
    line.add(waiter());
    board.changed();
    pass(1);
  }
  expect(told[0]![0] - 1_100).toBeLessThanOrEqual(6);
  const increasing = told.filter(([, count]) => count > 0);
  expect(increasing.length).toBeGreaterThan(10);
  expect(increasing.length).toBeLessThanOrEqual(500 / 25 + 2);
  pass(30);
  expect(told.at(-1)![1]).toBe(500);
  told.length = 0;
  while (line.first !== null) line.remove(line.first);
  board.changed();
  const emptyMs = nowMs;
  pass(6);
  expect(told.map(([atMs, count]) => [atMs - emptyMs <= 6, count])).toEqual([[true, 0]]);
});
