import { parseBytes } from '../../../src/schema/bytes.ts';
import { parseDuration } from '../../../src/schema/duration.ts';

/** A time or a size as people enter it: a number, and a unit chosen from a list. */
export interface Amount {
  readonly number: string;
  readonly unit: string;
}

/** Units of times, shortest first. */
export const TIME_UNITS: readonly string[] = ['ms', 's', 'm', 'h', 'd'];

/** Units of sizes; those of 1024 first, since most people mean them. */
export const SIZE_UNITS: readonly string[] = ['B', 'KiB', 'MiB', 'GiB', 'kB', 'MB', 'GB'];

/** Null for what no number and unit can say, such as `1h30m` or `off`: that is edited as text. */
export function amountOf(value: unknown, input: 'duration' | 'bytes'): Amount | null {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text !== 'string') return null;
  const [, number, written] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  if (number === undefined) return null;
  if (input === 'duration') {
    if (written === '') return Number(number) === 0 ? { number: '0', unit: 's' } : null;
    return TIME_UNITS.includes(written!) ? { number, unit: written! } : null;
  }
  if (written === '') return { number, unit: 'B' };
  const unit = SIZE_UNITS.find((one) => one.toLowerCase() === written!.toLowerCase());
  return unit === undefined ? null : { number, unit };
}

/** As it stands in a file. */
export function amountText({ number, unit }: Amount, input: 'duration' | 'bytes'): string {
  const trimmed = number.trim();
  if (trimmed === '') return '';
  if (input === 'duration' && Number(trimmed) === 0) return '0';
  return `${trimmed}${unit}`;
}

/** May it stand in a file? Variables may always. */
export function isAmount(text: string, input: 'duration' | 'bytes'): boolean {
  if (text.includes('${')) return true;
  try {
    if (input === 'duration') parseDuration(text);
    else parseBytes(text);
    return true;
  } catch {
    return false;
  }
}
