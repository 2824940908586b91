import { expect, test } from 'vitest';
import { TicketKeys } from './ticket-keys.ts';

test('a key seals sessions for a day, then another one does', () => {
  let now = 5_000;
  const keys = new TicketKeys(() => now);
  const first = keys.current;
  expect(first).toHaveLength(48);
  now += 86_399_999;
  expect(keys.current).toBe(first);
  now += 1;
  expect(keys.current.equals(first)).toBe(false);
  expect(keys.current).toBe(keys.current);
});
