import { expect, test } from 'vitest';
import { twoWords } from './two-words.ts';

test('every name is two lower-case words, and the lists hold no word twice', () => {
  const sizes: number[] = [];
  twoWords((n) => (sizes.push(n), 0));
  const names = [0, 1].map((list) => Array.from({ length: sizes[list]! }, (_, i) => twoWords((n) => Math.min(i, n - 1)).split('-')[list]!));
  for (const words of names) {
    expect(new Set(words).size).toBe(words.length);
    for (const word of words) expect(word).toMatch(/^[a-z]{3,10}$/);
  }
  expect(sizes[0]! * sizes[1]!).toBeGreaterThan(5000);
});
