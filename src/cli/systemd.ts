import type { Log } from '../observe/log.ts';
import type { World } from './world.ts';

/** Tells systemd how this program is (sd_notify), when it runs as a unit of Type=notify; otherwise does nothing. */
export class Systemd {
  readonly #world: World;
  readonly #log: Log;
  readonly #isOn: boolean;
  #watchdog: NodeJS.Timeout | null = null;
  #last: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(world: World, log: Log) {
    this.#world = world;
    this.#log = log;
    this.#isOn = (world.env['NOTIFY_SOCKET'] ?? '') !== '';
  }

  /** It serves. From now on the watchdog is fed. */
  ready(): void {
    this.#tell('READY=1');
    const everyMs = this.#watchdogMs() / 2;
    if (!this.#isOn || !(everyMs > 0) || this.#watchdog !== null) return;
    // A timer fires only while the event loop turns, which is what the watchdog is to watch.
    this.#watchdog = setInterval(() => this.#tell('WATCHDOG=1'), everyMs).unref();
  }

  reloading(): void {
    this.#tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  reloaded(): void {
    this.#tell('READY=1');
  }

  /** It stops; `patienceMs`: how long that may take. */
  stopping(patienceMs: number): void {
    this.#tell('STOPPING=1', `EXTEND_TIMEOUT_USEC=${Math.ceil(patienceMs) * 1000}`);
  }

  /** Feeds the watchdog no more. */
  close(): void {
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#watchdog = null;
  }

  #watchdogMs(): number {
    const { WATCHDOG_USEC, WATCHDOG_PID } = this.#world.env;
    if (WATCHDOG_USEC === undefined || !/^\d{1,15}$/.test(WATCHDOG_USEC)) return 0;
    return WATCHDOG_PID === undefined || WATCHDOG_PID === '' || Number(WATCHDOG_PID) === process.pid ? Number(WATCHDOG_USEC) / 1000 : 0;
  }

  /** Node has no datagram socket of the Unix kind, so systemd's own tool speaks for us. One after the other: the order is the meaning. */
  #tell(...words: string[]): void {
    if (!this.#isOn) return;
    this.#last = this.#last.then(async () => {
      if ((await this.#world.runProgram('systemd-notify', words)) || this.#hasFailed) return;
      this.#hasFailed = true;
      this.#log.warn({}, 'systemd-notify does not work here: systemd hears nothing of this program (Type=exec needs none of it)');
    });
  }
}
