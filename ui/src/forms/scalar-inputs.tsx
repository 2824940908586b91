import { useState } from 'preact/hooks';
import type { FormField } from '../../../src/admin/model.ts';
import { Button, IconButton } from '../design/button.tsx';
import { Icon } from '../design/icon.tsx';
import { type Amount, amountOf, amountText, SIZE_UNITS, TIME_UNITS } from './amount.ts';
import { isHidden, rawText, rawValue, textOf, valueOfText } from './field-value.ts';
import { formWords } from './words.ts';

/** What every input of a field is given. `id` and the others tie it to its label, help and error. */
export interface InputProps {
  readonly field: FormField;
  readonly value: unknown;
  /** As the file has it; undefined when it is not there. */
  readonly before: unknown;
  readonly disabled: boolean;
  readonly id: string;
  readonly describedBy: string | undefined;
  readonly invalid: boolean;
  /** Undefined takes the key out. */
  change(value: unknown): void;
}

/** One line of text. */
export function TextInput({ field, value, before, disabled, id, describedBy, invalid, change, placeholder }: InputProps & { placeholder?: string }) {
  return (
    <input
      id={id}
      class={`input ${field.input === 'number' ? 'input-number' : ''}`}
      type="text"
      inputMode={field.input === 'number' ? 'numeric' : undefined}
      spellcheck={false}
      autocomplete="off"
      aria-describedby={describedBy}
      aria-invalid={invalid || undefined}
      placeholder={placeholder ?? placeholderOf(field)}
      disabled={disabled}
      value={textOf(value)}
      onInput={(event) => change(valueOfText(event.currentTarget.value, field.input, before))}
    />
  );
}

/** Any number of lines. */
export function LongTextInput({ field, value, before, disabled, id, describedBy, invalid, change }: InputProps) {
  const text = textOf(value);
  return (
    <textarea
      id={id}
      class="input textarea mono"
      rows={Math.min(Math.max(text.split('\n').length + 1, 3), 14)}
      spellcheck={false}
      aria-describedby={describedBy}
      aria-invalid={invalid || undefined}
      placeholder={placeholderOf(field)}
      disabled={disabled}
      value={text}
      onInput={(event) => change(valueOfText(event.currentTarget.value, field.input, before))}
    />
  );
}

/** On or off, where what is not set looks like what counts then. */
export function SwitchInput({ field, value, before, disabled, id, describedBy, change }: InputProps) {
  const on = value === undefined ? field.fallback === 'true' : value === true || value === 'true';
  const next = !on;
  return (
    <button
      id={id}
      type="button"
      class="switch"
      role="switch"
      aria-checked={on}
      aria-describedby={describedBy}
      disabled={disabled}
      onClick={() => change(before !== undefined && String(before as boolean) === String(next) ? before : next)}
    >
      <span class="switch-track" aria-hidden="true">
        <span class="switch-knob" />
      </span>
      <span class={value === undefined ? 'faint' : ''}>{on ? formWords().on : formWords().off}</span>
    </button>
  );
}

/** One of a list; what the file has and the list has not stays a choice, and so does a text of one's own. */
export function ChoiceInput({ field, value, before, disabled, id, describedBy, invalid, change }: InputProps) {
  const t = formWords();
  const given = textOf(value);
  const isOwn = given !== '' && !field.choices.includes(given);
  const [own, setOwn] = useState(isOwn && given.includes('${'));
  if (own)
    return (
      <div class="row">
        <TextInput
          field={field}
          value={value}
          before={before}
          disabled={disabled}
          id={id}
          describedBy={describedBy}
          invalid={invalid}
          change={change}
        />
        <IconButton icon="close" label={t.useDefault(field.key)} disabled={disabled} onClick={() => (setOwn(false), change(undefined))} />
      </div>
    );
  return (
    <select
      id={id}
      class="input select"
      aria-describedby={describedBy}
      aria-invalid={invalid || undefined}
      disabled={disabled}
      value={given === '' ? '' : `=${given}`}
      onChange={(event) => {
        const { value: chosen } = event.currentTarget;
        if (chosen === '?') setOwn(true);
        else change(chosen === '' ? undefined : valueOfText(chosen.slice(1), 'choice', before));
      }}
    >
      <option value="">{defaultText(field)}</option>
      {isOwn && <option value={`=${given}`}>{given}</option>}
      {field.choices.map((choice) => (
        <option key={choice} value={`=${choice}`}>
          {choice}
        </option>
      ))}
      <option value="?">{t.custom}</option>
    </select>
  );
}

