import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../test/kit/until.ts';
import type { LogFileSpec } from '../schema/access-log.ts';
import { LogFile } from './log-file.ts';

let folder: string;
let path: string;
let nowMs: number;
let troubles: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windlass-log-file-'));
  path = join(folder, 'access.log');
  nowMs = Date.UTC(2026, 0, 2, 3, 4, 50);
  troubles = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

function open(spec: Partial<LogFileSpec> = {}): LogFile {
  const whole: LogFileSpec = {
    path,
    rolling: 'never',
    maxBytes: 0,
    maxFiles: 0,
    maxAgeMs: 0,
    compress: 'none',
    bufferedBytes: 1 << 22,
    flushMs: 5,
    ...spec,
  };
  return new LogFile(whole, { wall: () => nowMs, trouble: (error) => troubles.push(error.message) });
}

const files = (): string[] => readdirSync(folder).toSorted();
const textOf = (name: string): string => {
  const bytes = readFileSync(join(folder, name));
  return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
};
const written = (text: string): Promise<boolean> =>
  until(`${text} in the file`, () => existsSync(path) && readFileSync(path, 'latin1').includes(text));

describe('by size', () => {
  test('a file is begun before one grows over it, and no line is lost or torn', async () => {
    const log = open({ maxBytes: 1_000 });
    const lines = Array.from({ length: 200 }, (_, i) => `${String(i).padStart(4, '0')} ${'x'.repeat(44)}\n`);
    for (const [i, line] of lines.entries()) {
      log.write(line);
      // So that lines come in batches smaller than a file.
      if (i % 10 === 9) await written(line);
    }
    await log.close();
    const names = files();
    expect(names).toHaveLength(10);
    expect(names[0]).toBe('access.log');
    expect(names.slice(1, 3)).toEqual(['access.log.2026-01-02', 'access.log.2026-01-02.1']);
    for (const name of names) expect(textOf(name).length).toBeLessThanOrEqual(1_000);
    const all = [...names.slice(1).toSorted((a, b) => Number(a.split('.')[3] ?? 0) - Number(b.split('.')[3] ?? 0)), 'access.log'];
    expect(all.map(textOf).join('')).toBe(lines.join(''));
    expect(log.dropped).toBe(0);
  });

  test('what an earlier run has left counts', async () => {
    writeFileSync(path, 'x'.repeat(990));
    const log = open({ maxBytes: 1_000 });
    log.write('0123456789\n');
    await log.close();
    expect(textOf('access.log')).toBe('0123456789\n');
    expect(files()).toHaveLength(2);
  });
});

describe('by time', () => {
  test.each([
    ['minutely', 60_000, 'access.log.2026-01-02-03-04'],
    ['hourly', 3_600_000, 'access.log.2026-01-02-03'],
    ['daily', 86_400_000, 'access.log.2026-01-02'],
  ] as const)('%s', async (rolling, length, name) => {
    const log = open({ rolling });
    log.write('first\n');
    await written('first');
    utimesSync(path, nowMs / 1000, nowMs / 1000);
    nowMs += length;
    log.write('second\n');
    await written('second');
    log.write('third\n');
    await log.close();
    expect(files()).toEqual(['access.log', name]);
    expect(textOf(name)).toBe('first\n');
    expect(textOf('access.log')).toBe('second\nthird\n');
  });

  test('a file of yesterday is moved away before the first line of today', async () => {
    writeFileSync(path, 'yesterday\n');
    const then = Date.UTC(2026, 0, 1, 12) / 1000;
    utimesSync(path, then, then);
    const log = open({ rolling: 'daily' });
    log.write('today\n');
    await log.close();
    expect(textOf('access.log.2026-01-01')).toBe('yesterday\n');
    expect(textOf('access.log')).toBe('today\n');
  });
});

