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

/**
 * Time that anybody on this machine used so far, and time that this process and the children it has reaped (load generators) used, in microseconds.
 * @returns {{ everybodyUs: number, selfUs: number }}
 */
export function machineUs() {
  try {
    const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0].split(/\s+/).slice(1).map(Number);
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const self = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .map(Number);
    return {
      everybodyUs: (user + nice + system + irq + softirq + steal) * microsecondsPerTick,
      selfUs: self.reduce((sum, ticks) => sum + ticks, 0) * microsecondsPerTick,
    };
  } catch {
    return { everybodyUs: NaN, selfUs: NaN };
  }
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
