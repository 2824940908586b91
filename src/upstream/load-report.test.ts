import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LOAD_MOST, LOAD_REPORT_CHARACTERS } from './limits.ts';
import { loadInTrailers, reportedLoad, reportedLoadBinary, withoutReports } from './load-report.ts';

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (field << 3) | 1;
  bytes.writeDoubleLE(value, 1);
  return bytes;
}

function named(field: number, key: string, value: number): Buffer {
  const entry = Buffer.concat([Buffer.from([0x0a, key.length]), Buffer.from(key), double(2, value)]);
  return Buffer.concat([Buffer.from([(field << 3) | 2, entry.length]), entry]);
}

function base64(...parts: Buffer[]): string {
  return Buffer.concat(parts).toString('base64');
}

test.each([
  ['TEXT cpu_utilization=0.3', 0.3],
  ['TEXT cpu_utilization=0.3, mem_utilization=0.8, rps_fractional=10', 0.3],
  ['TEXT cpu_utilization=0.3,application_utilization=0.6', 0.6],
  ['text application_utilization=0,cpu_utilization=0.25', 0.25],
  ['TEXT named_metrics.load=0.4,utilization.disk=0.9', 0.4],
  ['TEXT named_metrics.load=0.4,cpu_utilization=0.1', 0.1],
  ['TEXT cpu_utilization=0', 0],
  ['TEXT cpu_utilization=1.5', 1.5],
  ['TEXT cpu_utilization=2.5e-1', 0.25],
  ['JSON {"cpu_utilization": 0.3, "mem_utilization": 0.8}', 0.3],
  ['JSON {"applicationUtilization": 0.5, "cpuUtilization": 0.1}', 0.5],
  ['JSON {"namedMetrics": {"load": "0.75"}}', 0.75],
  ['JSON {"cpu_utilization": null, "named_metrics": {"load": 0.5}}', 0.5],
  [`BIN ${base64(double(1, 0.5))}`, 0.5],
])('%s is a load of %d', (value, load) => {
  expect(reportedLoad(value)).toBe(load);
});

test.each([
  '',
  'cpu_utilization=0.3',
  'TEXT',
  'TEXT mem_utilization=0.8',
  'TEXT cpu_utilization',
  'TEXT cpu_utilization=',
  'TEXT cpu_utilization=NaN',
  'TEXT cpu_utilization=-0.1',
  'TEXT cpu_utilization=Infinity',
  'TEXT cpu_utilization=1e300',
  `TEXT cpu_utilization=${LOAD_MOST + 0.1}`,
  'TEXT cpu_utilization=0x1',
  'TEXT cpu_utilization=50%',
  'TEXT application_utilization=0.5,cpu_utilization=-1',
  'JSON',
  'JSON {',
  'JSON null',
  'JSON [1]',
  'JSON {"cpu_utilization": true}',
  'JSON {"cpu_utilization": "NaN"}',
  'JSON {"cpu_utilization": -1}',
  'JSON {"named_metrics": [0.5]}',
  'YAML cpu_utilization=0.3',
  `TEXT ${'x=1,'.repeat(LOAD_REPORT_CHARACTERS / 4)}cpu_utilization=0.3`,
])('%s says nothing that can be believed', (value) => {
  expect(reportedLoad(value)).toBeNull();
});

test('a report in protobuf is read, whatever else is in it', () => {
  const others = [
    double(2, 0.9),
    Buffer.from([0x18, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    named(4, 'cost', 3),
    named(5, 'load', 0.7),
    Buffer.from([0x55, 1, 2, 3, 4]),
  ];
  expect(reportedLoadBinary(base64(double(1, 0.25), ...others))).toBe(0.25);
  expect(reportedLoadBinary(base64(...others, double(9, 0.5), double(1, 0.25)))).toBe(0.5);
  expect(reportedLoadBinary(base64(...others, named(8, 'other', 0.5), named(8, 'load', 0.125)))).toBe(0.125);
  expect(reportedLoadBinary(base64(double(1, 0.25)).replace(/=+$/, ''))).toBe(0.25);
  expect(reportedLoadBinary(base64(...others))).toBeNull();
});

test.each([
  ['', null],
  ['!', null],
  [base64(double(1, Number.NaN)), null],
  [base64(double(1, -0.5)), null],
  [base64(double(1, Number.POSITIVE_INFINITY)), null],
  [base64(double(1, 1e9)), null],
  [base64(double(1, 0.5), Buffer.from([0x0a, 0x7f])), null],
  [base64(double(1, 0.5), Buffer.from([0x10, 0x80])), null],
  [base64(double(1, 0.5), Buffer.from([0x15, 1])), null],
  [base64(double(1, 0.5), Buffer.from([0x0b])), null],
  [base64(double(1, 0.5), Buffer.from([0])), null],
  [base64(double(1, 0.5)).slice(0, 6), null],
  ['A'.repeat(LOAD_REPORT_CHARACTERS + 1), null],
])('%s in protobuf is not believed', (value, load) => {
  expect(reportedLoadBinary(value)).toBe(load);
});

test('whatever bytes come, the outcome is null or a load within bounds', () => {
  const isSane = (load: number | null): boolean => load === null || (load >= 0 && load <= LOAD_MOST);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => isSane(reportedLoadBinary(Buffer.from(bytes).toString('base64')))));
  fc.assert(
    fc.property(fc.constantFrom('TEXT ', 'JSON ', 'BIN ', ''), fc.string({ maxLength: 80 }), (form, rest) => isSane(reportedLoad(form + rest))),
  );
  fc.assert(fc.property(fc.json(), (json) => isSane(reportedLoad(`JSON ${json}`))));
});

test('reports are found in trailers and taken out of them, and nothing else is', () => {
  const trailers = ['grpc-status', '0', 'endpoint-load-metrics', 'TEXT cpu_utilization=0.5', 'x-cost', '3'];
  expect(loadInTrailers(trailers)).toBe(0.5);
  expect(withoutReports(trailers)).toEqual(['grpc-status', '0', 'x-cost', '3']);
  expect(loadInTrailers(['Endpoint-Load-Metrics-Bin', base64(double(1, 0.75))])).toBe(0.75);
  expect(loadInTrailers(['grpc-status', '0'])).toBeNull();
});
