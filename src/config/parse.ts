import type { Report } from './report.ts';
import { isTable } from './expand.ts';
import { configLimits } from './limits.ts';
import type { Slices } from './slices.ts';
import type { TextFile } from './text-file.ts';

type Data = Readonly<Record<string, unknown>>;

/** Characters that are parsed at once: some 2 ms of work. */
const PIECE_CHARS = 16 * 1024;

/**
 * The data of a TOML file; null when it is no TOML, which is in the report then. A large file is parsed in pieces that end where a table begins,
 * so that requests are served meanwhile.
 */
export async function parseFile(file: TextFile, report: Report, slices: Slices): Promise<Data | null> {
  const { parse, TomlError } = await import('smol-toml');
  const whole: Record<string, unknown> = Object.create(null);
  for (const { offset, text } of piecesOf(file, report)) {
    await slices.pause();
    try {
      const piece: Data = parse(text, { integersAsBigInt: 'asNeeded', maxDepth: configLimits.depth });
      if (!merge(whole, piece, [], file, report)) return null;
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      // Only the first line of the message: the others quote the file, which may hold secrets.
      const what = error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '');
      const hint = /invalid value|numeric literal/.test(what) ? '; text stands in quotes' : '';
      const line = error.line + (offset === 0 ? 0 : file.positions.at(offset).line - 1);
      report.error({ file, path: [], position: { line, column: error.column } }, '', `is no valid TOML: ${what}${hint}`);
      return null;
    }
  }
  return whole;
}

interface Piece {
  /** Where in the file it begins: at the beginning of a line. */
  readonly offset: number;
  readonly text: string;
}

function piecesOf(file: TextFile, report: Report): readonly Piece[] {
  const { text } = file;
  if (text.length <= PIECE_CHARS) return [{ offset: 0, text }];
  const headers = file.positions.headers();
  // Tables of lists belong to the last one before them, which would be in another piece. Nothing of ours is written so.
  if (headers.some(({ isArray }) => isArray)) return [{ offset: 0, text }];
  const seen = new Set<string>();
  const pieces: Piece[] = [];
  let from = 0;
  for (const { path, offset } of headers) {
    const key = path.join('\0');
    if (seen.has(key)) report.error({ file, path, position: file.positions.at(offset) }, path.join('.'), 'is there twice; keep one');
    seen.add(key);
    const start = text.lastIndexOf('\n', offset) + 1;
    if (start - from < PIECE_CHARS) continue;
    pieces.push({ offset: from, text: text.slice(from, start) });
    from = start;
  }
  pieces.push({ offset: from, text: text.slice(from) });
  return pieces;
}

/** Adds what a piece has. False when a key stands in two of them, which is in the report then. */
function merge(whole: Record<string, unknown>, piece: Data, path: readonly string[], file: TextFile, report: Report): boolean {
  for (const [key, value] of Object.entries(piece)) {
    const here = whole[key];
    if (here === undefined) whole[key] = value;
    else if (isTable(here) && isTable(value)) {
      if (!merge(here as Record<string, unknown>, value, [...path, key], file, report)) return false;
    } else {
      report.error({ file, path: [...path, key] }, [...path, key].join('.'), 'is there twice; keep one');
      return false;
    }
  }
  return true;
}
