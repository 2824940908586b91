import type { ComponentChildren, InputHTMLAttributes } from 'preact';
import { useId } from 'preact/hooks';
import { Icon } from './icon.tsx';

/** A label, what it is for, what is wrong with it. `children` gets the ids that tie them together. */
export function Field({
  label,
  help,
  error,
  required = false,
  children,
}: {
  label: ComponentChildren;
  help?: ComponentChildren;
  error?: ComponentChildren;
  required?: boolean;
  children: (ids: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean | undefined }) => ComponentChildren;
}) {
  const id = useId();
  const wrong = error !== undefined && error !== null && error !== '' && error !== false;
  const told = help !== undefined || wrong;
  return (
    <div class="field">
      <label class="field-label" for={id}>
        {label}
        {required && (
          <span class="field-required" aria-hidden="true">
            *
          </span>
        )}
      </label>
      {children({ id, 'aria-describedby': told ? `${id}-about` : undefined, 'aria-invalid': wrong || undefined })}
      {told && (
        <div id={`${id}-about`} class="field-about">
          {wrong && (
            <span class="field-error">
              <Icon name="error" size={14} /> {error}
            </span>
          )}
          {help !== undefined && <span class="field-help">{help}</span>}
        </div>
      )}
    </div>
  );
}

export function TextField({
  label,
  value,
  onInput,
  help,
  error,
  required = false,
  type = 'text',
  autoFocus = false,
  ...rest
}: {
  label: string;
  value: string;
  onInput: (value: string) => void;
  help?: ComponentChildren;
  error?: ComponentChildren;
  required?: boolean;
  type?: 'text' | 'password' | 'number' | 'search' | 'url';
  placeholder?: string;
  autocomplete?: string;
  name?: string;
  maxLength?: number;
  autoFocus?: boolean;
  spellcheck?: boolean;
  list?: string;
  class?: string;
  disabled?: boolean;
}) {
  return (
    <Field label={label} help={help} error={error} required={required}>
      {(ids) => (
        <input
          {...({ ...rest, ...ids, type } as InputHTMLAttributes<HTMLInputElement>)}
          class={`input ${rest.class ?? ''}`}
          value={value}
          required={required}
          autofocus={autoFocus}
          spellcheck={rest.spellcheck ?? false}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function Select<T extends string>({
  label,
  value,
  choices,
  onChange,
  hideLabel = false,
}: {
  label: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
  hideLabel?: boolean;
}) {
  const select = (ids: { id?: string }) => (
    <select
      {...ids}
      class="input select"
      aria-label={hideLabel ? label : undefined}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value as T)}
    >
      {choices.map(([choice, says]) => (
        <option key={choice} value={choice}>
          {says}
        </option>
      ))}
    </select>
  );
  return hideLabel ? select({}) : <Field label={label}>{select}</Field>;
}

/** On or off, at once. */
export function Switch({
  label,
  on,
  onChange,
  disabled = false,
  hideLabel = false,
}: {
  label: string;
  on: boolean;
  onChange: (on: boolean) => void;
  disabled?: boolean;
  hideLabel?: boolean;
}) {
  return (
    <button
      type="button"
      class="switch"
      role="switch"
      aria-checked={on}
      aria-label={hideLabel ? label : undefined}
      disabled={disabled}
      onClick={() => onChange(!on)}
    >
      <span class="switch-track" aria-hidden="true">
        <span class="switch-knob" />
      </span>
      {!hideLabel && <span>{label}</span>}
    </button>
  );
}

/** One of a few, all in sight. */
export function Segments<T extends string>({
  label,
  value,
  choices,
  onChange,
}: {
  label: string;
  value: T;
  choices: readonly (readonly [T, ComponentChildren])[];
  onChange: (value: T) => void;
}) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {choices.map(([choice, says]) => (
        <button key={choice} type="button" aria-pressed={choice === value} onClick={() => onChange(choice)}>
          {says}
        </button>
      ))}
    </div>
  );
}

/** A filter over a list. */
export function SearchField({
  label,
  value,
  onInput,
  shortcut = false,
}: {
  label: string;
  value: string;
  onInput: (value: string) => void;
  shortcut?: boolean;
}) {
  return (
    <span class="search-field">
      <Icon name="search" size={15} />
      <input
        class="input"
        type="search"
        aria-label={label}
        placeholder={label}
        value={value}
        spellcheck={false}
        autocomplete="off"
        data-find={shortcut || undefined}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </span>
  );
}
