import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Counter, type Family, Registry } from './metrics.ts';
import { LABEL_SETS } from './limits.ts';
import { addProcessMetrics } from './process.ts';

test('counters, gauges and computed values are rendered with help and type', () => {
  const metrics = new Registry();
  const requests = metrics.counters('windlass_requests_total', 'Requests, by status.', ['status']);
  requests.with('200').value += 3;
  requests.with('503').value++;
  metrics.gauge('windlass_in_flight', 'Now.').value = 2;
  metrics.computedGauge('windlass_ratio', 'A "help" with \\ and\nnewline.', () => 0.5);
  metrics.computed('gauge', 'windlass_slots', 'Slots.', ['state'], (emit) => {
    emit(1, 'free');
    emit(2, 'busy');
  });
  expect(metrics.render()).toBe(`# HELP windlass_requests_total Requests, by status.
# TYPE windlass_requests_total counter
windlass_requests_total{status="200"} 3
windlass_requests_total{status="503"} 1
# HELP windlass_in_flight Now.
# TYPE windlass_in_flight gauge
windlass_in_flight 2
# HELP windlass_ratio A "help" with \\\\ and\\nnewline.
# TYPE windlass_ratio gauge
windlass_ratio 0.5
# HELP windlass_slots Slots.
# TYPE windlass_slots gauge
windlass_slots{state="free"} 1
windlass_slots{state="busy"} 2
`);
});

test('a histogram is rendered as cumulative buckets, sum and count', () => {
  const metrics = new Registry();
  const waits = metrics.histograms('w', 'Waits.', ['pool'], [0.1, 1]).with('a');
  for (const value of [0.1, 0.5, 1, 7]) waits.observe(value);
  expect(metrics.render()).toBe(`# HELP w Waits.
# TYPE w histogram
w_bucket{pool="a",le="0.1"} 1
w_bucket{pool="a",le="1"} 3
w_bucket{pool="a",le="+Inf"} 4
w_sum{pool="a"} 8.6
w_count{pool="a"} 4
`);
});

test('buckets count every observed value once, in the bucket it belongs to', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 20, noNaN: true }), { maxLength: 200 }), (values) => {
      const bounds = [0.5, 1, 2, 4, 8, 16];
      const histogram = new Registry().histogram('h', 'x', bounds);
      for (const value of values) histogram.observe(value);
      let below = 0;
      for (let i = 0; i < bounds.length; i++) {
        below += histogram.counts[i]!;
        expect(below).toBe(values.filter((value) => value <= bounds[i]!).length);
      }
      expect(histogram.counts.reduce((a, b) => a + b, 0)).toBe(values.length);
    }),
  );
});

test('the same label values are the same member', () => {
  const family = new Registry().counters('c', 'x', ['a', 'b']);
  expect(family.with('1', '2')).toBe(family.with('1', '2'));
  expect(family.with('1', '2')).not.toBe(family.with('2', '1'));
});

