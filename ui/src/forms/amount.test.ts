import { expect, test } from 'vitest';
import { amountOf, amountText, isAmount } from './amount.ts';

test('a time or a size is a number and a unit, and is written as it was read', () => {
  for (const [text, input] of [
    ['500ms', 'duration'],
    ['1.5h', 'duration'],
    ['0', 'duration'],
    ['64KiB', 'bytes'],
    ['10MB', 'bytes'],
    ['1.5GiB', 'bytes'],
  ] as const)
    expect(amountText(amountOf(text, input)!, input), text).toBe(text);
  expect(amountOf('64kb', 'bytes')).toEqual({ number: '64', unit: 'kB' });
  expect(amountOf(4096, 'bytes')).toEqual({ number: '4096', unit: 'B' });
  expect(amountOf(0, 'duration')).toEqual({ number: '0', unit: 's' });
});

test('what one number and one unit cannot say is left to be edited as text', () => {
  for (const text of ['1h30m', 'off', '${TIME}', '', '5', 7]) expect(amountOf(text, 'duration'), String(text)).toBeNull();
  for (const text of ['64k', 'many', true]) expect(amountOf(text, 'bytes'), String(text)).toBeNull();
});

test('a time needs a unit and a size need not have one', () => {
  expect(isAmount('1h30m', 'duration')).toBe(true);
  expect(isAmount('5', 'duration')).toBe(false);
  expect(isAmount('5', 'bytes')).toBe(true);
  expect(isAmount('64k', 'bytes')).toBe(false);
  expect(isAmount('${LIMIT}', 'bytes')).toBe(true);
  expect(amountText({ number: ' ', unit: 's' }, 'duration')).toBe('');
});
