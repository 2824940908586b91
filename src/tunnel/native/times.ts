// HOT: one call per exchange whose times are asked for.
import type { AgentTimes } from '../../http/exchange.ts';
import { readU16, readU32, T_TIMES, writeU16, writeU32 } from './frames.ts';

/** Bytes of the times as a typed field. */
export const TIMES_BYTES = 3 + 13;
/** The agent sends spans of this exchange itself. */
const TRACED = 0x01;
const MAX_U32 = 0xffff_ffff;

/** Writes the typed field of times. @returns the offset behind it */
export function writeTimes(times: AgentTimes, connectMs: number, connectTlsMs: number, nowMs: number, out: Uint8Array, from: number): number {
  out[from] = T_TIMES;
  let at = writeU16(out, from + 1, TIMES_BYTES - 3);
  at = writeU32(out, at, micros(nowMs - times.openedMs));
  at = writeU32(out, at, micros(connectMs));
  at = writeU32(out, at, micros(connectTlsMs));
  out[at] = times.traced ? TRACED : 0;
  return at + 1;
}

/** Reads the times out of well-formed typed fields, bytes[start..end), where they are there. What cannot be true is cut to what can. */
export function readTimes(times: AgentTimes, bytes: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end;) {
    const length = readU16(bytes, at + 1);
    // Later versions may say more behind it.
    if (bytes[at] === T_TIMES && length >= TIMES_BYTES - 3) {
      times.told = true;
      times.headMs = readU32(bytes, at + 3) / 1000;
      times.connectMs = Math.min(times.headMs, readU32(bytes, at + 7) / 1000);
      times.connectTlsMs = Math.min(times.connectMs, readU32(bytes, at + 11) / 1000);
      times.traced = (bytes[at + 15]! & TRACED) !== 0;
      return;
    }
    at += 3 + length;
  }
}

function micros(ms: number): number {
  return Math.min(MAX_U32, Math.max(0, Math.round(ms * 1000)));
}