test('label values are read back as they were, whatever stands in them [threat 59]', () => {
  const text = fc.oneof(
    fc.string({ unit: fc.constantFrom('"', '\\', '\n', ',', '}', '=', 'n', 'ü', ' ') }),
    fc.constantFrom('__proto__', 'constructor', 'toString'),
  );
  fc.assert(
    fc.property(text, text, (a, b) => {
      const metrics = new Registry();
      metrics.gauges('g', 'x', ['a', 'b']).with(a, b).value = 1;
      const line = metrics.render().split('\n')[2]!;
      const parts = /^g\{a="((?:[^"\\]|\\.)*)",b="((?:[^"\\]|\\.)*)"\} 1$/.exec(line)!;
      const back = (value: string): string => value.replaceAll(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
      expect([back(parts[1]!), back(parts[2]!)]).toEqual([a, b]);
    }),
  );
});

test('control characters in label values never reach a terminal [threat 61]', () => {
  const metrics = new Registry();
  metrics.gauges('g', 'x', ['a']).with('\u001b[2J\r\u009b').value = 1;
  expect(metrics.render()).toContain('g{a="\ufffd[2J\ufffd\ufffd"} 1');
});

test('label sets are bounded: the rest is counted as other', () => {
  const metrics = new Registry();
  const family = metrics.counters('c', 'x', ['path'], 2);
  for (let i = 0; i < 100; i++) family.with(`/${i}`).value++;
  expect(metrics.render().split('\n').slice(2, -1)).toEqual(['c{path="/0"} 1', 'c{path="/1"} 1', 'c{path="other"} 98']);
});

test('a metric has so many label sets unless it says otherwise, whether they are counted or computed', () => {
  const metrics = new Registry();
  const family = metrics.counters('c', 'x', ['path']);
  metrics.computed('counter', 'd', 'x', ['path'], (emit) => {
    for (let i = 0; i < LABEL_SETS + 1; i++) emit(1, `/${i}`);
  });
  for (let i = 0; i < LABEL_SETS; i++) family.with(`/${i}`).value++;
  expect(metrics.render()).not.toContain('c{path="other"}');
  for (let i = LABEL_SETS; i < LABEL_SETS + 5; i++) family.with(`/${i}`).value++;
  const lines = metrics.render().split('\n');
  expect(lines).toContain('c{path="other"} 5');
  for (const name of ['c', 'd']) expect([name, lines.filter((line) => line.startsWith(`${name}{path="/`)).length]).toEqual([name, LABEL_SETS]);
});

test('not a number and infinities are written as Prometheus reads them', () => {
  const metrics = new Registry();
  metrics.computed('gauge', 'g', 'x', ['k'], (emit) => {
    emit(Number.NaN, 'a');
    emit(Infinity, 'b');
    emit(-Infinity, 'c');
    emit(1e21, 'd');
  });
  expect(metrics.render().split('\n').slice(2, -1)).toEqual(['g{k="a"} NaN', 'g{k="b"} +Inf', 'g{k="c"} -Inf', 'g{k="d"} 1e+21']);
});

test('mistakes in names are found when the metric is made', () => {
  const metrics = new Registry();
  metrics.counter('ok_total', 'x');
  expect(() => metrics.counters('ok_total', 'x', ['a'])).toThrow('exists already');
  expect(() => metrics.gauge('ok_total', 'x')).toThrow('exists already');
  expect(() => metrics.computedGauge('ok_total', 'x', () => 1)).toThrow('exists already');
  expect(() => metrics.counter('not ok', 'x')).toThrow('not a metric name');
  expect(() => metrics.counters('c', 'x', ['le'])).toThrow('not a label name');
  expect(() => metrics.counters('c', 'x', ['__name__'])).toThrow('not a label name');
  expect(() => metrics.counters('c', 'x', ['a', 'a'])).toThrow('twice');
  expect(() => metrics.histogram('h', 'x', [2, 1])).toThrow('do not ascend');
  expect(() => metrics.counters('d', 'x', ['a']).with()).toThrow('1 labels, not 0');
});

test('the process says its version, CPU, memory, descriptors and event loop', () => {
  const metrics = new Registry();
  const watch = addProcessMetrics(metrics, '1.2.3');
  const text = metrics.render();
  watch.close();
  expect(text).toContain(`windlass_build_info{version="1.2.3",node="${process.version}"} 1\n`);
  for (const sample of [
    'windlass_process_uptime_seconds',
    'windlass_process_cpu_seconds_total{mode="user"}',
    'windlass_process_memory_bytes{kind="resident"}',
    'windlass_process_open_fds',
    'windlass_process_max_fds',
    'windlass_event_loop_delay_seconds{quantile="0.99"}',
    'windlass_event_loop_utilization',
  ]) {
    expect(text).toMatch(new RegExp(`^${sample.replaceAll(/[{}.]/g, '\\$&')} \\d`, 'm'));
  }
});

test('several of a kind count into one family', () => {
  const metrics = new Registry();
  const ask = (): Family<Counter> => metrics.counters('ours_total', 'x', ['plugin']);
  ask().with('a').value++;
  ask().with('b').value += 2;
  expect(metrics.render()).toContain('ours_total{plugin="a"} 1\nours_total{plugin="b"} 2\n');
});
