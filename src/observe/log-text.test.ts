import { expect, test } from 'vitest';
import { humanBytes, humanTime, jsonQuoted } from './log-text.ts';

test.each([
  [0, '0B'],
  [999, '999B'],
  [1_000, '1KB'],
  [1_250, '1.3KB'],
  [999_949, '999.9KB'],
  [999_999, '1MB'],
  [34_500_000, '34.5MB'],
  [2_000_000_000, '2GB'],
  [9_876_000_000_000_000, '9876TB'],
])('%d bytes are %s', (bytes, text) => {
  expect(humanBytes(bytes)).toBe(text);
});

test.each([
  [0, '0ms'],
  [0.04, '0ms'],
  [12.34, '12.3ms'],
  [999.4, '999.4ms'],
  [999.6, '1s'],
  [1_234, '1.2s'],
  [59_949, '59.9s'],
  [59_999, '1m'],
  [90_000, '1.5m'],
  [3_599_999, '1h'],
  [9_000_000, '2.5h'],
])('%d ms are %s', (ms, text) => {
  expect(humanTime(ms)).toBe(text);
});

test('JSON strings are printable ASCII that says the same', () => {
  for (const text of ['plain', 'a"b\\c', '\u0000\t\n\u007f\u0085\u00ff', '显卡\u2028', '😀']) {
    const quoted = jsonQuoted(text);
    expect(quoted).toMatch(/^[ -~]*$/);
    expect(JSON.parse(`"${quoted}"`)).toBe(text);
  }
});
