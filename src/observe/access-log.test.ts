import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AccessLog, type AccessRecord } from './access-log.ts';
import { Lines } from './lines.ts';
import { redactedTarget } from './log-text.ts';

const record: AccessRecord = {
  wallMs: Date.UTC(2026, 0, 2, 3, 4, 5, 7),
  client: '192.0.2.7',
  method: 'GET',
  target: '/v1/models',
  version: '1.1',
  status: 200,
  replyBytes: 1024,
  requestBytes: 0,
  totalMs: 12.345,
  waitMs: 0,
  agent: '7f',
  endpoint: 'gpu',
  attempts: 1,
  failure: '',
  host: 'example.org',
  tries: '',
};

const log = new AccessLog(new Lines({ target: '/dev/null' }));

/** What a reader makes of a line: the way back, written apart from the way there. */
const LINE =
  /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) "([^" ]+) ([^"]*) HTTP\/1\.([01])" (\d+) out=(\d+) in=(\d+) ms=(\S+) wait=(\S+) attempts=(\d+) agent=(\S+) endpoint=(\S+) failure=(\S+) host=(\S+)\n$/;
function unescaped(text: string): string {
  return text.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

test('a line says who asked what, what came of it, where and how long', () => {
  expect(log.format(record)).toBe(
    '2026-01-02T03:04:05.007Z 192.0.2.7 "GET /v1/models HTTP/1.1" 200 out=1024 in=0 ms=12.3 wait=0 attempts=1 agent=7f endpoint=gpu failure=- host=example.org\n',
  );
});

test('what is not known is a dash', () => {
  expect(log.format({ ...record, client: '', agent: '', endpoint: '', host: '', failure: 'no_agent' })).toContain(
    ' - "GET /v1/models HTTP/1.1" 200 out=1024 in=0 ms=12.3 wait=0 attempts=1 agent=- endpoint=- failure=no_agent host=-\n',
  );
});

test('times are right on both sides of a second', () => {
  for (const ms of [0, 9, 10, 99, 100, 999]) {
    const wallMs = Date.UTC(2026, 5, 7, 8, 9, 10) + ms;
    expect(log.format({ ...record, wallMs }).slice(0, 24)).toBe(new Date(wallMs).toISOString());
  }
});

test('a line is one line of printable ASCII from which everything can be read back [threat 61]', () => {
  const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 60 });
  fc.assert(
    fc.property(latin1, latin1, latin1, (path, agent, host) => {
      const target = `/${path.replaceAll('?', '')}`;
      const line = log.format({ ...record, target, agent, host });
      expect(line.slice(0, -1)).toMatch(/^[ -~]*$/);
      const parts = LINE.exec(line)!;
      expect(unescaped(parts[4]!)).toBe(target);
      expect(unescaped(parts[12]!)).toBe(agent === '' ? '-' : agent);
      expect(unescaped(parts[15]!)).toBe(host === '' ? '-' : host);
    }),
  );
});

test('names of ours beyond Latin-1 are written as UTF-8 escapes', () => {
  expect(log.format({ ...record, agent: '显卡' })).toContain(' agent=\\xe6\\x98\\xbe\\xe5\\x8d\\xa1 ');
});

test('an over-long value is cut and says by how much', () => {
  const line = log.format({ ...record, target: `/${'a'.repeat(4_096 + 9)}` });
  expect(line).toContain('a...(+10) HTTP/1.1"');
  expect(line.length).toBeLessThan(4_500);
});

test.each([
  ['/p', '/p'],
  ['/p?', '/p?'],
  ['/p?x=1&y=2', '/p?x=1&y=2'],
  ['/p?token=abc', '/p?token=***'],
  ['/p?x=1&key=abc&y=2', '/p?x=1&key=***&y=2'],
  ['/p?api_key=a&apikey=b&password=c&secret=d&access_token=e', '/p?api_key=***&apikey=***&password=***&secret=***&access_token=***'],
  ['/p?TOKEN=abc', '/p?TOKEN=***'],
  ['/p?%74oken=abc', '/p?%74oken=***'],
  ['/p?tokens=abc&monkey=1&key', '/p?tokens=abc&monkey=1&key'],
  ['/p?key==x=y&a', '/p?key=***&a'],
  ['/p?a?token=1&token=2', '/p?a?token=1&token=***'],
])('secrets in a query are removed: %s [threat 62]', (target, expected) => {
  expect(redactedTarget(target)).toBe(expected);
});

test('records reach the file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-access-'));
  const path = join(folder, 'access.log');
  const file = new AccessLog(new Lines({ target: path }));
  for (let i = 0; i < 1_000; i++) file.write({ ...record, replyBytes: i });
  await file.close();
  const lines = readFileSync(path, 'latin1').split(/(?<=\n)/);
  rmSync(folder, { recursive: true });
  expect(lines).toHaveLength(1_000);
  expect(lines.every((line, i) => LINE.exec(line)?.[7] === String(i))).toBe(true);
  expect(file.dropped).toBe(0);
});
