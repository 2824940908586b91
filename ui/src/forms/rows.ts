/** One line of a list as a form shows it. `kept`: a value of the file that is no text, such as a number, as long as nobody changes the line. */
export interface Row {
  readonly text: string;
  readonly kept?: unknown;
}

/** A name and what it stands for. */
export interface Pair {
  readonly name: string;
  readonly text: string;
  readonly kept?: unknown;
}

/** How a map stands in the file: `{ gpu = "a100" }`, or `["gpu=a100"]`. */
export type MapStyle = 'table' | 'pairs';

/** Lines of a list. One text is one line. Null for what lines cannot show: it is edited as text. */
export function rowsOf(value: unknown): readonly Row[] | null {
  if (value === undefined) return [];
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  const rows = items.map((item) => rowOf(item));
  return rows.every((row) => row !== null) ? rows : null;
}

function rowOf(item: unknown): Row | null {
  if (typeof item === 'string') return { text: item };
  return typeof item === 'number' || typeof item === 'boolean' ? { text: String(item), kept: item } : null;
}

/** As they stand in a file. What was one text stays one, if it is still one line. Empty lines go; undefined when none is left. */
export function listOf(rows: readonly Row[], before: unknown): unknown {
  const items = rows.filter(({ text, kept }) => kept !== undefined || text.trim() !== '').map(({ text, kept }) => kept ?? text);
  if (items.length === 0) return undefined;
  return items.length === 1 && before !== undefined && !Array.isArray(before) ? items[0] : items;
}

/** Parts of a text at its commas. */
export function splitAtCommas(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** With the line at `from` moved to `to`. */
export function moved<T>(items: readonly T[], from: number, to: number): readonly T[] {
  if (from === to || from < 0 || to < 0 || from >= items.length || to >= items.length) return items;
  const rest = items.toSpliced(from, 1);
  return rest.toSpliced(to, 0, items[from]!);
}

/** Lines of a map, and how it is written. Null for what lines cannot show. */
export function pairsOf(value: unknown): { readonly style: MapStyle; readonly pairs: readonly Pair[] } | null {
  if (value === undefined) return { style: 'table', pairs: [] };
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const pairs = Object.entries(value).map(([name, of]) => {
      const row = rowOf(of);
      return row === null ? null : { name, ...row };
    });
    return pairs.every((pair) => pair !== null) ? { style: 'table', pairs } : null;
  }
  const texts = Array.isArray(value) ? value : typeof value === 'string' ? splitAtCommas(value) : [null];
  const pairs = texts.map((text: unknown) => {
    if (typeof text !== 'string' || !text.includes('=')) return null;
    const at = text.indexOf('=');
    return { name: text.slice(0, at).trim(), text: text.slice(at + 1).trim() };
  });
  return pairs.every((pair) => pair !== null) ? { style: 'pairs', pairs } : null;
}

/** As they stand in a file; undefined when none is left. Of lines with the same name the last counts in a table. */
export function mapOf(pairs: readonly Pair[], style: MapStyle): unknown {
  const named = pairs.filter(({ name }) => name.trim() !== '');
  if (named.length === 0) return undefined;
  if (style === 'pairs') return named.map(({ name, text }) => `${name.trim()}=${text}`);
  return Object.fromEntries(named.map(({ name, text, kept }) => [name.trim(), kept ?? text]));
}

/** The first name that two lines have. */
export function doubleName(pairs: readonly Pair[]): string | null {
  const seen = new Set<string>();
  for (const { name } of pairs) {
    const trimmed = name.trim();
    if (trimmed !== '' && seen.has(trimmed)) return trimmed;
    seen.add(trimmed);
  }
  return null;
}
