import { fit, textWidth } from './text-width.ts';
import { plainLine } from '../config/plain-line.ts';

/** One column of a table in a terminal. */
export interface Column<T> {
  readonly title: string;
  /** Any text: what a terminal would obey is taken out. */
  text(row: T): string;
  /** Colours its cell, which has its width already. */
  paint?(cell: string, row: T): string;
  readonly side?: 'left' | 'right';
  /** Most columns of the terminal that it takes. */
  readonly max?: number;
  /** Where there is no room for all to be read, those with more of it go first. None: it stays. */
  readonly spare?: number;
}

/** Lines of a table: titles, then a line for each row, none wider than `width` (Infinity: nothing is cut). What does not fit is cut where there is most of it. */
export function tableLines<T>(all: readonly Column<T>[], rows: readonly T[], width: number, title: (text: string) => string): readonly string[] {
  const columns = width === Infinity ? all : thatFit(all, rows, width);
  const cells = rows.map((row) => columns.map((column) => plainLine(column.text(row))));
  const widths = columns.map(({ title: name, max = CELL_MAX }, i) =>
    cells.reduce((widest, line) => Math.max(widest, Math.min(width === Infinity ? Infinity : max, textWidth(line[i]!))), textWidth(name)),
  );
  let over = widths.reduce((sum, one) => sum + one + GAP, -GAP) - width;
  while (over > 0) {
    const widest = widths.indexOf(Math.max(...widths));
    if (widths[widest]! <= CELL_MIN) break;
    widths[widest]!--;
    over--;
  }
  const gap = ' '.repeat(GAP);
  const head = columns.map(({ title: name, side }, i) => fit(name, widths[i]!, side)).join(gap);
  return [
    title(head.trimEnd()),
    ...rows.map((row, at) =>
      columns
        .map((column, i) => {
          const cell = fit(cells[at]![i]!, widths[i]!, column.side);
          return column.paint?.(cell, row) ?? cell;
        })
        .join(gap)
        .trimEnd(),
    ),
  ];
}

/** Without those that can be spared, when the others could not be read beside them: long cells may be cut, as long as one knows what they are. */
function thatFit<T>(all: readonly Column<T>[], rows: readonly T[], width: number): readonly Column<T>[] {
  const readable = new Map(
    all.map((column) => {
      const widest = rows.reduce((most, row) => Math.max(most, textWidth(plainLine(column.text(row)))), textWidth(column.title));
      return [column, Math.min(widest, CELL_READABLE) + GAP];
    }),
  );
  let columns = all;
  let over = [...readable.values()].reduce((sum, one) => sum + one, -GAP) - width;
  for (const column of all.filter(({ spare = 0 }) => spare > 0).toSorted((a, b) => b.spare! - a.spare!)) {
    if (over <= 0) break;
    over -= readable.get(column)!;
    columns = columns.filter((one) => one !== column);
  }
  return columns;
}

const GAP = 2;
const CELL_READABLE = 8;
const CELL_MAX = 48;
const CELL_MIN = 4;
