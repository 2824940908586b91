import { execFileSync } from 'node:child_process';
import { constants, mkdtempSync, openSync, readFileSync, renameSync, rmSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lines } from './lines.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windlass-lines-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('lines arrive whole and in order', async () => {
  const path = join(folder, 'a.log');
  const lines = new Lines({ target: path, flushBytes: 256 });
  let expected = '';
  for (let i = 0; i < 5_000; i++) {
    expected += `line ${i}\n`;
    lines.write(`line ${i}\n`);
  }
  await lines.close();
  expect(readFileSync(path, 'utf8')).toBe(expected);
  expect(lines.dropped).toBe(0);
});

test('a lone line does not wait for company', async () => {
  const path = join(folder, 'a.log');
  const lines = new Lines({ target: path, flushMs: 1 });
  lines.write('lone\n');
  await expect.poll(() => readFileSync(path, 'utf8')).toBe('lone\n');
  await lines.close();
});

test('after a rotation lines go to the new file, and none is lost', async () => {
  const path = join(folder, 'a.log');
  const lines = new Lines({ target: path });
  lines.write('before\n');
  lines.flush();
  renameSync(path, `${path}.1`);
  lines.write('between\n');
  lines.reopen();
  lines.write('after\n');
  await lines.close();
  expect(readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8')).toBe('before\nbetween\nafter\n');
  expect(readFileSync(path, 'utf8')).toContain('after\n');
});

test('when the rotated path cannot be opened the old file goes on', async () => {
  const path = join(folder, 'sub.log');
  const troubles: string[] = [];
  const lines = new Lines({ target: path, trouble: (error) => troubles.push(error.message) });
  rmSync(folder, { recursive: true });
  lines.reopen();
  lines.write('x\n');
  await lines.close();
  expect(troubles[0]).toContain('ENOENT');
  expect(lines.dropped).toBe(0);
});

test('a full disk costs lines, which are counted, and one complaint [fault 40]', async () => {
  const troubles: string[] = [];
  const lines = new Lines({ target: '/dev/full', flushBytes: 16, trouble: (error) => troubles.push(error.message) });
  for (let i = 0; i < 100; i++) lines.write('0123456789abcde\n');
  await lines.close();
  expect(lines.dropped).toBe(100);
  expect(troubles).toHaveLength(1);
  expect(troubles[0]).toContain('ENOSPC');
});

/** Both ends of a pipe. */
function pipe(): { read: number; write: number } {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { read, write: openSync(path, constants.O_WRONLY) };
}

test('a pipe that nobody reads is not waited for: lines over the bound are dropped and counted [fault 40]', async () => {
  const { read, write } = pipe();
  const troubles: string[] = [];
  const lines = new Lines({ target: write, flushBytes: 1024, bufferedBytes: 64 * 1024, trouble: (error) => troubles.push(error.message) });
  const line = `${'x'.repeat(1023)}\n`;
  for (let i = 0; i < 4096; i++) lines.write(line);
  expect(lines.dropped).toBeGreaterThan(3_900);
  expect(troubles).toEqual(['log target does not keep up: lines are dropped']);
  closeSync(read);
  await lines.close();
});

test('a reader that went away costs lines, not the process [fault 40]', async () => {
  const { read, write } = pipe();
  closeSync(read);
  const lines = new Lines({ target: write, flushBytes: 1 });
  for (let i = 0; i < 3; i++) lines.write('x\n');
  await lines.close();
  expect(lines.dropped).toBe(3);
});

test('what is pending at the last moment still goes out', () => {
  const path = join(folder, 'a.log');
  const fd = openSync(path, 'a');
  const lines = new Lines({ target: fd });
  lines.write('last\n');
  lines.flushSync();
  expect(readFileSync(path, 'utf8')).toBe('last\n');
  closeSync(fd);
});
