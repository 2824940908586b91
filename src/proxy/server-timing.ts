import type { Notes } from '../http/exchange.ts';

/**
 * A `Server-Timing` field line with its CRLF, as far as is known when the head of the answer goes out: the wait for a slot, the connecting, the
 * upstream's own time from then to its head, and all of it. Durations in ms.
 */
export function serverTiming(notes: Notes, nowMs: number): string {
  let line = 'Server-Timing: ';
  if (notes.waitedMs > 0) line += `queue;dur=${tenths(notes.waitedMs)}, `;
  if (notes.dispatchedMs > 0) {
    const { connectMs } = notes;
    if (connectMs > 0) line += `connect;dur=${tenths(connectMs)}, `;
    const untilMs = notes.firstByteMs > 0 ? notes.firstByteMs : nowMs;
    line += `upstream;dur=${tenths(Math.max(0, untilMs - notes.dispatchedMs - connectMs))}, `;
  }
  return `${line}total;dur=${tenths(nowMs - notes.startMs)}\r\n`;
}

/** With one decimal at most; never as 1e-7, which the field's grammar does not know. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
