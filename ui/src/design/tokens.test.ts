import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const CSS = readFileSync(new URL('tokens.css', import.meta.url), 'utf8');
const TOKENS = new Map(
  [...CSS.matchAll(/--([\w-]+): light-dark\((#[\da-f]{6}), (#[\da-f]{6})\)/g)].map(([, name, light, dark]) => [
    name!,
    { light: light!, dark: dark! },
  ]),
);

/** Text on what is below it: WCAG 2.2 AA wants 4.5. */
const TEXT: readonly (readonly [string, readonly string[]])[] = [
  ['text', ['ground', 'surface', 'raised', 'sunken', 'hover', 'chosen', 'good-fill', 'warn-fill', 'bad-fill', 'info-fill']],
  ['text-soft', ['ground', 'surface', 'raised', 'sunken', 'hover', 'chosen', 'warn-fill', 'bad-fill']],
  ['text-faint', ['ground', 'surface', 'raised', 'sunken', 'hover']],
  ['accent', ['ground', 'surface', 'raised', 'chosen']],
  ['on-accent', ['accent-fill', 'accent-fill-hover']],
  ['good', ['surface', 'raised', 'good-fill']],
  ['warn', ['surface', 'raised', 'warn-fill']],
  ['bad', ['surface', 'raised', 'bad-fill']],
  ['info', ['surface', 'raised', 'info-fill']],
  ['idle', ['surface', 'raised', 'idle-fill']],
];
/** Edges of inputs, the ring of the focus, marks that say a state: 3. */
const MARKS: readonly (readonly [string, readonly string[]])[] = [
  ['line-input', ['surface', 'raised', 'ground']],
  ['focus', ['ground', 'surface', 'raised']],
  ['bad-mark', ['surface', 'raised']],
];

test.each(['light', 'dark'] as const)('every text of the %s theme stands out from what is below it as WCAG AA wants', (theme) => {
  expect(TOKENS.size).toBeGreaterThanOrEqual(40);
  expect(tooFaint(TEXT, theme, 4.5)).toEqual([]);
  expect(tooFaint(MARKS, theme, 3)).toEqual([]);
});

test('the contrast of black and white is 21, and of a colour with itself 1', () => {
  expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
  expect(contrast('#1759b0', '#1759b0')).toBe(1);
  expect(contrast('#767676', '#ffffff')).toBeCloseTo(4.54, 2);
});

test('colours are written in the tokens and nowhere else, but for white on what is filled', () => {
  const components = readFileSync(new URL('components.css', import.meta.url), 'utf8');
  const plain = [...components.matchAll(/(?:color|background|stroke|fill): (#[\da-f]{3,6})\b/g)].map(([, value]) => value);
  expect(plain.filter((value) => value !== '#fff')).toEqual([]);
});

function tooFaint(pairs: typeof TEXT, theme: 'light' | 'dark', least: number): string[] {
  return pairs.flatMap(([front, grounds]) =>
    grounds.flatMap((ground) => {
      const value = contrast(TOKENS.get(front)![theme], TOKENS.get(ground)![theme]);
      return value < least ? [`${front} on ${ground}: ${value.toFixed(2)}`] : [];
    }),
  );
}

/** WCAG 2.2, relative luminance and contrast ratio. */
function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].toSorted((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

function luminance(hex: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
