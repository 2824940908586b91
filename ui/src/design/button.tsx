import type { ButtonHTMLAttributes, ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon.tsx';

type Common = Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'children' | 'type' | 'disabled' | 'form' | 'role'> & {
  readonly type?: 'button' | 'submit';
  readonly disabled?: boolean;
  readonly form?: string;
};

export type ButtonProps = Common & {
  readonly kind?: 'plain' | 'primary' | 'danger' | 'quiet';
  readonly icon?: IconName;
  readonly small?: boolean;
  /** Something is under way: it cannot be pressed again. */
  readonly busy?: boolean;
  readonly children?: ComponentChildren;
};

export function Button({
  kind = 'plain',
  icon,
  small = false,
  busy = false,
  children,
  class: more,
  disabled,
  type = 'button',
  ...rest
}: ButtonProps) {
  return (
    <button
      {...rest}
      type={type}
      class={`button button-${kind}${small ? ' button-small' : ''} ${more ?? ''}`}
      disabled={disabled === true || busy}
      aria-busy={busy || undefined}
    >
      {busy ? <span class="spinner" aria-hidden="true" /> : icon !== undefined && <Icon name={icon} size={small ? 15 : 16} />}
      {children}
    </button>
  );
}

/** A button that is only a picture; its label is read out and shown when pointed at. */
export function IconButton({ icon, label, class: more, type = 'button', ...rest }: Common & { readonly icon: IconName; readonly label: string }) {
  return (
    <button {...rest} type={type} class={`icon-button ${more ?? ''}`} aria-label={label} title={label}>
      <Icon name={icon} />
    </button>
  );
}
