// From a process to its first answer.
import { runToEnd } from '../kit/children.mjs';
import { median, spread } from '../kit/numbers.mjs';
import { answered, freePort, hasWindlass, startHub, writeSecret } from '../kit/programs.mjs';
import { judge } from '../kit/report.mjs';

/** @param {import('./requests.mjs').Bench} bench @returns {Promise<import('../kit/report.mjs').Finding[]>} */
export async function start(bench) {
  const title = 'windlass hub run, from start to the first accepted request';
  bench.say(title);
  /** @type {import('../kit/report.mjs').Finding} */
  const finding = { title, columns: ['what', 'ms', 'target'], rows: [], notes: [], checks: [] };
  const times = bench.quick ? 5 : 10;
  /** @type {number[]} */
  const bareMs = [];
  /** @type {number[]} */
  const hubMs = [];
  const secretFile = writeSecret(bench.dir);
  for (let i = 0; i < times; i++) {
    const begun = performance.now();
    await runToEnd('bare node', process.execPath, ['-e', '0'], { timeoutMs: 10_000 });
    bareMs.push(performance.now() - begun);
    if (!hasWindlass) continue;
    const [port, adminPort] = [await freePort(), await freePort()];
    const spawned = performance.now();
    const hub = startHub(secretFile, port, adminPort);
    // Without an agent its answer is 503: accepted, parsed and answered all the same.
    await answered(port, '/', () => hub.check());
    hubMs.push(performance.now() - spawned);
    await hub.stop();
  }
  finding.rows.push(['node that does nothing, start to exit', spread(bareMs, 0), '']);
  if (hasWindlass) {
    finding.rows.push(['windlass hub run', spread(hubMs, 0), '<= 300']);
    finding.checks.push(judge('windlass hub run: start to first accepted request', median(hubMs), ' ms', '<=', 300));
  }
  finding.notes.push(`${times} starts`);
  return [finding];
}
