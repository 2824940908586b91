import { expect, test } from 'vitest';
import { BadTokens } from './bad-tokens.ts';

test('[threat 33] ten bad tokens a minute are looked at, further ones are told to wait; addresses do not share', () => {
  let now = 5_000;
  const bad = new BadTokens({ now: () => now, wall: () => now });
  for (let i = 0; i < 10; i++) expect(bad.tried('10.0.0.1')).toBe(0);
  now += 20_000;
  expect(bad.tried('10.0.0.1')).toBe(40);
  expect(bad.tried('10.0.0.2')).toBe(0);
  now += 40_000;
  expect(bad.tried('10.0.0.1')).toBe(0);
});

test('a flood of addresses is remembered in bounded memory', () => {
  const bad = new BadTokens({ now: () => 0, wall: () => 0 });
  for (let i = 0; i < 11; i++) bad.tried('first');
  for (let i = 0; i < 10_001; i++) bad.tried(`a${i}`);
  // It had to make room.
  expect(bad.tried('first')).toBe(0);
});
