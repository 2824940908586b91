import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findPlace, namesOf } from './place.ts';

let outside = '';
let root = '';

beforeAll(() => {
  outside = mkdtempSync(join(tmpdir(), 'windlass-'));
  root = join(outside, 'root');
  mkdirSync(join(root, 'sub'), { recursive: true });
  mkdirSync(join(outside, 'root-more'));
  writeFileSync(join(outside, 'secret'), 'secret');
  writeFileSync(join(outside, 'root-more', 'secret'), 'secret');
  writeFileSync(join(root, 'a.txt'), 'hello');
  writeFileSync(join(root, 'sub', 'b.txt'), 'b');
  symlinkSync('../a.txt', join(root, 'sub', 'inside'));
  symlinkSync('sub', join(root, 'linked'));
  symlinkSync('../secret', join(root, 'out'));
  symlinkSync('..', join(root, 'up'));
  symlinkSync('loop', join(root, 'loop'));
  symlinkSync(join(outside, 'root-more'), join(root, 'beside'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
});

afterAll(() => rmSync(outside, { recursive: true }));

async function kindOf(names: readonly string[], followsLinks = true): Promise<string> {
  const found = await findPlace(root, names, followsLinks);
  if (found.kind === 'file') await found.file.close();
  return found.kind;
}

test.each([
  ['/', []],
  ['//a///b/', ['a', 'b']],
  ['/a%20b', ['a b']],
  ['/%C3%A9t%C3%A9', ['été']],
  ['/\u00c3\u00a9', ['é']],
  ['/a;x=1', ['a;x=1']],
  ['/.well-known/acme', ['.well-known', 'acme']],
])('%j names what it says', (path, names) => {
  expect(namesOf(path, false)).toEqual(names);
});

test.each([
  '/../secret',
  '/a/..',
  '/./a',
  '/%2e%2e/secret',
  '/%2E./secret',
  '/..%2fsecret',
  '/a%2f..%2f..%2fsecret',
  '/..%5csecret',
  '/a\\..\\b',
  '/a%00.txt',
  '/a%0a',
  '/%',
  '/%zz',
  '/%ff',
  '/%c0%ae%c0%ae/secret',
  '/.git/config',
  '/%2egit/config',
  '/sub/.env',
  '/sub/.well-known/x',
])('[threat 28] %j names nothing', (path) => {
  expect(namesOf(path, false)).toBeNull();
});

test('[threat 28] whatever is asked for, no name leads up or has a slash in it', () => {
  const piece = fc.constantFrom('..', '.', '%2e', '%2E%2e', '/', '%2f', '%5c', '\\', '%00', 'a', '%', '%25', ';', '%252e', '%c0%af');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, dots) => {
      for (const name of namesOf(`/${pieces.join('')}`, dots) ?? []) {
        expect(name).not.toBe('..');
        expect(name).not.toBe('.');
        expect(name).not.toMatch(/[/\\\0]/);
      }
    }),
  );
});

test.each([
  [['a.txt'], 'file', 'file'],
  [['sub'], 'folder', 'folder'],
  [[], 'folder', 'folder'],
  [['nothing'], 'absent', 'absent'],
  [['a.txt', 'deeper'], 'absent', 'absent'],
  [['x'.repeat(300)], 'absent', 'absent'],
  [['sub', 'inside'], 'file', 'forbidden'],
  [['linked', 'b.txt'], 'file', 'forbidden'],
  [['out'], 'forbidden', 'forbidden'],
  [['up', 'secret'], 'forbidden', 'forbidden'],
  [['up', 'root', 'a.txt'], 'file', 'forbidden'],
  [['beside', 'secret'], 'forbidden', 'forbidden'],
  [['beside'], 'forbidden', 'forbidden'],
  [['loop'], 'forbidden', 'forbidden'],
  [['pipe'], 'forbidden', 'forbidden'],
])('[threat 71] %j is %s, and %s where no links are followed', async (names, followed, strict) => {
  expect(await kindOf(names)).toBe(followed);
  expect(await kindOf(names, false)).toBe(strict);
});

test('[threat 71] names that were not checked lead nowhere outside either', async () => {
  expect(await kindOf(['..', 'secret'])).toBe('forbidden');
  expect(await kindOf(['..', 'root-more', 'secret'])).toBe('forbidden');
});
