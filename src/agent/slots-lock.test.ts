import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { until } from '../../test/kit/until.ts';
import { SlotsLock } from './slots-lock.ts';

const open: (() => void)[] = [];
afterEach(() => {
  while (open.length > 0) open.pop()!();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'windlass-lock-'));
  open.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function lock(file: string, upstream = 'http://127.0.0.1:1'): { lock: SlotsLock; seen: number[] } {
  const seen: number[] = [];
  const made = new SlotsLock({ file, upstream, changed: (held) => seen.push(held) });
  open.push(() => made.close());
  return { lock: made, seen };
}

test('a process gets every slot that it wants when nobody has them', async () => {
  const { lock: one } = lock(join(folder(), 'slots'));
  one.want(4, 0);
  await until('four slots', () => one.held === 4);
});

test('the next process gets slots only as the first one gives them back, one by one', async () => {
  const file = join(folder(), 'slots');
  const { lock: old } = lock(file);
  old.want(4, 0);
  await until('four slots', () => old.held === 4);
  const { lock: next, seen } = lock(file);
  next.want(4, 0);
  old.want(0, 3);
  await until('one slot', () => next.held === 1);
  expect(old.held).toBe(3);
  old.trim(1);
  await until('three slots', () => next.held === 3);
  old.trim(0);
  await until('all slots', () => next.held === 4);
  expect(seen).toEqual([1, 2, 3, 4]);
});

test('two that start at once never hold more than there are', async () => {
  const file = join(folder(), 'slots');
  const all = Array.from({ length: 4 }, () => lock(file).lock);
  for (const one of all) one.want(16, 0);
  await until('all slots taken', () => {
    const sum = all.reduce((held, one) => held + one.held, 0);
    expect(sum).toBeLessThanOrEqual(16);
    return sum === 16;
  });
});

test('another upstream and another file have slots of their own; a link to the folder has the same', async () => {
  const path = folder();
  const link = join(folder(), 'link');
  symlinkSync(path, link);
  const { lock: one } = lock(join(path, 'slots'));
  one.want(2, 0);
  await until('two slots', () => one.held === 2);
  const { lock: other } = lock(join(path, 'slots'), 'http://127.0.0.1:2');
  const { lock: third } = lock(join(path, 'others'));
  const { lock: same } = lock(join(link, 'slots'));
  for (const next of [same, other, third]) next.want(2, 0);
  await until('their own', () => other.held === 2 && third.held === 2);
  expect(same.held).toBe(0);
});

test('many slots need few locks, and numbers that differ still exclude each other', async () => {
  const file = join(folder(), 'slots');
  const { lock: old } = lock(file);
  old.want(1_000, 0);
  await until('a thousand slots', () => old.held >= 1_000);
  const { lock: next } = lock(file);
  next.want(300, 0);
  old.want(290, 0);
  await until('what is left', () => next.held > 0);
  expect(old.held).toBeGreaterThanOrEqual(290);
  expect(Math.min(old.held, 290) + next.held).toBeLessThanOrEqual(1_040);
});
