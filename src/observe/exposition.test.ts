import { expect, test } from 'vitest';
import { expositionFor } from './exposition.ts';
import { Registry } from './metrics.ts';

test.each([
  ['', 'prometheus'],
  ['*/*', 'prometheus'],
  ['text/plain', 'prometheus'],
  ['application/openmetrics-text', 'openmetrics'],
  ['application/openmetrics-text; version="1.0.0"', 'openmetrics'],
  ['Application/OpenMetrics-Text;version=1.0.0;q=0.5,text/plain;q=0.4', 'openmetrics'],
  ['application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.5', 'prometheus'],
  ['application/openmetrics-text;version=2.0.0,text/plain', 'prometheus'],
  ['application/openmetrics-text;q=0', 'prometheus'],
  ['application/openmetrics-text;q=x', 'prometheus'],
  ['application/vnd.google.protobuf;q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3', 'openmetrics'],
])('who accepts "%s" gets %s', (accept, format) => {
  expect(expositionFor(accept)).toBe(format);
});

test('OpenMetrics calls a counter by its name without _total, writes whole bounds with a point, and ends', () => {
  const metrics = new Registry();
  metrics.counters('w_requests_total', 'Say "hello".', ['code']).with('2xx').value = 3;
  metrics.histogram('w_seconds', 'Times.', [0.5, 1]).observe(0.7);
  metrics.gauge('w_now', 'Now.');
  expect(metrics.render('openmetrics')).toBe(`# HELP w_requests Say \\"hello\\".
# TYPE w_requests counter
w_requests_total{code="2xx"} 3
# HELP w_seconds Times.
# TYPE w_seconds histogram
w_seconds_bucket{le="0.5"} 0
w_seconds_bucket{le="1.0"} 1
w_seconds_bucket{le="+Inf"} 1
w_seconds_sum 0.7
w_seconds_count 1
# HELP w_now Now.
# TYPE w_now gauge
w_now 0
# EOF
`);
});

test('a counter whose name another metric has already keeps its whole name', () => {
  const metrics = new Registry();
  metrics.gauge('w_things', 'Things now.');
  metrics.counter('w_things_total', 'Things ever.');
  metrics.counter('w_oddly_named', 'A counter of somebody else.');
  const text = metrics.render('openmetrics');
  expect(text).toContain('# TYPE w_things gauge\nw_things 0\n');
  expect(text).toContain('# TYPE w_things_total unknown\nw_things_total 0\n');
  expect(text).toContain('# TYPE w_oddly_named unknown\nw_oddly_named 0\n');
});
