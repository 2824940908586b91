import { type Column, tableLines } from './table.ts';
import { type Style, styleFor } from './style.ts';
import type { World } from './world.ts';

/** What a command prints for people: lines in the colours and the width of where it goes. */
export class Page {
  readonly style: Style;
  readonly #world: World;
  /** Columns; Infinity where nobody's screen is. */
  readonly width: number;

  constructor(world: World) {
    this.#world = world;
    this.style = styleFor(world);
    this.width = world.stdout.isTTY === true ? (world.terminal()?.columns ?? world.columns) : Infinity;
  }

  line(text: string): void {
    this.#world.stdout.write(`${text}\n`);
  }

  /** `nothing`: what to say when there are no rows. */
  table<T>(columns: readonly Column<T>[], rows: readonly T[], nothing: string): void {
    if (rows.length === 0) this.line(nothing);
    else for (const line of tableLines(columns, rows, this.width, (text) => this.style.bold(text))) this.line(line);
  }
}

/** The same for programs. */
export function printJson(world: World, value: unknown): void {
  world.stdout.write(`${JSON.stringify(value, null, 2).replaceAll(UNSAFE, escaped)}\n`);
}

/** One object on one line, for streams of them. */
export function printJsonLine(world: World, value: unknown): void {
  world.stdout.write(`${JSON.stringify(value).replaceAll(UNSAFE, escaped)}\n`);
}

/** What JSON leaves as it is and a terminal might obey. */
const UNSAFE = /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

function escaped(sign: string): string {
  return `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
