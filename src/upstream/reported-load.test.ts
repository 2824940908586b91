import { expect, test } from 'vitest';
import { HeldClock } from '../../test/kit/upstream.ts';
import { ResponseHead } from '../http/head.ts';
import { LOAD_FULL, LOAD_REPORT_MS } from './limits.ts';
import { ReportedLoad } from './reported-load.ts';

test('what an endpoint reports takes the place of what the settings say, until it is old', () => {
  const clock = new HeldClock();
  const load = new ReportedLoad(clock, 0.5);
  expect(load.now).toBe(0.5);
  load.trailers(['endpoint-load-metrics', 'TEXT cpu_utilization=0.25']);
  expect(load.now).toBe(0.25);
  load.give(0.75);
  clock.ms += LOAD_REPORT_MS;
  expect(load.now).toBe(0.25);
  expect(load.isReported).toBe(true);
  clock.ms += 1;
  expect(load.now).toBe(0.75);
  expect(load.isReported).toBe(false);
});

test('reports in the head of an answer count, and clients do not see them', () => {
  const load = new ReportedLoad(new HeldClock(), 0);
  const head = ResponseHead.make(200, ['content-type', 'application/grpc', 'endpoint-load-metrics', 'JSON {"cpu_utilization": 0.5}'], -1);
  load.head(head);
  expect(load.now).toBe(0.5);
  expect(head.list()).toEqual(['content-type', 'application/grpc']);
  load.head(ResponseHead.make(200, ['endpoint-load-metrics-bin', 'CQAAAAAAANA/'], -1));
  expect(load.now).toBe(0.25);
});

test('a report that cannot be believed changes nothing, and goes no further', () => {
  const load = new ReportedLoad(new HeldClock(), 0.5);
  expect(load.trailers(['endpoint-load-metrics', 'TEXT cpu_utilization=-1', 'grpc-status', '0'])).toEqual(['grpc-status', '0']);
  expect(load.now).toBe(0.5);
});

test('trailers without a report pass as they are', () => {
  const trailers = ['grpc-status', '0'];
  expect(new ReportedLoad(new HeldClock(), 0).trailers(trailers)).toBe(trailers);
});

test('who is full counts as nearly full, whoever says so', () => {
  const load = new ReportedLoad(new HeldClock(), 1);
  expect(load.now).toBe(LOAD_FULL);
  load.trailers(['endpoint-load-metrics', 'TEXT cpu_utilization=3']);
  expect(load.now).toBe(LOAD_FULL);
});
