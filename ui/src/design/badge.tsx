import type { ComponentChildren } from 'preact';

export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'idle';

/** A short word about a state. The colour never says what the word does not. */
export function Badge({ tone = 'idle', dot = false, title, children }: { tone?: Tone; dot?: boolean; title?: string; children: ComponentChildren }) {
  return (
    <span class={`badge badge-${tone}`} title={title}>
      {dot && <span class="dot" aria-hidden="true" />}
      {children}
    </span>
  );
}

/** What has a name and a value, such as a label of an agent. */
export function Label({ name, value }: { name: string; value?: string }) {
  return (
    <span class="label" title={value === undefined ? name : `${name}=${value}`}>
      <span class="label-name">{name}</span>
      {value !== undefined && value !== '' && <span class="label-value">{value}</span>}
    </span>
  );
}

/** The class of a status by its colour. */
export function toneOfStatus(status: number): Tone {
  if (status === 0) return 'info';
  if (status >= 500) return 'bad';
  if (status >= 400) return 'warn';
  return status >= 300 ? 'info' : 'good';
}
