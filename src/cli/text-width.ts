import { plainLine } from '../config/plain-line.ts';

/** Columns that a text without control characters takes on a terminal: two for each wide sign (Chinese, Japanese, Korean, most emoji), none for a mark that stands on another. */
export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const sign of text) width += widthOf(sign);
  return width;
}

/** The text as it may be shown, in exactly so many columns: cut with … or filled up with spaces. */
export function fit(text: string, columns: number, side: 'left' | 'right' = 'left'): string {
  const cut = shorten(text, columns);
  const fill = ' '.repeat(Math.max(0, columns - textWidth(cut)));
  return side === 'left' ? cut + fill : fill + cut;
}

/** The text as it may be shown, in at most so many columns. */
export function shorten(text: string, columns: number): string {
  const plain = plainLine(text);
  if (textWidth(plain) <= columns) return plain;
  if (columns <= 0) return '';
  let out = '';
  let width = 1;
  for (const sign of plain) {
    width += widthOf(sign);
    if (width > columns) break;
    out += sign;
  }
  return `${out}…`;
}

const ASCII = /^[\x20-\x7e]*$/;
const NONE = /^\p{M}$/u;
const WIDE =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})$/u;

function widthOf(sign: string): number {
  return NONE.test(sign) ? 0 : WIDE.test(sign) ? 2 : 1;
}
