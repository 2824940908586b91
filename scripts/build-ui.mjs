#!/usr/bin/env node
// Makes the pages of the console from ui/. Does nothing when they were made from exactly these sources.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { digestOf, files, read } from './sources.mjs';
import { swap } from './swap.mjs';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const STAMP = '.made-from';
/** Others are compressed already. */
const COMPRESSIBLE = /\.(?:css|html|js|json|svg)$/;
/** Smaller ones fit into one packet anyway. */
const COMPRESSED_BYTES_MIN = 1024;

/** Whose work is in what is built, so that their licences go with it. */
const SHIPPED = [
  'preact',
  '@preact/signals',
  '@preact/signals-core',
  'uplot',
  '@fontsource-variable/inter',
  ...['autocomplete', 'commands', 'language', 'legacy-modes', 'lint', 'search', 'state', 'view'].map((name) => `@codemirror/${name}`),
  ...['common', 'highlight', 'lr'].map((name) => `@lezer/${name}`),
  'style-mod',
  'w3c-keyname',
  'crelt',
  '@marijn/find-cluster-break',
];

/** Leaves the pages in `to`; `from` may hold an earlier build. @returns false when the bundler refused */
export function buildUi(root, to, { from = to, force = false } = {}) {
  const digest = digestOfSources(root);
  if (!force && madeFrom(from) === digest && existsSync(join(from, 'index.html'))) {
    if (from === to) return true;
    try {
      cpSync(from, to, { recursive: true });
      return true;
    } catch {
      // Somebody builds it anew at this moment; then we do, too.
    }
  }
  console.log('windlass: building dist/ui/');
  const fresh = `${join(root, 'dist')}.ui-${process.pid}.tmp`;
  const vite = spawnSync(process.execPath, [join(root, 'node_modules/vite/bin/vite.js'), 'build', 'ui', '--outDir', fresh, '--logLevel', 'warn'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (vite.status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    console.error('windlass: the build of the console failed');
    return false;
  }
  writeFileSync(
    join(fresh, 'licences.txt'),
    SHIPPED.map((name) => `${name}\n\n${read(join(root, 'node_modules', name, 'LICENSE')) ?? ''}`).join('\n\n---\n\n'),
  );
  compress(fresh);
  writeFileSync(join(fresh, STAMP), digest);
  mkdirSync(dirname(to), { recursive: true });
  swap(fresh, to);
  return true;
}

/** Beside each file its .br and .gz, where that saves something: the program only ever sends them on. */
function compress(folder) {
  for (const file of files(folder)) {
    if (!COMPRESSIBLE.test(file)) continue;
    const bytes = readFileSync(file);
    if (bytes.length < COMPRESSED_BYTES_MIN) continue;
    const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
    const gzip = gzipSync(bytes, { level: 9 });
    if (brotli.length < bytes.length) writeFileSync(`${file}.br`, brotli);
    if (gzip.length < bytes.length) writeFileSync(`${file}.gz`, gzip);
  }
}

function digestOfSources(root) {
  const inputs = files(join(root, 'ui')).filter((file) => !/\.test\.tsx?$/.test(file) && !file.includes(`${sep}ui${sep}dev${sep}`));
  for (const name of ['package-lock.json', 'scripts/build-ui.mjs']) inputs.push(join(root, name));
  return digestOf(root, inputs);
}

function madeFrom(folder) {
  return read(join(folder, STAMP));
}

// By itself, for those who work on the pages only.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  process.exitCode = buildUi(root, join(root, 'dist', 'ui'), { force: process.argv.includes('--force') }) ? 0 : 1;
}
