import { randomBytes } from 'node:crypto';
import { hubSettings, hubTable } from '../config/hub.ts';
import type { HubSettings } from '../config/settings.ts';
import { formatAddress, isLoopback, type Address } from '../schema/address.ts';
import type { Log } from '../observe/log.ts';
import { LogRing } from '../observe/log-ring.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import { defaultStateDir } from './state-dir.ts';
import { logFor, nextStep, runUntilSignal, warnOfArguments } from './start.ts';

export async function run(invocation: Invocation): Promise<number> {
  const { world } = invocation;
  const { values, sources } = await settingsOf(hubTable, invocation);
  const settings = hubSettings(values, () => randomBytes(4).toString('hex'));
  const lines = new LogRing();
  const log = lines.beside(logFor(settings, world));
  warnOfArguments(hubTable, sources, log);
  warnOfRisks(settings, log);
  return runUntilSignal(
    async () => {
      const { startHub } = await import('../hub/hub.ts');
      const stateDir = sources.get('stateDir')!.level === 'default' ? defaultStateDir(world.env) : values.stateDir;
      const hub = await startHub(settings, { log, lines, stateDir });
      log.info({ address: urlOf(hub.address, settings.tls !== null), hub: settings.hubId }, 'the hub listens for applications and agents');
      if (hub.adminAddress !== null) log.info({ address: urlOf(hub.adminAddress, false) }, 'health and metrics are at /healthz, /readyz, /metrics');
      const scheme = settings.tls === null ? 'http' : 'https';
      nextStep(
        [
          'Next, a token for an agent:',
          'windlass hub register --secret-file FILE',
          'Beside your service:',
          `windlass agent run --token-file FILE --hub ${settings.tls === null ? '' : 'https://'}${dialled(hub.address)} --upstream localhost:3000`,
          'Then ask it through the hub:',
          `curl ${settings.appPassword === null ? '' : "-H 'Slime-App-Password: …' "}${scheme}://${dialled(hub.address)}/`,
          ...(hub.adminAddress === null || !settings.console ? [] : ['See it at work in a browser:', 'windlass console --open']),
        ],
        settings,
        world,
      );
      return hub;
    },
    settings,
    log,
    world,
  );
}

/** A secret that can be guessed offline by who holds one token is none. 16 characters of anything sensible cannot. */
const SECRET_CHARS_MIN = 16;

function warnOfRisks(settings: HubSettings, log: Log): void {
  if (settings.appPassword === null && !isLoopback(settings.host)) {
    log.warn({}, `no app password: whoever reaches port ${settings.port} may use your agents; set --app-password-file, or --host 127.0.0.1`);
  }
  if (settings.secrets.some((secret) => secret.length < SECRET_CHARS_MIN)) {
    log.warn({}, `a secret is shorter than ${SECRET_CHARS_MIN} characters: who holds a token can guess it; make one with openssl rand -hex 32`);
  }
  if (settings.adminAddr !== null && !isLoopback(settings.adminAddr.host)) {
    log.warn({}, `metrics are open to whoever reaches ${formatAddress(settings.adminAddr)}; they need no password`);
  }
}

function urlOf(address: Address, isSecure: boolean): string {
  return `${isSecure ? 'https' : 'http'}://${formatAddress(address)}`;
}

/** As somebody on this machine would dial it. */
function dialled({ host, port }: Address): string {
  return formatAddress({ host: host === '0.0.0.0' || host === '::' ? 'localhost' : host, port });
}
