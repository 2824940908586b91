import { describe, expect, test } from 'vitest';
import { accessLog, parseAccessLog } from './access-log.ts';
import { Wrong } from './wrong.ts';

test('without a path lines go to standard output', () => {
  expect(parseAccessLog('tiny', '/etc')).toMatchObject({ target: 'stdout', text: 'tiny' });
  expect(parseAccessLog('{"a":"{uri}"}', '/etc')).toMatchObject({ target: 'stdout' });
});

test('a path in front makes it a file, beside the configuration unless it is absolute', () => {
  expect(parseAccessLog('/var/log/a.log combined', '/etc')).toMatchObject({ target: { path: '/var/log/a.log', rolling: 'never', maxBytes: 0 } });
  expect(parseAccessLog('./a.log {uri} {status}', '/etc/windlass')).toMatchObject({ target: { path: '/etc/windlass/a.log' } });
  expect(parseAccessLog('../a.log', '/etc/windlass').template.parts).toEqual(parseAccessLog('combined', '/').template.parts);
});

test('options stand behind the path, in both spellings', () => {
  const given = '/a.log?rolling=daily&max_size=100mb&max-files=7&max_age=7d&compress=gzip&channel_buffer=1000&flush_timeout=10s {uri}';
  expect(parseAccessLog(given, '/').target).toEqual({
    path: '/a.log',
    rolling: 'daily',
    maxBytes: 100_000_000,
    maxFiles: 7,
    maxAgeMs: 7 * 86_400_000,
    compress: 'gzip',
    bufferedBytes: 1000 * 1024,
    flushMs: 10_000,
  });
});

test('what was given is what is shown', () => {
  const kind = accessLog();
  expect(kind.format(kind.fromToml('/a.log?rolling=hourly tiny', '/'))).toBe('/a.log?rolling=hourly tiny');
});

describe('refused, with the fix', () => {
  test.each([
    ['/a.log?roling=daily {uri}', 'roling', 'did you mean rolling?'],
    ['/a.log?rolling=weekly {uri}', 'rolling=weekly', 'choose never, minutely, hourly, daily'],
    ['/a.log?max_size=lots {uri}', 'max_size=lots', 'write it as'],
    ['/a.log?max_age=7 {uri}', 'max_age=7', 'write 7s'],
    ['/a.log?max_files=-1 {uri}', 'max_files=-1', 'give a number'],
    ['/a.log?compress=zip {uri}', 'compress=zip', 'choose gzip, none'],
    ['/a.log?channel_buffer=0 {uri}', 'channel_buffer=0', 'give a number'],
    ['/var/log/ {uri}', null, 'name a file in it'],
    ['/a.log {urri}', '{urri}', 'did you mean {uri}?'],
  ])('%s', (text, part, fix) => {
    expect(() => parseAccessLog(text, '/')).toThrow(expect.objectContaining({ name: 'Wrong', part, fix: expect.stringContaining(fix) }) as Error);
  });

  test('a number is no access log', () => {
    expect(() => accessLog().fromToml(7, '/')).toThrow(Wrong);
  });
});
