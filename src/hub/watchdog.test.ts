import { expect, test } from 'vitest';
import { MemoryLog } from '../../test/kit/tunnel.ts';
import { createLoop } from '../std/loop.ts';
import { Watchdog } from './watchdog.ts';

test('[fault 41] a turn of more than a second is told of, and not every one of a row', () => {
  let now = 1_000;
  const loop = createLoop({ now: () => now, wall: () => now });
  const log = new MemoryLog();
  const dog = new Watchdog(loop, log);
  const turn = (ms: number): void => {
    now += ms;
    dog.expired(now);
  };
  turn(100);
  turn(900);
  expect(log.lines).toEqual([]);
  turn(2_500);
  expect(log.lines.map(({ level, fields }) => [level, fields])).toEqual([['warn', { ms: 2500 }]]);
  turn(1_500);
  expect(log.lines.length).toBe(1);
  for (let i = 0; i < 100; i++) turn(100);
  turn(1_500);
  expect(log.lines.length).toBe(2);
  dog.close();
});
