import { useId, useState } from 'preact/hooks';
import { Button, IconButton } from '../design/button.tsx';
import { doubleName, listOf, mapOf, pairsOf, type Row, rowsOf, splitAtCommas } from './rows.ts';
import { placeholderOf, type InputProps } from './scalar-inputs.tsx';
import { Sortable } from './sortable.tsx';
import { formWords } from './words.ts';

/** Texts, one per line. Choices are offered where there are some. */
export function ListInput({ field, value, before, disabled, id, describedBy, invalid, change }: InputProps) {
  const t = formWords();
  const choices = useId();
  const rows: readonly Row[] = rowsOf(value) ?? [];
  const [single] = rows;
  const set = (next: readonly Row[]): void => change(next.length === 0 ? undefined : keepEmpty(next, value ?? before));
  return (
    <div class="stack-tight">
      {field.choices.length > 0 && (
        <datalist id={choices}>
          {field.choices.map((choice) => (
            <option key={choice} value={choice} />
          ))}
        </datalist>
      )}
      {rows.map((row, i) => (
        <div class="row" key={i}>
          <input
            id={i === 0 ? id : undefined}
            class="input grow mono"
            type="text"
            spellcheck={false}
            autocomplete="off"
            list={field.choices.length > 0 ? choices : undefined}
            aria-label={i === 0 ? undefined : `${field.key} ${i + 1}`}
            aria-describedby={i === 0 ? describedBy : undefined}
            aria-invalid={invalid || undefined}
            placeholder={i === 0 ? placeholderOf(field) : ''}
            disabled={disabled}
            value={row.text}
            onInput={(event) => set(rows.with(i, { text: event.currentTarget.value }))}
            onKeyDown={(event) => {
              if (event.key !== 'Enter') return;
              event.preventDefault();
              set(rows.toSpliced(i + 1, 0, { text: '' }));
              const { currentTarget } = event;
              requestAnimationFrame(() => currentTarget.closest('.row')?.nextElementSibling?.querySelector('input')?.focus());
            }}
          />
          <IconButton icon="trash" label={t.remove(row.text)} disabled={disabled} onClick={() => set(rows.toSpliced(i, 1))} />
        </div>
      ))}
      <div class="row row-wrap">
        <Button
          id={rows.length === 0 ? id : undefined}
          small
          icon="plus"
          disabled={disabled}
          onClick={() => set([...rows, { text: '' }])}
          aria-label={t.addTo(field.key)}
        >
          {t.add}
        </Button>
        {rows.length === 0 && field.example !== '' && <span class="faint small wrap-anywhere">{t.suchAs(field.example)}</span>}
        {rows.length === 1 && single!.text.includes(',') && !disabled && (
          <>
            <span class="faint small">{t.splitHint}</span>
            <Button small kind="quiet" onClick={() => change(splitAtCommas(single!.text))}>
              {t.split}
            </Button>
          </>
        )}
      </div>
    </div>
  );
}

/** While a list is edited it may have empty lines; they are taken out when it is saved. */
function keepEmpty(rows: readonly Row[], before: unknown): unknown {
  const items = rows.map(({ text, kept }) => kept ?? text);
  return items.length === 1 && before !== undefined && !Array.isArray(before) ? items[0] : items;
}

/** Names and what they stand for. */
export function MapInput({ field, value, disabled, id, describedBy, change }: InputProps) {
  const t = formWords();
  const [state, setState] = useState(() => pairsOf(value) ?? { style: 'table' as const, pairs: [] });
  const { pairs, style } = state;
  const double = doubleName(pairs);
  const set = (next: typeof pairs): void => {
    setState({ style, pairs: next });
    change(mapOf(next, style));
  };
  return (
    <div class="stack-tight" id={pairs.length === 0 ? undefined : id} aria-describedby={describedBy}>
      {pairs.map(({ name, text }, i) => (
        <div class="row pair" key={i}>
          <input
            class="input mono"
            type="text"
            spellcheck={false}
            aria-label={`${field.key} ${i + 1}: ${t.name}`}
            placeholder={t.name}
            disabled={disabled}
            value={name}
            onInput={(event) => set(pairs.with(i, { ...pairs[i]!, name: event.currentTarget.value }))}
          />
          <textarea
            class="input textarea mono"
            rows={Math.min(text.split('\n').length, 8)}
            spellcheck={false}
            aria-label={`${field.key} ${i + 1}: ${t.value}`}
            placeholder={t.value}
            disabled={disabled}
            value={text}
            onInput={(event) => set(pairs.with(i, { name, text: event.currentTarget.value }))}
          />
          <IconButton icon="trash" label={t.remove(name)} disabled={disabled} onClick={() => set(pairs.toSpliced(i, 1))} />
        </div>
      ))}
      {double !== null && <span class="field-error">{t.double(double)}</span>}
      <div class="row row-wrap">
        <Button
          id={pairs.length === 0 ? id : undefined}
          small
          icon="plus"
          disabled={disabled}
          onClick={() => set([...pairs, { name: '', text: '' }])}
          aria-label={t.addTo(field.key)}
        >
          {t.add}
        </Button>
        {pairs.length === 0 && field.example !== '' && <span class="faint small wrap-anywhere">{t.suchAs(field.example)}</span>}
      </div>
    </div>
  );
}

