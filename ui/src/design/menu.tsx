import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Icon, type IconName } from './icon.tsx';

export interface MenuItem {
  readonly text: string;
  readonly icon?: IconName;
  readonly danger?: boolean;
  readonly checked?: boolean;
  readonly disabled?: boolean;
  readonly onChoose: () => void;
}

/** A button that opens a short list. Arrow keys walk, Escape closes. */
export function Menu({
  label,
  button,
  items,
  head,
  class: more = '',
}: {
  label: string;
  button: ComponentChildren;
  items: readonly MenuItem[];
  head?: ComponentChildren;
  class?: string;
}) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event): void => {
      if (!(event.target instanceof Node) || !box.current!.contains(event.target)) setOpen(false);
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('focusin', outside);
    box.current!.querySelector<HTMLElement>('[role^=menuitem]:not([disabled])')?.focus();
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('focusin', outside);
    };
  }, [open]);
  const close = (): void => {
    setOpen(false);
    box.current?.querySelector<HTMLElement>('.menu-button')?.focus();
  };
  const keys = (event: KeyboardEvent): void => {
    if (!open) return;
    const all = [...box.current!.querySelectorAll<HTMLElement>('[role^=menuitem]:not([disabled])')];
    const at = all.indexOf(document.activeElement as HTMLElement);
    if (event.key === 'Escape') close();
    else if (event.key === 'ArrowDown') all[(at + 1) % all.length]?.focus();
    else if (event.key === 'ArrowUp') all[(at - 1 + all.length) % all.length]?.focus();
    else if (event.key === 'Home') all[0]?.focus();
    else if (event.key === 'End') all.at(-1)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class={`menu ${more}`} ref={box} onKeyDown={keys}>
      <button
        type="button"
        class="menu-button"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        aria-label={label}
        title={label}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <div class="menu-list" id={id} role="menu" aria-label={label}>
          {head !== undefined && <div class="menu-head">{head}</div>}
          {items.map((item) => (
            <button
              key={item.text}
              type="button"
              role={item.checked === undefined ? 'menuitem' : 'menuitemradio'}
              aria-checked={item.checked}
              disabled={item.disabled}
              class={`menu-item ${item.danger === true ? 'menu-danger' : ''}`}
              tabIndex={-1}
              onClick={() => {
                close();
                item.onChoose();
              }}
            >
              {item.icon !== undefined && <Icon name={item.icon} size={16} />}
              <span class="grow">{item.text}</span>
              {item.checked === true && <Icon name="check" size={15} />}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
