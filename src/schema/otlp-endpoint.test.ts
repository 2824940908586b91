import { expect, test } from 'vitest';
import { parseOtlpEndpoint, parseShare } from './otlp-endpoint.ts';

test.each([
  ['http://localhost:4318', 'http://localhost:4318/v1/traces'],
  ['localhost:4318', 'http://localhost:4318/v1/traces'],
  ['https://collector.example/otel/', 'https://collector.example/otel/v1/traces'],
  ['https://collector.example/v1/traces', 'https://collector.example/v1/traces'],
  // Pingap speaks gRPC to that port: HTTP is at the next one.
  ['http://127.0.0.1:4317', 'http://127.0.0.1:4318/v1/traces'],
  ['http://[::1]:4317', 'http://[::1]:4318/v1/traces'],
])('%s means %s', (given, url) => {
  expect(parseOtlpEndpoint(given).url).toBe(url);
});

test('the portions of a file of Pingap are taken over, and the rest of its query is nobody’s', () => {
  const endpoint = parseOtlpEndpoint(
    'http://u:p@localhost:4317?timeout=10s&max_queue_size=4096&scheduled_delay=250ms&max_export_batch_size=64&jaeger&compression=gzip',
  );
  expect(endpoint).toStrictEqual({
    url: 'http://localhost:4318/v1/traces',
    authorization: `Basic ${Buffer.from('u:p').toString('base64')}`,
    timeoutMs: 10_000,
    queueSize: 4_096,
    delayMs: 250,
    batchSize: 64,
  });
});

test.each([
  'ftp://localhost',
  'http://',
  'http://localhost:4318?max_queue_size=0',
  'http://localhost:4318?max_export_batch_size=x',
  'http://localhost:4318?timeout=soon',
])('%s is none', (given) => {
  expect(() => parseOtlpEndpoint(given)).toThrow();
});

test.each([
  ['0', 0],
  ['1', 1],
  ['0.01', 0.01],
  ['.5', 0.5],
  ['1%', 0.01],
  ['100%', 1],
])('a share of %s is %d', (given, value) => {
  expect(parseShare(given)).toBeCloseTo(value);
});

test.each(['', '2', '-1', '101%', 'half', '1e3'])('%j is no share', (given) => {
  expect(() => parseShare(given)).toThrow('is no share');
});