/** What a reference may name. */
export interface Named {
  readonly name: string;
  /** A word about it, such as the category of a plugin. */
  readonly says: string;
}

/** The name of an item of another section: those there are are offered, and others can be written, such as captures. */
export function ReferenceInput(props: InputProps & { named: readonly Named[]; link: (name: string) => string }) {
  return props.field.many ? <ReferencesInput {...props} /> : <OneReference {...props} />;
}

function OneReference({
  field,
  value,
  before,
  disabled,
  id,
  describedBy,
  invalid,
  change,
  named,
  link,
}: InputProps & { named: readonly Named[]; link: (name: string) => string }) {
  const t = formWords();
  const list = useId();
  const name = typeof value === 'string' ? value : '';
  const found = named.find((one) => one.name === name);
  return (
    <div class="stack-tight">
      <div class="row">
        <input
          id={id}
          class="input grow"
          type="text"
          list={list}
          spellcheck={false}
          autocomplete="off"
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          placeholder={named.length > 0 ? t.pick : placeholderOf(field) || t.pick}
          disabled={disabled}
          value={name}
          onInput={(event) => {
            const { value: text } = event.currentTarget;
            change(text === '' && before === undefined ? undefined : text === '' ? undefined : text);
          }}
        />
        {found !== undefined && (
          <a class="icon-button" href={link(name)} aria-label={t.goTo(name)} title={t.goTo(name)}>
            →
          </a>
        )}
      </div>
      <Names id={list} named={named} />
      {name !== '' && found === undefined && !isFree(name) && <span class="field-warning">{t.noSuch(field.refersTo, name)}</span>}
    </div>
  );
}

function ReferencesInput({
  field,
  value,
  before,
  disabled,
  id,
  describedBy,
  change,
  named,
  link,
}: InputProps & { named: readonly Named[]; link: (name: string) => string }) {
  const t = formWords();
  const list = useId();
  const [typed, setTyped] = useState('');
  const names = typeof value === 'string' ? splitAtCommas(value) : (rowsOf(value) ?? []).map(({ text }) => text);
  const set = (next: readonly string[]): void =>
    change(
      listOf(
        next.map((text) => ({ text })),
        Array.isArray(before) || before === undefined ? [] : next.length === 1 ? before : [],
      ),
    );
  const add = (name: string): void => {
    if (name.trim() === '' || names.includes(name.trim())) return;
    set([...names, name.trim()]);
    setTyped('');
  };
  const [all, setAll] = useState(false);
  const chosen = new Set(names);
  const left = named.filter(({ name }) => !chosen.has(name));
  const known = new Map(named.map((one) => [one.name, one]));
  const shown = all ? names : names.slice(0, SHOWN_MAX);
  const hidden = names.slice(shown.length);
  return (
    <div class="stack-tight">
      <Sortable
        items={shown}
        nameOf={(name) => name}
        disabled={disabled}
        change={(next) => set([...next, ...hidden])}
        remove={(i) => set(names.toSpliced(i, 1))}
      >
        {(name) => {
          const found = known.get(name);
          return (
            <span class="row reference">
              {found === undefined ? <span class="mono">{name}</span> : <a href={link(name)}>{name}</a>}
              {found !== undefined && found.says !== '' && <span class="badge badge-idle">{found.says}</span>}
              {found === undefined && !isFree(name) && <span class="field-warning small">{t.noSuch(field.refersTo, name)}</span>}
            </span>
          );
        }}
      </Sortable>
      {hidden.length > 0 && (
        <div>
          <Button small kind="quiet" icon="down" onClick={() => setAll(true)}>
            {t.showMore(hidden.length)}
          </Button>
        </div>
      )}
      <div class="row">
        <input
          id={id}
          class="input grow"
          type="text"
          list={list}
          spellcheck={false}
          autocomplete="off"
          aria-describedby={describedBy}
          placeholder={t.pick}
          disabled={disabled}
          value={typed}
          onInput={(event) => {
            const { value: text } = event.currentTarget;
            // Chosen from the list, which types all of it at once.
            if (left.some(({ name }) => name === text) && !(event as InputEvent).data) add(text);
            else setTyped(text);
          }}
          onKeyDown={(event) => {
            if (event.key !== 'Enter') return;
            event.preventDefault();
            add(typed);
          }}
        />
        <Button icon="plus" disabled={disabled || typed.trim() === ''} onClick={() => add(typed)} aria-label={t.addTo(field.key)}>
          {t.add}
        </Button>
      </div>
      <Names id={list} named={left} />
    </div>
  );
}

/** A longer list shows its beginning until somebody asks for all of it. */
const SHOWN_MAX = 60;

function Names({ id, named }: { id: string; named: readonly Named[] }) {
  return (
    <datalist id={id}>
      {named.map(({ name, says }) => (
        <option key={name} value={name} label={says === '' ? name : `${name} · ${says}`} />
      ))}
    </datalist>
  );
}

/** Captures, variables and what is built in are no names of items. */
function isFree(name: string): boolean {
  return name.startsWith('$') || name.includes('${') || name.includes(':');
}
