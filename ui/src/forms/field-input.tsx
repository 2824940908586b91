import { useState } from 'preact/hooks';
import type { FormField } from '../../../src/admin/model.ts';
import { Button, IconButton } from '../design/button.tsx';
import { AddressInput } from './address-input.tsx';
import { editorOf } from './field-value.ts';
import { ListInput, MapInput, type Named, ReferenceInput } from './list-inputs.tsx';
import { AmountInput, ChoiceInput, type InputProps, LongTextInput, RawInput, SecretInput, SwitchInput, TextInput } from './scalar-inputs.tsx';
import { spellingOf, type Values, withKey } from './values.ts';
import { formWords } from './words.ts';

/** What forms know of the rest of the configuration. */
export interface Surroundings {
  /** What a reference to this section may name. */
  named(section: string): readonly Named[];
  /** Where an item is shown. */
  link(section: string, name: string): string;
}

/** The input that fits a field and the value that it has when it is first shown; it stays that one while somebody types. */
export function FieldInput(props: InputProps & { around: Surroundings }) {
  const [editor] = useState(() => editorOf(props.field, props.value));
  const { around, ...own } = props;
  switch (editor) {
    case 'text':
    case 'number':
      return <TextInput {...own} />;
    case 'long_text':
      return <LongTextInput {...own} />;
    case 'switch':
      return <SwitchInput {...own} />;
    case 'choice':
      return own.field.many ? <ListInput {...own} /> : <ChoiceInput {...own} />;
    case 'duration':
    case 'bytes':
      return <AmountInput {...own} input={editor} />;
    case 'secret':
      return <SecretInput {...own} />;
    case 'list':
      return <ListInput {...own} />;
    case 'map':
      return <MapInput {...own} />;
    case 'reference':
      return <ReferenceInput {...own} named={around.named(own.field.refersTo)} link={(name) => around.link(own.field.refersTo, name)} />;
    case 'addresses':
      return <AddressInput {...own} />;
    case 'tables':
      return <TablesInput {...own} around={around} />;
    case 'raw':
      return <RawInput {...own} />;
  }
}

/** Tables that all have the same keys, such as the applications that may come in. Keys without a column are kept. */
function TablesInput({ field, value, before, disabled, id, change, around }: InputProps & { around: Surroundings }) {
  const t = formWords();
  const rows = Array.isArray(value) ? (value as readonly Values[]) : [];
  const old = Array.isArray(before) ? (before as readonly Values[]) : [];
  // A line keeps its inputs when one above it goes.
  const [keys, setKeys] = useState<readonly number[]>(() => rows.map((_, i) => i));
  const columns: readonly FormField[] = field.columns ?? [];
  return (
    <div class="stack-tight">
      {rows.map((row, i) => (
        <fieldset class="entry" key={keys[i]}>
          <legend class="entry-title">{t.entry(i + 1)}</legend>
          <IconButton
            class="entry-remove"
            icon="trash"
            label={t.remove(t.entry(i + 1))}
            disabled={disabled}
            onClick={() => {
              setKeys(keys.toSpliced(i, 1));
              change(rows.length === 1 ? undefined : rows.toSpliced(i, 1));
            }}
          />
          {columns.map((column) => {
            const key = spellingOf(row, column.key);
            return (
              <div class="entry-field" key={column.key}>
                <label for={`${id}-${keys[i]}-${column.key}`}>
                  <code>{column.key}</code>
                  {column.required && <span class="field-required">*</span>}
                </label>
                <FieldInput
                  field={column}
                  value={row[key]}
                  before={old[i]?.[key]}
                  disabled={disabled}
                  id={`${id}-${keys[i]}-${column.key}`}
                  describedBy={undefined}
                  invalid={false}
                  change={(next) => change(rows.with(i, withKey(row, key, next)))}
                  around={around}
                />
                {column.help !== '' && <span class="field-help">{column.help}</span>}
              </div>
            );
          })}
        </fieldset>
      ))}
      <div>
        <Button
          id={rows.length === 0 ? id : undefined}
          small
          icon="plus"
          disabled={disabled}
          aria-label={`${t.addEntry}: ${field.key}`}
          onClick={() => {
            setKeys([...keys, Math.max(-1, ...keys) + 1]);
            change([...rows, {}]);
          }}
        >
          {t.addEntry}
        </Button>
      </div>
    </div>
  );
}
