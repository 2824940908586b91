import type { ComponentChildren } from 'preact';
import { useId, useMemo, useState } from 'preact/hooks';
import type { ConfigProblem, FormField, FormSection } from '../../../src/admin/model.ts';
import { Button, IconButton } from '../design/button.tsx';
import { SearchField } from '../design/field.tsx';
import { Icon } from '../design/icon.tsx';
import { deepEqual } from './deep-equal.ts';
import { FieldInput, type Surroundings } from './field-input.tsx';
import { editorOf, type FieldProblem, isHidden, problemOf, rawValue } from './field-value.ts';
import { messageAtField } from './problem-text.ts';
import { otherKeys, spellingOf, type Values, withKey } from './values.ts';
import './forms.css';
import { language } from '../i18n/language.ts';
import { formWords } from './words.ts';

type Kind = FormSection['kinds'][number];

export interface ItemFormProps {
  /** Null: no form is made for items of this kind; their keys are shown as JSON. */
  readonly kind: Kind | null;
  readonly values: Values;
  /** As the file has them. */
  readonly before: Values;
  /** Of the gateway, about this item. */
  readonly problems: readonly ConfigProblem[];
  readonly disabled: boolean;
  readonly around: Surroundings;
  /** Shown above the groups. */
  readonly head?: ComponentChildren;
  change(values: Values): void;
}

/** Every key of an item: those of the schema in their groups, and whatever else stands in the file. */
export function ItemForm({ kind, values, before, problems, disabled, around, head, change }: ItemFormProps) {
  const t = formWords();
  const [find, setFind] = useState('');
  const [onlySet, setOnlySet] = useState(false);
  const groups = kind?.groups ?? [];
  const known = useMemo(() => groups.flatMap(({ fields }) => fields.map(({ key }) => key)), [groups]);
  const others = [...new Set([...otherKeys(before, known), ...otherKeys(values, known)])];
  const words = find
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const isShown = ({ key, help }: FormField): boolean =>
    words.every((word) => key.includes(word) || key.replaceAll('_', ' ').includes(word) || help.toLowerCase().includes(word)) &&
    (!onlySet || values[spellingOf(values, key)] !== undefined || before[spellingOf(before, key)] !== undefined);
  const shown = groups.map((group) => ({ ...group, fields: group.fields.filter(isShown) })).filter(({ fields }) => fields.length > 0);
  const isFiltered = words.length > 0 || onlySet;
  return (
    <div class="item-form">
      <div class="form-tools">
        <SearchField label={t.find} value={find} onInput={setFind} />
        <label class="check">
          <input type="checkbox" checked={onlySet} onChange={(event) => setOnlySet(event.currentTarget.checked)} />
          {t.onlySet}
        </label>
      </div>
      {head}
      {shown.map(({ title, fields }, i) => (
        <Group
          key={`${kind?.kind}-${title}`}
          title={title}
          fields={fields}
          all={groups.find((one) => one.title === title)!.fields}
          open={i === 0 || isFiltered || fields.some(({ key, required }) => required || EVERYDAY.has(key))}
          forced={isFiltered}
          values={values}
          before={before}
          problems={problems}
          disabled={disabled}
          around={around}
          change={change}
        />
      ))}
      {shown.length === 0 && groups.length > 0 && <p class="soft">{t.noneFound}</p>}
      {(others.length > 0 || kind === null) && !isFiltered && (
        <Others keys={others} values={values} before={before} problems={problems} disabled={disabled} around={around} change={change} />
      )}
    </div>
  );
}

