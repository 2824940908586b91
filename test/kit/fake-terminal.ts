import type { Terminal } from '../../src/cli/terminal.ts';

/** A terminal that is typed on and resized by a test. */
export class FakeTerminal implements Terminal {
  columns = 100;
  rows = 30;
  readonly #resized = new Set<() => void>();
  readonly #keys = new Set<(keys: string) => void>();
  readonly #exits = new Set<() => void>();

  onResize(callback: () => void): () => void {
    this.#resized.add(callback);
    return () => void this.#resized.delete(callback);
  }

  onKeys(callback: (keys: string) => void): () => void {
    this.#keys.add(callback);
    return () => void this.#keys.delete(callback);
  }

  onExit(callback: () => void): () => void {
    this.#exits.add(callback);
    return () => void this.#exits.delete(callback);
  }

  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    for (const callback of this.#resized) callback();
  }

  type(keys: string): void {
    for (const callback of this.#keys) callback(keys);
  }

  exit(): void {
    for (const callback of this.#exits) callback();
  }

  /** Who still listens. */
  get held(): number {
    return this.#resized.size + this.#keys.size + this.#exits.size;
  }
}

/** What stands on a screen of so many rows after all of this was written to it. Knows what `top` uses: places, erasing, colours, the second screen. */
export function screenOf(
  written: string,
  rows: number,
): { readonly lines: readonly string[]; readonly isSecond: boolean; readonly cursor: boolean; readonly wraps: boolean } {
  const lines: string[] = Array.from({ length: rows }, () => '');
  let [row, column] = [0, 0];
  let [isSecond, cursor, wraps] = [false, true, true];
  // oxlint-disable-next-line no-control-regex -- that is what terminals obey
  for (const [part] of written.matchAll(/\u001b\[[?0-9;]*[A-Za-z]|\r|\n|[^\u001b\r\n]+|\u001b/g)) {
    if (part === '\u001b[?1049h') isSecond = true;
    else if (part === '\u001b[?1049l') isSecond = false;
    else if (part === '\u001b[?25l') cursor = false;
    else if (part === '\u001b[?25h') cursor = true;
    else if (part === '\u001b[?7l') wraps = false;
    else if (part === '\u001b[?7h') wraps = true;
    else if (part === '\u001b[H') [row, column] = [0, 0];
    else if (part === '\u001b[2J') lines.fill('');
    else if (part === '\u001b[J') {
      lines[row] = lines[row]!.slice(0, column);
      lines.fill('', row + 1);
    } else if (part === '\u001b[K') lines[row] = lines[row]!.slice(0, column);
    else if (part === '\r') column = 0;
    else if (part === '\n') row = Math.min(row + 1, rows - 1);
    else if (!(part.startsWith('\u001b[') && part.endsWith('m'))) {
      if (part.startsWith('\u001b')) throw new Error(`the screen was told ${JSON.stringify(part)}`);
      lines[row] = lines[row]!.slice(0, column).padEnd(column) + part + lines[row]!.slice(column + part.length);
      column += part.length;
    }
  }
  return { lines, isSecond, cursor, wraps };
}
