import { createLog, type Log, type RootLog } from '../observe/log.ts';
import type { CommonSettings } from '../config/settings.ts';
import { formatAddress, type Address } from '../schema/address.ts';
import type { Table } from '../schema/setting.ts';
import type { Source } from '../config/resolve.ts';
import { Systemd } from './systemd.ts';
import type { World } from './world.ts';

/** Something that runs until it is told to stop. */
export interface Running {
  /** Finishes what runs, bounded. */
  close(): Promise<void>;
  /** Ends at once. */
  destroy(): void;
  /** Reads again what may have changed, opens log files anew (SIGHUP). */
  reload?(): Promise<void> | void;
}

/** The log that the settings ask for, on standard error. */
export function logFor(settings: Pick<CommonSettings, 'logLevel' | 'logFormat'>, world: World): RootLog {
  return createLog({ level: settings.logLevel, format: settings.logFormat, stream: world.stderr });
}

/** Is the log read by a person? Then a next step is worth saying. */
export function isForPeople(settings: Pick<CommonSettings, 'logFormat'>, world: World): boolean {
  return settings.logFormat === 'pretty' || (settings.logFormat === 'auto' && world.stderr.isTTY === true);
}

/** Says what to do next, to people. Commands stand alone on their lines, so that they can be copied whole. */
export function nextStep(lines: readonly string[], settings: Pick<CommonSettings, 'logFormat'>, world: World): void {
  if (isForPeople(settings, world)) world.stderr.write(`\n${lines.join('\n')}\n\n`);
}

/** One warning per secret that stood on the command line, where other users of the machine could read it until it was wiped. */
export function warnOfArguments(table: Table, sources: ReadonlyMap<string, Source>, log: Log): void {
  for (const [name, source] of sources) {
    if (source.level !== 'flag' || source.path !== null || table[name]!.secret === undefined) continue;
    log.warn({}, `${source.name} was readable in the process list until now; ${source.name}-file PATH keeps it out`);
  }
}

/** Starts something and keeps it running until a signal has ended it. Resolves with the exit code. */
export async function runUntilSignal(
  start: () => Promise<Running>,
  settings: CommonSettings & { readonly drainDelayMs?: number },
  log: Log,
  world: World,
  /** Exit code when it cannot be started as it is told to (a port in use). */
  startCode = 1,
): Promise<number> {
  // From before the start, so that a signal that comes early is not lost (nor kills us with half a start behind us).
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const systemd = new Systemd(world, log);
  let running: Running | null = null;
  let firstMs: number | null = null;
  const onSignal = (name: string): void => {
    const nowMs = performance.now();
    // A terminal's Ctrl-C reaches us twice when npm or npx started us: once from the terminal, once passed on by npm.
    if (firstMs !== null && name === 'SIGINT' && world.stderr.isTTY === true && nowMs - firstMs < SAME_SIGNAL_MS) return;
    if (firstMs === null) {
      firstMs = nowMs;
      systemd.stopping((settings.drainDelayMs ?? 0) + settings.drainTimeoutMs + STOP_SLACK_MS);
      log.info({ signal: name, drainTimeoutMs: settings.drainTimeoutMs }, 'stopping: what runs may finish; a second signal ends it now');
      stop();
      return;
    }
    log.warn({ signal: name }, 'ending now');
    running?.destroy();
    world.exit(1);
  };
  let code: number = 0;
  const crashes: number[] = [];
  const onCrash = (error: unknown): void => {
    // A defect of ours. Whatever it hit is lost; everybody else is served on, unless it happens again and again.
    log.error({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'an error that nobody caught: please report it');
    const nowMs = performance.now();
    while (crashes.length > 0 && nowMs - crashes[0]! > CRASH_WINDOW_MS) crashes.shift();
    if (crashes.push(nowMs) < CRASHES || code !== 0) return;
    log.error({}, `${CRASHES} such errors within a minute: stopping, so that whoever supervises this process starts it afresh`);
    code = 1;
    stop();
  };
  const offs = [
    world.onSignal('SIGTERM', () => onSignal('SIGTERM')),
    world.onSignal('SIGINT', () => onSignal('SIGINT')),
    // Unheard, SIGHUP would end the process.
    world.onSignal('SIGHUP', () => {
      if (running === null) return;
      systemd.reloading();
      void Promise.resolve(running.reload?.()).finally(() => systemd.reloaded());
    }),
    world.onCrash(onCrash),
  ];
  try {
    running = await start();
    systemd.ready();
    await stopped;
    await running.close();
    log.info({}, 'stopped');
    return code;
  } catch (error) {
    const line = startProblem(error, settings.adminAddr);
    if (line === null) throw error;
    log.error({}, line);
    const hasRun = running !== null;
    running?.destroy();
    return hasRun ? 1 : startCode;
  } finally {
    for (const off of offs) off();
    systemd.close();
  }
}

/** What a stop takes beyond its drain, ms. */
const STOP_SLACK_MS = 10_000;

/** Errors that nobody caught, within this time, that end a process, ms. */
const CRASHES = 10;
const CRASH_WINDOW_MS = 60_000;

/** Signals from one key press come closer together than a person can press twice, ms. */
const SAME_SIGNAL_MS = 200;

/** What the machine had against it, and what to do; null when it is no such error but a defect of ours. */
export function startProblem(error: unknown, adminAddr: Address | null): string | null {
  const { code, port, address, path, syscall, hostname } = error as NodeJS.ErrnoException & { port?: number; address?: string; hostname?: string };
  if (typeof code !== 'string' || syscall === undefined) return null;
  const where = port === undefined ? (address ?? '') : formatAddress({ host: address ?? '', port });
  const isAdmin = adminAddr !== null && adminAddr.port === port;
  const otherPort = isAdmin ? 'choose another with --admin-addr or, in a file, admin_addr; off is none' : 'choose another port';
  switch (code) {
    case 'EADDRINUSE':
      return `${where} is in use by another program; stop it (ss -ltnp 'sport = :${port}' names it) or ${otherPort}`;
    case 'EACCES':
      if (syscall === 'listen' || syscall === 'bind')
        return `${where} needs a privilege; choose a port from 1024 on, or give it once: sudo setcap cap_net_bind_service=+ep ${process.execPath}`;
      return `${path ?? where} may not be opened by this user; change its owner or choose another`;
    case 'ENOENT':
      return `${path ?? where} cannot be opened: it or its folder does not exist; make it, or correct the path`;
    case 'EADDRNOTAVAIL':
      return `${where} is no address of this machine; listen on 0.0.0.0 for all of them`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${hostname ?? where} is not known; write an IP address, or 0.0.0.0 for all of this machine's`;
    default:
      return `${path ?? where} cannot be used (${code} at ${syscall})`;
  }
}
