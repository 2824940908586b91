#!/usr/bin/env node
// From a fresh clone to a running gateway, agent and demo service: installs, builds and runs `windlass demo`, each only when needed.
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { install } from './install.mjs';
import { checkNode } from './node-version.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
if (checkNode(root) && install(root) && build(root)) {
  // In this process rather than a child: there is nobody who could lose a signal or pass it on twice.
  const main = join(root, 'dist', 'cli', 'main.js');
  process.argv = [process.execPath, main, 'demo', ...process.argv.slice(2)];
  await import(pathToFileURL(main).href);
} else process.exitCode = 1;
