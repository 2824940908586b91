// What a process used so far, from /proc: the figures that hold on a noisy machine.
import { readFileSync } from 'node:fs';

/** USER_HZ: 100 on every Linux that Node runs on. */
const microsecondsPerTick = 10_000;

/** User plus system time of these processes, all threads, in microseconds; NaN where there is no /proc. @param {number[]} pids */
export function cpuUs(pids) {
  let ticks = 0;
  for (const pid of pids) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      return NaN;
    }
  }
  return ticks * microsecondsPerTick;
}

/** Resident memory of these processes in bytes. @param {number[]} pids */
export function residentBytes(pids) {
  let kib = 0;
  for (const pid of pids) {
    try {
      kib += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? NaN);
    } catch {
      return NaN;
    }
  }
  return kib * 1024;
}
