import { expect, test } from 'vitest';
import { fit, shorten, textWidth } from './text-width.ts';

test.each([
  ['plain', 5],
  ['机器', 4],
  ['e\u0301', 1],
  ['🚀x', 3],
  ['', 0],
])('%j takes %i columns', (text, width) => {
  expect(textWidth(text)).toBe(width);
});

test('a text is cut or filled up to exactly so many columns', () => {
  expect(fit('ab', 4)).toBe('ab  ');
  expect(fit('ab', 4, 'right')).toBe('  ab');
  expect(fit('abcdef', 4)).toBe('abc…');
  // A wide sign that would stand half outside is left out.
  expect(fit('机器人', 4)).toBe('机… ');
  expect(fit('机器', 4)).toBe('机器');
  expect(shorten('abc', 0)).toBe('');
});

test('what a terminal would obey is not passed on [threat 61]', () => {
  for (const bad of ['\u001b[31m', '\n', '\r', '\u0007', '\u009b2J', '\u202e', '\u0000']) {
    expect(shorten(`a${bad}b`, 80)).toMatch(/^[ -~]+$/);
    expect(fit(`a${bad}b`, 20)).toMatch(/^[ -~]{20}$/);
  }
});
