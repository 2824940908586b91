import { Direct } from '../upstream/direct.ts';
import { FixedUpstream } from '../upstream/fixed.ts';
import { authorities } from '../config/authorities.ts';
import type { ProxySettings } from '../config/settings.ts';
import { type Deps, Front, type Running } from './front.ts';

/** `windlass proxy`: the core in front of plain addresses. @throws the listen error */
export async function startProxy(settings: ProxySettings, deps: Deps): Promise<Running> {
  const front = new Front(settings, deps);
  const trust = authorities(settings.caFile);
  const endpoints = settings.to.map(
    (target) =>
      new Direct(target, {
        loop: front.loop,
        limits: settings.limits,
        connectTimeoutMs: settings.connectTimeoutMs,
        firstByteTimeoutMs: settings.firstByteTimeoutMs,
        idleTimeoutMs: settings.idleTimeoutMs,
        onAbort: 'cancel',
        cancelGraceMs: 5_000,
        drainTimeoutMs: 0,
        hostHeader: settings.hostHeader,
        ...(trust === undefined ? {} : { trust }),
      }),
  );
  front.endpointBytes = () => endpoints.reduce((sum, endpoint) => sum + endpoint.bufferedBytes, 0);
  front.cut = () => endpoints.forEach((endpoint) => endpoint.close());
  front.metrics.computed('gauge', 'windlass_upstream_connections', 'Connections to upstreams, idle ones included.', ['endpoint'], (emit) => {
    for (const endpoint of endpoints) emit(endpoint.connections, endpoint.id);
  });
  front.metrics.computed('counter', 'windlass_upstream_connects_total', 'Connections opened to upstreams.', ['endpoint'], (emit) => {
    for (const endpoint of endpoints) emit(endpoint.counts.connects, endpoint.id);
  });
  return front.listen(
    {
      guards: [],
      upstream: new FixedUpstream(endpoints),
      patienceMs: () => 0,
      concurrent: 0,
      entryWaitMs: 0,
      entryQueue: 0,
      queueBytes: 0,
      timeoutMs: 0,
    },
    () => ({ ok: true, detail: { state: 'serving' } }),
  );
}
