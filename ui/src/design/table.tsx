import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Icon } from './icon.tsx';
import { pageWidth } from './page-width.ts';

export interface Column<T> {
  readonly id: string;
  readonly title: ComponentChildren;
  /** A track of CSS grid, such as `minmax(120px, 2fr)`. */
  readonly width: string;
  readonly cell: (item: T) => ComponentChildren;
  /** Figures stand at the right. */
  readonly right?: boolean;
  /** Its name in `sort`; absent: it cannot be sorted by. */
  readonly sort?: string;
  /** On pages as narrow as a phone's. */
  readonly narrow?: string;
  /** Left out on narrow pages: 0 goes first. */
  readonly spare?: 0 | 1 | 2 | 3;
}

/** Rows that are drawn above and below what is seen. */
const OVERSCAN = 8;
/** Rows that pass before others are drawn: drawing at every pixel would take most of the time that scrolling has. */
const STEP = 4;
const ROW_PX = 40;
/** Pages narrower than this do without a spare column, px. */
const SPARE_BELOW_PX = { 0: 1500, 1: 1240, 2: 900, 3: 620 };

/** A table of any length: only rows in sight are in the document. Arrow keys walk, Enter opens. `sort` is `name` or `-name`. */
export function Table<T>({
  label,
  columns: all,
  items,
  keyOf,
  total = items.length,
  offset = 0,
  onOpen,
  chosen,
  sort,
  onSort,
  onRange,
  onTop,
  rowPx = ROW_PX,
  fill = false,
  empty,
  toneOf,
}: {
  label: string;
  columns: readonly Column<T>[];
  items: readonly T[];
  keyOf: (item: T) => string;
  /** How many rows there are, when `items` are only those from `offset` on. */
  total?: number;
  offset?: number;
  onOpen?: (item: T) => void;
  chosen?: string | undefined;
  sort?: string;
  onSort?: (sort: string) => void;
  /** Which rows are in sight, for those that load them as needed. */
  onRange?: (first: number, last: number) => void;
  /** Whether its first row is in sight: who adds rows above may want to wait. */
  onTop?: (atTop: boolean) => void;
  rowPx?: number;
  /** Takes the height that is left of the page, and scrolls inside. */
  fill?: boolean;
  empty?: ComponentChildren;
  toneOf?: (item: T) => 'bad' | 'warn' | 'idle' | undefined;
}) {
  const box = useRef<HTMLDivElement>(null);
  // The row that the keyboard went to; it may have to come first.
  const wanted = useRef<number | null>(null);
  useEffect(() => {
    const row = wanted.current === null ? null : box.current!.querySelector<HTMLElement>(`[data-row="${wanted.current}"]`);
    if (row === null) return;
    wanted.current = null;
    row.focus({ preventScroll: fill });
  });
  const columns = all.filter(({ spare }) => spare === undefined || pageWidth.value >= SPARE_BELOW_PX[spare]);
  const [view, setView] = useState({ row: 0, height: 800, atTop: true });
  const [active, setActive] = useState(0);

  useLayoutEffect(() => {
    const element = box.current!;
    const look = (): void => {
      const { scrollTop, clientHeight: height } = element;
      const row = Math.floor(scrollTop / rowPx / STEP) * STEP;
      const atTop = scrollTop < rowPx / 2;
      setView((before) => (before.row === row && before.height === height && before.atTop === atTop ? before : { row, height, atTop }));
    };
    look();
    const watch = new ResizeObserver(look);
    watch.observe(element);
    element.addEventListener('scroll', look, { passive: true });
    return () => {
      watch.disconnect();
      element.removeEventListener('scroll', look);
    };
  }, [rowPx]);

  // A table that does not scroll inside is short, and drawn whole.
  const first = fill ? Math.max(0, view.row - OVERSCAN) : 0;
  const last = fill ? Math.min(total, view.row + STEP + Math.ceil(view.height / rowPx) + OVERSCAN) : total;
  useEffect(() => onRange?.(first, last), [first, last]);
  useEffect(() => onTop?.(view.atTop), [view.atTop]);

  const phone = pageWidth.value < SPARE_BELOW_PX[3];
  const widths = columns.map(({ width, narrow }) => (phone && narrow !== undefined ? narrow : width)).join(' ');
  const focusRow = (index: number): void => {
    const to = Math.max(0, Math.min(total - 1, index));
    setActive(to);
    const element = box.current!;
    const top = to * rowPx;
    const head = rowPx;
    if (fill && top < element.scrollTop) element.scrollTop = top;
    else if (fill && top + rowPx + head > element.scrollTop + element.clientHeight) element.scrollTop = top + rowPx + head - element.clientHeight;
    wanted.current = to;
  };
  const keys = (event: KeyboardEvent, index: number, item: T): void => {
    if (event.target !== event.currentTarget) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, j: 1, k: -1 }[event.key];
    if (step !== undefined) focusRow(index + step);
    else if (event.key === 'Home') focusRow(0);
    else if (event.key === 'End') focusRow(total - 1);
    else if (event.key === 'Enter' && onOpen !== undefined) onOpen(item);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const rows = [];
  for (let index = first; index < last; index++) {
    const item = items[index - offset];
    rows.push(
      item === undefined ? (
        <div key={`#${index}`} class="tr tr-waiting" role="row" aria-rowindex={index + 2} style={{ top: `${index * rowPx}px`, height: `${rowPx}px` }}>
          <div class="td" role="cell">
            <span class="skeleton-bar" />
          </div>
        </div>
      ) : (
        <div
          key={keyOf(item)}
          class={`tr ${onOpen === undefined ? '' : 'tr-open'} ${chosen === keyOf(item) ? 'tr-chosen' : ''} ${toneOf?.(item) === undefined ? '' : `tr-${toneOf(item)}`}`}
          role="row"
          aria-rowindex={index + 2}
          aria-current={chosen === keyOf(item) ? 'true' : undefined}
          data-row={index}
          tabIndex={index === Math.min(active, total - 1) || (index === first && (active < first || active >= last)) ? 0 : -1}
          style={fill ? { top: `${index * rowPx}px`, height: `${rowPx}px` } : { minHeight: `${rowPx}px` }}
          onClick={(event) => {
            if (event.target instanceof Element && event.target.closest('button, a, input') !== null) return;
            if (getSelection()?.toString() !== '' && getSelection()?.containsNode(event.currentTarget, true) === true) return;
            setActive(index);
            onOpen?.(item);
          }}
          onKeyDown={(event) => keys(event, index, item)}
          onFocus={() => setActive(index)}
        >
          {columns.map((column) => (
            <div key={column.id} class={`td ${column.right === true ? 'number' : ''}`} role="cell">
              {column.cell(item)}
            </div>
          ))}
        </div>
      ),
    );
  }

  return (
    <div
      ref={box}
      class={`table ${fill ? 'table-fill' : ''}`}
      role="table"
      aria-label={label}
      aria-rowcount={total + 1}
      aria-colcount={columns.length}
      style={{ '--columns': widths } as Record<string, string>}
    >
      <div class="thead" role="rowgroup">
        <div class="tr tr-head" role="row" aria-rowindex={1}>
          {columns.map((column) => {
            const direction = sort === column.sort ? 'ascending' : sort === `-${column.sort}` ? 'descending' : 'none';
            const sortable = column.sort !== undefined && onSort !== undefined;
            return (
              <div
                key={column.id}
                class={`th ${column.right === true ? 'number' : ''}`}
                role="columnheader"
                aria-sort={sortable ? direction : undefined}
              >
                {sortable ? (
                  <button type="button" class="th-sort" onClick={() => onSort(direction === 'ascending' ? `-${column.sort}` : column.sort!)}>
                    {column.title}
                    <span class={`th-arrow th-${direction}`}>
                      <Icon name={direction === 'descending' ? 'down' : 'up'} size={13} />
                    </span>
                  </button>
                ) : (
                  column.title
                )}
              </div>
            );
          })}
        </div>
      </div>
      <div class="tbody" role="rowgroup" style={fill ? { height: `${total * rowPx}px` } : undefined}>
        {rows}
      </div>
      {total === 0 && empty}
    </div>
  );
}
