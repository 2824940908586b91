import type { FormField } from '../../../src/admin/model.ts';
import { addressRows } from './addresses.ts';
import { amountOf, isAmount } from './amount.ts';
import { pairsOf, rowsOf } from './rows.ts';

/** Does it stand for a secret that is set and not shown? Of several each has a number. Sent back, it leaves the secret as it is. */
export function isHidden(value: unknown): boolean {
  return typeof value === 'string' && /^\*{8}(?: \(\d+\))?$/.test(value);
}

/** What is wrong with a text, as a key of the words of the forms. */
export type FieldProblem = 'required' | 'notNumber' | 'notWhole' | 'tooSmall' | 'tooLarge' | 'notDuration' | 'notSize' | 'notJson';

/** How a value is edited: by what the field was made for, or `raw` (as JSON) where that could not show it without losing something. */
export function editorOf(field: FormField, value: unknown): FormField['input'] | 'raw' {
  if (value === undefined) return field.input;
  if (isHidden(value)) return 'secret';
  switch (field.input) {
    case 'text':
    case 'long_text':
    case 'number':
      return isScalar(value) ? field.input : 'raw';
    case 'choice':
      return isScalar(value) ? (field.many ? 'list' : 'choice') : Array.isArray(value) && rowsOf(value) !== null ? 'list' : 'raw';
    case 'duration':
    case 'bytes':
      return amountOf(value, field.input) === null ? (isScalar(value) ? 'text' : 'raw') : field.input;
    case 'switch':
      return typeof value === 'boolean' || value === 'true' || value === 'false' ? 'switch' : isScalar(value) ? 'text' : 'raw';
    case 'secret':
      return typeof value === 'string' ? 'secret' : Array.isArray(value) && value.every((one) => typeof one === 'string') ? 'secret' : 'raw';
    case 'list':
      return rowsOf(value) === null ? 'raw' : 'list';
    case 'reference':
      return rowsOf(value) === null || (!field.many && Array.isArray(value)) ? 'raw' : 'reference';
    case 'map':
      return pairsOf(value) === null ? 'raw' : 'map';
    case 'addresses':
      return addressRows(value) === null ? 'raw' : 'addresses';
    case 'tables':
      return Array.isArray(value) && value.every(isTable) ? 'tables' : 'raw';
  }
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function isTable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value in an input of one text. */
export function textOf(value: unknown): string {
  return isScalar(value) ? String(value) : '';
}

/** What a text stands for: nothing is no value, what was a number stays one where it can, and what was not changed is what it was. */
export function valueOfText(text: string, input: FormField['input'] | 'raw', before: unknown): unknown {
  if (before !== undefined && text === textOf(before)) return before;
  if (text === '') return undefined;
  if ((input === 'number' || typeof before === 'number') && /^-?\d{1,15}(?:\.\d{1,15})?$/.test(text.trim())) return Number(text.trim());
  return text;
}

/** What is wrong with a value, as far as a page can tell; the gateway checks the rest. */
export function problemOf(field: FormField, value: unknown): FieldProblem | null {
  if (value === undefined || value === '') return field.required ? 'required' : null;
  if (typeof value === 'string' && value.includes('${')) return null;
  switch (editorOf(field, value)) {
    case 'number':
      return numberProblem(field, value);
    case 'duration':
      return isAmount(String(value as string), 'duration') ? null : 'notDuration';
    case 'bytes':
      return isAmount(String(value as string), 'bytes') ? null : 'notSize';
    default:
      return null;
  }
}

function numberProblem({ min, max }: FormField, value: unknown): FieldProblem | null {
  const number = typeof value === 'number' ? value : Number(String(value as string).trim());
  if (Number.isNaN(number)) return 'notNumber';
  if (min !== undefined && number < min) return 'tooSmall';
  if (max !== undefined && number > max) return 'tooLarge';
  return null;
}

/** JSON for the raw editor: on one line when it is short. */
export function rawText(value: unknown): string {
  if (value === undefined) return '';
  const short = JSON.stringify(value);
  return short.length <= 60 ? short : JSON.stringify(value, null, 2);
}

/** Reads what rawText() has written, and plain words, which are text. Null: it is neither. */
export function rawValue(text: string): { readonly value: unknown } | null {
  const trimmed = text.trim();
  if (trimmed === '') return { value: undefined };
  try {
    const value: unknown = JSON.parse(trimmed);
    return value === null ? null : { value };
  } catch {
    return /^["[{]/.test(trimmed) ? null : { value: text };
  }
}
