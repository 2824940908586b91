import { expect, test } from 'vitest';
import type { TrafficItem } from '../../../../src/admin/model.ts';
import { merged } from './use-traffic.ts';

const item = (id: string, status: number): TrafficItem => ({ id, status }) as TrafficItem;

test('a request that is told again is shown once, as it is now', () => {
  const all = merged([item('c', 200), item('a', 200)], [item('b', 200), item('a', 0)]);
  expect(all.map(({ id, status }) => `${id} ${status}`)).toEqual(['c 200', 'a 200', 'b 200']);
});

test('the page keeps a bounded number of them', () => {
  const many = Array.from({ length: 3_000 }, (_, i) => item(String(i), 200));
  expect(merged(many, many).length).toBe(1_000);
});
