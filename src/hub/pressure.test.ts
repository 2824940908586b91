import { expect, test } from 'vitest';
import { connectionsFor } from './pressure.ts';

test.each([
  [1024, 24, 1, 948],
  [1024, 24, 2, 474],
  [80, 76, 2, 1],
  [0, 10, 1, 0],
  [1000, -1, 1, 950],
])('%i descriptors with %i open, %i per client: %i connections', (most, open, perClient, connections) => {
  expect(connectionsFor(most, open, perClient)).toBe(connections);
});
