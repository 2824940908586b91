import { proxySettings, proxyTable } from '../config/proxy.ts';
import { formatAddress } from '../schema/address.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import { logFor, nextStep, runUntilSignal, warnOfArguments } from './start.ts';

export async function run(invocation: Invocation): Promise<number> {
  const { world } = invocation;
  const { values, sources } = await settingsOf(proxyTable, invocation);
  const settings = proxySettings(values);
  const log = logFor(settings, world);
  warnOfArguments(proxyTable, sources, log);
  return runUntilSignal(
    async () => {
      const { startProxy } = await import('../hub/direct.ts');
      const proxy = await startProxy(settings, { log });
      const { host, port } = proxy.address;
      const scheme = settings.tls === null ? 'http' : 'https';
      log.info({ address: `${scheme}://${formatAddress(proxy.address)}`, to: settings.to.map((to) => to.shown).join(',') }, 'the proxy listens');
      if (proxy.adminAddress !== null)
        log.info({ address: `http://${formatAddress(proxy.adminAddress)}` }, 'health and metrics are at /healthz, /readyz, /metrics');
      nextStep(
        ['Next:', `curl ${scheme}://${formatAddress({ host: host === '0.0.0.0' || host === '::' ? 'localhost' : host, port })}/`],
        settings,
        world,
      );
      return proxy;
    },
    settings,
    log,
    world,
  );
}
