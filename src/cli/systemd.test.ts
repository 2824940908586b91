import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { createLog } from '../observe/log.ts';
import { Systemd } from './systemd.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout'] }));
afterEach(() => void vi.useRealTimers());

function systemd(env: Record<string, string>, works = true): { unit: Systemd; told: () => string[]; said: () => string } {
  const world = fakeWorld(env);
  const told: string[] = [];
  const runProgram = (file: string, args: readonly string[]): Promise<boolean> => {
    told.push([file, ...args].join(' ').replace(/=\d{4,}/g, '=N'));
    return Promise.resolve(works);
  };
  const log = createLog({ stream: world.stderr, format: 'json' });
  return { unit: new Systemd({ ...world, runProgram }, log), told: () => told, said: world.err };
}

test('systemd hears of start, reload and stop, in order', async () => {
  const { unit, told } = systemd({ NOTIFY_SOCKET: '/run/n' });
  unit.ready();
  unit.reloading();
  unit.reloaded();
  unit.stopping(1500);
  await vi.advanceTimersByTimeAsync(1);
  expect(told()).toEqual([
    'systemd-notify READY=1',
    'systemd-notify RELOADING=1 MONOTONIC_USEC=N',
    'systemd-notify READY=1',
    'systemd-notify STOPPING=1 EXTEND_TIMEOUT_USEC=N',
  ]);
});

test('the watchdog is fed twice per interval from the start until the end', async () => {
  const { unit, told } = systemd({ NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '2000000', WATCHDOG_PID: String(process.pid) });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(told()).toEqual([]);
  unit.ready();
  await vi.advanceTimersByTimeAsync(3_500);
  expect(told().filter((line) => line.endsWith('WATCHDOG=1'))).toHaveLength(3);
  unit.close();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(told()).toHaveLength(4);
});

test.each([[{ WATCHDOG_USEC: '2000000', WATCHDOG_PID: '1' }], [{ WATCHDOG_USEC: 'soon' }], [{ WATCHDOG_USEC: '0' }]])(
  "a watchdog that is another's, or none, is not fed: %o",
  async (env) => {
    const { unit, told } = systemd({ NOTIFY_SOCKET: '/run/n', ...env });
    unit.ready();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(told()).toEqual(['systemd-notify READY=1']);
  },
);

test('without systemd nothing is run', async () => {
  const { unit, told } = systemd({ WATCHDOG_USEC: '2000' });
  unit.ready();
  unit.stopping(1);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(told()).toEqual([]);
});

test('without systemd-notify there is one line', async () => {
  const { unit, said } = systemd({ NOTIFY_SOCKET: '/run/n' }, false);
  unit.ready();
  unit.stopping(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(said().trim().split('\n')).toHaveLength(1);
  expect(said()).toContain('systemd-notify does not work here');
});
