import { countEndpoints } from '../upstream/count.ts';
import { Direct, protocolsOf } from '../upstream/direct.ts';
import { FixedUpstream } from '../upstream/fixed.ts';
import { authorities } from '../config/authorities.ts';
import type { ProxySettings } from '../config/settings.ts';
import { Front, type Running } from './front.ts';
import type { Deps } from './house.ts';

/** `windlass proxy`: the core in front of plain addresses. @throws the listen error */
export async function startProxy(settings: ProxySettings, deps: Deps): Promise<Running> {
  const front = new Front(settings, 0, deps);
  const { house } = front;
  const trust = authorities(settings.caFile);
  const endpoints = settings.to.map(
    (target) =>
      new Direct(target, {
        loop: house.loop,
        limits: settings.limits,
        connectTimeoutMs: settings.connectTimeoutMs,
        firstByteTimeoutMs: settings.firstByteTimeoutMs,
        idleTimeoutMs: settings.idleTimeoutMs,
        onAbort: 'cancel',
        cancelGraceMs: 5_000,
        drainTimeoutMs: 0,
        hostHeader: settings.hostHeader,
        ...protocolsOf(target),
        ...(trust === undefined ? {} : { trust }),
      }),
  );
  house.endpointBytes = () => endpoints.reduce((sum, endpoint) => sum + endpoint.bufferedBytes, 0);
  house.cut = () => endpoints.forEach((endpoint) => endpoint.close());
  countEndpoints(house.metrics, endpoints);
  return front.listen({
    name: 'proxy',
    behind: 'upstreams',
    guards: [],
    upstream: new FixedUpstream(endpoints),
    patienceMs: () => 0,
    timeoutMs: 0,
    traces: settings.traces,
    entry: null,
    readiness: () => ({ ok: true, detail: { state: 'serving' } }),
  });
}
