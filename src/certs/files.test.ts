import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Log } from '../observe/log.ts';
import { CertFiles } from './files.ts';

const FIXTURES = new URL('../../test/fixtures/', import.meta.url).pathname;
const DAY_MS = 86_400_000;

let folder = '';
let files: CertFiles | null = null;
const lines: string[] = [];
const log = { warn: (_: object, message: string) => void lines.push(message), info: () => {} } as unknown as Log;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windlass-'));
  lines.length = 0;
});
afterEach(() => {
  files?.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(name: string, wall: () => number): CertFiles {
  const paths = { certPath: join(folder, 'cert.pem'), keyPath: join(folder, 'key.pem') };
  copyFileSync(join(FIXTURES, `${name}.pem`), paths.certPath);
  copyFileSync(join(FIXTURES, `${name}.key`), paths.keyPath);
  files = new CertFiles({ ...paths, log, wall, pollMs: DAY_MS });
  return files;
}

test('a certificate that expires soon is warned of at once and once a day, then that it has expired, until another takes its place', () => {
  let now = Date.UTC(2100, 0, 1);
  const pair = open('one', () => now);
  expect(lines).toEqual([]);
  now = pair.current.notAfterMs - 6.5 * DAY_MS;
  pair.look();
  pair.look();
  expect(lines).toEqual(['the TLS certificate expires soon']);
  now += DAY_MS;
  pair.look();
  expect(lines).toHaveLength(2);
  now += 6 * DAY_MS;
  pair.look();
  expect(lines.slice(2)).toEqual(['the TLS certificate has expired']);
  writeFileSync(join(folder, 'cert.pem'), 'half a certif');
  pair.look();
  pair.look();
  expect(lines.slice(3)).toEqual(['the new TLS certificate cannot be used: the old one is kept']);
  now = Date.UTC(2100, 0, 1);
  copyFileSync(join(FIXTURES, 'two.pem'), join(folder, 'cert.pem'));
  copyFileSync(join(FIXTURES, 'two.key'), join(folder, 'key.pem'));
  pair.look();
  now += 2 * DAY_MS;
  pair.look();
  expect(lines).toHaveLength(4);
});

test('one that has expired already is told of when it is opened', () => {
  open('expired', () => Date.now());
  expect(lines).toEqual(['the TLS certificate has expired']);
});
