import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadGateway } from '../../src/config/gateway.ts';
import { ConsoleConfig } from '../../src/hub/console/config.ts';
import { type GatewayDeps, type RunningGateway, startGateway } from '../../src/hub/gateway/gateway.ts';
import { Reload } from '../../src/hub/reload.ts';
import type { Kit } from './kit.ts';
import { MemoryLog } from './tunnel.ts';

/** A gateway under test, with the file that it goes by. */
export interface TestGateway extends RunningGateway {
  readonly log: MemoryLog;
  readonly file: string;
  readonly warnings: readonly string[];
  /** Where a server listens, the only one when none is named. */
  port(server?: string): number;
  /** Writes the file anew, as editors do, and waits until it has been read. */
  change(text: string): Promise<void>;
}

/** Writes a file and runs it. Nothing is watched: change() says when to read. Servers that say `addr = "127.0.0.1:0"` get free ports. */
export async function startGatewayOf({ folder, later }: Kit, text: string, deps: Partial<GatewayDeps> = {}): Promise<TestGateway> {
  const file = join(folder(), 'windlass.toml');
  const basic = /^\[basic\]/m.test(text) ? '' : '[basic]\nadmin_addr = "127.0.0.1:0"\ndrain_timeout = "1s"\nauto_restart_check_interval = "0s"\n';
  const write = (content: string): void => {
    writeFileSync(`${file}.new`, basic + content);
    renameSync(`${file}.new`, file);
  };
  write(text);
  const log = new MemoryLog();
  const env = {};
  const { settings, warnings, etag, problems } = await loadGateway(file, env);
  const config = new ConsoleConfig({ source: file, env, stateDir: deps.stateDir ?? null, log, wall: () => Date.now() });
  const gateway = await startGateway(settings, { log, config, ...deps });
  later(() => gateway.destroy());
  const reload = new Reload(
    {
      log,
      metrics: gateway.metrics,
      wall: () => Date.now(),
      load: () => loadGateway(file, env),
      apply: (next) => gateway.apply(next),
      applied: () => {},
      explain: (error) => (error as Error).message,
      first: { ok: true, etag, problems },
    },
    { ...settings, watched: [] },
    Date.now(),
  );
  later(() => reload.close());
  gateway.reloadedBy(reload);
  return {
    log,
    file,
    warnings,
    get addresses() {
      return gateway.addresses;
    },
    get developmentCa() {
      return gateway.developmentCa;
    },
    get adminAddress() {
      return gateway.adminAddress;
    },
    consoleLink: () => gateway.consoleLink(),
    reloadedBy: (next) => gateway.reloadedBy(next),
    get status() {
      return gateway.status;
    },
    metrics: gateway.metrics,
    apply: (next) => gateway.apply(next),
    tell: (notice) => gateway.tell(notice),
    reopenLogs: () => gateway.reopenLogs(),
    close: () => gateway.close(),
    destroy: () => gateway.destroy(),
    port: (server) => (server === undefined ? [...gateway.addresses.values()][0]! : gateway.addresses.get(server)!)[0]!.port,
    change: async (content) => {
      write(content);
      await reload.now();
    },
  };
}

/** The file of a gateway with one server and one location, `all`, whose upstream `one` is at this port. `server` and `location`: more of them; `more`: what follows. */
export function fileTo(port: number, of: { readonly server?: string; readonly location?: string; readonly more?: string } = {}): string {
  const { server = '', location = '', more = '' } = of;
  return `[servers.main]
addr = "127.0.0.1:0"
locations = ["all"]
${server}
[locations.all]
upstream = "one"
${location}
[upstreams.one]
addrs = ["127.0.0.1:${port}"]
${more}`;
}