/** A time or a size: a number, and its unit from a list; as text where one unit is not enough. */
export function AmountInput(props: InputProps & { input: 'duration' | 'bytes' }) {
  const { field, value, before, disabled, id, describedBy, invalid, change, input } = props;
  const t = formWords();
  const amount = value === undefined ? emptyAmount(field, input) : amountOf(value, input);
  const [asText, setAsText] = useState(amount === null);
  const [unit, setUnit] = useState(amount?.unit ?? 's');
  if (asText || amount === null)
    return (
      <div class="row">
        <TextInput {...props} placeholder={input === 'duration' ? '1h30m' : '64KiB'} />
        {amount !== null && (
          <Button small kind="quiet" disabled={disabled} onClick={() => setAsText(false)}>
            {t.asAmount}
          </Button>
        )}
      </div>
    );
  const set = (next: Amount): void => {
    setUnit(next.unit);
    const text = amountText(next, input);
    change(before !== undefined && text === textOf(before) ? before : text === '' ? undefined : text);
  };
  const shownUnit = value === undefined || amount.number === '0' ? unit : amount.unit;
  return (
    <div class="row amount">
      <input
        id={id}
        class="input input-number"
        type="text"
        inputMode="decimal"
        autocomplete="off"
        aria-describedby={describedBy}
        aria-invalid={invalid || undefined}
        disabled={disabled}
        placeholder={amountOf(field.fallback, input)?.number ?? ''}
        value={value === undefined ? '' : amount.number}
        onInput={(event) => {
          const { value: typed } = event.currentTarget;
          // Whoever types `1h30m` means it.
          if (/[^\d.]/.test(typed)) {
            setAsText(true);
            change(typed);
          } else set({ number: typed, unit: shownUnit });
        }}
      />
      <select
        class="input select unit"
        aria-label={`${field.key}: ${t.unit}`}
        disabled={disabled}
        value={shownUnit}
        onChange={(event) => {
          if (event.currentTarget.value === '?') setAsText(true);
          else if (value === undefined) setUnit(event.currentTarget.value);
          else set({ number: amount.number, unit: event.currentTarget.value });
        }}
      >
        {(input === 'duration' ? TIME_UNITS : SIZE_UNITS).map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
        <option value="?">{t.asText}</option>
      </select>
    </div>
  );
}

/** The unit of the default is the one that most people want. */
function emptyAmount(field: FormField, input: 'duration' | 'bytes'): Amount {
  const unit = amountOf(field.fallback, input)?.unit;
  return { number: '', unit: unit ?? (input === 'duration' ? 's' : 'MiB') };
}

/** What is set is never shown: it stays, or is replaced. */
export function SecretInput(props: InputProps) {
  const { field, value, before, disabled, id, describedBy, invalid, change } = props;
  const t = formWords();
  const [seen, setSeen] = useState(false);
  const isKept = Array.isArray(value) ? value.length === 1 && isHidden(value[0]) : isHidden(value);
  if (isKept)
    return (
      <div class="row">
        <span class="secret-set grow" id={id} aria-describedby={describedBy} tabIndex={-1}>
          <Icon name="key" size={15} /> {t.secretSet}
        </span>
        <Button small disabled={disabled} aria-label={`${t.secretReplace}: ${field.key}`} onClick={() => change(Array.isArray(value) ? [''] : '')}>
          {t.secretReplace}
        </Button>
      </div>
    );
  if (field.input === 'long_text')
    return (
      <div class="stack-tight">
        <LongTextInput {...props} />
        {before !== undefined && (
          <div>
            <Button small kind="quiet" disabled={disabled} onClick={() => change(before)}>
              {t.secretKeep}
            </Button>
          </div>
        )}
      </div>
    );
  if (Array.isArray(value) && value.length !== 1) {
    const rows = value as readonly string[];
    return (
      <div class="stack-tight">
        {rows.map((row, i) => (
          <SecretLine
            key={i}
            id={i === 0 ? id : undefined}
            value={row}
            seen={seen}
            disabled={disabled}
            label={`${field.key} ${i + 1}`}
            change={(text) => change(rows.with(i, text))}
            remove={() => change(rows.length === 1 ? undefined : rows.toSpliced(i, 1))}
          />
        ))}
        <Button small icon="plus" disabled={disabled} onClick={() => change([...rows, ''])}>
          {t.add}
        </Button>
      </div>
    );
  }
  return (
    <div class="row">
      <input
        id={id}
        class="input mono"
        type={(seen ? 'text' : 'password') as 'text'}
        autocomplete="new-password"
        spellcheck={false}
        aria-describedby={describedBy}
        aria-invalid={invalid || undefined}
        placeholder={before === undefined ? placeholderOf(field) : t.secretNew}
        disabled={disabled}
        value={Array.isArray(value) ? textOf(value[0]) : textOf(value)}
        onInput={(event) => {
          const { value: text } = event.currentTarget;
          change(Array.isArray(value) ? [text] : text === '' && before === undefined ? undefined : text);
        }}
      />
      <IconButton icon="eye" label={t.secretShow} aria-pressed={seen} disabled={disabled} onClick={() => setSeen(!seen)} />
      {before !== undefined && (
        <Button small kind="quiet" disabled={disabled} onClick={() => change(before)}>
          {t.secretKeep}
        </Button>
      )}
    </div>
  );
}

function SecretLine(props: {
  id: string | undefined;
  value: string;
  seen: boolean;
  disabled: boolean;
  label: string;
  change(text: string): void;
  remove(): void;
}) {
  const t = formWords();
  return (
    <div class="row">
      {isHidden(props.value) ? (
        <span class="secret-set grow" id={props.id}>
          <Icon name="key" size={15} /> {t.secretSet}
        </span>
      ) : (
        <input
          id={props.id}
          class="input mono"
          type={(props.seen ? 'text' : 'password') as 'text'}
          autocomplete="new-password"
          aria-label={props.label}
          disabled={props.disabled}
          value={props.value}
          onInput={(event) => props.change(event.currentTarget.value)}
        />
      )}
      {isHidden(props.value) && (
        <Button small disabled={props.disabled} onClick={() => props.change('')}>
          {t.secretReplace}
        </Button>
      )}
      <IconButton icon="trash" label={t.remove(props.label)} disabled={props.disabled} onClick={props.remove} />
    </div>
  );
}

/** A value as JSON, where the field's own input could not show all of it. */
export function RawInput({ value, disabled, id, describedBy, change }: InputProps) {
  const t = formWords();
  const [text, setText] = useState(rawText(value));
  const isBroken = rawValue(text) === null;
  return (
    <div class="stack-tight">
      <textarea
        id={id}
        class="input textarea mono"
        rows={Math.min(Math.max(text.split('\n').length, 2), 14)}
        spellcheck={false}
        aria-describedby={describedBy}
        aria-invalid={isBroken || undefined}
        disabled={disabled}
        value={text}
        onInput={(event) => {
          const typed = event.currentTarget.value;
          setText(typed);
          const read = rawValue(typed);
          // What is no JSON is kept as a text, so that the form knows that something is wrong.
          change(read === null ? typed : read.value);
        }}
      />
      <span class={isBroken ? 'field-error' : 'faint small'}>{isBroken ? t.problems.notJson : t.raw}</span>
    </div>
  );
}

/** What an empty input shows: its default, or an example. */
export function placeholderOf(field: FormField): string {
  return field.example === '' ? field.fallback : field.example;
}

function defaultText(field: FormField): string {
  return field.fallback === '' ? formWords().noDefault : formWords().isDefault(field.fallback);
}
