import type { Registry } from '../observe/metrics.ts';
import { Direct } from './direct.ts';
import type { Member } from './member.ts';
import type { Upstreams } from './upstreams.ts';

/** Adds what is known of every member of every upstream to the metrics. Each has as many series as the registry allows; further ones are left out. */
export function countUpstreams(registry: Registry, upstreams: Upstreams): void {
  const each = (type: 'counter' | 'gauge', name: string, help: string, read: (member: Member) => number): void => {
    registry.computed(type, name, help, ['upstream', 'endpoint'], (emit) => {
      for (const group of upstreams.groups) for (const member of group.members.values()) emit(read(member), group.name, member.id);
    });
  };
  const ofDirect =
    (read: (direct: Direct) => number) =>
    ({ endpoint }: Member): number =>
      endpoint instanceof Direct ? read(endpoint) : 0;
  each('gauge', 'windlass_upstream_endpoint_up', 'May an endpoint get requests (1), or is it left out (0)?', ({ usable }) => (usable ? 1 : 0));
  each('counter', 'windlass_upstream_requests_total', 'Attempts made at an endpoint.', ({ requests }) => requests);
  each('counter', 'windlass_upstream_failures_total', 'Attempts that failed, by status or without an answer.', ({ failures }) => failures);
  each('gauge', 'windlass_upstream_in_flight', 'Attempts under way at an endpoint.', ({ inFlight }) => inFlight);
  each('gauge', 'windlass_upstream_breaker_state', 'Circuit breaker of an endpoint: 0 closed, 1 half open, 2 open.', ({ breaker: { state } }) =>
    state === 'closed' ? 0 : state === 'half_open' ? 1 : 2,
  );
  each('counter', 'windlass_upstream_breaker_opened_total', 'How often the circuit breaker of an endpoint opened.', ({ breaker }) => breaker.opened);
  each('counter', 'windlass_upstream_ejections_total', 'How often an endpoint was left out for failing in a row.', ({ ejection }) => ejection.times);
  each(
    'gauge',
    'windlass_upstream_connections',
    'Connections to an endpoint, idle ones included.',
    ofDirect(({ connections }) => connections),
  );
  each(
    'counter',
    'windlass_upstream_connects_total',
    'Connections opened to an endpoint.',
    ofDirect(({ counts }) => counts.connects),
  );
  each(
    'counter',
    'windlass_upstream_connect_failures_total',
    'Connections that could not be opened.',
    ofDirect(({ counts }) => counts.connectFailures),
  );
  each(
    'counter',
    'windlass_upstream_reuses_total',
    'Requests sent over a connection that was open already.',
    ofDirect(({ counts }) => counts.reuses),
  );
}

/** The same of a program whose upstreams have no names. Several may be one address: they are counted together. */
export function countEndpoints(registry: Registry, endpoints: readonly Direct[]): void {
  const each = (type: 'counter' | 'gauge', name: string, help: string, read: (direct: Direct) => number): void => {
    registry.computed(type, name, help, ['endpoint'], (emit) => {
      const sums = new Map<string, number>();
      for (const direct of endpoints) sums.set(direct.id, (sums.get(direct.id) ?? 0) + read(direct));
      for (const [id, sum] of sums) emit(sum, id);
    });
  };
  each('gauge', 'windlass_upstream_connections', 'Connections to an endpoint, idle ones included.', ({ connections }) => connections);
  each('counter', 'windlass_upstream_connects_total', 'Connections opened to an endpoint.', ({ counts }) => counts.connects);
  each('counter', 'windlass_upstream_connect_failures_total', 'Connections that could not be opened.', ({ counts }) => counts.connectFailures);
  each('counter', 'windlass_upstream_reuses_total', 'Requests sent over a connection that was open already.', ({ counts }) => counts.reuses);
  each(
    'counter',
    'windlass_cancel_grace_expired_total',
    'Cancelled requests whose upstream did not stop in time and was reset.',
    ({ counts }) => counts.cancelsExpired,
  );
}
