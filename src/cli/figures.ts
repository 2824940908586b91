/** How long ago or until then, in its two largest units: `3s`, `5m 10s`, `2h 3m`, `4d 1h`. */
export function ageText(ms: number): string {
  let seconds = Math.max(0, Math.round(ms / 1000));
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    // The second unit is the next one, or none.
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length === 0 ? '0s' : parts.join(' ');
}

const UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
];

/** A count or a rate for people: `0`, `0.25`, `7.3`, `120`, `15.2k`, `3.1M`. */
export function numberText(n: number): string {
  if (!Number.isFinite(n)) return '-';
  if (n < 100 && !Number.isInteger(n)) return n < 1 ? trimmed(n, 2) : trimmed(n, 1);
  if (n < 10_000) return String(Math.round(n));
  return n < 999_950 ? `${trimmed(n / 1000, 1)}k` : `${trimmed(n / 1_000_000, 1)}M`;
}

/** Milliseconds: `0.4 ms`, `12 ms`, `1.5 s`, `3.2 min`; `-` for none. */
export function millisText(ms: number | null): string {
  if (ms === null) return '-';
  if (ms < 999.5) return `${numberText(ms)} ms`;
  return ms < 120_000 ? `${trimmed(ms / 1000, 1)} s` : `${trimmed(ms / 60_000, 1)} min`;
}

/** Bytes: `512 B`, `1.5 KiB`, `20 MiB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1023.95 && unit < BYTES.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 100 ? Math.round(value) : trimmed(value, 1)} ${BYTES[unit]!}`;
}

const BYTES: readonly string[] = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A few values as a line of bars, the largest one full. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values, 0);
  return values.map((value) => (value <= 0 || most === 0 ? BARS[0]! : BARS[Math.max(1, Math.round((value / most) * (BARS.length - 1)))]!)).join('');
}

const BARS: readonly string[] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

function trimmed(n: number, digits: number): string {
  return String(Number(n.toFixed(digits)));
}
