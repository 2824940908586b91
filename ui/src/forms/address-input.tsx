import { useState } from 'preact/hooks';
import { Button, IconButton } from '../design/button.tsx';
import { type AddressRow, addressesOf, addressRows, NO_ADDRESS } from './addresses.ts';
import type { InputProps } from './scalar-inputs.tsx';
import { formWords } from './words.ts';

/** Addresses of an upstream: one per line, with what share it gets and when it is asked. */
export function AddressInput({ field, value, disabled, id, describedBy, invalid, change }: InputProps) {
  const t = formWords();
  const [rows, setRows] = useState<readonly AddressRow[]>(() => addressRows(value) ?? []);
  const [wide, setWide] = useState(() => rows.some(({ priority, backup, load }) => priority !== '' || backup || load !== ''));
  const set = (next: readonly AddressRow[]): void => {
    setRows(next);
    change(addressesOf(next));
  };
  const part = (i: number, key: 'addr' | 'weight' | 'priority' | 'load', label: string, hint: string, placeholder: string) => (
    <input
      id={i === 0 && key === 'addr' ? id : undefined}
      class={`input ${key === 'addr' ? 'mono address-place' : 'input-number'}`}
      type="text"
      inputMode={key === 'addr' ? undefined : 'decimal'}
      spellcheck={false}
      autocomplete="off"
      aria-label={i === 0 && key === 'addr' ? undefined : `${label} ${i + 1}`}
      aria-describedby={i === 0 && key === 'addr' ? describedBy : undefined}
      aria-invalid={(key === 'addr' && invalid) || undefined}
      title={hint}
      placeholder={placeholder}
      disabled={disabled}
      value={rows[i]![key]}
      onInput={(event) => set(rows.with(i, { ...rows[i]!, [key]: event.currentTarget.value }))}
    />
  );
  return (
    <div class="stack-tight">
      {rows.length > 0 && (
        <div class={`addresses ${wide ? 'addresses-wide' : ''}`}>
          <div class="addresses-head" aria-hidden="true">
            <span>{t.address}</span>
            <span>{t.weight}</span>
            {wide && (
              <>
                <span>{t.priority}</span>
                <span>{t.load}</span>
                <span>{t.backup}</span>
              </>
            )}
            <span />
          </div>
          {rows.map((row, i) => (
            <div class="addresses-row" key={i}>
              {part(i, 'addr', t.address, '', '127.0.0.1:8080')}
              {part(i, 'weight', t.weight, t.weightHelp, '1')}
              {wide && (
                <>
                  {part(i, 'priority', t.priority, t.priorityHelp, '0')}
                  {part(i, 'load', t.load, t.loadHelp, '0')}
                  <label class="check" title={t.backupHelp}>
                    <input
                      type="checkbox"
                      aria-label={`${t.backup} ${i + 1}`}
                      checked={row.backup}
                      disabled={disabled}
                      onChange={(event) => set(rows.with(i, { ...row, backup: event.currentTarget.checked }))}
                    />
                  </label>
                </>
              )}
              <IconButton icon="trash" label={t.remove(row.addr)} disabled={disabled} onClick={() => set(rows.toSpliced(i, 1))} />
            </div>
          ))}
        </div>
      )}
      <div class="row row-wrap">
        <Button
          id={rows.length === 0 ? id : undefined}
          small
          icon="plus"
          disabled={disabled}
          aria-label={`${t.addAddress}: ${field.key}`}
          onClick={() => set([...rows, NO_ADDRESS])}
        >
          {t.addAddress}
        </Button>
        {rows.length > 0 && !wide && (
          <Button small kind="quiet" onClick={() => setWide(true)}>
            {t.moreColumns}
          </Button>
        )}
      </div>
    </div>
  );
}
