import type { ComponentChildren } from 'preact';

/** Names and values, one under the other. */
export function Facts({ items }: { items: readonly (readonly [ComponentChildren, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {items.map(([name, value], i) => (
        <div key={i} class="fact">
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
