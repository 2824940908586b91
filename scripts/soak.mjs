#!/usr/bin/env node
// The long run: builds the program and the driver (test/soak/) into a folder of its own, runs them, and leaves docs/soak.md.
// SOAK_REQUESTS (1,000,000), SOAK_SEED and SOAK_REPORT (docs/soak.md) choose another run.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
// Not dist/: whoever builds that meanwhile would change the program under the processes that are started again.
const folder = join(root, `dist.soak-${process.pid}.tmp`);

function compile(project, outDir, made) {
  // Types are another gate's business.
  const { stdout } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project, '--outDir', outDir], {
    cwd: root,
    encoding: 'utf8',
  });
  if (!existsSync(made)) throw new Error(`the build of ${project} failed:\n${stdout}`);
  return made;
}

process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const main = compile('tsconfig.build.json', folder, join(folder, 'cli', 'main.js'));
const driver = join(folder, 'driver');
const run = compile(join('test', 'soak', 'tsconfig.json'), driver, join(driver, 'soak', 'run.js'));
const child = spawn(process.execPath, [run, main, root], { stdio: 'inherit' });
// The driver gets Ctrl-C from the terminal as well, and ends its own processes.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => {
  process.exit(code ?? 1);
});
