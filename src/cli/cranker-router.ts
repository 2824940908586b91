import { crankerRouterSettings, crankerRouterTable, type CrankerRouterSettings } from '../config/cranker-router.ts';
import { formatAddress, isLoopback, type Address } from '../schema/address.ts';
import type { Log } from '../observe/log.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import { logFor, nextStep, runUntilSignal, warnOfArguments } from './start.ts';

export async function run(invocation: Invocation): Promise<number> {
  const { world } = invocation;
  const { values, sources } = await settingsOf(crankerRouterTable, invocation);
  const settings = crankerRouterSettings(values);
  const log = logFor(settings, world);
  warnOfArguments(crankerRouterTable, sources, log);
  warnOfRisks(settings, log);
  return runUntilSignal(
    async () => {
      const { startCrankerRouter } = await import('../hub/cranker-router.ts');
      const router = await startCrankerRouter(settings, { log });
      const clients = settings.tls === null ? 'http' : 'https';
      const tls = settings.registration === null ? settings.tls : settings.registration.tls;
      const sockets = tls === null ? 'ws' : 'wss';
      log.info({ address: `${clients}://${formatAddress(router.address)}` }, 'the router listens for applications');
      log.info(
        { address: `${sockets}://${formatAddress(router.registrationAddress)}/register`, protocols: [...settings.spoken].join(',') },
        'connectors register at',
      );
      if (router.adminAddress !== null)
        log.info(
          { address: `http://${formatAddress(router.adminAddress)}` },
          'health and metrics are at /health, /health/connectors, /api/registrations, /readyz, /metrics',
        );
      nextStep(
        [
          'Next, let a connector register, for instance:',
          `windlass agent run --wire cranker --route my-service --hub ${sockets}://${dialled(router.registrationAddress)} --upstream localhost:3000`,
          'Then ask it through the router:',
          `curl ${clients}://${dialled(router.address)}/my-service/`,
        ],
        settings,
        world,
      );
      return router;
    },
    settings,
    log,
    world,
  );
}

function warnOfRisks(settings: CrankerRouterSettings, log: Log): void {
  const host = settings.registration?.host ?? settings.host;
  if (settings.auth === 'none' && settings.registrationFrom === null && !isLoopback(host))
    log.warn(
      {},
      'whoever reaches the registration port may register any route and get its requests; set --registration-auth token, or --registration-from',
    );
  if (settings.adminAddr !== null && !isLoopback(settings.adminAddr.host))
    log.warn({}, `metrics and dark mode are open to whoever reaches ${formatAddress(settings.adminAddr)}; they need no password`);
}

/** As somebody on this machine would dial it. */
function dialled({ host, port }: Address): string {
  return formatAddress({ host: host === '0.0.0.0' || host === '::' ? 'localhost' : host, port });
}
