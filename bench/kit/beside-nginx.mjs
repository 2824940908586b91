// Programs beside nginx that proxies the same: CPU per request, as rows, ratios and verdicts.
import { load } from './load.mjs';
import { spread } from './numbers.mjs';
import { hasNginx, hasWindlass, startNginxProxy, startOrigin, stop } from './programs.mjs';
import { judge } from './report.mjs';
import { figures, invalid, measure, perRequestUs, quietness, ratioOf, ratios, requestsPerSecond } from './rounds.mjs';

/** @typedef {import('./report.mjs').Finding} Finding */
/** @typedef {import('./programs.mjs').Contender} Contender */

/**
 * @typedef {object} Beside
 * @property {string} title
 * @property {string} ratio Heading of the ratios.
 * @property {boolean | 'browser'} [headers] Fields of the requests; absent: 13.
 * @property {number} [warm] How many times the usual warm-up each contender is loaded before; absent: not at all.
 * @property {(originPort: number) => Promise<readonly Contender[]>} start
 * @property {ReadonlyMap<string, { measure: string, atMost: number }>} targets By name of the contender.
 * @property {(finding: Finding, samples: Awaited<ReturnType<typeof measure>>, started: readonly Contender[]) => void} [more] What else the figures tell.
 */

/** @param {import('../scenarios/requests.mjs').Bench} bench @param {Beside} of @returns {Promise<Finding[]>} */
export async function besideNginx(bench, { title, ratio, headers = true, warm = 0, start, targets, more }) {
  bench.say(title);
  /** @type {Finding} */
  const finding = { title, columns: ['process', 'CPU us/request', ratio, 'target', 'requests/s'], rows: [], notes: [], checks: [] };
  if (!hasNginx || !hasWindlass) {
    finding.notes.push('skipped: needs nginx and dist/cli/main.js');
    return [finding];
  }
  const origin = await startOrigin(bench.dir);
  const nginx = await startNginxProxy(bench.dir, origin.port);
  const started = await start(origin.port);
  const contenders = [nginx, ...started];
  const options = { connections: 64, path: '/1k', headers };
  // Code that is young is slow: the first seconds of a process tell nothing of the rest of its life.
  if (warm > 0) for (const { port } of contenders) await load({ ...options, port, seconds: bench.warmSeconds * warm });
  const samples = await measure(contenders, options, bench);
  finding.raw = [...samples];
  for (const { name } of contenders) {
    const wrong = invalid(samples, name);
    if (wrong !== null) finding.notes.push(`${name}: ${wrong}`);
    const found = ratioOf(ratios(samples, [name, perRequestUs(name)], ['nginx', perRequestUs('nginx')]));
    const target = targets.get(name);
    finding.rows.push([
      name,
      spread(figures(samples, name, perRequestUs(name))),
      found.text,
      target === undefined ? '' : `<= ${target.atMost}`,
      spread(figures(samples, name, requestsPerSecond), 0),
    ]);
    if (target !== undefined)
      finding.checks.push(judge(target.measure, found.value, '', '<=', target.atMost, { invalid: wrong, comparable: bench.comparable }));
  }
  more?.(finding, samples, started);
  finding.notes.push(quietness(samples));
  await stop(...started.toReversed(), nginx, origin);
  return [finding];
}
