import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { common } from '../i18n/common.ts';
import { IconButton } from './button.tsx';

/** A dialog over the page, or with `side` a drawer at its edge. The rest of the page cannot be reached while it is open, Escape closes it, and the focus goes back to where it was. */
export function Dialog({
  title,
  note,
  side = false,
  wide = false,
  closable = true,
  onClose,
  actions,
  footer,
  children,
}: {
  title: ComponentChildren;
  note?: ComponentChildren;
  side?: boolean;
  wide?: boolean;
  /** False: Escape and a press beside it do nothing. */
  closable?: boolean;
  onClose: () => void;
  /** Beside the title. */
  actions?: ComponentChildren;
  footer?: ComponentChildren;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current!;
    const before = document.activeElement;
    element.showModal();
    return () => {
      element.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`dialog ${side ? 'dialog-side' : ''} ${wide ? 'dialog-wide' : ''}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (closable) onClose();
      }}
      onMouseDown={(event) => {
        if (closable && event.target === dialog.current) onClose();
      }}
      onKeyDown={(event) => {
        // The page's own keys are for the page.
        event.stopPropagation();
        if (event.key === 'Escape' && !closable) event.preventDefault();
      }}
    >
      <div class="dialog-inside">
        <header class="dialog-head">
          <div class="grow">
            <h2 id={id} class="dialog-title">
              {title}
            </h2>
            {note !== undefined && <div class="dialog-note">{note}</div>}
          </div>
          {actions}
          {closable && <IconButton icon="close" label={common().close} onClick={onClose} />}
        </header>
        <div class="dialog-body">{children}</div>
        {footer !== undefined && <footer class="dialog-foot">{footer}</footer>}
      </div>
    </dialog>
  );
}
