import { Wrong } from './wrong.ts';

/** Longest time a timer can hold, ms (about 24 days): beyond it Node fires at once. */
export const TIMER_MAX_MS = 2 ** 31 - 1;

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** `250ms`, `5m`, `1h2m3s`, `1.5h`, `0`, in milliseconds. A bare number is refused: half of all people mean seconds, the others milliseconds. */
export function parseDuration(text: string, maxMs: number = TIMER_MAX_MS): number {
  if (text === '0') return 0;
  if (/^[\d.]+$/.test(text)) throw new Wrong('has no unit', `write ${text}s for seconds or ${text}ms for milliseconds`);
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text))
    throw new Wrong('is no duration', 'write it as 500ms, 30s, 5m or 1h2m3s (units: ms, s, m, h, d)');
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ms|s|m|h|d)/g)) totalMs += Number(amount) * UNIT_MS.get(unit!)!;
  if (totalMs > maxMs) throw new Wrong('is too long', `the longest is ${formatDuration(maxMs)}`);
  return Math.round(totalMs);
}

/** The shortest way to write it that parseDuration() reads back. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0';
  let rest = Math.round(ms);
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms']) {
    const size = UNIT_MS.get(unit)!;
    const amount = Math.floor(rest / size);
    if (amount > 0) text += `${amount}${unit}`;
    rest -= amount * size;
  }
  return text;
}
