import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { IconButton } from '../design/button.tsx';
import { moved } from './rows.ts';
import { formWords } from './words.ts';

/** Lines whose order counts: dragged by their handle, or moved by buttons or Alt with the arrow keys; each move is read out. */
export function Sortable<T>({
  items,
  nameOf,
  disabled,
  change,
  remove,
  children,
}: {
  items: readonly T[];
  /** For those who cannot see the line. */
  nameOf: (item: T, index: number) => string;
  disabled: boolean;
  change(items: readonly T[]): void;
  remove(index: number): void;
  children: (item: T, index: number) => ComponentChildren;
}) {
  const t = formWords();
  const list = useRef<HTMLOListElement>(null);
  const [dragged, setDragged] = useState(-1);
  const [over, setOver] = useState(-1);
  const [said, setSaid] = useState('');
  const move = (from: number, to: number, focus: boolean): void => {
    if (to < 0 || to >= items.length || from === to) return;
    change(moved(items, from, to));
    setSaid(t.movedTo(nameOf(items[from]!, from), to + 1, items.length));
    if (focus) requestAnimationFrame(() => list.current?.querySelectorAll<HTMLElement>(':scope > li .sort-handle')[to]?.focus());
  };
  return (
    <>
      <ol class="sortable" ref={list}>
        {items.map((item, i) => {
          const name = nameOf(item, i);
          return (
            <li
              key={i}
              class={`sortable-row ${dragged === i ? 'dragged' : ''} ${over === i && dragged >= 0 && dragged !== i ? (dragged < i ? 'drop-after' : 'drop-before') : ''}`}
              onDragOver={(event) => {
                if (dragged < 0) return;
                event.preventDefault();
                setOver(i);
              }}
              onDrop={(event) => {
                event.preventDefault();
                move(dragged, i, false);
                setDragged(-1);
                setOver(-1);
              }}
              onKeyDown={(event) => {
                if (!event.altKey || disabled || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
                event.preventDefault();
                move(i, event.key === 'ArrowUp' ? i - 1 : i + 1, true);
              }}
            >
              <button
                type="button"
                class="sort-handle"
                draggable={!disabled}
                disabled={disabled}
                title={t.dragHint}
                aria-label={`${name}: ${t.dragHint}`}
                onDragStart={(event) => {
                  setDragged(i);
                  event.dataTransfer?.setData('text/plain', name);
                }}
                onDragEnd={() => {
                  setDragged(-1);
                  setOver(-1);
                }}
              >
                <span class="grip" aria-hidden="true" />
              </button>
              <span class="sortable-number" aria-hidden="true">
                {i + 1}
              </span>
              <div class="grow">{children(item, i)}</div>
              <span class="sortable-actions">
                <IconButton icon="up" label={t.moveUp(name)} disabled={disabled || i === 0} onClick={() => move(i, i - 1, false)} />
                <IconButton
                  icon="down"
                  label={t.moveDown(name)}
                  disabled={disabled || i === items.length - 1}
                  onClick={() => move(i, i + 1, false)}
                />
                <IconButton icon="trash" label={t.remove(name)} disabled={disabled} onClick={() => remove(i)} />
              </span>
            </li>
          );
        })}
      </ol>
      <span class="unseen" role="status" aria-live="polite">
        {said}
      </span>
    </>
  );
}
