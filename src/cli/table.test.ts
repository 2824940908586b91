import { expect, test } from 'vitest';
import { type Column, tableLines } from './table.ts';
import { textWidth } from './text-width.ts';

interface Row {
  readonly name: string;
  readonly n: number;
}

const columns: readonly Column<Row>[] = [
  { title: 'NAME', text: ({ name }) => name },
  { title: 'N', text: ({ n }) => String(n), side: 'right', paint: (cell) => `<${cell}>` },
];

test('columns are as wide as what stands in them', () => {
  const rows = [
    { name: 'one', n: 1 },
    { name: '机器', n: 1000 },
  ];
  expect(tableLines(columns, rows, 80, (title) => `*${title}`)).toEqual(['*NAME     N', 'one   <   1>', '机器  <1000>']);
});

test('no line is wider than the screen, and nothing is cut where there is none [threat 61]', () => {
  const rows = [{ name: `${'x'.repeat(200)}\u001b[2J`, n: 7 }];
  for (const width of [20, 40, 79])
    expect(textWidth(tableLines(columns, rows, width, (title) => title)[1]!.replaceAll(/[<>]/g, ''))).toBeLessThanOrEqual(width);
  expect(tableLines(columns, rows, Infinity, (title) => title)[1]).toBe(`${'x'.repeat(200)}?[2J  <7>`);
});

test('where not all can be read, columns go that can be spared, the most spare first', () => {
  const more: readonly Column<Row>[] = [
    ...columns,
    { title: 'FROM', text: () => '10.0.0.1', spare: 1 },
    { title: 'SINCE', text: () => '3d 4h', spare: 2 },
  ];
  const rows = [{ name: 'a-rather-long-name', n: 7 }];
  const titles = (width: number): string[] => tableLines(more, rows, width, (title) => title)[0]!.split(/ +/);
  expect(titles(Infinity)).toEqual(['NAME', 'N', 'FROM', 'SINCE']);
  expect(titles(28)).toEqual(['NAME', 'N', 'FROM', 'SINCE']);
  expect(titles(27)).toEqual(['NAME', 'N', 'FROM']);
  expect(titles(20)).toEqual(['NAME', 'N']);
  // What cannot be spared is cut.
  expect(textWidth(tableLines(columns, rows, 8, (title) => title)[0]!)).toBeLessThanOrEqual(8);
});
