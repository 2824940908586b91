import type { GatewaySettings, LoadedGateway } from '../config/gateway.ts';
import type { RunningGateway } from '../hub/gateway/gateway.ts';
import type { Outcome } from '../hub/reload.ts';
import type { Log, RootLog } from '../observe/log.ts';
import type { LogRing } from '../observe/log-ring.ts';
import { startProblem } from './start.ts';

/** What a gateway that follows its file is started with. */
export interface FileOptions {
  /** The file or folder. */
  readonly source: string;
  /** When it began to be read, wall-clock ms. */
  readonly sinceMs: number;
  /** Reads it. @throws SettingsError */
  readonly load: () => Promise<LoadedGateway>;
  readonly log: Log & Pick<RootLog, 'level'>;
  readonly lines: LogRing;
  readonly stateDir: string | null;
  /** Where the local token lies, when that is not the state folder. */
  readonly tokenDir?: string;
  /** What its variables mean. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How what it starts with was read. */
  readonly first: Omit<Outcome, 'atMs'>;
  /** It listens. */
  readonly started?: (gateway: RunningGateway) => void;
  /** It serves another configuration. */
  readonly applied?: (gateway: RunningGateway, settings: GatewaySettings) => void;
}

/** A gateway that serves what its file says, and goes on to what it says next. */
export interface FiledGateway {
  readonly gateway: RunningGateway;
  /** Looks at the file now, and opens log files anew. */
  reload(): Promise<void>;
  close(): Promise<void>;
  destroy(): void;
}

/** @throws the listen error */
export async function startFiled(settings: GatewaySettings, options: FileOptions): Promise<FiledGateway> {
  const { source, sinceMs, load, log, lines, stateDir, tokenDir, env, first, started, applied } = options;
  const { basic } = settings;
  const { startGateway } = await import('../hub/gateway/gateway.ts');
  const { Reload } = await import('../hub/reload.ts');
  const { ConsoleConfig } = await import('../hub/console/config.ts');
  const config = new ConsoleConfig({ source, env, stateDir, log, wall: () => Date.now() });
  const gateway = await startGateway(settings, { log, lines, stateDir, source, config, ...(tokenDir === undefined ? {} : { tokenDir }) });
  started?.(gateway);
  const reload = new Reload(
    {
      log,
      metrics: gateway.metrics,
      wall: () => Date.now(),
      load,
      apply: (next) => gateway.apply(next),
      applied: (next) => {
        applied?.(gateway, next);
        log.level = next.basic.logLevel;
        if (next.basic.logFormat !== basic.logFormat) log.warn({}, 'log_format of [basic] is another one now: it takes effect at the next start');
        gateway.tell({ event: 'reload_succeeded', subject: 'configuration', message: 'a new configuration serves' });
      },
      failed: ([first = '', ...others]) => {
        const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
        const message = `the new configuration cannot be used, the old one serves on: ${first}${more}`;
        gateway.tell({ event: 'reload_failed', subject: 'configuration', message });
      },
      explain: (error) => startProblem(error, basic.adminAddr),
      first,
    },
    settings,
    sinceMs,
  );
  gateway.reloadedBy(reload);
  return {
    gateway,
    close: async () => {
      reload.close();
      await gateway.close();
      await config.written();
    },
    destroy: () => {
      reload.close();
      gateway.destroy();
    },
    reload: () => {
      gateway.reopenLogs();
      return reload.now();
    },
  };
}
