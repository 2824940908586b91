import { expect, test } from 'vitest';
import { parseOtlpEndpoint } from '../schema/otlp-endpoint.ts';
import { systemClock } from '../std/clock.ts';
import { type Said, startCollector } from '../../test/kit/collector.ts';
import { kit } from '../../test/kit/kit.ts';
import { MemoryLog } from '../../test/kit/tunnel.ts';
import { until } from '../../test/kit/until.ts';
import { otlpHeaders, OtlpExporter } from './otlp.ts';
import { SERVER, type Spans } from './span.ts';

const on = kit();

async function start(script: readonly Said[], query = '?scheduled_delay=1ms', random = (): number => 0) {
  const collector = await startCollector(on, script);
  const log = new MemoryLog();
  const exporter = new OtlpExporter({
    endpoint: parseOtlpEndpoint(`http://user:pass@127.0.0.1:${collector.port}${query}`),
    resource: { 'service.name': 'shop' },
    headers: otlpHeaders('x-key=a%20b,=none,bad name=1,broken=%zz'),
    log,
    clock: systemClock,
    random,
  });
  on.later(() => exporter.destroy());
  return { collector, log, exporter };
}

function span(name: string, count = 1): Spans {
  const one = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    parentId: '',
    state: 'a=1',
    flags: 1,
    name,
    kind: SERVER,
    startMs: 1_700_000_000_000.123,
    endMs: 1_700_000_000_001.5,
    attributes: { text: 'x', whole: 3, part: 0.5, yes: true, list: ['a', 'b'] },
    error: 'refused',
  } as const;
  return { count, make: () => Array.from({ length: count }, () => one) };
}

test('spans arrive as OTLP over HTTP wants them, with the fields and the user that were given', async () => {
  const { collector, exporter } = await start([]);
  exporter.add(span('one'));
  const [seen] = await collector.seen(1);
  expect(seen).toStrictEqual({
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    parentSpanId: '',
    traceState: 'a=1',
    name: 'one',
    kind: 2,
    startNanos: 1_700_000_000_000_123_000n,
    endNanos: 1_700_000_000_001_500_000n,
    attributes: { text: 'x', whole: 3, part: 0.5, yes: true, list: ['a', 'b'] },
    error: 'refused',
    service: 'shop',
  });
  expect(collector.requests[0]).toMatchObject({
    path: '/v1/traces',
    headers: { 'content-type': 'application/json', 'x-key': 'a b', authorization: `Basic ${Buffer.from('user:pass').toString('base64')}` },
  });
  await until('counted', () => exporter.sent === 1);
});

test('a portion goes when it is full, and what is left over goes after its delay', async () => {
  const { collector, exporter } = await start([], '?scheduled_delay=1ms&max_export_batch_size=2');
  for (const name of ['a', 'b', 'c', 'd', 'e']) exporter.add(span(name));
  await collector.seen(5);
  expect(collector.requests.map(({ body }) => body.match(/"traceId"/g)!.length)).toStrictEqual([2, 2, 1]);
});

test('spans of one request stay together, and fill a portion as far as they fit', async () => {
  const { collector, exporter } = await start([], '?scheduled_delay=1ms&max_export_batch_size=4&max_queue_size=10');
  for (const count of [2, 1, 3, 1]) exporter.add(span('x', count));
  exporter.add(span('one too many', 4));
  expect([exporter.waiting, exporter.dropped]).toStrictEqual([7, 4]);
  await collector.seen(7);
  expect(collector.requests.map(({ body }) => body.match(/"traceId"/g)!.length)).toStrictEqual([3, 4]);
  await until('counted', () => exporter.sent === 7);
});

test.each([429, 502, 503, 504])('after a %d the same portion is sent again', async (status) => {
  const { collector, exporter } = await start([status, [status, { 'retry-after': '0' }]]);
  exporter.add(span('one'));
  await collector.seen(1);
  expect(collector.requests).toHaveLength(3);
  expect(new Set(collector.requests.map(({ body }) => body)).size).toBe(1);
  await until('counted', () => exporter.sent === 1);
  expect([exporter.failures, exporter.dropped]).toStrictEqual([2, 0]);
});

test('what the collector refuses for good is dropped at once, counted, and told of', async () => {
  const { collector, exporter, log } = await start([400]);
  exporter.add(span('one'));
  await until('dropped', () => exporter.dropped === 1);
  exporter.add(span('two'));
  await collector.seen(1);
  expect(collector.named('two').name).toBe('two');
  expect(log.at('warn')).toStrictEqual(['traces could not be sent to the collector']);
});

test('a portion that fails again and again is dropped, and the next is tried', async () => {
  const { collector, exporter, log } = await start([503, 503, 503, 503, 503]);
  exporter.add(span('one'));
  await until('dropped', () => exporter.dropped === 1);
  expect(collector.requests).toHaveLength(5);
  // One line, not five.
  expect(log.at('warn')).toHaveLength(1);
  exporter.add(span('two'));
  await collector.seen(1);
});

test('a collector that says nothing holds up nobody: what does not fit in the queue is dropped and counted', async () => {
  const { collector, exporter } = await start(['hang'], '?scheduled_delay=0s&max_queue_size=3&timeout=1h');
  exporter.add(span('first'));
  await until('asked', () => collector.requests.length === 1);
  for (let i = 0; i < 10; i++) exporter.add(span('more'));
  expect([exporter.waiting, exporter.dropped]).toStrictEqual([3, 7]);
});

test('a collector that is not there costs one line, and close() does not wait for it', async () => {
  const { collector, exporter, log } = await start([], '?scheduled_delay=0s', () => 1);
  await new Promise((resolve) => collector.server.close(resolve));
  exporter.add(span('one'));
  await until('tried', () => exporter.failures === 1);
  await exporter.close();
  expect(exporter.dropped).toBe(1);
  expect(log.lines.map(({ fields }) => fields)).toMatchObject([{ reason: 'ECONNREFUSED' }]);
  expect(JSON.stringify(log.lines)).not.toContain('pass');
});

test('close() sends what is left', async () => {
  const { collector, exporter } = await start([], '?scheduled_delay=1h');
  exporter.add(span('last'));
  await exporter.close();
  expect(collector.spans.map(({ name }) => name)).toStrictEqual(['last']);
  exporter.add(span('too late'));
  expect(exporter.dropped).toBe(1);
});
