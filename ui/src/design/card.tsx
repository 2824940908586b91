import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

/** A part of a screen with a heading. `flush`: what is inside reaches the edges, as a table does. */
export function Card({
  title,
  note,
  actions,
  flush = false,
  class: more = '',
  children,
}: {
  title?: ComponentChildren;
  note?: ComponentChildren;
  actions?: ComponentChildren;
  flush?: boolean;
  class?: string;
  children: ComponentChildren;
}) {
  const id = useId();
  return (
    <section class={`card ${flush ? 'card-flush' : ''} ${more}`} aria-labelledby={title === undefined ? undefined : id}>
      {title !== undefined && (
        <header class="card-head">
          <h2 id={id}>{title}</h2>
          {note !== undefined && <span class="card-note">{note}</span>}
          {actions !== undefined && <div class="card-actions">{actions}</div>}
        </header>
      )}
      <div class="card-body">{children}</div>
    </section>
  );
}
