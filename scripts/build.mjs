#!/usr/bin/env node
// Makes dist/ from src/, and dist/ui/ from ui/. Does nothing when they were made from exactly these sources; --force builds anyway.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildUi } from './build-ui.mjs';
import { digestOf, files, read } from './sources.mjs';
import { swap } from './swap.mjs';

const BIN = 'cli/main.js';
const STAMP = '.made-from';

/** @returns false when the compiler refused */
export function build(root, { force = false } = {}) {
  const dist = join(root, 'dist');
  const digest = digestOfSources(root);
  if (!force && existsSync(join(dist, BIN)) && read(join(dist, STAMP)) === digest) return buildUi(root, join(dist, 'ui'));
  console.log('windlass: building dist/');
  // Into a folder of its own first, so that whoever runs the old build meanwhile is not disturbed.
  const fresh = join(root, `dist.${process.pid}.tmp`);
  const tsc = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', fresh], {
    cwd: root,
    stdio: 'inherit',
  });
  if (tsc.status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    console.error('windlass: the build failed');
    return false;
  }
  copyDeclarations(join(root, 'src'), fresh);
  if (existsSync(join(fresh, BIN))) chmodSync(join(fresh, BIN), 0o755);
  if (!buildUi(root, join(fresh, 'ui'), { from: join(dist, 'ui'), force })) {
    rmSync(fresh, { recursive: true, force: true });
    return false;
  }
  writeFileSync(join(fresh, STAMP), digest);
  swap(fresh, dist);
  return true;
}

/** Hand-written declarations are read by the compiler but not emitted; those that were emitted refer to them. */
function copyDeclarations(src, dist) {
  for (const file of files(src)) {
    if (!file.endsWith('.d.ts')) continue;
    const to = join(dist, relative(src, file));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(file, to);
  }
}

function digestOfSources(root) {
  const inputs = files(join(root, 'src')).filter((file) => !file.endsWith('.test.ts'));
  for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json']) inputs.push(join(root, name));
  return digestOf(root, inputs);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  process.exitCode = build(root, { force: process.argv.includes('--force') }) ? 0 : 1;
}
