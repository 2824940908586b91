import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readText } from './read-text.ts';

const folder = mkdtempSync(join(tmpdir(), 'windlass-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([0, 1, 100, 16_384, 16_385, 40_000, 99_999, 100_000])('a file of %i bytes is read whole', (bytes) => {
  const path = join(folder, `${bytes}`);
  const text = 'abcdefghij'.repeat(bytes / 10 + 1).slice(0, bytes);
  writeFileSync(path, text);
  expect(readText(path, 100_000)).toBe(text);
});

test('what is larger than the bound is refused, also when nothing says how large it is', () => {
  const path = join(folder, 'large');
  writeFileSync(path, 'x'.repeat(1001));
  expect(() => readText(path, 1000)).toThrow('is larger than 1000 bytes');
  expect(() => readText('/dev/zero', 100_000)).toThrow('is larger than 100000 bytes');
});

test('a pipe is read to its end', () => {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  execFileSync('sh', ['-c', `(head -c 50000 /dev/zero | tr '\\0' x > ${path}) > /dev/null 2>&1 &`]);
  expect(readText(path, 100_000)).toBe('x'.repeat(50_000));
});

test.each([
  ['nowhere', 'does not exist'],
  ['.', 'is a folder'],
])('what cannot be read is said in a few words: %s', (name, message) => {
  expect(() => readText(join(folder, name), 1000)).toThrow(message);
});
