import { isTable } from '../expand.ts';

/** Longest line that a value is put into, characters. */
const LINE_CHARS = 110;

/** A key as TOML: bare where it may be. */
export function keyText(name: string): string {
  return /^[\w-]+$/.test(name) ? name : basic(name);
}

export function headerText(path: readonly string[]): string {
  return `[${path.map(keyText).join('.')}]`;
}

/** A value as TOML. `indent`: of the line that it begins in; lists too long for a line get one for each item. */
export function valueText(value: unknown, indent = '', eol = '\n'): string {
  if (typeof value === 'string') return stringText(value, eol);
  if (typeof value === 'number') return numberText(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) {
    const items = value.map((item) => valueText(item, `${indent}  `, eol));
    const line = `[${items.join(', ')}]`;
    if (items.length === 0 || (indent.length + line.length <= LINE_CHARS && !line.includes('\n'))) return line;
    return `[${eol}${items.map((item) => `${indent}  ${item},${eol}`).join('')}${indent}]`;
  }
  if (isTable(value)) {
    const pairs = Object.entries(value).map(([key, one]) => `${keyText(key)} = ${valueText(one, indent, eol)}`);
    return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
  }
  return String(value as boolean | bigint);
}

/** May a table stand in a line? */
export function fitsLine(table: Readonly<Record<string, unknown>>): boolean {
  if (Object.values(table).some((value) => typeof value === 'object' && !(value instanceof Date))) return false;
  const text = valueText(table);
  return text.length <= LINE_CHARS && !text.includes('\n');
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  // A whole number without a point is one of 64 bits.
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return value.toExponential();
  return String(value);
}

function stringText(text: string, eol: string): string {
  if (text.includes('\n') && !/[^\P{Cc}\n\t]/u.test(text)) return long(text, eol);
  // Patterns and JSON are easier to read as they are.
  if (/["\\]/.test(text) && !/['\p{Cc}]/u.test(text)) return `'${text}'`;
  return basic(text);
}

function long(text: string, eol: string): string {
  const inner = text.replaceAll('\\', '\\\\').replaceAll('"""', '""\\"').replace(/"$/, '\\"');
  // Line ends of the text are its own, whatever those of the file are.
  return `"""${eol}${inner}"""`;
}

function basic(text: string): string {
  return `"${text.replace(/["\\\p{Cc}]|\p{Cs}/gu, (char) => SHORT.get(char) ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
}

const SHORT: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\b', '\\b'],
  ['\t', '\\t'],
  ['\n', '\\n'],
  ['\f', '\\f'],
  ['\r', '\\r'],
]);
