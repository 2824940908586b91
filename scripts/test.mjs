#!/usr/bin/env node
// Everything that must hold, in one command. The last line counts tests and gates: `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { install } from './install.mjs';
import { checkNode } from './node-version.mjs';

/** The whole run must fit into a quarter of an hour on two cores. */
const TESTS_TIMEOUT_MS = 14 * 60_000;
const GATE_TIMEOUT_MS = 3 * 60_000;

const root = fileURLToPath(new URL('..', import.meta.url));
const count = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
/** Passed, but not at once: on a machine that is busy with other things, or because the test or the program is not sure of itself. Told, so that somebody looks. */
const unsure = [];

function gate(name, run) {
  const start = performance.now();
  const ok = run();
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  if (ok) count.passed++;
  else fail(name);
  return ok;
}

function fail(name) {
  count.failed++;
  failures.push(name);
}

function tool(path, args, options = {}) {
  return spawnSync(process.execPath, [join(root, 'node_modules', path), ...args], {
    cwd: root,
    stdio: 'inherit',
    timeout: GATE_TIMEOUT_MS,
    ...options,
  });
}

function vitest() {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-test-'));
  const report = join(folder, 'report.json');
  const only = process.argv.slice(2);
  const run = tool('vitest/vitest.mjs', ['run', '--retry=1', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...only], {
    timeout: TESTS_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  let told = false;
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    for (const { name, status, assertionResults } of testResults) {
      let failed = 0;
      for (const test of assertionResults) {
        if (test.status === 'passed') {
          count.passed++;
          if (test.failureMessages.length > 0) unsure.push(`${test.fullName}: ${test.failureMessages[0].split('\n', 1)[0]}`);
        } else if (test.status === 'failed') {
          failed++;
          fail(test.fullName);
        } else count.skipped++;
      }
      // A file that could not even be loaded has no tests to fail.
      if (status === 'failed' && failed === 0) fail(name);
      if (status === 'failed') told = true;
    }
  } catch (error) {
    fail(`tests: no report (${run.error?.message ?? error.message})`);
    told = true;
  }
  rmSync(folder, { recursive: true, force: true });
  // Errors that escaped every test make vitest fail without a failed test.
  if (run.status !== 0 && !told) fail('tests: an error escaped (see above)');
}

const folders = ['src', 'test', 'bench', 'scripts', 'ui'].filter((folder) => existsSync(join(root, folder)));
if (checkNode(root) && gate('install', () => install(root))) {
  gate('build', () => build(root));
  gate('format', () => tool('oxfmt/bin/oxfmt', ['--check', ...folders]).status === 0);
  // Only what the compiler checks has types to be aware of.
  gate('lint', () => tool('oxlint/bin/oxlint', ['--type-aware', '--deny-warnings', 'src', 'test']).status === 0);
  gate('lint of scripts', () => tool('oxlint/bin/oxlint', ['--deny-warnings', ...folders.slice(2)]).status === 0);
  gate('types', () => tool('typescript/bin/tsc', ['--noEmit', '-p', 'tsconfig.json']).status === 0);
  gate('types of the console', () => ['ui', 'test/browser'].every((part) => tool('typescript/bin/tsc', ['--noEmit', '-p', part]).status === 0));
  vitest();
} else fail('setup');
if (unsure.length > 0) console.log(`\npassed at the second try only:\n${unsure.map((line) => `  ${line}`).join('\n')}`);
if (failures.length > 0) console.log(`\nfailed:\n${failures.map((name) => `  ${name}`).join('\n')}`);
console.log(`\n${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ''}`);
process.exitCode = count.failed > 0 ? 1 : 0;
