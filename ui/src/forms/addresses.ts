/** One address of an upstream, as a row of the form. What a row leaves out is '' or false. */
export interface AddressRow {
  readonly addr: string;
  readonly weight: string;
  readonly priority: string;
  readonly backup: boolean;
  readonly load: string;
}

/** An empty row. */
export const NO_ADDRESS: AddressRow = { addr: '', weight: '', priority: '', backup: false, load: '' };

const KEYS = new Set(['addr', 'weight', 'priority', 'backup', 'load']);

/** Null for what rows cannot show: it is edited as text. */
export function addressRows(value: unknown): readonly AddressRow[] | null {
  if (value === undefined) return [];
  const items: readonly unknown[] | null = Array.isArray(value)
    ? value
    : typeof value === 'string'
      ? value.split(',').map((one) => one.trim())
      : null;
  if (items === null) return null;
  const rows = items.map(rowOf);
  return rows.every((row) => row !== null) ? rows : null;
}

function rowOf(item: unknown): AddressRow | null {
  if (typeof item === 'string') {
    const [, addr, weight] = /^(\S*)(?:\s+(\S+))?$/.exec(item.trim()) ?? [];
    return addr === undefined ? null : { ...NO_ADDRESS, addr, weight: weight ?? '' };
  }
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return null;
  const { addr, weight, priority, backup, load } = item as Record<string, unknown>;
  if (Object.keys(item).some((key) => !KEYS.has(key)) || typeof addr !== 'string' || (backup !== undefined && typeof backup !== 'boolean'))
    return null;
  const [inText, ...rest] = addr.trim().split(/\s+/).slice(1);
  if (rest.length > 0 || [weight, priority, load].some((one) => one !== undefined && !isScalar(one))) return null;
  return {
    addr: addr.trim().split(/\s+/)[0]!,
    weight: weight === undefined ? (inText ?? '') : String(weight as string),
    priority: priority === undefined ? '' : String(priority as string),
    backup: backup === true,
    load: load === undefined ? '' : String(load as string),
  };
}

function isScalar(value: unknown): boolean {
  return typeof value === 'number' || typeof value === 'string';
}

/** As they stand in a file: text where an address and a weight say all, else tables. Empty rows go; undefined when none is left. */
export function addressesOf(rows: readonly AddressRow[]): readonly unknown[] | undefined {
  const items = rows.filter(({ addr }) => addr.trim() !== '').map(itemOf);
  return items.length === 0 ? undefined : items;
}

function itemOf({ addr, weight, priority, backup, load }: AddressRow): unknown {
  const place = addr.trim();
  if (priority.trim() === '' && !backup && load.trim() === '') return weight.trim() === '' ? place : `${place} ${weight.trim()}`;
  return {
    addr: place,
    ...(weight.trim() === '' ? {} : { weight: numberOr(weight) }),
    ...(priority.trim() === '' ? {} : { priority: numberOr(priority) }),
    ...(backup ? { backup: true } : {}),
    ...(load.trim() === '' ? {} : { load: numberOr(load) }),
  };
}

function numberOr(text: string): number | string {
  const trimmed = text.trim();
  return /^\d{1,9}(?:\.\d{1,15})?$/.test(trimmed) ? Number(trimmed) : trimmed;
}
