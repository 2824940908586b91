import type { ConfigProblem } from '../admin/model.ts';
import type { GatewaySettings, LoadedGateway } from '../config/gateway.ts';
import { gatewayRunTable } from '../config/gateway-run.ts';
import { LastGood } from '../config/last-good.ts';
import { SettingsError } from '../config/settings-error.ts';
import { formatAddress, isLoopback, type Address } from '../schema/address.ts';
import type { Log } from '../observe/log.ts';
import { LogRing } from '../observe/log-ring.ts';
import type { RunningGateway } from '../hub/gateway/gateway.ts';
import { defaultStateDir } from './state-dir.ts';
import type { Invocation } from './command.ts';
import { configSource, settingsOf } from './settings.ts';
import { startFiled } from './filed-gateway.ts';
import { logFor, nextStep, runUntilSignal } from './start.ts';

/** `run`: a gateway as its file says. */
export async function run(invocation: Invocation): Promise<number> {
  const { world } = invocation;
  const source = configSource(invocation);
  const { values, sources } = await settingsOf(gatewayRunTable, invocation);
  const folder = sources.get('stateDir')!.level === 'default' ? defaultStateDir(world.env) : values.stateDir;
  const lastGood = folder === null ? null : new LastGood(folder, source);
  const { loadGateway } = await import('../config/gateway.ts');
  const load = (): Promise<LoadedGateway> => loadGateway(source, world.env);
  const sinceMs = Date.now();
  const { loaded, problems, wrong } = await loadFirst(load, values.useLastGood ? (lastGood?.path ?? null) : null, source, world.env);
  const { settings, warnings } = loaded;
  const { basic } = settings;
  const lines = new LogRing();
  const log = lines.beside(logFor(basic, world));
  for (const line of warnings) log.warn({}, line);
  for (const line of problems) log.error({}, line);
  if (problems.length > 0) log.error({ errors: problems.length }, `${source} cannot be used: this is the configuration that served last`);
  if (basic.adminAddr !== null && !isLoopback(basic.adminAddr.host))
    log.warn({}, `metrics are open to whoever reaches ${formatAddress(basic.adminAddr)}; they need no password`);
  const keep = (): void => {
    try {
      lastGood?.keep();
    } catch (error) {
      log.warn({ error: (error as Error).message }, 'no copy of the configuration could be kept: --use-last-good would find an older one');
    }
  };
  return runUntilSignal(
    () =>
      startFiled(settings, {
        source,
        sinceMs,
        load,
        log,
        lines,
        stateDir: folder,
        env: world.env,
        first: { ok: wrong.length === 0, etag: loaded.etag, problems: wrong.length === 0 ? loaded.problems : wrong },
        started: (gateway) => {
          if (problems.length === 0) keep();
          tellAddresses(gateway, settings, log);
          nextStep(stepsFor(gateway, settings, source), basic, world);
        },
        applied: (gateway, next) => {
          keep();
          tellAddresses(gateway, next, log);
        },
      }),
    basic,
    log,
    world,
    // What its file says cannot be done.
    2,
  );
}

/** The configuration, or the copy of the one that served last with what is wrong with the present one. @throws SettingsError */
async function loadFirst(
  load: () => Promise<LoadedGateway>,
  copy: string | null,
  source: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ loaded: LoadedGateway; problems: readonly string[]; wrong: readonly ConfigProblem[] }> {
  try {
    return { loaded: await load(), problems: [], wrong: [] };
  } catch (error) {
    if (copy === null || !(error instanceof SettingsError)) throw error;
    const { loadGateway } = await import('../config/gateway.ts');
    return { loaded: await loadGateway(copy, env, source), problems: error.lines, wrong: error.problems };
  }
}

function tellAddresses(gateway: RunningGateway, settings: GatewaySettings, log: Log): void {
  for (const [server, addresses] of gateway.addresses) {
    const isSecure = settings.servers.get(server)!.tls !== null;
    for (const address of addresses) log.info({ server, address: urlOf(address, isSecure) }, 'a server listens');
  }
  if (gateway.adminAddress !== null)
    log.info({ address: urlOf(gateway.adminAddress, false) }, 'health, metrics and status are at /healthz, /readyz, /metrics, /status');
}

function stepsFor(gateway: RunningGateway, settings: GatewaySettings, source: string): string[] {
  for (const [server, addresses] of gateway.addresses) {
    const { host, port } = addresses[0]!;
    const { tls } = settings.servers.get(server)!;
    const dialled = { host: host === '0.0.0.0' || host === '::' ? 'localhost' : host, port };
    return [
      'Next:',
      curlFor(urlOf(dialled, tls !== null), tls?.selfSigned === true ? gateway.developmentCa : null),
      'Change the file, and it serves as soon as it is saved. To look at it first:',
      `windlass check ${source}`,
      ...(gateway.adminAddress === null || !settings.basic.console ? [] : ['See it at work in a browser:', 'windlass console --open']),
    ];
  }
  return [];
}

function curlFor(url: string, ca: string | null): string {
  return `curl ${ca === null ? '' : `--cacert '${ca}' `}${url}/`;
}

function urlOf(address: Address, isSecure: boolean): string {
  return `${isSecure ? 'https' : 'http'}://${formatAddress(address)}`;
}
