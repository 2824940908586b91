import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { until } from '../../test/kit/until.ts';
import { Watcher } from './watcher.ts';

const NEVER_BY_ITSELF = 3_600_000;
const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'windlass-watcher-'));
  ends.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Watches files that were written long before they were read. */
function watching(paths: readonly string[]): { watcher: Watcher; told: () => number } {
  let count = 0;
  const watcher = new Watcher({ paths, sinceMs: Date.now() + 60_000, everyMs: NEVER_BY_ITSELF, changed: () => count++ });
  ends.push(() => watcher.close());
  return { watcher, told: () => count };
}

test('a change is told of once', async () => {
  const at = folder();
  const file = join(at, 'a.toml');
  writeFileSync(file, 'one');
  const { told } = watching([file]);
  writeFileSync(file, 'three');
  await until('it is told', () => told() > 0);
  expect(told()).toBe(1);
});

test('a file that is saved again while it is being put to use is read again', async () => {
  const file = join(folder(), 'a.toml');
  writeFileSync(file, 'one');
  const { watcher, told } = watching([file]);
  watcher.reading(Date.now());
  writeFileSync(file, 'three');
  watcher.follow([file], NEVER_BY_ITSELF);
  await until('it is told', () => told() > 0);
});

test('so is one that was not watched before', async () => {
  const file = join(folder(), 'a.toml');
  const { watcher, told } = watching([]);
  watcher.reading(Date.now());
  writeFileSync(file, 'one');
  watcher.follow([file], NEVER_BY_ITSELF);
  await until('it is told', () => told() > 0);
});

test('what stays as it was read is not told of, however often it is followed', async () => {
  const at = folder();
  const [file, other] = [join(at, 'a.toml'), join(at, 'b.toml')];
  writeFileSync(file, 'one');
  writeFileSync(other, 'one');
  const { watcher, told } = watching([file, other]);
  for (let i = 0; i < 3; i++) {
    watcher.reading(Date.now());
    watcher.follow([file, other], NEVER_BY_ITSELF);
  }
  writeFileSync(other, 'three');
  await until('it is told', () => told() > 0);
  expect(told()).toBe(1);
});