function Group(
  props: Omit<ItemFormProps, 'kind' | 'head'> & {
    title: string;
    fields: readonly FormField[];
    all: readonly FormField[];
    open: boolean;
    forced: boolean;
  },
) {
  const t = formWords();
  const { title, fields, all, values, before, problems } = props;
  const set = all.filter(({ key }) => values[spellingOf(values, key)] !== undefined).length;
  const touched = fields.some(({ key }) => !deepEqual(values[spellingOf(values, key)], before[spellingOf(before, key)]));
  const isWrong = fields.some((field) => fieldProblem(field, values, before) !== null || aboutKey(problems, field.key).length > 0);
  const [opened, setOpened] = useState<boolean | null>(null);
  const open = props.forced || (opened ?? (props.open || set > 0 || isWrong));
  const id = useId();
  return (
    <section class="form-group">
      <h3>
        <button type="button" class="form-group-head" aria-expanded={open} aria-controls={id} onClick={() => setOpened(!open)}>
          <Icon name={open ? 'down' : 'right'} size={15} />
          <span class="grow">{title}</span>
          {isWrong && <Icon name="error" size={15} />}
          {touched && <span class="badge badge-info">{t.changed}</span>}
          <span class="faint small">{t.setCount(set, all.length)}</span>
        </button>
      </h3>
      <div id={id} hidden={!open}>
        {open && fields.map((field) => <FieldRow key={field.key} field={field} {...props} />)}
      </div>
    </section>
  );
}

function FieldRow({ field, values, before, problems, disabled, around, change }: Omit<ItemFormProps, 'kind' | 'head'> & { field: FormField }) {
  const t = formWords();
  const id = useId();
  const [resets, setResets] = useState(0);
  const key = Object.hasOwn(values, spellingOf(values, field.key)) ? spellingOf(values, field.key) : spellingOf(before, field.key);
  const value = values[key];
  const old = before[key];
  const isChanged = !deepEqual(value, old);
  const wrong = fieldProblem(field, values, before);
  const told = aboutKey(problems, field.key);
  return (
    <div class={`setting ${isChanged ? 'setting-changed' : ''} ${WIDE.has(field.input) ? 'setting-wide' : ''}`} data-key={field.key}>
      <div class="setting-about">
        <label class="setting-label" for={id}>
          {language.value === 'en' ? labelOf(field.key) : field.key}
          {field.required && (
            <span class="field-required" aria-hidden="true">
              *
            </span>
          )}
        </label>
        {(language.value === 'en' || key !== field.key) && <code class="setting-key">{key}</code>}
        {field.help !== '' && (
          <p class="setting-help" id={`${id}-help`}>
            {sentence(field.help)}
          </p>
        )}
        {field.fallback !== '' && <p class="setting-default">{t.isDefault(field.fallback)}</p>}
      </div>
      <div class="setting-input">
        <div class="row setting-line">
          <div class="grow">
            <FieldInput
              key={resets}
              field={field}
              value={value}
              before={old}
              disabled={disabled}
              id={id}
              describedBy={
                [field.help === '' ? '' : `${id}-help`, wrong === null && told.length === 0 ? '' : `${id}-wrong`]
                  .filter((one) => one !== '')
                  .join(' ') || undefined
              }
              invalid={wrong !== null || told.some(({ level }) => level === 'error')}
              change={(next) => change(withKey(values, key, next))}
              around={around}
            />
          </div>
          {value !== undefined && !disabled && (
            <IconButton
              class="setting-reset"
              icon="replay"
              label={t.useDefault(field.key)}
              onClick={() => {
                change(withKey(values, key, undefined));
                setResets(resets + 1);
              }}
            />
          )}
        </div>
        <div id={`${id}-wrong`}>
          {wrong !== null && (
            <p class="field-error">
              <Icon name="error" size={14} /> {t.problems[wrong]}
              {(wrong === 'tooSmall' || wrong === 'tooLarge') && ` ${t.range(String(field.min ?? '−∞'), String(field.max ?? '∞'))}`}
            </p>
          )}
          {told.map((problem) => (
            <p key={problem.message} class={problem.level === 'error' ? 'field-error' : 'field-warning'}>
              <Icon name={problem.level === 'error' ? 'error' : 'warning'} size={14} /> {messageAtField(problem)}
            </p>
          ))}
        </div>
      </div>
    </div>
  );
}

/** Their groups are open from the beginning: nearly everybody sets them. */
const EVERYDAY: ReadonlySet<string> = new Set(['addr', 'addrs', 'agents', 'category', 'domains', 'host', 'locations', 'path', 'plugins', 'upstream']);

