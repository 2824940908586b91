import { expect, test } from 'vitest';
import { requestHead } from '../../../test/kit/tunnel.ts';
import type { TrafficItem } from '../../admin/model.ts';
import { Notes } from '../../http/exchange.ts';
import { makePeer } from '../../http/head.ts';
import { Inspector } from '../../proxy/inspector.ts';
import { createLoop } from '../../std/loop.ts';
import { TRAFFIC_PER_SECOND, TRAFFIC_SLICE, TRAFFIC_USUAL } from '../limits.ts';
import { ConsoleTraffic } from './traffic.ts';

const PEER = makePeer('192.0.2.1', 1234, 80, 'http', false);

function start() {
  const clock = { ms: 1_000, now: () => clock.ms, wall: () => clock.ms };
  const inspector = new Inspector(clock.wall);
  const traffic = new ConsoleTraffic(inspector, createLoop(clock), () => null);
  const pass = (target: string): void =>
    inspector.begin('main', requestHead(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`), new Notes(clock.ms), PEER).finished(200, clock.ms, '', '');
  return { clock, inspector, traffic, pass };
}

test('a page gets so many requests a second and hears with the first of the next second how many it missed', () => {
  const { clock, inspector, traffic, pass } = start();
  inspector.resize(10);
  const heard: TrafficItem[] = [];
  const missed: number[] = [];
  traffic.follow(
    ({ target }) => target !== '/not-wanted',
    (item) => heard.push(item),
    (count) => missed.push(count),
  );
  // What is not wanted does not count against it.
  for (let i = 0; i < 50; i++) pass('/not-wanted');
  for (let i = 0; i < TRAFFIC_PER_SECOND; i++) pass(`/${i}`);
  expect([heard.length, missed]).toEqual([TRAFFIC_PER_SECOND, []]);
  for (let i = 0; i < 7; i++) pass('/late');
  clock.ms += 999;
  pass('/late');
  expect([heard.length, missed]).toEqual([TRAFFIC_PER_SECOND, []]);
  clock.ms += 1;
  pass('/next');
  expect([heard.length, heard.at(-1)!.target, missed]).toEqual([TRAFFIC_PER_SECOND + 1, '/next', [8]]);
  clock.ms += 1_000;
  pass('/later');
  expect(missed).toEqual([8]);
});

test('a search through many is cut into slices, between which requests go on, and finds all the same', async () => {
  const { inspector, traffic, pass } = start();
  const count = 2 * TRAFFIC_SLICE + 1;
  inspector.resize(count);
  for (let i = 0; i < count; i++) pass(`/${i}`);
  let turns = 0;
  let isOver = false;
  const next = (): void => {
    if (isOver) return;
    turns++;
    setImmediate(next);
  };
  setImmediate(next);
  const all = await traffic.list(() => true, 3, null);
  isOver = true;
  expect([all.total, all.items.map(({ target }) => target)]).toEqual([count, [`/${count - 1}`, `/${count - 2}`, `/${count - 3}`]]);
  expect(turns).toBeGreaterThanOrEqual(2);
  inspector.resize(TRAFFIC_SLICE);
  turns = 0;
  isOver = false;
  setImmediate(next);
  expect((await traffic.list(() => true, 3, null)).total).toBe(TRAFFIC_SLICE);
  isOver = true;
  // As many as one slice has are looked at in one turn.
  expect(turns).toBe(0);
});

test('switched on without a number it keeps the usual one', async () => {
  const { traffic, inspector } = start();
  expect(await traffic.settings()).toEqual({ enabled: false, size: TRAFFIC_USUAL });
  expect(inspector.isOn).toBe(false);
});
