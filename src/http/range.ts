/** Bytes [start, end) of a body. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The one range that `Range` asks of a body of so many bytes (RFC 9110 14.1.2). Null = answer with the whole: it is no range of bytes, malformed, or several of
 * them, which nobody is bound to serve. `none`: it lies outside, which is 416.
 */
export function readRange(text: string, length: number): ByteRange | 'none' | null {
  const [, first, last] = /^\s*bytes\s*=\s*(\d{0,15})\s*-\s*(\d{0,15})\s*$/i.exec(text) ?? [];
  if (first === undefined || (first === '' && last === '')) return null;
  if (first === '') return last === '0'.repeat(last!.length) || length === 0 ? 'none' : { start: Math.max(0, length - Number(last)), end: length };
  const start = Number(first);
  const end = last === '' ? length : Number(last) + 1;
  if (end <= start && last !== '') return null;
  return start >= length ? 'none' : { start, end: Math.min(end, length) };
}