describe('earlier files', () => {
  const leave = (name: string, ageMs: number): void => {
    writeFileSync(join(folder, name), `${name}\n`);
    utimesSync(join(folder, name), (nowMs - ageMs) / 1000, (nowMs - ageMs) / 1000);
  };

  test('are deleted when there are too many, the oldest first, and others are left alone', async () => {
    for (let day = 1; day <= 5; day++) leave(`access.log.2025-12-0${day}`, (10 - day) * 86_400_000);
    for (const name of ['access.log.old', 'access.log.2025-12-01.txt', 'other.log.2025-12-01', 'xaccess.log.2025-12-01']) leave(name, 1e10);
    const log = open({ rolling: 'daily', maxFiles: 2 });
    await log.tidied;
    await log.close();
    expect(files().filter((name) => /^access\.log\.2025-12-0\d$/.test(name))).toEqual(['access.log.2025-12-04', 'access.log.2025-12-05']);
    expect(files()).toEqual(
      expect.arrayContaining(['access.log.old', 'access.log.2025-12-01.txt', 'other.log.2025-12-01', 'xaccess.log.2025-12-01']),
    );
  });

  test('are deleted when they are too old', async () => {
    leave('access.log.2025-12-01', 8 * 86_400_000);
    leave('access.log.2025-12-02.gz', 8 * 86_400_000);
    leave('access.log.2025-12-03', 6 * 86_400_000);
    const log = open({ rolling: 'daily', maxAgeMs: 7 * 86_400_000 });
    await log.tidied;
    await log.close();
    expect(files()).toEqual(['access.log', 'access.log.2025-12-03']);
  });

  test('are compressed, keep their age, and also those that an earlier run did not get to', async () => {
    leave('access.log.2025-12-31', 2 * 86_400_000);
    writeFileSync(join(folder, 'access.log.2025-12-30.gz.part'), 'half');
    const log = open({ rolling: 'minutely', compress: 'gzip' });
    log.write('first\n');
    await written('first');
    utimesSync(path, nowMs / 1000, nowMs / 1000);
    nowMs += 60_000;
    log.write('second\n');
    await until(
      'the file is compressed',
      () => files().includes('access.log.2026-01-02-03-04.gz') && !files().includes('access.log.2026-01-02-03-04'),
    );
    await log.tidied;
    await log.close();
    expect(textOf('access.log.2026-01-02-03-04.gz')).toBe('first\n');
    expect(textOf('access.log.2025-12-31.gz')).toBe('access.log.2025-12-31\n');
    expect(files()).not.toContain('access.log.2025-12-31');
    expect(troubles).toEqual([]);
  });
});

test('a file that somebody else moves away is opened again when told so', async () => {
  const log = open();
  log.write('first\n');
  await written('first');
  renameSync(path, `${path}.1`);
  log.reopen();
  log.write('second\n');
  await log.close();
  expect([textOf('access.log.1'), textOf('access.log')]).toEqual(['first\n', 'second\n']);
});

test('a file that cannot be moved away is written on, and that is said', async () => {
  const log = open({ maxBytes: 100 });
  log.write(`${'x'.repeat(90)}\n`);
  await written('x');
  // A folder that is gone takes no new name; the open file still takes lines.
  renameSync(folder, `${folder}-moved`);
  writeFileSync(folder, 'in the way');
  log.write(`${'y'.repeat(90)}\n`);
  log.write(`${'z'.repeat(90)}\n`);
  await until('the lines', () => readFileSync(join(`${folder}-moved`, 'access.log'), 'latin1').includes('z'));
  await log.close();
  rmSync(folder);
  renameSync(`${folder}-moved`, folder);
  expect(textOf('access.log')).toBe(`${'x'.repeat(90)}\n${'y'.repeat(90)}\n${'z'.repeat(90)}\n`);
  expect(troubles[0]).toContain('ENOTDIR');
  expect(log.dropped).toBe(0);
});

test('a pipe that nobody reads is neither waited for at the start, nor at a line, nor at the end [fault 40]', async () => {
  execFileSync('mkfifo', [path]);
  const log = open({ rolling: 'daily', maxBytes: 1_000, bufferedBytes: 64 * 1024 });
  const line = `${'x'.repeat(1023)}\n`;
  for (let i = 0; i < 1_024; i++) log.write(line);
  expect(log.dropped).toBeGreaterThan(900);
  expect(troubles).toEqual(['log target does not keep up: lines are dropped']);
  await log.close();
  expect(files()).toEqual(['access.log']);
});

test('a full disk costs lines, which are counted, and one complaint [fault 40]', async () => {
  path = '/dev/full';
  const log = open();
  for (let i = 0; i < 10; i++) log.write('0123456789\n');
  await log.close();
  expect(log.dropped).toBe(10);
  expect(troubles).toEqual([expect.stringContaining('ENOSPC')]);
});
