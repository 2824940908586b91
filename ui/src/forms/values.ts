import { deepEqual } from './deep-equal.ts';

/** The keys of one item, as they stand in the file: also those that no form knows. */
export type Values = Readonly<Record<string, unknown>>;

/** What was changed about an item, by key. */
export interface Change {
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** In the order of the file, what is new last. Absent values are undefined. */
export function changesOf(before: Values, after: Values): readonly Change[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].map((key) => ({ key, before: before[key], after: after[key] })).filter((change) => !deepEqual(change.before, change.after));
}

/** With one key set, in its place; undefined takes it away. */
export function withKey(values: Values, key: string, value: unknown): Values {
  if (value !== undefined) return { ...values, [key]: value };
  const { [key]: _gone, ...rest } = values;
  return rest;
}

/** The key as the file spells it: `trustedProxies` and `trusted-proxies` are `trusted_proxies`, too. */
export function spellingOf(values: Values, key: string): string {
  if (Object.hasOwn(values, key)) return key;
  return Object.keys(values).find((one) => plain(one) === key) ?? key;
}

/** Keys that none of the fields shows, in the order of the file. */
export function otherKeys(values: Values, fields: Iterable<string>): readonly string[] {
  const known = new Set(fields);
  return Object.keys(values).filter((key) => !known.has(plain(key)));
}

function plain(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replaceAll('-', '_');
}

/** Ready to be saved: empty lines that somebody has begun go out of lists. What was not changed stays as it is. */
export function cleanValues(values: Values, before: Values): Values {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]): [string, unknown][] => {
      if (!Array.isArray(value) || deepEqual(value, before[key])) return [[key, value]];
      const items = value.filter((item) => typeof item !== 'string' || item.trim() !== '');
      return items.length === 0 && value.length > 0 ? [] : [[key, items]];
    }),
  );
}