/** Inputs that need the whole width. */
const WIDE: ReadonlySet<FormField['input']> = new Set(['addresses', 'tables', 'long_text', 'map']);

function Others({ keys, values, before, problems, disabled, around, change }: Omit<ItemFormProps, 'kind' | 'head'> & { keys: readonly string[] }) {
  const t = formWords();
  const [name, setName] = useState('');
  const add = (): void => {
    const key = name.trim();
    if (key === '' || Object.hasOwn(values, key)) return;
    change(withKey(values, key, ''));
    setName('');
  };
  return (
    <section class="form-group">
      <h3 class="form-group-head form-group-still">
        <span class="grow">{t.otherTitle}</span>
        <span class="faint small">{keys.length}</span>
      </h3>
      <p class="soft form-note">{t.otherHelp}</p>
      {keys.map((key) => (
        <FieldRow key={key} field={otherField(key, before[key] ?? values[key])} {...{ values, before, problems, disabled, around, change }} />
      ))}
      {!disabled && (
        <form
          class="row form-note"
          onSubmit={(event) => {
            event.preventDefault();
            add();
          }}
        >
          <input
            class="input mono"
            aria-label={t.keyName}
            placeholder={t.keyName}
            value={name}
            spellcheck={false}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <Button type="submit" small icon="plus" disabled={name.trim() === ''}>
            {t.addKey}
          </Button>
        </form>
      )}
    </section>
  );
}

/** A field for a key that the schema does not have. */
function otherField(key: string, value: unknown): FormField {
  const input =
    typeof value === 'boolean'
      ? 'switch'
      : typeof value === 'number'
        ? 'number'
        : typeof value === 'string' && value.includes('\n')
          ? 'long_text'
          : 'text';
  return { key, help: '', input, choices: [], refersTo: '', many: false, required: false, fallback: '', example: '' };
}

/** What keeps an item from being saved, as far as the page can tell. Of one that stands in a file already, only what was changed counts: the gateway judges the rest. */
export function formProblems(
  kind: Kind | null,
  values: Values,
  before: Values,
  isNew: boolean,
): readonly { readonly key: string; readonly problem: FieldProblem }[] {
  return (kind?.groups ?? [])
    .flatMap(({ fields }) => fields)
    .flatMap((field) => {
      const isSame = deepEqual(values[spellingOf(values, field.key)], before[spellingOf(before, field.key)]);
      const problem = isSame && !isNew ? null : fieldProblem(field, values, before);
      return problem === null ? [] : [{ key: field.key, problem }];
    });
}

function fieldProblem(field: FormField, values: Values, before: Values): FieldProblem | null {
  const value = values[spellingOf(values, field.key)];
  const old = before[spellingOf(before, field.key)];
  if ((field.input === 'secret' || isHidden(old)) && isEmpty(value) && old !== undefined) return 'required';
  if (typeof value === 'string' && old !== undefined && editorOf(field, old) === 'raw' && rawValue(value) === null) return 'notJson';
  return problemOf(field, value);
}

/** A secret that is being replaced and is not typed yet. */
function isEmpty(value: unknown): boolean {
  return value === '' || (Array.isArray(value) && value.length === 1 && value[0] === '');
}

function aboutKey(problems: readonly ConfigProblem[], key: string): readonly ConfigProblem[] {
  return problems.filter(({ subject }) => subject.split('.').at(-1)?.replaceAll('-', '_') === key);
}

/** `max_body` as people say it. */
function labelOf(key: string): string {
  const words = key
    .replaceAll('_', ' ')
    .replace(/\b(?:acl|acme|ca|crl|dns|eab|http|https|hmac|id|ip|ipv4|jwt|sni|tcp|tls|url|json|grpc|h2|ttl|ua)\b/g, (word) => word.toUpperCase());
  return words[0]!.toUpperCase() + words.slice(1);
}

function sentence(text: string): string {
  if (language.value === 'zh') return /[。！？]$/.test(text) ? text : `${text}。`;
  return `${text[0]!.toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}
