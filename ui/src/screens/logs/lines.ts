import type { LogEntry } from '../../../../src/admin/model.ts';

/** Lines that the page keeps; the oldest go. */
export const LINES_MAX = 2_000;

/** A line with a number of its own, for the page. */
export interface Line extends LogEntry {
  readonly number: number;
}

/** With lines that have come, oldest first; what is there already (a stream that has come back tells its last lines again) is not there twice. */
export function withLines(lines: readonly Line[], fresh: readonly LogEntry[]): readonly Line[] {
  const last = lines.at(-1);
  const known = new Set(lines.filter(({ atMs }) => fresh.length > 0 && atMs >= fresh[0]!.atMs).map(keyOf));
  let number = last === undefined ? 0 : last.number;
  const added = fresh.filter((line) => !known.has(keyOf(line))).map((line) => ({ ...line, number: ++number }));
  if (added.length === 0) return lines;
  const all = [...lines, ...added];
  return all.length > LINES_MAX ? all.slice(-LINES_MAX) : all;
}

function keyOf({ atMs, level, message, fields }: LogEntry): string {
  return `${atMs} ${level} ${message} ${JSON.stringify(fields)}`;
}

/** A value of a field on one line. */
export function fieldText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** As JSON, one per line, for a file. */
export function linesText(lines: readonly LogEntry[]): string {
  return (
    lines.map(({ atMs, level, message, fields }) => JSON.stringify({ time: new Date(atMs).toISOString(), level, message, ...fields })).join('\n') +
    '\n'
  );
}
