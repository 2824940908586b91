import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';

/** A screen: its heading, what can be done, what it shows. `fill`: it takes the window's height, and something inside scrolls. */
export function Page({
  title,
  note,
  actions,
  fill = false,
  children,
}: {
  title: string;
  note?: ComponentChildren;
  actions?: ComponentChildren;
  fill?: boolean;
  children: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${title} · Windlass`;
  }, [title]);
  return (
    <div class={`page ${fill ? 'page-fill' : ''}`}>
      <header class="page-head">
        <div class="page-title">
          <h1>{title}</h1>
          {note !== undefined && <p class="page-note">{note}</p>}
        </div>
        {actions !== undefined && <div class="page-actions">{actions}</div>}
      </header>
      {children}
    </div>
  );
}
