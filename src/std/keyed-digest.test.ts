import { expect, test } from 'vitest';
import { keyedDigest } from './keyed-digest.ts';

test('a digest names a text, and nobody without its key can compute the name', () => {
  const one = keyedDigest();
  const other = keyedDigest();
  expect(one('secret')).toBe(one('secret'));
  expect(one('secret')).not.toBe(one('secreT'));
  expect(one('secret')).not.toBe(other('secret'));
  expect(one('')).toHaveLength(44);
});
