import { expect, test } from 'vitest';
import { readMetrics, valueOf } from '../../test/kit/exposition.ts';
import { Notes } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { Registry } from '../observe/metrics.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { TALLIES } from './limits.ts';
import { ProxyMetrics } from './metrics.ts';
import type { LocationTally } from './tally.ts';

function world() {
  const registry = new Registry();
  const metrics = new ProxyMetrics(registry);
  return {
    metrics,
    end: (location: LocationTally, upstream: string | null, status = 200, notes: Partial<Notes> = {}): void => {
      const to = upstream === null ? null : ({ name: upstream } as Upstream);
      metrics.finished(location, to, Object.assign(new Notes(0), notes), status, 5);
    },
    page: () => readMetrics(registry.render()),
  };
}

test('whatever goes where it does not usually go is counted as going there', () => {
  const { metrics, end, page } = world();
  const location = metrics.tally('web', 'all', 'one');
  end(location, 'one');
  end(location, 'two', 502, { failure: new Failure('upstream_reset', 'x') });
  end(location, null, 413);
  const of = (upstream: string, code: string): number => valueOf(page(), 'windlass_location_requests_total', { upstream, code });
  expect([of('one', '2xx'), of('two', '5xx'), of('-', '4xx')]).toEqual([1, 1, 1]);
  expect(valueOf(page(), 'windlass_failures_total', { code: 'upstream_reset' })).toBe(1);
});

test('the time until an answer begins is that of our own answers too, so that a service that is silent is seen there, and not of those who have left', () => {
  const { metrics, end, page } = world();
  const location = metrics.tally('web', 'all', 'one');
  end(location, 'one', 200, { firstByteMs: 2 });
  end(location, 'one', 504, { failure: new Failure('first_byte_timeout', 'x') });
  end(location, 'one', 499, { failure: new Failure('client_gone', 'x') });
  expect(valueOf(page(), 'windlass_first_byte_seconds_count')).toBe(2);
  expect(valueOf(page(), 'windlass_first_byte_seconds_sum')).toBe(0.007);
});

test('statuses that are none are errors of ours', () => {
  const { metrics, end, page } = world();
  const location = metrics.tally('web', 'all', 'one');
  for (const status of [0, 99, 600, 999]) end(location, 'one', status);
  end(location, 'one', 101);
  expect(valueOf(page(), 'windlass_requests_total', { code: '5xx' })).toBe(4);
  expect(valueOf(page(), 'windlass_requests_total', { code: '1xx' })).toBe(1);
});

test('locations without end are counted one by one up to a bound, and then together', () => {
  const { metrics, end, page } = world();
  const all = Array.from({ length: TALLIES + 50 }, (_, i) => metrics.tally('web', `l${i}`, 'one'));
  for (const one of all) end(one, 'one');
  // Nor can the upstreams that requests choose grow it.
  for (let i = 0; i < 100; i++) end(all[0]!, `chosen-${i}`);
  const read = page();
  const counted = read.samples.filter(({ name, labels }) => name === 'windlass_location_requests_total' && labels.get('code') === '2xx');
  expect(counted.length).toBeLessThanOrEqual(TALLIES + 2);
  expect(valueOf(read, 'windlass_location_requests_total', { server: 'other', code: '2xx' })).toBe(50);
  expect(valueOf(read, 'windlass_location_requests_total', { location: 'l0', upstream: 'other', code: '2xx' })).toBe(100);
  expect(valueOf(read, 'windlass_requests_total', { code: '2xx' })).toBe(TALLIES + 150);
});

test.each(['other', '-'])('a location and an upstream that are called %s do not make a series twice', (name) => {
  const { metrics, end, page } = world();
  const named = metrics.tally(name, name, name);
  const nowhere = metrics.tally(name, '', '');
  for (const location of [named, nowhere]) {
    end(location, name);
    end(location, '');
    end(location, null);
  }
  expect(page().samples.length).toBeGreaterThan(0);
  expect(valueOf(page(), 'windlass_requests_total', { code: '2xx' })).toBe(6);
});

test('what is gone stays in the sums, also what ends only later', () => {
  const { metrics, end, page } = world();
  const stays = metrics.tally('web', 'a', 'one');
  const goes = metrics.tally('web', 'b', 'two');
  end(stays, 'one');
  end(goes, 'two');
  goes.inFlight++;
  metrics.keepOnly(new Set([stays]), (upstream) => upstream === 'one');
  expect(page().samples.some(({ labels }) => labels.get('location') === 'b' || labels.get('upstream') === 'two')).toBe(false);
  expect([metrics.inFlight, metrics.total().requests]).toEqual([1, 2]);
  goes.inFlight--;
  end(goes, 'two');
  expect([metrics.inFlight, metrics.total().requests]).toEqual([0, 3]);
  expect(metrics.total().requests).toBe(3);
  // One of that name that comes back begins anew.
  const again = metrics.tally('web', 'b', 'two');
  end(again, 'two');
  expect(valueOf(page(), 'windlass_location_requests_total', { location: 'b', code: '2xx' })).toBe(1);
  expect(metrics.total().requests).toBe(4);
});
