import { Wrong } from './wrong.ts';

const UNIT_BYTES: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ['kb', 1000],
  ['mb', 1000 ** 2],
  ['gb', 1000 ** 3],
  ['tb', 1000 ** 4],
  ['kib', 1024],
  ['mib', 1024 ** 2],
  ['gib', 1024 ** 3],
  ['tib', 1024 ** 4],
]);

/** `64KiB`, `1MB`, `1.5 GiB`, or a number of bytes. `64k` is refused: it is 64,000 to some and 65,536 to others. */
export function parseBytes(text: string): number {
  const [, amount, unitText] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  if (amount === undefined) throw new Wrong('is no size', 'write it as 64KiB, 10MB or a number of bytes');
  const unit = unitText!.toLowerCase();
  const size = UNIT_BYTES.get(unit);
  if (size === undefined) {
    const short = /^[kmgt]$/.test(unit);
    const letter = unit.toUpperCase();
    throw new Wrong(
      'has a unit that is not known',
      short ? `write ${amount}${letter}iB (of 1024) or ${amount}${letter}B (of 1000)` : 'use B, KiB, MiB, GiB, kB, MB or GB',
    );
  }
  const bytes = Math.round(Number(amount) * size);
  if (!Number.isSafeInteger(bytes)) throw new Wrong('is too large', 'the largest is 8191TiB');
  return bytes;
}

/** The shortest way to write it that parseBytes() reads back. */
export function formatBytes(bytes: number): string {
  for (const [suffix, unit] of [
    ['TiB', 'tib'],
    ['GiB', 'gib'],
    ['MiB', 'mib'],
    ['KiB', 'kib'],
    ['TB', 'tb'],
    ['GB', 'gb'],
    ['MB', 'mb'],
    ['kB', 'kb'],
  ] as const) {
    const size = UNIT_BYTES.get(unit)!;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${suffix}`;
  }
  return String(bytes);
}
